import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lockedForMs } from './table-run.ts'

test('2: a row counts as locked from when it was first found so alone, and no longer once it was not', () => {
  const candidate = { mode: 'many' as 'many' | 'alone', lockedSinceMs: null }
  assert.equal(lockedForMs(candidate, 'locked', 1_000_000), 0, 'it may be one of many that was')
  candidate.mode = 'alone'
  assert.equal(lockedForMs(candidate, 'locked', 2_000_000), 0)
  assert.equal(lockedForMs(candidate, 'locked', 2_300_000), 300_000)
  assert.equal(lockedForMs(candidate, 'absent', 2_400_000), 0)
  assert.equal(lockedForMs(candidate, 'locked', 2_500_000), 0)
})
