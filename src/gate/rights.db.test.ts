import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Right, UserRecord } from '../topology/records.ts'
import type { Gate } from './gate.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

/** An unsharded keyspace and a sharded one on one server, whose account for gates may use every schema. */
let server: TestServer
let admin: Connection
const store = new MemoryStore()
let gate: Gate
let port: number

before(async () => {
  server = await startMariadb()
  admin = await server.admin()
  for (const schema of ['one', 'hidden', 'shop_80', 'shop_end']) {
    await admin.query(`CREATE DATABASE ${schema}`)
    await admin.query(`CREATE TABLE ${schema}.t (id BIGINT PRIMARY KEY, v INT)`)
    await admin.query(`INSERT INTO ${schema}.t VALUES (1, 1)`)
  }
  await addServer(store, 's1', server.port)
  await addKeyspace(store, 'one', [{ name: '-', serverId: 's1', schema: 'one' }])
  await addKeyspace(store, 'hidden', [{ name: '-', serverId: 's1', schema: 'hidden' }])
  const shards = [
    { name: '-80', serverId: 's1', schema: 'shop_80' },
    { name: '80-', serverId: 's1', schema: 'shop_end' },
  ]
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
  }
  await addKeyspace(store, 'shop', shards, { sharded: true, vschema })
  const rights: Record<string, Right[]> = { reads: ['read'], writes: ['read', 'write'], inserts: ['write'], changes: ['ddl'] }
  for (const [user, given] of Object.entries(rights)) await addUser(store, user, 'secret', { grants: { one: given, shop: given } })
  await addUser(store, 'all', 'secret')
  ;({ gate, port } = await startGate(store))
})

after(async () => {
  await gate?.stop()
  await admin?.close()
  await server?.stop()
})

const client = (user: string, database: string): Promise<mysql.Connection> =>
  mysql.createConnection({ host: '127.0.0.1', port, user, password: 'secret', database })

/** 0: it worked; else the error's number. */
async function outcome(c: mysql.Connection, sql: string, prepared: boolean): Promise<number> {
  try {
    await (prepared ? c.execute(sql) : c.query(sql))
    return 0
  } catch (error) {
    return (error as { errno: number }).errno
  }
}

const statements: [string, { reads: number; writes: number; inserts: number; changes: number }][] = [
  ['SELECT x.v FROM t AS x WHERE x.id = 1', { reads: 0, writes: 0, inserts: 1142, changes: 1142 }],
  ['INSERT INTO t VALUES (2, 2), (3, 3)', { reads: 1142, writes: 0, inserts: 0, changes: 1142 }],
  ['UPDATE t SET v = 3 WHERE id = 2', { reads: 1142, writes: 0, inserts: 1142, changes: 1142 }],
  ['DELETE FROM t WHERE id IN (2, 3)', { reads: 1142, writes: 0, inserts: 1142, changes: 1142 }],
  ['CREATE TABLE IF NOT EXISTS u (a INT)', { reads: 1142, writes: 1142, inserts: 1142, changes: 0 }],
  ['SHOW TABLES', { reads: 0, writes: 0, inserts: 0, changes: 0 }],
  ['SELECT table_name FROM information_schema.tables LIMIT 1', { reads: 0, writes: 0, inserts: 0, changes: 0 }],
  ['SELECT 1', { reads: 0, writes: 0, inserts: 0, changes: 0 }],
  ['SELECT v FROM hidden.t', { reads: 1044, writes: 1044, inserts: 1044, changes: 1044 }],
  ['SELECT v FROM shop_80.t', { reads: 1044, writes: 1044, inserts: 1044, changes: 1044 }],
  ['SELECT * FROM mysql.user', { reads: 1044, writes: 1044, inserts: 1044, changes: 1044 }],
]

for (const keyspace of ['one', 'shop']) {
  test(`each right lets through what it names and nothing else, on ${keyspace}, as text and prepared`, async () => {
    for (const prepared of [false, true]) {
      for (const user of ['reads', 'writes', 'inserts', 'changes'] as const) {
        const c = await client(user, keyspace)
        for (const [sql, expected] of statements) assert.equal(await outcome(c, sql, prepared), expected[user], `${user}: ${sql}`)
        await c.end()
        await admin.query('DELETE FROM one.t WHERE id > 1')
        await admin.query('DELETE FROM shop_80.t WHERE id > 1')
        await admin.query('DELETE FROM shop_end.t WHERE id > 1')
      }
    }
  })
}

test('a right on one keyspace by its name in front of a table, from another and from none', async () => {
  for (const database of ['one', undefined]) {
    const c = await client('writes', database as string)
    assert.equal(await outcome(c, 'SELECT v FROM shop.t WHERE id = 1', false), 0)
    assert.equal(await outcome(c, 'INSERT INTO one.t VALUES (9, 9)', true), 0)
    assert.equal(await outcome(c, 'DELETE FROM one.t WHERE one.t.id = 9', true), 0)
    assert.equal(await outcome(c, 'INSERT INTO hidden.t VALUES (9, 9)', true), 1044)
    await c.end()
  }
})

test('a prepared statement is judged at each execution', async () => {
  await addUser(store, 'shortly', 'secret', { grants: { one: ['read'] } })
  const grants = (): UserRecord['grants'] => gate.core.watch.view.users.get('shortly')?.grants
  await until('the user', () => grants()?.['one'])
  const c = await client('shortly', 'one')
  const statement = await c.prepare('SELECT v FROM t WHERE id = ?')
  assert.deepEqual((await statement.execute([1]))[0], [{ v: 1 }])
  await addUser(store, 'shortly', 'secret', { grants: { shop: ['read'] } })
  await until('the other right', () => grants()?.['shop'])
  await assert.rejects(statement.execute([1]), { errno: 1044 })
  await c.end()
})

test('an account that may do all is not held back', async () => {
  const c = await client('all', 'one')
  assert.equal(await outcome(c, 'SELECT v FROM hidden.t', false), 0)
  assert.equal(await outcome(c, 'CREATE OR REPLACE VIEW v AS SELECT x.v FROM hidden.t AS x', false), 0)
  await c.end()
})
