/**
 * The copy 1 → 4 beside mydumper + myloader 1 → 1, on the same servers and rows in one run; then the catch-up of a backlog. The mover is a process of
 * its own, as in production. Prints seconds, CPU seconds, rows read on the source, and the mover's greatest memory.
 *
 *     node bench/copy.ts [rows, default 2000000] [mariadb|mysql, default mariadb] [changes of the backlog, default 400000]
 */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { keys } from '../src/topology/keys.ts'
import type { ServerRecord, ServerSecret, ShardRef, StreamRecord, StreamReport } from '../src/topology/records.ts'
import { SqliteStore } from '../src/topology/sqlite.ts'
import { put } from '../src/topology/typed.ts'
import { testServer, type TestServer } from '../test/kit/servers.ts'

const rows = Number(process.argv[2] ?? 2_000_000)
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const changes = Number(process.argv[4] ?? 400_000)
const shards = ['-40', '40-80', '80-c0', 'c0-']

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
await s.query(
  "CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k)) DEFAULT CHARSET=utf8mb4",
)
const group = (): string => String(Math.floor(Math.random() * 1e11)).padStart(11, '0')
const text = (groups: number): string => Array.from({ length: groups }, group).join('-')
for (let at = 0; at < rows; at += 2000) {
  const c = text(10).slice(8)
  const pad = text(5)
  const values = Array.from(
    { length: Math.min(2000, rows - at) },
    (_, i) => `(${at + i + 1},${Math.floor(Math.random() * rows)},'${String(at + i).padStart(8, '0')}${c}','${pad}')`,
  )
  await s.query(`INSERT INTO sbtest1 VALUES ${values.join(',')}`)
}
// Statistics, and the pool warm, for both alike.
await s.query('ANALYZE TABLE sbtest1')
await s.query('SELECT COUNT(pad) FROM sbtest1')

const peer = hasPeer()
  ? await measured('mydumper + myloader 1 → 1', async () => {
      const at = (server: TestServer): string[] => ['-h', server.host, '-P', String(server.port), '-u', 'root', '-t', '2']
      execFileSync('mydumper', [...at(source), '-B', 'app', '-o', join(dir, 'dump')], { stdio: 'ignore' })
      execFileSync('myloader', [...at(target), '-B', 'peer', '-e', '-d', join(dir, 'dump')], { stdio: 'ignore' })
    })
  : null
await t.query('DROP DATABASE IF EXISTS peer')

mkdirSync(join(dir, 'logs'))
await using store = new SqliteStore(join(dir, 'topology.sqlite'))
for (const [id, server] of [
  ['source', source],
  ['target', target],
] as const) {
  const record: ServerRecord = {
    v: 1,
    id,
    flavour,
    version: server.version,
    host: server.host,
    port: server.port,
    socketPath: null,
    provisioned: true,
    dataDir: null,
  }
  const account = { user: 'root', password: '' }
  await store.commit(
    [],
    [put(keys.server(id), record), put<ServerSecret>(keys.secret(id), { v: 1, admin: account, mover: account, gate: account })],
  )
}
const refs = shards.map((shard): ShardRef => ({ shard, uid: `t${shard}`, serverId: 'target', schema: `app_${shard.replace('-', '_')}` }))
for (const { schema } of refs) await t.query(`CREATE DATABASE ${schema}`)
let record: StreamRecord = {
  v: 1,
  uid: 'stream',
  workflowUid: 'flow',
  workflow: 'flow',
  keyspace: 'app',
  direction: 'forward',
  wanted: 'running',
  generation: 1,
  source: { shard: '-', uid: 's', serverId: 'source', schema: 'app' },
  targets: refs,
  tables: [{ name: 'sbtest1', reference: false, vindex: { type: 'hash', params: {}, columns: ['id'] } }],
  movesReference: true,
  copy: 'full',
  options: { onDdl: 'stop', deferSecondaryKeys: true, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
}
const child = spawn(
  process.execPath,
  ['--max-semi-space-size=4', join(import.meta.dirname, '..', 'src', 'main', 'mover.ts'), '--data-dir', dir],
  { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] },
)
const pid = child.pid ?? 0
process.on('exit', () => child.kill('SIGKILL'))

