/** Under transaction_mode `single` no transaction is on two shards, of one keyspace or of two, whichever way its statements take. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

/** hash(1) stands on -80, hash(4) on 80-. */
const [low, high] = [1, 4]
const refused = 'SW-GATE-201'

for (const flavour of flavours())
  describe(`promise 1: transaction_mode single, ${flavour}`, () => {
    let world: GateOnServer
    let c: Connection
    const rows = async (table: string): Promise<string> => {
      const counts = ['shop__80', 'shop_80_'].map((schema) => world.admin.value(`SELECT COUNT(*) FROM ${schema}.${table}`))
      return (await Promise.all(counts)).join()
    }

    before(async () => {
      const byId = (...more: object[]): object => ({ column_vindexes: [{ column: 'id', name: 'hash' }, ...more] })
      world = await gateOnServer({
        flavour,
        keyspaces: {
          ids: 'ids',
          lk: 'lk',
          plain: 'plain',
          shop: {
            shards: ['-80', '80-'],
            vindexes: {
              hash: { type: 'hash' },
              email: {
                type: 'consistent_lookup_unique',
                params: { table: 'lk.email_idx', from: 'email', to: 'keyspace_id' },
                owner: 'customer',
              },
            },
            tables: {
              t: byId(),
              o: { column_vindexes: [{ column: 'owner', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.o_seq' } },
              customer: byId({ column: 'email', name: 'email' }),
              r: { type: 'reference' },
            },
          },
        },
        modes: { shop: 'single' },
        tables: (schema) =>
          schema === 'lk'
            ? ['email_idx (email VARCHAR(60) PRIMARY KEY, keyspace_id VARBINARY(16))']
            : [
                't (id BIGINT PRIMARY KEY, n INT)',
                'o (id BIGINT PRIMARY KEY, owner BIGINT, n INT)',
                'customer (id BIGINT PRIMARY KEY, email VARCHAR(60), n INT, KEY (email))',
                'r (id BIGINT PRIMARY KEY, n INT)',
              ],
        sequences: { o: 100 },
      })
    })
    after(async () => await world.stop())

    beforeEach(async () => {
      for (const schema of ['shop__80', 'shop_80_'])
        for (const table of ['t', 'o', 'customer', 'r']) await world.admin.query(`DELETE FROM ${schema}.${table}`)
      await world.admin.query('DELETE FROM lk.email_idx')
      await world.admin.query('DELETE FROM plain.t')
      c = await world.session('shop')
    })
    afterEach(async () => await c.close())

    for (const [what, table, first, second] of [
      ['a plain row', 't', `INSERT INTO t VALUES (${low}, 1)`, `INSERT INTO t VALUES (${high}, 1)`],
      [
        'an INSERT with an owned lookup',
        'customer',
        `INSERT INTO customer VALUES (${low}, 'a@x', 1)`,
        `INSERT INTO customer VALUES (${high}, 'b@x', 1)`,
      ],
      [
        'several rows with drawn ids and IGNORE',
        'o',
        `INSERT INTO o (owner) VALUES (${low})`,
        `INSERT IGNORE INTO o (owner) VALUES (${high}), (${high})`,
      ],
      [
        'several rows with drawn ids and ON DUPLICATE KEY UPDATE',
        'o',
        `INSERT INTO o (owner) VALUES (${low})`,
        `INSERT INTO o (owner) VALUES (${high}), (${high}) ON DUPLICATE KEY UPDATE n = 1`,
      ],
    ] as const)
      test(`${what} for a second shard is refused, the transaction goes on`, async () => {
        await c.query('BEGIN')
        await c.query(first)
        assert.equal(await codeOf(c, second), refused)
        await c.query('COMMIT')
        assert.equal(await rows(table), '1,0')
        assert.equal(await codeOf(c, second), 'done')
      })

    test('an UPDATE and a DELETE of what owns a lookup, too', async () => {
      for (const id of [low, high]) await c.query(`INSERT INTO customer VALUES (${id}, '${id}@x', 1)`)
      await c.query('BEGIN')
      await c.query(`UPDATE customer SET n = 2 WHERE id = ${low}`)
      for (const sql of [`UPDATE customer SET email = 'c@x' WHERE id = ${high}`, `DELETE FROM customer WHERE id = ${high}`])
        assert.equal(await codeOf(c, sql), refused, sql)
      await c.query('COMMIT')
      assert.deepEqual(
        (await c.all('SELECT id, email, n FROM customer ORDER BY id')).map((row) => Object.values(row).map(String)),
        [
          [String(low), `${low}@x`, '2'],
          [String(high), `${high}@x`, '1'],
        ],
      )
    })

    test("a lookup's rows are written by transactions of their own, wherever they stand", async () => {
      await c.query('BEGIN')
      await c.query(`INSERT INTO customer VALUES (${low}, 'a@x', 1)`)
      await c.query(`UPDATE customer SET email = 'b@x' WHERE id = ${low}`)
      await c.query('COMMIT')
      assert.equal(await c.value("SELECT id FROM customer WHERE email = 'b@x'"), String(low))
    })

    test('nor is it on a second keyspace, of whichever mode and in whichever order', async () => {
      await c.query('BEGIN')
      await c.query(`INSERT INTO t VALUES (${low}, 1)`)
      for (const sql of ['INSERT INTO plain.t VALUES (7, 1)', 'SELECT n FROM plain.t WHERE id = 7'])
        assert.equal(await codeOf(c, sql), refused, sql)
      await c.query('COMMIT')
      assert.equal(await rows('t'), '1,0')
      await c.query('BEGIN')
      await c.query('INSERT INTO plain.t VALUES (8, 1)')
      for (const sql of [`INSERT INTO t VALUES (${high}, 1)`, 'SELECT COUNT(*) FROM t']) assert.equal(await codeOf(c, sql), refused, sql)
      await c.query('COMMIT')
      assert.equal(await rows('t'), '1,0')
      assert.equal(await world.admin.value('SELECT GROUP_CONCAT(id) FROM plain.t'), '8')
    })

    test('without autocommit the same', async () => {
      await c.query('SET autocommit = 0')
      await c.query(`INSERT INTO customer VALUES (${low}, 'a@x', 1)`)
      assert.equal(await codeOf(c, `INSERT INTO customer VALUES (${high}, 'b@x', 1)`), refused)
      await c.query('COMMIT')
      assert.equal(await rows('customer'), '1,0')
    })

    test('a reference table is changed on all shards by a statement of its own, and not in a transaction', async () => {
      for (const sql of [
        'INSERT INTO r VALUES (1, 1), (2, 2)',
        'INSERT INTO r SELECT id + 10, n FROM r',
        'UPDATE r SET n = 3 WHERE id = 1',
      ])
        assert.equal(await codeOf(c, sql), 'done', sql)
      await c.query(`INSERT INTO t VALUES (${low}, 1)`)
      assert.equal(await codeOf(c, 'INSERT INTO r SELECT id + 100, n FROM t'), 'done', 'put together at one place')
      assert.equal(await rows('r'), '5,5')
      assert.equal(await codeOf(c, 'UPDATE r JOIN t ON t.n = r.id SET t.n = 1'), refused, 'what it changes is none')
      await c.query('BEGIN')
      for (const sql of ['INSERT INTO r VALUES (3, 3)', 'DELETE FROM r', 'INSERT INTO r SELECT id + 200, n FROM t'])
        assert.equal(await codeOf(c, sql), refused, sql)
      await c.query('COMMIT')
      assert.equal(await rows('r'), '5,5')
    })
  })
