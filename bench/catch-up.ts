/**
 * Catch-up of a backlog of sysbench's oltp_write_only: our stream 1 → 4 against the server's own parallel replication (4 workers) of the same binlog, on the same
 * machine in one run, one after the other. Both begin at the same place with the same rows. Prints transactions, row changes a second, CPU seconds.
 *
 *     node bench/catch-up.ts [seconds of backlog, default 60] [mariadb|mysql, default mariadb] [rows a table, default 200000] [--rounds 1]
 */
import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import type { TestServer } from '../test/kit/servers.ts'
import { benchServer, BenchWorld, spread } from './bench-world.ts'
import { cpuSeconds, peakMb, upTo } from './mover-kit.ts'

const { positionals, values } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string', default: '1' } } })
const seconds = Number(positionals[0] ?? 60)
const flavour = positionals[1] === 'mysql' ? 'mysql' : 'mariadb'
const rows = Number(positionals[2] ?? 200_000)

await using world = await BenchWorld.create({ flavour, tables: 2, rows, bufferPoolMb: 512 })
const { s, source, target } = world
await using replica = await benchServer(
  flavour,
  512,
  flavour === 'mariadb'
    ? { slave_parallel_threads: 4, slave_parallel_mode: 'optimistic' }
    : { replica_parallel_workers: 4, replica_preserve_commit_order: 1 },
)
const r = await connect(replica.config)

const follow = { mariadb: { start: 'START SLAVE', stop: 'STOP SLAVE' }, mysql: { start: 'START REPLICA', stop: 'STOP REPLICA' } }[flavour]
await s.query("CREATE USER repl@'%' IDENTIFIED BY 'repl'")
await s.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
await r.query(
  flavour === 'mariadb'
    ? `CHANGE MASTER TO MASTER_HOST='${source.host}', MASTER_PORT=${source.port}, MASTER_USER='repl', MASTER_PASSWORD='repl', MASTER_USE_GTID=slave_pos`
    : `CHANGE REPLICATION SOURCE TO SOURCE_HOST='${source.host}', SOURCE_PORT=${source.port}, SOURCE_USER='repl', SOURCE_PASSWORD='repl', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1`,
)
await r.query(follow.start)
await replicated(r)
await r.query(follow.stop)

await using mover = await world.mover(4)
await mover.run((report) => report.state === 'running')
await mover.stop()

const perSecond: { ours: number; theirs: number }[] = []
for (let round = 1; round <= Number(values.rounds); round++) perSecond.push(await catchUp(round))
if (perSecond.length > 1)
  console.log(
    `row changes/s: ours ${spread(perSecond.map(({ ours }) => ours))}, replication ${spread(perSecond.map(({ theirs }) => theirs))}; ` +
      `${spread(perSecond.map(({ ours, theirs }) => ours / theirs))} × as fast`,
  )
process.exit(0)

/** Writes a backlog that both catch up with, ours first. Row changes a second. */
async function catchUp(round: number): Promise<{ ours: number; theirs: number }> {
  const beganMs = performance.now()
  execFileSync(
    'sysbench',
    (
      `oltp_write_only --tables=${world.tables.length} --table-size=${rows} --threads=8 --time=${seconds} --db-driver=mysql --mysql-ignore-errors=1213,1020,1205 ` +
      `--mysql-host=${source.host} --mysql-port=${source.port} --mysql-user=root --mysql-db=app run`
    ).split(' '),
    { stdio: 'ignore' },
  )
  console.log(`a backlog of ${((performance.now() - beganMs) / 1000).toFixed(0)} s of oltp_write_only, 8 threads`)
  await s.query(`CREATE TABLE end_of_backlog_${round} (id INT PRIMARY KEY)`)
  let changes = 0
  const ours = await measured('our stream, 1 → 4', target, async () => {
    const report = await mover.run((now) => now.state === 'running' && now.targets.every(({ lag }) => upTo(lag, 50, 1_500)))
    changes = report.applied.rowChanges
  })
  await mover.stop()
  const theirs = await measured(`replication by ${flavour}, 4 workers`, replica, async () => {
    await r.query(follow.start)
    await replicated(r)
  })
  await r.query(follow.stop)
  console.log(
    `${changes} row changes: ours ${Math.round(changes / ours)}/s, replication ${Math.round(changes / theirs)}/s; ${(theirs / ours).toFixed(2)} × as fast; mover at most ${peakMb(mover.pid)} MB`,
  )
  return { ours: changes / ours, theirs: changes / theirs }
}

/** Waits until the replica has what the source has now. */
async function replicated(conn: Connection): Promise<void> {
  if (flavour === 'mysql') {
    const set = (await s.value('SELECT @@GLOBAL.gtid_executed')) ?? ''
    if ((await conn.value(`SELECT WAIT_FOR_EXECUTED_GTID_SET('${set.replaceAll(/\s/g, '')}', 1200)`)) !== '0')
      throw new Error('the replica did not catch up')
    return
  }
  const position = await s.value('SELECT @@GLOBAL.gtid_binlog_pos')
  if ((await conn.value(`SELECT MASTER_GTID_WAIT('${position}', 1200)`)) !== '0') throw new Error('the replica did not catch up')
}

async function measured(name: string, server: TestServer, work: () => Promise<void>): Promise<number> {
  const before = [source.pid, server.pid, mover.pid].map(cpuSeconds)
  const startMs = performance.now()
  await work()
  const took = (performance.now() - startMs) / 1000
  const cpu = [source.pid, server.pid, mover.pid].map((pid, i) => (cpuSeconds(pid) - (before[i] ?? 0)).toFixed(1))
  console.log(`${name}: ${took.toFixed(2)} s; CPU s: source ${cpu[0]}, target ${cpu[1]}, mover ${cpu[2]}`)
  return took
}
