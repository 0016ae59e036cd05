/**
 * Another server becomes a shard's primary. Nothing here elects: a person, or whatever runs their replication, says which, and it is believed only
 * when the servers prove it.
 *
 * In this order: the shard's streams stop, and the new server has all but the last moment of the old one; gates hold writes (`write-hold.ts`); the
 * old primary is closed, lasting; the new one must have executed all that the old one has, and all that a stream has read of it; it stops
 * replicating and is closed *before* it is made the primary; one commit puts the shard and its streams on it, and the old one among those that are
 * kept closed (`given-up.ts`); then it is opened if the record says that the shard serves, and gates let go. So at no instant do both take client
 * writes (promise 2), and a stream goes on only where its position is known to the new server (PROTOCOLS 1.10). What is begun is recorded before it
 * is: a failure, or a controller that dies, leaves it to `primary-change.ts`, which takes it back before the commit and finishes it after. All of
 * it may be asked for again: what is done already is left.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { currentPosition, executedContains } from '../binlog/position.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { binlogProblems } from '../mysql/flavour/shared.ts'
import { hasLeftTargets } from '../move/stream-report.ts'
import { markerStream } from '../move/markers.ts'
import { readShown } from '../move/seen.ts'
import { lackedBy } from '../move/source-start.ts'
import type { ClaimPool } from '../switch/claim.ts'
import { ControllerDied } from '../switch/crash-points.ts'
import { closeServer, openServer, prepareFence } from '../switch/fence.ts'
import { keys } from '../topology/keys.ts'
import type {
  GivenUpServer,
  KeyspaceRecord,
  PrimaryChange,
  RoutingRecord,
  ShardRecord,
  StreamRecord,
  StreamReport,
} from '../topology/records.ts'
import { componentOfShard, servesPrimary } from '../topology/routing.ts'
import type { Condition, Store } from '../topology/store.ts'
import { listRecords, put, readRecord, unchanged, updateRecord } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import { AuditTrail } from '../workflow/audit.ts'
import type { Leadership } from '../workflow/context.ts'
import { changeErrors } from './errors.ts'
import { beginPrimaryChange, giveBack, settlePrimaryChange, streamsOf } from './primary-change.ts'
import { needShard, replicasOf, shardLog, type Place } from './replicas.ts'
import { stopReplicating } from './replication.ts'
import { connectServer, withServer } from './servers.ts'
import type { World } from './servers.ts'
import { holdWrites } from './write-hold.ts'

export type SetPrimary = Place & {
  readonly server: string
  /** It cannot be reached, and what it had not replicated is given up. Streams' positions are still asked for. */
  readonly oldIsDown: boolean
  /** For the replica to have executed all that the old primary has. */
  readonly catchUpMs: number
  /** For the log: who asked, and under which id. */
  readonly actor?: string
  readonly id?: string
}

/** Places where a controller may die, for tests. */
export type PrimaryFailpoint = (point: 'oldClosed' | 'newClosed' | 'committed') => Promise<void>

/** While gates hold, all that may be left to catch up with is the last moment. */
const heldCatchUpMs = 5_000

/** In the keyspace's turn. Returns what was done, for people; who asked, each step and the outcome stand in the shard's log. */
export async function setPrimary(
  world: World,
  pool: ClaimPool,
  leadership: Leadership,
  request: SetPrimary,
  failpoint: PrimaryFailpoint = async () => undefined,
): Promise<string[]> {
  const { keyspace, shard, server, oldIsDown, catchUpMs, actor = 'unknown', id = '' } = request
  const { store, clock, log } = world
  const trail = new AuditTrail({ store, clock, log, keyspace, workflow: shardLog(shard), actor, verb: 'set-primary', action: id })
  const startedMs = clock.monotonicMs()
  trail.append('request', `set-primary ${server}`, { inputs: { server, oldIsDown, catchUpMs }, outcome: 'taken' })
  const said: string[] = []
  const tell = (text: string): void => {
    said.push(text)
    trail.append('step', text, { outcome: 'done', ms: Math.round(clock.monotonicMs() - startedMs) })
  }
  try {
    await change(world, pool, leadership, request, tell, failpoint)
    trail.append('outcome', `set-primary ${server}`, { outcome: 'done', ms: Math.round(clock.monotonicMs() - startedMs) })
    return said
  } catch (error) {
    const outcome = isSwError(error) ? `${error.code} ${error.message}` : String(error)
    if (!(error instanceof ControllerDied)) trail.append(said.length === 0 ? 'refusal' : 'outcome', `set-primary ${server}`, { outcome })
    throw error
  } finally {
    await trail.flush()
  }
}

