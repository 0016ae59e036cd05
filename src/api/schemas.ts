/**
 * What goes over the control API, as zod schemas: the contract of cli, console and control. Views are made for reading:
 * they carry what a person or a script needs, not how it is stored. Times are Unix milliseconds, sizes bytes.
 */
import { z } from 'zod'
import { DualWriteSpec, DualWriteView, RampArgs, RollbackArgs, TenantArgs, ValidateArgs, dualwriteStates } from './dualwrite-schemas.ts'
import { UndoView } from './history-schemas.ts'
import { ServerUrl, ServerView } from './server-schemas.ts'
import { StreamView } from './stream-schemas.ts'

export const ErrorView = z.object({
  code: z.string(),
  class: z.enum(['user', 'transient', 'unknown', 'fatal']),
  what: z.string(),
  why: z.string(),
  fix: z.string(),
})
export type ErrorView = z.infer<typeof ErrorView>

export const Name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, 'letters, digits, _ . - and at most 64 of them')

export const CreateKeyspace = z.strictObject({
  name: Name,
  /** Attach this server's schema as the one shard `-`; absent: provision a local server. */
  server: ServerUrl.optional(),
  flavour: z.enum(['mysql', 'mariadb']).optional(),
  /** Printed ranges; absent: one unsharded shard. */
  shards: z.array(z.string()).optional(),
})

export const UpdateKeyspace = z.strictObject({
  /** Accounts, as user@host, that a fence need not stop: kept, and written to the log of control. Replaces the list. */
  allowUnfenced: z.array(z.string().regex(/^.+@.+$/, 'an account is user@host')).optional(),
  transactionMode: z.enum(['single', 'multi', 'xa']).optional(),
})

export const DeleteKeyspace = z.strictObject({
  /** Needed where servers that we provisioned would go, with their data. */
  yes: z.boolean().default(false),
  dryRun: z.boolean().default(false),
})
export const KeyspaceDeletion = z.object({
  removed: z.boolean(),
  /** Provisioned servers that went, or would go, with their data. */
  servers: z.array(z.string()),
  /** Schemas on attached servers, which stay as they are: `app on 10.0.0.7:3306`. */
  kept: z.array(z.string()),
})

export const ShardView = z.object({
  keyspace: z.string(),
  name: z.string(),
  server: ServerView,
  schema: z.string(),
  serves: z.boolean(),
  workflow: z.string().nullable(),
  /** Servers that replicate it and may be read at `@replica`. */
  replicas: z.array(z.string()),
  /** Servers that were its primary, and whether they were seen closed since. */
  givenUp: z.array(z.object({ server: z.string(), closed: z.boolean() })),
})
export type ShardView = z.infer<typeof ShardView>

export const ComponentView = z.object({
  range: z.string(),
  workflow: z.string().nullable(),
  epoch: z.number(),
  phase: z.enum(['stable', 'switching', 'opening', 'retiring']),
  serving: z.array(z.string()),
  servingReplica: z.array(z.string()),
  other: z.array(z.string()),
  holdSinceMs: z.number().nullable(),
})

export const KeyspaceView = z.object({
  name: z.string(),
  sharded: z.boolean(),
  transactionMode: z.enum(['single', 'multi', 'xa']),
  allowUnfenced: z.array(z.string()),
  shards: z.array(ShardView),
  routing: z.object({ version: z.number(), components: z.array(ComponentView) }),
  vschema: z.record(z.string(), z.unknown()),
})
export type KeyspaceView = z.infer<typeof KeyspaceView>

export const ApplyVSchema = z.strictObject({ vschema: z.record(z.string(), z.unknown()), dryRun: z.boolean().default(false) })

export const CreateSequence = z.strictObject({
  keyspace: Name,
  table: z.string(),
  column: z.string(),
  /** Unsharded keyspace that holds the sequence table; absent: `<keyspace>_seq`, provisioned when needed. */
  on: Name.optional(),
  cache: z.number().int().min(1).max(1_000_000).default(1000),
})
export const SequenceView = z.object({ name: z.string(), keyspace: z.string(), nextId: z.string(), cache: z.number() })

/** What a copy may cost the servers; null: no such limit, absent: as it was. */
export const PaceLimits = z.strictObject({
  /** Share of the time that chunks may be read on a source, above 0 up to 1 for each reading connection. */
  sourceLoadMax: z.number().positive().max(16).nullable().exactOptional(),
  copyBytesPerSecondMax: z.number().int().positive().nullable().exactOptional(),
  threadsRunningMax: z.number().int().nonnegative().nullable().exactOptional(),
  historyLengthMax: z.number().int().nonnegative().nullable().exactOptional(),
  commitLatencyMsMax: z.number().positive().nullable().exactOptional(),
  replicaLagMsMax: z.number().nonnegative().nullable().exactOptional(),
  pausedUntilMs: z.number().nullable().exactOptional(),
})
export type PaceLimits = z.infer<typeof PaceLimits>

