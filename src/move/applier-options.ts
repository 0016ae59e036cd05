/** What a target's applier is given. */
import type { Clock } from '../base/clock.ts'
import type { Chunk } from './chunk.ts'
import type { Failpoints } from './crash-points.ts'
import type { Fold } from './landed-ranges.ts'
import type { LandingSize } from './landing.ts'
import type { Lane } from './lane.ts'
import type { Stamp } from './pending.ts'
import type { WriteMode } from './statements.ts'
import type { TablePlan } from './table-plan.ts'
import type { CopyWork } from './tables.ts'
import type { TargetApplier } from './target-applier.ts'
import type { TouchedKeys } from './touched.ts'
import type { StreamWait } from '../topology/target-report.ts'

export type TargetApplierOptions = {
  /** Its place among the stream's targets: which part of a chunk is its own. */
  number: number
  streamUid: string
  targetUid: string
  workflowUid: string
  shard: string
  /** The shard that the stream reads; without it rows that collide are not named. */
  source?: string
  schema: string
  mode: WriteMode
  lanes: readonly Lane[]
  touched: TouchedKeys<TablePlan>
  clock: Clock
  failpoints: Failpoints
  /** Where the tail stands: the stamp of the last group that was read to its end. */
  latest: () => Stamp
  /** Commits a fresh marker on the source and returns its number. */
  writeMarker: () => Promise<number>
  /** Position of all that was read, with the group in hand where something of it has been given out (`seen.ts`). */
  read: () => string
  /** All that the source has executed by now. */
  sourcePosition: () => Promise<string>
  /** Called whenever `applied` moved. */
  onApplied: (target: TargetApplier) => void
  /** A chunk has landed here, or has nothing for this target. */
  onLanded: (chunk: Chunk, target: TargetApplier) => void
  /** A chunk that was thrown away while it was landing, and did not land. */
  onThrownAway: (chunk: Chunk, target: TargetApplier) => void
  /** What the copy has read so far. */
  work: () => CopyWork
  /** What goes along with a landing here that is made just now. */
  fold: (target: TargetApplier) => Fold | null
  /** How much lands together; `pressing`: nothing more is read before something has landed. */
  landings: () => { readonly size: LandingSize; readonly pressing: boolean }
  /** Rejects or waits while a round must not begin: a side that follows has no user triggers. */
  beforeRound: () => Promise<void> | undefined
  /** Shared by all streams of a target: nothing is written while the keys are rebuilt. */
  exclusion: Exclusion
  pendingBytesMax: () => number
  oneLaneChangesMax: number
  /** max_allowed_packet of the server. */
  packetMax: number
  /** After how long rows held back are kept on the target, and how often: `target-applier.ts` says when it is not given. */
  keepsHeld?: { readonly afterMs: number; readonly everyMs: number }
  /** The server takes LOAD DATA LOCAL (`local_infile`). */
  bulkLoad: boolean
}

/** Writers share it; who rebuilds keys has it alone. */
export interface Exclusion {
  shared<T>(work: () => Promise<T>): Promise<T>
  /** Somebody has it alone, or is about to. */
  readonly busy: boolean
  /** Shards whose streams write here. */
  sources?(): readonly string[]
  /** The tails of all streams stop for a moment where their sources were at about one time. Resolves when that is over, or was not to be yet. */
  lineUp?(clock: Clock, signal: AbortSignal): Promise<void>
}

export type Waiting = StreamWait
