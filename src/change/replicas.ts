/**
 * Replicas of a shard's server, and which server is its primary. Nothing here elects: a person, or whatever runs their replication, says which server
 * is to be the primary, and it is believed only when the servers prove it.
 *
 * `setPrimary`, in this order: the shard's streams stop; the old primary is closed, lasting; the new one must have executed all that the old one has, and all that a stream has read of
 * it; it stops replicating and is closed *before* it is made the primary; one commit puts the shard and its streams on it; then it is opened if the record
 * says that the shard serves. So at no instant do both take client writes (promise 2), and a stream goes on only where its position is known to the
 * new server (PROTOCOLS 1.10). What is begun is recorded before it is: a failure, or a controller that dies, leaves it to `primary-change.ts`, which
 * takes it back before the commit and finishes it after. All of it may be asked for again: what is done already is left.
 */
import type { Clock } from '../base/clock.ts'
import { currentPosition, executedContains } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { binlogProblems } from '../mysql/flavour/shared.ts'
import { readTarget } from '../move/tables.ts'
import type { ClaimPool } from '../switch/claim.ts'
import { ControllerDied } from '../switch/crash-points.ts'
import { closeServer, openServer, prepareFence } from '../switch/fence.ts'
import { keys } from '../topology/keys.ts'
import type {
  KeyspaceRecord,
  PrimaryChange,
  RoutingRecord,
  ServerRecord,
  ServerSecret,
  ShardRecord,
  StreamRecord,
  StreamReport,
} from '../topology/records.ts'
import { componentOfShard, servesPrimary } from '../topology/routing.ts'
import type { Condition, Store } from '../topology/store.ts'
import { listRecords, put, readRecord, unchanged, updateRecord } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import { changeErrors } from './errors.ts'
import { beginPrimaryChange, giveBack, settlePrimaryChange, streamsOf } from './primary-change.ts'
import { sourceOf, stopReplicating } from './replication.ts'
import { connectServer, withServer } from './servers.ts'
import type { ServerAddress, World } from './servers.ts'

type Place = { readonly keyspace: string; readonly shard: string }

/** Takes a running replica of the shard's server into the topology. SW-CHANGE-045 when it is none. */
export async function addReplica(world: World, { keyspace, shard }: Place, address: ServerAddress): Promise<ServerRecord> {
  const { store } = world
  const id = `${address.host}:${address.port}`
  const record = await needShard(store, keyspace, shard)
  if (replicasOf(record.value).includes(id)) return (await needServer(store, id)).value
  const used = (await listRecords<ShardRecord>(store, keys.allShards)).find(
    (one) => one.value.serverId === id || replicasOf(one.value).includes(id),
  )
  if (used !== undefined) throw changeErrors.serverInUse({ server: id, shards: `${used.value.keyspace}/${used.value.name}` })
  const secret = await readRecord<ServerSecret>(store, keys.secret(record.value.serverId))
  if (secret === null) throw changeErrors.noServer({ server: record.value.serverId })
  const { user, password, host, port } = address
  const connection = await connect({ host, port, user, password }).catch((error: unknown) => {
    throw changeErrors.serverUnreachable({ server: id, reason: (error as Error).message }, error)
  })
  try {
    const refuse = (reason: string): never => {
      throw changeErrors.notReplica({ server: id, primary: record.value.serverId, reason })
    }
    const primary = await withServer(store, record.value.serverId, 'admin', identityOf)
    const source = await sourceOf(connection)
    if (source === null) refuse('it replicates from nobody')
    else if (source.of !== primary) refuse('it replicates from another server')
    else if (!source.running) refuse(`its replication does not run${source.error === '' ? '' : `: ${source.error}`}`)
    if ((await connection.value('SELECT @@GLOBAL.read_only')) !== '1') refuse('it takes writes (read_only=0)')
    await ourAccounts(connection, secret.value)
    const known: ServerRecord = {
      v: 1,
      id,
      flavour: connection.flavour,
      version: connection.serverVersion,
      host,
      port,
      socketPath: null,
      provisioned: false,
      dataDir: null,
    }
    const result = await store.commit(
      [unchanged(record), { key: keys.server(id), version: (await store.get(keys.server(id)))?.version ?? 0 }],
      [
        put(keys.server(id), known),
        put(keys.secret(id), secret.value),
        put(keys.shard(keyspace, shard), { ...record.value, replicas: [...replicasOf(record.value), id] }),
      ],
    )
    return result.ok ? known : addReplica(world, { keyspace, shard }, address)
  } finally {
    await connection.close()
  }
}

