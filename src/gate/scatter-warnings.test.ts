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
