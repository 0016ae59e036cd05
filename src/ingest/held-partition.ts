import type { ErrorView } from '../topology/records.ts'
import type { VersionFrom } from './decide.ts'

/** A partition that this consumer has, from the fence of all shards on. */
export type HeldPartition = {
  readonly partition: number
  readonly epoch: bigint
  readonly start: bigint
  versions: readonly VersionFrom[]
  state: 'acquiring' | 'running' | 'stopped'
  /** Where reading goes on: the least `next` of all shards, then what was read. */
  readAt: bigint
  leaderEpoch: number
  logStart: bigint | null
  highWatermark: bigint | null
  newestMs: number | null
  error: ErrorView | null
}
