import assert from 'node:assert/strict'
import { test } from 'node:test'
import { integerValue, type Value } from '../../sql/value.ts'
import { route } from './testkit.ts'

test('promise 10: ranges of a vindex that keeps order, and the first columns of one of several, go to the shards that may hold rows', () => {
  const top = (shard: number): string => String(BigInt(shard) << 62n)
  const at = (sql: string, parameters: readonly Value[] = []): string[] => route(sql, parameters).sends.map((send) => send.shard)
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k BETWEEN 5 AND ${top(1)}`), ['-40', '40-80'])
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k BETWEEN 5 AND 6`), ['-40'])
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k >= ${top(2)}`), ['80-c0', 'c0-'])
  assert.deepEqual(at(`SELECT n FROM ranked WHERE ${top(1)} > k AND k > 7`), ['-40', '40-80'])
  assert.deepEqual(at('DELETE FROM ranked WHERE k BETWEEN ? AND ?', [integerValue(1n), integerValue(9n)]), ['-40'])
  // What the server would compare as something else bounds nothing.
  assert.equal(at("SELECT n FROM ranked WHERE k BETWEEN '5x' AND '6x'").length, 4)
  // Nor does one bound beside such a one: all of it is compared as numbers then.
  for (const bounds of ["5 AND '6x'", "'5x' AND 6", '1 + 1 AND 6', '5 AND 3 + 3'])
    assert.equal(at(`SELECT n FROM ranked WHERE k BETWEEN ${bounds}`).length, 4, bounds)
  // Nor is one of its bounds known by another condition.
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k < ${top(1)} AND k BETWEEN ${top(2)} AND '6x'`), ['-40', '40-80'])
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k > ${top(2)} AND k BETWEEN '6x' AND ${top(1)}`), ['80-c0', 'c0-'])
  // Of several conditions each holds.
  assert.deepEqual(at(`SELECT n FROM ranked WHERE k >= 1 AND k BETWEEN 7 AND ${top(3)} AND k < ${top(2)} AND k >= ${top(1)}`), [
    '40-80',
    '80-c0',
  ])
  assert.equal(at('SELECT n FROM ranked WHERE k NOT BETWEEN 5 AND 6').length, 4)
  assert.equal(at(`SELECT n FROM ranked WHERE k BETWEEN 5 AND 6 OR n = 1`).length, 4)
  assert.deepEqual(at("SELECT id FROM placed WHERE region = 'a'"), ['40-80'])
  assert.deepEqual(at("SELECT id FROM placed WHERE region IN ('a', x'ff')"), ['40-80', 'c0-'])
  assert.equal(at('SELECT id FROM placed WHERE id = 4').length, 4)
})
