import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertEachRight } from './seeds.ts'
import { boundariesApart, runStreams } from './streams.model.ts'

test('1.5, 1.6, promise 7: two streams of a merge never wait for one another for ever, whatever goes in parts, is held back, fills what may wait, or dies', () =>
  assertEachRight(runStreams, 150))

test('1.6, promise 7: a merge whose rows wander all the time comes to boundaries: the streams line up', async () => {
  for (const seed of [1, 2, 3]) {
    const apartMs = await boundariesApart(seed)
    assert.ok(Math.max(...apartMs) < 6_000, `seed ${seed}: ${apartMs.join(' and ')} ms without one`)
  }
})
