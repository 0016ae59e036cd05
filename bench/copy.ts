/**
 * The copy 1 → N beside mydumper + myloader 1 → 1, on the same servers and rows in one run; then the catch-up of a backlog. The mover is a process of
 * its own, as in production. Prints seconds, CPU seconds, rows read on the source, and the mover's greatest memory.
 *
 *     node bench/copy.ts [rows, default 2000000] [mariadb|mysql, default mariadb] [changes of the backlog, default 400000; 0: none] [targets, default 4] [sysbench|wide|text-key]
 *
 * wide: 30 columns, half of them text; text-key: rows keyed and sharded by a VARCHAR. Their backlog is not measured: give 0 changes.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { testServer, type TestServer } from '../test/kit/servers.ts'
import { benchTables } from './bench-tables.ts'
import { cpuSeconds, evenShards, MoverBench, peakMb } from './mover-kit.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const changes = Number(process.argv[4] ?? 400_000)
const targets = Number(process.argv[5] ?? 4)
const shapeName = process.argv[6] ?? 'sysbench'
const shape = benchTables[shapeName]
if (shape === undefined) throw new Error(`shapes: ${Object.keys(benchTables).join(', ')}`)

const settings = {
  flavour,
  durability: 'full',
  bufferPoolMb: Math.ceil(rows / 2500) + 128,
  extra: flavour === 'mariadb' ? { innodb_log_file_size: '1G' } : { innodb_redo_log_capacity: '1G', local_infile: 1 },
} as const
await using source = await testServer(settings)
await using target = await testServer(settings)
const s = await connect(source.config)
const t = await connect(target.config)
const dir = mkdtempSync(join(tmpdir(), 'sw-bench-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))

await s.query('CREATE DATABASE app')
await s.useDatabase('app')
await s.query(shape.ddl('sbtest1'))
await shape.fill(s, 'sbtest1', rows)
// Statistics, and the pool warm, for both alike.
await s.query('ANALYZE TABLE sbtest1')
await s.query(`SELECT COUNT(${shape.lastColumn}) FROM sbtest1`)

const peer = hasPeer()
  ? await measured('mydumper + myloader 1 → 1', async () => {
      const at = (server: TestServer): string[] => ['-h', server.host, '-P', String(server.port), '-u', 'root', '-t', '2']
      execFileSync('mydumper', [...at(source), '-B', 'app', '-o', join(dir, 'dump')], { stdio: 'ignore' })
      execFileSync('myloader', [...at(target), '-B', 'peer', '-e', '-d', join(dir, 'dump')], { stdio: 'ignore' })
    })
  : null
await t.query('DROP DATABASE IF EXISTS peer')

mkdirSync(join(dir, 'logs'))
await using mover = await MoverBench.start({
  dir,
  flavour,
  source,
  target,
  t,
  schema: 'app',
  shards: evenShards(targets),
  tables: [shape.moved('sbtest1')],
})
const { pid } = mover

const copy = await measured(
  `copy 1 → ${targets}`,
  async () => {
    await mover.run((report) => report.state === 'running')
  },
  pid,
)
if (peer !== null)
  console.log(
    `copy against mydumper + myloader: ${(peer.seconds / copy.seconds).toFixed(2)} × as fast, ${(peer.cpu / copy.cpu).toFixed(2)} × by CPU`,
  )

if (changes > 0) {
  await mover.stop()
  for (let from = 0; from < changes; from += 100)
    await s.query(`UPDATE sbtest1 SET k = k + 1 WHERE id > ${from % rows} AND id <= ${(from % rows) + 100}`)
  await catchUp(`catch-up of ${changes} row changes`, changes)
  await mover.stop()
  for (let n = 0; n < changes / 1000; n++) await s.query('UPDATE sbtest1 SET k = k + 1 WHERE id <= 1000')
  await catchUp(`catch-up of ${changes} changes of 1,000 hot rows`, Math.floor(changes / 1000) * 1000)
}
process.exit(0)

async function catchUp(name: string, until: number): Promise<void> {
  const { seconds } = await measured(name, () => mover.run((report) => report.applied.rowChanges >= until).then(() => undefined), pid)
  console.log(`${Math.round(until / seconds)} row changes a second`)
}

function hasPeer(): boolean {
  try {
    execFileSync('mydumper', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('mydumper is not installed: no comparison')
    return false
  }
}

async function rowsRead(conn: Connection): Promise<number> {
  const status = await conn.allText("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
  return status.filter((row) => row.Variable_name !== 'Handler_read_rnd_next').reduce((total, row) => total + Number(row.Value), 0)
}

async function measured(name: string, work: () => Promise<void>, mover = 0): Promise<{ seconds: number; cpu: number }> {
  const before = {
    read: await rowsRead(s),
    source: cpuSeconds(source.pid),
    target: cpuSeconds(target.pid),
    mover: cpuSeconds(mover),
    own: process.resourceUsage(),
  }
  const beganMs = performance.now()
  await work()
  const seconds = (performance.now() - beganMs) / 1000
  const sourceCpu = cpuSeconds(source.pid) - before.source
  const targetCpu = cpuSeconds(target.pid) - before.target
  const moverCpu = cpuSeconds(mover) - before.mover
  const peak = mover === 0 ? '' : `, mover at most ${peakMb(mover)} MB`
  const cpu = sourceCpu + targetCpu + moverCpu
  console.log(
    `${name}: ${seconds.toFixed(2)} s; CPU s: source ${sourceCpu.toFixed(1)}, target ${targetCpu.toFixed(1)}${mover === 0 ? '' : `, mover ${moverCpu.toFixed(1)}`}; ` +
      `${(await rowsRead(s)) - before.read} rows read on the source${peak}`,
  )
  return { seconds, cpu }
}
