/**
 * The tree of processes on one machine: control, mover and gate as children, started again when they end. They meet
 * only in the topology and in the database servers, which are nobody's children: they outlive the tree and are adopted
 * by the next one.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, openSync, readFileSync, readdirSync, closeSync, writeFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { findPort } from '../local/find-port.ts'
import { identify, isAlive } from '../local/process-identity.ts'
import type { ProcessIdentity } from '../local/process-identity.ts'
import type { ReadyMessage } from './child.ts'
import { childEnvironment, nodeFlags, type Kind } from './child-settings.ts'
import { FleetChildren } from './fleet-children.ts'
import { openTopology } from './topology.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import type { Store } from '../topology/store.ts'
import { mainErrors } from './errors.ts'
import { releaseDead } from './release-dead.ts'

/** Several gates share a port: `gate`, `gate-2`, … */
export type ChildName = Kind | `gate-${number}`

export type TreeOptions = {
  readonly dataDir: string
  readonly flavour: 'mysql' | 'mariadb'
  readonly apiPort: number
  readonly gatePort: number
  /** 127.0.0.1 unless said. */
  readonly apiHost?: string
  readonly gateHost?: string
  readonly installsFile: string
  readonly templatesDir: string
  readonly clock: Clock
  /** How long a process that has stopped answering keeps the lead or its streams; the processes' own defaults unless said. */
  readonly leaseMs?: number
  /** Gates do not read a replica that is further behind; their own default unless said. */
  readonly replicaLagMaxMs?: number
  /** So many gate processes on the one port; 1 unless said. */
  readonly gates?: number
  /** What else the gate is started with. */
  readonly gateArguments?: readonly string[]
  /** `etcd://…`; the data directory's own SQLite file unless said. */
  readonly topology?: string
  /** Tells a person: a port moved on, a process was started again. */
  readonly say: (line: string) => void
}

type Running = { process: ChildProcess; restarts: number; startedMs: number; wasReady: boolean }

const readyWithinMs = 20_000

export class Tree {
  readonly #options: TreeOptions
  readonly #children = new Map<ChildName, Running>()
  #fleets: { children: FleetChildren; running: Promise<void>; store: Store } | null = null
  #stopping = false
  apiPort = 0
  gatePort = 0

  private constructor(options: TreeOptions) {
    this.#options = options
  }

  static async start(options: TreeOptions): Promise<Tree> {
    for (let attempt = 1; ; attempt++) {
      claimDataDir(options.dataDir)
      const tree = new Tree(options)
      tree.apiPort = await tree.#port('API', options.apiPort)
      tree.gatePort = await tree.#port('gate', options.gatePort)
      writeFileSync(join(options.dataDir, 'up.json'), `${JSON.stringify({ v: 1, api: tree.apiUrl, gatePort: tree.gatePort })}\n`)
      try {
        await tree.#start('control')
        const more = Array.from({ length: (options.gates ?? 1) - 1 }, (_, i): ChildName => `gate-${i + 2}`)
        await Promise.all((['mover', 'gate', ...more] as const).map((name) => tree.#start(name)))
        tree.#followFleets()
        return tree
      } catch (error) {
        await tree.stop()
        // Another program may take a port between our look and the child's bind: then others are looked for.
        const portLost = (await findPort(tree.apiPort)) !== tree.apiPort || (await findPort(tree.gatePort)) !== tree.gatePort
        if (attempt >= 3 || !portLost) throw error
      }
    }
  }

  get apiUrl(): string {
    return `http://${reachableHost(this.#options.apiHost ?? '127.0.0.1')}:${this.apiPort}`
  }

  pid(name: ChildName): number | undefined {
    return this.#children.get(name)?.process.pid
  }

  /** Of the consumers that run for a fleet (`insights@wide`). */
  consumerPids(fleet: string): number[] {
    return this.#fleets?.children.pids(fleet) ?? []
  }

  #followFleets(): void {
    const { dataDir, topology, clock, say } = this.#options
    const store = openTopology(topology, dataDir)
    const children = new FleetChildren({
      store,
      dataDir,
      clock,
      arguments: this.#shared(),
      say,
      onEnded: (pid) => this.#release(pid),
    })
    this.#fleets = { children, running: children.run(), store }
  }

  #shared(): string[] {
    const { topology, leaseMs } = this.#options
    return [...(topology === undefined ? [] : ['--topology', topology]), ...(leaseMs === undefined ? [] : ['--lease-ms', String(leaseMs)])]
  }

