/** What a change or a locking read over several shards is refused for, and what it is not. Answers: changed-beside.db.test.ts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planOf, show } from './testkit.ts'

function scatterOf(sql: string): string {
  const plan = planOf(sql)
  assert.ok(plan.kind === 'routed', sql)
  return plan.scatter.kind === 'refused' ? `refused ${plan.scatter.refusal.construct}` : plan.scatter.kind
}

test('promise 10: what reads a column that was set before is refused beside rows of other shards', () => {
  const first = (sql: string): string => scatterOf(sql).split(' ').slice(0, 2).join(' ')
  assert.equal(first('UPDATE users SET age = 7, name = CONCAT(age, (SELECT MAX(total) FROM orders)) WHERE id < 10'), 'refused age')
  assert.equal(first('UPDATE users SET age = (SELECT MAX(total) FROM orders), name = age'), 'refused age')
  assert.equal(first('UPDATE users u SET age = (SELECT MAX(total) FROM orders), age = u.age + 1'), 'refused age')
  assert.equal(first('UPDATE users SET age = 1, name = (SELECT MAX(total) FROM orders o WHERE o.total < age)'), 'refused age')
  assert.equal(
    first('UPDATE users SET name = 1, age = (SELECT MAX(total) FROM (SELECT total FROM orders) o WHERE name = 2)'),
    'refused name',
  )
  // Columns of the subquery's own tables, or none that were set.
  assert.equal(first('UPDATE users SET age = 1, name = (SELECT MAX(weight) FROM log WHERE name > 3)'), 'gather')
  assert.equal(first('UPDATE users SET name = 1, age = (SELECT MAX(weight) FROM log WHERE name > 3)'), 'gather')
  assert.equal(first('UPDATE users SET name = age, age = (SELECT MAX(total) FROM orders)'), 'gather')
  // The client's own text, on each shard.
  assert.equal(first('UPDATE users SET age = 7, name = age WHERE id < 10'), 'allowed')
  assert.equal(first('UPDATE users SET age = 7, name = age WHERE age IN (SELECT total FROM orders)'), 'gather')
})

test('promise 10: locks of subqueries', () => {
  const inner = 'refused FOR UPDATE or LOCK IN SHARE MODE within the statement'
  assert.equal(scatterOf('SELECT * FROM (SELECT id, age FROM users WHERE age > 3 FOR UPDATE) x'), inner)
  assert.equal(scatterOf("SELECT id FROM users WHERE age IN (SELECT total FROM orders WHERE state = 'x' FOR UPDATE)"), inner)
  assert.equal(scatterOf('WITH x AS (SELECT id FROM users LOCK IN SHARE MODE) SELECT COUNT(*) FROM x'), inner)
  assert.equal(scatterOf('SELECT id FROM users WHERE id IN (SELECT user_id FROM orders FOR UPDATE)'), 'allowed')
  for (const sql of [
    'SELECT id FROM users WHERE id IN (SELECT user_id FROM orders FOR UPDATE)',
    'SELECT * FROM (SELECT id FROM users WHERE id = 3 FOR UPDATE) x',
    'SELECT id FROM users WHERE id = 1 FOR UPDATE',
  ]) {
    const plan = planOf(sql)
    assert.equal(plan.kind === 'routed' && plan.effect, 'lock', sql)
  }
})

test('promise 10: what copies of a reference table would make their own of', () => {
  for (const sql of [
    "INSERT INTO countries VALUES ('x', newid())",
    'UPDATE countries SET title = newid()',
    'UPDATE countries SET title = @@hostname',
    'UPDATE countries SET title = @@global.time_zone',
    'DELETE FROM countries WHERE title = @@server_id',
  ])
    assert.throws(() => planOf(sql), { code: 'SW-GATE-100' }, sql)
  for (const sql of [
    "INSERT INTO countries VALUES ('x', plain())",
    'UPDATE countries SET title = @@time_zone',
    'UPDATE users SET name = newid()',
  ])
    assert.equal(scatterOf(sql), 'allowed', sql)
})

test('promise 1: a write that names a table which nobody knows is planned for no shard', () => {
  for (const sql of [
    'INSERT INTO nope VALUES (1)',
    'REPLACE INTO nope SET id = 1',
    'UPDATE nope SET id = 1',
    'DELETE FROM nope WHERE id = 1',
    'INSERT INTO users (id) SELECT id FROM nope',
    'UPDATE users SET name = (SELECT MAX(x) FROM nope) WHERE id = 1',
  ])
    assert.throws(() => planOf(sql), /1146 .*Table 'app\.nope' doesn't exist/, sql)
})

test('names for the columns of VALUES have one more where an id is drawn', () => {
  const of = (alias: string): string =>
    show(`INSERT INTO orders (user_id, total) VALUES (1, 2) AS ${alias} ON DUPLICATE KEY UPDATE total = 1`)[0] ?? ''
  assert.match(of('new(u, t)'), /AS new\(u, t ?, _sw_id ?\)/)
  assert.doesNotMatch(of('new'), /_sw_id/)
})
