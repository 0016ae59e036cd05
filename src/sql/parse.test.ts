import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isSwError } from '../base/errors.ts'
import type { Expr } from './ast.ts'
import { Lexer } from './lexer.ts'
import { literalValue } from './literal.ts'
import { parse } from './parse.ts'
import { spanText, splice } from './splice.ts'
import { read, select, shape } from './testkit/tree.ts'

const lexer = new Lexer()

test("precedence is the server's", () => {
  const table: [string, string][] = [
    ['a OR b AND c', '(a or (b and c))'],
    ['a AND b OR c AND d', '((a and b) or (c and d))'],
    ['NOT a = 1 AND b', '((NOT (a = v)) and b)'],
    ['a XOR b OR c', '((a XOR b) or c)'],
    ['a = 1 + 2 * 3', '(a = (v + (v * v)))'],
    ['a - 1 - 2', '((a - v) - v)'],
    ['-a ^ 2', '((- a) ^ v)'],
    ['a BETWEEN 1 AND 2 AND b', '(BETWEEN{a v v} and b)'],
    ['a NOT BETWEEN 1 AND 2 OR b', '(NOT BETWEEN{a v v} or b)'],
    ['a IN (1, 2) = b', '((a in v v) = b)'],
    ['a NOT IN (1)', '(a not in v)'],
    ['(a, b) IN ((1, 2), (3, 4))', '(<a b> in <v v> <v v>)'],
    ['a IS NOT NULL AND b IS NULL', '((a is not null) and (b is null))'],
    ['a LIKE b ESCAPE c OR d', '(LIKE{a b v} or d)'.replace('v', 'c')],
    ['t.a <=> NULL', '(t.a <=> null)'],
    ['COUNT(DISTINCT a, b) + f(*)', '(COUNT[distinct a b] + f[*])'.replaceAll('f[', 'F[')],
    ['a | b & c << 1 + 2', '(a | (b & (c << (v + v))))'],
    ['a && b || c', '((a and b) || c)'],
    ['a != b', '(a <> b)'],
    ['EXISTS (SELECT 1) AND NOT EXISTS (SELECT 2)', '(exists and (NOT exists))'],
    ['a IN (SELECT b FROM c)', '(a in subquery)'],
    ['x + INTERVAL 1 DAY', '(x + INTERVAL{v})'],
  ]
  for (const [text, expected] of table) assert.equal(shape(select('SELECT ' + text).items[0]!.expr), expected, text)
})

test('clauses have the spans of their own text', () => {
  const text =
    'SELECT a, b AS c FROM t AS x JOIN u USING (id) WHERE a = 1 GROUP BY a, b HAVING c > 1 ORDER BY 1 DESC, b LIMIT 5, 10 FOR UPDATE'
  const { lexed, statement } = read(text)
  assert.ok(statement.kind === 'query' && statement.query.kind === 'select')
  const q = statement.query
  assert.equal(spanText(lexed, q.itemsSpan), 'a, b AS c')
  assert.equal(spanText(lexed, q.where!.span), 'a = 1')
  assert.equal(spanText(lexed, q.groupBy!.span), 'GROUP BY a, b')
  assert.equal(spanText(lexed, q.having!.span), 'HAVING c > 1')
  assert.equal(spanText(lexed, q.orderBy!.span), 'ORDER BY 1 DESC, b')
  assert.deepEqual(
    q.orderBy!.items.map((item) => item.descending),
    [true, false],
  )
  assert.equal(spanText(lexed, q.limit!.span), 'LIMIT 5, 10')
  assert.equal(spanText(lexed, q.limit!.count.span), '10')
  assert.equal(spanText(lexed, q.lock!.span), 'FOR UPDATE')
  assert.equal(spanText(lexed, q.span), text)
})

test('aliases: with and without AS, quoted, and never a clause', () => {
  const q = select('SELECT a x, b AS `y`, c "z", d FROM t u, v LEFT JOIN w ON 1 WHERE 1')
  assert.deepEqual(
    q.items.map((item) => item.alias?.text ?? null),
    ['x', 'y', 'z', null],
  )
  assert.equal(q.from.length, 2)
  assert.equal(q.from[0]!.kind === 'table' && q.from[0]!.alias?.text, 'u')
})

