/** Texts in which several things grow together: what looks at one of them for each of another takes as long as both of them multiplied. */

const list = (count: number, part: (i: number) => string, between = ', '): string =>
  Array.from({ length: count }, (_, i) => part(i)).join(between)
/** Servers, and the planner, take no more tables than this. */
const tables = (count: number, part: (i: number) => string): string => list(Math.min(count, 200), part)
/** As many as can be within one another, which is less than `depthMax`: each `(` of an expression costs two. */
const deepest = 290
const square = (count: number): number => Math.ceil(Math.sqrt(count))

export const grown: Readonly<Record<string, (count: number) => string>> = {
  'select list × ORDER BY, by alias': (n) => `SELECT ${list(n, (i) => `age AS a${i}`)} FROM users ORDER BY ${list(n, (i) => `a${i}`)}`,
  'select list × ORDER BY, by column': (n) => `SELECT ${list(n, (i) => `age + ${i}`)} FROM users ORDER BY ${list(n, () => 'id')}`,
  'select list × ORDER BY, by place': (n) => `SELECT ${list(n, () => 'age')} FROM users ORDER BY ${list(n, (i) => `${i + 1}`)}`,
  'select list × ORDER BY, expressions': (n) =>
    `SELECT ${list(n, (i) => `age AS a${i}`)} FROM users ORDER BY ${list(n, (i) => `age + ${i}`)}`,
  'select list × ORDER BY, names of nothing': (n) =>
    `SELECT ${list(n, (i) => `age AS a${i}`)} FROM users ORDER BY ${list(n, (i) => `b${i} + 1`)}`,
  'names of the keyspace': (n) =>
    `SELECT ${list(n, (i) => `app.users.age AS a${i}`)} FROM app.users ORDER BY ${list(n, () => 'app.users.id')}`,
  'user variables': (n) => `SELECT ${list(n, (i) => `@a AS a${i}`)} FROM users ORDER BY ${list(n, () => '@a, id + @b')}`,
  'stars × ORDER BY': (n) => `SELECT ${list(n, () => 'users.*')} FROM users ORDER BY ${list(n, () => 'age')}`,
  'select list × GROUP BY, by alias': (n) => `SELECT ${list(n, (i) => `age AS a${i}`)} FROM users GROUP BY ${list(n, (i) => `a${i}`)}`,
  'select list × GROUP BY, by place': (n) => `SELECT ${list(n, () => 'age')} FROM users GROUP BY ${list(n, (i) => `${i + 1}`)}`,
  'select list × GROUP BY, expressions': (n) => `SELECT ${list(n, (i) => `age AS a${i}`)} FROM users GROUP BY ${list(n, () => 'age + 1')}`,
  'DISTINCT × ORDER BY': (n) => `SELECT DISTINCT ${list(n, (i) => `age AS a${i}`)} FROM users ORDER BY ${list(n, (i) => `a${i}`)}`,
  'select list × HAVING, by alias': (n) =>
    `SELECT ${list(n, (i) => `COUNT(*) AS a${i}`)} FROM users GROUP BY age HAVING ${list(n, (i) => `a${i} > 1`, ' AND ')}`,
  'select list × HAVING, aggregates': (n) =>
    `SELECT ${list(n, (i) => `SUM(age + id) AS a${i}`)} FROM users GROUP BY age HAVING ${list(n, () => 'SUM(age) > 1', ' AND ')}`,
  'select list × HAVING, by column': (n) =>
    `SELECT ${list(n, () => 'id')}, age FROM users GROUP BY age, id HAVING ${list(n, () => 'users.age > 1', ' AND ')}`,
  'GROUP BY × HAVING': (n) =>
    `SELECT age AS x, COUNT(*) FROM users GROUP BY ${list(n, () => 'age')} HAVING ${list(n, () => 'x > 1', ' AND ')}`,
  'OR in HAVING': (n) => `SELECT age, COUNT(*) AS n FROM users GROUP BY age HAVING ${list(n, () => 'n > 1', ' OR ')}`,
  'AND and OR in HAVING': (n) =>
    `SELECT age, COUNT(*) AS n FROM users GROUP BY age HAVING ${list(square(n), () => `(${list(square(n), () => 'n > 1', ' OR ')})`, ' AND ')}`,
  'select list × ORDER BY, aggregates': (n) =>
    `SELECT ${list(n, (i) => `COUNT(*) AS a${i}`)} FROM users GROUP BY age ORDER BY ${list(n, () => 'SUM(age)')}`,
  windows: (n) => `SELECT ${list(n, () => 'RANK() OVER (PARTITION BY id ORDER BY age)')} FROM users`,
  'lists of a window': (n) => `SELECT RANK() OVER (PARTITION BY ${list(n, () => 'age')} ORDER BY ${list(n, () => 'id')}) FROM users`,
  COLLATE: (n) => `SELECT name${' COLLATE utf8mb4_bin'.repeat(n)} FROM users`,
  '->': (n) => `SELECT name${"->'$'".repeat(n)} FROM users ORDER BY 1`,
  'chains within chains': (n) => {
    const depth = Math.min(square(n), deepest)
    return `SELECT ${'('.repeat(depth)}id${list(depth, () => `${'+1'.repeat(square(n))})`, '')} FROM users ORDER BY 1`
  },
  'joins within joins': (n) => {
    const depth = Math.min(square(n), deepest)
    return `SELECT 1 FROM ${'('.repeat(depth)}users a${list(depth, () => `${' JOIN users'.repeat(square(n))})`, '')}`
  },
  'INTERVAL() within one another': (n) =>
    `SELECT ${'INTERVAL('.repeat(Math.min(n, deepest))}1${', 2'.repeat(n)}${')'.repeat(Math.min(n, deepest))} FROM users`,
  'INTERVAL (…) DAY within one another': (n) =>
    `SELECT id + ${'INTERVAL ('.repeat(Math.min(n, deepest))}1${', 2'.repeat(n)}${') DAY'.repeat(Math.min(n, deepest))} FROM users`,
  'comments behind COUNT': (n) => `SELECT COUNT${'/**/'.repeat(n)} x FROM users`,
  'comments with COUNT behind COUNT': (n) => `SELECT COUNT${' /* COUNT */'.repeat(n)} x FROM users`,
  'lines behind COUNT': (n) => `SELECT COUNT${' -- (\n'.repeat(n)} x FROM users`,
  'COUNT COUNT': (n) => `SELECT ${'COUNT '.repeat(n)} x FROM users`,
  'OR in WHERE': (n) => `SELECT id FROM users WHERE ${list(n, (i) => `id = ${i}`, ' OR ')} ORDER BY age`,
  'OR within AND': (n) => `SELECT id FROM users WHERE ${list(n, (i) => `(id = ${i} OR age = 1)`, ' AND ')} ORDER BY age`,
  'NOT, and OR at its end': (n) =>
    `SELECT id FROM users WHERE ${'NOT ('.repeat(Math.min(n, 250))}1${' OR 1'.repeat(n)}${')'.repeat(Math.min(n, 250))}`,
  'MATCH in WHERE': (n) => `SELECT id FROM users WHERE ${list(n, () => "MATCH (name) AGAINST ('x' IN BOOLEAN MODE)", ' AND ')}`,
  'equalities of two tables': (n) => `SELECT a.id FROM users a JOIN users b WHERE ${list(n, () => 'a.age = b.age', ' AND ')}`,
  'equalities of many tables': (n) =>
    `SELECT a0.id FROM ${tables(n, (i) => `users a${i}`)} WHERE ${list(n, (i) => `a${i % 200}.age = a${(i + 1) % 200}.age`, ' AND ')}`,
  'equalities of keys of many tables': (n) =>
    `SELECT a0.id FROM ${tables(n, (i) => `users a${i}`)} WHERE ${list(n, (i) => `a${i % 200}.id = a${(i + 1) % 200}.id`, ' AND ')}`,
  'outer joins with equalities': (n) =>
    `SELECT a0.id FROM users a0 ${list(Math.min(n, 200), (i) => `LEFT JOIN users a${i + 1} ON a${i + 1}.id = a${i}.id AND ${list(Math.ceil(n / 200), () => `a${i + 1}.age = a0.age`, ' AND ')}`, ' ')}`,
  'conditions over many tables': (n) =>
    `SELECT a0.id FROM ${tables(n, (i) => `users a${i}`)} WHERE ${list(n, (i) => `a${i % 200}.age = ${i}`, ' AND ')}`,
  subqueries: (n) => `SELECT id FROM users WHERE ${list(Math.min(n, 250), () => 'id IN (SELECT user_id FROM orders)', ' AND ')}`,
  CASE: (n) => `SELECT CASE ${'WHEN id = 1 THEN 2 '.repeat(n)}END FROM users ORDER BY id`,
  'SET of an UPDATE': (n) => `UPDATE users SET ${list(n, () => 'age = age + 1')} WHERE age = 3`,
  'SET of an UPDATE with a subquery': (n) =>
    `UPDATE users SET ${list(n, () => 'age = age + 1')}, name = (SELECT MAX(id) FROM orders) WHERE age = 3`,
  'rows × ON DUPLICATE KEY UPDATE': (n) =>
    `INSERT INTO users (id, age) VALUES ${list(n, (i) => `(${i}, 1)`)} ON DUPLICATE KEY UPDATE ${list(n, () => 'age = VALUES(age) + 1')}`,
  'columns of an INSERT': (n) => `INSERT INTO users (${list(n, (i) => `c${i}`)}) VALUES (${list(n, () => '1')})`,
  WITH: (n) => `WITH ${list(n, (i) => `c${i} AS (SELECT 1)`)} SELECT 1 FROM ${tables(n, (i) => `c${i}`)}`,
  'WITH of one name': (n) =>
    `WITH RECURSIVE ${list(n, (i) => `${i % 2 === 0 ? 'c' : 'd'} AS (SELECT 1)`)} SELECT 1 FROM ${tables(n, () => 'c')}`,
  'WITH within WITH': (n) =>
    `${list(Math.min(square(n), 100), (i) => `WITH ${list(square(n), (k) => `c${i}_${k} AS (SELECT 1)`)}, d AS (`, '')}SELECT 1${') SELECT 1'.repeat(Math.min(square(n), 100))}`,
  UNION: (n) => `${list(n, () => 'SELECT id FROM orders WHERE id = 3', ' UNION ')} ORDER BY 1`,
  'variables of a SET': (n) => `SET ${list(n, (i) => `@a${i} = 1`)}`,
  USING: (n) => `SELECT 1 FROM users JOIN orders USING (${list(n, () => 'id')})`,
  tuples: (n) => `SELECT 1 FROM users WHERE (${list(n, () => 'id')}) = (${list(n, () => '1')})`,
  'lists of tuples': (n) =>
    `SELECT 1 FROM users WHERE (${list(square(n), () => 'id')}) IN (${list(square(n), () => `(${list(square(n), () => '1')})`)})`,
}
