import assert from 'node:assert/strict'
import { test } from 'node:test'
import { behindMs, hasLeftTargets } from './stream-report.ts'

test('1.14: what the furthest target needs next is as old as its last group says, or the last marker of this run when that is younger', () => {
  const at = (markerAtMs: number | null, committedAtMs: number | null) => ({ applied: { markerAtMs, committedAtMs } })
  const clocks = { nowMs: 100_000, sourceNowMs: 101_000 }
  assert.equal(behindMs([at(null, null)], null, clocks), null, 'nothing has come')
  assert.equal(behindMs([], null, clocks), null)
  assert.equal(behindMs([at(null, null)], 1_000, clocks), 100_000, 'the first group that this run has to apply')
  assert.equal(behindMs([at(null, 91_000)], 1_000, clocks), 10_000, 'the last that it has applied')
  assert.equal(behindMs([at(99_000, 91_000)], 1_000, clocks), 1_000, 'a session may have set its own time; our markers do not lie')
  assert.equal(behindMs([at(99_000, 100_500), at(null, null)], 51_000, clocks), 50_000, 'the furthest')
})

test('1.7: a stream that has failed may have left a target at an ALTER: only once it was ended there is nothing of it at work', () => {
  const told = [
    { state: 'running' },
    { state: 'starting' },
    { state: 'failed' },
    { state: 'failed', ended: true },
    { state: 'stopped' },
  ] as const
  assert.deepEqual(told.map(hasLeftTargets), [false, false, false, true, true])
})
