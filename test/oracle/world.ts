/** One server with an unsharded database, and the same tables over four shards behind a gate. */
import { flavours, testServer } from '../kit/servers.ts'
import { silentLog, type Log } from '../../src/base/log.ts'
import { connect } from '../../src/mysql/connect.ts'
import type { Connection } from '../../src/mysql/connection.ts'
import { besideTables } from './beside.ts'
import { sequenceTables } from './probe-tables.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from '../../src/gate/testkit/world.ts'

export type Flavour = 'mariadb' | 'mysql'
export type ShardCount = 1 | 4
export const shardNames: Readonly<Record<ShardCount, readonly string[]>> = { 1: ['-'], 4: ['-40', '40-80', '80-c0', 'c0-'] }

export type World = AsyncDisposable & {
  /** The unsharded database. */
  one(): Promise<Connection>
  four(): Promise<Connection>
  /** Straight to a shard; null: which shards serve changes all the time. */
  readonly shard: ((name: string) => Promise<Connection>) | null
}

const rights =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, LOCK TABLES, CREATE TEMPORARY TABLES, EXECUTE, REFERENCES, CREATE VIEW, SHOW VIEW, TRIGGER'

/** What the gate logs as an error is a fault of ours: shown. */
const errorsOnly: Log = { ...silentLog, error: (fields, message) => console.error(message, fields), child: () => errorsOnly }

export function schemaOf(name: string): string {
  return `four_${name.replace('-', '_')}`
}

/** @param prefixes of the clients' tables */
export async function startWorld(
  flavour: Flavour,
  vschema: object,
  mode: 'multi' | 'xa' = 'multi',
  prefixes: readonly string[] = [''],
  shards: ShardCount = 4,
): Promise<World> {
  const names = shardNames[shards]
  if (!flavours().includes(flavour)) throw new Error(`no ${flavour} server is set up here: npm run setup`)
  const server = await testServer({ flavour, binlog: false, bufferPoolMb: 64, extra: { 'max-connections': 400 } })
  try {
    const admin = await connect(server.config)
    await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
    await admin.query(`GRANT ${rights} ON *.* TO sw_gate@'%'`)
    if (flavour === 'mysql') await admin.query("GRANT XA_RECOVER_ADMIN ON *.* TO sw_gate@'%'")
    for (const schema of ['one', 'ids', 'beside', 'beside_behind', ...names.map(schemaOf)])
      await admin.query(`CREATE DATABASE \`${schema}\` CHARACTER SET utf8mb4`)
    for (const sql of sequenceTables(prefixes)) await admin.query(sql)
    for (const schema of ['beside', 'beside_behind']) {
      await admin.query(`USE ${schema}`)
      for (const sql of prefixes.flatMap(besideTables)) await admin.query(sql)
    }
    await admin.close()
    const store = new MemoryStore()
    await addServer(store, 's1', server.port, flavour)
    await addUser(store, 'app', 'secret')
    await addKeyspace(store, 'beside', [{ name: '-', serverId: 's1', schema: 'beside_behind' }])
    await addKeyspace(store, 'ids', [{ name: '-', serverId: 's1', schema: 'ids' }])
    await addKeyspace(
      store,
      'four',
      names.map((name) => ({ name, serverId: 's1', schema: schemaOf(name) })),
      { sharded: true, vschema, mode },
    )
    const { gate, port } = await startGate(store, {}, errorsOnly)
    return {
      one: () => connect({ ...server.config, database: 'one' }),
      four: () => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'four' }),
      shard: (name) => connect({ ...server.config, database: schemaOf(name) }),
      async [Symbol.asyncDispose]() {
        await gate.stop()
        await server[Symbol.asyncDispose]()
      },
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}
