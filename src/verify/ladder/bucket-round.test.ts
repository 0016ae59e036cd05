import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BucketRound } from './bucket-round.ts'

test('a round compares every bucket that stays, while new ones come and old ones go', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 60 }), fc.integer({ min: 0, max: 3 }), (most, count, moving) => {
      const round = new BucketRound(most)
      // `count` buckets stay there all the time; `moving` of the 20 oldest go with each look, and as many new ones come.
      const seen = new Set<number>()
      for (let look = 0; look < Math.ceil((20 + count) / most); look++) {
        const from = Math.min(20, look * moving)
        const all = Array.from({ length: 20 + count + look * moving - from }, (_, i) => from + i)
        const run = round.next('t', all)
        assert.ok(run.length <= most)
        for (const bucket of run) seen.add(bucket)
        round.compared('t', run)
      }
      for (let bucket = 20; bucket < 20 + count; bucket++) assert.ok(seen.has(bucket), `bucket ${bucket} was never compared`)
    }),
  )
})

test('a run that was not compared comes again; tables have places of their own', () => {
  const round = new BucketRound(2)
  assert.deepEqual(round.next('a', [1, 2, 3, 4, 5]), [4, 5])
  assert.deepEqual(round.next('a', [1, 2, 3, 4, 5]), [4, 5])
  round.compared('a', [4, 5])
  assert.deepEqual(round.next('a', [1, 2, 3, 4, 5, 6]), [2, 3])
  assert.deepEqual(round.next('b', [1, 2, 3]), [2, 3])
  round.compared('a', [2, 3])
  round.compared('a', round.next('a', [1, 2, 3]))
  assert.deepEqual(round.next('a', [2, 3, 4]), [3, 4])
  assert.deepEqual(round.next('a', []), [])
})
