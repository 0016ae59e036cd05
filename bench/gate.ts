/**
 * Point selects and oltp_read_write by sysbench: direct, through HAProxy as a TCP proxy, through the gate to one database, and through the gate to four
 * shards; in turns on the same machine, the middle of three rounds. Prints queries/s, 95th percentile and CPU µs a query of whatever stands between.
 *
 *     node bench/gate.ts [seconds a run, default 5] [clients, default 16]
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { freePort, startMariadb } from '../src/gate/testkit/servers.ts'

const run = promisify(execFile)
const seconds = Number(process.argv[2] ?? 5)
const clients = Number(process.argv[3] ?? 16)
const rounds = 3
const rows = 10_000

type Figure = { perSecond: number; p95Ms: number; cpuMicros: number | null; errors: number }
type Path = { name: string; port: number; database: string; pid: number | null; user: string }

const server = await startMariadb()
const children: ChildProcess[] = []
const dir = await mkdtemp(path.join(tmpdir(), 'sw-bench-'))
try {
  const admin = await server.admin()
  for (const name of ['sbtest', 'sharded__40', 'sharded_40_80', 'sharded_80_c0', 'sharded_c0_'])
    await admin.query(`CREATE DATABASE ${name}`)
  await admin.query("CREATE USER bench@'%' IDENTIFIED BY 'bench'")
  await admin.query("GRANT ALL ON *.* TO bench@'%'")
  await admin.query('SET GLOBAL innodb_lock_wait_timeout = 1')
  await admin.close()

  const haproxyPort = await freePort()
  const config = path.join(dir, 'haproxy.cfg')
  await writeFile(
    config,
    `global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten l\n  bind 127.0.0.1:${haproxyPort}\n  server s 127.0.0.1:${server.port}\n`,
  )
  const haproxy = spawn('haproxy', ['-f', config, '-db'], { stdio: 'ignore' })
  children.push(haproxy)
  const gate = spawn(process.execPath, [path.join(import.meta.dirname, 'gate-process.ts'), String(server.port)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(gate)
  const gatePort = await new Promise<number>((resolve) =>
    gate.stdout.on('data', (text: Buffer) => resolve(Number(/PORT (\d+)/.exec(text.toString())?.[1]))),
  )

  const paths: Path[] = [
    { name: 'direct', port: server.port, database: 'sbtest', pid: null, user: 'bench' },
    { name: 'HAProxy TCP', port: haproxyPort, database: 'sbtest', pid: haproxy.pid ?? 0, user: 'bench' },
    { name: 'gate', port: gatePort, database: 'sbtest', pid: gate.pid ?? 0, user: 'bench' },
    { name: 'gate, 4 shards', port: gatePort, database: 'sharded', pid: gate.pid ?? 0, user: 'bench' },
  ]
  await sysbench(paths[0] as Path, 'oltp_point_select', 'prepare', 'disable')
  await sysbench(paths[3] as Path, 'oltp_point_select', 'prepare', 'disable')

  for (const script of ['oltp_point_select', 'oltp_read_write']) {
    for (const ps of ['disable', 'auto']) {
      const figures = new Map<string, Figure[]>(paths.map((p) => [p.name, []]))
      for (let round = 0; round < rounds; round++) for (const p of paths) figures.get(p.name)?.push(await measure(p, script, ps))
      console.log(`\n${script}, ${clients} clients, prepared statements ${ps === 'auto' ? 'on' : 'off'}`)
      console.log('path              queries/s   p95 ms   CPU µs a query   errors')
      for (const p of paths) {
        const middle = (figures.get(p.name) ?? []).sort((a, b) => a.perSecond - b.perSecond)[rounds >> 1] as Figure
        console.log(
          `${p.name.padEnd(16)} ${middle.perSecond.toFixed(0).padStart(10)} ${middle.p95Ms.toFixed(2).padStart(8)} ${(middle.cpuMicros === null ? '–' : middle.cpuMicros.toFixed(1)).padStart(16)} ${String(middle.errors).padStart(8)}`,
        )
      }
    }
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  await server.stop()
  await rm(dir, { recursive: true, force: true })
}

async function measure(p: Path, script: string, ps: string): Promise<Figure> {
  const before = p.pid === null ? 0 : await cpuSeconds(p.pid)
  const text = await sysbench(p, script, 'run', ps)
  const used = p.pid === null ? null : (await cpuSeconds(p.pid)) - before
  const queries = Number(/queries:\s+(\d+)/.exec(text)?.[1] ?? 0)
  return {
    perSecond: Number(/queries:\s+\d+\s+\(([\d.]+)/.exec(text)?.[1] ?? 0),
    p95Ms: Number(/95th percentile:\s+([\d.]+)/.exec(text)?.[1] ?? 0),
    cpuMicros: used === null || queries === 0 ? null : (used * 1e6) / queries,
    errors: Number(/ignored errors:\s+(\d+)/.exec(text)?.[1] ?? 0),
  }
}

async function sysbench(p: Path, script: string, what: 'prepare' | 'run', ps: string): Promise<string> {
  const { stdout } = await run(
    'sysbench',
    [
      '--db-driver=mysql',
      '--mysql-host=127.0.0.1',
      `--mysql-port=${p.port}`,
      `--mysql-user=${p.user}`,
      '--mysql-password=bench',
      `--mysql-db=${p.database}`,
      // Deadlocks are the workload's own (uniform updates); everything else ends the run.
      // 1213 of the workload itself; 1205 for deadlocks over several shards, which no one server sees: counted, in every path alike.
      '--mysql-ignore-errors=1213,1205',
      `--db-ps-mode=${ps}`,
      '--tables=1',
      `--table-size=${rows}`,
      '--auto_inc=off',
      `--threads=${what === 'run' ? clients : 1}`,
      `--time=${seconds}`,
      script,
      what,
    ],
    { maxBuffer: 1 << 24 },
  )
  return stdout
}

/** User and system time of a process and its threads. */
async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
