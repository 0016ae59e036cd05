/**
 * Fleets as control keeps them: what consumers of a branch are to do. Making one writes its start offsets, once and for good: a missing position
 * row means exactly these (PROTOCOLS 4.2), never "log start now".
 */
import { allTables } from '../ingest/definition.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import { ensureIngestTables, table } from '../ingest/tables.ts'
import { quoteString } from '../sql/quote.ts'
import { openTopic } from '../topic/open.ts'
import type { Topic } from '../topic/topic.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord, FleetReport, Offsets, PartitionEpoch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { decidedFleet } from '../topology/fleet-pause.ts'
import type { KeyspaceRecord } from '../topology/records.ts'
import type { Condition } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, unchanged, updateRecord } from '../topology/typed.ts'
import { workflowErrors } from '../workflow/errors.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeErrors } from './errors.ts'
import { branchShards } from './branches.ts'
import { holdRows } from './dualwrite-old-rows.ts'
import { firstVersions } from './fleet-versions.ts'
import { withServer } from './servers.ts'
import { oldestMs } from './topic-facts.ts'
import type { World } from './servers.ts'

/** Reads a definition file: injected, since it runs the user's module. */
export type FleetWorld = World & { readonly loadDefinition: (path: string) => Promise<TopicDefinition> }

/** `oldest`: the first offset held, plus a margin of time; `end`: what comes from now on. */
export type FleetStart =
  | { readonly at: 'oldest'; readonly marginMs: number }
  | { readonly at: 'end' }
  | { readonly at: 'offsets'; readonly offsets: Offsets }

export type FleetRequest = {
  readonly keyspace: string
  readonly branch: string
  readonly definitionPath: string
  /** Absent: the definition's `topic` is an address. */
  readonly topicUrl?: string | undefined
  readonly suffix?: string | undefined
  readonly start: FleetStart
  readonly wanted?: 'running' | 'held'
  readonly consumers?: number | undefined
  readonly writers?: number | undefined
  readonly batchRecordsMax?: number | undefined
  readonly madeBy?: string | undefined
}

export function fleetName(keyspace: string, branch: string, suffix?: string): string {
  return `${branchKeyspace(keyspace, branch)}${suffix === undefined ? '' : `+${suffix}`}`
}

/**
 * A topic has one fleet a branch: positions are its and the branch's, so two fleets would share them, while leases and epochs go by a fleet's name and keep neither
 * from writing. Two that are made at once are told apart by the keyspace's record, which each commit finds unchanged and writes anew.
 */
