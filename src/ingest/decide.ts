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

/** One branch has no record of the bucket in this partition that the other one has: offsets of their last ones; null: none at all. */
export type LackingRecords = {
  readonly bucketMs: number
  /** `topic/partition`. */
  readonly partition: string
  readonly a: bigint | null
  readonly b: bigint | null
}

export type JudgedBuckets = {
  /** Both branches hold the same records of them if all is well: their rows must agree. */
  readonly comparable: readonly number[]
  /** Of these it is known without looking at a row that the branches differ. */
  readonly lacking: readonly LackingRecords[]
  /** At or above the floors, and neither. */
  readonly notComparable: readonly number[]
}

/**
 * PROTOCOLS 4.11, mended (docs/decisions/023): what marks, positions and floors, each read in one snapshot a shard, say of the buckets of a table.
 *
 * A bucket is comparable when it is at or above every floor and, of each topic partition, both branches have the same last record of it, every shard of both is past
 * that one, and neither branch began within the bucket.
 *
 * Two last records that are not the same, both passed by every shard of both branches, prove a difference: the later one is at or past both starts, so both branches took
 * it; of the same definition it makes the same rows; above the floors none of them was dropped as late; and a shard's marks and positions are one snapshot. So the branch
 * whose mark ends before lost it. That would hide itself otherwise: the bucket that lacks its last record, or every record, of a partition would never be compared.
 *
 * @param claimed rows count by event ids: two records of one event in two partitions race for it, on each branch by itself, so marks may end differently
 */
export function judgeBuckets(a: BranchMarks, b: BranchMarks, claimed: 'each record' | 'by event id'): JudgedBuckets {
  const shards = [...a.shards, ...b.shards]
  const floor = Math.max(...shards.map(({ floorMs }) => floorMs))
  const buckets = new Set(shards.flatMap(({ marks }) => [...marks.keys()]))
  const partitions = new Set(shards.flatMap(({ next }) => [...next.keys()]))
  const comparable: number[] = []
  const lacking: LackingRecords[] = []
  const notComparable: number[] = []
  for (const bucketMs of [...buckets].filter((bucket) => bucket >= floor).sort((x, y) => x - y)) {
    const found = [...partitions].map((partition) => judgePartition(a, b, bucketMs, partition))
    const lost = claimed === 'each record' ? found.filter((one) => typeof one !== 'string') : []
    if (lost.length > 0) lacking.push(...lost)
    else if (found.every((one) => one === 'alike')) comparable.push(bucketMs)
    else notComparable.push(bucketMs)
  }
  return { comparable, lacking, notComparable }
}

function judgePartition(a: BranchMarks, b: BranchMarks, bucketMs: number, partition: string): 'alike' | 'not known' | LackingRecords {
  const marksOf = ({ shards }: BranchMarks): Mark[] => shards.flatMap(({ marks }) => marks.get(bucketMs)?.get(partition) ?? [])
  const [ofA, ofB] = [marksOf(a), marksOf(b)]
  const [lastA, lastB] = [lastOf(ofA), lastOf(ofB)]
  const last = lastA > lastB ? lastA : lastB
  if (last < 0n) return 'alike'
  const start = (branch: BranchMarks): bigint => branch.start.get(partition) ?? 0n
  const begin = start(a) > start(b) ? start(a) : start(b)
  if (![...a.shards, ...b.shards].every(({ next }) => (next.get(partition) ?? 0n) > last)) return 'not known'
  if (lastA !== lastB) return last < begin ? 'not known' : { bucketMs, partition, a: orNull(lastA), b: orNull(lastB) }
  return [...ofA, ...ofB].some(({ first }) => first < begin) ? 'not known' : 'alike'
}

function lastOf(marks: readonly Mark[]): bigint {
  return marks.reduce((max, { last }) => (last > max ? last : max), -1n)
}

function orNull(offset: bigint): bigint | null {
  return offset < 0n ? null : offset
}

type Mark = { first: bigint; last: bigint }
