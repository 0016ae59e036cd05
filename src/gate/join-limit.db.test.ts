/** max_join_size over several shards: statements of the gate's own are not limited, and of the client's nothing is done that one server refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { besideOne, gateOnServer, takenBack } from './testkit/gate-on-server.ts'

/** What is not limited on one server. */
const writes = [
  'UPDATE p SET id = id + 100 WHERE id < 4',
  'UPDATE p SET id = id + 100',
  'UPDATE p SET n = n + 1 WHERE n < 2 ORDER BY id LIMIT 2',
  'UPDATE p SET n = 5',
  "UPDATE t SET s = 'zz' WHERE id = 1",
  "DELETE FROM t WHERE s = 'a3'",
  'DELETE FROM t WHERE n = 1',
  'DELETE FROM t WHERE id < 6 ORDER BY id LIMIT 3',
  'DELETE FROM t',
  "INSERT INTO t VALUES (50, 2, 'x'), (51, 4, 'y'), (52, 4, 'z')",
  'REPLACE INTO p VALUES (1, 5), (3, 6), (30, 7)',
  'INSERT INTO p VALUES (1, 5), (3, 6), (30, 7) ON DUPLICATE KEY UPDATE n = VALUES(n) + 1',
]
const limited = [
  'SELECT * FROM t WHERE id = 1',
  "SELECT * FROM t WHERE s = 'a3'",
  'SELECT * FROM t ORDER BY id',
  'SELECT n, COUNT(*) FROM t GROUP BY n ORDER BY n',
  'SELECT COUNT(DISTINCT n) FROM t',
  'SELECT t.id, u.id FROM t JOIN u ON t.n = u.n ORDER BY 1, 2',
  'SELECT t.id, u.id FROM t JOIN u ON t.id = u.id ORDER BY 1, 2',
  'UPDATE t JOIN u ON u.n = t.n SET t.n = 7',
  'UPDATE p JOIN u ON u.id = p.id SET p.n = 7',
  'DELETE t FROM t JOIN u ON u.n = t.n',
  'UPDATE p SET n = 3 WHERE n IN (SELECT n FROM u)',
  'INSERT INTO p SELECT id + 100, COUNT(*) FROM p GROUP BY id',
  'INSERT INTO r SELECT id + 100, n FROM r',
]
const refused = /SW-GATE-100: a statement (whose rows are put together at one place|over 3 shards.*), under max_join_size/

for (const flavour of flavours())
  test(`promise 10: under max_join_size nothing is done that one server refuses, and no statement of the gate's own is refused; ${flavour}`, async () => {
    const byId = (...more: object[]): object => ({ column_vindexes: [{ column: 'id', name: 'hash' }, ...more] })
    const world = await gateOnServer({
      keyspaces: {
        shop: {
          shards: ['-40', '40-80', '80-'],
          vindexes: {
            hash: { type: 'hash' },
            md5: { type: 'unicode_loose_md5' },
            s: { type: 'consistent_lookup_unique', params: { table: 's_idx', from: 's', to: 'keyspace_id' }, owner: 't' },
          },
          tables: {
            t: byId({ column: 's', name: 's' }),
            u: byId(),
            p: byId(),
            r: { type: 'reference' },
            s_idx: { column_vindexes: [{ column: 's', name: 'md5' }] },
          },
        },
        plain: 'one',
      },
      tables: [
        't (id BIGINT PRIMARY KEY, n INT, s VARCHAR(20), UNIQUE KEY (s))',
        ...['u', 'p', 'r'].map((name) => `${name} (id BIGINT PRIMARY KEY, n INT)`),
        's_idx (s VARCHAR(20) PRIMARY KEY, keyspace_id VARBINARY(16))',
      ],
      flavour,
    })
    const beside = await besideOne(world)
    const both = [beside.one, beside.c]
    try {
      const ids = Array.from({ length: 12 }, (_, i) => i + 1)
      for (const on of both) {
        await on.query(`INSERT INTO t VALUES ${ids.map((id) => `(${id}, ${id % 3}, 'a${id}')`).join()}`)
        await on.query(`INSERT INTO p VALUES ${ids.map((id) => `(${id}, ${id % 3})`).join()}`)
        for (const table of ['u', 'r']) await on.query(`INSERT INTO ${table} VALUES (1, 0), (2, 1), (3, 0)`)
      }
      const unlike = async (statements: readonly string[]): Promise<string[]> => {
        const found: string[] = []
        for (const sql of statements) {
          const [ours, theirs] = [await outcome(beside.c, sql), await outcome(beside.one, sql)]
          if (ours !== theirs) found.push(`${sql}: ${ours} instead of ${theirs}`)
        }
        return found
      }
      for (const set of ['max_join_size = 1', 'sql_big_selects = 1, max_join_size = 5', 'max_join_size = 12']) {
        for (const on of both) await on.query(`SET ${set}`)
        assert.deepEqual(await unlike(writes), [], set)
        const others = await unlike(limited)
        assert.deepEqual(
          others.filter((text) => !refused.test(text)),
          [],
          set,
        )
        assert.ok(others.length > 2, set)
      }
      for (const set of ['sql_big_selects = 1', 'sql_big_selects = DEFAULT', 'max_join_size = DEFAULT']) {
        for (const on of both) await on.query(`SET max_join_size = 1, ${set}`)
        assert.deepEqual(await unlike([...writes, ...limited]), [], set)
      }
    } finally {
      await beside.close()
      await world.stop()
    }
  })

/** What it answers, or is refused by. */
const outcome = (on: Connection, sql: string): Promise<string> =>
  takenBack(on, sql, (result) =>
    result.kind === 'rows' ? result.rows.map((row) => row.join('/')).join(' ') : `${result.affectedRows} ${result.info}`,
  )
