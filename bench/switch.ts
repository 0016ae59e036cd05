/**
 * What a switch costs its clients: sysbench oltp_read_write at full rate through two gates over etcd, ten switches and ten reverses; then
 * autocommit single-row writes, text and prepared, on the same rows before, in and for a minute after a split and a merge into one shard.
 *
 *     npm run bench:switch [-- --switches 10 --threads 16 --flavour mariadb|mysql --rows 20000 --after-s 60 --pause-s 2]
 *
 * The stall of a switch is the longest latency of any write statement or COMMIT that was in flight between its steps 2 and 10, over all
 * connections; beside it stands that of any statement at all (a transaction that begins meanwhile waits in its BEGIN or its first read). No error is ignored: each is written down with its text, and only the workload's own deadlocks ("Deadlock found …", which the
 * control run without a switch has too) are subtracted, openly.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import mysql from 'mysql2/promise'
import { systemClock as clock } from '../src/base/clock.ts'
import type { SwitchReport } from '../src/switch/report.ts'
import { Cluster, client, keyspace, schemaOf } from '../test/kit/cluster.ts'
import type { ServerName } from '../test/kit/cluster.ts'
import { etcdMissing } from '../test/kit/etcd.ts'

const { values } = parseArgs({
  options: {
    switches: { type: 'string', default: '10' },
    threads: { type: 'string', default: '16' },
    flavour: { type: 'string', default: 'mariadb' },
    rows: { type: 'string', default: '20000' },
    'control-s': { type: 'string', default: '20' },
    'after-s': { type: 'string', default: '60' },
    'pause-s': { type: 'string', default: '2' },
    'ps-mode': { type: 'string', default: 'auto' },
  },
})
const missing = etcdMissing() ?? (spawnSync('sysbench', ['--version']).status === 0 ? null : 'sysbench is not installed')
if (missing !== null) {
  process.stderr.write(`bench:switch cannot run: ${missing}\n`)
  process.exit(2)
}
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const rows = Number(values.rows)
const pulses = 64

type Latency = { startMs: number; ms: number; kind: string }
type Failure = { atMs: number; errno: number; text: string }
type Measured = { name: string; report: SwitchReport; holdAtMs: number; endAtMs: number }

const dir = mkdtempSync(join(tmpdir(), 'sw-bench-switch-'))
const cluster = await Cluster.start({
  flavour: values.flavour === 'mysql' ? 'mysql' : 'mariadb',
  direct: true,
  leaseMs: 5_000,
  schema: [
    "CREATE TABLE sbtest1 (id INT NOT NULL PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', KEY k_1 (k))",
    ...batches(rows),
    'CREATE TABLE pulse (id INT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)',
    `INSERT INTO pulse VALUES ${Array.from({ length: pulses }, (_, i) => `(${i + 1},0)`).join(',')}`,
  ],
  vschema: {
    sharded: true,
    vindexes: { by_id: { type: 'hash' } },
    tables: {
      sbtest1: { column_vindexes: [{ column: 'id', name: 'by_id' }] },
      pulse: { column_vindexes: [{ column: 'id', name: 'by_id' }] },
    },
  },
})
let failed = false
try {
  await cluster.create()
  const reshard = cluster.reshard('control1', 60_000)

  const control = sysbench('control', Number(values['control-s']))
  say(`control run, no switch: ${await control.ended}`)
  const controlWrites = latenciesOf('control')
  const controlErrors = failuresOf('control')
  const controlSeconds = Number(values['control-s'])
  say(`  errors: ${described(controlErrors)}; slowest statement ${Math.round(Math.max(0, ...controlWrites.map((write) => write.ms)))} ms\n`)

  const load = sysbench('switches', 86_400)
  const loadStartedMs = clock.nowMs()
  const measured: Measured[] = []
  for (let n = 1; n <= Number(values.switches); n++) {
    for (const verb of ['switchtraffic', 'reversetraffic'] as const) {
      await reshard.untilFollowing()
      await clock.sleep(Number(values['pause-s']) * 1000)
      const report = await switched(verb)
      const before = report.steps.find((step) => step.name === 'prepare')
      const holdAtMs = report.startedAtMs + (before === undefined ? 0 : before.startMs + before.ms)
      const one = { name: `${verb} ${n}`, report, holdAtMs, endAtMs: holdAtMs + (report.stallMs ?? 0) }
      measured.push(one)
      const all = latenciesOf('switches')
      say(line(one, stallOf(one, all), stallOf(one, all, 'any')))
    }
  }
  await clock.sleep(2_000)
  const loadSeconds = (clock.nowMs() - loadStartedMs) / 1000
  load.stop()
  await load.ended
  const writes = latenciesOf('switches')
  const errors = failuresOf('switches')
  const stalls = measured.map((one) => stallOf(one, writes)).toSorted((a, b) => a - b)
  const any = measured.map((one) => stallOf(one, writes, 'any')).toSorted((a, b) => a - b)
  const own = errors.filter(isDeadlock)
  const others = errors.filter((error) => !isDeadlock(error))
  const median = stalls[Math.floor(stalls.length / 2)] ?? 0
  const worst = stalls.at(-1) ?? 0
  say(
    `\n${measured.length} switches: stall median ${median.toFixed(0)} ms (goal < 250), worst ${worst.toFixed(0)} ms (goal < 1000); of any statement, BEGIN and reads too: median ${any[Math.floor(any.length / 2)]?.toFixed(0)} ms, worst ${any.at(-1)?.toFixed(0)} ms`,
  )
  say(
    `errors at clients: ${others.length} (goal 0)${others.length > 0 ? `: ${described(others)}` : ''}; the workload's own deadlocks: ` +
      `${(own.length / loadSeconds).toFixed(2)} a second, in the control run ${(controlErrors.filter(isDeadlock).length / controlSeconds).toFixed(2)}`,
  )
  failed ||= others.length > 0
  for (const verb of ['switchtraffic', 'reversetraffic'] as const) failed = (await pulse(verb)) || failed
  failed = (await openTransactions()) || failed
  say(failed ? '\nFAILED: see above' : '\nno errors')

  async function switched(verb: 'switchtraffic' | 'reversetraffic'): Promise<SwitchReport> {
    const action = await reshard.actWhenReady(verb)
    return action.result as SwitchReport
  }

  /** Autocommit single-row writes, text and prepared, on the same rows before, in and after a switch. */
  async function pulse(verb: 'switchtraffic' | 'reversetraffic'): Promise<boolean> {
    const stop = new AbortController()
    const slow: Latency[] = []
    const failures: Failure[] = []
    let done = 0
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      const connection = await mysql.createConnection({
        host: '127.0.0.1',
        port: cluster.process(writer % 2 === 0 ? 'gate1' : 'gate2').port,
        ...client,
        database: keyspace,
      })
      for (let i = writer; !stop.signal.aborted; i++) {
        const startMs = clock.nowMs()
        const beganMs = clock.monotonicMs()
        const id = 1 + (i % pulses)
        try {
          if (writer < 4) await connection.query(`UPDATE pulse SET n = n + 1 WHERE id = ${id}`)
          else await connection.execute('UPDATE pulse SET n = n + 1 WHERE id = ?', [id])
          done++
        } catch (error) {
          const { errno = 0, message } = error as { errno?: number; message: string }
          failures.push({ atMs: startMs, errno, text: message })
        }
        slow.push({ startMs, ms: clock.monotonicMs() - beganMs, kind: 'write' })
        await clock.sleep(2)
      }
      await connection.end()
    })
    await clock.sleep(3_000)
    await reshard.untilFollowing()
    const report = await switched(verb)
    const before = report.steps.find((step) => step.name === 'prepare')
    const holdAtMs = report.startedAtMs + (before === undefined ? 0 : before.startMs + before.ms)
    const one = { name: verb, report, holdAtMs, endAtMs: holdAtMs + (report.stallMs ?? 0) }
    await clock.sleep(Number(values['after-s']) * 1000)
    stop.abort()
    await Promise.all(writers)
    const later = slow.filter((write) => write.startMs > one.endAtMs + 50)
    say(
      `\nautocommit, text and prepared, ${verb === 'switchtraffic' ? 'splitting' : 'merging into one shard'}: ${done} writes, ${failures.length} errors` +
        `${failures.length > 0 ? ` (${described(failures)})` : ''}, stall ${stallOf(one, slow).toFixed(0)} ms; slowest write in the ${values['after-s']} s after: ${Math.max(0, ...later.map((w) => w.ms)).toFixed(0)} ms`,
    )
    return failures.length > 0
  }

  /** Nothing of a client's may be left open anywhere. */
  async function openTransactions(): Promise<boolean> {
    await clock.sleep(1_000)
    let open = 0
    for (const name of ['whole', 'low', 'high'] as const satisfies readonly ServerName[]) {
      await cluster.onServer(name, async (connection) => {
        const [found] = await connection.query<mysql.RowDataPacket[]>(
          `SELECT p.user, p.host, t.trx_state, TIMESTAMPDIFF(MICROSECOND, t.trx_started, NOW(6)) / 1000000 AS seconds
             FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.id = t.trx_mysql_thread_id
            WHERE p.user NOT IN ('sw_admin', 'sw_mover') AND t.trx_started < NOW() - INTERVAL 1 SECOND`,
        )
        for (const row of found) say(`  open on ${schemaOf[name]}: ${JSON.stringify(row)}`)
        open += found.length
      })
    }
    say(`\ntransactions left open on the servers: ${open} (goal 0)`)
    return open > 0
  }
} catch (error) {
  failed = true
  say(cluster.describe(error).message)
} finally {
  await cluster[Symbol.asyncDispose]()
  rmSync(dir, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)

function sysbench(name: string, seconds: number): { ended: Promise<string>; stop(): void } {
  const own = join(dir, name)
  mkdirSync(own)
  const ports = [cluster.process('gate1').port, cluster.process('gate2').port].join(',')
  const child = spawn(
    'sysbench',
    [
      join(import.meta.dirname, 'switch.lua'),
      '--db-driver=mysql', '--mysql-host=127.0.0.1', `--mysql-port=${ports}`, `--mysql-user=${client.user}`, `--mysql-password=${client.password}`,
      `--mysql-db=${keyspace}`, '--mysql-ssl=off', '--mysql-ignore-errors=none', '--tables=1', `--table-size=${rows}`, '--auto_inc=off',
      `--threads=${values.threads}`, `--time=${seconds}`, '--events=0', `--db-ps-mode=${values['ps-mode']}`, '--rand-type=uniform', 'run',
    ], // prettier-ignore
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, SWITCH_BENCH_DIR: own } },
  )
  let text = ''
  let told = ''
  child.stdout.on('data', (data: Buffer) => (text += data.toString()))
  child.stderr.on('data', (data: Buffer) => (told += data.toString()))
  let stopped = false
  const ended = new Promise<string>((resolve, reject) =>
    child.once('exit', (code) => {
      if (code !== 0 && !stopped) reject(new Error(`sysbench ended with ${code}: ${text.slice(-2000)}${told.slice(-2000)}`))
      const tps = /transactions:\s+\d+\s+\(([\d.]+) per sec/.exec(text)?.[1] ?? '?'
      resolve(`${tps} transactions/s, ${values.threads} threads, two gates`)
    }),
  )
  ended.catch(() => undefined)
  return {
    ended,
    stop: () => {
      stopped = true
      child.kill('SIGKILL')
    },
  }
}

