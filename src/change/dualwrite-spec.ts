/** What a dual-write run was asked for, and what it wrote down. The record of the read rule decides who reads where; this explains. */
import type { StallParts } from '../switch/ramp-run.ts'
import type { ShardRecord, StreamTable } from '../topology/records.ts'
import type { Rung } from '../verify/ladder/evidence.ts'
import type { Horizon } from './dualwrite-horizon.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import type { WritersSeen } from './writers-seen.ts'

export const bootstraps = ['wait', 'pin', 'pin+wait', 'hybrid'] as const
export type Bootstrap = (typeof bootstraps)[number]

export type DualWriteSpec = {
  readonly toBranch: string
  readonly bootstrap: Bootstrap
  /** Behind the oldest offset held: what retention may take while the fleet comes up. */
  readonly marginMs: number
  /** `pin`: the topics' retention is raised first where that is allowed, and put back. */
  readonly raiseRetention: boolean
  readonly consumers: number | null
  readonly writers: number | null
  readonly batchRecordsMax: number | null
  /** Which rungs readiness asks for. */
  readonly rungs: readonly Rung[]
  /** Checks that were looked at and are passed over, by name; kept and shown. */
  readonly allow: readonly string[]
  readonly ramp: RampSpec
  /** How long no client may have read the old side before it is stopped. */
  readonly quietMs: number
  /** Between the stop of the old fleet and the removal of its data; null: one retention of the topics. */
  readonly holdMs: number | null
}

export type RampSpec = {
  /** Shares in percent, rising to 100. */
  readonly steps: readonly number[]
  readonly dwellMs: number
  /** p95 of reads on the new branch, against that of the old one when the ramp began. */
  readonly p95TimesMost: number
  /** Below this, a higher p95 is noise. */
  readonly p95FloorMs: number
  /** Share of reads on the new branch that may fail. */
  readonly errorsMost: number
  /** How often both branches are compared while reads are on the new one. */
  readonly watchEveryMs: number
  readonly watchRungs: readonly Rung[]
}

export const rampDefaults: RampSpec = {
  steps: [0.1, 1, 5, 25, 50, 100],
  dwellMs: 60_000,
  p95TimesMost: 1.2,
  p95FloorMs: 5,
  errorsMost: 0.001,
  watchEveryMs: 30_000,
  watchRungs: ['L1', 'L2'],
}

/** Most of the way rightmost; `failed` and `cancelled` stand outside. */
export const dualwriteStates = [
  'creating',
  'provisioned',
  'dual-writing',
  'filling',
  'validating',
  'ready',
  'ramping',
  'switched',
  'holding',
  'decommissioned',
] as const
export type DualWriteState = (typeof dualwriteStates)[number] | 'failed' | 'cancelling' | 'cancelled'

export type Coverage = {
  readonly atMs: number
  /** Of the window that the old branch holds, how much the new one has whole; null: not known (promise 6). */
  readonly percent: number | null
  /** Unix ms; null: not known. */
  readonly readyAtMs: number | null
  readonly because: string
  /** Records between the new branch's slowest shard and the topic's end; null: not known. */
  readonly lag: string | null
  readonly tables: readonly { readonly table: string; readonly percent: number; readonly fullFromMs: number | null }[]
}

export type RampEntry = {
  readonly atMs: number
  readonly fromPercent: number
  readonly toPercent: number
  readonly outcome: 'moved' | 'back' | 'lost' | 'refused' | 'emergency'
  readonly by: 'operator' | 'auto' | 'guard'
  readonly why: string | null
  readonly stallMs: number | null
  /** Absent in records of an older version, and where nobody waited. */
  readonly parts?: StallParts
}

export type AutoRamp = {
  readonly state: 'running' | 'done' | 'stepped back' | 'stopped'
  readonly sinceMs: number
  readonly nextStepAtMs: number
  /** What it waits for, or why it stepped back. */
  readonly why: string | null
}

