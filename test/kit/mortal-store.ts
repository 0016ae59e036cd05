/**
 * A store as a controller sees it that dies: from one commit on, before or after that took effect, it is answered nothing any more, and its leases end. What the
 * controller still had on its way to servers goes on, as that of a process that lost the store would.
 */
import type { CommitResult, Condition, Lease, Put, Snapshot, Store } from '../../src/topology/store.ts'

export type Death = { readonly at: 'before' | 'after'; readonly of: (puts: readonly Put[]) => boolean }

export class MortalStore implements Store {
  readonly #store: Store
  readonly #leases = new Set<Lease>()
  readonly #ended = new AbortController()
  #death: (Death & { readonly done: () => void }) | null = null

  constructor(store: Store) {
    this.#store = store
  }

  /** Resolves when it has died. */
  async dies(death: Death): Promise<void> {
    await new Promise<void>((done) => {
      this.#death = { ...death, done }
    })
  }

  async get(key: string): Promise<Awaited<ReturnType<Store['get']>>> {
    this.#ended.signal.throwIfAborted()
    return this.#store.get(key)
  }

  async list(prefix: string, except?: string): Promise<Snapshot> {
    this.#ended.signal.throwIfAborted()
    return this.#store.list(prefix, except)
  }

  async commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult> {
    this.#ended.signal.throwIfAborted()
    const death = this.#death
    if (death === null || !death.of(puts)) return this.#store.commit(conditions, puts)
    if (death.at === 'after') await this.#store.commit(conditions, puts)
    this.#ended.abort(new Error('this controller has died'))
    for (const lease of this.#leases) await lease.revoke()
    death.done()
    return this.#ended.signal.throwIfAborted() as never
  }

  async *watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot> {
    yield* this.#store.watch(prefix, AbortSignal.any([signal, this.#ended.signal]))
    this.#ended.signal.throwIfAborted()
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    this.#ended.signal.throwIfAborted()
    const lease = await this.#store.grantLease(ttlMs)
    this.#leases.add(lease)
    return lease
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The store is its owner's.
  }
}
