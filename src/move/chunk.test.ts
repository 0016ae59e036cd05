import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SegmentPool } from './chunk.ts'

test('promise 8: of segments that came back a pool keeps what it may, and nothing once the copy is over', () => {
  const pool = new SegmentPool(1_000, () => 2)
  const taken = Array.from({ length: 4 }, () => pool.take('INSERT', 100))
  assert.equal(pool.outstandingBytes, 4_000)
  for (const segment of taken.slice(1)) pool.giveBack(segment)
  assert.equal(pool.keptBytes, 2_000)
  pool.end()
  assert.equal(pool.keptBytes, 0)
  for (const segment of taken.slice(0, 1)) pool.giveBack(segment)
  assert.deepEqual([pool.keptBytes, pool.outstandingBytes], [0, 0])
})
