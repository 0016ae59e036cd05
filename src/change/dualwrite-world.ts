/** What a dual-write run works with beyond the servers: definitions, topics, the ladder. */
import type { TopicDefinition } from '../ingest/definition.ts'
import type { BucketRound } from '../verify/ladder/bucket-round.ts'
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'
import type { KeyspaceRecord } from '../topology/records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import type { FleetWorld } from './fleets.ts'

export type LadderRequest = {
  readonly workflow: WorkflowRecord
  /** `controllerName`: who holds fleets for the rung. */
  readonly holder: string
  readonly rung: Rung
  readonly planVersion: number
  readonly signal: AbortSignal
  /** A quick look while reads move: few buckets, few reads. */
  readonly quick: boolean
  /** How long L6 holds a fleet; its own default unless given. */
  readonly pauseMs?: number
  /** Where a round over the buckets that a quick look leaves out stands. */
  readonly round?: BucketRound
}

/** Something that stands in the way, by name; `allowed` ones are shown and passed over. */
export type Finding = {
  readonly check: string
  readonly what: string
  readonly why: string
  readonly fix: string
  readonly blocks: boolean
}

export type PreconditionRequest = {
  /** Uid of the run that asks; null: a run that is not there yet. */
  readonly own: string | null
  readonly keyspace: KeyspaceRecord
  readonly branch: KeyspaceRecord
  readonly definitions: readonly { readonly definition: TopicDefinition; readonly topicUrl: string }[]
  readonly spec: { readonly bootstrap: string; readonly marginMs: number; readonly raiseRetention: boolean }
  readonly signal: AbortSignal
}

export type DualWriteWorld = FleetWorld & {
  readonly runRung: (request: LadderRequest) => Promise<Evidence>
  readonly preconditions: (request: PreconditionRequest) => Promise<readonly Finding[]>
}
