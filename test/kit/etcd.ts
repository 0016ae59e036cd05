/**
 * A real etcd for tests, of one member, in the test process's directory; it ends with the test process, however that ends.
 *
 *     for (… of etcdMissing() === null ? … )            // why there is none, to say when a test skips
 *     await using etcd = await testEtcd()
 *     etcd.location                                      // etcd://127.0.0.1:port/prefix
 *     await etcd.kill9(); await etcd.restart()           // same data, same port; pause() and resume() stop its clock
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { findPort } from '../../src/local/find-port.ts'
import { processDir } from './servers.ts'
import { until } from './until.ts'

export type TestEtcd = AsyncDisposable & {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly location: string
  readonly dir: string
  readonly pid: number
  readonly logFile: string
  kill9(): Promise<void>
  restart(): Promise<void>
  pause(): void
  resume(): void
}

export type TestEtcdOptions = {
  /** More flags: TLS, auto-compaction, … */
  readonly flags?: readonly string[]
  /** With TLS: `https`. */
  readonly scheme?: 'http' | 'https'
  /** Whether it answers is asked by connecting only. */
  readonly prefix?: string
}

/**
 * A free port that is free again after its process was killed: not of the range that the system gives to passing connections, one of which
 * would have taken it meanwhile.
 */
export function lastingPort(): Promise<number> {
  return findPort(16_000 + Math.floor(Math.random() * 14_000))
}

/** Why there is no etcd here, or null. */
export function etcdMissing(): string | null {
  return binary() === null ? 'etcd is not installed (apt-get install etcd-server)' : null
}

function binary(): string | null {
  for (const dir of ['/usr/bin', '/usr/local/bin', ...(process.env['PATH'] ?? '').split(':')])
    if (existsSync(join(dir, 'etcd'))) return join(dir, 'etcd')
  return null
}

/** The shell ends etcd when our end of its stdin closes: also after a kill -9 of this process. */
const keeper = '"$@" </dev/null & pid=$!; echo $pid; cat <&3 >/dev/null; kill -9 $pid'

export async function testEtcd(options: TestEtcdOptions = {}): Promise<TestEtcd> {
  const program = binary()
  if (program === null) throw new Error(etcdMissing() ?? '')
  const dir = join(processDir(), `etcd-${randomBytes(3).toString('hex')}`)
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const port = await lastingPort()
  const peerPort = await lastingPort()
  const scheme = options.scheme ?? 'http'
  const logFile = join(dir, 'etcd.log')
  let child: ChildProcess | null = null
  let pid = 0
  const start = async (): Promise<void> => {
    const log = openSync(logFile, 'a')
    const args = [
      '--data-dir', join(dir, 'data'),
      '--listen-client-urls', `${scheme}://127.0.0.1:${port}`,
      '--advertise-client-urls', `${scheme}://127.0.0.1:${port}`,
      '--listen-peer-urls', `http://127.0.0.1:${peerPort}`,
      '--initial-advertise-peer-urls', `http://127.0.0.1:${peerPort}`,
      '--initial-cluster', `default=http://127.0.0.1:${peerPort}`,
      // The least time of a lease is 1.5 election time-outs.
      '--heartbeat-interval', '50', '--election-timeout', '500',
      '--logger', 'zap', '--log-outputs', 'stderr', '--log-level', 'warn',
      ...(options.flags ?? []),
    ] // prettier-ignore
    child = spawn('/bin/sh', ['-c', `exec 3<&0; ${keeper}`, 'etcd-keeper', program, ...args], { stdio: ['pipe', 'pipe', log] })
    closeSync(log)
    child.stdin?.on('error', () => undefined)
    pid = Number(await new Promise((resolve) => child?.stdout?.once('data', (data) => resolve(String(data).trim()))))
    await until('etcd to answer', () => listens(port), 20_000)
  }
  const kill9 = async (): Promise<void> => {
    process.kill(pid, 'SIGKILL')
    await until('etcd to be gone', () => !existsSync(`/proc/${pid}`) || isZombie(pid), 10_000)
    child?.stdin?.end()
    child = null
  }
  await start()
  return {
    host: '127.0.0.1',
    port,
    location: `etcd://127.0.0.1:${port}/${options.prefix ?? 'test'}`,
    dir,
    get pid() {
      return pid
    },
    logFile,
    kill9,
    restart: start,
    pause: () => void process.kill(pid, 'SIGSTOP'),
    resume: () => void process.kill(pid, 'SIGCONT'),
    async [Symbol.asyncDispose]() {
      if (child !== null) await kill9()
    },
  }
}

function isZombie(pid: number): boolean {
  try {
    return /^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return true
  }
}

async function listens(port: number): Promise<boolean> {
  const { connect } = await import('node:net')
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
