// Statement → which shard gets which text. Ids under `hash`: 1, 2 → -40; 3, 5, 9 → 40-80; 4, 7 → c0-.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../../base/errors.ts'
import { integerValue, textValue } from '../../sql/value.ts'
import { catalog, inputsOf, planOf, planner, route, show } from './testkit.ts'
import type { GatherPlan } from './gather-types.ts'
import { idsNeeded } from './route.ts'

function answers(table: readonly (readonly [string, ...string[]])[]): void {
  for (const [sql, ...expected] of table) assert.deepEqual(show(sql), expected, sql)
}
function refuses(table: readonly (readonly [string, string, RegExp?])[]): void {
  for (const [sql, code, what] of table) {
    const gathered = gatherOf(sql)
    if (gathered !== undefined) {
      // The shards can't answer it each for itself: it is answered from their rows at one place, for the same reason.
      assert.ok(['SW-GATE-100', 'SW-GATE-110'].includes(code), sql)
      assert.match(`${gathered.refusal.construct} ${gathered.refusal.reason}`, what ?? /./, sql)
      continue
    }
    assert.throws(
      () => show(sql),
      (error) => isSwError(error, code) && (what === undefined || what.test(error.message)),
      `${sql} is to be refused with ${code}`,
    )
  }
}
function gatherOf(sql: string): GatherPlan | undefined {
  try {
    return route(sql).gather
  } catch (error) {
    if (isSwError(error)) return undefined
    throw error
  }
}
const same = (where: string, sql: string) => [sql, `${where}: ${sql}`] as const

test('promise 10: a select goes to the shards that its shard key values are on', () => {
  answers([
    same('40-80', 'SELECT * FROM users WHERE id = 5'),
    same('40-80', 'SELECT * FROM users WHERE 5 = id AND age > 3'),
    same('40-80', 'SELECT * FROM users WHERE id <=> 5'),
    same('-40 40-80 c0-', 'SELECT * FROM users WHERE id IN (1,2,3,4,5)'),
    same('40-80 c0-', 'SELECT * FROM users WHERE id = 3 OR id = 4'),
    same('40-80 c0-', 'SELECT * FROM users WHERE (id = 3 AND age = 4) OR (id = 4)'),
    same('all', 'SELECT * FROM users WHERE id = 3 OR age = 4'),
    same('all', 'SELECT * FROM users WHERE NOT id = 3'),
    same('all', 'SELECT * FROM users WHERE id NOT IN (3)'),
    same('all', 'SELECT * FROM users WHERE id > 3'),
    same('-40 40-80', 'SELECT * FROM users WHERE (id, age) IN ((1, 2), (3, 4))'),
    same('40-80', 'SELECT * FROM users WHERE (id, age) = (5, 1)'),
    same('any', 'SELECT * FROM countries'),
    same('any', 'SELECT * FROM nope'),
    same('any', 'SELECT 1'),
    same('c0-', 'SELECT u.name FROM users u WHERE u.id = 4 FOR UPDATE'),
  ])
})

test('promise 10: values are compared as the server compares them; where that is in doubt, all shards are asked', () => {
  answers([
    same('40-80', "SELECT * FROM users WHERE id = '5'"),
    same('40-80', 'SELECT * FROM users WHERE id = 5.0'),
    same('40-80', 'SELECT * FROM users WHERE id = 5e0'),
    same('all', "SELECT * FROM users WHERE id = '5x'"),
    same('all', 'SELECT * FROM users WHERE id = 0x05'),
    same('all', 'SELECT * FROM users WHERE id = 2 + 3'),
    same('any', 'SELECT * FROM users WHERE id = NULL'),
    same('all', 'SELECT * FROM users WHERE id = 5.5'),
    same('any', 'SELECT * FROM log WHERE user_id = -1'),
    // unicode_loose of a general_ci column: ß = s there, so s and i do not route.
    same('-40', "SELECT * FROM tenants WHERE name = 'abc'"),
    same('all', "SELECT * FROM tenants WHERE name = 'miss'"),
    same('all', "SELECT * FROM tenants WHERE name = 'a b'"),
    same('all', 'SELECT * FROM tenants WHERE name = 5'),
    same('80-c0', "SELECT * FROM files WHERE path = 'a/b'"),
    same('80-c0', "SELECT * FROM files WHERE path = x'612f62'"),
  ])
})

