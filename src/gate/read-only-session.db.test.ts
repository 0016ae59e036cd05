/** Promise 10: a session that only reads (Connector/J's setReadOnly sends SET SESSION TRANSACTION READ ONLY) is answered what needs rows of several shards together, and refused what writes, as by a server. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const reads = [
  'SELECT COUNT(DISTINCT age) FROM users',
  'SELECT u.id FROM users u JOIN orders o ON o.amount = u.age ORDER BY u.id',
  'SELECT @@tx, COUNT(DISTINCT age) FROM users',
  'SELECT id FROM users ORDER BY TRIM(name), id',
]
const writes = [
  'UPDATE users SET age = 1 ORDER BY age DESC LIMIT 1',
  'UPDATE users SET age = 1 WHERE age = 99 ORDER BY age DESC LIMIT 1',
  'DELETE FROM users WHERE age IN (SELECT amount FROM orders WHERE amount > 99)',
  'INSERT INTO orders (id, amount) SELECT id + 100, age FROM users WHERE age > 99',
  'UPDATE users SET id = 77 WHERE id = 78',
  'UPDATE users SET age = 1',
  'INSERT INTO users (id) VALUES (50), (51), (52), (53)',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      const tables = ['users (id BIGINT PRIMARY KEY, name VARCHAR(20), age INT)', 'orders (id BIGINT PRIMARY KEY, amount INT)']
      world = await gateOnServer({ flavour, keyspaces: { one: 'one', shop: { users: 'by id', orders: 'by id' } }, tables })
      sides = await besideOne(world)
      for (const sql of [
        "INSERT INTO users VALUES (1, 'b', 7), (2, 'A', 7), (3, 'c', 8), (4, 'a', 9), (7, 'D', 8)",
        'INSERT INTO orders VALUES (1, 8), (2, 9), (3, 1), (4, 8)',
      ])
        await sides.alike(sql)
    })
    after(async () => {
      await sides.close()
      await world.stop()
    })

    const both = async (sql: string): Promise<void> => {
      for (const side of [sides.c, sides.one]) await side.query(sql)
    }
    const refused = async (): Promise<void> => {
      for (const sql of writes) {
        assert.equal(await sides.code(sql), '1792', sql)
        await assert.rejects(sides.one.query(sql), { errno: 1792 }, sql)
      }
    }

    for (const [name, begin, end] of [
      ['autocommit', [], []],
      ['a transaction', ['BEGIN'], ['ROLLBACK']],
      ['a transaction without autocommit', ['SET autocommit = 0'], ['ROLLBACK', 'SET autocommit = 1']],
    ] as const)
      test(`promise 10: SET SESSION TRANSACTION READ ONLY, in ${name}`, async () => {
        await both('SET SESSION TRANSACTION READ ONLY')
        for (const sql of begin) await both(sql)
        for (const sql of reads) await sides.alike(sql.replace('@@tx', flavour === 'mysql' ? '@@transaction_read_only' : '@@tx_read_only'))
        await refused()
        for (const sql of reads) await sides.alike(sql.replace('@@tx', flavour === 'mysql' ? '@@transaction_read_only' : '@@tx_read_only'))
        for (const sql of end) await both(sql)
        await both('SET SESSION TRANSACTION READ WRITE')
        await sides.alike('UPDATE users SET age = age + 1 ORDER BY age DESC, id LIMIT 1')
        await sides.alike('SELECT * FROM users ORDER BY id')
      })

    test('promise 10: a transaction that only reads writes nothing by way of another connection, and one that may write does so in a session that only reads', async () => {
      await both('START TRANSACTION READ ONLY')
      for (const sql of reads) await sides.alike(sql.replace('@@tx', flavour === 'mysql' ? '@@transaction_read_only' : '@@tx_read_only'))
      await refused()
      await both('ROLLBACK')
      await both('SET TRANSACTION READ ONLY')
      await both('BEGIN')
      await refused()
      await both('ROLLBACK')
      await both('SET SESSION TRANSACTION READ ONLY')
      await both('START TRANSACTION READ WRITE')
      await sides.alike('UPDATE users SET age = age + 1 ORDER BY age DESC, id LIMIT 1')
      await both('COMMIT')
      await both('SET SESSION TRANSACTION READ WRITE')
      await both('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY')
      for (const sql of reads) await sides.alike(sql.replace('@@tx', flavour === 'mysql' ? '@@transaction_read_only' : '@@tx_read_only'))
      await both('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE')
    })
  })
}
