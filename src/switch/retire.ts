/**
 * `complete` and `cancel`: one side goes for good (PROTOCOLS 3). stable → retiring first, which refuses every switch back from then on and is
 * committed only if the side that is to stay serves; only then is anything removed, and only what is this workflow's to remove, found by id
 * (promise 12). All of it can be repeated: a retry after a crash finds the phase retiring and goes on.
 */
import { keys } from '../topology/keys.ts'
import type { ShardRecord, StreamRecord } from '../topology/records.ts'
import { componentsOfWorkflow, detachWorkflow, toRetired, toRetiring } from '../topology/routing.ts'
import type { RoutingChange } from '../topology/routing.ts'
import type { Put } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import { forgetStreams } from '../move/tables.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'
import type { ClaimedServer } from './claim.ts'
import type { SwitchContext } from './context.ts'
import { decide, takeRouting } from './decide.ts'
import { switchErrors } from './errors.ts'
import { removeFence } from './fence.ts'
import { forgetMade, removeMade } from './made.ts'
import { killSessions } from './sessions.ts'
import { settled } from './settled.ts'

export type RetireRequest = {
  readonly keyspace: string
  readonly workflow: string
  readonly workflowUid: string
  readonly verb: 'complete' | 'cancel'
  /** Shards that stay and must serve, of the whole workflow. */
  readonly stays: readonly string[]
  readonly goes: readonly string[]
  readonly tables: readonly string[]
  /** On attached servers: drop the moved tables of the side that goes. */
  readonly dropSource: boolean
  /** Somebody else's servers, on which this workflow may have noted what it made. */
  readonly madeOn: readonly string[]
  /** Leave all rows where they are. */
  readonly keepData: boolean
}

export type Retired = {
  /** What was removed, for people. */
  readonly removed: readonly string[]
  /** Servers of ours on which no shard is left: for the provisioner to remove. */
  readonly emptyServers: readonly string[]
}

/** SW-SWITCH-031, SW-TOPOLOGY-006 when the side that stays does not serve everything. */
export async function retire(context: SwitchContext, request: RetireRequest): Promise<Retired> {
  const { store, leadership } = context
  const { keyspace, workflow } = request
  let routing = await takeRouting(context, keyspace)
  const own = componentsOfWorkflow(routing.value, workflow)
  const ranges = own.map((component) => component.range)
  const goes = await goingShards(context, request)
  if (own.length > 0 && !own.every((component) => component.phase === 'retiring' || component.retired)) {
    const step = { ranges, token: leadership.token, serving: request.stays }
    routing = await decide(context, keyspace, routing, (record) => toRetiring(record, step), ranges)
  }
  const streams = (await listRecords<StreamRecord>(store, keys.streamsOf(request.workflowUid))).map((entry) => entry.value)
  await removeStreams(context, request, streams, goes)
  const removed = (
    await settled([
      ...goes.map((shard) => removeData(context, request, shard)),
      ...request.madeOn.map((id) => removeNoted(context, request, id)),
    ])
  ).flat()

  await removeFences(context, request, goes)
  const puts: Put[] = goes.map((shard) => ({ key: keys.shard(keyspace, shard.name), value: undefined }))
  if (own.length > 0) await decide(context, keyspace, routing, (record) => over(record, request, ranges, leadership.token), ranges, puts)
  return { removed, emptyServers: await emptyServers(context, goes) }
}

function over(record: Parameters<typeof toRetired>[0], request: RetireRequest, ranges: readonly string[], token: number): RoutingChange {
  const retired = toRetired(record, { ranges, token })
  return retired.ok ? detachWorkflow(retired.record, { workflow: request.workflow, token }) : retired
}

/** No switch is to come: triggers that were its fence cost every write something. One that is busy keeps them, disarmed. */
async function removeFences({ store, pool, log }: SwitchContext, request: RetireRequest, goes: readonly ShardRecord[]): Promise<void> {
  const shards = (await listRecords<ShardRecord>(store, keys.shards(request.keyspace))).map((record) => record.value)
  const staying = shards.filter((shard) => request.stays.includes(shard.name))
  // Of a cancelled workflow the tables that stay were somebody else's before; what was completed stays closed.
  const rid = request.verb === 'cancel' && !request.keepData ? [...staying, ...goes] : staying
  for (const id of new Set(rid.map((shard) => shard.serverId))) {
    const schemas = rid.filter((shard) => shard.serverId === id).map((shard) => shard.schema)
    await pool
      .run(id, (server) => removeFence(server, schemas))
      .catch((error: unknown) => {
        if (!isServerError(error)) throw error
        log.warn({ server: id, error: error.serverMessage }, 'fence triggers stay, disarmed')
      })
  }
}

