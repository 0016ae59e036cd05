/**
 * The tree of processes on one machine: control, mover and gate as children, started again when they end. They meet
 * only in the topology and in the database servers, which are nobody's children: they outlive the tree and are adopted
 * by the next one.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { openSync, closeSync, writeFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { findPort } from '../local/find-port.ts'
import type { HurryMessage, ReadyMessage } from './child.ts'
import { claimDataDir } from './claim-data-dir.ts'
import { childEnvironment, drainMsDefault, nodeFlags, type Kind } from './child-settings.ts'
import { FleetChildren } from './fleet-children.ts'
import { GateRestarts, type GatesOfTree } from './gate-restarts.ts'
import { handOver, type Listener } from './listener.ts'
import type { Drained } from '../gate/gate.ts'
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
  /** How long transactions at a gate that ends may go on to their COMMIT; 10 s unless said. */
  readonly drainMs?: number
  /** What else the gate is started with. */
  readonly gateArguments?: readonly string[]
  /** `etcd://…`; the data directory's own SQLite file unless said. */
  readonly topology?: string
  /** Tells a person: a port moved on, a process was started again. */
  readonly say: (line: string) => void
}

type Running = { process: ChildProcess; restarts: number; startedMs: number; wasReady: boolean; id: string | null; drained: Drained | null }

/** Beside other work on two processors a process of ours has taken 20 s to begin. One that ends is not waited for. */
const readyWithinMs = 60_000
/** A process that was told to end, and by itself sees to it, is killed after so long more. */
const killAfterMs = 3000
/** One that ends within this, or before it served, is not started again on the socket it had: who waits there would wait for ever. */
const shortLifeMs = 1000