async function change(
  world: World,
  pool: ClaimPool,
  leadership: Leadership,
  request: SetPrimary,
  tell: (text: string) => void,
  failpoint: PrimaryFailpoint,
): Promise<void> {
  const { store, clock, log } = world
  const { fence } = leadership
  const { keyspace, shard: name, server: id, oldIsDown, catchUpMs } = request
  const shard = await needShard(store, keyspace, name)
  const before = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  if (before === null) throw changeErrors.noKeyspace({ keyspace })
  const component = componentOfShard(before.value, name)
  if (component !== undefined && component.phase !== 'stable')
    throw changeErrors.primaryRefused({ server: id, reason: `${name} is ${component.phase}` })
  const serves = servesPrimary(before.value, name)
  const old = shard.value.serverId
  const key = keys.primaryChange(keyspace, name)
  if (old === id) {
    // An attempt before this one died between its commit and the opening.
    await settlePrimaryChange(world, pool, leadership, key)
    if (serves) await pool.run(id, (server) => openServer(server))
    return tell(`${id} is the primary of ${keyspace}/${name} already`)
  }
  await requireCandidate(store, shard.value, id)
  await using candidate = await connectServer(store, id, 'admin')
  await requireFit(candidate, id)
  const { allowUnfenced = [] } = (await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace)))?.value ?? {}
  const lost = (): Error => changeErrors.primaryRefused({ server: id, reason: 'the topology changed meanwhile; ask again' })
  const begun: PrimaryChange = { v: 1, keyspace, shard: name, from: old, to: id, oldIsDown, ran: [], taken: false }
  const { change, before: earlier } = await beginPrimaryChange(store, fence, shard.value.uid, begun)
  if (change === null) throw lost()
  const ran = new Set(change.ran)
  try {
    // Another replica that an attempt before this one had closed.
    if (earlier !== null && earlier.taken && earlier.to !== id) await giveBack(world, pool, earlier.to)
    // Movers write markers on the old primary, whatever fence stands there, and read them again: a position must not move on beyond what is looked at.
    await stopStreams(store, fence, shard.value.uid, { clock, waitMs: catchUpMs, oldIsDown })
    // Nobody waits yet: one that is far behind is refused here.
    if (!oldIsDown) await caughtUp(store, old, candidate, { id, clock, catchUpMs })
    let routing: Versioned<RoutingRecord> = before
    if (serves) {
      const held = await holdWrites({ store, clock, leadership }, keyspace, name)
      routing = held.routing
      tell(`${held.gates} gates hold writes`)
    }
    if (!oldIsDown) {
      await pool.run(old, (server) => closeServer(server, { allowUnfenced }, clock))
      tell(`${old} is closed`)
      await failpoint('oldClosed')
      await caughtUp(store, old, candidate, { id, clock, catchUpMs: Math.min(catchUpMs, heldCatchUpMs) })
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
    const givenUp: GivenUpServer = { v: 1, serverId: old, keyspace, shard: name, allowUnfenced: [...allowUnfenced], closed: !oldIsDown }
    const result = await store.commit(
      [unchanged(shard), unchanged(routing), fence, ...streams.map(unchanged)],
      [
        put(keys.shard(keyspace, name), moved),
        put(keys.givenUp(old), givenUp),
        { key: keys.givenUp(id), value: undefined },
        ...streams.map((stream) => put(stream.key, runAgain(onServer(stream.value, shard.value.uid, id), ran))),
      ],
    )
    if (!result.ok) throw lost()
    await failpoint('committed')
    tell(`${id} is the primary of ${keyspace}/${name}`)
    if (streams.length > 0) tell(`${streams.length} streams go on there`)
  } catch (error) {
    if (error instanceof ControllerDied) throw error
    // By what the record says: the outcome of the commit may be unknown. What cannot be settled now is tried again while we lead.
    await settlePrimaryChange(world, pool, leadership, key).catch((reason: unknown) =>
      log.warn({ keyspace, shard: name, error: String(reason) }, 'a change of a primary is not taken back yet; it is tried again'),
    )
    throw error
  }
  await settlePrimaryChange(world, pool, leadership, key)
  if (serves) tell(`${id} takes writes`)
  tell(
    oldIsDown
      ? `${old} is closed as soon as it is seen again; then let it replicate from ${id}, and: shardwright shard add-replica ${keyspace}/${name} --server …`
      : `${old} stays closed; let it replicate from ${id}, then: shardwright shard add-replica ${keyspace}/${name} --server …`,
  )
  await pool.release(old)
}

