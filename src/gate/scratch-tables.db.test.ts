/** Promise 10: rows of tables like which no server makes a temporary one (FULLTEXT keys, partitions; foreign keys beside them) are put together as by one server. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const kinds = {
  papers: 'by id',
  parts: 'by id',
  days: 'by id',
  faces: 'by id',
  moods: 'by id',
  kept: 'by id',
  authors: 'reference',
} as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: kinds },
        tables: [
          'authors (id BIGINT PRIMARY KEY, name VARCHAR(20))',
          "papers (id BIGINT PRIMARY KEY, author BIGINT, body TEXT COLLATE utf8mb4_general_ci, n INT DEFAULT 5, FULLTEXT KEY (body), KEY (n), up VARCHAR(30) AS (CONCAT('x,\n  FULLTEXT KEY', n)) VIRTUAL, CONSTRAINT of_author FOREIGN KEY (author) REFERENCES authors (id), KEY (author), FULLTEXT KEY again (body)) COMMENT = 'a\nPARTITION BY b'",
          "parts (id BIGINT NOT NULL, n INT, at DATE NOT NULL COMMENT 'PARTITION BY HASH', PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at)) (PARTITION p0 VALUES LESS THAN (2020), PARTITION p1 VALUES LESS THAN MAXVALUE)",
          "days (id BIGINT NOT NULL, n INT, at DATE NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE COLUMNS (at) (PARTITION p0 VALUES LESS THAN ('2020-01-01'), PARTITION p1 VALUES LESS THAN (MAXVALUE))",
          "faces (id BIGINT PRIMARY KEY, n INT, body VARCHAR(30), up VARCHAR(30) AS (CONCAT(n, '😀')), CONSTRAINT known CHECK (body IN ('😀', 'x')), FULLTEXT KEY (body))",
          "moods (id BIGINT PRIMARY KEY, body VARCHAR(30), mood ENUM('😀', 'x'), FULLTEXT KEY (body))",
          'kept (id BIGINT PRIMARY KEY, n INT, w TEXT)',
        ],
      })
      sides = await besideOne(world)
      for (const on of [sides.c, sides.one]) {
        await on.query("INSERT INTO authors VALUES (1, 'ada'), (2, 'bo')")
        for (let id = 1; id <= 12; id++) {
          await on.query(
            `INSERT INTO papers (id, author, body, n) VALUES (${id}, ${1 + (id % 2)}, '${['Apple', 'pear', 'apple'][id % 3]}', ${id % 4})`,
          )
          for (const table of ['parts', 'days']) await on.query(`INSERT INTO ${table} VALUES (${id}, ${id % 5}, '${2015 + id}-01-01')`)
          await on.query(`INSERT INTO moods VALUES (${id}, 'b${id % 2}', ${1 + (id % 2)})`)
          await on.query(`INSERT INTO faces (id, n, body) VALUES (${id}, ${id % 3}, '${id % 2 === 0 ? '😀' : 'x'}')`)
        }
      }
    })
    after(async () => {
      await sides?.close()
      await world?.stop()
    })

    test('promise 10: distinct values, joins off the key, queries of WITH and subqueries', async () => {
      for (const sql of [
        'SELECT COUNT(DISTINCT body), COUNT(DISTINCT up), SUM(DISTINCT n) FROM papers',
        'SELECT COUNT(DISTINCT n), MAX(at) FROM parts',
        'SELECT COUNT(DISTINCT n), MAX(at) FROM days',
        'SELECT p.id, q.id, p.up FROM papers p JOIN parts q ON p.n = q.n WHERE q.id > 3 ORDER BY p.id, q.id',
        'SELECT a.name, COUNT(DISTINCT p.body) FROM papers p JOIN authors a ON a.id = p.author GROUP BY a.name ORDER BY a.name',
        'WITH w AS (SELECT n, COUNT(*) AS c FROM parts GROUP BY n) SELECT p.id, w.c FROM papers p LEFT JOIN w ON w.n = p.n ORDER BY p.id',
        'SELECT id FROM papers WHERE n IN (SELECT n FROM parts WHERE id > 9) ORDER BY id',
        "SELECT DISTINCT body = 'APPLE', n FROM papers ORDER BY 1, 2",
      ])
        await sides.alike(sql)
      const sql = 'SELECT COUNT(DISTINCT p.body) FROM papers p JOIN parts q ON p.n = q.n WHERE q.n < ?'
      const [c, one] = [await sides.c.prepare(sql), await sides.one.prepare(sql)]
      const [mine, theirs] = [await c.execute(['3']), await one.execute(['3'])]
      assert(mine.kind === 'rows' && theirs.kind === 'rows')
      assert.deepEqual(mine.rows, theirs.rows)
    })

    test('promise 10: letters beyond three bytes, of which servers tell as question marks, are what they are, or refused', async () => {
      assert.equal(await sides.code('SELECT COUNT(DISTINCT body), MIN(HEX(mood)), MAX(HEX(mood)) FROM moods'), 'SW-GATE-100')
      const sql = 'SELECT COUNT(DISTINCT n), MAX(HEX(up)), MAX(HEX(body)) FROM faces'
      if (flavour === 'mysql') assert.equal(await sides.code(sql), 'SW-GATE-100')
      else await sides.alike(sql)
    })

    test('promise 10: writes by such rows', async () => {
      for (const sql of [
        'INSERT INTO kept SELECT p.id * 100 + q.id, q.n, p.body FROM papers p JOIN parts q ON p.n = q.n',
        'UPDATE papers p JOIN parts q ON p.n = q.n SET p.n = p.n + 10 WHERE q.id < 4',
        'DELETE FROM parts WHERE n IN (SELECT n - 10 FROM papers)',
      ])
        await sides.alike(sql)
      for (const table of ['kept', 'papers', 'parts']) await sides.alike(`SELECT * FROM ${table} ORDER BY id`)
    })

    test('promise 7: what says more than rows is refused, and the session goes on', async () => {
      for (const sql of [
        "SELECT COUNT(DISTINCT body) FROM papers WHERE MATCH (body) AGAINST ('apple')",
        'SELECT COUNT(DISTINCT body) FROM papers FORCE INDEX (again)',
        'SELECT COUNT(DISTINCT n) FROM parts PARTITION (p1)',
      ])
        assert.equal(await sides.code(sql), 'SW-GATE-100', sql)
      await sides.alike('SELECT COUNT(DISTINCT n) FROM parts')
    })
  })
}
