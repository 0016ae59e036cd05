/**
 * What a kill -9 of the mover costs: the copy 1 → N once undisturbed, once killed several times; then a backlog, killed in its middle. Rows that were read again are
 * counted by the source itself, beside what the stream says at its resume.
 *
 *     node bench/resume.ts [rows, default 2000000] [mariadb|mysql, default mariadb] [kills of the copy, default 4] [changes of the backlog, default 400000] [targets, default 4]
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { forgetStreams } from '../src/move/tables.ts'
import { connect } from '../src/mysql/connect.ts'
import { testServer } from '../test/kit/servers.ts'
import { byId, evenShards, fillSysbench, MoverBench, sysbenchDdl } from './mover-kit.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const kills = Number(process.argv[4] ?? 4)
const changes = Number(process.argv[5] ?? 400_000)
const shards = evenShards(Number(process.argv[6] ?? 4))

const settings = {
  flavour,
  durability: 'full',
  bufferPoolMb: Math.ceil(rows / 2500) + 128,
  extra: flavour === 'mariadb' ? { innodb_log_file_size: '1G' } : { innodb_redo_log_capacity: '1G' },
} as const
await using source = await testServer(settings)
await using target = await testServer(settings)
const s = await connect(source.config)
const t = await connect(target.config)
const dir = mkdtempSync(join(tmpdir(), 'sw-bench-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
await s.query('CREATE DATABASE app')
await s.useDatabase('app')
await s.query(sysbenchDdl('sbtest1'))
await fillSysbench(s, 'sbtest1', rows)
await s.query('ANALYZE TABLE sbtest1')
await s.query('SELECT COUNT(pad) FROM sbtest1')

for (const times of [0, kills]) {
  const place = join(dir, `killed-${times}`)
  mkdirSync(join(place, 'logs'), { recursive: true })
  await using mover = await MoverBench.start({
    dir: place,
    flavour,
    source,
    target,
    t,
    schema: 'app',
    shards,
    tables: [byId('sbtest1')],
  })
  const readBefore = await rowsRead()
  const beganMs = performance.now()
  let told = 0
  const copied = mover.run((report) => report.state === 'running')
  for (let kill = 1; kill <= times; kill++) {
    // Anywhere within its share of the copy.
    const share = (kill - 0.9 + 0.8 * Math.random()) / times
    await mover.reported((report) => report.state === 'copying' && report.copy.rowsDone > rows * share)
    mover.kill9()
    const { pid } = mover
    const { resumed } = await mover.reported(
      (report) => report.mover.includes(String(pid)) && report.resumed !== null && report.copy.rowsDone > 0,
    )
    told += resumed?.rowsRedone ?? 0
    console.log(
      `kill ${kill} at ${(share * 100).toFixed(0)} %: ${resumed?.rowsRedone ?? 0} rows are told to be read again (${percent(resumed?.rowsRedone ?? 0)})`,
    )
  }
  await copied
  const seconds = (performance.now() - beganMs) / 1000
  const again = (await rowsRead()) - readBefore - rows
  console.log(
    times === 0
      ? `undisturbed: ${seconds.toFixed(2)} s, ${again} rows read besides each once`
      : `killed ${times} times: ${again} rows read again, ${percent(again / times)} of the copy a kill; told: ${told}`,
  )
  if (times > 0 && changes > 0) await backlog(mover)
  await mover.stop()
  await forgetStreams(t, mover.record.workflowUid)
  for (const { schema } of mover.record.targets) await t.query(`DROP DATABASE ${schema}`)
}
process.exit(0)

async function backlog(mover: MoverBench): Promise<void> {
  await mover.stop()
  for (let from = 0; from < changes; from += 100)
    await s.query(`UPDATE sbtest1 SET k = k + 1 WHERE id > ${from % rows} AND id <= ${(from % rows) + 100}`)
  const done = mover.run((report) => report.applied.rowChanges >= changes / 2)
  await mover.reported((report) => report.applied.rowChanges > changes / 4)
  mover.kill9()
  const { pid } = mover
  await done
  const { resumed } = await mover.reported((report) => report.mover.includes(String(pid)) && report.resumed !== null)
  console.log(
    `a backlog of ${changes / 100} transactions, killed in its first half: ${resumed?.transactionsRedone ?? 0} transactions done again (one round)`,
  )
}

function percent(part: number): string {
  return `${((part / rows) * 100).toFixed(2)} %`
}

async function rowsRead(): Promise<number> {
  const status = await s.allText("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
  return status.filter((row) => row.Variable_name !== 'Handler_read_rnd_next').reduce((total, row) => total + Number(row.Value), 0)
}