/** Forgets it; the server itself is left as it is. */
export async function removeReplica(world: World, { keyspace, shard }: Place, id: string): Promise<void> {
  const record = await needShard(world.store, keyspace, shard)
  if (!replicasOf(record.value).includes(id))
    throw changeErrors.noReplica({ keyspace, shard, server: id, replicas: replicasOf(record.value).join(', ') || 'none' })
  const next = { ...record.value, replicas: replicasOf(record.value).filter((one) => one !== id) }
  const result = await world.store.commit(
    [unchanged(record)],
    [put(keys.shard(keyspace, shard), next), { key: keys.server(id), value: undefined }, { key: keys.secret(id), value: undefined }],
  )
  if (!result.ok) await removeReplica(world, { keyspace, shard }, id)
}

export type SetPrimary = Place & {
  readonly server: string
  /** It cannot be reached, and what it had not replicated is given up. Streams' positions are still asked for. */
  readonly oldIsDown: boolean
  /** For the replica to have executed all that the old primary has. */
  readonly catchUpMs: number
}

/** Places where a controller may die, for tests. */
export type PrimaryFailpoint = (point: 'oldClosed' | 'newClosed' | 'committed') => Promise<void>

/** In the keyspace's turn. Returns what was done, for people. */
export async function setPrimary(
  world: World,
  pool: ClaimPool,
  fence: Condition,
  request: SetPrimary,
  failpoint: PrimaryFailpoint = async () => undefined,
): Promise<string[]> {
  const { store, clock, log } = world
  const { keyspace, shard: name, server: id, oldIsDown, catchUpMs } = request
  const shard = await needShard(store, keyspace, name)
  const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  if (routing === null) throw changeErrors.noKeyspace({ keyspace })
  const component = componentOfShard(routing.value, name)
  if (component !== undefined && component.phase !== 'stable')
    throw changeErrors.primaryRefused({ server: id, reason: `${name} is ${component.phase}` })
  const serves = servesPrimary(routing.value, name)
  const old = shard.value.serverId
  const key = keys.primaryChange(keyspace, name)
  if (old === id) {
    // An attempt before this one died between its commit and the opening.
    await settlePrimaryChange(world, pool, fence, key)
    if (serves) await pool.run(id, (server) => openServer(server))
    return [`${id} is the primary of ${keyspace}/${name} already`]
  }
  if (!replicasOf(shard.value).includes(id))
    throw changeErrors.noReplica({ keyspace, shard: name, server: id, replicas: replicasOf(shard.value).join(', ') || 'none' })
  const sharing = (await listRecords<ShardRecord>(store, keys.allShards)).filter(
    (one) => one.value.serverId === old && one.value.uid !== shard.value.uid,
  )
  if (sharing.length > 0)
    throw changeErrors.primaryRefused({
      server: id,
      reason: `${old} also holds ${sharing.map((one) => `${one.value.keyspace}/${one.value.name}`).join(', ')}`,
    })
  await using candidate = await connectServer(store, id, 'admin')
  await requireFit(candidate, id)
  const { allowUnfenced = [] } = (await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace)))?.value ?? {}
  const said: string[] = []
  const lost = (): Error => changeErrors.primaryRefused({ server: id, reason: 'the topology changed meanwhile; ask again' })
  const begun: PrimaryChange = { v: 1, keyspace, shard: name, from: old, to: id, oldIsDown, ran: [], taken: false }
  const { change, before } = await beginPrimaryChange(store, fence, shard.value.uid, begun)
  if (change === null) throw lost()
  const ran = new Set(change.ran)
  try {
    // Another replica that an attempt before this one had closed.
    if (before !== null && before.taken && before.to !== id) await giveBack(world, pool, before.to)
    // Movers write markers on the old primary, whatever fence stands there, and read them again: a position must not move on beyond what is looked at.
    await stopStreams(store, fence, shard.value.uid, { clock, waitMs: catchUpMs })
    if (!oldIsDown) {
      await pool.run(old, (server) => closeServer(server, { allowUnfenced }, clock))
      said.push(`${old} is closed`)
      await failpoint('oldClosed')
      await caughtUp(await withServer(store, old, 'admin', currentPosition), candidate, { id, old, clock, catchUpMs })
    }
    const streams = await streamsOf(store, shard.value.uid)
    await requirePositions(store, candidate, id, shard.value.uid, streams)
    const taking = await updateRecord<PrimaryChange>(store, key, (now) => (now === null ? null : { ...now, taken: true }), [fence])
    if (!taking.ok || taking.value === null) throw lost()
    // Through the claim: a controller that does not lead any more stops nobody's replication.
    await pool.run(id, async (server) => {
      await stopReplicating(server.connection)
      await prepareFence(server, [shard.value.schema], clock)
      await closeServer(server, { allowUnfenced }, clock)
    })
    await failpoint('newClosed')
    const moved = { ...shard.value, serverId: id, replicas: replicasOf(shard.value).filter((one) => one !== id) }
    const result = await store.commit(
      [unchanged(shard), unchanged(routing), fence, ...streams.map(unchanged)],
      [
        put(keys.shard(keyspace, name), moved),
        ...streams.map((stream) => put(stream.key, runAgain(onServer(stream.value, shard.value.uid, id), ran))),
      ],
    )
    if (!result.ok) throw lost()
    await failpoint('committed')
    said.push(`${id} is the primary of ${keyspace}/${name}`, ...(streams.length === 0 ? [] : [`${streams.length} streams go on there`]))
  } catch (error) {
    if (error instanceof ControllerDied) throw error
    // By what the record says: the outcome of the commit may be unknown. What cannot be settled now is tried again while we lead.
    await settlePrimaryChange(world, pool, fence, key).catch((reason: unknown) =>
      log.warn({ keyspace, shard: name, error: String(reason) }, 'a change of a primary is not taken back yet; it is tried again'),
    )
    throw error
  }
  await settlePrimaryChange(world, pool, fence, key)
  if (serves) said.push(`${id} takes writes`)
  said.push(
    oldIsDown
      ? `${old} must not take writes when it comes back: close its clients out before it is started, then let it replicate from ${id}`
      : `${old} stays closed; let it replicate from ${id}, then: shardwright shard add-replica ${keyspace}/${name} --server …`,
  )
  await pool.release(old)
  return said
}