export class Tree {
  readonly #options: TreeOptions
  readonly #children = new Map<ChildName, Running>()
  /** Gates that others have taken the place of, and that still have sessions. */
  readonly #leaving = new Set<ChildProcess>()
  /** What gates listen on, so that it outlives their processes. */
  readonly #listeners = new Map<ChildName, Listener>()
  #watching: { fleets: FleetChildren; running: Promise<unknown>; restarts: GateRestarts; store: Store } | null = null
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
        tree.#watch()
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
    return this.#watching?.fleets.pids(fleet) ?? []
  }

  #watch(): void {
    const { dataDir, topology, clock, say } = this.#options
    const store = openTopology(topology, dataDir)
    const fleets = new FleetChildren({
      store,
      dataDir,
      clock,
      arguments: this.#shared(),
      say,
      onEnded: (pid) => this.#release(pid),
    })
    const restarts = new GateRestarts(store, clock, this.#gates(), say)
    this.#watching = { fleets, restarts, running: Promise.all([fleets.run(), restarts.run()]), store }
  }

  #shared(): string[] {
    const { topology, leaseMs } = this.#options
    return [...(topology === undefined ? [] : ['--topology', topology]), ...(leaseMs === undefined ? [] : ['--lease-ms', String(leaseMs)])]
  }

  /** Ends the children; database servers stay. Gates let transactions come to their COMMIT (`drainMs`). */
  async stop(): Promise<void> {
    this.#stopping = true
    // From now on who connects is refused, and does not wait for nobody.
    for (const name of this.#listeners.keys()) this.#forgetListener(name)
    const watching = this.#watching
    this.#watching = null
    const ended = [
      ...[...this.#children].map(([name, { process: child }]) => endChild(child, killAfterMs + this.#drainMs(name))),
      ...[...this.#leaving].map((child) => whenEnded(child)),
    ]
    if (watching !== null) {
      watching.restarts.stop()
      await watching.fleets.stop()
      await watching.running
      await watching.store[Symbol.asyncDispose]()
    }
    await Promise.all(ended)
    rmSync(join(this.#options.dataDir, 'up.lock'), { force: true })
  }

  /** While it stops: no more time for transactions. */
  hurry(): void {
    for (const child of [...[...this.#children.values()].map((running) => running.process), ...this.#leaving]) {
      if (child.connected) child.send({ hurry: true } satisfies HurryMessage, () => undefined)
      setTimeout(() => child.kill('SIGKILL'), 2000).unref()
    }
  }

  #drainMs(name: ChildName): number {
    return kindOf(name) === 'gate' ? (this.#options.drainMs ?? drainMsDefault) : 0
  }

  #gates(): GatesOfTree {
    return {
      drainMs: this.#drainMs('gate'),
      has: (id) => this.#nameOf(id) !== null,
      replace: (id, draining) => this.#replace(id, draining),
    }
  }

  #nameOf(id: string): ChildName | null {
    for (const [name, running] of this.#children) if (running.id === id) return name
    return null
  }

  /** Another process in its place, on its socket; then it is told to end. Errors: SW-MAIN-003 the other did not come up, and it goes on. */
  async #replace(id: string, draining: (next: string) => Promise<void>): Promise<Drained | null> {
    const name = this.#nameOf(id)
    const old = name === null ? undefined : this.#children.get(name)
    if (name === null || old === undefined) return null
    this.#leaving.add(old.process)
    try {
      try {
        await this.#start(name, 'in its place')
      } catch (error) {
        this.#children.get(name)?.process.kill('SIGKILL')
        this.#children.set(name, old)
        if (this.#stopping) await endChild(old.process, killAfterMs + this.#drainMs(name))
        else if (hasEnded(old.process)) this.#ended(name, old.process, old.process.exitCode, old.process.signalCode)
        throw error
      }
      await draining(this.#children.get(name)?.id ?? '')
      await endChild(old.process, this.#drainMs(name) + killAfterMs)
      await this.#release(old.process.pid)
    } finally {
      this.#leaving.delete(old.process)
    }
    return old.drained
  }

  #forgetListener(name: ChildName): void {
    this.#listeners.get(name)?.close?.()
    this.#listeners.delete(name)
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
          '--drain-ms',
          String(this.#drainMs(name)),
          ...((this.#options.gates ?? 1) > 1 ? ['--reuse-port', 'yes'] : []),
          ...(this.#listeners.has(name) ? ['--listener', 'parent'] : []),
          ...(this.#options.gateArguments ?? []),
        ]
      case 'mover':
        return [...common, ...lease]
    }
  }

  async #start(name: ChildName, why: 'first or again' | 'in its place' = 'first or again'): Promise<void> {
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
    const listener = this.#listeners.get(name)
    if (listener !== undefined) handOver(child, listener)
    const before = this.#children.get(name)
    const running: Running = {
      process: child,
      restarts: (before?.restarts ?? -1) + 1,
      startedMs: this.#options.clock.monotonicMs(),
      wasReady: why === 'in its place' ? false : (before?.wasReady ?? false),
      id: null,
      drained: null,
    }
    this.#children.set(name, running)
    child.on('exit', (code, signal) => this.#ended(name, child, code, signal))
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(mainErrors.childFailed({ process: name, seconds: readyWithinMs / 1000, log: logFile }))
      const timer = setTimeout(fail, readyWithinMs)
      const early = (): void => {
        clearTimeout(timer)
        fail()
      }
      child.once('exit', early)
      child.on('message', (message, handle) => {
        const said = message as Partial<ReadyMessage> & { readonly drained?: Drained }
        if (said.drained !== undefined) running.drained = said.drained
        if (said.ready !== true) return
        running.wasReady = true
        running.id = said.id ?? null
        this.#keepListener(name, handle)
        clearTimeout(timer)
        child.off('exit', early)
        resolve()
      })
    })
  }

  #keepListener(name: ChildName, handle: unknown): void {
    if (typeof handle !== 'object' || handle === null) return
    const had = this.#listeners.has(name) || this.#stopping
    if (had) (handle as Listener).close?.()
    else this.#listeners.set(name, handle as Listener)
  }

  #ended(name: ChildName, child: ChildProcess, code: number | null, signal: string | null): void {
    const running = this.#children.get(name)
    // One that was never ready: whoever starts the tree hears of it.
    if (this.#stopping || running?.process !== child || !running.wasReady) return
    const livedMs = this.#options.clock.monotonicMs() - running.startedMs
    const pauseMs = livedMs > 10_000 ? 0 : Math.min(2000, 50 * 2 ** Math.min(running.restarts, 6))
    if (running.id === null || livedMs < shortLifeMs) this.#forgetListener(name)
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

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function whenEnded(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => (hasEnded(child) ? resolve() : void child.once('exit', () => resolve())))
}

function endChild(child: ChildProcess, killMs: number): Promise<void> {
  if (!hasEnded(child)) {
    child.kill('SIGTERM')
    setTimeout(() => child.kill('SIGKILL'), killMs).unref()
  }
  return whenEnded(child)
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
