/** The store in memory, for tests and for one process. Passes `conformance.ts`; values are kept as text, so nobody can change a record in place. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { systemClock } from '../base/clock.ts'
import { topologyErrors } from './errors.ts'
import type { CommitResult, Condition, Entry, Json, Lease, Put, Snapshot, Store } from './store.ts'
import type { Change } from './watch-hub.ts'
import { WatchHub } from './watch-hub.ts'

/** `ended` ends the wait for its time: a lease given back leaves nothing that keeps the process from ending. */
type HeldLease = { expiresAtMs: number; readonly ended: AbortController }
type Row = { text: string; version: number; leaseId: string | null }

export class MemoryStore implements Store {
  #rows = new Map<string, Row>()
  #leases = new Map<string, HeldLease>()
  #revision = 0
  #hub = new WatchHub()
  #clock: Clock
  #closed = new AbortController()

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  async get(key: string): Promise<Entry | null> {
    this.#sweep()
    const row = this.#rows.get(key)
    return row === undefined ? null : entryOf(key, row)
  }

  async list(prefix: string, except?: string): Promise<Snapshot> {
    this.#sweep()
    return this.#list(prefix, except)
  }

  async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    this.#sweep()
    const conflicts = conditions.filter((c) => (this.#rows.get(c.key)?.version ?? 0) !== c.version).map((c) => c.key)
    if (conflicts.length > 0) return { ok: false, conflicts }
    for (const put of puts) {
      if (put.leaseId !== undefined && !this.#leases.has(put.leaseId)) throw topologyErrors.leaseGone({ lease: put.leaseId })
    }
    if (puts.length > 0) this.#apply(puts)
    return { ok: true, revision: this.#revision }
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot> {
    return this.#hub.watch(prefix, AbortSignal.any([signal, this.#closed.signal]), () => this.#list(prefix))
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    const id = randomUUID()
    const held: HeldLease = { expiresAtMs: this.#clock.monotonicMs() + ttlMs, ended: new AbortController() }
    this.#leases.set(id, held)
    void this.#sweepWhenOver(held)
    const renew = async (): Promise<void> => {
      this.#sweep()
      const lease = this.#leases.get(id)
      if (lease === undefined) throw topologyErrors.leaseGone({ lease: id })
      lease.expiresAtMs = this.#clock.monotonicMs() + ttlMs
    }
    const revoke = async (): Promise<void> => {
      const lease = this.#leases.get(id)
      if (lease === undefined) return
      lease.expiresAtMs = -1
      this.#sweep()
    }
    return { id, ttlMs, renew, revoke, [Symbol.asyncDispose]: revoke }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort()
    for (const { ended } of this.#leases.values()) ended.abort()
  }

  #list(prefix: string, except?: string): Snapshot {
    const wanted = (key: string): boolean => key.startsWith(prefix) && (except === undefined || !key.startsWith(except))
    const found = [...this.#rows].filter(([key]) => wanted(key)).sort(([a], [b]) => (a < b ? -1 : 1))
    return { revision: this.#revision, entries: new Map(found.map(([key, row]) => [key, entryOf(key, row)])) }
  }

  #apply(puts: readonly Put[]): void {
    const version = ++this.#revision
    const changes: Change[] = []
    for (const put of puts) {
      if (put.value === undefined) {
        this.#rows.delete(put.key)
        changes.push({ key: put.key, version, entry: null })
      } else {
        const row = { text: JSON.stringify(put.value), version, leaseId: put.leaseId ?? null }
        this.#rows.set(put.key, row)
        changes.push({ key: put.key, version, entry: entryOf(put.key, row) })
      }
    }
    this.#hub.publish(version, changes)
  }

  async #sweepWhenOver(lease: HeldLease): Promise<void> {
    if (this.#closed.signal.aborted) return
    // Renewed meanwhile, or woken too early by a timer (its start is that of a turn of the event loop): waited for again.
    for (let leftMs = lease.expiresAtMs - this.#clock.monotonicMs(); leftMs > 0; leftMs = lease.expiresAtMs - this.#clock.monotonicMs()) {
      const over = await this.#clock.sleep(leftMs + 1, lease.ended.signal).then(
        () => true,
        () => false,
      )
      if (!over) return
    }
    this.#sweep()
  }

  #sweep(): void {
    const now = this.#clock.monotonicMs()
    for (const [id, lease] of this.#leases) {
      if (lease.expiresAtMs > now) continue
      this.#leases.delete(id)
      lease.ended.abort()
      const gone = [...this.#rows].filter(([, row]) => row.leaseId === id)
      if (gone.length > 0) this.#apply(gone.map(([key]) => ({ key, value: undefined })))
    }
  }
}

function entryOf(key: string, row: Row): Entry {
  return { key, value: JSON.parse(row.text) as Json, version: row.version }
}