export async function createFleet(world: FleetWorld, request: FleetRequest): Promise<FleetRecord> {
  const { store, clock } = world
  const { keyspace, branch } = request
  const name = fleetName(keyspace, branch, request.suffix)
  const record = await readRecord<KeyspaceRecord>(store, keys.keyspace(branchKeyspace(keyspace, branch)))
  if (record === null) throw branch === 'main' ? changeErrors.noKeyspace({ keyspace }) : dualwriteErrors.noBranch({ keyspace, branch })
  const definition = await world.loadDefinition(request.definitionPath)
  const topicUrl = request.topicUrl ?? definition.topic
  const topic = await openTopic(topicUrl)
  try {
    const known = await readRecord<FleetRecord>(store, keys.fleet(name))
    if (known !== null) {
      // The same request again: what was written down first holds.
      if (known.value.topicId === topic.id && known.value.definitionDigest === definition.digest) return known.value
      throw dualwriteErrors.fleetExists({ fleet: name })
    }
    const other = (await listRecords<FleetRecord>(store, keys.fleets)).find(
      ({ value }) => value.keyspace === keyspace && value.branch === branch && value.topicId === topic.id,
    )
    if (other !== undefined) throw dualwriteErrors.topicTaken({ fleet: other.value.name, topic: topic.name, keyspace, branch })
    const before = await positionsBefore(world, request, topic.id)
    const adopted = await holdRows(store, await branchShards(world, keyspace, branch), allTables(definition))
    const fleet: FleetRecord = {
      v: 1,
      name,
      keyspace,
      branch,
      // A fleet of this topic has written here already: its positions are gone on with, or every record would count twice.
      branchId: before.branchId ?? record.value.uid,
      definitionPath: request.definitionPath,
      definitionDigest: definition.digest,
      definitionVersion: definition.version,
      topicUrl,
      topicId: topic.id,
      startOffsets: { ...(await startOffsets(topic, request.start, clock.nowMs())), ...before.starts },
      ...(adopted ? {} : { tablesWereEmpty: true }),
      wanted: request.wanted ?? 'running',
      generation: 1,
      batchRecordsMax: request.batchRecordsMax ?? 1000,
      writers: request.writers ?? 4,
      consumers: request.consumers ?? 1,
      holdAt: null,
      madeBy: request.madeBy ?? null,
      purgeHeldUntilMs: 0,
    }
    const versions = await firstVersions(store, fleet, definition, fleet.startOffsets)
    const result = await store.commit(
      [absent(keys.fleet(name)), unchanged(record), ...versions.conditions],
      [put(keys.fleet(name), fleet), put(record.key, record.value), ...versions.puts],
    )
    if (!result.ok) return await createFleet(world, request)
    return fleet
  } finally {
    await topic.close()
  }
}

/** What stands on the branch's shards of this topic, and where its partitions were begun. */
async function positionsBefore(
  world: FleetWorld,
  request: FleetRequest,
  topicId: string,
): Promise<{ branchId: string | null; starts: { [partition: string]: string } }> {
  const ids = new Set<string>()
  for (const shard of await branchShards(world, request.keyspace, request.branch)) {
    await withServer(world.store, shard.serverId, 'admin', async (connection) => {
      await ensureIngestTables(connection)
      const rows = await connection.allText(
        `SELECT DISTINCT branch_id AS id FROM ${table.position} WHERE shard_uid = ${quoteString(shard.uid)} AND topic_id = ${quoteString(topicId)}`,
      )
      for (const row of rows) ids.add(row['id'] ?? '')
    })
  }
  const name = fleetName(request.keyspace, request.branch, request.suffix)
  if (ids.size > 1) throw dualwriteErrors.fleetExists({ fleet: name })
  const [branchId = null] = ids
  if (branchId === null) return { branchId, starts: {} }
  const starts: { [partition: string]: string } = {}
  for (const epoch of await listRecords<PartitionEpoch>(world.store, keys.partitionEpochsOf(name)))
    if (epoch.value.start !== undefined) starts[epoch.key.split('/').at(-1) ?? ''] = epoch.value.start
  return { branchId, starts }
}

/**
 * `oldest`: the log's start moves on while the fleet comes up, and what stands a margin behind it is still there then. A limit by time moves it along with the clock; one
 * by bytes, where it has removed something already, by what is written: about as fast as the oldest records came.
 */
export async function startOffsets(
  topic: Pick<Topic, 'startOffsets' | 'endOffsets' | 'offsetsAt' | 'retention' | 'read'>,
  start: FleetStart,
  nowMs: number,
): Promise<Offsets> {
  if (start.at === 'offsets') return start.offsets
  if (start.at === 'end') return asOffsets(await topic.endOffsets())
  const oldest = await topic.startOffsets()
  if (start.marginMs <= 0) return asOffsets(oldest)
  const { ms, bytes } = await topic.retention()
  const from = new Map(oldest)
  const notBefore = (partition: number, offset: bigint | undefined): void => {
    from.set(partition, max(from.get(partition) ?? 0n, offset ?? 0n))
  }
  if (ms !== null)
    for (const [partition, offset] of await topic.offsetsAt(nowMs - Number(ms) + start.marginMs)) notBefore(partition, offset)
  if (bytes !== null) {
    const trimmed = [...oldest].filter(([, offset]) => offset > 0n).map(([partition]) => partition)
    const times = trimmed.length === 0 ? new Map<number, number>() : await oldestMs(topic, oldest, trimmed)
    for (const [partition, atMs] of times) notBefore(partition, (await topic.offsetsAt(atMs + start.marginMs)).get(partition))
  }
  return asOffsets(from)
}

