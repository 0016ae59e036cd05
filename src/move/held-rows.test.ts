import assert from 'node:assert/strict'
import { test } from 'node:test'
import { heldRowsMax, heldRowsOf } from './held-rows.ts'

test('1.6, 1.13: of many rows held back each is asked about in its turn', () => {
  const held = Array.from({ length: 2 * heldRowsMax + 50 }, (_, i) => i)
  const asked = new Set([0, 1, 2].flatMap((look) => heldRowsOf(held, look)))
  assert.equal(asked.size, held.length)
  assert.deepEqual(heldRowsOf([1, 2], 7).toSorted(), [1, 2])
  assert.deepEqual(heldRowsOf([], 3), [])
})
