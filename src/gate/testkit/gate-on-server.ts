/**
 * What many of the gate's tests begin with: a server, keyspaces on it, users, and a gate before them.
 *
 *     const world = await gateOnServer({ keyspaces: { one: 'one', shop: { t: 'by id' } }, tables: ['t (id BIGINT PRIMARY KEY)'] })
 *     const c = await world.session('shop')
 *     const one = await world.connect({ database: 'one' })
 */
import assert from 'node:assert/strict'
import mysql from 'mysql2/promise'
import { connect } from '../../mysql/connect.ts'
import type { Connection, ConnectOptions, Result } from '../../mysql/connection.ts'
import { isServerError } from '../../mysql/errors.ts'
import type { LocalFlavour } from '../../local/installs.ts'
import type { UserRecord } from '../../topology/records.ts'
import type { GateConfig } from '../config.ts'
import type { Gate } from '../gate.ts'
import { oneFlavour } from '../../../test/kit/servers.ts'
import { startMariadb } from './servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './world.ts'

export const password = 'secret'

export type GateOnServer = {
  readonly admin: Connection
  /** Another one as the server's root, straight to it. */
  connect(options?: Partial<ConnectOptions>): Promise<Connection>
  /** Straight to the server. */
  readonly serverPort: number
  readonly store: MemoryStore
  readonly gate: Gate
  readonly port: number
  /** Every schema that a keyspace stands on. */
  readonly schemas: readonly string[]
  client(user: string, database?: string, options?: mysql.ConnectionOptions): Promise<mysql.Connection>
  /** The same for `app`, by our own connection. */
  session(database: string, options?: Partial<ConnectOptions>): Promise<Connection>
  stop(): Promise<void>
}

export type UserWanted = Partial<UserRecord> & { readonly password?: string }

/** Two shards, `-80` and `80-`, in the schemas NAME_80 and NAME_end; tables by the column `id`, or the same on both. */
type OverTwo = Readonly<Record<string, 'by id' | 'reference'>>
/** Sharded as the test says, a shard `40-80` in the schema NAME_40_80. */
type Sharded = { readonly shards: readonly string[]; readonly vindexes: object; readonly tables: object }

export type Wanted = {
  /** By name: unsharded, in the schema that is named, or sharded. */
  readonly keyspaces: Readonly<Record<string, string | OverTwo | Sharded>>
  /** What follows CREATE TABLE, for each schema. */
  readonly tables?: readonly string[] | ((schema: string) => readonly string[])
  /** By keyspace, where it is not `multi`. */
  readonly modes?: Readonly<Record<string, 'single' | 'xa'>>
  /** By table, what is drawn first of `ids.TABLE_seq`; `ids` is a schema of a keyspace. */
  readonly sequences?: Readonly<Record<string, number | bigint>>
  /** Beside `app`, who may do all. */
  readonly users?: Readonly<Record<string, UserWanted>>
  readonly config?: Partial<GateConfig>
  /** `oneFlavour` unless said. */
  readonly flavour?: LocalFlavour
  /** The port by which the gate reaches the server, made of the server's own: with something between them. */
  readonly through?: (port: number) => Promise<number>
  /** More settings of the server. */
  readonly settings?: Readonly<Record<string, string | number>>
}

export async function gateOnServer({
  keyspaces,
  tables = [],
  modes = {},
  sequences = {},
  users = {},
  config = {},
  flavour = oneFlavour(),
  settings = {},
  through = (port) => Promise.resolve(port),
}: Wanted): Promise<GateOnServer> {
  const server = await startMariadb(settings, flavour)
  const admin = await server.admin()
  const store = new MemoryStore()
  await addServer(store, 's1', await through(server.port), flavour)
  const schemas: string[] = []
  for (const [name, keyspace] of Object.entries(keyspaces)) {
    const shards = Object.entries(schemasOf(name, keyspace)).map(([shard, schema]) => ({ name: shard, serverId: 's1', schema }))
    for (const { schema } of shards) {
      schemas.push(schema)
      await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
      for (const table of typeof tables === 'function' ? tables(schema) : tables) await admin.query(`CREATE TABLE ${schema}.${table}`)
    }
    const mode = modes[name] ?? 'multi'
    await addKeyspace(store, name, shards, typeof keyspace === 'string' ? { mode } : { mode, sharded: true, vschema: vschemaOf(keyspace) })
  }
  for (const [table, first] of Object.entries(sequences)) {
    await admin.query(`CREATE TABLE ids.${table}_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)`)
    await admin.query(`INSERT INTO ids.${table}_seq VALUES (0, ${first}, 100)`)
  }
  for (const [name, { password: own = password, ...more }] of Object.entries({ app: {}, ...users }) as [string, UserWanted][])
    await addUser(store, name, own, more)
  const { gate, port } = await startGate(store, config)
  return {
    admin,
    connect: server.admin,
    serverPort: server.port,
    store,
    gate,
    port,
    schemas,
    client: (user, database, options = {}) =>
      mysql.createConnection({ host: '127.0.0.1', port, user, password, ...(database === undefined ? {} : { database }), ...options }),
    session: (database, options = {}) => connect({ host: '127.0.0.1', port, user: 'app', password, database, ...options }),
    async stop() {
      await gate.stop()
      await admin.close()
      await server.stop()
    },
  }
}

