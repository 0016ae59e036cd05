/** What the gate's benches put between client and server, each in processes of its own so that its CPU time can be told. */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { freePort } from '../src/gate/testkit/servers.ts'
import { generateShardRanges } from '../src/keyspace/even-shards.ts'
import type { LocalFlavour } from '../src/local/installs.ts'

export type Between = { readonly port: number; readonly pids: readonly number[]; stop(): void }

export async function haproxy(serverPort: number, dir: string): Promise<Between> {
  const port = await freePort()
  const config = path.join(dir, 'haproxy.cfg')
  await writeFile(
    config,
    `global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\nlisten l\n  bind 127.0.0.1:${port}\n  server s 127.0.0.1:${serverPort}\n`,
  )
  return between(port, [spawn('haproxy', ['-f', config, '-db'], { stdio: 'ignore' })])
}

export async function bareProxy(serverPort: number): Promise<Between> {
  const { child, port } = await node(path.join(import.meta.dirname, 'bare-proxy.ts'), [serverPort])
  return between(port, [child])
}

/**
 * @param of `checkout`: of which the gate is, this one when not given; `over`: ports of MySQL servers that keyspace `app` has a shard on each
 */
export async function gateProcesses(
  serverPort: number,
  processes: number,
  of: { readonly checkout?: string | undefined; readonly over?: string; readonly flavour?: LocalFlavour } = {},
): Promise<Between> {
  const file = path.join(of.checkout ?? path.join(import.meta.dirname, '..'), 'bench', 'gate-process.ts')
  const env = { BENCH_FLAVOUR: of.flavour ?? 'mariadb' }
  const first = await node(file, [serverPort, ...(of.over === undefined ? [] : [0, of.over])], env)
  if (processes === 1) return between(first.port, [first.child])
  first.child.kill()
  const children: ChildProcess[] = []
  for (let i = 0; i < processes; i++) children.push((await node(file, [serverPort, first.port], env)).child)
  return between(first.port, children)
}

async function node(
  file: string,
  args: readonly (number | string)[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ child: ChildProcess; port: number }> {
  const flags = (process.env['BENCH_NODE_FLAGS'] ?? '').split(' ').filter((flag) => flag !== '')
  const child = spawn(process.execPath, [...flags, file, ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => resolve(Number(/PORT (\d+)/.exec(text.toString())?.[1])))
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code}`)))
  })
  return { child, port }
}

function between(port: number, children: readonly ChildProcess[]): Between {
  return {
    port,
    pids: children.map((child) => child.pid ?? 0),
    stop: () => children.forEach((child) => (child.stdin === null ? child.kill('SIGKILL') : child.stdin.end())),
  }
}

export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
}

/** The schemas of keyspace `sharded<count>`. */
export function shardedNames(count: number): string[] {
  return generateShardRanges(count).map((range) => `sharded${count}_${range.replace('-', '_')}`)
}
