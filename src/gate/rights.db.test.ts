import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { until } from '../../test/kit/until.ts'
import type { Right, UserRecord } from '../topology/records.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addUser } from './testkit/world.ts'

/** An unsharded keyspace and a sharded one on one server, whose account for gates may use every schema. */
let world: GateOnServer

before(async () => {
  const rights: Record<string, Right[]> = { reads: ['read'], writes: ['read', 'write'], inserts: ['write'], changes: ['ddl'] }
  world = await gateOnServer({
    keyspaces: { one: 'one', hidden: 'hidden', shop: { t: 'by id' } },
    tables: ['t (id BIGINT PRIMARY KEY, v INT) SELECT 1 AS id, 1 AS v'],
    users: Object.fromEntries(Object.entries(rights).map(([user, given]) => [user, { grants: { one: given, shop: given } }])),
  })
})

after(() => world?.stop())

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
        const c = await world.client(user, keyspace)
        for (const [sql, expected] of statements) assert.equal(await outcome(c, sql, prepared), expected[user], `${user}: ${sql}`)
        await c.end()
        for (const schema of world.schemas) await world.admin.query(`DELETE FROM ${schema}.t WHERE id > 1`)
      }
    }
  })
}

test('a right on one keyspace by its name in front of a table, from another and from none', async () => {
  for (const database of ['one', undefined]) {
    const c = await world.client('writes', database)
    assert.equal(await outcome(c, 'SELECT v FROM shop.t WHERE id = 1', false), 0)
    assert.equal(await outcome(c, 'INSERT INTO one.t VALUES (9, 9)', true), 0)
    assert.equal(await outcome(c, 'DELETE FROM one.t WHERE one.t.id = 9', true), 0)
    assert.equal(await outcome(c, 'INSERT INTO hidden.t VALUES (9, 9)', true), 1044)
    await c.end()
  }
})

test('a session without a keyspace reaches nothing without its name: its connection served some keyspace before', async () => {
  for (const schema of world.schemas)
    await world.admin.query(`CREATE FUNCTION ${schema}.secret() RETURNS INT READS SQL DATA RETURN (SELECT MAX(v) FROM ${schema}.t)`)
  await addUser(world.store, 'outside', 'secret', { grants: {} })
  await until('the user', () => world.gate.core.watch.view.users.get('outside'))
  // The connections that there are have served each keyspace.
  for (const keyspace of ['one', 'shop']) {
    const c = await world.client('reads', keyspace)
    await c.query('SELECT v FROM t WHERE id = 1')
    await c.end()
  }
  const c = await world.client('outside', undefined)
  for (const sql of [
    'SELECT secret()',
    'DO secret()',
    'SET @x = secret()',
    'TABLE t',
    'DO (SELECT MAX(v) FROM t)',
    'SELECT * FROM {oj t LEFT JOIN t u ON TRUE}',
    'INSERT INTO t TABLE t',
    'WITH c AS (TABLE t) SELECT * FROM c',
  ])
    for (const prepared of sql.startsWith('SET') ? [false] : [false, true])
      assert.equal(await outcome(c, sql, prepared), 1046, `${prepared} ${sql}`)
  for (const sql of ['SELECT 1 + ABS(-1)', 'DO 1', 'SET NAMES utf8mb4', 'SELECT @@version', 'SHOW VARIABLES', 'SELECT 1 FROM DUAL'])
    assert.equal(await outcome(c, sql, false), 0, sql)
  await c.end()
})

test('a prepared statement is judged at each execution', async () => {
  await addUser(world.store, 'shortly', 'secret', { grants: { one: ['read'] } })
  const grants = (): UserRecord['grants'] => world.gate.core.watch.view.users.get('shortly')?.grants
  await until('the user', () => grants()?.['one'])
  const c = await world.client('shortly', 'one')
  const statement = await c.prepare('SELECT v FROM t WHERE id = ?')
  assert.deepEqual((await statement.execute([1]))[0], [{ v: 1 }])
  await addUser(world.store, 'shortly', 'secret', { grants: { shop: ['read'] } })
  await until('the other right', () => grants()?.['shop'])
  await assert.rejects(statement.execute([1]), { errno: 1044 })
  await c.end()
})

test('an account that may do all is not held back', async () => {
  const c = await world.client('app', 'one')
  assert.equal(await outcome(c, 'SELECT v FROM hidden.t', false), 0)
  assert.equal(await outcome(c, 'CREATE OR REPLACE VIEW hidden.v AS SELECT x.v FROM hidden.t AS x', false), 0)
  await c.end()
})
