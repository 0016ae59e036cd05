/** Promise 7: DDL that a shard refuses is told with what stands where, and how to go on; what concerns servers and not tables is refused. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const vindexes = { hash: { type: 'hash' } }
const tables = { t: { column_vindexes: [{ column: 'id', name: 'hash' }] }, made: { column_vindexes: [{ column: 'id', name: 'hash' }] } }

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let c: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { shards: ['-40', '40-80', '80-c0', 'c0-'], vindexes, tables } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
      })
      c = await world.session('shop')
    })
    after(async () => {
      await c.close()
      await world.stop()
    })

    /** Shards that have it. */
    const having = async (what: string): Promise<string[]> => {
      const found = await Promise.all(
        world.schemas.map(async (schema) => [schema, await world.admin.value(what.replaceAll("'SCHEMA'", `'${schema}'`))]),
      )
      return found.flatMap(([schema, count]) => (count === '0' ? [] : [String(schema)]))
    }
    const table = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'SCHEMA' AND TABLE_NAME = 'made'"
    const column =
      "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'SCHEMA' AND TABLE_NAME = 't' AND COLUMN_NAME = 'more'"

    test('promise 7: what fails on the second of four shards names each of them, and goes on where it is put right', async () => {
      await world.admin.query('CREATE TABLE shop_40_80.made (other INT)')
      const create = 'CREATE TABLE made (id BIGINT PRIMARY KEY)'
      await assert.rejects(c.query(create), (error: Error) => {
        assert.match(error.message, /SW-GATE-208/)
        assert.match(error.message, /done on -40, not begun on 80-c0, c0-, and failed on 40-80: .*made.* already exists/)
        return true
      })
      assert.deepEqual(await having(table), ['shop__40', 'shop_40_80'])
      // By itself it fails where it was done, and nothing more is: on the first shard, as on one server.
      assert.equal(await codeOf(c, create), '1050')
      assert.deepEqual(await having(table), ['shop__40', 'shop_40_80'])
      await world.admin.query('DROP TABLE shop_40_80.made')
      assert.equal(await codeOf(c, create.replace('TABLE', 'TABLE IF NOT EXISTS')), 'done')
      assert.equal((await having(table)).length, 4)
      await c.query('INSERT INTO made VALUES (1), (2), (3), (4), (5), (6), (7), (8)')
      assert.equal(await c.value('SELECT COUNT(*) FROM made'), '8')
    })

    test('promise 7: an ALTER that the rows of the third shard refuse is undone on the others by the client, and repeated', async () => {
      await world.admin.query('ALTER TABLE shop_80_c0.t ADD COLUMN more INT')
      await assert.rejects(
        c.query('ALTER TABLE t ADD COLUMN more INT'),
        /done on -40, 40-80, not begun on c0-, and failed on 80-c0: .*more/,
      )
      assert.equal((await having(column)).length, 3)
      await world.admin.query('ALTER TABLE shop_80_c0.t DROP COLUMN more')
      for (const shard of ['shop__40', 'shop_40_80']) await world.admin.query(`ALTER TABLE ${shard}.t DROP COLUMN more`)
      assert.equal(await codeOf(c, 'ALTER TABLE t ADD COLUMN more INT'), 'done')
      assert.equal((await having(column)).length, 4)
      await c.query('INSERT INTO t (id, more) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)')
      assert.equal(await c.value('SELECT SUM(more) FROM t'), '15')
    })

    test('accounts and databases are not made or dropped by a session of a sharded keyspace', async () => {
      for (const sql of [
        "CREATE USER someone@'%' IDENTIFIED BY 'x'",
        'DROP USER IF EXISTS someone',
        'CREATE ROLE some_role',
        'DROP ROLE some_role',
        'CREATE DATABASE beside',
        'CREATE SCHEMA IF NOT EXISTS beside',
        'DROP DATABASE shop',
        'DROP DATABASE shop__40',
        'DROP SCHEMA IF EXISTS shop',
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '127.0.0.1')",
      ])
        assert.equal(await codeOf(c, sql), 'SW-GATE-100', sql)
      const present = "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'SCHEMA'"
      assert.equal((await having(present)).length, 4)
      assert.equal(await world.admin.value("SELECT COUNT(*) FROM mysql.user WHERE User IN ('someone', 'some_role')"), '0')
    })
  })
}
