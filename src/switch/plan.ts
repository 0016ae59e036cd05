/** What one switch concerns, gathered from the topology in one go: sides, servers, streams, tables. */
import { createHash } from 'node:crypto'
import { keyRangesEqual, keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import { sortKeyRanges } from '../keyspace/key-range-sets.ts'
import { keys } from '../topology/keys.ts'
import type {
  KeyspaceRecord,
  RoutingComponent,
  ServerRecord,
  ShardRecord,
  ShardRef,
  StreamRecord,
  StreamTable,
} from '../topology/records.ts'
import { componentsOfWorkflow, rangesForShards } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { readRouting } from './decide.ts'
import { switchErrors } from './errors.ts'
import type { ClosedOptions } from './fence.ts'
import type { FenceKind } from './fence-kinds.ts'
import type { TableName } from './session-locks.ts'

export type Side = { readonly shards: readonly ShardRef[]; readonly serverIds: readonly string[] }

export type SwitchPlan = {
  readonly keyspace: string
  readonly workflow: string
  readonly workflowUid: string
  /** Components that switch together. */
  readonly ranges: readonly string[]
  readonly components: readonly RoutingComponent[]
  /** F: what serves now. */
  readonly from: Side
  /** N: what is to serve. */
  readonly to: Side
  /** Streams that feed N from F. */
  readonly streams: readonly StreamRecord[]
  /** Streams that keep F in step after the switch: there already, or as they will be made. */
  readonly back: readonly StreamRecord[]
  readonly backMissing: readonly StreamRecord[]
  readonly tables: readonly StreamTable[]
  readonly allowUnfenced: readonly string[]
  /** What becomes of user triggers and events. */
  readonly triggers: 'refuse' | 'at-switch'
  /** The fence that was asked for; null: the strongest that fits each server. */
  readonly fence: FenceKind | null
}

/** `shards`: whole components only, named by either side; null: all. */
export async function planSwitch(
  store: Store,
  request: { keyspace: string; workflow: string; shards: readonly string[] | null },
): Promise<SwitchPlan> {
  const { keyspace, workflow } = request
  const routing = await readRouting(store, keyspace)
  const all = componentsOfWorkflow(routing.value, workflow)
  if (all.length === 0) throw switchErrors.nothingToSwitch({ reason: `the workflow ${workflow} has no shards in ${keyspace}` })
  const ranges = request.shards === null ? all.map((c) => c.range) : rangesForShards(routing.value, workflow, request.shards)
  const components = all.filter((c) => ranges.includes(c.range))
  const [record, keyspaceRecord] = await Promise.all([
    readRecord<WorkflowRecord>(store, keys.workflow(keyspace, workflow)),
    readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace)),
  ])
  if (record === null) throw switchErrors.shardUnknown({ kind: 'workflow', name: `${keyspace}.${workflow}` })
  const workflowUid = record.value.uid
  const [from, to] = await Promise.all([
    readSide(
      store,
      keyspace,
      components.flatMap((c) => c.serving.primary),
    ),
    readSide(
      store,
      keyspace,
      components.flatMap((c) => c.other),
    ),
  ])
  const known = (await listRecords<StreamRecord>(store, keys.streamsOf(workflowUid))).map((entry) => entry.value)
  const streams = streamsBetween(known, from, to)
  const there = streamsBetween(known, to, from)
  const wanted = streamsBack(streams, known, from, to)
  const backMissing = wanted.filter((stream) => !there.some((other) => other.source.uid === stream.source.uid))
  const spec = record.value.spec as { triggers?: SwitchPlan['triggers']; fence?: FenceKind | 'strongest' } | null
  return {
    keyspace,
    workflow,
    workflowUid,
    ranges,
    components,
    from,
    to,
    streams,
    back: [...there, ...backMissing],
    backMissing,
    tables: tablesOf(streams),
    allowUnfenced: keyspaceRecord?.value.allowUnfenced ?? [],
    triggers: spec?.triggers ?? 'refuse',
    fence: spec?.fence === undefined || spec.fence === 'strongest' ? null : spec.fence,
  }
}

