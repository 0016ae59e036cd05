/** A keyspace `app` of four shards on two servers, and a gate before them. By `hash` the ids 1 and 3 stand on the first server, on `-40` and `40-80`, and 4 on the second, on `c0-`. */
import mysql from 'mysql2/promise'
import type { Connection } from '../../mysql/connection.ts'
import type { LocalFlavour } from '../../local/installs.ts'
import type { Gate } from '../gate.ts'
import { startMariadb, type TestServer } from './servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './world.ts'

export type OverTwoServers = {
  readonly a: TestServer
  readonly b: TestServer
  readonly onA: Connection
  readonly onB: Connection
  readonly gate: Gate
  readonly shards: readonly { readonly name: string; readonly schema: string; readonly on: Connection }[]
  client(database?: string): Promise<mysql.Connection>
  /** No row of the table is left on any shard. */
  clear(table: string): Promise<void>
  stop(): Promise<void>
}

/** By name: what stands behind the name in CREATE TABLE, and what the vschema says of it. */
type Tables = Readonly<Record<string, { readonly columns: string; readonly described: object }>>

/**
 * @param modes of the keyspaces, which stand on the same shards
 * @param sequence in the unsharded keyspace `ids`, on the first server
 */
export async function overTwoServers(
  flavour: LocalFlavour,
  tables: Tables,
  modes: Readonly<Record<string, 'single' | 'multi'>> = { app: 'multi' },
  sequence: { readonly table: string; readonly first: number; readonly cache: number } | null = null,
): Promise<OverTwoServers> {
  const [a, b] = await Promise.all([startMariadb({}, flavour), startMariadb({}, flavour)])
  const [onA, onB] = await Promise.all([a.admin(), b.admin()])
  const store = new MemoryStore()
  await addServer(store, 's1', a.port, flavour)
  await addServer(store, 's2', b.port, flavour)
  await addUser(store, 'app', 'secret')
  const shards = [
    { name: '-40', serverId: 's1', schema: 'app_40', on: onA },
    { name: '40-80', serverId: 's1', schema: 'app_40_80', on: onA },
    { name: '80-c0', serverId: 's2', schema: 'app_80_c0', on: onB },
    { name: 'c0-', serverId: 's2', schema: 'app_c0', on: onB },
  ]
  for (const { schema, on } of shards) {
    await on.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
    for (const [name, { columns }] of Object.entries(tables)) await on.query(`CREATE TABLE ${schema}.${name} ${columns} ENGINE=InnoDB`)
  }
  if (sequence !== null) {
    await onA.query('CREATE DATABASE ids')
    await onA.query(`CREATE TABLE ids.${sequence.table} (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)`)
    await onA.query(`INSERT INTO ids.${sequence.table} VALUES (0, ${sequence.first}, ${sequence.cache})`)
    await addKeyspace(store, 'ids', [{ name: '-', serverId: 's1', schema: 'ids' }])
  }
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: Object.fromEntries(Object.entries(tables).map(([name, { described }]) => [name, described])),
  }
  for (const [name, mode] of Object.entries(modes)) await addKeyspace(store, name, shards, { sharded: true, vschema, mode })
  const { gate, port } = await startGate(store)
  return {
    a,
    b,
    onA,
    onB,
    gate,
    shards,
    client: (database = 'app') => mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database }),
    async clear(table) {
      for (const { schema, on } of shards) await on.query(`DELETE FROM ${schema}.${table}`)
    },
    async stop() {
      await gate.stop()
      await Promise.all([onA.close(), onB.close()])
      await Promise.all([a.stop(), b.stop()])
    },
  }
}