/** A shard that is gone from the topology was removed by an attempt before. */
async function goingShards({ store }: SwitchContext, request: RetireRequest): Promise<ShardRecord[]> {
  const shards: ShardRecord[] = []
  for (const name of request.goes) {
    const record = await readRecord<ShardRecord>(store, keys.shard(request.keyspace, name))
    if (record === null) continue
    if (request.verb === 'cancel' && record.value.madeBy !== request.workflowUid) {
      throw switchErrors.retireRefused({ verb: request.verb, reason: `the shard ${name} was not made by this workflow` })
    }
    shards.push(record.value)
  }
  return shards
}

/** The records first: movers stop by them. Then the rows, after which a mover that still writes keeps nothing (1.7). */
async function removeStreams(
  { store, pool, leadership }: SwitchContext,
  request: RetireRequest,
  streams: readonly StreamRecord[],
  goes: readonly ShardRecord[],
): Promise<void> {
  const uids = streams.map((stream) => stream.uid)
  const puts: Put[] = uids.flatMap((uid) => [
    { key: keys.stream(request.workflowUid, uid), value: undefined },
    { key: keys.report(request.workflowUid, uid), value: undefined },
  ])
  puts.push({ key: keys.pace(request.workflowUid), value: undefined })
  const result = await store.commit([leadership.fence], puts)
  if (!result.ok) throw switchErrors.decisionLost({ keyspace: request.keyspace, reason: 'this controller does not lead any more' })
  // Not from the streams alone: an attempt before this one may have removed their records and died.
  const shards = await listRecords<ShardRecord>(store, keys.shards(request.keyspace))
  const servers = new Set([
    ...shards.filter((shard) => request.stays.includes(shard.value.name)).map((shard) => shard.value.serverId),
    ...streams.flatMap((stream) => [stream.source, ...stream.targets]).map((shard) => shard.serverId),
    ...goes.map((shard) => shard.serverId),
  ])
  await settled([...servers].map((id) => pool.run(id, ({ connection }) => forgetStreams(connection, request.workflowUid))))
}

async function removeData({ pool }: SwitchContext, request: RetireRequest, shard: ShardRecord): Promise<string[]> {
  if (request.keepData) return [`${shard.name}: kept`]
  if (shard.provisioned) {
    await pool.run(shard.serverId, (server) => drop(server, `DROP DATABASE IF EXISTS ${quoteIdentifier(shard.schema)}`))
    return [`${shard.name}: schema ${shard.schema} on ${shard.serverId}`]
  }
  // What stands on somebody else's server is told by the notes that were made there.
  if (request.verb === 'cancel') return []
  if (!request.dropSource) return [`${shard.name}: left on ${shard.serverId}, which stays closed`]
  for (const table of request.tables) {
    await pool.run(shard.serverId, (server) => drop(server, `DROP TABLE IF EXISTS ${quoteQualified(shard.schema, table)}`))
  }
  return [`${shard.name}: ${request.tables.length} tables in ${shard.schema} on ${shard.serverId}`]
}

/** What a creation made there, however far it came; a workflow that is complete only forgets its notes. */
async function removeNoted({ store, pool }: SwitchContext, request: RetireRequest, serverId: string): Promise<string[]> {
  // A creation that could not even attach it.
  if ((await store.get(keys.server(serverId))) === null) return []
  return pool.run(serverId, async (server) => {
    if (request.verb === 'complete' || request.keepData) {
      await forgetMade(server.connection, request.workflowUid)
      return []
    }
    const said = await removeMade(server.connection, request.workflowUid, (sql) => drop(server, sql))
    return said.map((text) => `${serverId}: ${text}`)
  })
}

/** A mover that was paused in a transaction holds the table; it has no right to write any more, so its session may go. */
async function drop({ connection, ours }: ClaimedServer, sql: string): Promise<void> {
  const attemptsMax = 5
  for (let attempt = 1; ; attempt++) {
    try {
      await connection.query(sql)
      return
    } catch (error) {
      if (!isServerError(error) || error.kind !== 'lockWait' || attempt === attemptsMax) throw error
    }
    const holders = (await flavourOf(connection).sessions(connection, 'start')).filter(
      (session) => session.transaction !== null && session.user !== ours.admin,
    )
    await killSessions(connection, holders)
  }
}

async function emptyServers({ store, pool }: SwitchContext, goes: readonly ShardRecord[]): Promise<string[]> {
  const used = new Set((await listRecords<ShardRecord>(store, keys.allShards)).map((entry) => entry.value.serverId))
  const empty = [...new Set(goes.map((shard) => shard.serverId))].filter((id) => !used.has(id))
  await Promise.all(empty.map((id) => pool.release(id)))
  return empty
}