test('parameters route as literals do, and follow the text that is sent', () => {
  assert.deepEqual(show('SELECT * FROM users WHERE id = ?', [integerValue(5n)]), ['40-80: SELECT * FROM users WHERE id = ?'])
  assert.deepEqual(show('SELECT * FROM users WHERE id = ?', [textValue('5')]), ['40-80: SELECT * FROM users WHERE id = ?'])
  assert.deepEqual(
    show('INSERT INTO users (id, name) VALUES (?, ?), (?, ?) ON DUPLICATE KEY UPDATE age = ?', [1n, 0n, 4n, 0n, 0n].map(integerValue)),
    [
      '-40: INSERT INTO users (id, name) VALUES  (?, ?) ON DUPLICATE KEY UPDATE age = ? /0,1,4',
      'c0-: INSERT INTO users (id, name) VALUES  (?, ?) ON DUPLICATE KEY UPDATE age = ? /2,3,4',
    ],
  )
  assert.deepEqual(show('SELECT name FROM users WHERE age > ? ORDER BY age + ? LIMIT ?, ?', [1n, 2n, 3n, 4n].map(integerValue)), [
    'all: SELECT name,  age + ? FROM users WHERE age > ? ORDER BY age + ? LIMIT 7 /1,0,1',
  ])
  assert.throws(
    () => show('SELECT * FROM users LIMIT ?', [textValue('x')]),
    (error) => isSwError(error, 'SW-GATE-131'),
  )
  assert.throws(
    () => show('SELECT * FROM users WHERE id = ?'),
    (error) => isSwError(error, 'SW-GATE-133'),
  )
})

test('order: hidden columns carry what the server compares; limit and offset are pushed as their sum', () => {
  answers([
    [
      'SELECT name, id FROM users ORDER BY name LIMIT 5, 10',
      'all: SELECT name, id, WEIGHT_STRING( name AS CHAR(40)) FROM users ORDER BY name LIMIT 15',
    ],
    ['SELECT * FROM users ORDER BY age DESC', 'all: SELECT *,  age FROM users ORDER BY age DESC'],
    ['SELECT plan FROM tenants ORDER BY 1', 'all: SELECT plan, WEIGHT_STRING( plan) FROM tenants ORDER BY 1'],
    ['SELECT id FROM users ORDER BY score', 'all: SELECT id, ( score) + 0e0 FROM users ORDER BY score'],
    ['SELECT id FROM orders ORDER BY state', 'all: SELECT id, ( state) + 0 FROM orders ORDER BY state'],
    ['SELECT id + 1 AS x FROM users ORDER BY x', 'all: SELECT id + 1 AS x FROM users ORDER BY x'],
  ])
  assert.deepEqual(route('SELECT *, age FROM users ORDER BY age DESC, id LIMIT 3 OFFSET 2').merge, {
    kind: 'sort',
    hiddenColumns: 1,
    keys: [
      { column: -2, compare: 'byType', descending: true },
      { column: -1, compare: 'byType', descending: false },
    ],
    limit: 3n,
    offset: 2n,
  })
  refuses([
    ['SELECT * FROM users ORDER BY bio', 'SW-GATE-100', /1024 characters/],
    ['SELECT * FROM users ORDER BY RAND()', 'SW-GATE-100', /RAND/],
    ['SELECT id AS x FROM users ORDER BY x + 1', 'SW-GATE-100', /alias/],
    ['SELECT * FROM users ORDER BY 1', 'SW-GATE-100', /\*/],
    ['SELECT DISTINCT user_id FROM log ORDER BY weight', 'SW-GATE-100', /DISTINCT/],
    ['SELECT id FROM users LIMIT -1', 'SW-SQL-004'],
  ])
})

test('a plan that depends on a literal serves no statement with another one there', () => {
  const keys = (sql: string) => {
    const { merge } = route(sql)
    assert.ok(merge?.kind === 'sort')
    return merge.keys.map((key) => key.column)
  }
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(keys('SELECT id, age FROM users ORDER BY 1'), [0])
    assert.deepEqual(keys('SELECT id, age FROM users ORDER BY 2'), [1])
  }
})

