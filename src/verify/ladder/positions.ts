/** Where the shards of a branch stand, and waiting for all of them to be somewhere: from the shards' own rows, and from what live consumers say. */
import { table } from '../../ingest/tables.ts'
import { quoteString } from '../../sql/quote.ts'
import type { FleetRecord, FleetReport } from '../../topology/dualwrite-records.ts'
import { keys } from '../../topology/keys.ts'
import { listRecords } from '../../topology/typed.ts'
import type { BranchSide, LadderWorld } from './world.ts'

/** Offset by `topic/partition`. */
export type Vector = ReadonlyMap<string, bigint>

/** Of every shard; a missing row means exactly the start offset. */
export async function readVectors(world: LadderWorld, side: BranchSide, fleets: readonly FleetRecord[]): Promise<Map<string, Vector>> {
  const found = new Map<string, Vector>()
  await Promise.all(
    [...new Set(side.shards.map((shard) => shard.serverId))].map((serverId) =>
      world.sessions.reader(serverId, async (connection) => {
        const shards = side.shards.filter((shard) => shard.serverId === serverId)
        const uids = shards.map((shard) => quoteString(shard.uid)).join(',')
        const rows = await connection.allText(
          `SELECT shard_uid,branch_id,topic_id,partition_no,next_offset FROM ${table.position} WHERE shard_uid IN (${uids})`,
        )
        for (const shard of shards) {
          const vector = new Map<string, bigint>()
          for (const fleet of fleets)
            for (const [partition, start] of Object.entries(fleet.startOffsets)) vector.set(`${fleet.topicId}/${partition}`, BigInt(start))
          for (const row of rows) {
            if (row['shard_uid'] !== shard.uid) continue
            if (!fleets.some((fleet) => fleet.branchId === row['branch_id'] && fleet.topicId === row['topic_id'])) continue
            vector.set(`${row['topic_id']}/${row['partition_no']}`, BigInt(row['next_offset'] ?? 0))
          }
          found.set(shard.shard, vector)
        }
      }),
    ),
  )
  return found
}

/**
 * What each shard will take next: its row, or, where that is behind because there was nothing for this shard (such rows advance lazily), what
 * the consumer that holds the partition says since `sinceMs`.
 */
export async function readApplied(
  world: LadderWorld,
  side: BranchSide,
  fleets: readonly FleetRecord[],
  sinceMs: number,
): Promise<Map<string, Vector>> {
  const vectors = await readVectors(world, side, fleets)
  for (const fleet of fleets) {
    for (const { value: report } of await listRecords<FleetReport>(world.store, keys.fleetReportsOf(fleet.name))) {
      if (report.atMs < sinceMs) continue
      for (const partition of report.partitions)
        for (const [shard, next] of Object.entries(partition.next)) {
          const vector = vectors.get(shard) as Map<string, bigint> | undefined
          const key = `${fleet.topicId}/${partition.partition}`
          if (vector !== undefined && BigInt(next) > (vector.get(key) ?? 0n)) vector.set(key, BigInt(next))
        }
    }
  }
  return vectors
}

/** The least of all shards, by `topic/partition`. */
export function least(vectors: ReadonlyMap<string, Vector>): Map<string, bigint> {
  const out = new Map<string, bigint>()
  for (const vector of vectors.values())
    for (const [key, offset] of vector) out.set(key, offset < (out.get(key) ?? offset) ? offset : (out.get(key) ?? offset))
  return out
}

/** How much `at` lacks of `wanted`. */
export function short(at: Vector, wanted: Vector): bigint {
  let sum = 0n
  for (const [key, offset] of wanted) {
    const here = at.get(key) ?? 0n
    if (here < offset) sum += offset - here
  }
  return sum
}

export async function topicEnds(world: LadderWorld): Promise<Map<string, bigint>> {
  const ends = new Map<string, bigint>()
  for (const { new: fleet } of world.pairs) {
    await using topic = await world.openTopic(fleet.topicUrl)
    for (const [partition, offset] of await topic.endOffsets()) ends.set(`${fleet.topicId}/${partition}`, offset)
  }
  return ends
}
