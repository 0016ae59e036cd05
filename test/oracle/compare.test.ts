// The oracle's own eyes: each kind of difference is seen.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Column, OkResult, ResultSet } from '../../src/mysql/connection.ts'
import { type Answer, compareRows, compareWrites } from './compare.ts'

const column = (name: string, type = 3, more: Partial<Column> = {}): Column => ({
  schema: '',
  table: 't',
  orgTable: 't',
  name,
  orgName: name,
  charset: 63,
  length: 11,
  type,
  flags: 0,
  decimals: 0,
  ...more,
})
const rows = (columns: Column[], cells: (string | null)[][], warnings = 0): Answer => ({
  kind: 'answer',
  result: {
    kind: 'rows',
    columns,
    rows: cells.map((row) => row.map((cell) => (cell === null ? null : Buffer.from(cell)))),
    warnings,
    status: 2,
  } satisfies ResultSet,
})
const ok = (affectedRows: bigint, warnings = 0, info = '', insertId = 0n): Answer => ({
  kind: 'answer',
  result: { kind: 'ok', affectedRows, insertId, warnings, status: 2, info } satisfies OkResult,
})
const failed: Answer = { kind: 'error', errno: 1064, message: 'no', code: null }
const plain = { ordered: true, folded: [], lists: [] }
const a = [column('a')]

