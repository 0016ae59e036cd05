/** Rare forms of joins, lists and names, over two shards and on one server: the same rows. */
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const rows = Array.from({ length: 12 }, (_, i) => [i + 1, (i * 7) % 5, i % 4 === 0 ? 'NULL' : i % 3])
const statements = [
  'SELECT a.id, b.id, c.id FROM t a LEFT JOIN t b JOIN u c ON c.id = b.start ON b.id = a.end ORDER BY 1, 2, 3',
  'SELECT a.id, b.id, c.id FROM t a LEFT JOIN t b LEFT JOIN u c ON c.id = b.id ON b.id = a.id ORDER BY 1, 2, 3',
  'SELECT COUNT(*), COUNT(b.id), COUNT(c.id) FROM t a LEFT JOIN (t b JOIN u c ON c.end = b.start) ON b.id = a.start',
  'SELECT COUNT(*), COUNT(b.id), COUNT(c.id) FROM t a LEFT JOIN t b JOIN u c ON c.end = b.start ON b.id = a.start',
  'SELECT COUNT(*), COUNT(c.id) FROM t a JOIN t b RIGHT JOIN u c ON c.end = b.start',
  'SELECT a.id, b.end FROM {OJ t a LEFT OUTER JOIN u b ON b.id = a.start} WHERE a.id > 2 ORDER BY a.id',
  'SELECT a.id FROM t a, {OJ u b LEFT JOIN t c ON c.id = b.start} WHERE a.id = b.id AND c.end IS NULL ORDER BY 1',
  'SELECT id FROM t WHERE start IN ((SELECT id FROM u WHERE end = 1) UNION (SELECT id FROM u WHERE end = 2)) ORDER BY id',
  'SELECT id FROM t WHERE start IN ((SELECT MIN(id) FROM u), 3, (SELECT MAX(end) FROM u)) ORDER BY id',
  'SELECT id, ((SELECT MAX(end) FROM u) + start) FROM t ORDER BY id',
  'SELECT start, end FROM t ORDER BY id',
  'SELECT end, COUNT(*) AS member FROM t GROUP BY end ORDER BY end',
  'SELECT CASE end WHEN 1 THEN start ELSE end END end FROM t ORDER BY id',
  'UPDATE t SET end = end + 1 WHERE start > 2',
  'SELECT id, end FROM t ORDER BY id',
  'SELECT id, LAG(end) OVER (PARTITION BY id ORDER BY start) FROM t ORDER BY id',
]
const only = {
  mysql: [
    'SELECT id offset FROM t ORDER BY id',
    'SELECT id, LAG(end) RESPECT NULLS OVER (PARTITION BY id ORDER BY start) FROM t ORDER BY id',
  ],
  mariadb: ['SELECT id, PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY start) OVER (PARTITION BY id) FROM t ORDER BY id'],
}

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne
    before(async () => {
      const columns = '(id BIGINT PRIMARY KEY, start INT, end INT)'
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id', u: 'by id' } },
        tables: [`t ${columns}`, `u ${columns}`],
      })
      beside = await besideOne(world)
      for (const on of [beside.one, beside.c])
        for (const table of ['t', 'u']) await on.query(`INSERT INTO ${table} VALUES ${rows.map((row) => `(${row.join(', ')})`).join(', ')}`)
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    for (const sql of [...statements, ...only[flavour]]) test(sql, () => beside.alike(sql))
  })
