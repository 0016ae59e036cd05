/**
 * One purge of a fleet's tables on all its shards. Where the floor goes is one record a keyspace, so that all branches purge at the same boundary: the fleet of
 * the keyspace itself raises it, by the time of its own topic; the others follow. A branch that fills alone (no such fleet, or one that is stopped) raises it too.
 */
import type { FleetRecord, PurgeRecord } from '../topology/dualwrite-records.ts'
import { branchKeyspace, mainBranch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord, updateRecord } from '../topology/typed.ts'
import type { Connection } from '../mysql/connection.ts'
import { connectConsumer, ingestAddressesOf } from './access.ts'
import { noIngestFailpoints } from './crash-points.ts'
import { allTables } from './definition.ts'
import { ingestErrors } from './errors.ts'
import type { FleetSession } from './fleet-session.ts'
import { addPartitions } from './partitions-ahead.ts'
import { floorByPartitions, floorFor, purgeTable } from './purge.ts'
import type { PurgeTarget } from './purge.ts'
import { quoteString } from '../sql/quote.ts'
import { table as rows } from './tables.ts'
import type { PartitionSeen } from './topic-time.ts'

/**
 * Whether floors go by what this fleet has read. One that is stopped purges nothing and raises nothing: of a run that is complete the old fleet stands like that for the whole
 * hold, and the branch that serves all reads would keep every row of it. Taken up again it goes by the same record, which is only raised: what it reads again and the other
 * branch has purged by then is late on it too.
 *
 * @param fleets all of the keyspace
 */
export function raisesFloors(
  fleet: Pick<FleetRecord, 'branch' | 'topicId'>,
  fleets: readonly Pick<FleetRecord, 'branch' | 'topicId' | 'wanted'>[],
): boolean {
  if (fleet.branch === mainBranch) return true
  return !fleets.some((other) => other.branch === mainBranch && other.topicId === fleet.topicId && other.wanted !== 'stopped')
}

