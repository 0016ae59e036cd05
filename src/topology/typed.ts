/** Typed reading and writing of records. A record of a newer format is refused, never guessed at (SW-TOPOLOGY-001). */
import { topologyErrors } from './errors.ts'
import type { CommitResult, Condition, Entry, Json, Put, Snapshot, Store } from './store.ts'

export type Versioned<T> = { readonly key: string; readonly value: T; readonly version: number }

const formatKnown = 1

export function parseRecord<T extends { v: 1 }>(entry: Entry): Versioned<T> {
  const value = entry.value
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw topologyErrors.malformed({ key: entry.key, reason: 'not an object' })
  const found = (value as { v?: unknown }).v
  if (typeof found !== 'number' || !Number.isInteger(found) || found < 1)
    throw topologyErrors.malformed({ key: entry.key, reason: 'no format number' })
  if (found > formatKnown) throw topologyErrors.newerRecord({ key: entry.key, found, known: formatKnown })
  return { key: entry.key, value: value as unknown as T, version: entry.version }
}

export async function readRecord<T extends { v: 1 }>(store: Store, key: string): Promise<Versioned<T> | null> {
  const entry = await store.get(key)
  return entry === null ? null : parseRecord<T>(entry)
}

/** All records under a prefix, in key order, of one instant. */
export async function listRecords<T extends { v: 1 }>(store: Store, prefix: string): Promise<Versioned<T>[]> {
  return recordsOf<T>(await store.list(prefix))
}

export function recordsOf<T extends { v: 1 }>(snapshot: Snapshot): Versioned<T>[] {
  return [...snapshot.entries.values()].map((entry) => parseRecord<T>(entry))
}

export function put<T extends { v: 1 }>(key: string, value: T, leaseId?: string): Put {
  return { key, value: value as unknown as Json, ...(leaseId === undefined ? {} : { leaseId }) }
}

export function absent(key: string): Condition {
  return { key, version: 0 }
}

export function unchanged(record: Versioned<unknown>): Condition {
  return { key: record.key, version: record.version }
}

/**
 * Reads, changes and commits one record until no other writer was in between. `change` returns null to leave it as it is.
 * `also` and `puts` go with the same commit; when a condition of `also` fails, nothing was done. An unknown outcome (SW-TOPOLOGY-002) is thrown: only the caller knows how to read its own change back.
 */
export async function updateRecord<T extends { v: 1 }>(
  store: Store,
  key: string,
  change: (current: T | null) => T | null,
  also: readonly Condition[] = [],
  puts: readonly Put[] = [],
): Promise<CommitResult & { value: T | null }> {
  const attemptsMax = 100
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const current = await readRecord<T>(store, key)
    const next = change(current?.value ?? null)
    if (next === null) return { ok: true, revision: current?.version ?? 0, value: current?.value ?? null }
    const result = await store.commit([{ key, version: current?.version ?? 0 }, ...also], [put(key, next), ...puts])
    if (result.ok) return { ...result, value: next }
    if (result.conflicts.some((conflict) => conflict !== key)) return { ...result, value: current?.value ?? null }
  }
  throw topologyErrors.conflict({ key, attempts: attemptsMax })
}
