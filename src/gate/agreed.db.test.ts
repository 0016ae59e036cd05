/**
 * What clients and the gate agree upon when they connect. MariaDB tells clients that ask for it what a column is beyond its type: JSON, UUID, INET6. Node's drivers parse JSON by it. And
 * several statements in one text.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import { connect } from '../mysql/connect.ts'
import type { Column, Connection } from '../mysql/connection.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'

const table = 't (id BIGINT PRIMARY KEY, js JSON, u UUID, i INET6, v VARCHAR(10))'
const statements = [
  'SELECT * FROM t WHERE id = 1',
  'SELECT js, u, i, v FROM t ORDER BY v, id',
  'SELECT a.js, b.u FROM t a JOIN t b ON a.id = b.id + 1 ORDER BY a.id',
  'SELECT u, COUNT(*) AS n FROM t GROUP BY u ORDER BY n, u',
  'SELECT js FROM (SELECT js, v FROM t) d WHERE v <> ?',
  'SELECT DATABASE() AS d',
  "SELECT JSON_OBJECT('a', 1) AS made",
]
let world: GateOnServer
let direct: Connection

before(async () => {
  world = await gateOnServer({
    keyspaces: { plain: 'plain', shop: { t: 'by id' } },
    tables: [table],
    users: { several: { limits: { multiStatements: 'allowed' } } },
  })
  await world.admin.query('CREATE DATABASE one')
  await world.admin.query(`CREATE TABLE one.${table}`)
  direct = await open(world.serverPort, 'plain', true, 'root', '')
  const rows = Array.from({ length: 8 }, (_, i) => `(${i}, '{"n": ${i}}', UUID(), '::${i}', 'v${i % 3}')`)
  for (const keyspace of ['plain', 'shop']) {
    await using through = await open(world.port, keyspace, true)
    await through.query(`INSERT INTO t VALUES ${rows.join(', ')}`)
  }
})

after(async () => {
  await direct?.close()
  await world?.stop()
})

function open(port: number, database: string, extendedMetadata: boolean, user = 'app', secret = password): Promise<Connection> {
  return connect({ host: '127.0.0.1', port, user, password: secret, database, extendedMetadata })
}

async function told(connection: Connection, sql: string, prepared: boolean): Promise<string[]> {
  const statement = prepared ? await connection.prepare(sql) : null
  const result =
    statement === null ? await connection.query(sql.replace('?', "'v1'")) : await statement.execute(sql.includes('?') ? ['v1'] : [])
  assert.ok(result.kind === 'rows' && result.rows.length > 0, sql)
  const print = (columns: readonly Column[]): string[] => columns.map((c) => `${c.name} ${c.type} ${c.extended?.toString('latin1') ?? ''}`)
  return [...print(result.columns), ...(statement === null ? [] : print(statement.columns))]
}

for (const keyspace of ['plain', 'shop'])
  test(`promise 10: the formats and names of types are the server's, for whoever asked for them and for nobody else, on ${keyspace}`, async () => {
    await using asked = await open(world.port, keyspace, true)
    await using other = await open(world.port, keyspace, false)
    assert.deepEqual([direct.extendedMetadata, asked.extendedMetadata, other.extendedMetadata], [true, true, false])
    let beyond = 0
    for (const prepared of [false, true])
      for (const sql of statements) {
        const expected = await told(direct, sql, prepared)
        assert.deepEqual(await told(asked, sql, prepared), expected, sql)
        beyond += expected.filter((one) => !one.endsWith(' ')).length
        assert.deepEqual(
          await told(other, sql, prepared),
          expected.map((one) => one.replace(/ [^ ]*$/, ' ')),
          sql,
        )
      }
    assert.ok(beyond > 20)
  })

const several = [
  "INSERT INTO t (id, v) VALUES (100, 'a'), (101, 'b'); SELECT v FROM t WHERE id >= 100 ORDER BY id; UPDATE t SET v = 'c' WHERE id = 101",
  'BEGIN; DELETE FROM t WHERE id >= 100; SELECT COUNT(*) AS n FROM t WHERE id >= 100; ROLLBACK; SELECT COUNT(*) AS n FROM t WHERE id >= 100',
  "SET @a = 1; SELECT ';' AS x /* ; */; -- ;\n SELECT CONNECTION_ID() > 0 AS y;",
  'SELECT 1 AS one; SELECT nothing FROM t; DELETE FROM t WHERE id = 100',
  'SELECT v FROM t WHERE id = 100; SELECT id, v FROM t WHERE id < 3 ORDER BY id; SELECT MAX(id) AS most FROM t',
  'SELECT REPEAT("x", 70000) AS a; SELECT REPEAT("y", 70000) AS b UNION ALL SELECT 2; SELECT 3 AS c',
  'DELETE FROM t WHERE id >= 100; SELECT DATABASE() IS NULL AS nowhere',
]

for (const keyspace of ['plain', 'shop'])
  test(`several statements in one text are answered as by the server, for whom that was allowed and who asks for it: ${keyspace}`, async () => {
    const options = { multipleStatements: true }
    const through = await world.client('several', keyspace, options)
    const direct = await mysql.createConnection({ ...options, host: '127.0.0.1', port: world.serverPort, user: 'root', database: 'one' })
    await direct.query("REPLACE INTO t (id, js, v) VALUES (1, '{}', 'v1'), (2, '{}', 'v2')")
    await through.query("REPLACE INTO t (id, js, v) VALUES (1, '{}', 'v1'), (2, '{}', 'v2')")
    await through.query('DELETE FROM t WHERE id NOT IN (1, 2)')
    const ask = async (c: mysql.Connection, sql: string): Promise<unknown> => {
      try {
        const [results] = await c.query(sql)
        return (results as unknown[]).map((one) =>
          'affectedRows' in (one as object) ? [(one as mysql.ResultSetHeader).affectedRows, (one as mysql.ResultSetHeader).info] : one,
        )
      } catch (error) {
        return (error as { errno: number }).errno
      }
    }
    for (const sql of several) {
      assert.deepEqual(await ask(through, sql), await ask(direct, sql), sql)
      assert.deepEqual(await ask(through, 'SELECT id, v FROM t ORDER BY id'), await ask(direct, 'SELECT id, v FROM t ORDER BY id'))
    }
    const [unasked, unallowed] = [await world.client('several', keyspace), await world.client('app', keyspace, options)]
    for (const c of [unasked, unallowed])
      for (const sql of [
        'SELECT 1; SELECT 2',
        'BEGIN; DELETE FROM t',
        'SELECT COUNT(*) FROM t; DELETE FROM t',
        'USE plain; DELETE FROM t',
      ]) {
        assert.equal(await ask(c, sql), 1064, sql)
        assert.deepEqual(await ask(c, 'SELECT id FROM t ORDER BY id'), [{ id: 1 }, { id: 2 }])
      }
    assert.deepEqual(await ask(unasked, 'SELECT 1 AS a;'), [{ a: 1 }])
    for (const c of [through, direct, unasked, unallowed]) await c.end()
  })

test('the body of a routine is one statement', async () => {
  const c = await world.client('app', 'plain')
  await c.query('CREATE PROCEDURE twice(IN a INT) BEGIN SELECT a AS x; SELECT a * 2 AS x; END')
  const [results] = await c.query('CALL twice(4)')
  assert.deepEqual((results as unknown[]).slice(0, 2), [[{ x: 4 }], [{ x: 8 }]])
  await c.query('DROP PROCEDURE twice')
  await c.end()
})
