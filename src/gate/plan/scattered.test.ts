/** What a scattered SELECT is planned as where its words alone do not say it: names in quotes, literals that decide, windows, functions. Answers: merged-answers.db.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planOf, show } from './testkit.ts'
import type { RoutedPlan } from './plan.ts'

function scatterOf(sql: string): RoutedPlan['scatter'] {
  const plan = planOf(sql)
  assert.ok(plan.kind === 'routed', sql)
  return plan.scatter
}

function mergeOf(sql: string): string {
  const scatter = scatterOf(sql)
  return scatter.kind === 'allowed' ? (scatter.merge?.kind ?? 'none') : scatter.kind
}

test('promise 10: a plan serves the names in quotes that it was made for, and no others', () => {
  for (const sql of ["SELECT age AS 'x', name AS 'y' FROM users ORDER BY x", "SELECT DATABASE() AS 'x', 1"]) {
    const plan = planOf(sql)
    assert.equal(planOf(sql), plan)
    assert.notEqual(planOf(sql.replace("'x'", "'z'")), plan, sql)
    assert.equal(planOf(sql), plan)
  }
})

test('promise 10: literals that decide are compared, those too that an earlier plan did not come to', () => {
  // The list has no ninth column: what follows was not looked at.
  assert.equal(mergeOf('SELECT id, age FROM users ORDER BY 9, 1'), 'gather')
  const byAge = planOf('SELECT id, age FROM users ORDER BY 1, 2')
  assert.notEqual(planOf('SELECT id, age FROM users ORDER BY 1, 1'), byAge)
  assert.equal(planOf('SELECT id, age FROM users ORDER BY 1, 2'), byAge)
  assert.equal(mergeOf('SELECT id, age FROM users ORDER BY 9, 2'), 'gather')
})

test('EXPLAIN has the plan of its own literals', () => {
  const one = planOf('EXPLAIN SELECT id, age FROM users ORDER BY 1')
  assert.notEqual(planOf('EXPLAIN SELECT id, age FROM users ORDER BY 2'), one)
})

test('promise 10: a number of the session is no place in the list', () => {
  assert.deepEqual(show('SELECT id FROM users WHERE id = 1 GROUP BY LAST_INSERT_ID(), id'), [
    '-40: SELECT id FROM users WHERE id = 1 GROUP BY (77 + 0) , id',
  ])
  assert.match(show('SELECT id, age FROM users ORDER BY @@identity, id')[0] ?? '', /BY \(77 \+ 0\) , id/)
  // Read once, where it stands behind the last SELECT of a UNION.
  const union = 'SELECT id FROM users WHERE id = 1 UNION SELECT user_id FROM log WHERE user_id = 1 ORDER BY -LAST_INSERT_ID()'
  assert.match(show(union)[0] ?? '', /ORDER BY - \(77 \+ 0\)$/)
})

test('windows are sent to the shards where each partition is on one', () => {
  const of = (over: string, rest = ''): string => mergeOf(`SELECT user_id, RANK() OVER ${over} FROM orders${rest}`)
  assert.equal(of('(PARTITION BY user_id ORDER BY total)'), 'concat')
  assert.equal(of('(PARTITION BY state, user_id)', ' ORDER BY user_id'), 'sort')
  assert.equal(of('w', ' WINDOW w AS (PARTITION BY user_id)'), 'concat')
  assert.equal(of('(PARTITION BY state)'), 'gather')
  assert.equal(of('(ORDER BY user_id)'), 'gather')
  assert.equal(of('(w ORDER BY total)', ' WINDOW w AS (PARTITION BY user_id)'), 'gather')
  assert.equal(of('w', ' WINDOW w AS (PARTITION BY user_id), v AS (PARTITION BY state)'), 'gather')
  assert.equal(of('(PARTITION BY user_id)', ' GROUP BY user_id'), 'concat')
  assert.equal(of('(PARTITION BY state)', ' GROUP BY state'), 'gather')
  assert.equal(mergeOf('SELECT SUM(SUM(total)) OVER (PARTITION BY user_id) FROM orders'), 'gather')
  // Of a row that is absent the key is NULL on every shard.
  assert.equal(mergeOf('SELECT COUNT(*) OVER (PARTITION BY o.user_id) FROM users u LEFT JOIN orders o ON o.user_id = u.id'), 'gather')
})

test('promise 10: what may be an aggregate, or is over the rows outside, is not asked of each shard', () => {
  assert.equal(mergeOf('SELECT plain(age) FROM users'), 'concat')
  assert.equal(mergeOf('SELECT product(age) FROM users'), 'gather')
  assert.equal(mergeOf('SELECT loaded(age) FROM users'), 'gather')
  assert.throws(() => planOf('SELECT reads(1)'), /stored function reads/)
  assert.throws(() => planOf('SELECT reads(1) FROM users'), /stored function reads/)
  assert.equal(planOf('SELECT plain(1)').kind, 'routed')
  assert.equal(mergeOf('SELECT (SELECT COUNT(u.id)) FROM users u'), 'gather')
  assert.equal(mergeOf('SELECT (SELECT COUNT(u.id + LENGTH(c.code)) FROM countries c) FROM users u'), 'concat')
  assert.equal(mergeOf('SELECT (SELECT COUNT(*) FROM countries c WHERE c.code > u.name) FROM users u'), 'concat')
})

test('promise 10: a column beside an aggregate of all rows, and names of several things in HAVING', () => {
  assert.equal(mergeOf('SELECT age, COUNT(*) FROM users'), 'gather')
  assert.equal(mergeOf('SELECT COUNT(*), (SELECT MAX(code) FROM countries) FROM users'), 'aggregate')
  assert.equal(mergeOf("SELECT MAX(age), EXISTS (SELECT * FROM countries c WHERE c.code = 'x') OR 1 FROM users"), 'aggregate')
  assert.equal(mergeOf('SELECT COUNT(*), (SELECT MAX(c.code) FROM countries c WHERE c.code > name) FROM users'), 'gather')
  assert.equal(mergeOf('SELECT COUNT(*), (SELECT code FROM countries LIMIT 1) FROM users'), 'gather')
  assert.equal(mergeOf('SELECT COUNT(*), (SELECT MAX(id) FROM orders) FROM users'), 'gather')
  assert.equal(mergeOf('SELECT COUNT(*), (SELECT MAX(code) FROM countries WHERE code IN (SELECT name FROM users)) FROM users'), 'gather')
  assert.equal(mergeOf("SELECT 1, NOW(), CONCAT('a', 1), COUNT(*) FROM users"), 'aggregate')
  assert.equal(mergeOf('SELECT age, COUNT(*) AS k FROM users GROUP BY age HAVING k > 1'), 'aggregate')
  assert.equal(mergeOf('SELECT age AS z, COUNT(*) FROM users GROUP BY z HAVING z > 1'), 'aggregate')
  assert.equal(mergeOf('SELECT age, COUNT(*) FROM users GROUP BY age HAVING users.age > 1'), 'aggregate')
  assert.equal(mergeOf('SELECT users.age, COUNT(*) AS age FROM users GROUP BY users.age HAVING age > 1'), 'gather')
  assert.equal(mergeOf('SELECT MAX(id) FROM users GROUP BY name HAVING age > 1'), 'gather')
  for (const group of ['z', '1']) {
    assert.equal(mergeOf(`SELECT age AS z, COUNT(*) AS age FROM users GROUP BY ${group} HAVING age > 1`), 'gather')
    assert.equal(mergeOf(`SELECT age AS z, COUNT(*) AS k FROM users GROUP BY ${group} HAVING k > 1 AND z > 2`), 'aggregate')
  }
})
