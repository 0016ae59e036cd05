import type { PaceLimits } from '../topology/records.ts'

/**
 * Budgets of a mover, whose streams share them (`memory-shares.ts`). Memory of all is about: copyBytesMax + readers × readBufferBytes + touchedBytesMax (twice that where XA transactions commit on MariaDB) + 3 × pendingBytesMax (half of it more while rows are held back, `held-room.ts`) + tailBufferBytes;
 * beside it one chunk for each stream, and of its binlog one row and two events (each up to twice a row), where rows are so large that its part holds less.
 *
 * Why that is below 300 MB, in MB: by the defaults 24 + 4 + 32 + 36 + 4 = 100 in use at most, at once only when the tail brings as much as it may while the copy holds as much as it may. The process itself takes 90, of which
 * the runtime's code is 58. What is garbage and not collected yet: up to 36 of buffers (`main/collect-buffers.ts`: to 80 in all, or 16 above what is in use), and as much text again as there is (V8 lets a heap of this size double: 12 to 30).
 * What malloc keeps between pieces in use: 20 to 30 with ten streams (`main/child-settings.ts`). Whatever else is read must be bounded by itself: what the servers' sessions are writing just now was not, and was most
 * of what a merge took above this (`lock-waits.ts`).
 */
export type MoverConfig = {
  /** Parallel writers a target; null: four in all, at least two each. */
  readonly lanes: number | null
  /** Connections that read chunks: `readersOf`. */
  readonly readers: number
  /** Bytes of rows that a chunk aims at. */
  readonly chunkBytes: number
  /** Chunks read and not yet landed. */
  readonly copyBytesMax: number
  /** Changes read and not yet applied, all targets together; each has an equal share of it. */
  readonly pendingBytesMax: number
  /** A transaction above this goes in parts. */
  readonly partBytesMax: number
  readonly touchedBytesMax: number
  /** Rounds of fewer changes go in one transaction with their position: no intent, two round trips. */
  readonly oneLaneChangesMax: number
  readonly tailBufferBytes: number
  /** Of each connection that reads chunks. */
  readonly readBufferBytes: number
  /** A marker at least this often: what lag is measured by. */
  readonly markerMs: number
  /** Rows about landed ranges of a table on a target before adjacent ones are put together. */
  readonly rangesKept: number
  /** Reports at most this often, except for control markers. */
  readonly reportMs: number
  readonly leaseMs: number
  /** A connection that waits longer for an answer without a byte is looked after (`hang-watch.ts`). */
  readonly hangMs: number
  /** Where a workflow's own limits (`PaceRecord`) say nothing. */
  readonly pace: PaceLimits
}

/**
 * Tables of a stream that are read at once. To many targets one: a landing has a sixteenth, say, of a few chunks, and a bulk load, with its round trip, for each table that is among them (16 targets, 2 tables: a fifth of the target's CPU).
 */
export function readersOf({ readers }: Pick<MoverConfig, 'readers'>, targets: number): number {
  return targets >= 8 ? 1 : readers
}

/** Writers on each of a stream's targets; one more is for XA. */
export function lanesOf({ lanes }: Pick<MoverConfig, 'lanes'>, targets: number): number {
  return lanes ?? Math.max(2, Math.floor(4 / targets))
}

export const moverDefaults: MoverConfig = {
  lanes: null,
  readers: 2,
  chunkBytes: 4 << 20,
  copyBytesMax: 24 << 20,
  pendingBytesMax: 12 << 20,
  partBytesMax: 8 << 20,
  touchedBytesMax: 32 << 20,
  oneLaneChangesMax: 200,
  tailBufferBytes: 4 << 20,
  readBufferBytes: 2 << 20,
  markerMs: 300,
  rangesKept: 64,
  reportMs: 1_000,
  leaseMs: 5_000,
  hangMs: 10_000,
  pace: {
    sourceLoadMax: null,
    copyBytesPerSecondMax: null,
    threadsRunningMax: 100,
    historyLengthMax: 3_000_000,
    commitLatencyMsMax: null,
    replicaLagMsMax: null,
    pausedUntilMs: null,
  },
}
