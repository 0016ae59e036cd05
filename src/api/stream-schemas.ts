/** What is told of a stream. What is null is unknown. */
import { z } from 'zod'

const TableProgress = z.object({
  name: z.string(),
  state: z.enum(['pending', 'copying', 'done']),
  rowsDone: z.number(),
  rowsEstimated: z.number(),
})

/** What is waited for, since when, what ends it, and which kind of wait it is. */
const Wait = z.object({ what: z.string(), sinceMs: z.number(), ends: z.string(), reason: z.string() })

export const StreamView = z.object({
  uid: z.string(),
  direction: z.enum(['forward', 'reverse']),
  source: z.string(),
  targets: z.array(z.string()),
  wanted: z.enum(['running', 'stopped']),
  state: z.enum(['unknown', 'starting', 'copying', 'running', 'stopped', 'failed']),
  waiting: Wait.nullable(),
  /** What holds the copy back, also while it waits for something else. */
  throttled: Wait.nullable(),
  error: z.object({ code: z.string(), what: z.string(), why: z.string(), fix: z.string() }).nullable(),
  stateSinceMs: z.number().nullable(),
  lanes: z.number().nullable(),
  /** Transactions and runs done again since the mover took it. */
  retries: z.number().nullable(),
  chunksDone: z.number().nullable(),
  chunksLeft: z.number().nullable(),
  /** Of the copy. */
  bytesPerSecond: z.number().nullable(),
  rowChangesPerSecond: z.number().nullable(),
  /** Bytes of binlog a second: applied by the slowest target; written by the source. */
  appliedBytesPerSecond: z.number().nullable(),
  sourceBytesPerSecond: z.number().nullable(),
  reportAgeMs: z.number().nullable(),
  rowsDone: z.number(),
  rowsEstimated: z.number(),
  rowsPerSecond: z.number().nullable(),
  etaMs: z.number().nullable(),
  /** Of the target that is furthest behind: the source's whole backlog. Null, also each part by itself: unknown. `etaMs`: until it is up with the source; 0: it is. */
  lag: z
    .object({
      transactions: z.number().nullable(),
      bytes: z.number().nullable(),
      ageMs: z.number().nullable(),
      etaMs: z.number().nullable(),
    })
    .nullable(),
  rowChangesApplied: z.number(),
  /** Rows that wait on targets, since another stream's stand in their place. */
  rowsHeldBack: z.number().nullable(),
  /** Of the target where it is oldest: for how long what was read since its stored position is not stored. A kill does that much again, and the binlog from there on is needed. */
  positionAgeMs: z.number().nullable(),
  tables: z.array(TableProgress),
  /** How long the binlog that it needs is kept at least; null: unknown, or kept for ever. */
  headroom: z.object({ retentionMs: z.number(), leftMs: z.number(), warning: z.string().nullable() }).nullable(),
  /** What was done again. `changesRedone`: row changes of its transactions; `round`: that of the tail in whose midst the run before ended. Null, also each part: unknown, or there was none. */
  resumed: z
    .object({
      rowsRedone: z.number(),
      transactionsRedone: z.number(),
      changesRedone: z.number().nullable(),
      round: z.object({ transactions: z.number(), changes: z.number().nullable() }).nullable(),
    })
    .nullable(),
})
export type StreamView = z.infer<typeof StreamView>
