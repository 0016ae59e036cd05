/**
 * Restarts of gates that somebody asked for (`shardwright gate restart`): whoever started a gate does it, and writes down how far it is. One at a
 * time, and the old one is told to end only when another serves in its place: where that does not come up, nothing has happened.
 */
import type { Clock } from '../base/clock.ts'
import { SwError } from '../base/errors.ts'
import type { Drained } from '../gate/gate.ts'
import { keys } from '../topology/keys.ts'
import type { GateRestart } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { put, recordsOf, updateRecord, type Versioned } from '../topology/typed.ts'

export type GatesOfTree = {
  readonly drainMs: number
  has(id: string): boolean
  /** Resolves when the gate is gone; null: nobody knows what came of its sessions. `draining`: another serves in its place, and it is about to be told. */
  replace(id: string, draining: (next: string) => Promise<void>): Promise<Drained | null>
}

export class GateRestarts {
  readonly #store: Store
  readonly #clock: Clock
  readonly #gates: GatesOfTree
  readonly #say: (line: string) => void
  readonly #stop = new AbortController()

  constructor(store: Store, clock: Clock, gates: GatesOfTree, say: (line: string) => void) {
    this.#store = store
    this.#clock = clock
    this.#gates = gates
    this.#say = say
  }

  stop(): void {
    this.#stop.abort()
  }

  async run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        for await (const snapshot of this.#store.watch(keys.gateRestarts, signal)) {
          for (const record of recordsOf<GateRestart>(snapshot))
            if (!signal.aborted && record.value.state === 'wanted' && this.#gates.has(record.value.gate)) await this.#restart(record)
        }
      } catch {
        await this.#clock.sleep(500, signal).catch(() => undefined)
      }
    }
  }

  async #restart({ key, value, version }: Versioned<GateRestart>): Promise<void> {
    const { drainMs } = this.#gates
    const starting = { ...value, state: 'starting', sinceMs: this.#clock.nowMs(), drainMs } as const
    // Nobody waits for it any more, or it was done already: what was read may be old.
    if (!(await this.#store.commit([{ key, version }], [put<GateRestart>(key, starting)])).ok) return
    this.#say(`${value.gate} is restarted (asked for by ${value.actor})`)
    try {
      const drained = await this.#gates.replace(value.gate, (next) => this.#note(key, { state: 'draining', next }))
      await this.#note(key, { state: 'done', drained })
    } catch (error) {
      const problem = error instanceof SwError ? `${error.message}; ${error.fix}` : String(error)
      this.#say(`${value.gate} was not restarted: ${problem}`)
      await this.#note(key, { state: 'failed', problem })
    }
  }

  async #note(key: string, more: Partial<GateRestart>): Promise<void> {
    const sinceMs = this.#clock.nowMs()
    await updateRecord<GateRestart>(this.#store, key, (now) => (now === null ? null : { ...now, ...more, sinceMs }))
  }
}
