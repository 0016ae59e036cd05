import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultMode } from '../sql/lexer.ts'
import { type Value, textValue } from '../sql/value.ts'
import { comparedConstants } from './compared-constants.ts'

const of = (sql: string, parameters: readonly Value[] = []): [string, number][] => [
  ...comparedConstants(Buffer.from(sql), defaultMode, (index) => parameters[index] ?? null),
]

test('promise 10: constants that are compared, and nothing else, are converted once', () => {
  assert.deepEqual(of("SELECT n FROM t WHERE n = 'a' AND ('b') < 2"), [
    ['a', 1],
    ['b', 1],
    ['2', 1],
  ])
  assert.deepEqual(of("SELECT n FROM t WHERE n IN ('a', 'b') OR m <=> 'a'"), [
    ['a', 2],
    ['b', 1],
  ])
  assert.deepEqual(of('SELECT n FROM t WHERE n = ?', [textValue('x')]), [['x', 1]])
  // As MariaDB prints bytes.
  assert.deepEqual(of("SELECT n FROM t WHERE n = x'4107ff5c'"), [['A\\x07\\xFF\\', 1]])
  // For each row.
  assert.deepEqual(of("SELECT n FROM t WHERE n + 'a' > 2 AND m = 'a'"), [['2', 1]])
  assert.deepEqual(of("SELECT n FROM t WHERE n IN (1, 'a') OR n BETWEEN 'b' AND 5"), [])
  assert.deepEqual(of("SELECT n FROM t WHERE n = 'it is not ended"), [])
})