  /** Ends the children; database servers stay. */
  async stop(): Promise<void> {
    this.#stopping = true
    if (this.#fleets !== null) {
      await this.#fleets.children.stop()
      await this.#fleets.running
      await this.#fleets.store[Symbol.asyncDispose]()
      this.#fleets = null
    }
    await Promise.all(
      [...this.#children.values()].map(
        ({ process: child }) =>
          new Promise<void>((resolve) => {
            if (child.exitCode !== null || child.signalCode !== null) return resolve()
            child.once('exit', () => resolve())
            child.kill('SIGTERM')
            setTimeout(() => child.kill('SIGKILL'), 3000).unref()
          }),
      ),
    )
    rmSync(join(this.#options.dataDir, 'up.lock'), { force: true })
  }

  async #port(what: string, wanted: number): Promise<number> {
    const port = await findPort(wanted)
    if (wanted !== 0 && port !== wanted) this.#options.say(`port ${wanted} is taken: the ${what} listens on ${port}`)
    return port
  }

  #arguments(name: ChildName): string[] {
    const { dataDir, flavour, apiHost, gateHost, installsFile, templatesDir, replicaLagMaxMs } = this.#options
    const common = ['--data-dir', dataDir, ...(this.#options.topology === undefined ? [] : ['--topology', this.#options.topology])]
    const lease = this.#options.leaseMs === undefined ? [] : ['--lease-ms', String(this.#options.leaseMs)]
    switch (kindOf(name)) {
      case 'control':
        return [
          ...common,
          ...(apiHost === undefined ? [] : ['--host', apiHost]),
          '--port',
          String(this.apiPort),
          '--flavour',
          flavour,
          '--installs',
          installsFile,
          '--templates',
          templatesDir,
          ...lease,
        ]
      case 'gate':
        return [
          ...common,
          ...(gateHost === undefined ? [] : ['--host', gateHost]),
          '--port',
          String(this.gatePort),
          ...(replicaLagMaxMs === undefined ? [] : ['--replica-lag-max-ms', String(replicaLagMaxMs)]),
          ...((this.#options.gates ?? 1) > 1 ? ['--reuse-port', 'yes'] : []),
          ...(this.#options.gateArguments ?? []),
        ]
      case 'mover':
        return [...common, ...lease]
    }
  }

  async #start(name: ChildName): Promise<void> {
    const logFile = join(this.#options.dataDir, 'logs', `${name}.out`)
    const log = openSync(logFile, 'a')
    const kind = kindOf(name)
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', ...nodeFlags[kind], join(import.meta.dirname, `${kind}.ts`), ...this.#arguments(name)],
      {
        stdio: ['ignore', log, log, 'ipc'],
        env: { ...process.env, ...childEnvironment[kind] },
      },
    )
    closeSync(log)
    const before = this.#children.get(name)
    this.#children.set(name, {
      process: child,
      restarts: (before?.restarts ?? -1) + 1,
      startedMs: this.#options.clock.monotonicMs(),
      wasReady: before?.wasReady ?? false,
    })
    child.on('exit', (code, signal) => this.#ended(name, child, code, signal))
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(mainErrors.childFailed({ process: name, seconds: readyWithinMs / 1000, log: logFile }))
      const timer = setTimeout(fail, readyWithinMs)
      const early = (): void => {
        clearTimeout(timer)
        fail()
      }
      child.once('exit', early)
      child.on('message', (message) => {
        if ((message as ReadyMessage).ready !== true) return
        const running = this.#children.get(name)
        if (running !== undefined) running.wasReady = true
        clearTimeout(timer)
        child.off('exit', early)
        resolve()
      })
    })
  }

  #ended(name: ChildName, child: ChildProcess, code: number | null, signal: string | null): void {
    const running = this.#children.get(name)
    // One that was never ready: whoever starts the tree hears of it.
    if (this.#stopping || running?.process !== child || !running.wasReady) return
    const livedMs = this.#options.clock.monotonicMs() - running.startedMs
    const pauseMs = livedMs > 10_000 ? 0 : Math.min(2000, 50 * 2 ** Math.min(running.restarts, 6))
    this.#options.say(`${name} ended (${signal ?? `code ${code}`}); starting it again`)
    const released = this.#release(child.pid)
    void this.#options.clock.sleep(pauseMs).then(async () => {
      await released
      if (this.#stopping) return
      await this.#start(name).catch((error: unknown) =>
        this.#options.say(`${name}: ${error instanceof Error ? error.message : String(error)}`),
      )
    })
  }

  /** Its leases need not run out: we know that it is dead. */
  async #release(pid: number | undefined): Promise<void> {
    // In a topology that machines share, another machine's process may have the same number.
    if (pid === undefined || this.#options.topology !== undefined) return
    try {
      await using store = new SqliteStore(join(this.#options.dataDir, 'topology.sqlite'))
      await releaseDead(store, pid)
    } catch (error) {
      this.#options.say(`what process ${pid} held ends with its leases: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

function kindOf(name: ChildName): Kind {
  return name === 'control' || name === 'mover' ? name : 'gate'
}

/** Where what listens on `host` is reached from this machine. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}

/** One tree at a time on a data directory, told by a live process and not by a file alone. */
function claimDataDir(dataDir: string): void {
  mkdirSync(join(dataDir, 'logs'), { recursive: true, mode: 0o700 })
  const known = ['logs', 'servers', 'up.lock', 'up.json', 'installation.json', 'client.password', 'demo']
  const strange = readdirSync(dataDir).find((name) => !known.includes(name) && !name.startsWith('topology.'))
  if (strange !== undefined) throw mainErrors.dataDirNotOurs({ dataDir, strange })
  const lock = join(dataDir, 'up.lock')
  const mine = identify(process.pid)
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(lock, JSON.stringify(mine), { flag: 'wx' })
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    let holder: ProcessIdentity | null = null
    try {
      holder = JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity
    } catch {
      // Half written by a process that died: nobody holds it.
    }
    if (holder !== null && holder.pid !== mine?.pid && isAlive(holder)) throw mainErrors.dataDirInUse({ dataDir, pid: holder.pid })
    rmSync(lock, { force: true })
  }
}
