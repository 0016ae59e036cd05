/** Branches, fleets and dual-write runs over the control API. As in schemas.ts: views are made for reading. */
import { z } from 'zod'

const Rung = z.enum(['L0', 'L1', 'L2', 'L3', 'L4', 'L5', 'L6'])
const BranchName = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,31}$/, 'a letter, then letters, digits, _ or -, at most 32 of them')
const TargetServer = z.object({
  host: z.string(),
  port: z.number().int().min(1).max(65535).default(3306),
  user: z.string(),
  password: z.string().default(''),
  schema: z.string().optional(),
})
const ms = z.number().int().min(0)

export const CreateBranch = z.strictObject({
  branch: BranchName,
  /** How many even shards, or their ranges. */
  shards: z.union([z.number().int().min(1).max(65_536), z.array(z.string()).min(1)]),
  targetServers: z.array(TargetServer).optional(),
  targetsPerServer: z.number().int().min(1).max(256).optional(),
})

export const BranchView = z.object({
  keyspace: z.string(),
  branch: z.string(),
  shards: z.array(z.object({ name: z.string(), server: z.string(), schema: z.string() })),
  fleets: z.array(z.string()),
  /** Share of tenants whose reads it serves; null: no read rule, `main` serves all. */
  readsPercent: z.number().nullable(),
})
export type BranchView = z.infer<typeof BranchView>

export const BranchDeletion = z.object({
  removed: z.boolean(),
  /** Servers that we made, with their data. */
  servers: z.array(z.string()),
  /** Schemas that we made on servers where others stand too. */
  schemas: z.array(z.string()),
  /** Schemas on attached servers, which stay as they are. */
  kept: z.array(z.string()),
})

export const CreateFleet = z.strictObject({
  keyspace: z.string(),
  branch: z.string().default('main'),
  definition: z.string(),
  topic: z.string().optional(),
  suffix: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/)
    .optional(),
  start: z.enum(['oldest', 'end']).default('oldest'),
  marginMs: ms.default(0),
  consumers: z.number().int().min(1).max(256).optional(),
  writers: z.number().int().min(1).max(256).optional(),
  batchRecordsMax: z.number().int().min(1).max(100_000).optional(),
})

const Problem = z.object({ code: z.string(), what: z.string(), why: z.string(), fix: z.string() })

export const FleetView = z.object({
  name: z.string(),
  keyspace: z.string(),
  branch: z.string(),
  definition: z.string(),
  definitionVersion: z.number(),
  definitionDigest: z.string(),
  topic: z.string(),
  wanted: z.enum(['running', 'held', 'stopped']),
  startOffsets: z.record(z.string(), z.string()),
  /** Records to its end; null: not known. */
  lag: z.string().nullable(),
  recordsPerSecond: z.number().nullable(),
  rowsPerSecond: z.number().nullable(),
  /** Rows that merging in memory saved, of those that came in; null: none yet. */
  mergedShare: z.number().nullable(),
  /** Since its consumers started. */
  poison: z.number(),
  late: z.number(),
  /** Of all time, by the shards' own account: dead letters, and rows that came after their bucket was purged; null: not asked here, or a shard does not answer. */
  written: z.object({ dead: z.number(), late: z.number() }).nullable().default(null),
  /** How far time is in the topic, by which rows expire (null: not told by events yet), and the partition that holds it there. Null: another fleet's matter, or not known. */
  expiry: z.object({ ms: z.number().nullable(), heldBy: z.number().nullable() }).nullable().default(null),
  consumers: z.array(z.object({ id: z.string(), pid: z.number(), state: z.string(), fresh: z.boolean() })),
  partitions: z.array(
    z.object({
      partition: z.number(),
      state: z.string(),
      lag: z.string().nullable(),
      logStart: z.string().nullable(),
      highWatermark: z.string().nullable(),
      error: Problem.nullable(),
    }),
  ),
  error: Problem.nullable(),
})
export type FleetView = z.infer<typeof FleetView>

