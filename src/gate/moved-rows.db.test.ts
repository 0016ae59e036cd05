/** UPDATEs that change shard keys, against one unsharded server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer, overFour, type GateOnServer } from './testkit/gate-on-server.ts'

const tables = [
  `t (k INT NOT NULL, id INT NOT NULL, f FLOAT, d DATETIME(3) NULL, touched TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00', b VARBINARY(9), twice INT AS (id * 2) STORED,
  PRIMARY KEY (id, k), UNIQUE KEY (k, b))`,
  'watched (k INT PRIMARY KEY, n INT)',
  'stamped (k INT, id INT, n INT, at DATETIME(6) DEFAULT NOW(6) ON UPDATE NOW(6), seen TIMESTAMP NULL ON UPDATE NOW(), PRIMARY KEY (id, k))',
]
const rows = Array.from(
  { length: 12 },
  (_, i) => `(${i % 6}, ${i}, ${i}.1, '2024-02-0${(i % 9) + 1} 01:02:03.004', x'00ff${String(10 + i)}')`,
).join(', ')

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let c: Connection
    let one: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: {
          one: 'one',
          app: overFour(['t', 'watched', 'stamped'], 'k'),
        },
        tables,
      })
      for (const schema of world.schemas)
        if (schema !== 'one')
          await world.admin.query(`CREATE TRIGGER ${schema}.w BEFORE UPDATE ON ${schema}.watched FOR EACH ROW SET NEW.n = NEW.n + 1`)
      c = await world.session('app')
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await Promise.all([c?.close(), one?.close()])
      await world?.stop()
    })
    beforeEach(async () => {
      if (flavour === 'mysql') await world.admin.query('SET GLOBAL sql_require_primary_key = ON')
      for (const on of [c, one]) {
        await on.query('DELETE FROM t')
        await on.query(`INSERT INTO t (k, id, f, d, b) VALUES ${rows}`)
      }
    })

    const read = 'SELECT *, HEX(b) FROM t ORDER BY id, k'
    const said = async (on: Connection, sql: string): Promise<string> => {
      const result = await on.query(sql)
      return result.kind === 'ok' ? `${result.affectedRows} ${result.info}` : 'rows'
    }

    test('promise 10: rows move to the shard of their new key, whole, and the answer is that of one server', async () => {
      for (const sql of [
        'UPDATE t SET k = 77 WHERE k = 3',
        'UPDATE t SET k = 3 WHERE k = 77',
        'UPDATE t SET k = k + 100, f = 2.5 WHERE id < 5',
        'UPDATE t SET k = id * 7 ORDER BY id DESC LIMIT 4',
        "UPDATE t SET k = '9', b = x'01' WHERE id = 2 AND k > 0",
        'UPDATE t AS z SET z.k = z.k WHERE z.id > 3',
        'UPDATE t SET k = 5 WHERE k = 4711',
      ]) {
        assert.equal(await said(c, sql), await said(one, sql), sql)
        assert.deepEqual(await c.allText(read), await one.allText(read), sql)
      }
      // Each stands where its key says: found by it alone.
      for (const { k, id } of await one.allText('SELECT k, id FROM t'))
        assert.equal(await c.value(`SELECT id FROM t WHERE k = ${k} AND id = ${id}`), id)
    })

    test('promise 10: a column that takes the time of an UPDATE by itself takes it when its row moves', async () => {
      const asked = 'SELECT k, id, n, at, seen FROM stamped ORDER BY id'
      for (const on of [c, one]) {
        await on.query("SET time_zone = '+00:00', timestamp = 1600000000.5")
        await on.query('INSERT INTO stamped (k, id) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (7, 5)')
        await on.query('SET timestamp = 1000000000.25')
        await on.query('UPDATE stamped SET k = 7 WHERE id <> 2')
        await on.query('SET timestamp = 1100000000.25')
        await on.query('UPDATE stamped SET k = 8, at = at WHERE id = 4')
        await on.query('SET timestamp = DEFAULT')
      }
      assert.deepEqual(await c.allText(asked), await one.allText(asked))
      assert.equal(await c.value('SELECT at FROM stamped WHERE id = 1'), '2001-09-09 01:46:40.250000')
    })

    test('promise 10: duplicates are refused and nothing has moved; a transaction can undo it; triggers are not passed over', async () => {
      const was = await one.allText(read)
      for (const sql of ["UPDATE t SET k = 1, b = x'aa' WHERE id IN (3, 4, 5)", 'UPDATE t SET id = 7, k = 1 WHERE id = 2']) {
        await assert.rejects(c.query(sql), /1062/, sql)
        await assert.rejects(one.query(sql), /1062/, sql)
      }
      assert.deepEqual(await c.allText(read), was)
      await c.query('BEGIN')
      await c.query('UPDATE t SET k = 50 + id')
      assert.equal(await c.value('SELECT COUNT(*) FROM t WHERE k = 50 + id'), '12')
      await c.query('ROLLBACK')
      assert.deepEqual(await c.allText(read), was)
      await c.query('INSERT INTO watched VALUES (1, 1)')
      await assert.rejects(c.query('UPDATE watched SET k = 2 WHERE k = 1'), /SW-GATE-100.*triggers/)
      await c.query('UPDATE watched SET k = 1, n = 4 WHERE k = 1')
      assert.equal(await c.value('SELECT n FROM watched WHERE k = 1'), '5')
    })
  })
}
