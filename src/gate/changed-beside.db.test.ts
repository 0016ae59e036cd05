/** Promise 10: what the planner makes of writes and locks, beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideOne, codeOf, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'
import { columnType } from '../wire/column-types.ts'
import { addKeyspace } from './testkit/world.ts'

const shards = [
  { name: '-80', serverId: 's1', schema: 'shop_80' },
  { name: '80-', serverId: 's1', schema: 'shop_end' },
]
const tables = {
  t: '(id BIGINT PRIMARY KEY, n INT, m INT, s VARCHAR(20))',
  o: '(id BIGINT PRIMARY KEY, n INT, m INT)',
  l: '(id BIGINT NOT NULL, k INT NOT NULL, v INT, PRIMARY KEY (k), UNIQUE KEY (k, id))',
  c: '(code INT PRIMARY KEY, v VARCHAR(400))',
}
const vschema = {
  sharded: true,
  vindexes: { hash: { type: 'hash' } },
  tables: {
    t: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    o: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    l: { column_vindexes: [{ column: 'k', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.l_seq' } },
    c: { type: 'reference' },
  },
}
const functions = [
  'CREATE FUNCTION HERE.newid() RETURNS CHAR(36) NO SQL RETURN UUID()',
  'CREATE FUNCTION HERE.said() RETURNS CHAR(36) DETERMINISTIC NO SQL RETURN UUID()',
  "CREATE FUNCTION HERE.address(x INT) RETURNS CHAR(36) NO SQL RETURN CONCAT(x, '@example')",
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({ keyspaces: { ids: 'ids' }, flavour, settings: { 'log-bin-trust-function-creators': 1 } })
      for (const schema of ['one', ...shards.map((shard) => shard.schema)]) {
        await world.admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        for (const [name, definition] of Object.entries(tables)) await world.admin.query(`CREATE TABLE ${schema}.${name} ${definition}`)
        for (const create of functions) await world.admin.query(create.replaceAll('HERE', schema))
      }
      await world.admin.query('CREATE TABLE ids.l_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)')
      await world.admin.query('INSERT INTO ids.l_seq VALUES (0, 1000, 10)')
      await addKeyspace(world.store, 'shop', shards, { sharded: true, vschema })
      beside = await besideOne(world)
      for (const on of [beside.one, beside.c]) {
        await on.query(`INSERT INTO t VALUES ${Array.from({ length: 12 }, (_, i) => `(${i + 1}, ${i % 5}, ${i % 3}, 's${i}')`).join()}`)
        await on.query('INSERT INTO o VALUES (1, 30, 1), (4, 40, 2), (7, 50, 3)')
      }
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    test('promise 10: an UPDATE sets from left to right, and is refused where it would not', async () => {
      const { alike, code } = beside
      const refused = [
        'UPDATE t SET n = 7, s = CONCAT(n, (SELECT MAX(n) FROM o)) WHERE id < 9',
        'UPDATE t SET n = (SELECT MAX(n) FROM o), m = n + 1',
        'UPDATE t SET n = (SELECT MAX(n) FROM o), n = n + 1 WHERE id > 2',
        'UPDATE t AS x SET n = (SELECT MIN(n) FROM o), m = x.n WHERE id > 2',
        'UPDATE t SET n = 3, m = (SELECT COUNT(*) FROM o WHERE o.m < t.n)',
        'UPDATE t SET s = 3, m = (SELECT COUNT(*) FROM o WHERE n > s)',
      ]
      for (const sql of refused) assert.equal(await code(sql), 'SW-GATE-100', sql)
      const { one } = beside
      await one.query('BEGIN')
      await one.query('UPDATE t SET n = (SELECT MAX(n) FROM o), m = n + 1')
      assert.deepEqual(await beside.answer(one, 'SELECT DISTINCT n, m FROM t'), ['50 51'])
      await one.query('ROLLBACK')
      const answered = [
        'UPDATE t SET m = n + 1, n = (SELECT MAX(n) FROM o) WHERE id < 9',
        // The subquery's own n.
        'UPDATE t SET n = (SELECT MIN(n) FROM o WHERE o.m > 1), m = (SELECT COUNT(*) FROM o WHERE n > 30) WHERE id > 2',
        // MySQL makes a join of this one, which sets in no order that it tells of.
        ...(flavour === 'mariadb' ? ['UPDATE t SET n = n + 1, m = n WHERE id IN (SELECT m FROM o)'] : []),
        'UPDATE t SET n = n + 1, m = n',
        "UPDATE t SET n = n + 1, s = CONCAT(n, 'x'), m = n WHERE m > (SELECT MIN(m) FROM o)",
      ]
      for (const sql of answered) {
        await alike(sql)
        await alike('SELECT * FROM t ORDER BY id')
      }
      // On one shard it is the server's.
      const within = 'UPDATE t SET n = (SELECT MAX(n) FROM o WHERE o.id = 4), m = n + 1 WHERE t.id = 4'
      await alike(within)
      await alike('SELECT * FROM t ORDER BY id')
    })

    test('promise 10: rows that a subquery locks are locked, or it is refused', async () => {
      const { c, code } = beside
      const other = await world.connect()
      await other.query('SET innodb_lock_wait_timeout = 1')
      const isHeld = async (sql: string): Promise<boolean> => {
        await c.query('BEGIN')
        try {
          await c.query(sql)
          return (
            (await blocked(other, `UPDATE shop_80.o SET m = m WHERE id = 1`)) &&
            (await blocked(other, `UPDATE shop_end.o SET m = m WHERE id = 4`))
          )
        } finally {
          await c.query('ROLLBACK')
        }
      }
      for (const sql of [
        'SELECT * FROM (SELECT id, n FROM o WHERE n > 3 FOR UPDATE) x',
        'SELECT id FROM t WHERE n IN (SELECT n FROM o FOR UPDATE)',
        'SELECT id FROM t WHERE n IN (SELECT n FROM o LOCK IN SHARE MODE) FOR UPDATE',
        'WITH x AS (SELECT id, n FROM o FOR UPDATE) SELECT COUNT(*) FROM x',
      ])
        assert.equal(await code(sql), 'SW-GATE-100', sql)
      assert.ok(await isHeld('SELECT id FROM t WHERE id IN (SELECT id FROM o FOR UPDATE)'))
      assert.ok(await isHeld('SELECT id FROM o WHERE n > 3 FOR UPDATE'))
      assert.ok(await isHeld('SELECT COUNT(DISTINCT m) FROM o WHERE n > 3 FOR UPDATE'))
      await other.close()
    })

    test('promise 10: copies of a reference table are changed alike', async () => {
      const { c, code } = beside
      for (const sql of [
        'INSERT INTO c VALUES (1, newid())',
        'INSERT INTO c VALUES (1, said())',
        'UPDATE c SET v = newid()',
        'UPDATE c SET v = @@hostname',
        'INSERT INTO c VALUES (1, @@server_id)',
        'INSERT INTO c SELECT 2, @@global.port',
        'DELETE FROM c WHERE v = @@datadir',
      ])
        assert.equal(await code(sql), 'SW-GATE-100', sql)
      await c.query('INSERT INTO c VALUES (1, address(3)), (2, @@sql_mode), (3, LAST_INSERT_ID())')
      await c.query('UPDATE c SET v = CONCAT(v, @@session.autocommit) WHERE code = 3')
      const copies = await Promise.all(shards.map(({ schema }) => world.admin.allText(`SELECT * FROM ${schema}.c ORDER BY code`)))
      assert.equal(copies[0]?.length, 3)
      assert.deepEqual(copies[0], copies[1])
      await c.query('DELETE FROM c')
    })

    test('promise 10: of copies of a reference table a write is warned of as of one', async () => {
      const { one, c, alike } = beside
      for (const sql of [
        "INSERT INTO c VALUES (1, 'a'), (2, 'b')",
        // MySQL warns of VALUES().
        "INSERT INTO c VALUES (1, 'd') ON DUPLICATE KEY UPDATE v = VALUES(v)",
        "INSERT INTO c VALUES (2, 'd'), (3, 'e') ON DUPLICATE KEY UPDATE v = VALUES(v)",
        "INSERT IGNORE INTO c VALUES (1, 'a'), (4, 'f')",
        'INSERT IGNORE INTO c SELECT id, s FROM t WHERE id < 7',
        'INSERT INTO c SELECT id, s FROM t WHERE id < 9 ON DUPLICATE KEY UPDATE v = VALUES(v)',
        "UPDATE IGNORE c SET v = CONCAT(v, CAST('1x' AS SIGNED)) WHERE code < 4",
        'DELETE FROM c WHERE code < 3',
      ]) {
        const said: unknown[] = []
        for (const on of [one, c]) {
          const result = await on.query(sql)
          const shown = (await beside.answer(on, 'SHOW WARNINGS')).map((text) => text.replaceAll(/`\w+`\.`c`/g, 'c'))
          said.push([result.kind === 'ok' ? [result.affectedRows, result.warnings, result.info] : result, shown])
        }
        assert.deepEqual(said[1], said[0], sql)
      }
      await alike('SELECT * FROM c ORDER BY code')
      for (const on of [one, c]) await on.query('DELETE FROM c')
    })

    test('promise 10: INSERT … SELECT from the table itself stores the digits that its rows are kept with meanwhile, from another one all of them', async () => {
      const { c, one, answer } = beside
      for (const select of [
        'SELECT id + 100, (n + 1) / 7 FROM t WHERE id < 9',
        '(SELECT id + 150, (n + 1) / 7 FROM t WHERE id < 9)',
        'WITH few AS (SELECT id, n FROM t WHERE id < 9) SELECT id + 170, (n + 1) / 7 FROM few',
        'SELECT SQL_SMALL_RESULT id + 180, (n + 1) / 7 FROM t WHERE id < 9 ORDER BY id LIMIT 3',
        'SELECT DISTINCT id + 200, (n + 1) / 7 FROM t WHERE id < 9',
        'SELECT o.id + 300, o.n / 7 FROM o WHERE id IN (SELECT id FROM t)',
        'SELECT o.id + 400, o.n / 7 FROM o',
        'SELECT id + 500, (SELECT AVG(n) / 7 FROM o) FROM t WHERE id < 9',
        'SELECT id + 600, n / 7 FROM o UNION ALL SELECT id + 620, (n + 1) / 7 FROM t WHERE id < 9',
        'SELECT MAX(id) + 700, AVG(n) / 7 FROM t WHERE id < 9 GROUP BY m',
      ]) {
        const stored = 'SELECT id, s FROM t WHERE id > 100 ORDER BY id'
        const said: unknown[] = []
        for (const on of [c, one]) {
          said.push(await codeOf(on, `INSERT INTO t (id, s) ${select}`), await answer(on, stored))
          await on.query('DELETE FROM t WHERE id > 100')
        }
        assert.deepEqual(said.slice(0, 2), said.slice(2), select)
      }
    })

    test('promise 10: a column that a server finds in two tables is refused in ON DUPLICATE KEY UPDATE', async () => {
      const { alike, code, one } = beside
      const into = 'INSERT INTO o (id, n) SELECT id, 7 FROM o ON DUPLICATE KEY UPDATE'
      for (const value of ['o.m + 1', 'VALUES(n) + o.m', 'm']) {
        assert.equal(await codeOf(one, `${into} n = ${value}`), '1052')
        assert.equal(await code(`${into} n = ${value}`), 'SW-GATE-100')
      }
      await alike(`${into} n = VALUES(n) + 1`)
      await alike('INSERT INTO o (id, n) SELECT x.id, 7 FROM o AS x ON DUPLICATE KEY UPDATE n = VALUES(n) + o.m')
      await alike('SELECT * FROM o ORDER BY id')
    })

    test('an id that is drawn beside names for the columns of VALUES', async () => {
      const { c } = beside
      if (flavour === 'mariadb') return
      await c.query('INSERT INTO l (k, v) VALUES (1, 2), (2, 3) AS new(a, b) ON DUPLICATE KEY UPDATE v = b + 10')
      await c.query('INSERT INTO l (k, v) VALUES (1, 5) AS new(a, b) ON DUPLICATE KEY UPDATE v = b + 10')
      await c.query('INSERT INTO l (k, v) VALUES (2, 7) AS new ON DUPLICATE KEY UPDATE v = new.v + 20')
      await c.query('INSERT INTO l SET k = 3, v = 4 AS new(a, b) ON DUPLICATE KEY UPDATE v = b')
      assert.deepEqual(await beside.answer(c, 'SELECT k, v, id >= 1000 FROM l ORDER BY k'), ['1 15 1', '2 27 1', '3 4 1'])
    })

    test('promise 10: what stands beside the values of the session has its own type', async () => {
      const { c, one } = beside
      for (const on of [c, one]) await on.query("SET @d = 1.5, @e = 1e0, @n = NULL, @x = x'41', @s = 'ab'")
      for (const sql of [
        'SELECT @d, @d',
        "SELECT x'41', @d",
        'SELECT NULL, @d, 1e0',
        'SELECT @d, 2',
        'SELECT @e',
        'SELECT @x',
        'SELECT @s, 1.5',
      ]) {
        const told = await Promise.all(
          [c, one].map(async (on) => {
            const result = await on.query(sql)
            assert.ok(result.kind === 'rows')
            const kinds = result.columns.map(({ type, charset }) =>
              textTypes.has(type) ? (charset === 63 ? 'binary' : 'text') : type === columnType.long ? columnType.longlong : type,
            )
            return { kinds, rows: result.rows.map((row) => row.map(String)), names: result.columns.map(({ name }) => name) }
          }),
        )
        assert.deepEqual(told[0], told[1], sql)
      }
    })

    test('INSERT IGNORE behind a comment tells of duplicates', async () => {
      const { c, one, answer } = beside
      const sql = '/* first */ INSERT /* then */ IGNORE INTO o VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4)'
      assert.deepEqual(await answer(c, sql), await answer(one, sql))
    })
  })
}

/** A variable's text is told as a BLOB by some, a literal as VARCHAR: what clients make of both hangs on the character set. */
const textTypes = new Set<number>([
  columnType.varString,
  columnType.varchar,
  columnType.string,
  columnType.blob,
  columnType.mediumBlob,
  columnType.longBlob,
])

async function blocked(on: Connection, sql: string): Promise<boolean> {
  try {
    await on.query(sql)
    return false
  } catch (error) {
    assert.match(String(error), /Lock wait timeout/)
    return true
  }
}
