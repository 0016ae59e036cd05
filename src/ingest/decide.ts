/**
 * What a consumer concludes, as pure functions: the model test (test/models/ingest.model.ts) runs these very ones.
 */

/** A position row, as the fence read it under its lock (PROTOCOLS 4.3). */
export type PositionRow = { readonly epoch: bigint; readonly next: bigint }

export type FenceAnswer = 'fenced' | 'newer holder'

/** Refused if somebody newer has fenced; else our epoch is written, and `next` may be believed. */
export function fence(row: PositionRow, mine: bigint): FenceAnswer {
  return row.epoch > mine ? 'newer holder' : 'fenced'
}

export type Resolution =
  /** It was done, though no answer said so. */
  | 'done'
  /** It was not: the records are still to be written. */
  | 'not done'
  /** The shard forgot what it had (a failover to a replica that lacked it): the topic is read again from there. */
  | 'went back'

/** After a batch [from, to) that was refused, rolled back or not answered, and a fence that read `next` (PROTOCOLS 4.5). */
export function resolve(from: bigint, to: bigint, next: bigint): Resolution {
  if (next < from) return 'went back'
  return next >= to ? 'done' : 'not done'
}

/**
 * Whether memory still has something for a shard that stands at `next`: also where that is within the range. What a shard that went back needs is not in
 * memory alone: the topic is read again.
 */
export function stillDue(range: { readonly from: bigint; readonly to: bigint }, next: bigint | undefined): boolean {
  return next !== undefined && next >= range.from && next < range.to
}

/** PROTOCOLS 4.7: judged with the log start that came in the same answer as the records. Null: no gap. */
export function gap(needed: bigint, logStart: bigint | undefined): { from: bigint; last: bigint } | null {
  return logStart !== undefined && needed < logStart ? { from: needed, last: logStart - 1n } : null
}

/** How many partitions each of `consumers` holds, and which number this one is: fair within one. */
export function share(partitions: number, consumers: readonly string[], me: string): number {
  const rank = [...consumers].sort().indexOf(me)
  if (rank < 0) return 0
  return Math.floor(partitions / consumers.length) + (rank < partitions % consumers.length ? 1 : 0)
}

export type VersionFrom = { readonly version: number; readonly from: string }

export type VersionDecision =
  | { readonly kind: 'as it is' }
  /** This code is older than records that were written: it must not have the partition. */
  | { readonly kind: 'refuse'; readonly version: number }
  /** Fixed by compare-and-set once all shards are fenced: from the greatest `next` on. */
  | { readonly kind: 'fix' }

/** PROTOCOLS 4.12. */
export function decideVersion(versions: readonly VersionFrom[], code: number): VersionDecision {
  const newest = versions.at(-1)
  if (newest === undefined || newest.version < code) return { kind: 'fix' }
  return newest.version > code ? { kind: 'refuse', version: newest.version } : { kind: 'as it is' }
}

/** The version from `next` on; two changes at one offset are one. */
export function fixVersion(versions: readonly VersionFrom[], code: number, from: bigint): VersionFrom[] {
  return [...versions.filter((entry) => BigInt(entry.from) < from), { version: code, from: String(from) }]
}

export function versionAt(versions: readonly VersionFrom[], offset: bigint): number | null {
  let found: number | null = null
  for (const entry of versions) if (BigInt(entry.from) <= offset) found = entry.version
  return found
}

export type ShardMarks = {
  readonly floorMs: number
  /** Next offset by `topic/partition`. */
  readonly next: ReadonlyMap<string, bigint>
  /** By bucket, then by `topic/partition`. */
  readonly marks: ReadonlyMap<number, ReadonlyMap<string, { first: bigint; last: bigint }>>
}

export type BranchMarks = { readonly start: ReadonlyMap<string, bigint>; readonly shards: readonly ShardMarks[] }

/**
 * PROTOCOLS 4.11: the buckets that two branches can be compared by, of marks, positions and floors that were each read in one snapshot a shard:
 * at or above every floor; of each topic partition both branches have the same last record of the bucket, every shard of both is past it, and
 * neither branch began within it.
 */
export function comparableBuckets(a: BranchMarks, b: BranchMarks): number[] {
  const floor = Math.max(...[...a.shards, ...b.shards].map(({ floorMs }) => floorMs))
  const buckets = new Set([...a.shards, ...b.shards].flatMap(({ marks }) => [...marks.keys()]))
  const partitions = new Set([...a.shards, ...b.shards].flatMap(({ next }) => [...next.keys()]))
  return [...buckets].filter((bucket) => bucket >= floor && [...partitions].every((tp) => alike(a, b, bucket, tp))).sort((x, y) => x - y)
}

function alike(a: BranchMarks, b: BranchMarks, bucket: number, tp: string): boolean {
  const [ofA, ofB] = [a, b].map(({ shards }) => shards.flatMap(({ marks }) => marks.get(bucket)?.get(tp) ?? [])) as [Mark[], Mark[]]
  const [lastA, lastB] = [ofA, ofB].map((marks) => marks.reduce((max, { last }) => (last > max ? last : max), -1n)) as [bigint, bigint]
  if (lastA !== lastB) return false
  if (lastA < 0n) return true
  const start = (branch: BranchMarks): bigint => branch.start.get(tp) ?? 0n
  const begin = start(a) > start(b) ? start(a) : start(b)
  if ([...ofA, ...ofB].some(({ first }) => first < begin)) return false
  return [...a.shards, ...b.shards].every(({ next }) => (next.get(tp) ?? 0n) > lastA)
}

type Mark = { first: bigint; last: bigint }