test('aggregates and groups', () => {
  assert.deepEqual(show('SELECT COUNT(*), AVG(age), MIN(name) FROM users LIMIT 1'), [
    'all: SELECT COUNT(*), AVG(age), MIN(name), SUM( age), COUNT( age), WEIGHT_STRING( MIN(name) AS CHAR(40)) FROM users',
  ])
  assert.deepEqual(route('SELECT COUNT(*), AVG(age), MIN(name) FROM users LIMIT 1').merge, {
    kind: 'aggregate',
    hiddenColumns: 3,
    groupBy: [],
    columns: [
      { function: 'count', column: 0 },
      { function: 'avg', column: 1, sum: -3, count: -2 },
      { function: 'min', column: 2, by: -1, compare: 'bytes' },
    ],
    having: null,
    keys: [],
    limit: 1n,
    offset: 0n,
  })
  const grouped = 'SELECT age, COUNT(*) c FROM users GROUP BY age HAVING c > 2 AND NOT SUM(id) IS NULL ORDER BY c DESC, age LIMIT 4'
  assert.deepEqual(show(grouped), ['all: SELECT age, COUNT(*) c,  SUM(id) FROM users GROUP BY age'])
  const merge = route(grouped).merge
  assert.ok(merge?.kind === 'aggregate')
  assert.deepEqual(merge.groupBy, [{ column: 0, compare: 'byType' }])
  assert.deepEqual(merge.columns, [
    { function: 'count', column: 1 },
    { function: 'sum', column: -1 },
  ])
  assert.equal(merge.having?.kind, 'and')
  assert.deepEqual(
    merge.keys.map((key) => [key.column, key.descending]),
    [
      [1, true],
      [0, false],
    ],
  )
  // Groups of a shard key do not span shards: the server's own GROUP BY, HAVING and LIMIT do.
  assert.deepEqual(show('SELECT id, GROUP_CONCAT(name) FROM users GROUP BY id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 3'), [
    'all: SELECT id, GROUP_CONCAT(name) FROM users GROUP BY id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 3',
  ])
  assert.deepEqual(route('SELECT COUNT(DISTINCT user_id) FROM log').merge?.kind, 'aggregate')
  // … but those of a case-insensitive text key under a bytewise vindex would.
  refuses([
    ['SELECT COUNT(DISTINCT age) FROM users', 'SW-GATE-100', /DISTINCT/],
    ['SELECT GROUP_CONCAT(name) FROM users', 'SW-GATE-100', /GROUP_CONCAT/],
    ['SELECT COUNT(*) + 1 FROM users', 'SW-GATE-100', /expression over an aggregate/],
    ['SELECT name, COUNT(*) FROM users GROUP BY name HAVING name > 5', 'SW-GATE-100', /HAVING/],
    ['SELECT name, MIN(name) m FROM users GROUP BY age HAVING m > 5', 'SW-GATE-100', /HAVING/],
    ['SELECT COUNT(*) FROM users GROUP BY age + ?', 'SW-GATE-100', /parameter/],
    ['SELECT age FROM users GROUP BY age WITH ROLLUP', 'SW-GATE-100', /ROLLUP/],
    ['SELECT DISTINCT age FROM users GROUP BY id', 'SW-GATE-100', /DISTINCT/],
    ['SELECT DISTINCT * FROM users', 'SW-GATE-100', /DISTINCT/],
    ['SELECT ROW_NUMBER() OVER (ORDER BY id) FROM users', 'SW-GATE-100', /window/],
  ])
})

