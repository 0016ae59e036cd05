/** A ladder's world out of the topology: both branches' serving shards, fleets paired by topic, a client account at a gate for as long as it is needed. */
import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { TopicDefinition } from '../../ingest/definition.ts'
import { compareKeyRanges, parseKeyRange } from '../../keyspace/key-range.ts'
import { addressesOf } from '../../move/access.ts'
import { connect } from '../../mysql/connect.ts'
import { openTopic } from '../../topic/open.ts'
import { branchKeyspace, mainBranch } from '../../topology/dualwrite-records.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import { keepLease } from '../../topology/kept-lease.ts'
import { keys } from '../../topology/keys.ts'
import type { GateRecord, RoutingRecord, ShardRecord, UserRecord } from '../../topology/records.ts'
import { servesPrimary } from '../../topology/routing.ts'
import type { Store } from '../../topology/store.ts'
import { absent, listRecords, put, readRecord } from '../../topology/typed.ts'
import { Sessions } from '../sessions.ts'
import type { BranchSide, FleetPair, GateAccess, LadderCopies, LadderOptions, LadderWorld } from './world.ts'
import { ladderDefaults } from './world.ts'

export type LadderPlace = {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
  readonly keyspace: string
  readonly branch: string
  readonly workflowUid: string
  readonly holder: string
  readonly planVersion: number
  readonly definitionDigest: string
  readonly loadDefinition: (path: string) => Promise<TopicDefinition>
  /** Reads are replayed through a gate: an account there is made, and removed at the end. */
  readonly throughGate: boolean
  readonly options?: Partial<LadderOptions>
  /** Absent: the run copies nothing. */
  readonly copies?: LadderCopies
}

/** Runs `work` in the world of one keyspace and branch. */
export async function withLadder<T>(place: LadderPlace, work: (world: LadderWorld) => Promise<T>): Promise<T> {
  const { store, clock, log, signal } = place
  await using sessions = new Sessions({ addresses: addressesOf(store), clock, perServerMax: 8, signal })
  const world = async (gate: GateAccess | null): Promise<LadderWorld> => ({
    store,
    clock,
    log,
    signal,
    workflowUid: place.workflowUid,
    holder: place.holder,
    planVersion: place.planVersion,
    definitionDigest: place.definitionDigest,
    old: await sideOf(store, place.keyspace, mainBranch),
    new: await sideOf(store, place.keyspace, place.branch),
    pairs: await pairsOf(store, place.keyspace, place.branch, place.loadDefinition),
    sessions,
    openTopic: (url) => openTopic(url, { clock, log }),
    gate,
    copies: place.copies ?? { tables: [], landed: false },
    options: { ...ladderDefaults, ...place.options },
  })
  if (!place.throughGate) return work(await world(null))
  return withGateAccount(place, async (gate) => work(await world(gate)))
}

export async function sideOf(store: Store, keyspace: string, branch: string): Promise<BranchSide> {
  const name = branchKeyspace(keyspace, branch)
  const routing = await readRecord<RoutingRecord>(store, keys.routing(name))
  const shards = (await listRecords<ShardRecord>(store, keys.shards(name)))
    .map((record) => record.value)
    .filter((shard) => routing !== null && servesPrimary(routing.value, shard.name))
    .map(({ name: shard, uid, serverId, schema }) => ({ shard, uid, serverId, schema }))
    .sort((a, b) => compareKeyRanges(parseKeyRange(a.shard), parseKeyRange(b.shard)))
  return { keyspace: name, branch, shards }
}

/** Topics that fleets of both branches read. */
async function pairsOf(store: Store, keyspace: string, branch: string, load: LadderPlace['loadDefinition']): Promise<FleetPair[]> {
  const fleets = (await listRecords<FleetRecord>(store, keys.fleets))
    .map((record) => record.value)
    .filter((fleet) => fleet.keyspace === keyspace)
  const pairs: FleetPair[] = []
  for (const old of fleets.filter((fleet) => fleet.branch === mainBranch)) {
    const fresh = fleets.find((fleet) => fleet.branch === branch && fleet.topicId === old.topicId)
    if (fresh !== undefined) pairs.push({ definition: await load(fresh.definitionPath), old, new: fresh })
  }
  return pairs
}

/**
 * A client of the gate with a password of its own, for this validation only: gates learn accounts from the topology, so one that is new takes a
 * moment to be let in.
 */
async function withGateAccount<T>(place: LadderPlace, work: (gate: GateAccess | null) => Promise<T>): Promise<T> {
  const { store, clock, signal } = place
  const gates = (await listRecords<GateRecord>(store, keys.gates)).map((record) => record.value)
  if (gates.length === 0) return work(null)
  const user = `sw_ladder_${randomBytes(6).toString('hex')}`
  const password = randomBytes(24).toString('base64url')
  const twice = (algorithm: string): string => createHash(algorithm).update(createHash(algorithm).update(password).digest()).digest('hex')
  // Under a lease: it ends with this process if not before.
  await using lease = await keepLease(store, { ttlMs: 30_000, clock })
  await store.commit(
    [absent(keys.user(user))],
    [put<UserRecord>(keys.user(user), { v: 1, name: user, sha1: twice('sha1'), sha256: twice('sha256') }, lease.id)],
  )
  try {
    for (const gate of gates) {
      const access = { host: gate.host, port: gate.port, user, password }
      if (await letIn(access, clock, signal)) return await work(access)
    }
    return await work(null)
  } finally {
    await store.commit([], [{ key: keys.user(user), value: undefined }])
  }
}

async function letIn(access: GateAccess, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const endMs = clock.monotonicMs() + 10_000
  while (clock.monotonicMs() < endMs) {
    try {
      const connection = await connect(access, signal)
      await connection.close()
      return true
    } catch {
      await clock.sleep(100, signal)
    }
  }
  return false
}
