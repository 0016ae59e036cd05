/**
 * complete and cancel: the two ways a reshard ends. What is retired, in which order and why is `switch/retire.ts`; here is
 * which side goes, and what becomes of the servers that are empty then: those of our own making are removed, found by the
 * ids that the workflow wrote down before it made them (promise 12).
 */
import { forgetFleetRows } from '../ingest/carry.ts'
import { tableNames } from '../move/schema-copy.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { bytesText } from '../plan/text.ts'
import { quoteString } from '../sql/quote.ts'
import { recoverKeyspace } from '../switch/recover.ts'
import { takeRouting } from '../switch/decide.ts'
import { endTheirsInDoubt } from '../switch/in-doubt.ts'
import { retire } from '../switch/retire.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord, StreamRecord } from '../topology/records.ts'
import { componentsOfWorkflow } from '../topology/routing.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import type { ActionContext } from '../workflow/context.ts'
import { withJournal } from '../workflow/records.ts'
import { putBackUnread, retentionOwed } from './binlog-retention.ts'
import { changeErrors } from './errors.ts'
import { requireState, switchContext } from './reshard-switch.ts'
import type { Claims } from './reshard-switch.ts'
import type { ReshardData, ReshardSpec } from './reshard-spec.ts'
import { openUnusedServer, removeServer, withServer } from './servers.ts'
import type { World } from './servers.ts'

type EndArgs = { readonly keepData: boolean; readonly dropSource: boolean; readonly dryRun: boolean }
type End = {
  readonly verb: 'complete' | 'cancel'
  readonly stays: readonly string[]
  readonly goes: readonly string[]
  readonly during: string
  readonly after: string
}

export async function completeVerb(world: World & Claims, context: ActionContext): Promise<void> {
  const { sourceShards, targetShards } = context.workflow.spec as unknown as ReshardSpec
  if (context.workflow.state === 'complete') return endedAlready(context)
  requireState(context, ['running', 'completing'])
  await end(world, context, { verb: 'complete', stays: targetShards, goes: sourceShards, during: 'completing', after: 'complete' })
}

export async function cancelVerb(world: World & Claims, context: ActionContext): Promise<void> {
  const { sourceShards, targetShards } = context.workflow.spec as unknown as ReshardSpec
  if (context.workflow.state === 'cancelled') return endedAlready(context)
  // `creating`: a creation that failed and could not even say so.
  requireState(context, ['running', 'failed', 'creating', 'cancelling'])
  await end(world, context, { verb: 'cancel', stays: sourceShards, goes: targetShards, during: 'cancelling', after: 'cancelled' })
}

/** The attempt before died between the last record and its own outcome, or the request was sent twice. */
async function endedAlready(context: ActionContext): Promise<void> {
  await context.say(`nothing to do: ${context.workflow.keyspace}.${context.workflow.name} is ${context.workflow.state} already`)
}

async function end(world: World & Claims, context: ActionContext, way: End): Promise<void> {
  const { clock, store } = context
  const { keyspace, name, uid } = context.workflow
  const args = context.action.args as unknown as EndArgs
  const real = switchContext(world, context)
  await recoverKeyspace(real, keyspace)
  requireSide(context, (await takeRouting(real, keyspace)).value, way)
  const shards = (await listRecords<ShardRecord>(store, keys.shards(keyspace))).map((record) => record.value)
  const going = shards.filter((shard) => way.goes.includes(shard.name))
  if (way.verb === 'complete' && !args.keepData) await requireKnownTables(context, going)
  if (args.dryRun) {
    return context.say(
      `would ${way.verb} ${keyspace}.${name}: ${way.stays.join(',')} stay and serve`,
      ...(await Promise.all(going.map((shard) => wouldLose(store, shard, fateOf(shard, args, way.verb))))),
    )
  }
  if (context.workflow.state !== way.during) {
    await context.updateWorkflow((w) => withJournal({ ...w, state: way.during }, clock.nowMs(), `${way.verb} begins`))
  }
  // Of what was never made, or is gone already, nothing can be known, and nothing was decided there.
  await endTheirsInDoubt(real, going, real.leadership.signal, way.verb === 'complete' ? [] : ['SW-SWITCH-024'])
  const data = context.workflow.data as ReshardData
  const sides = shards.filter(({ name: shard }) => way.stays.includes(shard) || way.goes.includes(shard))
  await store.commit([], retentionOwed(await readServers(context, sides)))
  // What a switch that was reversed or given up left of fleets on shards that end with this workflow.
  if (way.verb === 'cancel')
    for (const shard of going.filter((one) => !one.provisioned))
      await world.pool.run(shard.serverId, ({ connection }) => forgetFleetRows(connection, [shard.uid]))
  const { removed, emptyServers } = await retire(real, {
    keyspace,
    workflow: name,
    workflowUid: uid,
    verb: way.verb,
    stays: way.stays,
    goes: way.goes,
    tables: data.tables ?? [],
    dropSource: args.dropSource,
    madeOn: data.attachedServers ?? [],
    keepData: args.keepData,
  })
  await context.say(...removed)
  // An attempt before this one may have retired the shards and died before it removed the servers.
  const noted = way.verb === 'cancel' ? (data.newServers ?? []) : (data.oldServers ?? [])
  const left = new Set((await listRecords<ShardRecord>(store, keys.allShards)).map((record) => record.value.serverId))
  for (const id of new Set([...emptyServers, ...noted])) {
    if (left.has(id) || args.keepData) continue
    if (await removeServer(world, id)) await context.say(`server ${id}, which we made, is removed`)
  }
  await putBackUnread(world, (line) => context.say(line))
  await giveBack(world, context, way)
  await context.updateWorkflow((w) => withJournal({ ...w, state: way.after, ended: true }, clock.nowMs(), `${way.verb} done`))
  await context.say(`${keyspace}.${name} is ${way.after}`)
}

