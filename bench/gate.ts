/**
 * What stands between a client and its server, by sysbench: direct, HAProxy as a TCP proxy, a bare proxy in Node (the floor of this runtime), the
 * gate in one and two processes, and the gate over 4 and 16 shards; in turns on the same machine, the middle round of each. Prints queries/s,
 * 99th percentile and CPU µs a query: of whatever stands between, each of its processes, of the server, and of the client (sysbench).
 *
 *     node bench/gate.ts [--seconds 3] [--rounds 3] [--clients 1,16,128] [--workloads point,range,read-write] [--ps disable,auto]
 *                        [--paths direct,haproxy,node,gate,gate2,4-shards,16-shards,against,against-4-shards] [--against DIR]
 *                        [--rows 10000] [--rand special|uniform|pareto|zipfian] [--flavour mariadb|mysql]
 *
 * `--against DIR`: the gate of another checkout as one more path, for a before and after in the same minutes; over four shards and beside a Vitess as
 * paths `against-4-shards` and `against-beside`.
 *
 * Beside a Vitess that runs already:   --paths vtgate,beside --vtgate PORT:PID[,PID…] --mysqld PORT[,PORT…]
 * Its MySQL port and the processes to count, vttablets included; `beside` is our gate over the same MySQL servers, a shard each in schema `app` (by the vindex `hash` of `id` where there are
 * several), which need an account sw_gate with the password gate-secret and all rights on it.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { startMariadb } from '../src/gate/testkit/servers.ts'
import { bareProxy, gateProcesses, haproxy, shardedNames, type Between } from './gate-kit.ts'
import { childSeconds, cpuSeconds } from './mover-kit.ts'

const run = promisify(execFile)
const list = (text: string): string[] => text.split(',').filter((one) => one !== '')
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '16' },
    workloads: { type: 'string', default: 'point,range,read-write' },
    ps: { type: 'string', default: 'disable,auto' },
    paths: { type: 'string', default: 'direct,haproxy,node,gate,gate2,4-shards,16-shards' },
    against: { type: 'string' },
    vtgate: { type: 'string', default: '' },
    mysqld: { type: 'string', default: '' },
    rows: { type: 'string', default: '10000' },
    rand: { type: 'string', default: 'special' },
    flavour: { type: 'string', default: 'mariadb' },
  },
})
const seconds = Number(values.seconds)
const rounds = Number(values.rounds)
const rows = Number(values.rows)
/** Ranges of 100 rows: over several shards each is a scattered read. */
const workloads: Record<string, string[]> = {
  point: ['oltp_point_select'],
  range: [
    'oltp_read_only',
    '--skip-trx=on',
    '--point-selects=0',
    '--simple-ranges=1',
    '--sum-ranges=0',
    '--order-ranges=0',
    '--distinct-ranges=0',
  ],
  'read-write': ['oltp_read_write'],
}

/** `micros`: of CPU a query, of each process between, of the server, and of the client. */
type Figure = { perSecond: number; p99Ms: number; micros: number[]; errors: number }
type Path = { name: string; port: number; database: string; between: Between | null; password: string }

const flavour = values.flavour === 'mysql' ? 'mysql' : 'mariadb'
const server = await startMariadb({}, flavour)
const started: Between[] = []
const dir = await mkdtemp(path.join(tmpdir(), 'sw-bench-'))
try {
  const admin = await server.admin()
  for (const name of ['sbtest', ...shardedNames(4), ...shardedNames(16)]) await admin.query(`CREATE DATABASE ${name}`)
  // Without a password: MySQL's clients would want TLS or a key first, which is not what is compared.
  await admin.query("CREATE USER bench@'%' IDENTIFIED BY ''")
  await admin.query("GRANT ALL ON *.* TO bench@'%'")
  await admin.query('SET GLOBAL innodb_lock_wait_timeout = 1')
  await admin.close()

  const named = list(values.paths)
  const wanted = values.against === undefined || named.some((one) => one.startsWith('against')) ? named : [...named, 'against']
  const start = async (between: Promise<Between>): Promise<Between> => {
    const one = await between
    started.push(one)
    return one
  }
  const gate = await start(gateProcesses(server.port, 1, { flavour }))
  let before: Promise<Between> | null = null
  const other = (): Promise<Between> => (before ??= start(gateProcesses(server.port, 1, { flavour, checkout: values.against })))
  const makers: Record<string, () => Promise<Path> | Path> = {
    direct: () => ({ name: 'direct', port: server.port, database: 'sbtest', between: null, password: '' }),
    haproxy: async () => through('HAProxy TCP', await start(haproxy(server.port, dir)), 'sbtest', ''),
    node: async () => through('bare Node proxy', await start(bareProxy(server.port)), 'sbtest', ''),
    gate: () => through('gate', gate, 'sbtest'),
    gate2: async () => through('gate, 2 processes', await start(gateProcesses(server.port, 2, { flavour })), 'sbtest'),
    '4-shards': () => through('gate, 4 shards', gate, 'sharded4'),
    '16-shards': () => through('gate, 16 shards', gate, 'sharded16'),
    vtgate: () => {
      const [port, pids] = values.vtgate.split(':')
      return through('vtgate, vttablet', { port: Number(port), pids: list(pids ?? '').map(Number), stop: () => undefined }, 'app')
    },
    beside: async () => through('gate beside', await start(gateProcesses(server.port, 1, { flavour, over: values.mysqld })), 'app'),
    against: async () => through('gate before', await other(), 'sbtest'),
    'against-4-shards': async () => through('before, 4 shards', await other(), 'sharded4'),
    'against-beside': async () =>
      through(
        'before, beside',
        await start(gateProcesses(server.port, 1, { flavour, over: values.mysqld, checkout: values.against })),
        'app',
      ),
  }
  const paths: Path[] = []
  for (const name of wanted) {
    const maker = makers[name]
    if (maker === undefined) throw new Error(`no path ${name}: ${Object.keys(makers).join(', ')}`)
    paths.push(await maker())
  }
  await sysbench({ port: server.port, database: 'sbtest', password: '' }, ['oltp_point_select', 'prepare'])
  for (const database of ['sharded4', 'sharded16', 'app']) {
    const one = paths.findLast((p) => p.database === database)
    if (one === undefined) continue
    await sysbench(one, ['oltp_point_select', 'cleanup'])
    await sysbench(one, ['oltp_point_select', 'prepare'])
  }

  for (const workload of list(values.workloads))
    for (const clients of list(values.clients).map(Number)) for (const ps of list(values.ps)) await compare(paths, workload, clients, ps)
} finally {
  for (const one of started) one.stop()
  await server.stop()
  await rm(dir, { recursive: true, force: true })
}

