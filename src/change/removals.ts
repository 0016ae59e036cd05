/**
 * What is to be removed from servers, as records of the topology: written in the commit that takes a branch, a keyspace or a scratch out of it, and gone
 * once nothing of it stands any more. So a process that dies between the two leaves nothing behind that nobody knows of: the next leader goes on
 * with it, and whoever makes a branch of that name anew ends it first. Removing is idempotent: two may do it at once.
 *
 * Never removed, whatever a record says: a server or a schema that a shard of the topology stands on now.
 */
import { table as ingestTable } from '../ingest/tables.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { Removal, ShardRecord } from '../topology/records.ts'
import type { Put } from '../topology/store.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { whileLeading } from '../workflow/while-leading.ts'
import { removeServer, withServer } from './servers.ts'
import type { World } from './servers.ts'

const lookEveryMs = 30_000

/** For the commit that takes these shards out of the topology. */
export function removalPut(name: string, shards: readonly ShardRecord[]): Put {
  return put<Removal>(keys.removal(name), { v: 1, shards: [...shards], branchIds: [], notBeforeMs: 0 })
}

/** For a commit before they are made: whoever makes them removes them within `forMs`, unless it dies. */
export function scratchPut(name: string, shards: readonly ShardRecord[], branchIds: readonly string[], notBeforeMs: number): Put {
  return put<Removal>(keys.removal(name), { v: 1, shards: [...shards], branchIds: [...branchIds], notBeforeMs })
}

/** Nothing where there is none. Rejects when a server can't be reached: the record stays. */
export async function finishRemoval(world: World, name: string): Promise<void> {
  const record = await readRecord<Removal>(world.store, keys.removal(name))
  if (record === null) return
  const { shards, branchIds } = record.value
  await removeShardPlaces(world, shards)
  for (const id of new Set(shards.map((shard) => shard.serverId)))
    if (branchIds.length > 0 && (await world.store.get(keys.server(id))) !== null)
      await withServer(world.store, id, 'admin', (connection) => forgetPositions(connection, branchIds))
  await world.store.commit([{ key: record.key, version: record.version }], [{ key: record.key, value: undefined }])
}

/** While this leader leads. */
export function watchRemovals(world: World, leadership: Leadership): Promise<void> {
  const { store, clock, log } = world
  const failing = 'what is to be removed is not yet'
  return whileLeading({ clock, log, leadership, everyMs: lookEveryMs, begins: 'at once', failing }, async () => {
    for (const { key, value } of await listRecords<Removal>(store, keys.removals)) {
      if (clock.nowMs() < value.notBeforeMs) continue
      await finishRemoval(world, key.slice(keys.removals.length)).catch((error: unknown) =>
        log.warn({ key, error: String(error) }, failing),
      )
    }
  })
}

/** What stands on servers for shards that no record names any more. */
export async function removeShardPlaces(world: World, shards: readonly ShardRecord[]): Promise<string[]> {
  const lines: string[] = []
  const others = (await listRecords<ShardRecord>(world.store, keys.allShards)).map((record) => record.value)
  for (const id of new Set(shards.map((shard) => shard.serverId))) {
    const left = others.some((other) => other.serverId === id)
    if (!left && (await removeServer(world, id))) {
      lines.push(`server ${id}, which we made, is removed`)
      continue
    }
    // Removed by an attempt before this one, with all that stood on it.
    if ((await world.store.get(keys.server(id))) === null) continue
    for (const shard of shards.filter((one) => one.serverId === id && one.provisioned)) {
      if (others.some((other) => other.serverId === id && other.schema === shard.schema)) continue
      await withServer(world.store, id, 'admin', (connection) =>
        connection.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(shard.schema)}`),
      )
      lines.push(`schema ${shard.schema} on ${id} is dropped`)
    }
  }
  return lines
}

/** Where fleets of branches that are no more stood. */
export async function forgetPositions(connection: Connection, branchIds: readonly string[]): Promise<void> {
  if (branchIds.length === 0) return
  const ids = branchIds.map(quoteString).join(',')
  for (const name of Object.values(ingestTable)) await connection.query(`DELETE FROM ${name} WHERE branch_id IN (${ids})`)
}
