/**
 * Promise 10: statements over two shards whose answer was another one than the same server's over one schema, each found by asking both. Text and prepared.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const tables = [
  'a (id BIGINT PRIMARY KEY, n INT, d DECIMAL(10,3), bt BIT(6), ti INT)',
  'b (id BIGINT PRIMARY KEY, n INT)',
  'c (id BIGINT PRIMARY KEY, n INT)',
]
const rows = [
  "INSERT INTO a VALUES (1,1,1.5,b'1',4),(2,2,2.5,b'10',4),(3,NULL,NULL,NULL,5),(4,2,-1.125,b'111',5),(5,3,0.001,b'0',6),(6,NULL,1.5,b'1',6),(7,5,22.7,b'1',7)",
  'INSERT INTO b VALUES (1,1),(2,2),(3,7),(4,NULL),(9,2),(10,7)',
  'INSERT INTO c VALUES (1,7),(2,2),(3,NULL),(4,7)',
]

const equal: readonly string[] = [
  // The column that USING makes of a RIGHT JOIN is the right side's, of a derived table that table's.
  'SELECT a.id, b.id, c.id FROM a RIGHT JOIN b USING (n) LEFT JOIN c USING (n) ORDER BY b.id, a.id, c.id',
  'SELECT a.id, c.id FROM (SELECT 7 AS n) x LEFT JOIN a USING (n) LEFT JOIN c USING (n) ORDER BY c.id',
  // Within a query of WITH that is not recursive its own name is a table's.
  'WITH a AS (SELECT id, n FROM a WHERE id < 7) SELECT COUNT(*), SUM(n) FROM a',
  'SELECT (WITH a AS (SELECT id FROM a) SELECT COUNT(*) FROM a) AS k',
  'WITH RECURSIVE x AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM x WHERE i < 4) SELECT x.i, a.n FROM x JOIN a ON a.id = x.i ORDER BY 1',
  // limit + offset is more than a server takes.
  'SELECT id FROM a ORDER BY id LIMIT 18446744073709551615 OFFSET 3',
  'SELECT id FROM a ORDER BY id LIMIT 3, 18446744073709551615',
  // Servers add up quotients with more digits than they show.
  'SELECT SUM(d / 7), AVG(n / 3) FROM a',
  'SELECT n, SUM(IFNULL(d / 7, 0)) AS s FROM a GROUP BY n ORDER BY n',
  'SELECT DISTINCT n, bt FROM a ORDER BY n, bt',
  'SELECT MAX(id) FROM a ORDER BY n',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const clients: Record<'one' | 'wide', mysql.Connection> = {} as never

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { a: 'by id', b: 'by id', c: 'by id' } },
        tables,
        config: { scatterBytesMax: 1 << 20 },
      })
      for (const keyspace of ['one', 'wide'] as const) {
        clients[keyspace] = await world.client('app', keyspace, { rowsAsArray: true, supportBigNumbers: true, bigNumberStrings: true })
        for (const insert of rows) await clients[keyspace].query(insert)
      }
    })
    after(async () => {
      for (const client of Object.values(clients)) client.destroy()
      await world?.stop()
    })

    for (const sql of equal) {
      test(`promise 10: ${sql}`, async () => {
        for (const form of ['query', 'execute'] as const) {
          const ask = async (client: mysql.Connection): Promise<unknown> =>
            (form === 'query' ? await client.query(sql) : await client.execute(sql))[0]
          const [expected, got] = [await ask(clients.one), await ask(clients.wide)]
          assert.deepEqual(got, expected, form)
        }
      })
    }

    test('promise 10: names of WITH that differ in case only are refused', async () => {
      await assert.rejects(clients.wide.query('WITH A AS (SELECT 1 AS id) SELECT COUNT(*) FROM a'), /SW-GATE-100.*WITH calls A/s)
    })

    test('promise 10: an alias that hides the column that is grouped by', async () => {
      const sql = 'SELECT ti AS n, COUNT(*) FROM a GROUP BY n ORDER BY 2, 1'
      const both = await Promise.all(
        (['one', 'wide'] as const).map((keyspace) =>
          clients[keyspace].query(sql).then(
            ([answer]) => answer,
            (error: unknown) => (error as { errno: number }).errno,
          ),
        ),
      )
      assert.deepEqual(both[1], both[0])
    })

    test('a query of WITH that is named twice is answered, or refused in words of ours', async () => {
      const sql =
        'WITH x AS (SELECT id, n FROM a WHERE id < 6), y AS (SELECT * FROM x WHERE n IS NOT NULL) SELECT x.id, y.id FROM x LEFT JOIN y ON x.n = y.n ORDER BY 1, 2'
      if (flavour === 'mysql') {
        await assert.rejects(clients.wide.query(sql), /SW-GATE-100.*named more than once/s)
        await assert.rejects(
          clients.wide.query(`INSERT INTO b (id, n) ${sql.replace('x.id, y.id', 'x.id + 100, y.id')}`),
          /SW-GATE-100.*named more than once/s,
        )
      } else assert.deepEqual((await clients.wide.query(sql))[0], (await clients.one.query(sql))[0])
    })

    test('promise 8: what an INSERT … SELECT makes of few rows is bounded', async () => {
      const many = 'SELECT 0 FROM a JOIN a b JOIN a c JOIN a d JOIN a e JOIN a f'
      await assert.rejects(clients.wide.query(`INSERT INTO b (id) ${many}`), /SW-GATE-205/)
      assert.deepEqual((await clients.wide.query('SELECT id FROM b WHERE id = 0'))[0], [])
    })
  })
}
