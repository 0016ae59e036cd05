/**
 * How far each shard of a branch has applied the topics: read from the shards themselves, since offsets stand where the rows do. A missing row
 * means the start offset, exactly (PROTOCOLS 4.2).
 */
import { table } from '../ingest/tables.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Vector } from '../switch/ramp.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import { connectServer } from './servers.ts'

export async function fleetsOf(store: Store, keyspace: string, branch: string): Promise<FleetRecord[]> {
  return (await listRecords<FleetRecord>(store, keys.fleets))
    .map((record) => record.value)
    .filter((fleet) => fleet.keyspace === keyspace && fleet.branch === branch)
}

/** Connections to the servers of a branch, kept between readings: a step reads positions many times. */
export class BranchPositions implements AsyncDisposable {
  readonly #store: Store
  readonly #shards: readonly ShardRecord[]
  readonly #fleets: readonly FleetRecord[]
  readonly #connections = new Map<string, Connection>()

  constructor(store: Store, shards: readonly ShardRecord[], fleets: readonly FleetRecord[]) {
    this.#store = store
    this.#shards = shards
    this.#fleets = fleets
  }

  /** By shard name. A shard that can't be read is in `unreadable`. */
  async read(): Promise<{ at: Map<string, Vector>; unreadable: string[] }> {
    const at = new Map<string, Vector>()
    const unreadable: string[] = []
    await Promise.all(
      [...new Set(this.#shards.map((shard) => shard.serverId))].map(async (serverId) => {
        const shards = this.#shards.filter((shard) => shard.serverId === serverId)
        try {
          const connection = await this.#connection(serverId)
          const uids = shards.map((shard) => quoteString(shard.uid)).join(', ')
          const rows = await connection.allText(
            `SELECT shard_uid, branch_id, topic_id, partition_no, next_offset FROM ${table.position} WHERE shard_uid IN (${uids})`,
          )
          for (const shard of shards) {
            const vector = this.#starts()
            for (const row of rows) {
              if (row['shard_uid'] !== shard.uid) continue
              if (!this.#fleets.some((fleet) => fleet.branchId === row['branch_id'] && fleet.topicId === row['topic_id'])) continue
              vector.set(`${row['topic_id']}/${row['partition_no']}`, BigInt(row['next_offset'] ?? 0))
            }
            at.set(shard.name, vector)
          }
        } catch {
          this.#connections.get(serverId)?.destroy()
          this.#connections.delete(serverId)
          unreadable.push(...shards.map((shard) => shard.name))
        }
      }),
    )
    return { at, unreadable }
  }

  #starts(): Map<string, bigint> {
    const vector = new Map<string, bigint>()
    for (const fleet of this.#fleets)
      for (const [partition, offset] of Object.entries(fleet.startOffsets)) vector.set(`${fleet.topicId}/${partition}`, BigInt(offset))
    return vector
  }

  async #connection(serverId: string): Promise<Connection> {
    const known = this.#connections.get(serverId)
    if (known?.open === true) return known
    const made = await connectServer(this.#store, serverId, 'admin')
    this.#connections.set(serverId, made)
    return made
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#connections.values()].map((connection) => connection.close().catch(() => undefined)))
    this.#connections.clear()
  }
}