function asOffsets(offsets: ReadonlyMap<number, bigint>): Offsets {
  return Object.fromEntries([...offsets].map(([partition, offset]) => [String(partition), String(offset)]))
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

export async function readFleet(world: Pick<World, 'store'>, name: string): Promise<FleetRecord> {
  const fleet = await readRecord<FleetRecord>(world.store, keys.fleet(name))
  if (fleet === null) throw dualwriteErrors.noFleet({ fleet: name })
  return fleet.value
}

/** Held fleets write nothing and keep their leases; a new start of a stopped one is a new generation. */
export async function setFleet(
  world: Pick<World, 'store'>,
  name: string,
  wanted: FleetRecord['wanted'],
  also: readonly Condition[] = [],
): Promise<FleetRecord> {
  const result = await updateRecord<FleetRecord>(
    world.store,
    keys.fleet(name),
    (fleet) => {
      if (fleet === null || (fleet.wanted === wanted && fleet.paused === undefined)) return null
      return { ...decidedFleet(fleet, wanted), generation: fleet.wanted === 'stopped' ? fleet.generation + 1 : fleet.generation }
    },
    also,
  )
  if (!result.ok) throw workflowErrors.notLeader()
  if (result.value === null) throw dualwriteErrors.noFleet({ fleet: name })
  return result.value
}

export async function fleetReports(world: Pick<World, 'store'>, name: string): Promise<FleetReport[]> {
  return (await listRecords<FleetReport>(world.store, keys.fleetReportsOf(name))).map((record) => record.value)
}

/** Every live consumer says that it stands still, by its own word after `sinceMs`. No consumer: nothing moves. */
export async function fleetStands(world: Pick<World, 'store'>, name: string, sinceMs: number): Promise<boolean> {
  // One that has just begun and said nothing yet may have read the record of before.
  const begun = [...(await world.store.list(keys.consumersOf(name))).entries.keys()].map((key) => key.split('/').at(-1))
  const reports = await fleetReports(world, name)
  const stands = (report: FleetReport): boolean =>
    report.state === 'stopped' ||
    (report.state === 'held' && report.atMs >= sinceMs && report.partitions.every((one) => one.state !== 'running'))
  return reports.every(stands) && begun.every((id) => reports.some(({ consumer }) => consumer === id))
}

/**
 * Forgets a fleet of which nothing runs any more. Rows and positions stay with the shards, and so do epochs, without which a fleet that is made
 * again could not go on; `emptied`: the shards hold none of it any more.
 */
export async function deleteFleet(world: Pick<World, 'store'>, name: string, what: 'kept' | 'emptied'): Promise<void> {
  const fleet = await readRecord<FleetRecord>(world.store, keys.fleet(name))
  if (fleet === null) throw dualwriteErrors.noFleet({ fleet: name })
  const consumers = (await fleetReports(world, name)).filter((report) => report.state !== 'stopped').map((report) => report.consumer)
  if (fleet.value.wanted !== 'stopped' || consumers.length > 0)
    throw dualwriteErrors.fleetRunning({ fleet: name, consumers: consumers.join(', ') || 'it is wanted running' })
  const epochs = what === 'kept' ? [] : [...(await world.store.list(keys.partitionEpochsOf(name))).entries.keys()]
  const result = await world.store.commit(
    [{ key: fleet.key, version: fleet.version }],
    [fleet.key, ...epochs].map((key) => ({ key, value: undefined })),
  )
  if (!result.ok) return deleteFleet(world, name, what)
}