test('promise 10: joins and subqueries stay in a shard or are refused', () => {
  answers([
    same('all', 'SELECT * FROM users u JOIN orders o ON o.user_id = u.id'),
    same('all', 'SELECT * FROM users u, orders o WHERE o.user_id = u.id'),
    same('all', 'SELECT * FROM orders JOIN log USING (user_id)'),
    same('all', 'SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id AND o.total > 5'),
    same('all', 'SELECT * FROM orders o RIGHT JOIN users u ON o.user_id = u.id'),
    same('all', 'SELECT * FROM users u LEFT JOIN countries c ON c.code = u.name'),
    same('c0-', 'SELECT * FROM users u JOIN orders o ON o.user_id = u.id WHERE o.user_id = 7'),
    same('c0-', 'SELECT * FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.id = 7'),
    same('40-80', 'SELECT * FROM users, log WHERE users.id = 5 AND log.user_id = 5'),
    same('40-80', 'SELECT * FROM users, log WHERE users.id = 5 AND log.user_id = 3'),
    same('all', 'SELECT * FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE orders.user_id = users.id)'),
    same('all', 'SELECT id, (SELECT COUNT(*) FROM orders o WHERE o.user_id = u.id) FROM users u'),
    same('all', 'SELECT * FROM users WHERE id IN (SELECT user_id FROM orders WHERE total > 1)'),
    same('all', 'SELECT * FROM users WHERE name IN (SELECT title FROM countries)'),
    same('40-80', 'SELECT * FROM (SELECT * FROM users WHERE id = 5) x'),
    same('-40', 'SELECT id FROM users WHERE id = 1 UNION SELECT id FROM users WHERE id = 2'),
  ])
  refuses([
    ['SELECT * FROM users, log', 'SW-GATE-110'],
    ['SELECT * FROM users u JOIN orders o ON o.id = u.id', 'SW-GATE-110'],
    ['SELECT * FROM users, log WHERE users.id = 5 AND log.user_id = 4', 'SW-GATE-110'],
    ['SELECT * FROM users WHERE id NOT IN (SELECT user_id FROM orders)', 'SW-GATE-110'],
    ['SELECT * FROM users WHERE age IN (SELECT user_id FROM orders)', 'SW-GATE-110'],
    ['SELECT * FROM countries WHERE code IN (SELECT name FROM users)', 'SW-GATE-100', /subquery/],
    ['SELECT * FROM countries c LEFT JOIN users u ON c.code = u.name', 'SW-GATE-100', /outer join/],
    ['SELECT * FROM (SELECT * FROM users) x', 'SW-GATE-100', /derived table/],
    ['WITH x AS (SELECT * FROM users) SELECT * FROM x', 'SW-GATE-100', /WITH/],
    ['SELECT id FROM users UNION SELECT id FROM users', 'SW-GATE-110'],
    ['SELECT * FROM users u JOIN plain.t ON 1', 'SW-GATE-106'],
    // An ON condition over the kept side does not restrict it.
    ['SELECT * FROM users u LEFT JOIN orders o ON u.id = 5 AND o.user_id = 5', 'SW-GATE-110'],
    // Two links to one absent table do not join the tables that are kept.
    ['SELECT * FROM (users a, users b) LEFT JOIN orders o ON o.user_id = a.id AND o.user_id = b.id', 'SW-GATE-110'],
  ])
})

test('inserts: rows go where their shard key says, with their own text', () => {
  answers([
    ["INSERT INTO users (id, name) VALUES (1, 'a'), (2, 'b')", "-40: INSERT INTO users (id, name) VALUES (1, 'a'), (2, 'b')"],
    [
      "INSERT INTO app.users (id, name) VALUES (1, 'a') , (3, NOW()),(2,'b')",
      "-40: INSERT INTO users (id, name) VALUES  (1, 'a'),  (2,'b')",
      '40-80: INSERT INTO users (id, name) VALUES  (3, NOW())',
    ],
    ["REPLACE INTO users SET id = 4, name = 'x'", "c0-: REPLACE INTO users SET id = 4, name = 'x'"],
    [
      "INSERT IGNORE INTO users VALUES (5, 'a', 1, '', 0)",
      "40-80: INSERT IGNORE INTO users (`id`, `name`, `age`, `bio`, `score`)  VALUES  (5, 'a', 1, '', 0)",
    ],
    ["INSERT INTO countries VALUES ('DE', 'x')", "all: INSERT INTO countries VALUES  ('DE', 'x')"],
    [
      'INSERT INTO orders (id, user_id) VALUES (1, 3) ON DUPLICATE KEY UPDATE user_id = VALUES(user_id), total = 1',
      // Its last assignment makes the shard say which row it met (insert-id.ts).
      '40-80: INSERT INTO orders (id, user_id) VALUES  ( 1 , 3) ON DUPLICATE KEY UPDATE user_id = VALUES(user_id), total = 1, `orders`.`id` = LAST_INSERT_ID(`orders`.`id`)',
    ],
  ])
  refuses([
    ["INSERT INTO users (name) VALUES ('x')", 'SW-GATE-121'],
    ['INSERT INTO users (id) VALUES (DEFAULT)', 'SW-GATE-121'],
    ['INSERT INTO users (id) VALUES (1 + 1)', 'SW-GATE-122'],
    ['INSERT INTO users (id) VALUES (NULL)', 'SW-GATE-122'],
    ["INSERT INTO users (id) VALUES ('5x')", 'SW-GATE-122'],
    ['INSERT INTO users (id) VALUES (1.5)', 'SW-GATE-122'],
    ['INSERT INTO log (user_id) VALUES (-1)', 'SW-GATE-122', /out of range/],
    ['INSERT INTO log (user_id) VALUES (4294967296)', 'SW-GATE-122', /out of range/],
    ["INSERT INTO tenants (name) VALUES ('" + 'x'.repeat(41) + "')", 'SW-GATE-122', /longer/],
    ['INSERT INTO users (id, name) VALUES (1)', 'SW-GATE-124'],
    ['INSERT INTO users (id) SELECT 5', 'SW-GATE-100', /SELECT/],
    ['INSERT INTO counted (k) VALUES (1)', 'SW-GATE-100', /AUTO_INCREMENT/],
    ['INSERT INTO users (id) VALUES (1) ON DUPLICATE KEY UPDATE id = 2', 'SW-GATE-120'],
    ['INSERT INTO log (user_id) VALUES (1) ON DUPLICATE KEY UPDATE user_id = VALUES(user_id)', 'SW-GATE-120'],
    ['INSERT INTO countries VALUES (UUID(), 1)', 'SW-GATE-100', /UUID/],
  ])
})