/** Servers that streams of this workflow have read, in either direction. */
async function readServers({ store, workflow }: ActionContext, shards: readonly ShardRecord[]): Promise<string[]> {
  const data = workflow.data as ReshardData
  const streams = (await listRecords<StreamRecord>(store, keys.streams)).filter(({ value }) => value.workflowUid === workflow.uid)
  return [
    ...streams.map(({ value }) => value.source.serverId),
    ...shards.map(({ serverId }) => serverId),
    ...(data.oldServers ?? []),
    ...(data.attachedServers ?? []),
    ...(data.newServers ?? []),
  ]
}

/** With a server of ours everything on it goes: nothing may stand there that was not moved. */
async function requireKnownTables(context: ActionContext, going: readonly ShardRecord[]): Promise<void> {
  const moved = (context.workflow.data as ReshardData).tables ?? []
  for (const shard of going.filter((one) => one.provisioned)) {
    const there = await withServer(context.store, shard.serverId, 'admin', (connection) => tableNames(connection, shard.schema))
    const left = there.filter((table) => !moved.includes(table))
    if (left.length > 0) throw changeErrors.tablesLeft({ schema: shard.schema, shard: shard.name, tables: left.join(', ') })
  }
}

/**
 * Attached servers that no shard stands on any more. Targets of a cancelled workflow were closed by us alone and are opened; old
 * sources stay closed, for a client that still writes there would write into nothing, until somebody opens them.
 */
async function giveBack(world: World & Claims, context: ActionContext, way: End): Promise<void> {
  const { store, workflow } = context
  const left = new Set((await listRecords<ShardRecord>(store, keys.allShards)).map((record) => record.value.serverId))
  const data = workflow.data as ReshardData
  // Noted when the shards were claimed: what a refused creation merely named may be another workflow's.
  const attached = way.verb === 'cancel' ? (data.attachedServers ?? []) : (data.oldServers ?? [])
  for (const id of new Set(attached)) {
    if (left.has(id) || (await store.get(keys.server(id))) === null) continue
    if (way.verb === 'complete') {
      await context.say(`server ${id} stays closed to its clients; to open it again: shardwright server open ${id}`)
      continue
    }
    await openUnusedServer(world, world.pool, id, workflow.uid)
    await context.say(`server ${id} is open to its clients again`)
  }
}

/** With the bytes that stand there; a server that does not answer is named all the same. */
async function wouldLose(store: Store, shard: ShardRecord, fate: string): Promise<string> {
  const bytes = await withServer(store, shard.serverId, 'admin', (connection) => schemaBytes(connection, shard.schema)).then(
    (found) => `about ${bytesText(found)}`,
    () => 'bytes unknown: the server does not answer',
  )
  const replicas = shard.replicas ?? []
  const told = replicas.length === 0 ? '' : `; its replicas ${replicas.join(', ')} are forgotten and left as they are`
  return `would ${fate} ${shard.name} (schema ${shard.schema} on ${shard.serverId}, ${bytes})${told}`
}

async function schemaBytes(connection: Connection, schema: string): Promise<number> {
  const { freshStatisticsSql } = flavourOf(connection)
  if (freshStatisticsSql !== null) await connection.query(freshStatisticsSql)
  const sql = `SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)}`
  return Number(await connection.value(sql))
}

function fateOf(shard: ShardRecord, args: EndArgs, verb: End['verb']): string {
  if (args.keepData) return 'keep the rows of'
  if (shard.provisioned) return 'remove'
  if (verb === 'cancel') return 'drop what this workflow made of'
  return args.dropSource ? 'drop the moved tables of' : 'leave as it is, closed to clients,'
}

/** complete only after the switch, cancel only before it. */
function requireSide(context: ActionContext, routing: RoutingRecord, way: End): void {
  const { keyspace, name } = context.workflow
  const base = `shardwright reshard --workflow ${name} --target-keyspace ${keyspace}`
  const elsewhere = componentsOfWorkflow(routing, name).filter(
    (component) => !component.retired && component.serving.primary.some((shard) => way.goes.includes(shard)),
  )
  if (elsewhere.length === 0) return requireReplicaReads(context, routing, way)
  const ranges = elsewhere.map((component) => component.range).join(', ')
  throw way.verb === 'complete'
    ? changeErrors.wrongSide({
        verb: way.verb,
        name,
        keyspace,
        reason: `the sources still serve ${ranges}`,
        fix: `switch first: ${base} switchtraffic`,
      })
    : changeErrors.wrongSide({
        verb: way.verb,
        name,
        keyspace,
        reason: `the targets serve ${ranges}`,
        fix: `switch back first: ${base} reversetraffic; or keep them: ${base} complete`,
      })
}

/** Replica reads move by themselves: they may be on the side that goes though the other one serves. */
function requireReplicaReads(context: ActionContext, routing: RoutingRecord, way: End): void {
  const { keyspace, name } = context.workflow
  const away = componentsOfWorkflow(routing, name).filter(
    (component) => !component.retired && component.serving.replica.some((shard) => way.goes.includes(shard)),
  )
  if (away.length === 0) return
  const move = way.verb === 'complete' ? 'switchtraffic' : 'reversetraffic'
  throw changeErrors.wrongSide({
    verb: way.verb,
    name,
    keyspace,
    reason: `replica reads of ${away.map((component) => component.range).join(', ')} are still on the side that would go`,
    fix: `move them first: shardwright reshard --workflow ${name} --target-keyspace ${keyspace} ${move} --tablet-types replica`,
  })
}