test('the oracle sees other values, orders, names, types, warnings and errors', () => {
  const one = rows(a, [['1'], ['2']])
  assert.equal(compareRows(plain, one, rows(a, [['1'], ['2']])), null)
  assert.equal(compareRows(plain, one, rows(a, [['1'], ['3']]))?.what, 'values')
  assert.equal(compareRows(plain, one, rows(a, [['1'], [null]]))?.what, 'values')
  assert.equal(compareRows(plain, one, rows(a, [['1']]))?.what, 'values')
  assert.equal(compareRows(plain, one, rows(a, [['2'], ['1']]))?.what, 'order')
  assert.equal(compareRows({ ...plain, ordered: false }, one, rows(a, [['2'], ['1']])), null)
  assert.equal(compareRows(plain, one, rows([column('b')], [['1'], ['2']]))?.what, 'names')
  assert.equal(compareRows(plain, one, rows([column('a', 246)], [['1'], ['2']]))?.what, 'types')
  assert.equal(compareRows(plain, one, rows([column('a', 3, { flags: 1 })], [['1'], ['2']]))?.what, 'metadata')
  assert.equal(compareRows(plain, one, rows(a, [['1'], ['2']], 1))?.what, 'warnings')
  assert.equal(compareRows(plain, one, failed)?.what, 'error')
  assert.equal(compareRows(plain, failed, one)?.what, 'error')
  assert.equal(compareRows(plain, failed, failed), null)
  // The decimals that a column says it has, whether shown or not; others, and other values, are seen.
  const d = [column('a', 246, { decimals: 2 })]
  assert.equal(compareRows(plain, rows(d, [['4'], ['1.5']]), rows(d, [['4.00'], ['1.50']])), null)
  for (const other of ['4.01', '4.000', '40']) assert.equal(compareRows(plain, rows(d, [['4']]), rows(d, [[other]]))?.what, 'values')
  assert.equal(compareRows(plain, rows(d, [['4']]), rows([column('a', 246, { decimals: 3 })], [['4']]))?.what, 'types')
  // A DOUBLE of 7 decimals is rounded when its last digits have come of the order of adding; one that shows all of its digits is not.
  const [v, w] = [[column('v', 5, { decimals: 2 })], [column('v', 5, { decimals: 31 })]]
  const text = { ...plain, text: true }
  assert.equal(compareRows(text, rows(v, [['62.12']]), rows(v, [['62.13']])), null)
  assert.equal(compareRows(text, rows(v, [['62.12']]), rows(v, [['62.14']]))?.what, 'values')
  assert.equal(compareRows(text, rows(v, [['62.12']]), rows(v, [['62.120']]))?.what, 'values')
  assert.equal(compareRows(text, rows(w, [['62.12']]), rows(w, [['62.13']]))?.what, 'values')
  // So has an average, with ROLLUP, beside which something is computed.
  const [m, sql] = [[column('m', 246, { decimals: 4 })], 'SELECT k, AVG(id) * 2 AS g FROM t GROUP BY k WITH ROLLUP']
  assert.equal(compareRows({ ...text, sql }, rows(m, [['30.6666']]), rows(m, [['30.6667']])), null)
  assert.equal(compareRows({ ...text, sql }, rows(m, [['30.6666']]), rows(m, [['30.6670']]))?.what, 'values')
  assert.equal(compareRows(text, rows(m, [['30.6666']]), rows(m, [['30.6667']]))?.what, 'values')
  // A BIT is its bytes or its digits.
  const b = [column('b', 16, { flags: 32 })]
  assert.equal(compareRows(text, rows(b, [['47']]), rows(b, [['/']])), null)
  assert.equal(compareRows(text, rows(b, [['47']]), rows(b, [['0']]))?.what, 'values')
  assert.equal(compareRows(text, rows(b, [['\x01']]), rows(b, [['1']])), null)
  assert.equal(compareRows(text, rows(b, [['\x01']]), rows(b, [['\x02']]))?.what, 'values')
  assert.equal(compareRows(text, rows(b, [['\0\x02']]), rows(b, [['2']])), null)
  // JSON is JSON, by whichever plan; text is not.
  const [j, through] = [rows([column('j', 245, { decimals: 31, charset: 255 })], [['1']]), rows([column('j', 245)], [['1']])]
  assert.notEqual(compareRows(plain, j, through)?.what, 'types')
  assert.equal(compareRows(plain, j, rows([column('j', 253, { charset: 255 })], [['1']]))?.what, 'types')
  // A YEAR is an integer, or none, with ROLLUP alone.
  const [y, number] = [rows([column('y', 13, { flags: 32 })], [['2001']]), rows([column('y', 3, { flags: 32 })], [['2001']])]
  assert.notEqual(compareRows({ ...plain, sql: 'SELECT y FROM a GROUP BY y WITH ROLLUP' }, y, number)?.what, 'types')
  assert.equal(compareRows({ ...plain, sql: 'SELECT y FROM a' }, y, number)?.what, 'types')
  // In an expression, YEAR, BIT and FLOAT are those or numbers; a column of a table is what it is.
  const of = (type: number, cell: string, orgTable = ''): Answer => rows([column('e', type, { flags: 32, orgTable })], [[cell]])
  for (const [type, cell, through, number, other] of [
    [13, '2001', 8, '2001', '2002'],
    [16, '\x06', 8, '6', '7'],
    [4, '1.1', 5, '1.100000023841858', '1.10001'],
  ] as const) {
    for (const rollup of ['', ' WITH ROLLUP']) {
      const said = { ...text, sql: `SELECT MIN(y) AS e FROM a GROUP BY n${rollup}` }
      assert.equal(compareRows(said, of(type, cell), of(through, number)), null)
      assert.equal(compareRows(said, of(through, number), of(type, cell)), null)
      assert.equal(compareRows(said, of(type, cell), of(through, other))?.what, 'values')
    }
    for (const said of [
      compareRows(text, of(type, cell, 't'), of(through, number, 't')),
      compareRows(text, of(type, cell), of(246, number)),
    ])
      assert.match(said?.what ?? '', /^(types|values)$/)
  }
})

test('… and other numbers of rows written', () => {
  assert.equal(compareWrites(ok(2n), ok(2n)), null)
  assert.equal(compareWrites(ok(2n), ok(1n))?.what, 'affected')
  assert.equal(compareWrites(ok(2n, 0, 'Records: 2'), ok(2n, 0, 'Records: 1'))?.what, 'affected')
  assert.equal(compareWrites(ok(2n), ok(2n, 1))?.what, 'warnings')
  assert.equal(compareWrites(ok(2n, 1, 'Records: 2  Warnings: 1'), ok(2n, 4, 'Records: 2  Warnings: 4'))?.what, 'warnings')
  assert.equal(compareWrites(ok(2n, 1, 'Records: 2  Warnings: 1'), ok(2n, 1, 'Records: 2  Warnings: 4'))?.what, 'affected')
  assert.equal(compareWrites(ok(2n, 0, '', 5n), ok(2n, 0, '', 6n))?.what, 'affected')
  assert.equal(compareWrites(ok(2n, 0, '', 1_000_005n), ok(2n))?.what, 'affected')
  assert.equal(compareWrites(ok(2n, 0, '', 1_000_005n), ok(2n, 0, '', 1_000_009n)), null)
  assert.equal(compareWrites(ok(2n), failed)?.what, 'error')
})
