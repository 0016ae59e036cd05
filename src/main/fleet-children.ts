/**
 * Consumers as children: as many a fleet as its record says, while it is wanted; started again when they end. Which of them has which partition they settle
 * among themselves, by leases.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { recordsOf } from '../topology/typed.ts'

export type FleetChildrenOptions = {
  readonly store: Store
  readonly dataDir: string
  readonly clock: Clock
  /** `--topology …`, `--lease-ms …` */
  readonly arguments: readonly string[]
  readonly say: (line: string) => void
  /** Lets go at once what a dead one held by its lease. */
  readonly onEnded: (pid: number | undefined) => Promise<void>
}

type Child = { process: ChildProcess; startedMs: number }

export class FleetChildren {
  readonly #options: FleetChildrenOptions
  /** By `fleet #n`. */
  readonly #children = new Map<string, Child>()
  readonly #restarts = new Map<string, number>()
  #wanted = new Map<string, string>()
  readonly #stop = new AbortController()

  constructor(options: FleetChildrenOptions) {
    this.#options = options
  }

  pids(fleet: string): number[] {
    return [...this.#children].flatMap(([name, { process: child }]) =>
      name.startsWith(`${fleet} #`) && child.pid !== undefined ? [child.pid] : [],
    )
  }

  async run(): Promise<void> {
    const { store, clock } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        for await (const snapshot of store.watch(keys.fleets, this.#stop.signal)) {
          const fleets = recordsOf<FleetRecord>(snapshot).map(({ value }) => value)
          this.#wanted = new Map(
            fleets
              .filter(({ wanted }) => wanted !== 'stopped')
              .flatMap(({ name, consumers }) =>
                Array.from({ length: Math.max(1, consumers) }, (_, i) => [`${name} #${i + 1}`, name] as const),
              ),
          )
          this.#settle()
        }
      } catch {
        await clock.sleep(500, this.#stop.signal).catch(() => undefined)
      }
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wanted.clear()
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
  }

  #settle(): void {
    for (const [name, { process: child }] of this.#children) if (!this.#wanted.has(name)) child.kill('SIGTERM')
    for (const [name, fleet] of this.#wanted) if (!this.#children.has(name)) this.#start(name, fleet)
  }

  #start(name: string, fleet: string): void {
    const { dataDir, clock } = this.#options
    const log = openSync(join(dataDir, 'logs', 'consume.out'), 'a')
    const child = spawn(
      process.execPath,
      [
        '--disable-warning=ExperimentalWarning',
        join(import.meta.dirname, 'consume.ts'),
        '--data-dir',
        dataDir,
        '--branch',
        fleet,
        ...this.#options.arguments,
      ],
      { stdio: ['ignore', log, log, 'ipc'] },
    )
    closeSync(log)
    this.#children.set(name, { process: child, startedMs: clock.monotonicMs() })
    child.on('exit', (code, signal) => this.#ended(name, child, code, signal))
    child.on('error', () => undefined)
  }

  #ended(name: string, child: ChildProcess, code: number | null, signal: string | null): void {
    const { clock, say, onEnded } = this.#options
    const known = this.#children.get(name)
    if (known?.process !== child) return
    this.#children.delete(name)
    if (this.#stop.signal.aborted || !this.#wanted.has(name)) return
    const restarts = clock.monotonicMs() - known.startedMs > 10_000 ? 0 : (this.#restarts.get(name) ?? 0) + 1
    this.#restarts.set(name, restarts)
    say(`consumer ${name} ended (${signal ?? `code ${code}`}); starting it again`)
    const released = onEnded(child.pid)
    const pauseMs = restarts === 0 ? 0 : Math.min(2000, 50 * 2 ** Math.min(restarts, 6))
    void clock
      .sleep(pauseMs, this.#stop.signal)
      .then(() => released)
      .then(
        () => this.#settle(),
        () => undefined,
      )
  }
}