export function replicasOf(shard: ShardRecord): readonly string[] {
  return shard.replicas ?? []
}

function onServer(stream: StreamRecord, shardUid: string, serverId: string): StreamRecord {
  const on = <T extends { uid: string; serverId: string }>(ref: T): T => (ref.uid === shardUid ? { ...ref, serverId } : ref)
  return { ...stream, source: on(stream.source), targets: stream.targets.map(on), generation: stream.generation + 1 }
}

/** Waits for their movers to say that they stand; one that cannot is found out by its mover's own look at the server. */
async function stopStreams(
  store: Store,
  fence: Condition,
  shardUid: string,
  { clock, waitMs }: { clock: Clock; waitMs: number },
): Promise<void> {
  const ran = (await streamsOf(store, shardUid)).filter((stream) => stream.value.wanted === 'running')
  for (const stream of ran)
    await updateRecord<StreamRecord>(store, stream.key, (now) => (now === null ? null : { ...now, wanted: 'stopped' }), [fence])
  const untilMs = clock.monotonicMs() + waitMs
  for (const { value: stream } of ran) {
    for (;;) {
      const report = await readRecord<StreamReport>(store, keys.report(stream.workflowUid, stream.uid))
      if (report === null || report.value.state === 'stopped' || report.value.state === 'failed' || clock.monotonicMs() >= untilMs) break
      await clock.sleep(20)
    }
  }
}