function linesOf(name: string): string[] {
  return readdirSync(join(dir, name)).flatMap((file) => readFileSync(join(dir, name, file), 'utf8').split('\n'))
}

function latenciesOf(name: string): Latency[] {
  return linesOf(name).flatMap((text) => {
    const match = /^W ([\d.]+) ([\d.]+) (\w+)$/.exec(text)
    return match === null ? [] : [{ startMs: Number(match[1]), ms: Number(match[2]), kind: match[3] ?? '' }]
  })
}

function failuresOf(name: string): Failure[] {
  return linesOf(name).flatMap((text) => {
    const match = /^E ([\d.]+) (\d+) (.*)$/.exec(text)
    return match === null ? [] : [{ atMs: Number(match[1]), errno: Number(match[2]), text: match[3] ?? '' }]
  })
}

function isDeadlock(error: Failure): boolean {
  return error.errno === 1213 && error.text.startsWith('Deadlock found')
}

function described(errors: readonly Failure[]): string {
  const kinds = Object.entries(Object.groupBy(errors, (error) => `${error.errno} ${error.text.slice(0, 120)}`))
  return kinds.length === 0 ? 'none' : kinds.map(([text, list]) => `${list?.length} × ${text}`).join('; ')
}

/** Of write statements and COMMITs, or of every statement: a transaction that begins meanwhile waits in its BEGIN or first read. */
function stallOf(one: Measured, all: readonly Latency[], of: 'writes' | 'any' = 'writes'): number {
  const writes = of === 'any' ? all : all.filter(({ kind }) => kind === 'write' || kind === 'commit')
  return Math.max(0, ...writes.filter((w) => w.startMs <= one.endAtMs && w.startMs + w.ms >= one.holdAtMs).map((w) => w.ms))
}

function line(one: Measured, stallMs: number, anyMs: number): string {
  const { report } = one
  const after = report.steps.filter((step) => step.name !== 'preflight' && step.name !== 'prepare')
  const steps = after.map((step) => `${step.name} ${step.ms.toFixed(0)}`).join(', ')
  return `${one.name.padEnd(18)} ${report.outcome}, stall ${stallMs.toFixed(0).padStart(4)} ms (any statement ${anyMs.toFixed(0)} ms), record held ${Math.round(report.stallMs ?? 0)} ms; ${steps}`
}

function batches(count: number): string[] {
  const statements: string[] = []
  for (let first = 1; first <= count; first += 1_000) {
    const values_ = Array.from({ length: Math.min(1_000, count - first + 1) }, (_, i) => {
      const id = first + i
      return `(${id},${1 + ((id * 7919) % count)},'${String(id).repeat(20).slice(0, 119)}','${String(id).repeat(10).slice(0, 59)}')`
    })
    statements.push(`INSERT INTO sbtest1 VALUES ${values_.join(',')}`)
  }
  return statements
}
