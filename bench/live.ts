/**
 * What a source, four targets, a mover and a client sustain together on one machine, and what a copy costs the source's own clients.
 *
 *     node bench/live.ts rate [mariadb|mysql, default mariadb] [seconds a step, default 15] [rows, default 100000]
 *     node bench/live.ts load [mariadb|mysql, default mariadb] [share of the time, default 0.15] [rows, default 3000000] [together]
 *
 * rate: sysbench's oltp_write_only (four row changes a transaction, 64 threads, rows chosen as sysbench does) at a rate that grows from step to step, and then between the last that was sustained and the first that was not. A step is sustained
 * when the client could write at the rate, and the stream was not further behind at its end than a second. Then 70 % of the last that was, for a minute: the lags that were reported. Binlog and redo log
 * are synced at each commit.
 *
 * load: reads and updates of the source by key, at a moderate rate; p95 of them while the copy pauses and while it reads for that share of the time, in turn, a few seconds each, and before and after
 * without a stream. Source and clients have one processor, target and mover another, as on two machines: on one machine they would take the processors from the source, whatever the copy asks of it (`together`, behind the rows,
 * leaves them so).
 */
import { execFile, execFileSync } from 'node:child_process'
import { promisify } from 'node:util'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { keys } from '../src/topology/keys.ts'
import type { PaceRecord } from '../src/topology/records.ts'
import { put } from '../src/topology/typed.ts'
import { BenchWorld } from './bench-world.ts'
import { childSeconds, cpuSeconds, peakMb, upTo } from './mover-kit.ts'

const mode = process.argv[2] ?? 'rate'
if (mode !== 'rate' && mode !== 'load') throw new Error('rate or load')
const flavour = process.argv[3] === 'mysql' ? 'mysql' : 'mariadb'
const share = mode === 'load' ? Number(process.argv[4] ?? 0.15) : null
const stepS = mode === 'rate' ? Number(process.argv[4] ?? 15) : 0
const rows = Number(process.argv[5] ?? (mode === 'rate' ? 100_000 : 3_000_000))

await using world = await BenchWorld.create({ flavour, rows, bufferPoolMb: mode === 'rate' ? 512 : 1536 })
const { source, target } = world
const clients = await Promise.all(Array.from({ length: mode === 'rate' ? 0 : 4 }, () => connect({ ...source.config, database: 'app' })))
const random = (below: number): number => 1 + Math.floor(Math.random() * below)
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

await using mover = await world.mover(4)
if (mode === 'rate') await rate()
else await load()
process.exit(0)

// ── rate ──

async function rate(): Promise<void> {
  await mover.run((report) => report.state === 'running')
  let sustained = 0
  let [last, wanted, most] = [0, 4_000, Infinity]
  for (;;) {
    const { written, lagMs } = await writeFor(wanted, stepS)
    const kept = written >= 0.97 * wanted && lagMs.at(-1)! < 1_000
    console.log(
      `  ${Math.round(wanted)} row changes/s: ${Math.round(written)} written, greatest lag ${Math.max(...lagMs)} ms, at the end ${lagMs.at(-1)} ms${kept ? '' : ': not sustained'}`,
    )
    if (!kept && sustained === 0) throw new Error('the first step was not sustained: nothing to go on with (the machine may be busy)')
    await caughtUp()
    if (kept) [sustained, last] = [written, wanted]
    else most = wanted
    wanted = most === Infinity ? wanted * 1.2 : Math.sqrt(last * most)
    if (wanted - last < 0.03 * last) break
  }
  const used = (): number[] => [...[source.pid, target.pid, mover.pid].map(cpuSeconds), childSeconds()]
  const before = used()
  const { written, lagMs } = await writeFor(0.7 * sustained, 60)
  const cpu = used().map((seconds, i) => (seconds - (before[i] ?? 0)).toFixed(0))
  const sorted = lagMs.toSorted((a, b) => a - b)
  console.log(
    `sustained: ${Math.round(sustained)} row changes/s. At 70 % (${Math.round(written)}/s) for 60 s: lag median ${sorted[sorted.length >> 1]} ms, greatest ${sorted.at(-1)} ms, ` +
      `of ${sorted.length} reports; CPU s: source ${cpu[0]}, target ${cpu[1]}, mover ${cpu[2]}, client ${cpu[3]}; mover at most ${peakMb(mover.pid)} MB`,
  )
}

async function caughtUp(): Promise<void> {
  await mover.reported((report) => report.targets.every(({ lag }) => upTo(lag, 50, 1_000)))
}

