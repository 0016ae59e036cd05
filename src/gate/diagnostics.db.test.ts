/**
 * Promise 10: SHOW WARNINGS is of the session's last statement, as text and prepared, in a transaction over shards too, and never of another session's; a failed statement is the last one.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const open: mysql.Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, w VARCHAR(3))'],
      })
    })
    after(async () => {
      for (const c of open) c.destroy()
      await world?.stop()
    })

    async function client(keyspace: string): Promise<mysql.Connection> {
      const c = await world.client('app', keyspace, { rowsAsArray: true })
      open.push(c)
      return c
    }
    const said = async (c: mysql.Connection, form: 'query' | 'execute', sql = 'SHOW WARNINGS'): Promise<unknown[]> => {
      const [rows] = form === 'query' ? await c.query(sql) : await c.execute(sql)
      return (rows as unknown[][]).map((row) => row[1] ?? row[0])
    }

    test('over shards, a constant that is compared is warned of as often as on one server', async () => {
      const statements = [
        "'A' = 1",
        "'A' < 1.5",
        "id = 'a'",
        "id <> 'a' OR w = 'b'",
        "id IN ('a', 'b')",
        "id + 'a' > 2",
        "id + 0 BETWEEN 'a' AND 5",
      ]
      const [counts, ofOne] = await Promise.all(
        ['wide', 'one'].map(async (keyspace) => {
          const c = await client(keyspace)
          await c.query('DELETE FROM t')
          await c.query(`INSERT INTO t VALUES ${Array.from({ length: 12 }, (_, i) => `(${i}, '1')`).join()}`)
          const told: unknown[] = []
          for (const where of statements) {
            await c.query(`SELECT id FROM t WHERE ${where}`)
            told.push([
              where,
              (await said(c, 'query')).length,
              ((await c.query('SHOW COUNT(*) WARNINGS'))[0] as unknown[][])[0]?.map(Number),
            ])
          }
          await c.query('DELETE FROM t')
          return told
        }),
      )
      assert.deepEqual(counts, ofOne)
      assert.deepEqual(
        ofOne?.slice(0, 3).map((one) => (one as unknown[])[1]),
        [1, 1, 1],
      )
    })

    test('a write over shards says of a constant that is compared as often as one server that it is none', async () => {
      const statements = [
        "UPDATE t SET w = '2' WHERE id = 'a'",
        "UPDATE t SET w = '2' WHERE id <> 'a' OR w = 'b'",
        "UPDATE t SET w = 'long' WHERE id < '7x'",
        "DELETE FROM t WHERE id IN ('a', 'b') AND id > 1",
        "DELETE FROM t WHERE id + 'a' > 9",
        "DELETE FROM t WHERE id = '3x'",
      ]
      const [told, ofOne] = await Promise.all(
        ['wide', 'one'].map(async (keyspace) => {
          const c = await client(keyspace)
          await c.query("SET sql_mode = ''")
          await c.query('DELETE FROM t')
          await c.query(`INSERT INTO t VALUES ${Array.from({ length: 12 }, (_, i) => `(${i}, '1')`).join()}`)
          const all: unknown[] = []
          for (const sql of statements) {
            const [{ affectedRows, info, warningStatus }] = (await c.query(sql)) as [mysql.ResultSetHeader, unknown]
            all.push([sql, affectedRows, info, warningStatus, (await said(c, 'query')).length])
          }
          await c.query('DELETE FROM t')
          return all
        }),
      )
      assert.deepEqual(told, ofOne)
    })

    // MySQL does not prepare SHOW WARNINGS.
    for (const form of flavour === 'mysql' ? (['query'] as const) : (['query', 'execute'] as const)) {
      for (const inTransaction of [false, true]) {
        test(`over shards, ${form}, ${inTransaction ? 'in' : 'outside of'} a transaction`, async () => {
          const c = await client('wide')
          await c.query('DELETE FROM t')
          if (inTransaction) await c.query('BEGIN')
          await c.query("INSERT IGNORE INTO t VALUES (1, 'too long')")
          assert.deepEqual(await said(c, form), [1265])
          assert.deepEqual(await said(c, form), [1265])
          await c.query("INSERT IGNORE INTO t VALUES (2, 'too long'), (3, 'too long'), (4, 'too long')")
          assert.deepEqual(await said(c, form), [1265, 1265, 1265])
          assert.equal((await said(c, form, 'SHOW WARNINGS LIMIT 1, 5')).length, 2)
          assert.deepEqual((await said(c, form, 'SHOW COUNT(*) WARNINGS')).map(Number), [3])
          const [[counts] = []] = (await c.query('SELECT @@warning_count, @@error_count + 0 AS e')) as unknown as unknown[][][]
          assert.deepEqual(counts?.map(Number), [3, 0])
          await assert.rejects(c.query("INSERT INTO t VALUES (1, 'x')"), { errno: 1062 })
          assert.deepEqual(await said(c, form), [1062])
          assert.deepEqual(await said(c, form, 'SHOW ERRORS'), [1062])
          await c.query("UPDATE t SET w = 'y' WHERE id = 1")
          assert.deepEqual(await said(c, form), [])
          await c.query('ROLLBACK')
        })
      }
    }

    test("in a sharded keyspace's session, of a statement on the connection that the session keeps to another keyspace", async () => {
      const c = await client('wide')
      await c.query("SELECT GET_LOCK('kept', 0)")
      await c.query('DELETE FROM one.t')
      await c.query("INSERT IGNORE INTO one.t VALUES (1, 'too long')")
      assert.deepEqual(await said(c, 'query'), [1265])
      await assert.rejects(c.query("INSERT INTO one.t VALUES (1, 'x')"), { errno: 1062 })
      assert.deepEqual(await said(c, 'query'), [1062])
      await c.query('DELETE FROM one.t')
      assert.deepEqual(await said(c, 'query'), [])
      await c.end()
    })

    test(
      'prepared in an unsharded keyspace: what another session is told comes between PREPARE and execution',
      { skip: flavour === 'mysql' },
      async () => {
        const [c, other] = [await client('one'), await client('one')]
        await c.query("INSERT IGNORE INTO t VALUES (1, 'too long')")
        const statement = await c.prepare('SHOW WARNINGS')
        await assert.rejects(other.query("INSERT INTO t VALUES (1, 'x')"), { errno: 1062 })
        await other.end()
        assert.deepEqual(
          ((await statement.execute([]))[0] as unknown[][]).map((row) => row[1]),
          [1265],
        )
        await c.query('SELECT id FROM t')
        assert.deepEqual((await statement.execute([]))[0], [])
      },
    )

    test('it is described as a server does, also after SET NAMES', async () => {
      const described = async (keyspace: string, also: string | null): Promise<unknown> => {
        const c = await client(keyspace)
        if (also !== null) await c.query(also)
        await c.query("REPLACE INTO t VALUES (900, 'abc')")
        await assert.rejects(c.query("INSERT INTO t VALUES (900, 'abc')"), { errno: 1062 })
        const [, fields] = await c.query('SHOW WARNINGS')
        return fields.map(({ name, columnType, columnLength, characterSet, flags, decimals }) => ({
          name,
          columnType,
          columnLength,
          characterSet,
          flags,
          decimals,
        }))
      }
      for (const also of [null, 'SET NAMES utf8mb4']) assert.deepEqual(await described('wide', also), await described('one', also))
    })
  })
}