export const ReshardSpec = z.strictObject({
  sourceShards: z.array(z.string()).min(1),
  targetShards: z.array(z.string()).min(1),
  autoStart: z.boolean().default(true),
  stopAfterCopy: z.boolean().default(false),
  onDdl: z.enum(['stop', 'ignore', 'exec']).default('stop'),
  /** User triggers and events of the sources: refused, or moved to whichever side serves with each switch. */
  triggers: z.enum(['refuse', 'at-switch']).default('refuse'),
  fence: z.enum(['strongest', 'locks', 'kill', 'persist', 'triggers']).default('strongest'),
  deferSecondaryKeys: z.boolean().default(true),
  limits: PaceLimits.default({}),
  /** Where the targets live: attached servers in turn; absent: provisioned local ones. */
  targetServers: z.array(ServerUrl).optional(),
  /** How many targets share one provisioned server. */
  targetsPerServer: z.number().int().min(1).max(256).optional(),
  allowUnfenced: z.array(z.string()).default([]),
  failpoints: z.record(z.string(), z.enum(['kill', 'hold'])).default({}),
})
export type ReshardSpec = z.infer<typeof ReshardSpec>

/** Who asks, as they say it themselves: for the log. */
const actor = z.string().max(200).default('unknown')

const creation = {
  /** Idempotency key: the same id is the same request (promise 13). */
  id: z.string().min(8).max(64),
  actor,
  keyspace: Name,
  name: Name,
  dryRun: z.boolean().default(false),
}
export const CreateWorkflow = z.discriminatedUnion('kind', [
  z.strictObject({ ...creation, kind: z.literal('reshard'), spec: ReshardSpec }),
  z.strictObject({ ...creation, kind: z.literal('dualwrite'), spec: DualWriteSpec }),
])
export type CreateWorkflow = z.infer<typeof CreateWorkflow>

export const SwitchArgs = z.strictObject({
  /** `primary` moves writes and reads; `replica` moves replica reads only. */
  tabletTypes: z.array(z.enum(['primary', 'replica', 'rdonly'])).default(['primary', 'replica', 'rdonly']),
  shards: z.array(z.string()).default([]),
  timeoutMs: z.number().int().min(1000).max(600_000).default(30_000),
  maxLagMs: z.number().int().min(100).max(3_600_000).default(30_000),
  /** From the hold to the decision; past it the switch is given up. */
  maxStallMs: z.number().int().min(500).max(60_000).default(5_000),
  enableReverse: z.boolean().default(true),
  allowDifferences: z.array(z.string()).default([]),
  requireVdiff: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  allowUnfenced: z.array(z.string()).default([]),
  /** The side that is to serve may have fewer replicas. */
  allowFewerReplicas: z.boolean().default(false),
})
export type SwitchArgs = z.infer<typeof SwitchArgs>

export const VdiffArgs = z.strictObject({
  tables: z.array(z.string()).optional(),
  shards: z.array(z.string()).optional(),
  repair: z.boolean().default(false),
  /** Pass after pass until traffic is switched. */
  continuous: z.boolean().default(false),
  /** Ends what runs instead of beginning one. */
  stop: z.boolean().default(false),
})
export const CompleteArgs = z.strictObject({
  keepData: z.boolean().default(false),
  keepRoutingRules: z.boolean().default(false),
  dropSource: z.boolean().default(false),
  dryRun: z.boolean().default(false),
  /** Dual-write: what is removed is meant to be. */
  yes: z.boolean().default(false),
  /** Dual-write: for how long the old data is kept; null: as the run was created with. */
  holdMs: z.number().int().min(0).nullable().default(null),
})
export const NoArgs = z.strictObject({ dryRun: z.boolean().default(false) })
/** `shards`: streams from or to them; none named: all. */
export const StartStopArgs = z.strictObject({ shards: z.array(z.string()).default([]), dryRun: z.boolean().default(false) })

export const ActionRequest = z.discriminatedUnion('verb', [
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('start'), args: StartStopArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('stop'), args: StartStopArgs }),
  z.strictObject({
    id: z.string().min(8).max(64),
    actor,
    verb: z.literal('update'),
    args: z.strictObject({
      limits: PaceLimits.default({}),
      onDdl: z.enum(['stop', 'ignore', 'exec']).exactOptional(),
      dryRun: z.boolean().default(false),
    }),
  }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('vdiff'), args: VdiffArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('check'), args: NoArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('switchtraffic'), args: SwitchArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('reversetraffic'), args: SwitchArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('complete'), args: CompleteArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('cancel'), args: CompleteArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('validate'), args: ValidateArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('ramp'), args: RampArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('tenant'), args: TenantArgs }),
  z.strictObject({ id: z.string().min(8).max(64), actor, verb: z.literal('rollback'), args: RollbackArgs }),
])
export type ActionRequest = z.infer<typeof ActionRequest>
export type Verb = ActionRequest['verb'] | 'create'

