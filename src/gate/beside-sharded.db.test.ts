/**
 * Promises 10 and 11 for a session in a sharded keyspace whose statement names an unsharded one: it is answered as for a session that is in that keyspace. What
 * such a statement knows of its session, leaves on its connection, and may have done when a server says no, was known of one session's and not of the other's.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const table = '(id BIGINT PRIMARY KEY, name VARCHAR(50), n INT)'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const open: mysql.Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        // `renamed` stands on a schema of another name.
        keyspaces: { main: 'main', renamed: 'main_phys', wide: { t: 'by id' } },
        tables: [`t ${table}`, `log ${table}`],
      })
      const { admin } = world
      for (const schema of ['main', 'main_phys']) {
        await admin.query(`INSERT INTO ${schema}.t VALUES (1, '${schema}', 1), (2, 'b', 2), (3, 'c', 3)`)
        await admin.query(`CREATE TABLE ${schema}.counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, v BIGINT)`)
        await admin.query(`CREATE PROCEDURE ${schema}.inserts() INSERT INTO counted (v) VALUES (2)`)
        await admin.query(
          `CREATE FUNCTION ${schema}.keeps(i INT) RETURNS INT DETERMINISTIC NO SQL BEGIN SET @by_function = i; SET SESSION group_concat_max_len = 77; RETURN i; END`,
        )
        await admin.query(`CREATE PROCEDURE ${schema}.doubles(IN i INT, OUT o INT) SET o = i * 2`)
        await admin.query(
          `CREATE PROCEDURE ${schema}.writes_twice() SQL SECURITY INVOKER BEGIN INSERT INTO log VALUES (1, 'first', 1); DO GET_LOCK('hold', 20); INSERT INTO log VALUES (2, 'second', 1); END`,
        )
      }
    })
    after(async () => {
      await Promise.all(open.map((c) => c.end().catch(() => {})))
      await world?.stop()
    })

    async function client(database = 'wide'): Promise<mysql.Connection> {
      const c = await world.client('app', database)
      open.push(c)
      return c
    }
    const rows = async (c: mysql.Connection, sql: string, values?: unknown[]): Promise<Record<string, unknown>[]> =>
      (values === undefined ? await c.query(sql) : await c.execute(sql, values as []))[0] as Record<string, unknown>[]
    const value = async (c: mysql.Connection, sql: string, values?: unknown[]): Promise<unknown> =>
      Object.values((await rows(c, sql, values))[0] ?? {})[0]
    const count = async (of: string): Promise<number> => Number((await world.admin.allText(`SELECT COUNT(*) AS n FROM ${of}`))[0]?.['n'])
    const inserted = async (c: mysql.Connection, sql: string): Promise<number> => (await c.query<mysql.ResultSetHeader>(sql))[0].insertId

    for (const [keyspace, schema] of [
      ['main', 'main'],
      ['renamed', 'main_phys'],
    ] as const) {
      test('user variables that a connection has stay what they are when settings change, whatever was asked of them before', async () => {
        const c = await world.session('wide')
        await c.query("SET @w = CONCAT('a', 1)")
        for (const sql of [
          'SET @v = (SELECT SUM(n) FROM t)',
          'SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE',
          'BEGIN',
          'INSERT INTO main.t VALUES (90, NULL, 1)',
          'SELECT COUNT(*) FROM main.t',
          'ROLLBACK',
          'DELETE FROM main.t WHERE id > 80',
          'SELECT main.keeps(n), COUNT(*) FROM main.t GROUP BY 1',
          'SELECT main.keeps(12)',
          'SET sql_select_limit = 7',
          'SET NAMES utf8mb4',
          'SET sql_mode = DEFAULT, div_precision_increment = DEFAULT, group_concat_max_len = DEFAULT, sql_select_limit = DEFAULT, time_zone = DEFAULT',
          "SET time_zone = '+05:30'",
        ]) {
          await c.query(sql)
          await c.query('SELECT @v AS v')
          assert.equal(await c.value('SELECT @w AS w'), 'a1', sql)
        }
      })

      test(`promise 10: what a session knows stands in its statements on another keyspace's tables (${keyspace})`, async () => {
        const [c, other] = [await client(), await client()]
        const id = await inserted(c, `INSERT INTO ${keyspace}.counted (v) VALUES (1)`)
        // By the same connection.
        assert.equal(await inserted(other, `INSERT INTO ${keyspace}.counted (v) VALUES (1), (2)`), id + 1)
        const asked = `FROM ${keyspace}.t WHERE ${keyspace}.t.id = 1`
        assert.equal(await value(c, `SELECT ROW_COUNT() ${asked}`), 1)
        assert.equal(await value(c, `SELECT LAST_INSERT_ID() ${asked}`), id)
        assert.equal(await value(c, `SELECT LAST_INSERT_ID() AS l ${asked} AND ${keyspace}.t.n = ?`, [1]), id)
        for (const how of [undefined, []])
          assert.deepEqual(await rows(c, `SELECT CONNECTION_ID() AS id, USER() AS u, name ${asked}`, how), [
            { id: c.threadId, u: 'app@127.0.0.1', name: schema },
          ])
        assert.deepEqual(await rows(c, `SELECT DATABASE() ${asked}`), [{ 'DATABASE()': 'wide' }])
        await c.query(`UPDATE ${keyspace}.t SET n = n + 1 WHERE id IN (2, 3)`)
        assert.equal(await value(c, `SELECT ROW_COUNT() + 0 AS n ${asked}`), 2)
        await c.query(`UPDATE ${keyspace}.t SET n = LAST_INSERT_ID() WHERE id = 2`)
        await c.execute(`UPDATE ${keyspace}.t SET n = LAST_INSERT_ID() + ? WHERE id = 3`, [1])
        assert.deepEqual(await world.admin.allText(`SELECT n FROM ${schema}.t WHERE id > 1 ORDER BY id`), [
          { n: String(id) },
          { n: String(id + 1) },
        ])
        await assert.rejects(other.query(`SELECT FOUND_ROWS() ${asked}`), /SW-GATE-012/)
        await other.query(`SELECT SQL_CALC_FOUND_ROWS id FROM ${keyspace}.t LIMIT 1`)
        assert.equal(await value(other, `SELECT FOUND_ROWS() ${asked}`), 3)
        await assert.rejects(other.execute(`SELECT DATABASE() ${asked}`), /SW-GATE-012/)
      })

      test(`promise 10: what a stored function or procedure of another keyspace leaves stays with its session (${keyspace})`, async () => {
        const [c, other] = [await client(), await client()]
        const asked = `FROM ${keyspace}.t WHERE id = 1`
        for (const how of [undefined, []]) {
          assert.equal(await value(c, `SELECT ${keyspace}.keeps(3) ${asked}`, how), 3)
          assert.deepEqual(await rows(c, `SELECT @by_function AS v, @@group_concat_max_len AS l ${asked}`, how), [{ v: 3, l: 77 }])
          assert.equal(await value(other, `SELECT @by_function ${asked}`, how), null)
          assert.notEqual(await value(other, `SELECT @@group_concat_max_len ${asked}`, how), 77)
        }
        // A name without a keyspace is of the session's own.
        await assert.rejects(c.query(`SELECT keeps(3) ${asked}`), /SW-GATE-012/)
        const id = await inserted(other, `INSERT INTO ${keyspace}.counted (v) VALUES (1)`)
        await other.query(`CALL ${keyspace}.inserts()`)
        assert.equal(await value(other, `SELECT LAST_INSERT_ID() ${asked}`), id + 1)
        await other.query(`CALL ${keyspace}.inserts()`)
        assert.equal(await value(other, 'SELECT LAST_INSERT_ID()'), id + 2)
        await other.query(`CALL ${keyspace}.inserts()`)
        assert.equal(await value(other, 'SELECT LAST_INSERT_ID() + 0 AS n'), id + 3)
      })

      test(`promise 10: user variables are the session's in statements on another keyspace's tables, and what these set is (${keyspace})`, async () => {
        const [c, other] = [await client(), await client()]
        const asked = `FROM ${keyspace}.t WHERE id = 1`
        await c.query("SET @a = 5, @t = 'it''s', @none = NULL, @f = 1.50")
        for (const how of [undefined, []]) {
          assert.deepEqual(await rows(c, `SELECT @a, @t, @none, @f ${asked}`, how), [
            { '@a': 5, '@t': "it's", '@none': null, '@f': '1.50' },
          ])
          assert.deepEqual(await rows(c, 'SELECT @a AS a, @t AS t', how), [{ a: 5, t: "it's" }])
          assert.equal(await value(other, `SELECT @a ${asked}`, how), null)
        }
        assert.equal(await value(c, `SELECT id FROM ${keyspace}.t WHERE id = @a - ?`, [4]), 1)
        // Set there, and known here.
        await c.query(`SELECT n + 40, name INTO @x, @s FROM ${keyspace}.t WHERE id = 1`)
        assert.deepEqual(await rows(c, 'SELECT @x AS x, @s AS s, @a AS a, @t AS t'), [{ x: 41, s: schema, a: 5, t: "it's" }])
        await c.query('SET @y = @x + 1, @a = 6')
        assert.deepEqual(await rows(c, `SELECT @y AS y, @x AS x, @a AS a ${asked}`), [{ y: 42, x: 41, a: 6 }])
        await c.query('INSERT INTO t VALUES (@y, @s, 1) ON DUPLICATE KEY UPDATE name = @s')
        assert.equal(await value(c, 'SELECT name FROM t WHERE id = @y'), schema)
        assert.equal(await value(c, 'SELECT name FROM t WHERE id = @y + ?', [0]), schema)
        await c.query(`CALL ${keyspace}.doubles(@y, @out)`)
        assert.equal(await value(c, 'SELECT @out + 1'), 85)
        assert.equal(await value(c, `SELECT ${keyspace}.keeps(9) ${asked}`), 9)
        assert.deepEqual(await rows(c, 'SELECT @by_function AS f, @a AS a'), [{ f: 9, a: 6 }])
        // In the keyspace itself as beside it.
        await c.query(`USE ${keyspace}`)
        assert.equal(await value(c, 'SELECT @a'), 6)
        await c.query('SET @a = 7')
        await c.query('USE wide')
        assert.equal(await value(c, 'SELECT @a'), 7)
        assert.equal(await value(other, 'SELECT @by_function'), null)
        await assert.rejects(c.query(`SELECT @a FROM ${keyspace === 'main' ? 'renamed' : 'main'}.t`), /SW-GATE-012/)
        await c.query('DELETE FROM t')
      })

      test(`promise 10: a variable that another keyspace's server has is of its type here (${keyspace})`, async () => {
        const c = await client()
        await c.query(
          `SELECT CONVERT(name USING latin1), n / 3, ROUND(n / 3, 2), n / 4e0, x'00ff' INTO @l, @q, @r, @d, @b FROM ${keyspace}.t WHERE id = 1`,
        )
        assert.deepEqual(await rows(c, 'SELECT CHARSET(@l) AS l, @r AS r, @d AS d, HEX(@b) AS b, CHARSET(@b) AS c'), [
          { l: 'latin1', r: '0.33', d: 0.25, b: '00FF', c: 'binary' },
        ])
        assert.equal(await value(c, `SELECT CHARSET(@l) FROM ${keyspace}.t WHERE id = 1`), 'latin1')
        const digits = Number(await value(c, 'SELECT @q * 3'))
        await c.query(`USE ${keyspace}`)
        assert.equal(Number(await value(c, 'SELECT @q * 3')), digits, 'all of them')
        await c.query('USE wide')
        await c.query('BEGIN')
        await c.query('SET @n = 0')
        assert.deepEqual(
          (await rows(c, `SELECT @n := @n + 1 AS n FROM ${keyspace}.t`)).map(({ n }) => Number(n)),
          [1, 2, 3],
        )
        assert.equal(Number(await value(c, 'SELECT @n')), 3)
        await c.query('COMMIT')
        await c.query("SET @k = 'old'")
        await c.query(`SELECT 'new' INTO @k FROM ${keyspace}.t WHERE id = 1`)
        await c.query('SET NAMES latin1')
        assert.deepEqual(await rows(c, 'SELECT CHARSET(@l) AS l, @k AS k'), [{ l: 'latin1', k: 'new' }])
        // Set before it is on the server's: both as one.
        const d = await client()
        await d.query('SET @early = 3')
        await d.query(`USE ${keyspace}`)
        assert.equal(await value(d, 'SELECT @early'), 3)
        await d.query('SET @late = @early + 1, sql_mode = @@sql_mode')
        await d.query('USE wide')
        assert.deepEqual(await rows(d, 'SELECT @early AS e, @late AS l'), [{ e: 3, l: 4 }])
      })

      test(`promise 11: a CALL into another keyspace, of which a part was refused, is not sent again (${keyspace})`, async () => {
        for (const prepared of [false, true]) {
          const c = await client()
          await c.query(`DELETE FROM ${keyspace}.log`)
          await world.admin.query("SELECT GET_LOCK('hold', 5)")
          const call = `CALL ${keyspace}.writes_twice()`
          const called = (prepared ? c.execute(call) : c.query(call)).then(
            () => 'done',
            (error: Error) => error.message,
          )
          try {
            await until('its first row', async () => (await count(`${schema}.log`)) === 1)
            await world.admin.query('SET GLOBAL read_only = 1')
            await world.admin.query("SELECT RELEASE_LOCK('hold')")
            assert.match(await called, /SW-GATE-209/)
          } finally {
            await world.admin.query('SET GLOBAL read_only = 0')
          }
          assert.equal(await count(`${schema}.log`), 1)
        }
      })
    }
  })
}
