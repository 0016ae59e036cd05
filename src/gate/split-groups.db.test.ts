/** Promise 10: rows put together at one place are not lost by a plan that MariaDB takes there, and not where the tables stand (`notSplit`, gather-fill.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { besideOne, gateOnServer } from './testkit/gate-on-server.ts'

test('promise 10: groups of a derived table that a semijoin asks for are all there', async () => {
  const world = await gateOnServer({
    keyspaces: { one: 'one', shop: { o: 'by id', c: 'by id' } },
    tables: [
      'o (k INT NOT NULL, id INT NOT NULL, d DECIMAL(10,3), PRIMARY KEY (k, id))',
      'c (k INT NOT NULL, id INT NOT NULL, g DOUBLE, PRIMARY KEY (id), KEY (k))',
    ],
  })
  const sides = await besideOne(world)
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1)
  for (const on of [sides.c, sides.one]) {
    await on.query(
      `INSERT INTO o VALUES ${numbers(30)
        .flatMap((k) => numbers(5).map((n) => `(${k}, ${k * 10 + n}, ${k}.${n})`))
        .join(', ')}`,
    )
    await on.query(
      `INSERT INTO c VALUES ${numbers(60)
        .map((id) => `(${id % 25}, ${id}, ${id % 5 === 0 ? id / 2 : 100 + id})`)
        .join(', ')}`,
    )
  }
  const sql =
    'WITH w AS (SELECT o.k, COUNT(*) AS cnt, SUM(o.d) AS total FROM o GROUP BY o.k) SELECT b.total, b.cnt, b.k FROM w b WHERE b.k IN (SELECT x.k FROM c AS x WHERE x.k = b.k AND x.g <= 34.25) AND b.cnt BETWEEN 3 AND 8 ORDER BY b.k'
  await sides.alike(sql)
  assert.equal((await sides.answer(sides.c, sql)).length, 4)
  await sides.close()
  await world.stop()
})