function through(name: string, between: Between, database: string, password = 'bench'): Path {
  return { name, port: between.port, database, between, password }
}

async function compare(paths: readonly Path[], workload: string, clients: number, ps: string): Promise<void> {
  const figures = new Map<string, Figure[]>(paths.map((p) => [p.name, []]))
  for (let round = 0; round < rounds; round++)
    for (const p of paths) figures.get(p.name)?.push(await measure(p, workloads[workload] ?? [], clients, ps))
  console.log(`\n${workload}, ${clients} client${clients === 1 ? '' : 's'}, ${ps === 'disable' ? 'text' : 'prepared'}`)
  console.log('path               queries/s   p99 ms   errors   CPU µs a query: between (each process), server, client')
  for (const p of paths) {
    const all = figures.get(p.name) ?? []
    const of = (figure: (one: Figure) => number): number => middle(all.map(figure))
    const micros = [...(p.between?.pids ?? []), server.pid, 0].map((_, i) => of((one) => one.micros[i] ?? 0).toFixed(1))
    const between = micros.slice(0, -2).join(' + ')
    console.log(
      `${p.name.padEnd(18)} ${of((one) => one.perSecond)
        .toFixed(0)
        .padStart(9)} ${of((one) => one.p99Ms)
        .toFixed(2)
        .padStart(
          8,
        )} ${String(Math.max(...all.map((one) => one.errors))).padStart(8)}   ${between === '' ? '–' : between}, ${micros.at(-2)}, ${micros.at(-1)}`,
    )
  }
}

function middle(figures: number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1] ?? 0
}

async function measure(p: Path, script: readonly string[], clients: number, ps: string): Promise<Figure> {
  const cpu = (): number[] => [...[...(p.between?.pids ?? []), server.pid].map(cpuSeconds), childSeconds()]
  const before = cpu()
  const text = await sysbench(p, [`--db-ps-mode=${ps}`, `--threads=${clients}`, `--time=${seconds}`, '--percentile=99', ...script, 'run'])
  const used = cpu().map((seconds, i) => seconds - (before[i] ?? 0))
  const queries = Number(/queries:\s+(\d+)/.exec(text)?.[1] ?? 0)
  return {
    perSecond: Number(/queries:\s+\d+\s+\(([\d.]+)/.exec(text)?.[1] ?? 0),
    p99Ms: Number(/99th percentile:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    micros: used.map((one) => (one * 1e6) / Math.max(1, queries)),
    errors: Number(/ignored errors:\s+(\d+)/.exec(text)?.[1] ?? 0),
  }
}

async function sysbench(p: { port: number; database: string; password: string }, more: readonly string[]): Promise<string> {
  const { stdout } = await run(
    'sysbench',
    [
      '--db-driver=mysql',
      '--mysql-host=127.0.0.1',
      `--mysql-port=${p.port}`,
      '--mysql-user=bench',
      `--mysql-password=${p.password}`,
      `--mysql-db=${p.database}`,
      // 1213 of the workload itself; 1205 for deadlocks over several shards, which no one server sees: counted, in every path alike.
      '--mysql-ignore-errors=1213,1205',
      '--tables=1',
      `--table-size=${rows}`,
      `--rand-type=${values.rand}`,
      '--auto_inc=off',
      ...more,
    ],
    { maxBuffer: 1 << 24 },
  )
  return stdout
}
