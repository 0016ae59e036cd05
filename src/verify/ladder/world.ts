/**
 * What a rung works with: two branches of a keyspace, the fleets that fill them, and the topics they read. `openLadder` reads it from the
 * topology; whoever runs rungs closes it after.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { TopicDefinition } from '../../ingest/definition.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import type { ShardRef } from '../../topology/records.ts'
import type { Store } from '../../topology/store.ts'
import type { Topic } from '../../topic/topic.ts'
import type { Sessions } from '../sessions.ts'
import type { BucketRound } from './bucket-round.ts'

export type BranchSide = {
  /** The keyspace record's name: `insights` or `insights@wide`. */
  readonly keyspace: string
  /** `main` or `wide`. */
  readonly branch: string
  /** Shards that serve, in key order. */
  readonly shards: readonly ShardRef[]
}

/** Fleets of the two branches that read the same topic. */
export type FleetPair = {
  readonly definition: TopicDefinition
  readonly old: FleetRecord
  readonly new: FleetRecord
}

/** Where reads are replayed: through a gate, as a client of it. */
export type GateAccess = { readonly host: string; readonly port: number; readonly user: string; readonly password: string }

export type LadderOptions = {
  /** Share of statements of a sample that is replayed, and how many at most. */
  readonly readsMax: number
  /** How long fleets may stand at one vector for L4, and be held for L6. */
  readonly alignMsMax: number
  readonly holdMs: number
  readonly drainMsMax: number
  /** p95 on the new branch against the old. */
  readonly latencyTimesMost: number
  /** Rungs that read buckets take this many of the newest comparable ones of each table at most; 0: all. */
  readonly bucketsMax: number
  /** Beside the newest, some of the others each time. Null: only the newest. */
  readonly round: BucketRound | null
}

export const ladderDefaults: LadderOptions = {
  readsMax: 400,
  alignMsMax: 20_000,
  holdMs: 10_000,
  drainMsMax: 120_000,
  latencyTimesMost: 1.2,
  bucketsMax: 0,
  round: null,
}

export type LadderCopies = { readonly tables: readonly string[]; readonly landed: boolean }

export type LadderWorld = {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  readonly workflowUid: string
  /** Under which fleets are held for a moment: one that no later leader of the control has. */
  readonly holder: string
  readonly planVersion: number
  /** Of all definitions together: the workflow's. */
  readonly definitionDigest: string
  readonly old: BranchSide
  readonly new: BranchSide
  readonly pairs: readonly FleetPair[]
  readonly sessions: Sessions
  /** Of a hybrid run: tables that streams copy, and whether the copy has landed on every target. */
  readonly copies: LadderCopies
  /** Opens a pair's topic. */
  readonly openTopic: (url: string) => Promise<Topic>
  /** Null: no gate is there; L4 and L5 are then unknown. */
  readonly gate: GateAccess | null
  readonly options: LadderOptions
}