test('the kinds of statements', () => {
  const table: [string, string][] = [
    ['INSERT INTO t (a) VALUES (1), (2)', 'insert'],
    ['REPLACE t SET a = 1', 'insert'],
    ['INSERT INTO t (SELECT 1)', 'insert'],
    ['UPDATE t SET a = 1', 'update'],
    ['DELETE FROM t', 'delete'],
    ['DELETE a.*, b FROM a, b', 'delete'],
    ['BEGIN WORK', 'transaction'],
    ['START TRANSACTION READ ONLY', 'transaction'],
    ['SET @a = 1', 'set'],
    ['SHOW TABLES', 'show'],
    ['DESC t', 'show'],
    ['USE x', 'use'],
    ['EXPLAIN UPDATE t SET a = 1', 'explain'],
    ['CREATE TABLE t (a INT)', 'ddl'],
    ['ALTER TABLE t ADD KEY (a)', 'ddl'],
    ['TRUNCATE t', 'ddl'],
    ['LOCK TABLES t READ', 'lock-tables'],
    ['UNLOCK TABLES', 'unlock-tables'],
    ['KILL 3', 'kill'],
    ["LOAD DATA LOCAL INFILE 'f' INTO TABLE t", 'load-data'],
    ['CALL p()', 'call'],
    ["PREPARE a FROM 'SELECT 1'", 'prepare'],
    ['EXECUTE a', 'execute'],
    ['DROP PREPARE a', 'deallocate'],
    ['FLUSH TABLES', 'other'],
    ['WITH a AS (SELECT 1) DELETE FROM t', 'delete'],
    ['(SELECT 1) LIMIT 1', 'query'],
    ['/*!40101 SET NAMES utf8 */', 'set'],
  ]
  for (const [text, kind] of table) assert.equal(read(text).statement.kind, kind, text)
})

test('parameters are numbered in the order of the text', () => {
  const { statement } = read('INSERT INTO t VALUES (?, 1), (?, ?) ON DUPLICATE KEY UPDATE a = ?')
  assert.ok(statement.kind === 'insert')
  const indexes = [...statement.rows.flatMap((row) => row.values), statement.onDuplicate!.assignments[0]!.value].flatMap((e) =>
    e.kind === 'parameter' ? [e.index] : [],
  )
  assert.deepEqual(indexes, [0, 1, 2, 3])
})

test('ddl: objects and names', () => {
  const ddl = (text: string) => {
    const { statement } = read(text)
    assert.ok(statement.kind === 'ddl')
    return [
      statement.verb,
      statement.object,
      ...statement.names.map((name) => (name.schema ? name.schema.text + '.' : '') + name.name.text),
    ]
  }
  assert.deepEqual(ddl('CREATE TABLE IF NOT EXISTS a.b (c INT)'), ['create', 'TABLE', 'a.b'])
  assert.deepEqual(ddl('CREATE UNIQUE INDEX i USING BTREE ON t (a)'), ['create', 'INDEX', 't'])
  assert.deepEqual(ddl('DROP TABLE IF EXISTS a, `b c`'), ['drop', 'TABLE', 'a', 'b c'])
  assert.deepEqual(ddl('RENAME TABLE a TO b, c TO d'), ['rename', 'TABLE', 'a', 'b', 'c', 'd'])
  assert.deepEqual(ddl('CREATE OR REPLACE DEFINER=`x`@`%` VIEW v AS SELECT 1'), ['create', 'VIEW', 'v'])
  assert.deepEqual(ddl('TRUNCATE TABLE t'), ['truncate', 'TABLE', 't'])
})

