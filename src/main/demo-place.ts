/** The data directory of a demonstration: what earlier runs left in it, and where its shards stand. */
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ApiClient } from '../api/client.ts'
import { demoErrors } from '../demo/errors.ts'
import type { ShardAddress } from '../demo/final-check.ts'
import type { LocalServers } from '../local/local-servers.ts'
import { LocalProvisioner } from '../local/provisioner.ts'
import { keys } from '../topology/keys.ts'
import type { ServerSecret, ShardRecord } from '../topology/records.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import { readRecord } from '../topology/typed.ts'

/** Where the shards of a keyspace or branch stand, with our administrator's account: for reading them directly. */
export async function shardAddresses(dataDir: string, client: ApiClient, keyspace: string): Promise<ShardAddress[]> {
  await using store = new SqliteStore(join(dataDir, 'topology.sqlite'))
  const found: ShardAddress[] = []
  for (const shard of await client.call('listShards', { keyspace })) {
    const record = await readRecord<ShardRecord>(store, keys.shard(keyspace, shard.name))
    const secret = await readRecord<ServerSecret>(store, keys.secret(shard.server.id))
    if (secret === null || record === null) throw demoErrors.failed({ what: `no account on ${shard.server.id}` })
    const { user, password } = secret.value.admin
    const { uid } = record.value
    found.push({ name: shard.name, uid, host: shard.server.host, port: shard.server.port, schema: shard.schema, user, password })
  }
  return found
}

/** Each run begins anew: what an earlier demonstration left in this directory is its own to remove. Its servers have been stopped. */
export function forgetRun(dataDir: string): void {
  for (const name of [
    'demo',
    'servers',
    'logs',
    'up.json',
    'client.password',
    'topology.sqlite',
    'topology.sqlite-wal',
    'topology.sqlite-shm',
  ])
    rmSync(join(dataDir, name), { recursive: true, force: true })
  mkdirSync(join(dataDir, 'demo'), { recursive: true })
}

/** Stops and deletes the servers that the tree provisioned there. */
export async function removeProvisioned(dataDir: string, servers: LocalServers): Promise<void> {
  const root = join(dataDir, 'servers')
  if (!existsSync(root)) return
  const provisioner = new LocalProvisioner(servers, { root, flavours: [] })
  for (const { id, which } of await provisioner.list()) await provisioner.remove(id, which)
}
