/** sql_safe_updates over several shards: what one server refuses is not done, and what it does is done or refused in words of ours. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideOne, gateOnServer, takenBack } from './testkit/gate-on-server.ts'

const statements = [
  'UPDATE t SET id = id + 100 WHERE id = 1',
  'UPDATE t SET id = id + 100',
  "UPDATE t SET id = id + 100 WHERE s = 'a'",
  'UPDATE t SET n = n + 1 WHERE id < 4 ORDER BY id LIMIT 2',
  "UPDATE t SET n = n + 1 WHERE s = 'a' ORDER BY id LIMIT 2",
  'UPDATE t SET n = 5',
  'UPDATE t SET n = 5 WHERE n = 1',
  'UPDATE t SET n = 5 WHERE id = 1',
  "DELETE FROM t WHERE s = 'a'",
  'DELETE FROM t WHERE n = 1',
  "DELETE FROM t WHERE s = 'a' ORDER BY id LIMIT 2",
  'UPDATE t JOIN u ON u.n = t.n SET t.n = 7',
  'UPDATE t JOIN u ON u.n = t.n SET t.n = 7 WHERE t.id < 5',
  'DELETE t FROM t JOIN u ON u.n = t.n',
  'UPDATE t SET n = (SELECT MAX(n) FROM u) WHERE id < 4',
  'UPDATE t SET n = 3 WHERE n IN (SELECT n FROM u)',
  'INSERT INTO t (id, n) SELECT id + 100, n FROM t',
  'REPLACE INTO t SELECT id + 1, n, NULL FROM t WHERE n < 2',
]
const refused = /SW-GATE-100: (an UPDATE of the shard key|a write of several tables) under sql_safe_updates/

for (const flavour of flavours())
  test(`promise 10: under sql_safe_updates nothing is done that one server refuses; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: { t: 'by id', u: 'by id' }, plain: 'one' },
      tables: ['t (id BIGINT PRIMARY KEY, n INT, s VARCHAR(20), KEY (n))', 'u (id BIGINT PRIMARY KEY, n INT)'],
      flavour,
    })
    const beside = await besideOne(world)
    try {
      const rows = Array.from({ length: 12 }, (_, i) => `(${i + 1}, ${i % 3}, 'a')`).join()
      for (const on of [beside.one, beside.c]) {
        await on.query(`INSERT INTO t VALUES ${rows}`)
        await on.query('INSERT INTO u VALUES (1, 0), (2, 1)')
      }
      const outcomes = async (): Promise<string[]> => {
        const unlike: string[] = []
        for (const sql of statements) {
          const [ours, theirs] = [await outcome(beside.c, sql), await outcome(beside.one, sql)]
          if (ours !== theirs) unlike.push(`${sql}: ${ours} instead of ${theirs}`)
        }
        return unlike
      }
      for (const on of [beside.one, beside.c]) await on.query('SET sql_safe_updates = ON')
      const unlike = await outcomes()
      assert.deepEqual(
        unlike.filter((text) => !refused.test(text)),
        [],
      )
      assert.ok(unlike.length >= 3 && unlike.some((text) => text.endsWith('instead of 1')), unlike.join('\n'))
      for (const on of [beside.one, beside.c]) await on.query('SET sql_safe_updates = 0')
      assert.deepEqual(await outcomes(), [])
    } finally {
      await beside.close()
      await world.stop()
    }
  })

/** How many rows, or what it is refused by. */
const outcome = (on: Connection, sql: string): Promise<string> =>
  takenBack(on, sql, (result) => ('affectedRows' in result ? String(result.affectedRows) : 'rows'))
