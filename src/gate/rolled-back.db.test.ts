/** What a server rolls back as a whole at an error, of which the number alone does not say so: none of the transaction stands. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

const locked = 'UPDATE t SET v = 9 WHERE id = 7'

besideEachOther('transactions that a server ends', (flavour) => {
  describe(flavour, () => {
    let world: GateOnServer
    let admin: Connection
    let holder: Connection
    const open: Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v INT, CHECK (v < 100))'],
        settings: { 'innodb-lock-wait-timeout': 1, 'innodb-rollback-on-timeout': 'ON' },
      })
      ;({ admin } = world)
      holder = await world.connect()
      const shards = ['-80', '80-'].map((name, i) => ({ name, serverId: 's1', schema: world.schemas[i] as string }))
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      await addKeyspace(world.store, 'both', shards, { sharded: true, vschema, mode: 'xa' })
    })
    after(async () => {
      await holder?.close()
      await world?.stop()
    })
    beforeEach(async () => {
      for (const schema of world.schemas) await admin.query(`DELETE FROM ${schema}.t`)
      await admin.query('INSERT INTO shop_80.t VALUES (1, 0), (2, 0)')
      await admin.query('INSERT INTO shop_end.t VALUES (4, 0), (7, 0)')
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM shop_end.t WHERE id = 7 FOR UPDATE')
    })
    afterEach(async () => {
      await holder.query('ROLLBACK')
      for (const c of open.splice(0)) await c.close()
      await noOpenTransactions(admin)
    })
    const client = async (database: string): Promise<Connection> => {
      const c = await world.session(database)
      open.push(c)
      return c
    }
    const sum = async (): Promise<unknown> => await admin.value('SELECT (SELECT SUM(v) FROM shop_80.t) + (SELECT SUM(v) FROM shop_end.t)')

    // Each waits for a lock for a second, and no setting is less.
    const one = ['a write on one shard', locked] as const
    const all = [
      one,
      ['a read under lock on one shard', 'SELECT v FROM t WHERE id = 7 FOR UPDATE'],
      ['a write on several', 'UPDATE t SET v = 9 WHERE id IN (1, 7)'],
      ['a read under lock on several', 'SELECT v FROM t WHERE id IN (1, 7) FOR UPDATE'],
      ['a write whose rows are chosen at one place', 'UPDATE t SET v = 9 ORDER BY id DESC LIMIT 2'],
      ['a read under lock that is put together at one place', 'SELECT COUNT(DISTINCT v) FROM t FOR UPDATE'],
    ] as const
    for (const [keyspace, begin, first, statements] of [
      ['shop', 'BEGIN', '1, 4', all],
      ['shop', 'SET autocommit = 0', '4, 1', [one, all[3], all[4]]],
      ['both', 'BEGIN', '4, 1', [one]],
      ['both', 'BEGIN', '1, 4', [one]],
    ] as const)
      for (const [how, statement] of statements)
        test(`promise 1: nothing stands of a transaction of which a server has rolled back a part, as it waited for a lock too long: ${how}; ${keyspace}, ${begin}, ${first}`, async () => {
          const c = await client(keyspace)
          await c.query(begin)
          for (const id of first.split(', ')) await c.query(`UPDATE t SET v = 5 WHERE id = ${id}`)
          assert.match(await codeOf(c, statement), /^(1205|SW-GATE-008|1614)$/)
          assert.equal(await c.value('SELECT SUM(v) FROM t'), '0', 'all of it is rolled back')
          // Nothing is left of the transaction: without autocommit this is another.
          await c.query('UPDATE t SET v = 6 WHERE id = 2')
          await c.query('COMMIT')
          assert.equal(await sum(), '6')
        })

    test('a transaction in which a statement failed by itself goes on', async () => {
      for (const begin of ['BEGIN', 'SET autocommit = 0']) {
        await admin.query('UPDATE shop_80.t SET v = 0')
        const c = await client('shop')
        await c.query(begin)
        await c.query('UPDATE t SET v = 5 WHERE id = 1')
        // On a shard where nothing has begun, and on one where it has.
        for (const id of [4, 1]) {
          assert.equal(await codeOf(c, `UPDATE t SET v = no_such(v) WHERE id = ${id}`), '1305')
          assert.equal(await codeOf(c, `SELECT no_such(v) FROM t WHERE id = ${id} FOR UPDATE`), '1305')
          assert.match(await codeOf(c, `UPDATE t SET v = 100 WHERE id = ${id}`), /^(4025|3819)$/)
        }
        assert.equal(await codeOf(c, 'UPDATE t SET v = no_such(v)'), '1305')
        assert.match(await codeOf(c, 'UPDATE t SET v = 100 WHERE id IN (1, 4)'), /^(4025|3819)$/)
        await c.query('COMMIT')
        assert.equal(await admin.value('SELECT v FROM shop_80.t WHERE id = 1'), '5', begin)
        await c.query('SET autocommit = 1')
      }
    })
  })
})
