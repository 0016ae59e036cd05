/**
 * What a fleet's own rows on its shards say: dead letters, and how many there were of these and of late rows. Counted by the transactions that wrote them, so they outlive
 * every consumer; a shard's account goes to one shard when its range does (ingest/carry.ts), so that sums over the shards that serve are whole.
 */
import { table } from '../ingest/tables.ts'
import { quoteString } from '../sql/quote.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { branchShards } from './branches.ts'
import { withServer } from './servers.ts'
import type { World } from './servers.ts'

export type DeadLetter = {
  readonly partition: number
  readonly offset: string
  readonly atMs: number
  readonly reason: string
  /** Text where it is, else `0x…`; of more than 4 KiB the beginning. */
  readonly key: string | null
  readonly value: string | null
  readonly valueBytes: number
}

const shownBytes = 4096

/** By partition and offset, the first `limit` of them. SW-CHANGE-012 when a shard does not answer. */
export async function deadLetters(world: Pick<World, 'store'>, fleet: FleetRecord, limit: number): Promise<DeadLetter[]> {
  const rows = await onShards(
    world,
    fleet,
    (where) => `SELECT partition_no, at_offset, timestamp_ms, reason, HEX(LEFT(record_key, ${shownBytes})) AS record_key,
      HEX(LEFT(record_value, ${shownBytes})) AS record_value, COALESCE(LENGTH(record_value), 0) AS bytes
      FROM ${table.dead} WHERE ${where} ORDER BY partition_no, at_offset LIMIT ${limit}`,
  )
  return rows
    .map((row) => ({
      partition: Number(row['partition_no']),
      offset: row['at_offset'] ?? '',
      atMs: Number(row['timestamp_ms']),
      reason: row['reason'] ?? '',
      key: readable(row['record_key'] ?? null),
      value: readable(row['record_value'] ?? null),
      valueBytes: Number(row['bytes']),
    }))
    .sort((a, b) => a.partition - b.partition || (BigInt(a.offset) < BigInt(b.offset) ? -1 : 1))
    .slice(0, limit)
}

export type FleetCounts = { readonly dead: number; readonly late: number }

/** Null: a shard does not answer, and less than all is no count. */
export async function fleetCounts(world: Pick<World, 'store'>, fleet: FleetRecord): Promise<FleetCounts | null> {
  try {
    const rows = await onShards(
      world,
      fleet,
      (where) => `SELECT COALESCE(SUM(dead_records), 0) AS dead, COALESCE(SUM(late_rows), 0) AS late FROM ${table.position} WHERE ${where}`,
    )
    const sum = (name: string): number => rows.reduce((total, row) => total + Number(row[name]), 0)
    return { dead: sum('dead'), late: sum('late') }
  } catch {
    return null
  }
}

async function onShards(
  world: Pick<World, 'store'>,
  fleet: FleetRecord,
  sql: (where: string) => string,
): Promise<Record<string, string | null>[]> {
  const shards = await branchShards(world, fleet.keyspace, fleet.branch)
  const found = await Promise.all(
    [...new Set(shards.map((shard) => shard.serverId))].map((serverId) => {
      const uids = shards.filter((shard) => shard.serverId === serverId).map((shard) => quoteString(shard.uid))
      const where = `shard_uid IN (${uids.join(', ')}) AND branch_id = ${quoteString(fleet.branchId)} AND topic_id = ${quoteString(fleet.topicId)}`
      return withServer(world.store, serverId, 'admin', (connection) => connection.allText(sql(where)))
    }),
  )
  return found.flat()
}

/** A terminal takes no control characters. */
function readable(hex: string | null): string | null {
  if (hex === null) return null
  const bytes = Buffer.from(hex, 'hex')
  const text = bytes.toString('utf8')
  // A character that is cut at the end is no sign of bytes.
  const cut = bytes.length === shownBytes ? text.replace(/\uFFFD+$/, '') : text
  return /[\p{Cc}\uFFFD]/u.test(cut.replace(/[\n\t\r]/g, '')) ? `0x${hex.toLowerCase()}` : cut
}