function runAgain(stream: StreamRecord, ran: ReadonlySet<string>): StreamRecord {
  return ran.has(stream.uid) ? { ...stream, wanted: 'running' } : stream
}

/** What a stream has read of the old primary must be in the new one; otherwise rows on its targets would stand nowhere else. */
async function requirePositions(
  store: Store,
  candidate: Connection,
  id: string,
  shardUid: string,
  streams: readonly Versioned<StreamRecord>[],
): Promise<void> {
  for (const { value: stream } of streams.filter((one) => one.value.source.uid === shardUid)) {
    for (const target of stream.targets) {
      const stored = await withServer(store, target.serverId, 'admin', (connection) => readTarget(connection, stream.uid, target.uid))
      if (stored === null || (await executedContains(candidate, stored.position as Position))) continue
      throw changeErrors.replicaBehind({ server: id, what: `the stream from ${stream.source.shard} to ${target.shard} has read` })
    }
  }
}

async function caughtUp(
  position: Position,
  candidate: Connection,
  { id, old, clock, catchUpMs }: { id: string; old: string; clock: Clock; catchUpMs: number },
): Promise<void> {
  const untilMs = clock.monotonicMs() + catchUpMs
  while (!(await executedContains(candidate, position))) {
    if (clock.monotonicMs() >= untilMs) throw changeErrors.replicaBehind({ server: id, what: `${old} has executed, after ${catchUpMs} ms` })
    await clock.sleep(10)
  }
}

async function requireFit(candidate: Connection, id: string): Promise<void> {
  const [problem] = binlogProblems(await flavourOf(candidate).binlogSettings(candidate))
  if (problem !== undefined)
    throw changeErrors.primaryRefused({ server: id, reason: `${problem.setting} is ${problem.value}: ${problem.why}` })
  const logs = await candidate
    .value('SELECT @@GLOBAL.log_slave_updates')
    .catch(() => candidate.value('SELECT @@GLOBAL.log_replica_updates'))
  if (logs !== '1') throw changeErrors.primaryRefused({ server: id, reason: 'it does not log what it replicates (log_replica_updates)' })
}

/** Our accounts came with replication where they were made on the primary; else they are made with the same passwords, in no binlog. */
async function ourAccounts(connection: Connection, secret: ServerSecret): Promise<void> {
  const flavour = flavourOf(connection)
  const there = new Set((await flavour.accounts(connection)).map((account) => account.user))
  const missing = (['admin', 'mover', 'gate'] as const).filter((role) => !there.has(secret[role].user))
  if (missing.length === 0) return
  const statements = missing.flatMap((role) => flavour.accountStatements(role, secret[role]))
  for (const sql of ['SET SESSION sql_log_bin = 0', ...statements]) await connection.query(sql)
}

async function identityOf(connection: Connection): Promise<string> {
  return (await connection.value(connection.flavour === 'mysql' ? 'SELECT @@server_uuid' : 'SELECT @@server_id')) ?? ''
}

async function needShard(store: Store, keyspace: string, shard: string): Promise<Versioned<ShardRecord>> {
  const record = await readRecord<ShardRecord>(store, keys.shard(keyspace, shard))
  if (record === null) throw changeErrors.noShard({ keyspace, shard, serving: 'see `shardwright shard list`' })
  return record
}

async function needServer(store: Store, id: string): Promise<Versioned<ServerRecord>> {
  const record = await readRecord<ServerRecord>(store, keys.server(id))
  if (record === null) throw changeErrors.noServer({ server: id })
  return record
}