test("sequences: an id where AUTO_INCREMENT would give one, the client's own where it gave one", () => {
  answers([
    [
      "INSERT INTO log (user_id, name) VALUES (1, 'a'), (3, 'b')",
      "-40: INSERT INTO log (user_id, name, `log_id` ) VALUES  (1, 'a', 1000 )",
      "40-80: INSERT INTO log (user_id, name, `log_id` ) VALUES  (3, 'b', 1001 )",
    ],
    [
      "INSERT INTO log VALUES (NULL, 1, 'a', 2, NOW()), (5, 2, 'b', 3, NOW()), (0, 1, '', 0, '')",
      "-40: INSERT INTO log (`log_id`, `user_id`, `name`, `weight`, `at`)  VALUES  (1000 , 1, 'a', 2, NOW()),  ( 5 , 2, 'b', 3, NOW()),  (1001 , 1, '', 0, '')",
    ],
    ["INSERT INTO log SET user_id = 3, name = 'x'", "40-80: INSERT INTO log SET  user_id = 3, name = 'x', `log_id` = 1000"],
    ['INSERT INTO log SET log_id = DEFAULT, user_id = 3', '40-80: INSERT INTO log SET  log_id =1000 , user_id = 3'],
  ])
  assert.equal(route('INSERT INTO log (user_id) VALUES (1), (3)').firstId, 1000n)
  assert.equal(route('INSERT INTO log (log_id, user_id) VALUES (7, 1)').firstId, null)
  const plan = planOf('INSERT INTO log (log_id, user_id) VALUES (?, 1)')
  assert.ok(plan.kind === 'routed')
  assert.equal(idsNeeded(plan, inputsOf('INSERT INTO log (log_id, user_id) VALUES (?, 1)', [{ type: 'null' }])), 1)
  assert.equal(idsNeeded(plan, inputsOf('INSERT INTO log (log_id, user_id) VALUES (?, 1)', [integerValue(9n)])), 0)
})

test('updates and deletes', () => {
  answers([
    same('c0-', 'UPDATE users SET age = age + 1 WHERE id = 4'),
    same('all', 'UPDATE users SET age = 1'),
    same('c0-', 'UPDATE users SET age = 1 WHERE id = 4 ORDER BY age LIMIT 1'),
    same('c0-', 'UPDATE users SET id = 4, age = 3 WHERE id = 4'),
    same('all', 'UPDATE users SET id = id, age = 3'),
    same('all', 'UPDATE users u JOIN orders o ON o.user_id = u.id SET u.age = 1'),
    same('-40', 'DELETE FROM users WHERE id IN (1, 2)'),
    same('all', 'DELETE FROM users WHERE age = 1'),
    same('all', 'DELETE o FROM users u JOIN orders o ON o.user_id = u.id WHERE u.age = 1'),
    same('all', "UPDATE countries SET title = 'x' WHERE code = 'DE'"),
    ['UPDATE app.users SET app.users.age = 1 WHERE app.users.id = 3', '40-80: UPDATE users SET users.age = 1 WHERE users.id = 3'],
  ])
  for (const sql of ['UPDATE users SET id = 5 WHERE id = 4', 'UPDATE users SET id = id + 1', 'UPDATE users SET id = 5'])
    assert.equal(route(sql).gather?.use.kind, 'moved', sql)
  refuses([
    ['UPDATE IGNORE users SET id = 5', 'SW-GATE-120'],
    ['UPDATE users u JOIN orders o ON o.user_id = u.id SET o.user_id = 3 WHERE u.id = 3', 'SW-GATE-120'],
    ['UPDATE users SET age = 1 LIMIT 1', 'SW-GATE-100', /LIMIT/],
    ['DELETE FROM users LIMIT 5', 'SW-GATE-100', /LIMIT/],
    ['UPDATE countries c JOIN users u ON u.name = c.code SET c.title = 1', 'SW-GATE-100', /reference table/],
  ])
})