export async function purgeOnce(session: FleetSession): Promise<void> {
  const { options, fleet, branch, config } = session
  const expiring = allTables(session.definition).filter(({ retentionMs, bucket }) => retentionMs !== null && bucket !== null)
  if (expiring.length === 0) return
  const fleets = (await listRecords<FleetRecord>(options.store, keys.fleets))
    .map(({ value }) => value)
    .filter(({ keyspace }) => keyspace === fleet.keyspace)
  if (fleets.some(({ purgeHeldUntilMs }) => purgeHeldUntilMs > options.clock.nowMs())) return
  const floorHeld = fleets.some(({ floorHeldUntilMs = 0 }) => floorHeldUntilMs > options.clock.nowMs())
  const leads = raisesFloors(fleet, fleets)
  const addresses = options.addresses ?? ingestAddressesOf(options.store)
  const { clock, log } = options
  // Before positions: what is at these then has all that there was. A topic that cannot be asked keeps nobody from purging by the floors that stand.
  const ends = await session.topic.endOffsets().catch((error: unknown) => {
    log.warn({ fleet: fleet.name, err: error }, 'the ends of the topic are not known: no partition is taken for one that rests')
    return null
  })
  const seen = new Map<number, PartitionSeen>()
  const connections: Connection[] = []
  try {
    // One after the other: those that came are closed below when a later shard does not answer.
    for (const { serverId } of branch.shards) connections.push(await connectConsumer(await addresses(serverId), 30_000, session.signal))
    const found: Record<string, string | null>[][] = []
    for (const [i, shard] of branch.shards.entries()) {
      const positions = await connections[i]?.allText(
        `SELECT partition_no AS p, newest_ms AS ms, next_offset AS next FROM ${rows.position} WHERE shard_uid=${quoteString(shard.uid)} AND branch_id=${quoteString(fleet.branchId)} AND topic_id=${quoteString(fleet.topicId)}`,
      )
      await connections[i]?.query('COMMIT')
      found.push(positions ?? [])
    }
    for (let partition = 0; partition < session.topic.partitions; partition++) {
      const of = found.map((positions) => positions.find((row) => Number(row['p']) === partition))
      const newest = Math.max(...of.map((row) => Number(row?.['ms'] ?? 0)))
      const end = ends?.get(partition)
      // A shard without a row has not been fenced yet.
      const readToEnd = end !== undefined && of.every((row) => row !== undefined && BigInt(row['next'] ?? -1) >= end)
      seen.set(partition, { newestMs: newest === 0 ? null : newest, readToEnd })
    }
    const time = session.topicTime.look(seen, session.topic.partitions, { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() })
    session.expiry = leads ? time : null
    const { ms } = time
    if (leads && ms !== null && !floorHeld) {
      const floors: Record<string, number> = {}
      for (const table of expiring) {
        const [first] = connections
        const [shard] = branch.shards
        const wanted = floorFor(table, ms)
        if (wanted === null || first === undefined || shard === undefined) continue
        // All shards have the partitions that the first has (partitions-ahead.ts).
        const floor = await floorByPartitions(first, { shard: shard.name, schema: shard.schema }, table, wanted)
        if (floor !== null) floors[table.table] = floor
      }
      await updateRecord<PurgeRecord>(options.store, keys.purge(fleet.keyspace), (current) => {
        const next = { ...current?.floors }
        for (const [table, floor] of Object.entries(floors)) next[table] = Math.max(next[table] ?? floor, floor)
        return JSON.stringify(next) === JSON.stringify(current?.floors ?? null) ? null : { v: 1, floors: next }
      })
    }
    const wanted = (await readRecord<PurgeRecord>(options.store, keys.purge(fleet.keyspace)))?.value.floors ?? {}
    // Dropping a partition is DDL on a table that a stream follows, which would stop it: while a workflow moves the shards rows are deleted one by one.
    const partitions = (await areMoved(options.store, branchKeyspace(fleet.keyspace, fleet.branch))) ? 'left' : 'dropped'
    for (const [i, shard] of branch.shards.entries()) {
      const connection = connections[i]
      if (connection === undefined) continue
      const target: PurgeTarget = {
        connection,
        shard: shard.name,
        shardUid: shard.uid,
        branchId: fleet.branchId,
        schema: shard.schema,
        failpoints: options.failpoints ?? noIngestFailpoints,
        partitions,
      }
      for (const table of expiring) {
        if (config.partitionsAhead > 0 && partitions === 'dropped')
          await addPartitions(target, table, { nowMs: options.clock.nowMs(), ahead: config.partitionsAhead })
        const floor = wanted[table.table]
        if (floor !== undefined) await purgeTable(target, table, floor)
      }
    }
  } finally {
    await Promise.all(connections.map((connection) => connection.close()))
  }
}

/**
 * For a table of this shard that has no partition for a row. False: it has all that are due, so the row is the trouble; also where they are not ours to make.
 * @throws what keeps them from being made
 */
export async function morePartitions(session: FleetSession, shard: FleetSession['branch']['shards'][number]): Promise<boolean> {
  const { options, fleet, config } = session
  if (config.partitionsAhead === 0) return false
  if (await areMoved(options.store, branchKeyspace(fleet.keyspace, fleet.branch)))
    throw ingestErrors.partitionsWait({ keyspace: branchKeyspace(fleet.keyspace, fleet.branch), shard: shard.name })
  const addresses = options.addresses ?? ingestAddressesOf(options.store)
  const connection = await connectConsumer(await addresses(shard.serverId), 30_000, session.signal)
  try {
    let made = 0
    for (const table of allTables(session.definition))
      made += await addPartitions({ connection, shard: shard.name, schema: shard.schema }, table, {
        nowMs: options.clock.nowMs(),
        ahead: config.partitionsAhead,
      })
    return made > 0
  } finally {
    await connection.close()
  }
}

async function areMoved(store: Store, name: string): Promise<boolean> {
  const routing = await readRecord<RoutingRecord>(store, keys.routing(name))
  return routing?.value.components.some(({ workflow }) => workflow !== null) ?? false
}