export const DeadLetterView = z.object({
  partition: z.number(),
  offset: z.string(),
  atMs: z.number(),
  reason: z.string(),
  /** Text, or `0x…`; at most the first 4 KiB. */
  key: z.string().nullable(),
  value: z.string().nullable(),
  valueBytes: z.number(),
})
export type DeadLetterView = z.infer<typeof DeadLetterView>

export const FleetAct = z.strictObject({ wanted: z.enum(['running', 'held', 'stopped']) })

export const FleetDefinition = z.strictObject({ definition: z.string() })

export const RampSpec = z.strictObject({
  steps: z.array(z.number().min(0.01).max(100)).min(1).default([0.1, 1, 5, 25, 50, 100]),
  dwellMs: ms.default(60_000),
  p95TimesMost: z.number().min(1).default(1.2),
  p95FloorMs: z.number().min(0).default(5),
  errorsMost: z.number().min(0).max(1).default(0.001),
  watchEveryMs: ms.default(30_000),
  watchRungs: z.array(Rung).default(['L1', 'L2']),
})

export const DualWriteSpec = z.strictObject({
  toBranch: BranchName,
  bootstrap: z.enum(['wait', 'pin', 'pin+wait', 'hybrid']).default('pin'),
  marginMs: ms.default(60_000),
  raiseRetention: z.boolean().default(true),
  consumers: z.number().int().min(1).max(256).nullable().default(null),
  writers: z.number().int().min(1).max(256).nullable().default(null),
  batchRecordsMax: z.number().int().min(1).max(100_000).nullable().default(null),
  rungs: z.array(Rung).default(['L0', 'L1', 'L2', 'L3', 'L4', 'L5']),
  allow: z.array(z.string()).default([]),
  ramp: RampSpec.default(RampSpec.parse({})),
  quietMs: ms.default(60_000),
  holdMs: ms.nullable().default(null),
})
export type DualWriteSpec = z.infer<typeof DualWriteSpec>

const dryRun = z.boolean().default(false)
export const ValidateArgs = z.strictObject({ rungs: z.array(Rung).default([]), pauseMs: ms.optional(), dryRun })
export const RampArgs = z
  .strictObject({
    percent: z.number().min(0).max(100).nullable().default(null),
    auto: z.boolean().default(false),
    stop: z.boolean().default(false),
    dwellMs: ms.nullable().default(null),
    dryRun,
  })
  // Nothing said is not "back to nothing".
  .refine((args) => [args.percent !== null, args.auto, args.stop].filter(Boolean).length === 1, 'percent, auto or stop, one of them')
export const TenantArgs = z
  .strictObject({
    /** The value of its shard key, or its keyspace id in hex: one of them. */
    tenant: z.string().min(1).max(1000).optional(),
    keyspaceId: z
      .string()
      .regex(/^([0-9a-f]{2}){1,64}$/, 'a keyspace id in hex')
      .optional(),
    /** null: where its share is. */
    branch: z.string().nullable(),
    dryRun,
  })
  .refine((args) => (args.tenant === undefined) !== (args.keyspaceId === undefined), 'tenant or keyspaceId, one of them')
export const RollbackArgs = z.strictObject({ emergency: z.boolean().default(false), dryRun })

export const EvidenceView = z.object({
  rung: Rung,
  title: z.string(),
  atMs: z.number(),
  tookMs: z.number(),
  verdict: z.enum(['pass', 'fail', 'unknown']),
  /** Shown under the plan and definition that stand now. */
  counts: z.boolean(),
  because: z.string(),
  numbers: z.record(z.string(), z.union([z.number(), z.string(), z.null()])),
  findings: z.array(z.object({ what: z.string(), where: z.string(), old: z.string(), new: z.string() })),
  /** What it said before, newest first. */
  earlier: z
    .array(z.object({ atMs: z.number(), tookMs: z.number(), verdict: z.string(), because: z.string(), planVersion: z.number() }))
    .default([]),
})