async function requireCandidate(store: Store, shard: ShardRecord, id: string): Promise<void> {
  const { keyspace, name, serverId: old } = shard
  if (!replicasOf(shard).includes(id))
    throw changeErrors.noReplica({ keyspace, shard: name, server: id, replicas: replicasOf(shard).join(', ') || 'none' })
  const sharing = (await listRecords<ShardRecord>(store, keys.allShards)).filter(
    (one) => one.value.serverId === old && one.value.uid !== shard.uid,
  )
  if (sharing.length > 0)
    throw changeErrors.primaryRefused({
      server: id,
      reason: `${old} also holds ${sharing.map((one) => `${one.value.keyspace}/${one.value.name}`).join(', ')}`,
    })
}

function onServer(stream: StreamRecord, shardUid: string, serverId: string): StreamRecord {
  const on = <T extends { uid: string; serverId: string }>(ref: T): T => (ref.uid === shardUid ? { ...ref, serverId } : ref)
  return { ...stream, source: on(stream.source), targets: stream.targets.map(on), generation: stream.generation + 1 }
}

/** A mover says of no stream that it is stopped before all its targets have. */
const downMs = 3_000

/** Waits for their movers to say that they stand; one that cannot is found out by its mover's own look at the server. */
async function stopStreams(
  store: Store,
  fence: Condition,
  shardUid: string,
  { clock, waitMs, oldIsDown }: { clock: Clock; waitMs: number; oldIsDown: boolean },
): Promise<void> {
  const ran = (await streamsOf(store, shardUid)).filter((stream) => stream.value.wanted === 'running')
  for (const stream of ran)
    await updateRecord<StreamRecord>(store, stream.key, (now) => (now === null ? null : { ...now, wanted: 'stopped' }), [fence])
  const beganMs = clock.monotonicMs()
  for (const { value: stream } of ran) {
    const neverSaid = oldIsDown && stream.targets.some(({ uid }) => uid === shardUid)
    const untilMs = beganMs + (neverSaid ? Math.min(waitMs, downMs) : waitMs)
    for (;;) {
      const report = await readRecord<StreamReport>(store, keys.report(stream.workflowUid, stream.uid))
      if (report === null || hasLeftTargets(report.value) || clock.monotonicMs() >= untilMs) break
      await clock.sleep(20)
    }
  }
}

function runAgain(stream: StreamRecord, ran: ReadonlySet<string>): StreamRecord {
  return ran.has(stream.uid) ? { ...stream, wanted: 'running' } : stream
}

/** What a stream has read of the old primary, also beyond the position that it stored, must be in the new one; otherwise rows on its targets would stand nowhere else, or be missing (PROTOCOLS 1.10). */
async function requirePositions(
  store: Store,
  candidate: Connection,
  id: string,
  shardUid: string,
  streams: readonly Versioned<StreamRecord>[],
): Promise<void> {
  for (const { value: stream } of streams.filter((one) => one.value.source.uid === shardUid)) {
    for (const target of stream.targets) {
      const shown = await withServer(store, target.serverId, 'admin', (connection) => readShown(connection, stream.uid, target.uid))
      if (shown === null) continue
      const lacked = await lackedBy(candidate, markerStream(stream.workflowUid, stream.uid), shown)
      if (lacked === null) continue
      throw changeErrors.replicaLacksRead({
        server: id,
        source: stream.source.shard,
        target: target.shard,
        workflow: stream.workflow,
        lacked: lacked.kind === 'transactions' ? lacked.which : `marker ${lacked.read} (it has ${lacked.has ?? 'none'})`,
      })
    }
  }
}

async function caughtUp(
  store: Store,
  old: string,
  candidate: Connection,
  { id, clock, catchUpMs }: { id: string; clock: Clock; catchUpMs: number },
): Promise<void> {
  const position = await withServer(store, old, 'admin', currentPosition)
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