const copy = await measured(
  'copy 1 → 4',
  async () => {
    await want()
    await reported((report) => report.state === 'running')
  },
  pid,
)
if (peer !== null)
  console.log(
    `copy against mydumper + myloader: ${(peer.seconds / copy.seconds).toFixed(2)} × as fast, ${(peer.cpu / copy.cpu).toFixed(2)} × by CPU`,
  )

record = { ...record, wanted: 'stopped' }
await want()
await reported((report) => report.state === 'stopped')
for (let from = 0; from < changes; from += 100)
  await s.query(`UPDATE sbtest1 SET k = k + 1 WHERE id > ${from % rows} AND id <= ${(from % rows) + 100}`)
record = { ...record, wanted: 'running', generation: 2 }
const caughtUp = await measured(
  `catch-up of ${changes} row changes`,
  async () => {
    await want()
    await reported((report) => report.generation === 2 && report.applied.rowChanges >= changes)
  },
  pid,
)
console.log(`${Math.round(changes / caughtUp.seconds)} row changes a second`)
record = { ...record, wanted: 'stopped' }
await want()
await reported((report) => report.state === 'stopped' && report.generation === 2)
for (let n = 0; n < changes / 1000; n++) await s.query('UPDATE sbtest1 SET k = k + 1 WHERE id <= 1000')
record = { ...record, wanted: 'running', generation: 3 }
const hot = await measured(
  `catch-up of ${changes} changes of 1,000 hot rows`,
  async () => {
    await want()
    await reported((report) => report.generation === 3 && report.applied.rowChanges >= Math.floor(changes / 1000) * 1000)
  },
  pid,
)
console.log(`${Math.round(changes / hot.seconds)} row changes a second`)
child.kill('SIGKILL')
process.exit(0)

function hasPeer(): boolean {
  try {
    execFileSync('mydumper', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    console.log('mydumper is not installed: no comparison')
    return false
  }
}

async function want(): Promise<void> {
  await store.commit([], [put(keys.stream(record.workflowUid, record.uid), record)])
}

async function reported(satisfies: (report: StreamReport) => boolean): Promise<void> {
  for await (const snapshot of store.watch(keys.reportsOf(record.workflowUid), AbortSignal.timeout(600_000))) {
    for (const entry of snapshot.entries.values()) {
      const report = entry.value as unknown as StreamReport
      if (report.state === 'failed') throw new Error(JSON.stringify(report.error))
      if (satisfies(report)) return
    }
  }
}

async function rowsRead(conn: Connection): Promise<number> {
  const status = await conn.allText("SHOW GLOBAL STATUS LIKE 'Handler_read%'")
  return status.filter((row) => row.Variable_name !== 'Handler_read_rnd_next').reduce((total, row) => total + Number(row.Value), 0)
}

/** User and system seconds of a process. */
function cpuOf(process: number): number {
  try {
    const fields = (readFileSync(`/proc/${process}/stat`, 'utf8').split(') ')[1] ?? '').split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

async function measured(name: string, work: () => Promise<void>, mover = 0): Promise<{ seconds: number; cpu: number }> {
  const before = {
    read: await rowsRead(s),
    source: cpuOf(source.pid),
    target: cpuOf(target.pid),
    mover: cpuOf(mover),
    own: process.resourceUsage(),
  }
  const beganMs = performance.now()
  await work()
  const seconds = (performance.now() - beganMs) / 1000
  const sourceCpu = cpuOf(source.pid) - before.source
  const targetCpu = cpuOf(target.pid) - before.target
  const moverCpu = cpuOf(mover) - before.mover
  const peak =
    mover === 0
      ? ''
      : `, mover at most ${Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${mover}/status`, 'utf8'))?.[1] ?? 0) / 1024)} MB`
  const cpu = sourceCpu + targetCpu + moverCpu
  console.log(
    `${name}: ${seconds.toFixed(2)} s; CPU s: source ${sourceCpu.toFixed(1)}, target ${targetCpu.toFixed(1)}${mover === 0 ? '' : `, mover ${moverCpu.toFixed(1)}`}; ` +
      `${(await rowsRead(s)) - before.read} rows read on the source${peak}`,
  )
  return { seconds, cpu }
}