/** Lags as reported, once a second. */
async function writeFor(perSecond: number, seconds: number): Promise<{ written: number; lagMs: number[] }> {
  let writing = true
  const client = sysbench(perSecond / 4, seconds).finally(() => (writing = false))
  const lagMs: number[] = []
  let atMs = 0
  while (writing) {
    const report = await mover.reported((one) => one.atMs > atMs)
    atMs = report.atMs
    lagMs.push(Math.round(Math.max(...report.targets.map(({ lag }) => lag?.markerAgeMs ?? Infinity))))
  }
  return { written: 4 * (await client), lagMs }
}

/** Transactions a second that it could write; 0: so few that what it had yet to begin was too much for it. */
async function sysbench(transactionsPerSecond: number, seconds: number): Promise<number> {
  const args =
    `oltp_write_only --tables=1 --table-size=${rows} --threads=64 --time=${seconds} --rate=${Math.round(transactionsPerSecond)} --db-driver=mysql ` +
    `--mysql-ignore-errors=1213,1020,1205 --mysql-host=${source.host} --mysql-port=${source.port} --mysql-user=root --mysql-db=app run`
  try {
    const { stdout } = await promisify(execFile)('sysbench', args.split(' '))
    return Number(/transactions:\s+\d+\s+\(([\d.]+) per sec/.exec(stdout)?.[1])
  } catch (error) {
    if (/queue is full/.test(String((error as { stdout?: string }).stdout ?? error))) return 0
    throw error
  }
}

// ── load ──

type Phase = 'no stream' | 'paused' | 'copying'

async function load(): Promise<void> {
  if (process.argv[6] !== 'together')
    for (const [pid, processor] of [
      [source.pid, 0],
      [process.pid, 0],
      [target.pid, 1],
      [mover.pid, 1],
    ] as const)
      execFileSync('taskset', ['-acp', String(processor), String(pid)])
  const p95s: Readonly<Record<Phase, number[]>> = { 'no stream': [], paused: [], copying: [] }
  const measure = async (phase: Phase): Promise<void> => void p95s[phase].push(await p95For(6_000))
  await p95For(4_000)
  for (let i = 0; i < 3; i++) await measure('no stream')
  await pace(Date.now() + 3_600_000)
  await mover.run((report) => report.state === 'copying')
  let rowsDone = 0
  for (let round = 0; round < 12; round++) {
    await sleep(1_000)
    await measure('paused')
    await pace(null)
    await sleep(500)
    const report = await mover.reported(() => true)
    if (report.state !== 'copying') break
    await measure('copying')
    const after = await mover.reported((one) => one.atMs > report.atMs)
    rowsDone = after.copy.rowsDone
    if (after.state !== 'copying') {
      // It ended within the phase.
      p95s.copying.pop()
      break
    }
    await pace(Date.now() + 3_600_000)
  }
  await mover.stop()
  for (let i = 0; i < 3; i++) await measure('no stream')
  const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN
  const pairs = p95s.copying.map((copying, i) => copying / (p95s.paused[i] ?? NaN))
  console.log(
    `p95 of reads and updates by key, ms: ${Object.entries(p95s)
      .map(([phase, list]) => `${phase} ${median(list).toFixed(2)} (${list.map((ms) => ms.toFixed(2)).join(' ')})`)
      .join('; ')}`,
  )
  console.log(
    `copying for at most ${share} of the time: ${median(pairs).toFixed(3)} × paused (median of ${pairs.length} pairs), ${(median(p95s.copying) / median(p95s['no stream'])).toFixed(3)} × without a stream; ${rowsDone} rows copied in these phases`,
  )
}

async function pace(pausedUntilMs: number | null): Promise<void> {
  const workflowUid = mover.record.workflowUid
  await mover.store.commit(
    [],
    [put<PaceRecord>(keys.pace(workflowUid), { v: 1, workflowUid, limits: { sourceLoadMax: share, pausedUntilMs } })],
  )
}

/** 100 a second for each client, by a schedule; each fifth is an update. */
async function p95For(ms: number): Promise<number> {
  const took: number[] = []
  const startMs = performance.now()
  const client = async (conn: Connection, n: number): Promise<void> => {
    for (let i = 0; ; i++) {
      const dueMs = startMs + i * 10 + n * 2.5
      if (dueMs > startMs + ms) return
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      const sentMs = performance.now()
      await conn.query(
        i % 5 === 0 ? `UPDATE sbtest1 SET k = k + 1 WHERE id = ${random(rows)}` : `SELECT c FROM sbtest1 WHERE id = ${random(rows)}`,
      )
      took.push(performance.now() - sentMs)
    }
  }
  await Promise.all(clients.map(client))
  return took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.95)] ?? NaN
}