export async function readSide(store: Store, keyspace: string, names: readonly string[]): Promise<Side> {
  const shards = await Promise.all(
    names.map(async (name): Promise<ShardRef> => {
      const record = await readRecord<ShardRecord>(store, keys.shard(keyspace, name))
      if (record === null) throw switchErrors.shardUnknown({ kind: 'shard', name: `${keyspace}/${name}` })
      const { uid, serverId, schema } = record.value
      return { shard: name, uid, serverId, schema }
    }),
  )
  return { shards, serverIds: [...new Set(shards.map((shard) => shard.serverId))] }
}

export function schemasOn(side: Side, serverId: string): string[] {
  return side.shards.filter((shard) => shard.serverId === serverId).map((shard) => shard.schema)
}

/** How the servers of one side are to be closed: under armed triggers only the schemas of that side are. */
export function fenceOn(plan: Pick<SwitchPlan, 'allowUnfenced'>, side: Side, serverId: string): Required<ClosedOptions> {
  return { allowUnfenced: plan.allowUnfenced, schemas: schemasOn(side, serverId) }
}

/** Every table that a session lock must cover on one server. */
export function tablesOn(plan: SwitchPlan, side: Side, serverId: string): TableName[] {
  return side.shards
    .filter((shard) => shard.serverId === serverId)
    .flatMap((shard) => plan.tables.map((table) => ({ schema: shard.schema, name: table.name })))
}

export async function readServers(store: Store, serverIds: readonly string[]): Promise<ServerRecord[]> {
  return Promise.all(
    serverIds.map(async (id) => {
      const record = await readRecord<ServerRecord>(store, keys.server(id))
      if (record === null) throw switchErrors.shardUnknown({ kind: 'server', name: id })
      return record.value
    }),
  )
}

function streamsBetween(known: readonly StreamRecord[], from: Side, to: Side): StreamRecord[] {
  const uids = new Set(to.shards.map((shard) => shard.uid))
  return known.filter(
    (stream) => from.shards.some((shard) => shard.uid === stream.source.uid) && stream.targets.some((target) => uids.has(target.uid)),
  )
}

function tablesOf(streams: readonly StreamRecord[]): StreamTable[] {
  const byName = new Map<string, StreamTable>()
  for (const stream of streams) for (const table of stream.tables) byName.set(table.name, table)
  return [...byName.values()]
}

/**
 * The streams of the way back: each shard of N feeds the shards of F whose range meets its own. Their uids follow from workflow and source,
 * so that an attempt that died between the rows on F and the record finds its own rows again. Reference tables come back from one shard only, the first
 * of the whole side (1.1), however few of its components switch now; that one feeds every shard that switches, as each of them has a copy.
 */
export function streamsBack(streams: readonly StreamRecord[], known: readonly StreamRecord[], from: Side, to: Side): StreamRecord[] {
  const model = streams[0]
  if (model === undefined) return []
  const { workflowUid, workflow, keyspace, direction, options } = model
  const wholeSide = known.filter((stream) => stream.direction === direction).flatMap((stream) => stream.targets)
  const first = sortKeyRanges(wholeSide.map((shard) => parseKeyRange(shard.shard)))[0]
  const tables = tablesOf(streams)
  const isFirst = (source: ShardRef): boolean => first !== undefined && keyRangesEqual(first, parseKeyRange(source.shard))
  const feedsAll = (source: ShardRef): boolean => isFirst(source) && tables.some((table) => table.reference)
  return to.shards.map((source) => ({
    v: 1,
    uid: createHash('sha256').update(`${workflowUid} back ${source.uid}`).digest('hex').slice(0, 32),
    workflowUid,
    workflow,
    keyspace,
    direction: direction === 'forward' ? 'reverse' : 'forward',
    wanted: 'running',
    generation: 1,
    source,
    targets: from.shards.filter((shard) => feedsAll(source) || keyRangesIntersect(parseKeyRange(shard.shard), parseKeyRange(source.shard))),
    tables,
    movesReference: isFirst(source),
    copy: 'none',
    options: { ...options, deferSecondaryKeys: false, stopAfterCopy: false, failpoints: {} },
  }))
}
