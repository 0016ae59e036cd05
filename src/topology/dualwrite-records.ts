/**
 * Records of dual-write: branches' fleets, what their consumers report, which branch serves reads. As in records.ts: `v: 1`, a greater
 * one is refused. A branch is a keyspace record of its own, named `insights@wide`; the keyspace itself is the branch `main`.
 */
import type { ErrorView } from './records.ts'

export const mainBranch = 'main'
/** Not to be had as branch names: `main` is the keyspace itself, the others are what MySQL clients write behind an `@`. */
export const reservedBranches: readonly string[] = [mainBranch, 'primary', 'replica', 'rdonly']

/** `insights` and `main` → `insights`; `insights` and `wide` → `insights@wide`: the name of the keyspace record, and of the fleet. */
export function branchKeyspace(keyspace: string, branch: string): string {
  return branch === mainBranch ? keyspace : `${keyspace}@${branch}`
}

/** The other way round. */
export function parseBranch(name: string): { keyspace: string; branch: string } {
  const at = name.indexOf('@')
  return at < 0 ? { keyspace: name, branch: mainBranch } : { keyspace: name.slice(0, at), branch: name.slice(at + 1) }
}

/** Offsets as decimal text, by partition number. */
export type Offsets = { readonly [partition: string]: string }

/**
 * What is wanted of the consumers of one branch and one topic. Control writes it, consumers obey. Its key's name is `name`: the branch's
 * (`insights@wide`), with `+suffix` behind it when a branch reads several topics.
 */
export type FleetRecord = {
  v: 1
  name: string
  keyspace: string
  branch: string
  /** What position, mark and floor rows on the shards call this branch: never changes, though the branch become `main`. */
  branchId: string
  definitionPath: string
  /** Digest of what the definition says (not of its file): readiness of another one is not ready. */
  definitionDigest: string
  definitionVersion: number
  topicUrl: string
  topicId: string
  /** Written once, before any position row exists: a missing row means exactly this offset (PROTOCOLS 4.2). */
  startOffsets: Offsets
  /** When it was made its tables held no rows: all that they hold it wrote. Absent: they did, or that is not known. */
  tablesWereEmpty?: boolean
  /** `held`: nothing is written until `running` again; leases and positions stay. */
  wanted: 'running' | 'held' | 'stopped'
  /** Raised for each new start after `stopped` or a failure. */
  generation: number
  batchRecordsMax: number
  writers: number
  /** How many consumer processes `up` runs. */
  consumers: number
  /** Consumers stop writing a partition exactly there (PROTOCOLS 4.17, L4); null: nowhere. */
  holdAt: Offsets | null
  /** Within a pause: nothing is written to this shard, as if it were down (L6). */
  heldShard?: string
  /** A rung of the ladder holds it for a moment: who, and what was wanted before. Whoever leads after them puts it back. */
  paused?: { by: string; was: 'running' | 'held' | 'stopped' }
  /** Workflow that made it, or null. */
  madeBy: string | null
  /** Purge is held back until then (a comparison); 0: not. */
  purgeHeldUntilMs: number
  /** Floors are not raised until then, and all branches purge up to those that stand, at once (reads that are compared); missing: they are. */
  floorHeldUntilMs?: number
}

/** Which consumer has a partition: under the holder's store lease. The epoch outlives it in `ingest-epochs/…`. */
export type PartitionLease = { v: 1; fleet: string; partition: number; holder: string; epoch: number }
/**
 * `start` is written at the first acquisition and never changes; `versions`: from which offset on records are decoded by which version of the
 * definition (PROTOCOLS 4.2, 4.12).
 */
export type PartitionEpoch = { v: 1; epoch: number; start?: string; versions?: { version: number; from: string }[] }

/** `purge/<keyspace>`: below which instant (ms) rows of a table are gone on all branches, at the same boundary. Only raised. */
export type PurgeRecord = { v: 1; floors: { [table: string]: number } }
/** A live consumer, under its lease. */
export type ConsumerRecord = { v: 1; id: string; pid: number }

/** One consumer's figures, at most once a second, under its lease. */
export type FleetReport = {
  v: 1
  fleet: string
  consumer: string
  pid: number
  generation: number
  atMs: number
  state: 'starting' | 'running' | 'held' | 'stopped' | 'failed'
  partitions: FleetPartitionReport[]
  /** Since this process started. */
  records: number
  statements: number
  rowsIn: number
  rowsOut: number
  /** In the same time: CPU of the process (null: not told), and how long it had transactions open on shards, all together. */
  cpuMs?: number | null
  openMs?: number
  /** Last second. */
  recordsPerSecond: number
  rowsPerSecond: number
  poison: number
  late: number
  rssBytes: number
  /** By what instant of the topic rows expire, and which partition holds it there; told by the consumer that raises floors. */
  expiry?: { ms: number | null; heldBy: number | null }
  error: ErrorView | null
}

export type FleetPartitionReport = {
  partition: number
  state: 'acquiring' | 'running' | 'held' | 'stopped'
  /** By shard name: the next offset that this shard will take. */
  next: { [shard: string]: string }
  logStart: string | null
  highWatermark: string | null
  /** Offsets between the slowest shard and the end; null: unknown. */
  lag: string | null
  /** For how long the topic has not answered for it; absent: it does. */
  topicSilentMs?: number
  /** Event or append time of the newest record written, ms; null: none yet. */
  newestMs: number | null
  error: ErrorView | null
}

export const readSlots = 10_000

/**
 * Which branch serves a keyspace's reads. Slots [0, moved) are served by `to`, the rest by `from`; a tenant's slot is the hash of its
 * keyspace id. Every change is a compare-and-set of this record; what may follow what stands in read-rule.ts.
 */
export type ReadRule = {
  v: 1
  from: string
  to: string | null
  slots: typeof readSlots
  moved: number
  /** Nobody serves slots [lo, hi): gates keep these reads back, until the record opens (PROTOCOLS 4.14). */
  closing: { lo: number; hi: number; toward: string } | null
  /** By keyspace id in hex. While closing: nobody serves it; `branch` is where it was. */
  overrides: { [keyspaceIdHex: string]: { branch: string; closing?: boolean; toward?: string | null } }
  /** Uid of the dual-write workflow that may change it. */
  workflow: string | null
  /** Client writes: refused while fleets write both branches, but for the tables in `writable` (dimension tables). */
  writes: 'open' | 'refused'
  writable: string[]
}

/** What a gate lately read, a bounded sample of it: replayed by L4 on both branches. At most once a second, at most 64 KiB. */
export type ReadSamples = {
  v: 1
  keyspace: string
  gate: string
  atMs: number
  samples: { atMs: number; sql: string; keyspaceId: string | null; ms: number }[]
}

/** Client reads of one branch at one gate over the last second. */
export type BranchReads = { reads: number; errors: number; p50Ms: number; p95Ms: number; p99Ms: number; slowestMs: number }
/** `gate-reads/<gate>`, under the gate's lease, by branch keyspace name: written while a read rule stands. */
export type GateReads = { v: 1; gate: string; atMs: number; branches: { [branchKeyspace: string]: BranchReads } }