test('what is not read is an error with a code and a place', () => {
  for (const [text, code] of [
    ['', 'SW-SQL-005'],
    ['FROBNICATE t', 'SW-SQL-005'],
    ['SELECT', 'SW-SQL-004'],
    ['SELECT a FROM', 'SW-SQL-004'],
    ['SELECT a b c', 'SW-SQL-004'],
    ['SELECT (1', 'SW-SQL-004'],
    ['UPDATE t SET', 'SW-SQL-004'],
    ['SELECT 1 FROM t WHERE', 'SW-SQL-004'],
    ['SELECT a FROM t FOR SYSTEM_TIME ALL', 'SW-SQL-006'],
    ['SELECT a FROM t ORDER BY a OFFSET 1 ROW FETCH NEXT 2 ROWS ONLY', 'SW-SQL-006'],
    ['SELECT a FROM t FETCH FIRST ROW ONLY', 'SW-SQL-006'],
    ['SELECT 1 FROM a JOIN b ON x ON y', 'SW-SQL-004'],
    ['SELECT 1 FROM {OJ a LEFT JOIN b ON x', 'SW-SQL-004'],
    ['SELECT a OFFSET 1', 'SW-SQL-006'],
    // However a tree can grow: within parentheses, to the left, and by both together.
    ['SELECT a' + ' COLLATE utf8mb4_bin'.repeat(20_000), 'SW-SQL-007'],
    ['SELECT a' + "->'$'".repeat(20_000), 'SW-SQL-007'],
    ['SELECT a' + '+1'.repeat(20_000), 'SW-SQL-007'],
    ['SELECT a' + ' IS NULL'.repeat(20_000), 'SW-SQL-007'],
    ['SELECT ' + '('.repeat(250) + 'a' + `${'+1'.repeat(100)})`.repeat(250), 'SW-SQL-007'],
    ['SELECT ' + 'f('.repeat(250) + 'a' + `${'+1'.repeat(100)})`.repeat(250), 'SW-SQL-007'],
    ['SELECT ' + '(SELECT '.repeat(100) + 'a' + `${'+1'.repeat(100)})`.repeat(100), 'SW-SQL-007'],
    ['SELECT 1 FROM a' + ' JOIN a'.repeat(20_000), 'SW-SQL-007'],
    ['SELECT 1 FROM ' + '('.repeat(250) + 'a' + `${' JOIN a'.repeat(100)})`.repeat(250), 'SW-SQL-007'],
    ['SELECT 1 FROM ' + '('.repeat(250) + 'a' + `${', a'.repeat(100)})`.repeat(250), 'SW-SQL-007'],
    ['SELECT ' + '('.repeat(5000) + '1' + ')'.repeat(5000), 'SW-SQL-007'],
    ['SELECT ' + '-'.repeat(1) + '(-'.repeat(3000) + '1' + ')'.repeat(3000), 'SW-SQL-007'],
  ] as const)
    assert.throws(
      () => read(text),
      (error) => isSwError(error, code),
      text.slice(0, 40),
    )
})

test('a thousand alternatives are no depth', () => {
  const q = select('SELECT 1 FROM t WHERE ' + Array.from({ length: 3000 }, (_, i) => `a = ${i}`).join(' OR '))
  assert.equal(q.where!.kind === 'or' && q.where.items.length, 3000)
})

const words = fc.constantFrom(
  'SELECT',
  'FROM',
  'WHERE',
  'a',
  'b',
  't',
  '1',
  "'x'",
  ',',
  '(',
  ')',
  '=',
  'AND',
  'OR',
  'IN',
  'GROUP',
  'BY',
  'ORDER',
  'LIMIT',
  'INSERT',
  'INTO',
  'VALUES',
  'UPDATE',
  'SET',
  'DELETE',
  'JOIN',
  'ON',
  '*',
  'COUNT(',
  '?',
  'NOT',
  'CASE',
  'WHEN',
  'END',
  'UNION',
  'AS',
  '.',
  '@x',
  'INTERVAL',
  'SHOW',
  'CREATE',
  'TABLE',
  'WITH',
  'FOR',
  'IS',
  'NULL',
)

test('any sequence of words is read or refused by an error of ours; no spans lie outside', () => {
  fc.assert(
    fc.property(fc.array(words, { maxLength: 25 }), (parts) => {
      const lexed = lexer.lex(Buffer.from(parts.join(' ')))
      try {
        const statement = parse(lexed)
        assert.ok(statement.span.from === 0 && statement.span.to === lexed.count)
      } catch (error) {
        if (!isSwError(error)) throw error
      }
    }),
    { numRuns: 5000 },
  )
})

test('a splice changes what it was told to and nothing else', () => {
  const lexed = lexer.lex(Buffer.from('SELECT a /* keep */, b FROM t LIMIT 5 -- end'))
  assert.equal(
    splice(lexed, [
      { span: { from: 6, to: 8 }, text: 'LIMIT 7' },
      { span: { from: 4, to: 4 }, text: ', c' },
    ]).toString(),
    'SELECT a /* keep */, b , c  FROM t LIMIT 7',
  )
})