/** Tables over four shards, all by the same column. */
export function overFour(tables: readonly string[], column = 'id'): Sharded {
  const by = { column_vindexes: [{ column, name: 'hash' }] }
  return {
    shards: ['-40', '40-80', '80-c0', 'c0-'],
    vindexes: { hash: { type: 'hash' } },
    tables: Object.fromEntries(tables.map((table) => [table, by])),
  }
}

function isSharded(keyspace: OverTwo | Sharded): keyspace is Sharded {
  return Array.isArray(keyspace['shards'])
}

/** By shard. */
function schemasOf(name: string, keyspace: string | OverTwo | Sharded): Readonly<Record<string, string>> {
  if (typeof keyspace === 'string') return { '-': keyspace }
  if (!isSharded(keyspace)) return { '-80': `${name}_80`, '80-': `${name}_end` }
  return Object.fromEntries(keyspace.shards.map((shard) => [shard, `${name}_${shard.replace('-', '_')}`]))
}

function vschemaOf(keyspace: OverTwo | Sharded): object {
  if (isSharded(keyspace)) return { sharded: true, vindexes: keyspace.vindexes, tables: keyspace.tables }
  const byId = { column_vindexes: [{ column: 'id', name: 'hash' }] }
  return {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: Object.fromEntries(Object.entries(keyspace).map(([name, how]) => [name, how === 'by id' ? byId : { type: 'reference' }])),
  }
}

/** What a statement is refused by: our code, else the server's number; `done`. */
export async function codeOf(on: Connection, sql: string): Promise<string> {
  try {
    await on.query(sql)
  } catch (error) {
    if (isServerError(error)) return /SW-[A-Z]+-\d+/.exec(error.serverMessage)?.[0] ?? String(error.errno)
    throw error
  }
  return 'done'
}

/** What `tell` makes of what a statement did, or what it is refused by: the number, and of our refusals the words; taken back. */
export async function takenBack(on: Connection, sql: string, tell: (result: Result) => string): Promise<string> {
  await on.query('BEGIN')
  try {
    return tell(await on.query(sql))
  } catch (error) {
    if (!isServerError(error)) throw error
    return error.errno === 1235 ? error.message : String(error.errno)
  } finally {
    await on.query('ROLLBACK')
  }
}

/** A client of the sharded keyspace `shop`, beside one of the server's own with the same tables in the schema `one`. */
export type BesideOne = {
  readonly c: Connection
  readonly one: Connection
  /** A row a text; of what has no rows, how many it changed and what is said of them. */
  answer(on: Connection, sql: string): Promise<string[]>
  /** Both answer the same. */
  alike(sql: string): Promise<void>
  /** `codeOf` the sharded one. */
  code(sql: string): Promise<string>
  close(): Promise<void>
}

export async function besideOne(world: GateOnServer): Promise<BesideOne> {
  const c = await world.session('shop')
  const one = await world.connect({ database: 'one' })
  const answer = async (on: Connection, sql: string): Promise<string[]> => {
    const result = await on.query(sql)
    return result.kind === 'rows'
      ? result.rows.map((row) => row.map((cell) => cell?.toString() ?? 'NULL').join(' '))
      : [`${result.affectedRows} ${result.info}`]
  }
  return {
    c,
    one,
    answer,
    alike: async (sql) => assert.deepEqual(await answer(c, sql), await answer(one, sql), sql),
    code: (sql) => codeOf(c, sql),
    async close() {
      await c.close()
      await one.close()
    },
  }
}
