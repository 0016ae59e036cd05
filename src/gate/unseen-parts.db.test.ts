/** Promise 10: parts of statements that once nobody looked into, beside one server's answer: arguments of JSON_TABLE, RETURNING, WITH within WITH, labels in quotes. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const columns = "COLUMNS (a INT PATH '$')"
const tabled: readonly string[] = [
  `SELECT jt.a FROM JSON_TABLE(@j, '$[*]' ${columns}) jt`,
  `SELECT u.id FROM u JOIN JSON_TABLE(@j, '$[*]' ${columns}) jt ON jt.a = u.id ORDER BY u.id`,
  `SELECT u.id, jt.a FROM u LEFT JOIN JSON_TABLE(@j, '$[*]' ${columns}) jt ON jt.a = u.id WHERE u.id = 4`,
  `SELECT u.id, jt.a FROM u LEFT JOIN JSON_TABLE(@j, '$[*]' ${columns}) jt ON jt.a = u.id ORDER BY u.id`,
  `SELECT u.id FROM u WHERE EXISTS (SELECT 1 FROM JSON_TABLE(@j, '$[*]' ${columns}) jt WHERE jt.a = u.id) ORDER BY u.id`,
  `SELECT u.id FROM u WHERE u.id NOT IN (SELECT a FROM JSON_TABLE(@j, '$[*]' ${columns}) AS jt) ORDER BY u.id`,
  `SELECT u.id, jt.a FROM u, JSON_TABLE(JSON_ARRAY(u.id, u.age), '$[*]' ${columns}) jt ORDER BY u.id, jt.a`,
  `SELECT u.id, jt.a FROM u, JSON_TABLE(CONCAT('[', u.id, ',', LAST_INSERT_ID(), ']'), '$[*]' ${columns}) jt ORDER BY u.id, jt.a`,
  `SELECT jt.a, jt.o FROM JSON_TABLE((SELECT CONCAT('[', COUNT(*), ']') FROM u), '$[*]' COLUMNS (o FOR ORDINALITY, a INT PATH '$' DEFAULT '3' ON EMPTY)) jt`,
  `SELECT COUNT(*) FROM u JOIN JSON_TABLE((SELECT JSON_ARRAYAGG(n) FROM t), '$[*]' ${columns}) jt ON jt.a = u.id * 10`,
  `SELECT a FROM JSON_TABLE(@none, '$[*]' ${columns}) jt`,
  `SELECT jt.id FROM u jt WHERE EXISTS (SELECT 1 FROM JSON_TABLE('[3, 4]', '$[*]' COLUMNS (id INT PATH '$')) jt WHERE jt.id = 3) ORDER BY jt.id`,
  `WITH x AS (SELECT a FROM JSON_TABLE(@j, '$[*]' ${columns}) jt) SELECT u.id FROM u JOIN x ON x.a = u.id ORDER BY u.id`,
]
const written: readonly string[] = [
  `UPDATE u SET age = 80 WHERE id IN (SELECT a FROM JSON_TABLE(@j, '$[*]' ${columns}) jt)`,
  `INSERT INTO u (id, age) SELECT a + 100, 1 FROM JSON_TABLE(@j, '$[*]' ${columns}) jt`,
]

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id', u: 'by id', places: 'reference' } },
        tables: [
          't (id BIGINT PRIMARY KEY, n INT)',
          'u (id BIGINT PRIMARY KEY, name VARCHAR(40), age INT)',
          'places (code INT PRIMARY KEY, name VARCHAR(20))',
        ],
      })
      for (const schema of world.schemas)
        await world.admin.query(`CREATE FUNCTION ${schema}.counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM ${schema}.u)`)
      beside = await besideOne(world)
      for (const on of [beside.c, beside.one])
        for (const sql of [
          "INSERT INTO u VALUES (1,'a',1),(2,'b',2),(3,'c',3),(4,'d',1),(5,'e',2),(7,'g',7),(8,'h',7)",
          'INSERT INTO t VALUES (1,10),(2,20),(3,30),(4,40),(5,50)',
          "INSERT INTO places VALUES (1,'x'),(2,'y')",
          "SET @j = '[1, 4, 7]', @two = 2",
        ])
          await on.query(sql)
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    for (const sql of tabled)
      test(`promise 10: ${sql}`, async () => {
        // MySQL takes no subquery there.
        if (flavour === 'mysql' && sql.includes('JSON_TABLE((SELECT')) assert.equal(await beside.code(sql), '1210')
        else await beside.alike(sql)
      })

    test('promise 10: rows that JSON_TABLE makes of a variable are written', async () => {
      for (const sql of written) {
        assert.equal((await beside.answer(beside.c, sql))[0]?.split(' ')[0], (await beside.answer(beside.one, sql))[0]?.split(' ')[0], sql)
        await beside.alike('SELECT id, age FROM u ORDER BY id')
      }
      for (const on of [beside.c, beside.one]) await on.query('DELETE FROM u WHERE id > 100')
    })

    test('promise 10: a stored function that reads is seen in JSON_TABLE', async () => {
      assert.equal(await beside.code(`SELECT a FROM JSON_TABLE(JSON_ARRAY(counted()), '$[*]' ${columns}) jt`), 'SW-GATE-100')
      assert.equal(await beside.code(`SELECT a FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH @j)) jt`), 'SW-SQL-006')
    })

    test('promise 10: what WITH calls a query is refused where it is a table to the other flavour', async () => {
      for (const sql of [
        'WITH u AS (SELECT 1 AS id, 2 AS age) SELECT * FROM (WITH b AS (SELECT id, age FROM u) SELECT * FROM b) d',
        'WITH u AS (SELECT 1 AS id) SELECT 3 FROM t WHERE id IN (WITH b AS (SELECT id FROM u) SELECT id FROM b)',
        'WITH RECURSIVE a AS (SELECT n AS x FROM t), t AS (SELECT id AS n FROM u WHERE id = 3) SELECT x FROM a',
        'INSERT INTO u (id) WITH t AS (SELECT 77 AS id) SELECT * FROM (WITH b AS (SELECT id FROM t) SELECT * FROM b) d',
      ])
        assert.equal(await beside.code(sql), 'SW-GATE-100', sql)
      for (const sql of [
        'WITH t AS (SELECT 1 AS id) SELECT * FROM (WITH b AS (SELECT 2) SELECT * FROM t) d',
        'WITH t AS (SELECT 1 AS id) SELECT * FROM (WITH b AS (SELECT 2 AS k), c AS (SELECT * FROM b) SELECT c.k, t.id FROM t, c) d',
        'WITH a AS (SELECT n AS x FROM t), t AS (SELECT id AS n FROM u WHERE id = 3) SELECT x FROM a ORDER BY x',
      ])
        await beside.alike(sql)
    })

    test('promise 10: WITH before a query in parentheses that has a WITH of its own', async () => {
      const sql = 'WITH a AS (SELECT 1) (WITH b AS (SELECT COUNT(*) AS c FROM u) SELECT c FROM b)'
      if (flavour === 'mysql') await beside.alike(sql)
      else assert.equal(await beside.code(sql), '1064')
      await beside.alike('WITH a AS (SELECT MAX(id) AS k FROM u) (SELECT k FROM a)')
      await beside.alike('WITH a AS (SELECT id AS k FROM u) (SELECT k FROM a) ORDER BY k DESC LIMIT 2')
    })

    test('promise 10: LIMIT takes whole numbers, and is refused as by servers with others', async () => {
      for (const value of ["'2'", '1e0', '1.0', '0x2', "b'10'", '(2)', 'NULL', '@two'])
        assert.equal(await beside.code(`SELECT id FROM u ORDER BY id LIMIT ${value}`), 'SW-SQL-004', value)
    })

    test('promise 10: labels are what stands in the quotes, and introducers are of all strings behind them', async () => {
      for (const sql of [
        "SELECT @j AS 'it''s', DATABASE() IS NULL AS 'a\\'b\\n', LAST_INSERT_ID() AS ' x', @two AS ` y`",
        "SELECT age AS 'it''s', COUNT(*) FROM u GROUP BY `it's` ORDER BY `it's`",
        "SELECT age AS 'it''s', id FROM u ORDER BY `it's`, id",
        "SELECT age AS ' x', id FROM u ORDER BY x, id",
      ]) {
        const told = []
        for (const on of [beside.c, beside.one]) {
          const result = await on.query(sql)
          assert.ok(result.kind === 'rows')
          told.push(result.columns.map(({ name }) => name))
        }
        assert.deepEqual(told[0], told[1], sql)
        await beside.alike(sql)
      }
      await beside.alike("SELECT _utf8mb4'a' 'b' 'c', _binary'a' 'b', _latin1'a' 'b'")
      await beside.alike("SELECT id FROM u WHERE name = _utf8mb4'' 'd' OR name = _utf8mb4'é' 'é'")
    })

    test('promise 10: bytes beyond ASCII outside of quotes are refused where the client writes no UTF-8', async () => {
      const c = await world.session('shop')
      const latin1 = (sql: string): Promise<string> =>
        c.query(Buffer.from(sql, 'latin1')).then(
          (result) =>
            result.kind === 'rows' ? result.rows.map((row) => row.map((cell) => cell?.toString('latin1')).join()).join() : 'done',
          (error: unknown) => /SW-[A-Z]+-\d+/.exec(String(error))?.[0] ?? String(error),
        )
      await c.query('SET NAMES latin1')
      // A space to servers: tried beside this gate on the server itself.
      await beside.one.query('SET NAMES latin1')
      assert.equal((await beside.one.query(Buffer.from('SELECT COUNT(*) FROM places\xa0x', 'latin1'))).kind, 'rows')
      await beside.one.query('SET NAMES utf8mb4')
      for (const sql of [
        'SELECT COUNT(*) FROM u\xa0x',
        "INSERT INTO\xa0u (id, name) VALUES (50, 'x')",
        'SELECT @a\xa0b',
        'SET @a\xa0= 1',
        'SELECT COUNT(*) FROM `caf\xe9`',
        'SELECT 1 AS \xe9',
      ])
        assert.equal(await latin1(sql), 'SW-GATE-100', sql)
      assert.equal(await latin1("SELECT 'caf\xe9', 2 AS `\xe9` /* \xa0 */ FROM u WHERE id = 1"), 'café,2')
      assert.equal(await latin1('SELECT COUNT(*) FROM u'), '7')
      await c.query("SET NAMES utf8mb4, collation_connection = 'latin1_swedish_ci'")
      assert.deepEqual((await beside.answer(c, 'SELECT 1 AS é')).join(), '1')
      await c.close()
    })

    test('promise 10: variables whose names are one to MySQL and two to MariaDB', async () => {
      await beside.c.query("SET @é = 1, @`ü` = 2, @'it''s' = 3")
      await beside.one.query("SET @é = 1, @`ü` = 2, @'it''s' = 3")
      await beside.alike("SELECT @É, @`é`, @ü, @\"ü\", @'it''s', @`it's`, @a")
      for (const sql of ['SELECT @e', 'SET @e = 5', 'SELECT @`é `', 'SET @s = 1, @ß = 2', 'SELECT id FROM u WHERE age = @u'])
        assert.equal(await beside.code(sql), 'SW-GATE-100', sql)
      await beside.alike('SELECT @s, @ß')
    })

    test('promise 10: RETURNING is part of the statement', async (t) => {
      if (flavour === 'mysql') return t.skip('MySQL has none')
      for (const sql of [
        'INSERT INTO u (id, name) VALUES (20, "x") RETURNING id + 1 AS k, @j, DATABASE() IS NULL, (SELECT COUNT(*) FROM places), u.name',
        "REPLACE INTO u (id, name) VALUES (20, 'y') RETURNING *, LAST_INSERT_ID() 'it''s'",
        'DELETE FROM u WHERE id = 20 RETURNING @j, (SELECT SUM(n) FROM t WHERE t.id = 20), (SELECT MAX(name) FROM places)',
      ])
        await beside.alike(sql)
      for (const on of [beside.c, beside.one]) await on.query("INSERT INTO u (id, name) VALUES (20, 'x')")
      const named = await beside.c.query('DELETE FROM u WHERE id = 20 RETURNING @j, shop.u.id, LAST_INSERT_ID()')
      assert.ok(named.kind === 'rows')
      assert.deepEqual(
        [named.columns.map(({ name }) => name), named.rows.map(String)],
        [['@j', 'id', 'LAST_INSERT_ID()'], ['[1, 4, 7],20,0']],
      )
      await beside.one.query('DELETE FROM u WHERE id = 20')
      assert.equal(await beside.code('DELETE FROM u WHERE id = 5 RETURNING (SELECT COUNT(*) FROM t)'), 'SW-GATE-110')
      for (const sql of [
        'INSERT INTO u (id) VALUES (21) RETURNING (SELECT COUNT(*) FROM t)',
        'INSERT INTO u (id) VALUES (21) RETURNING counted()',
        'INSERT INTO u (id) VALUES (21) RETURNING @x := id',
      ])
        assert.equal(await beside.code(sql), 'SW-GATE-100', sql)
      await beside.alike('SELECT id FROM u ORDER BY id')
    })
  })