test('what RETURNING and JSON_TABLE hold is in the tree', () => {
  const returned = read("DELETE FROM t WHERE a = 1 RETURNING a, (SELECT 1) AS 'it''s', *").statement
  assert.ok(returned.kind === 'delete')
  assert.deepEqual(
    returned.returning?.items.map(({ expr }) => expr.kind),
    ['column', 'subquery', 'star'],
  )
  assert.equal(returned.returning?.items[1]?.alias?.text, "it's")
  const { from } = select("SELECT 1 FROM JSON_TABLE(@j, '$[*]' COLUMNS (a INT PATH '$')) AS jt")
  assert.ok(from[0]?.kind === 'function')
  assert.deepEqual([from[0].args.map(({ kind }) => kind), from[0].alias?.text], [['user-variable'], 'jt'])
  for (const sql of ["SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (a INT PATH @j)) jt", 'SELECT 1 FROM other(@j) jt'])
    assert.throws(
      () => read(sql),
      (error) => isSwError(error, 'SW-SQL-006'),
      sql,
    )
})

test('a WITH within parentheses is not the one before them', () => {
  const { statement } = read('WITH a AS (SELECT 1) (WITH b AS (SELECT 2) SELECT * FROM b)')
  assert.ok(statement.kind === 'query' && statement.query.kind === 'union')
  assert.deepEqual(
    [statement.query, ...statement.query.parts].map((query) => query.with?.tables.map(({ name }) => name.text)),
    [['a'], ['b']],
  )
})

test('LIMIT takes whole numbers and parameters only', () => {
  for (const value of ["'5'", '1e1', '1.0', '0x2', "b'1'", '(2)', '-1', '@a', 'NULL'])
    assert.throws(
      () => read(`SELECT 1 LIMIT ${value}`),
      (error) => isSwError(error, 'SW-SQL-004'),
      value,
    )
  for (const value of ['5', '?, ?', '2 OFFSET ?', '18446744073709551615']) read(`SELECT 1 LIMIT ${value}`)
})

test('a label is what its quotes mean', () => {
  const labels = (text: string): (string | undefined)[] => select(text).items.map(({ alias }) => alias?.text)
  assert.deepEqual(labels("SELECT 1 AS 'it''s', 2 'a\\'b\\n', 3 AS \"q\"\"é\", 4 AS ' x ', 5 AS ` y`, 6 AS 'c\\_d'"), [
    "it's",
    "a'b\n",
    'q"é',
    'x ',
    'y',
    'c\\_d',
  ])
})

test('an introducer is followed by adjacent strings', () => {
  const [item] = select("SELECT _utf8mb4'a' 'b' 'c' AS x").items
  assert.deepEqual([item?.expr.kind, item?.expr.span, item?.alias?.text], ['literal', { from: 1, to: 5 }, 'x'])
  const value = (text: string) => {
    const { lexed, statement } = read(text)
    assert.ok(statement.kind === 'query' && statement.query.kind === 'select')
    return literalValue(lexed, (statement.query.items[0] as { expr: Expr }).expr.span)
  }
  assert.deepEqual(value("SELECT _utf8mb4'a' 'b'"), { type: 'text', bytes: Buffer.from('ab') })
  assert.deepEqual(value("SELECT N'a' 'b'"), { type: 'text', bytes: Buffer.from('ab'), national: true })
  // A column, and what it is called.
  const [named] = select("SELECT _id 'x' FROM t").items
  assert.deepEqual([named?.expr.kind, named?.alias?.text], ['column', 'x'])
  // What is converted into which set, the session's settings say.
  assert.equal(value("SELECT _utf8mb4'a' 'é'"), null)
})

test('names of user variables in quotes are those without', () => {
  const name = (text: string): string => {
    const expr = select(`SELECT ${text}`).items[0]?.expr
    return expr?.kind === 'user-variable' ? expr.name : ''
  }
  assert.deepEqual(["@'é'", '@`é`', '@É', "@'it''s'", '@"a`b"'].map(name), ['é', 'é', 'é', "it's", 'a`b'])
})
