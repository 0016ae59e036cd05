/**
 * Replicas of a shard's server, taken into the topology and forgotten. Which server is the primary: `set-primary.ts`.
 *
 * A server that was given up as a primary (`given-up.ts`) is taken back here, as a replica: once it replicates from the one that followed it, and is
 * read only. Its accounts are then locked as its primary's are, but for the gate's, which reads it.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf, type Account } from '../mysql/flavour/flavour.ts'
import { readIdentity } from '../mysql/server-identity.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord, ServerSecret, ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, put, readRecord, unchanged } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import { changeErrors } from './errors.ts'
import { sourceOf } from './replication.ts'
import { reach, withServer } from './servers.ts'
import type { ServerAddress, World } from './servers.ts'

export type Place = { readonly keyspace: string; readonly shard: string }

/** In the keyspace's turn. Takes a running replica of the shard's server into the topology; repeatable. SW-CHANGE-045 when it is none. */
export async function addReplica(world: World, { keyspace, shard }: Place, address: ServerAddress): Promise<ServerRecord> {
  const { store } = world
  const id = `${address.host}:${address.port}`
  const record = await needShard(store, keyspace, shard)
  const known = replicasOf(record.value).includes(id)
  const used = (await listRecords<ShardRecord>(store, keys.allShards)).find(
    (one) => one.value.serverId === id || (one.value.serverId !== record.value.serverId && replicasOf(one.value).includes(id)),
  )
  if (used !== undefined) throw changeErrors.serverInUse({ server: id, shards: `${used.value.keyspace}/${used.value.name}` })
  const secret = await readRecord<ServerSecret>(store, keys.secret(record.value.serverId))
  if (secret === null) throw changeErrors.noServer({ server: record.value.serverId })
  const { user, password, host, port } = address
  const connection = await reach(id, { host, port, user, password })
  try {
    const refuse = (reason: string): never => {
      throw changeErrors.notReplica({ server: id, primary: record.value.serverId, reason })
    }
    const primary = await withServer(store, record.value.serverId, 'admin', identityOf)
    let source = await sourceOf(connection)
    // It runs and has yet to be told by whom it is fed.
    for (let looks = 0; source?.running === true && source.of === '' && looks < 20; looks++) {
      await world.clock.sleep(100)
      source = await sourceOf(connection)
    }
    if (source === null) refuse('it replicates from nobody')
    else if (source.running && source.of !== primary) refuse('it replicates from another server')
    else if (!source.running) refuse(`its replication does not run${source.error === '' ? '' : `: ${source.error}`}`)
    if ((await connection.value('SELECT @@GLOBAL.read_only')) !== '1') refuse('it takes writes (read_only=0)')
    await ourAccounts(connection, secret.value)
    const unlock = async (): Promise<void> =>
      unlockForReads(connection, secret.value, await withServer(store, record.value.serverId, 'admin', accountsOf))
    if (known) {
      await unlock()
      return (await needServer(store, id)).value
    }
    const server: ServerRecord = {
      v: 1,
      id,
      flavour: connection.flavour,
      version: connection.serverVersion,
      host,
      port,
      socketPath: null,
      provisioned: false,
      dataDir: null,
      identity: await readIdentity(connection),
    }
    const result = await store.commit(
      [unchanged(record), { key: keys.server(id), version: (await store.get(keys.server(id)))?.version ?? 0 }],
      [
        put(keys.server(id), server),
        { key: keys.givenUp(id), value: undefined },
        put(keys.secret(id), secret.value),
        put(keys.shard(keyspace, shard), { ...record.value, replicas: [...replicasOf(record.value), id] }),
      ],
    )
    if (!result.ok) return await addReplica(world, { keyspace, shard }, address)
    // Not before: whoever keeps former primaries closed would close it again.
    await unlock()
    return server
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
  // Shards that share a server share its replicas.
  const others = (await listRecords<ShardRecord>(world.store, keys.allShards)).filter(({ value }) => value.uid !== record.value.uid)
  const stays = others.some(({ value }) => replicasOf(value).includes(id))
  const gone = stays ? [] : [keys.server(id), keys.secret(id)].map((key) => ({ key, value: undefined }))
  const result = await world.store.commit([unchanged(record)], [put(keys.shard(keyspace, shard), next), ...gone])
  if (!result.ok) await removeReplica(world, { keyspace, shard }, id)
}

export function replicasOf(shard: ShardRecord): readonly string[] {
  return shard.replicas ?? []
}

/** Under which name the log of a shard stands beside those of workflows: none can be named so. */
export function shardLog(shard: string): string {
  return `shard:${shard}`
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

function accountsOf(connection: Connection): Promise<Account[]> {
  return flavourOf(connection).accounts(connection)
}

/** It may have been closed as a primary, or copied from one that was. In no binlog: it is only read. */
async function unlockForReads(connection: Connection, secret: ServerSecret, onPrimary: readonly Account[]): Promise<void> {
  const flavour = flavourOf(connection)
  const locked = new Set(onPrimary.filter((account) => account.locked).map((account) => `${account.user}@${account.host}`))
  const open = (await flavour.accounts(connection)).filter(
    (account) => account.locked && (account.user === secret.gate.user || !locked.has(`${account.user}@${account.host}`)),
  )
  if (open.length === 0) return
  for (const sql of ['SET SESSION sql_log_bin = 0', ...open.map((account) => flavour.unlockAccount(account))]) await connection.query(sql)
}

async function identityOf(connection: Connection): Promise<string> {
  return (await connection.value(connection.flavour === 'mysql' ? 'SELECT @@server_uuid' : 'SELECT @@server_id')) ?? ''
}

export async function needShard(store: Store, keyspace: string, shard: string): Promise<Versioned<ShardRecord>> {
  const record = await readRecord<ShardRecord>(store, keys.shard(keyspace, shard))
  if (record === null) throw changeErrors.noShard({ keyspace, shard, serving: 'see `shardwright shard list`' })
  return record
}

async function needServer(store: Store, id: string): Promise<Versioned<ServerRecord>> {
  const record = await readRecord<ServerRecord>(store, keys.server(id))
  if (record === null) throw changeErrors.noServer({ server: id })
  return record
}
