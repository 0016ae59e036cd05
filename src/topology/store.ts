/**
 * The topology store: small versioned records, changed only by compare-and-set. SQLite for `up`, etcd for production,
 * memory for tests; all pass `conformance.ts`.
 *
 * What callers build on:
 * - A key's `version` is the store revision of its last change; 0 means that the key is absent. Revisions only grow.
 * - `commit` is all or nothing, and its conditions are judged in the same instant as its puts take effect.
 * - `commit` that throws `SW-TOPOLOGY-002` (class unknown) may or may not have been done: read back before anything
 *   else; no answer, no effect (PROTOCOLS 3).
 * - `watch` first yields the state as it is, then every later state at least once, never an older one after a newer.
 *   Changes between two yields may be merged into the newest.
 * - A record put under a lease disappears when the lease is not renewed for its time. A lease holder learns nothing
 *   from a dead store: it must act as if its lease ended `ttlMs` after its last renewal *began*.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export type Entry = { readonly key: string; readonly value: Json; readonly version: number }

export type Snapshot = {
  /** Store revision at which all entries were read. */
  readonly revision: number
  readonly entries: ReadonlyMap<string, Entry>
}

export type Condition = {
  readonly key: string
  /** The version read; 0: must be absent. */
  readonly version: number
}

export type Put = {
  readonly key: string
  /** `undefined` deletes the key. */
  readonly value: Json | undefined
  /** The record ends with this lease. */
  readonly leaseId?: string
}

export type CommitResult =
  | { readonly ok: true; readonly revision: number }
  /** Nothing was done; these keys had another version. */
  | { readonly ok: false; readonly conflicts: readonly string[] }

export interface Lease extends AsyncDisposable {
  readonly id: string
  readonly ttlMs: number
  /** Rejects with SW-TOPOLOGY-003 when the lease is gone: it never comes back, take a new one. */
  renew(): Promise<void>
  /** Ends the lease and removes its records. */
  revoke(): Promise<void>
}

export interface Store extends AsyncDisposable {
  get(key: string): Promise<Entry | null>
  /** All entries whose key starts with `prefix` and not with `except`, read in one instant. */
  list(prefix: string, except?: string): Promise<Snapshot>
  commit(conditions: readonly Condition[], puts: readonly Put[]): Promise<CommitResult>
  /** Ends only by the signal (returns) or with an error. */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<Snapshot>
  grantLease(ttlMs: number): Promise<Lease>
}