test('what belongs to the session or to one connection', () => {
  answers([
    [
      'SELECT LAST_INSERT_ID(), name FROM users WHERE id = LAST_INSERT_ID()',
      '80-c0: SELECT 77 AS `LAST_INSERT_ID()` , name FROM users WHERE id = 77',
    ],
    [
      "SELECT table_name FROM information_schema.tables WHERE table_schema = 'app'",
      "any: SELECT table_name FROM information_schema.tables WHERE table_schema = 'app_any'",
    ],
    same('all', 'SELECT /*!40001 SQL_NO_CACHE */ * FROM users'),
  ])
  refuses([
    ["SELECT GET_LOCK('a', 1)", 'SW-GATE-100', /GET_LOCK/],
    ['SELECT SQL_CALC_FOUND_ROWS * FROM users', 'SW-GATE-100'],
    ['SELECT @a := id FROM users', 'SW-GATE-100'],
    ['SELECT id FROM users WHERE id = 1 INTO @a', 'SW-GATE-100', /INTO/],
    ['SELECT * FROM users /*!50000 WHERE id = 1 */', 'SW-GATE-132'],
    ['LOCK TABLES users READ', 'SW-GATE-100'],
    ['CALL p()', 'SW-GATE-100'],
    ["LOAD DATA LOCAL INFILE 'x' INTO TABLE users", 'SW-GATE-100'],
    ['SELECT * FROM elsewhere.t', 'SW-GATE-101'],
  ])
  const local = planOf('SELECT DATABASE(), @@version_comment AS v, CONNECTION_ID() LIMIT 1')
  assert.ok(local.kind === 'local')
  assert.deepEqual(
    local.items.map((item) => item.label),
    [{ from: 1, to: 4 }, 'v', { from: 9, to: 12 }],
  )
  assert.equal(planOf('BEGIN').kind, 'transaction')
  assert.equal(planOf('USE app').kind, 'use')
  assert.equal(planOf('KILL QUERY 5').kind, 'kill')
  assert.equal(planOf('EXPLAIN SELECT * FROM users').kind, 'explain')
  const set = planOf("SET NAMES utf8mb4, @a = 5, SESSION sql_mode = 'x', autocommit = ON, @@global.y = @@session.z")
  assert.ok(set.kind === 'set')
  assert.deepEqual(
    set.assignments.map((a) => a.kind),
    ['names', 'user-variable', 'system-variable', 'system-variable', 'system-variable'],
  )
  const ddl = planOf('ALTER TABLE app.users ADD COLUMN x INT')
  assert.ok(ddl.kind === 'ddl')
  assert.deepEqual([ddl.verb, ddl.object, ddl.names, ddl.keyspace], ['alter', 'TABLE', ['users'], 'app'])
})

test('an unsharded keyspace takes whatever its server takes', () => {
  for (const sql of [
    'SELECT a, ROW_NUMBER() OVER (PARTITION BY b) FROM t',
    'DELETE FROM t LIMIT 3',
    'INSERT INTO t SELECT * FROM u',
    'SELECT * FROM plain.t',
  ]) {
    assert.deepEqual(show(sql, [], 'plain'), [`any: ${sql}`])
  }
})

test('columns that are not loaded yet are asked for; a change of the catalog drops the plans', () => {
  const plan = planOf('SELECT * FROM fresh WHERE id = 1')
  assert.deepEqual(plan, { kind: 'needs-schema', keyspace: 'app', tables: ['fresh'] })
  const before = planOf('SELECT * FROM users WHERE id = 123')
  assert.equal(planOf('SELECT * FROM users WHERE id = 456'), before, 'cached by the normalised text')
  catalog.generation++
  assert.notEqual(planOf('SELECT * FROM users WHERE id = 456'), before)
  assert.ok(planner)
})
