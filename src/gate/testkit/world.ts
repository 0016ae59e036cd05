/** A topology in memory with the records that a gate reads, and a gate on it. */
import { systemClock } from '../../base/clock.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { storedPassword } from '../../mysql/auth-server.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import type { KeyspaceRecord, RoutingRecord, ServerRecord, ServerSecret, ShardRecord, UserRecord } from '../../topology/records.ts'
import { initialRouting } from '../../topology/routing.ts'
import type { Store } from '../../topology/store.ts'
import { put, readRecord } from '../../topology/typed.ts'
import type { GateConfig } from '../config.ts'
import { Gate, type GateOptions } from '../gate.ts'
import { oneFlavour } from '../../../test/kit/servers.ts'

export type WorldShard = { name: string; port: number; schema: string; serverId?: string }

export async function addServer(store: Store, id: string, port: number, flavour: 'mariadb' | 'mysql' = oneFlavour()): Promise<void> {
  const server: ServerRecord = {
    v: 1,
    id,
    flavour,
    version: flavour === 'mariadb' ? '10.11.19-MariaDB' : '9.7.4',
    host: '127.0.0.1',
    port,
    socketPath: null,
    provisioned: true,
    dataDir: null,
  }
  const account = (user: string): { user: string; password: string } => ({ user, password: 'gate-secret' })
  const secret: ServerSecret = { v: 1, admin: account('sw_admin'), mover: account('sw_mover'), gate: account('sw_gate') }
  await store.commit([], [put(keys.server(id), server), put(keys.secret(id), secret)])
}

export async function addUser(store: Store, name: string, password: string, more: Partial<UserRecord> = {}): Promise<void> {
  const stored = storedPassword(password)
  const user: UserRecord = {
    v: 1,
    name,
    sha1: Buffer.from(stored.sha1).toString('hex'),
    sha256: Buffer.from(stored.sha256).toString('hex'),
    ...more,
  }
  await store.commit([], [put(keys.user(name), user)])
}

/** Shards are given with the server they stand on; those with `serving` make the first routing record. */
export async function addKeyspace(
  store: Store,
  name: string,
  shards: readonly { name: string; serverId: string; schema: string }[],
  options: { sharded?: boolean; vschema?: object; mode?: 'single' | 'multi' | 'xa'; serving?: readonly string[] } = {},
): Promise<void> {
  const record: KeyspaceRecord = {
    v: 1,
    name,
    uid: `k-${name}`,
    sharded: options.sharded ?? false,
    allowUnfenced: [],
    transactionMode: options.mode ?? 'multi',
  }
  const puts = shards.map((s) => {
    const shard: ShardRecord = {
      v: 1,
      keyspace: name,
      name: s.name,
      uid: `${name}:${s.name}:${s.serverId}`,
      serverId: s.serverId,
      schema: s.schema,
      madeBy: null,
      provisioned: true,
    }
    return put(keys.shard(name, s.name), shard)
  })
  await store.commit(
    [],
    [
      ...puts,
      put(keys.keyspace(name), record),
      put(keys.routing(name), initialRouting(options.serving ?? shards.map((s) => s.name))),
      ...(options.vschema === undefined ? [] : [put(keys.vschema(name), { v: 1 as const, vschema: options.vschema })]),
    ],
  )
}

export async function changeRouting(store: Store, keyspace: string, change: (record: RoutingRecord) => RoutingRecord): Promise<number> {
  const now = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
  if (now === null) throw new Error(`no routing record of ${keyspace}`)
  const result = await store.commit([{ key: now.key, version: now.version }], [put(now.key, change(now.value))])
  if (!result.ok) throw new Error('lost a race')
  return result.revision
}

export async function startGate(
  store: Store,
  config: Partial<GateConfig> = {},
  log: Log = silentLog,
  id = 'gate-1',
  more: Partial<GateOptions> = {},
): Promise<{ gate: Gate; port: number }> {
  const listen = { host: '127.0.0.1', port: 0 }
  const gate = new Gate({ store, listen, log, clock: systemClock, id, pid: process.pid, config, ...more })
  const { port } = await gate.start()
  return { gate, port }
}

export { MemoryStore }
