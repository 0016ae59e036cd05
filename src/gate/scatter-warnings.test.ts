import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergedWarnings, type Warning } from './scatter-warnings.ts'

const deprecated: Warning = ['Warning', '1287', "'VALUES function' is deprecated"]
const truncated: Warning = ['Warning', '1265', 'Data truncated']

test('promise 10: what is said of the text is said as often as on one server, and not once a shard; what is said of rows, for each', () => {
  const shards = [[truncated], [deprecated, deprecated, truncated], [deprecated, deprecated]]
  assert.deepEqual(mergedWarnings(6, shards, 'text'), { count: 4, list: [truncated, deprecated, deprecated, truncated] })
  // A server says it when the statement is prepared.
  assert.deepEqual(mergedWarnings(6, shards, 'binary'), { count: 2, list: [truncated, truncated] })
  // More than are listed.
  assert.equal(mergedWarnings(106, [[truncated], [deprecated]], 'binary').count, 105)
})

test('promise 10: a literal that is no text is told once, a row with such a value for itself', () => {
  const invalid = ['Warning', '1300', "Invalid utf8mb4 character string: 'FF22'"] as const
  const other = ['Warning', '1300', "Invalid utf8mb4 character string: 'FE'"] as const
  assert.deepEqual(mergedWarnings(4, [[invalid], [invalid], [invalid], [invalid]], 'text', 4), { count: 1, list: [invalid] })
  assert.equal(mergedWarnings(2, [[invalid], [invalid]], 'text', 4).count, 2)
  assert.equal(mergedWarnings(2, [[invalid], [other]], 'text', 2).count, 2)
  assert.equal(mergedWarnings(2, [[invalid], [invalid]], 'text').count, 2)
  assert.equal(mergedWarnings(2, [[invalid], [invalid]], 'binary', 2).count, 2)
})

test('promise 10: a constant that is compared is told of once, and not once a shard; one that is converted for each row, for each', () => {
  const of = (value: string): Warning => ['Warning', '1292', `Truncated incorrect DOUBLE value: '${value}'`]
  const illegal: Warning = ['Warning', '1918', "Encountered illegal value 'a' when converting to DECIMAL"]
  const compared = new Map([['a', 1]])
  assert.deepEqual(mergedWarnings(4, [[of('a')], [of('a')], [of('a')], [of('a')]], 'text', 4, compared), { count: 1, list: [of('a')] })
  assert.equal(mergedWarnings(4, [[illegal], [of('a'), illegal], [illegal]], 'binary', 4, compared).count, 2)
  // Of rows: of other values, or more often than it stands in the text.
  assert.equal(mergedWarnings(3, [[of('a'), of('b')], [of('b')]], 'text', 4, compared).count, 3)
  assert.equal(
    mergedWarnings(
      5,
      [
        [of('a'), of('a')],
        [of('a'), of('a'), of('a')],
      ],
      'text',
      4,
      compared,
    ).count,
    5,
  )
})