export const ActionView = z.object({
  id: z.string(),
  verb: z.string(),
  state: z.enum(['pending', 'running', 'done', 'failed']),
  requestedAtMs: z.number(),
  startedAtMs: z.number().nullable(),
  endedAtMs: z.number().nullable(),
  /** What it waits for just now (promise 7). */
  waiting: z.object({ what: z.string(), sinceMs: z.number(), ends: z.string() }).nullable(),
  steps: z.array(z.object({ name: z.string(), ms: z.number().nullable(), note: z.string().optional() })),
  /** Human text, line by line, of what was done or would be done. */
  text: z.array(z.string()),
  result: z.unknown(),
  error: ErrorView.nullable(),
  /** All failures at once, where there are several. */
  errors: z.array(ErrorView),
})
export type ActionView = z.infer<typeof ActionView>

export const VdiffView = z.object({
  uid: z.string(),
  state: z.enum(['pending', 'running', 'clean', 'different', 'stopped', 'failed']),
  startedAtMs: z.number().nullable(),
  endedAtMs: z.number().nullable(),
  rowsCompared: z.number(),
  rowsEstimated: z.number(),
  rowsPerSecond: z.number().nullable(),
  etaMs: z.number().nullable(),
  repairedRows: z.number(),
  error: z.object({ code: z.string(), what: z.string(), why: z.string(), fix: z.string() }).nullable(),
  waiting: z.string().nullable(),
  /** Of a continuous one: the number of the pass under way, of which all counts are. */
  pass: z.number().nullable(),
  why: z.string().nullable(),
  groups: z.array(z.object({ name: z.string(), rowsCompared: z.number(), rowsEstimated: z.number(), found: z.number() })),
  tables: z.array(
    z.object({
      name: z.string(),
      state: z.enum(['pending', 'running', 'done']),
      /** What the pass before found of it. */
      last: z.object({ startedAtMs: z.number(), rowsCompared: z.number(), found: z.number() }).optional(),
      rowsCompared: z.number(),
      missing: z.number(),
      extra: z.number(),
      misplaced: z.number(),
      different: z.number(),
      orphans: z.number().optional(),
      samples: z.array(
        z.object({
          kind: z.enum(['missing', 'extra', 'misplaced', 'different', 'orphan']),
          key: z.string(),
          shard: z.string(),
          columns: z.array(z.string()),
        }),
      ),
    }),
  ),
})
export type VdiffView = z.infer<typeof VdiffView>

export const WorkflowView = z.object({
  keyspace: z.string(),
  name: z.string(),
  uid: z.string(),
  kind: z.string(),
  state: z.enum([
    'creating',
    'stopped',
    'copying',
    'running',
    'switched',
    'completing',
    'complete',
    'cancelling',
    'cancelled',
    'failed',
    ...dualwriteStates,
  ]),
  createdAtMs: z.number(),
  sourceShards: z.array(z.string()),
  targetShards: z.array(z.string()),
  serving: z.enum(['source', 'target', 'mixed']),
  streams: z.array(StreamView),
  vdiff: VdiffView.nullable(),
  action: ActionView.nullable(),
  journal: z.array(z.object({ atMs: z.number(), text: z.string() })),
  next: z.array(z.string()),
  undo: UndoView.nullable().default(null),
  dualwrite: DualWriteView.nullable().default(null),
})
export type WorkflowView = z.infer<typeof WorkflowView>

export const GateView = z.object({
  id: z.string(),
  pid: z.number(),
  address: z.string(),
  sessions: z.number(),
  statementsPerSecond: z.number(),
  statements: z.number(),
  errors: z.number(),
  held: z.number(),
  slowestWriteMs: z.number(),
  seen: z.record(z.string(), z.number()),
  fresh: z.boolean(),
  scattered: z.number(),
  slow: z.number(),
  /** Over several shards, that it has ended. */
  deadlocks: z.number(),
  /** Since it began, and the latest, newest first. */
  refusedLogins: z.object({
    total: z.number(),
    latest: z.array(z.object({ user: z.string(), address: z.string(), count: z.number(), lastAtMs: z.number() })).readonly(),
  }),
})

export type GateView = z.infer<typeof GateView>

/** Statements of one shape, of all gates that were asked about. */
export const QueryView = z.object({
  keyspace: z.string(),
  text: z.string(),
  count: z.number(),
  scattered: z.number(),
  slow: z.number(),
  errors: z.number(),
  rows: z.number(),
  totalMs: z.number(),
  /** Null: unknown. */
  p50Ms: z.number().nullable(),
  p99Ms: z.number().nullable(),
  maxMs: z.number(),
})
export type QueryView = z.infer<typeof QueryView>

export const MoverView = z.object({ id: z.string(), pid: z.number(), startedAtMs: z.number(), rssBytes: z.number() })

export const StatusView = z.object({
  installation: z.string(),
  version: z.string(),
  leader: z.object({ holder: z.string(), token: z.number() }).nullable(),
  keyspaces: z.array(KeyspaceView),
  workflows: z.array(WorkflowView),
  gates: z.array(GateView),
  movers: z.array(MoverView),
  nowMs: z.number(),
})
export type StatusView = z.infer<typeof StatusView>
