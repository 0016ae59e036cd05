/**
 * Runs the hold rules (buffer.ts) for every keyspace: turns views into events, effects into promises, timers and
 * acknowledgements. Thin on purpose: what may go on is decided in buffer.ts.
 */
import type { Clock } from '../base/clock.ts'
import { unreachable } from '../base/assert.ts'
import { decide, emptyBuffer, nextTickMs, type BufferEvent, type BufferLimits, type BufferState, type HoldReport } from './buffer.ts'
import { gateErrors } from './errors.ts'
import type { KeyspaceView, OpenTransaction, ShardTraffic, View } from './view.ts'

type Lane = { state: BufferState; timer: NodeJS.Timeout | null }
type Waiter = { resolve(): void; reject(error: Error): void; keyspace: string }

export type HoldsOptions = {
  clock: Clock
  limits: BufferLimits
  traffic(uid: string): ShardTraffic | undefined
  /** Something to acknowledge changed. */
  acknowledge(keyspace: string, version: number, open: number): void
  report(keyspace: string, report: HoldReport): void
}

export class Holds {
  readonly #options: HoldsOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #waiters = new Map<number, Waiter>()
  #view: View | null = null
  #nextId = 1
  /** Some keyspace is on hold, or something waits: the only case in which statements must ask. */
  active = false
  heldTotal = 0

  constructor(options: HoldsOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#waiters.size
  }

  onView(view: View, before: View): void {
    this.#view = view
    this.active = this.#waiters.size > 0 || [...view.keyspaces.values()].some((k) => k.held)
    for (const keyspace of view.keyspaces.values()) {
      if (keyspace.role === 'replica') continue
      if (before.keyspaces.get(keyspace.name)?.version === keyspace.version) continue
      const held = keyspace.components.filter((c) => c.hold !== null).map((c) => c.key)
      this.#apply(keyspace.name, { kind: 'routing', version: keyspace.version, held, open: this.#openOf(keyspace), nowMs: this.#now() })
    }
    for (const name of before.keyspaces.keys()) {
      if (view.keyspaces.has(name) || !this.#lanes.has(name)) continue
      this.#apply(name, { kind: 'routing', version: Number.MAX_SAFE_INTEGER, held: [], open: 0, nowMs: this.#now() })
      this.#lanes.delete(name)
    }
  }

  /** Whether something that begins now on these components must wait. */
  mustWait(keyspace: string, components: readonly string[]): boolean {
    const lane = this.#lanes.get(keyspace)
    if (lane === undefined) return false
    const { held, waiting } = lane.state
    return components.some((key) => held.has(key) || waiting.some((w) => w.components.includes(key)))
  }

  isHeld(keyspace: string, components: readonly string[]): boolean {
    const held = this.#lanes.get(keyspace)?.state.held
    return held !== undefined && components.some((key) => held.has(key))
  }

  /** Resolves when these components are free, in order of arrival. Errors: SW-GATE-005, 006, and the signal's reason. */
  wait(keyspace: string, components: readonly string[], bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++
      const onAbort = (): void => {
        if (!this.#waiters.delete(id)) return
        reject(signal.reason as Error)
        this.#apply(keyspace, { kind: 'leave', id, nowMs: this.#now() })
      }
      this.#waiters.set(id, {
        keyspace,
        resolve() {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
        reject(error) {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
      })
      if (signal.aborted) return onAbort()
      signal.addEventListener('abort', onAbort, { once: true })
      this.active = true
      this.#apply(keyspace, { kind: 'arrive', ticket: { id, components, bytes }, nowMs: this.#now() })
      if (this.#waiters.has(id)) this.heldTotal++
    })
  }

  /** A write or a transaction on this keyspace ended or began while something is on hold. */
  openChanged(keyspace: string): void {
    const view = this.#view?.keyspaces.get(keyspace)
    if (view === undefined || !view.held) return
    this.#apply(keyspace, { kind: 'open', open: this.#openOf(view), nowMs: this.#now() })
  }

  openOf(keyspace: string): number {
    const view = this.#view?.keyspaces.get(keyspace)
    return view === undefined ? 0 : this.#openOf(view)
  }

  stop(): void {
    for (const lane of this.#lanes.values()) if (lane.timer !== null) clearTimeout(lane.timer)
    for (const waiter of this.#waiters.values()) waiter.reject(gateErrors.draining())
    this.#waiters.clear()
  }

  #apply(keyspace: string, event: BufferEvent): void {
    let lane = this.#lanes.get(keyspace)
    if (lane === undefined) this.#lanes.set(keyspace, (lane = { state: emptyBuffer, timer: null }))
    const decision = decide(lane.state, event, this.#options.limits)
    lane.state = decision.state
    for (const effect of decision.effects) {
      switch (effect.kind) {
        case 'release':
          this.#take(effect.id)?.resolve()
          break
        case 'fail': {
          const waiter = this.#take(effect.id)
          if (effect.reason === 'full') waiter?.reject(gateErrors.holdFull({ keyspace, bytes: lane.state.bytes }))
          else waiter?.reject(gateErrors.holdExpired({ keyspace, waitedMs: Math.round(effect.waitedMs) }))
          break
        }
        case 'acknowledge':
          this.#options.acknowledge(keyspace, effect.version, effect.open)
          break
        case 'expel':
          this.#expel(keyspace, effect.components)
          break
        case 'report':
          this.#options.report(keyspace, effect.report)
          break
        default:
          unreachable(effect)
      }
    }
    this.#arm(keyspace, lane)
  }

  #take(id: number): Waiter | undefined {
    const waiter = this.#waiters.get(id)
    this.#waiters.delete(id)
    if (this.#waiters.size === 0) this.active = this.#view !== null && [...this.#view.keyspaces.values()].some((k) => k.held)
    return waiter
  }

  #arm(keyspace: string, lane: Lane): void {
    if (lane.timer !== null) clearTimeout(lane.timer)
    lane.timer = null
    const atMs = nextTickMs(lane.state, this.#options.limits)
    if (atMs === null) return
    lane.timer = setTimeout(
      () => {
        lane.timer = null
        this.#apply(keyspace, { kind: 'tick', nowMs: this.#now() })
      },
      Math.max(1, atMs - this.#now() + 1),
    )
    lane.timer.unref()
  }

  #expel(keyspace: string, components: readonly string[]): void {
    const view = this.#view?.keyspaces.get(keyspace)
    const expelled = new Set<OpenTransaction>()
    for (const component of view?.components ?? []) {
      if (!components.includes(component.key)) continue
      for (const uid of component.uids) for (const t of this.#options.traffic(uid)?.transactions ?? []) expelled.add(t)
    }
    for (const transaction of expelled) transaction.expel(keyspace)
  }

  #openOf(view: KeyspaceView): number {
    const transactions = new Set<OpenTransaction>()
    let writes = 0
    for (const component of view.components) {
      if (component.hold === null) continue
      for (const uid of component.uids) {
        const traffic = this.#options.traffic(uid)
        if (traffic === undefined) continue
        writes += traffic.writes
        for (const t of traffic.transactions) transactions.add(t)
      }
    }
    return writes + transactions.size
  }

  #now(): number {
    return this.#options.clock.monotonicMs()
  }
}
