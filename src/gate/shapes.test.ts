import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lexer } from '../sql/lexer.ts'
import { bucketMs, bucketOf, mergedQueries, quantileMs } from '../topology/gate-queries.ts'
import { Shapes, shapeText } from './shapes.ts'

const lexer = new Lexer()
const keyOf = (sql: string): string => lexer.lex(Buffer.from(sql)).key
const quick = { rows: 1, shards: 1, failed: false }

test('a shape has no literal in it, and lists of any length are one', () => {
  assert.equal(
    shapeText(keyOf("SELECT `a b` FROM t WHERE id = 17 AND s = 'secret' AND x = 1.5e3 /* who */")),
    'SELECT `a b` FROM t WHERE id = ? AND s = ? AND x = ?',
  )
  const many = ['INSERT INTO t VALUES (1, 2)', "INSERT INTO t VALUES (1,'b'), (3, 4)", 'INSERT INTO t VALUES (?, ?), (?, ?), (?, ?)'].map(
    (sql) => shapeText(keyOf(sql)),
  )
  assert.ok(
    many.every((text) => /^INSERT INTO t VALUES \(\s*\?, …\s*\)/.test(text)),
    many.join('\n'),
  )
  assert.equal(shapeText(keyOf('SELECT 1 FROM t WHERE id IN (1, 2, 3)')), shapeText(keyOf('SELECT 1 FROM t WHERE id IN (4, 5)')))
  assert.equal(shapeText(keyOf('SELECT ö FROM tä')), 'SELECT ö FROM tä')
})

test('what was sent is counted by shape and keyspace: how often, where to, how long', () => {
  const shapes = new Shapes(100, 0)
  for (let i = 1; i <= 100; i++) shapes.note('app', keyOf(`SELECT * FROM t WHERE id = ${i}`), i <= 99 ? 1 : 500, quick)
  shapes.note('app', keyOf('SELECT * FROM t'), 5, { rows: 40, shards: 4, failed: false })
  shapes.note('other', keyOf('SELECT * FROM t'), 5, { rows: 0, shards: 1, failed: true })
  const taken = shapes.take('g', 7)!
  assert.equal(shapes.take('g', 8), null, 'nothing new')
  const views = mergedQueries([taken])
  const of = (keyspace: string, text: string) => views.find((view) => view.keyspace === keyspace && view.text === text)!
  const one = of('app', 'SELECT * FROM t WHERE id = ?')
  assert.deepEqual([one.count, one.rows, one.scattered, one.slow, one.errors, one.totalMs, one.maxMs], [100, 100, 0, 1, 0, 599, 500])
  assert.ok(one.p50Ms! >= 1 && one.p50Ms! <= 1.2)
  assert.ok(one.p99Ms! >= 1 && one.p99Ms! <= 1.2)
  assert.deepEqual(
    [of('app', 'SELECT * FROM t').scattered, of('app', 'SELECT * FROM t').rows, of('other', 'SELECT * FROM t').errors],
    [1, 40, 1],
  )
  assert.deepEqual([shapes.scattered, shapes.slow], [1, 1])
  const both = mergedQueries([taken, taken]).find((view) => view.text === one.text)!
  assert.deepEqual([both.count, both.p99Ms], [200, one.p99Ms])
})

test('promise 8: shapes are bounded, whatever is sent, and what is not listed is counted', () => {
  const shapes = new Shapes(100, 0)
  for (let i = 0; i < 30_000; i++) shapes.note('app', `SELECT c${i} FROM t`, 1, quick)
  const taken = shapes.take('g', 7)!
  assert.ok(taken.shapes.length <= 200)
  assert.equal(taken.others + taken.shapes.reduce((sum, shape) => sum + shape.count, 0), 30_000)
  assert.ok(JSON.stringify(taken).length < 100_000)
  shapes.note('app', `SELECT ${'x, '.repeat(100_000)}1`, 1, quick)
  assert.ok(shapes.take('g', 8)!.shapes.every(({ text }) => text.length <= 401))
})

test('a quantile is at most a fifth too much, and never too little', () => {
  for (const ms of [0.01, 0.1, 1, 3.3, 47, 999, 60_000]) {
    const told = quantileMs([[bucketOf(ms), 1]], 0.5)!
    assert.ok(told >= ms && (told <= ms * 1.2 || told === bucketMs(0)), `${ms}: ${told}`)
  }
  assert.equal(quantileMs([], 0.5), null)
})
