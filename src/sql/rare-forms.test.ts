import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TableRef } from './ast.ts'
import { spanText } from './splice.ts'
import { read, select, shape } from './testkit/tree.ts'

test('words that are names where nothing of their operator or clause follows', () => {
  const q = select(
    'SELECT start, end, t.end end, CASE end WHEN end THEN end ELSE end END e, a offset, b member, c sounds FROM t end WHERE end > 1',
  )
  assert.deepEqual(
    q.items.map((item) => item.alias?.text ?? null),
    [null, null, 'end', 'e', 'offset', 'member', 'sounds'],
  )
  assert.equal(shape(q.items[3]!.expr), 'CASE{end end end end}')
  assert.equal(shape(q.where!), '(end > v)')
  assert.equal(shape(select('SELECT a MEMBER OF (b), c SOUNDS LIKE d').items[0]!.expr), 'MEMBER OF{a b}')
})

test('a parenthesis that begins with a query may be a value, or a union; words behind one are not of it', () => {
  const table: [string, string][] = [
    ['((SELECT 1) + 1)', '(subquery + v)'],
    ['((SELECT 1), 2) = (1, 2)', '(<subquery v> = <v v>)'],
    ['a IN ((SELECT 1) UNION (SELECT 2))', '(a in subquery)'],
    ['a IN ((SELECT 1), 2, (SELECT 3))', '(a in subquery v subquery)'],
    ['a IN ((SELECT 1) + 1 OR b, 2)', '(a in ((subquery + v) or b) v)'],
    ['((((SELECT 1))))', 'subquery'],
    ['(((SELECT 1) * 2) - 3)', '((subquery * v) - v)'],
    ['((SELECT ?) IN (?, ?))', '(subquery in v v)'],
    ['((SELECT a) COLLATE utf8mb4_bin = b)', '(COLLATE{subquery} = b)'],
    ['a IN ((SELECT b) COLLATE utf8mb4_bin, c)', '(a in COLLATE{subquery} c)'],
    ["MATCH (a) AGAINST ('x') FROM t ORDER BY query", 'MATCH{a v}'],
    ["MATCH (a) AGAINST ('x' IN NATURAL LANGUAGE MODE WITH QUERY EXPANSION)", 'MATCH EXPANSION{a v}'],
  ]
  for (const [text, expected] of table) assert.equal(shape(select('SELECT ' + text).items[0]!.expr), expected, text)
})

test('a union in a list begins with its first parenthesis', () => {
  const { lexed, statement } = read('SELECT a IN ((SELECT 1) UNION (SELECT 2) LIMIT 1), (((SELECT 3)) ORDER BY 1)')
  assert.ok(statement.kind === 'query' && statement.query.kind === 'select')
  const [list, ordered] = statement.query.items.map(({ expr }) => expr)
  assert.ok(list!.kind === 'in' && list!.list[0]!.kind === 'subquery' && ordered!.kind === 'subquery')
  assert.equal(spanText(lexed, list!.list[0]!.query.span), '(SELECT 1) UNION (SELECT 2) LIMIT 1')
  assert.equal(spanText(lexed, ordered!.query.span), '((SELECT 3)) ORDER BY 1')
})

test('joins are from the left, but for a second condition, which is of the nearest join that has none', () => {
  const tree = (table: TableRef): string => {
    if (table.kind !== 'join') return table.kind === 'table' ? table.table.name.text : table.kind
    const condition = table.on !== null ? ` on ${shape(table.on)}` : table.using.length > 0 ? ' using' : ''
    return `(${tree(table.left)} ${table.natural ? 'natural ' : ''}${table.join} ${tree(table.right)}${condition})`
  }
  const table: [string, string][] = [
    ['a JOIN b ON x JOIN c ON y', '((a inner b on x) inner c on y)'],
    ['a JOIN b JOIN c ON x ON y', '(a inner (b inner c on x) on y)'],
    ['a LEFT JOIN b JOIN c ON x LEFT JOIN d USING (e) ON y JOIN f', '((a left ((b inner c on x) left d using) on y) inner f)'],
    ['a JOIN b JOIN c ON x', '((a inner b) inner c on x)'],
    ['a JOIN b RIGHT JOIN c ON x', '((a inner b) right c on x)'],
    ['a JOIN b JOIN c JOIN d ON x ON y', '((a inner b) inner (c inner d on x) on y)'],
    ['a NATURAL LEFT JOIN b JOIN c ON x', '((a natural left b) inner c on x)'],
    ['{OJ a LEFT OUTER JOIN b ON x}', '(a left b on x)'],
    ['{OJ a LEFT JOIN {OJ b LEFT JOIN c ON x} ON y}', '(a left (b left c on x) on y)'],
  ]
  for (const [text, expected] of table) assert.equal(tree(select('SELECT 1 FROM ' + text).from[0]!), expected, text)

  const text = 'SELECT 1 FROM (a JOIN b ON x) LEFT JOIN c JOIN (d) ON y ON z'
  const { lexed, statement } = read(text)
  assert.ok(statement.kind === 'query' && statement.query.kind === 'select')
  const outer = statement.query.from[0]!
  assert.ok(outer.kind === 'join')
  assert.equal(spanText(lexed, outer.span), '(a JOIN b ON x) LEFT JOIN c JOIN (d) ON y ON z')
  assert.equal(spanText(lexed, outer.right.span), 'c JOIN (d) ON y')
})

test('functions over a group or a window: what stands between parenthesis and OVER', () => {
  const q = select(
    'SELECT LAG(a) RESPECT NULLS OVER (PARTITION BY id), PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY b DESC) OVER (PARTITION BY id) FROM t',
  )
  assert.deepEqual(
    q.items.map(({ expr }) => expr.kind === 'call' && [shape(expr), expr.window, expr.over?.partition.length]),
    [
      ['LAG[a]', true, 1],
      ['PERCENTILE_CONT[v b]', true, 1],
    ],
  )
})
