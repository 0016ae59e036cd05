/** What a scattered SELECT is planned as where its words alone do not say it: names in quotes, literals that decide, windows, functions. Answers: merged-answers.db.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../../base/errors.ts'
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

const refusedBy = (code: string) => (error: unknown) => isSwError(error, code)

test('promise 10: what JSON_TABLE is made of is the session’s, and may read tables', () => {
  const over = (json: string): string => `SELECT jt.a FROM JSON_TABLE(${json}, '$[*]' COLUMNS (a INT PATH '$')) jt`
  assert.match(show(over('@j'))[0] ?? '', /JSON_TABLE\( ?NULL ?, /)
  assert.match(show(over('JSON_ARRAY(LAST_INSERT_ID(), @@identity)'))[0] ?? '', /JSON_ARRAY\( ?77 ?, 77 ?\)/)
  assert.equal(mergeOf(over('(SELECT JSON_ARRAYAGG(age) FROM users)')), 'gather')
  assert.throws(() => show(over('reads(1)')), refusedBy('SW-GATE-100'))
  // An alias of its own hides an outer table of that name: nothing of it is known to be one shard's.
  assert.match(
    show(
      "SELECT jt.id FROM users jt WHERE EXISTS (SELECT 1 FROM JSON_TABLE('[5]', '$[*]' COLUMNS (id INT PATH '$')) jt WHERE jt.id = 5) AND jt.id = 3",
    ).join(),
    /^40-80: /,
  )
  assert.equal(
    mergeOf(
      "SELECT jt.id FROM users jt WHERE jt.age IN (SELECT jt.id FROM JSON_TABLE('[5]', '$[*]' COLUMNS (id INT PATH '$')) jt WHERE jt.id = 5)",
    ),
    'gather',
  )
})

test('promise 10: RETURNING is read as the rest of the statement is', () => {
  assert.deepEqual(show('DELETE FROM users WHERE id = 5 RETURNING app.users.id, @a, LAST_INSERT_ID() AS k'), [
    '40-80: DELETE FROM users WHERE id = 5 RETURNING users.id, NULL AS `@a` , 77 AS k',
  ])
  assert.deepEqual(show('INSERT INTO users (id, name) VALUES (5, @a) RETURNING @a'), [
    '40-80: INSERT INTO users (id, name) VALUES  (5, NULL ) RETURNING NULL AS `@a`',
  ])
  assert.throws(() => show('DELETE FROM users WHERE id = 5 RETURNING (SELECT COUNT(*) FROM orders)'), refusedBy('SW-GATE-110'))
  assert.equal(show('DELETE FROM users WHERE id = 5 RETURNING (SELECT COUNT(*) FROM orders WHERE user_id = 5)').length, 1)
  assert.equal(show('DELETE FROM users WHERE id = 5 RETURNING (SELECT COUNT(*) FROM countries)').length, 1)
  assert.equal(show('INSERT INTO users (id) VALUES (5) RETURNING (SELECT COUNT(*) FROM countries)').length, 1)
  for (const returned of ['(SELECT COUNT(*) FROM orders)', 'reads(1)', '@x := id'])
    for (const sql of ['INSERT INTO users (id) VALUES (5)', 'REPLACE INTO users (id) VALUES (5)'])
      assert.throws(() => show(`${sql} RETURNING ${returned}`), refusedBy('SW-GATE-100'), `${sql} RETURNING ${returned}`)
  assert.throws(() => show('DELETE FROM users WHERE id = 5 RETURNING reads(1)'), refusedBy('SW-GATE-100'))
})

test('promise 10: names of WITH that MySQL and MariaDB take otherwise are refused', () => {
  for (const sql of [
    'WITH users AS (SELECT 1 AS id) SELECT * FROM (WITH b AS (SELECT id FROM users) SELECT * FROM b) d',
    'WITH a AS (SELECT id FROM users) SELECT 1 FROM users WHERE id IN (WITH b AS (SELECT id FROM a) SELECT id FROM b)',
    'WITH RECURSIVE a AS (SELECT age FROM orders), orders AS (SELECT id AS age FROM users) SELECT age FROM a',
    'WITH users AS (SELECT 1 AS id) SELECT * FROM (WITH users AS (SELECT id FROM users) SELECT * FROM users) d',
  ])
    assert.throws(() => show(sql), refusedBy('SW-GATE-100'), sql)
  for (const sql of [
    'WITH a AS (SELECT id FROM users), b AS (SELECT id FROM a) SELECT * FROM b',
    'WITH a AS (SELECT id FROM users) SELECT * FROM (WITH b AS (SELECT 2) SELECT a.id FROM a, b) d',
    'WITH orders AS (SELECT 1 AS id) SELECT * FROM (WITH RECURSIVE orders AS (SELECT id FROM users UNION SELECT id FROM orders) SELECT * FROM orders) d',
  ])
    assert.equal(mergeOf(sql), 'gather', sql)
  // In an unsharded keyspace it is its server's.
  assert.equal(show('WITH t AS (SELECT 1 AS id) SELECT * FROM (WITH b AS (SELECT id FROM t) SELECT * FROM b) d', [], 'plain').length, 1)
  assert.equal(mergeOf('WITH a AS (SELECT 1) (WITH b AS (SELECT COUNT(*) AS c FROM users) SELECT c FROM b)'), 'gather')
})

test('promise 10: groups come in the order of GROUP BY where MariaDB gives it, by what LIMIT chooses among them', () => {
  assert.match(
    show('SELECT user_id, COUNT(*) FROM orders GROUP BY user_id DESC LIMIT 3').join(' and '),
    /^all: SELECT user_id, COUNT\(\*\) FROM orders GROUP BY user_id DESC ORDER BY +user_id DESC LIMIT 3$/,
  )
  const keysOf = (sql: string): unknown => {
    const scatter = scatterOf(sql)
    return scatter.kind === 'allowed' && scatter.merge?.kind !== 'concat' ? scatter.merge?.keys : scatter.kind
  }
  assert.deepEqual(keysOf('SELECT age, COUNT(*) FROM users GROUP BY age DESC LIMIT 3'), [
    { column: 0, compare: 'byType', descending: true },
  ])
  assert.deepEqual(keysOf('SELECT age, COUNT(*) FROM users GROUP BY age'), [{ column: 0, compare: 'byType', descending: false }])
  assert.deepEqual(keysOf('SELECT age, COUNT(*) FROM users GROUP BY age ORDER BY NULL LIMIT 3'), [])
  // An alias that ORDER BY would take for the column.
  assert.equal(mergeOf('SELECT total AS user_id, COUNT(*) FROM orders GROUP BY orders.user_id LIMIT 3'), 'sort')
  assert.equal(mergeOf('SELECT total AS user_id, COUNT(*) FROM orders GROUP BY user_id LIMIT 3'), 'gather')
  assert.equal(mergeOf('SELECT user_id AS user_id, COUNT(*) FROM orders GROUP BY user_id LIMIT 3'), 'sort')
  assert.equal(mergeOf('SELECT user_id, COUNT(*) FROM orders GROUP BY user_id'), 'concat')
})

test('promise 10: what has more digits than it shows, and aggregates that stand in a window alone', () => {
  assert.equal(mergeOf('SELECT SUM((SELECT AVG(o.total) FROM orders o WHERE o.user_id = u.id)) FROM users u'), 'gather')
  assert.equal(mergeOf('SELECT SUM((SELECT MAX(o.total) FROM orders o WHERE o.user_id = u.id)) FROM users u'), 'aggregate')
  assert.equal(mergeOf('SELECT RANK() OVER w FROM orders WINDOW w AS (PARTITION BY user_id ORDER BY COUNT(*))'), 'gather')
  assert.equal(mergeOf('SELECT age AS a, COUNT(*) FROM users GROUP BY a + 1'), 'gather')
  assert.equal(mergeOf('SELECT age AS a, COUNT(*) FROM users GROUP BY age + 1'), 'aggregate')
})

test('promise 10: SKIP LOCKED locks on each shard no more than it answers', () => {
  assert.equal(mergeOf('SELECT id FROM users ORDER BY id FOR UPDATE SKIP LOCKED'), 'sort')
  assert.equal(mergeOf('SELECT id FROM users ORDER BY id LIMIT 3 FOR UPDATE'), 'sort')
  assert.equal(mergeOf('SELECT id FROM users ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED'), 'refused')
  assert.equal(mergeOf('SELECT id FROM users LIMIT 3 FOR SHARE SKIP LOCKED'), 'refused')
  assert.equal(mergeOf('SELECT COUNT(DISTINCT age) FROM users FOR SHARE SKIP LOCKED'), 'refused')
})