export type RetentionLease = {
  readonly topicUrl: string
  readonly wasMs: string | null
  readonly from: 'topic' | 'default'
  readonly raisedToMs: string | null
  /** What it was raised to before that: where it still stands when the last raise was refused, or never made. */
  readonly before?: readonly string[]
}

/** The copy of a hybrid run, as its streams report it. */
export type Dimensions = {
  readonly atMs: number
  /** `waiting`: the pass may not start yet; `following`: it has landed, and rows are kept in step. */
  readonly state: 'waiting' | 'copying' | 'following' | 'failed' | 'unknown'
  readonly because: string
  readonly rowsDone: number
  readonly rowsEstimated: number
  /** The pass has landed on every target. */
  readonly landedAtMs?: number
}

export type DualWriteData = {
  readonly oldFleets?: readonly string[]
  readonly newFleets?: readonly string[]
  readonly fleetsStartedAtMs?: number
  /** Noted before it was raised, so that it is put back whatever happens. */
  readonly retention?: readonly RetentionLease[]
  /** Raised by everything that readiness was judged by and that changed. */
  readonly planVersion?: number
  /** Of all definitions, by which evidence counts. */
  readonly definitionDigest?: string
  /** Shards, definitions, bootstrap as text: what planVersion counts the changes of. */
  readonly planText?: string
  readonly tables?: readonly string[]
  /** Who writes the old branch besides its fleets: looked at from before the preconditions on. */
  readonly writers?: WritersSeen
  /** `hybrid`: tables that streams copy and keep in step, noted before anything is made. */
  readonly dimensionTables?: readonly StreamTable[]
  readonly dimensions?: Dimensions
  /** Everything was drained under held writes: the streams go. */
  readonly dimensionsEndedAtMs?: number
  /** Old servers that are closed for that, noted before they are. */
  readonly oldClosed?: readonly { readonly server: string; readonly schemas: readonly string[] }[]
  readonly coverage?: Coverage
  readonly ready?: { readonly atMs: number; readonly planVersion: number; readonly definitionDigest: string } | null
  readonly ramp?: readonly RampEntry[]
  readonly auto?: AutoRamp
  /** Fleet held for a step by a controller that may have died since. */
  readonly heldForStep?: readonly string[]
  readonly lastWatch?: { readonly atMs: number; readonly verdict: 'pass' | 'fail' | 'unknown'; readonly because: string }
  readonly baselineP95Ms?: number
  readonly headroom?: {
    readonly atMs: number
    readonly leftMs: number
    readonly fleet: string
    readonly partition: number
    readonly low: boolean
    /** The broker was asked to keep more, and refused. */
    readonly refusedAtMs?: number
  }
  readonly horizon?: Horizon
  readonly switchedAtMs?: number
  /** Old fleets stopped: the data goes when this has passed. */
  readonly heldSinceMs?: number
  readonly removeAtMs?: number
  /** The hold is over, and this reads the old side. */
  readonly removalStopped?: string | null
  /** By server, what it counts because we asked it to: noted before, so that it is put back whatever happens. */
  readonly countingOn?: { readonly [serverId: string]: readonly string[] }
  /** The old side is being removed: there is no way back from here. */
  readonly removalBeganAtMs?: number
  /** Shards of the old side, noted before the records change hands. */
  /** What positions call the new branch: its fleets are never taken for old ones, whatever they are named by then. */
  readonly newBranchId?: string
  readonly oldShards?: readonly ShardRecord[]
  readonly warnings?: readonly string[]
}

export function specOf(workflow: WorkflowRecord): DualWriteSpec {
  return workflow.spec as unknown as DualWriteSpec
}

export function dataOf(workflow: WorkflowRecord): DualWriteData {
  return workflow.data as unknown as DualWriteData
}

export function stateOf(workflow: WorkflowRecord): DualWriteState {
  return workflow.state as DualWriteState
}