export const BranchReadsView = z.object({ reads: z.number(), errors: z.number(), p95Ms: z.number() })

export const DualWriteView = z.object({
  toBranch: z.string(),
  bootstrap: z.string(),
  planVersion: z.number(),
  definitionDigest: z.string(),
  coverage: z
    .object({
      atMs: z.number(),
      percent: z.number().nullable(),
      readyAtMs: z.number().nullable(),
      because: z.string(),
      lag: z.string().nullable(),
      tables: z.array(z.object({ table: z.string(), percent: z.number(), fullFromMs: z.number().nullable() })),
    })
    .nullable(),
  /** Of a hybrid run: the copy of dimension tables; null: the run copies none. */
  dimensions: z
    .object({
      state: z.enum(['waiting', 'copying', 'following', 'failed', 'unknown', 'ended']),
      because: z.string(),
      rowsDone: z.number(),
      rowsEstimated: z.number(),
      landedAtMs: z.number().nullable(),
      /** `merged`: with rows that the new fleet writes. */
      tables: z.array(z.object({ table: z.string(), merged: z.boolean() })),
    })
    .nullable()
    .default(null),
  ready: z.boolean(),
  readsPercent: z.number(),
  closing: z.object({ fromPercent: z.number(), toPercent: z.number(), toward: z.string() }).nullable(),
  tenants: z.array(z.object({ keyspaceId: z.string(), branch: z.string() })),
  /** Of the last second, over all gates. */
  reads: z.object({ old: BranchReadsView, new: BranchReadsView, baselineP95Ms: z.number().nullable() }),
  auto: z.object({ state: z.string(), nextStepAtMs: z.number(), why: z.string().nullable() }).nullable(),
  ramp: z.array(
    z.object({
      atMs: z.number(),
      fromPercent: z.number(),
      toPercent: z.number(),
      outcome: z.string(),
      by: z.string(),
      why: z.string().nullable(),
      stallMs: z.number().nullable(),
      /** What those milliseconds went to: gates to acknowledge, positions to be taken, the other side to reach them, the commit. */
      parts: z.object({ gates: z.number(), measure: z.number(), reach: z.number(), settle: z.number() }).nullable(),
    }),
  ),
  watch: z.object({ atMs: z.number(), verdict: z.string(), because: z.string() }).nullable(),
  evidence: z.array(EvidenceView),
  /**
   * Who writes the old branch besides its fleets; null: not looked at yet. `found` in words. Known of what was logged from `sinceMs` to
   * `lookedAtMs`; not `fresh`: that is too long ago to say anything of now, and `trouble` is the last failure to look.
   */
  writers: z
    .object({
      sinceMs: z.number().nullable(),
      lookedAtMs: z.number().nullable(),
      fresh: z.boolean(),
      transactions: z.number(),
      found: z.array(z.string()),
      lastMs: z.number().nullable(),
      trouble: z.string().nullable(),
    })
    .nullable()
    .default(null),
  /** Before retention reaches what the new fleet has yet to read; null: topics keep everything, or not known. */
  headroom: z.object({ atMs: z.number(), leftMs: z.number(), fleet: z.string(), partition: z.number(), low: z.boolean() }).nullable(),
  horizon: z.object({ atMs: z.number(), kind: z.string(), untilMs: z.number().nullable(), because: z.string() }).nullable(),
  removeAtMs: z.number().nullable(),
  /** The hold is over, and this reads the old side. */
  removalStopped: z.string().nullable().default(null),
  fleets: z.array(FleetView),
})
export type DualWriteView = z.infer<typeof DualWriteView>

export const dualwriteStates = [
  'provisioned',
  'dual-writing',
  'filling',
  'validating',
  'ready',
  'ramping',
  'holding',
  'decommissioned',
] as const
