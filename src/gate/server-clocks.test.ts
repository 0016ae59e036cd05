import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { ServerClocks } from './server-clocks.ts'

/** The gate's wall clock says 1,000,000 where its monotonic one says 0. */
const start = 1_000_000
let monotonicMs = 0
const clock: Clock = { ...systemClock, monotonicMs: () => monotonicMs, nowMs: () => start + monotonicMs }
const utc = (ms: number): string => `${new Date(ms).toISOString().slice(0, 23).replace('T', ' ')}000`

function clocks(): { all: ServerClocks; warned: object[] } {
  monotonicMs = 1_000
  const warned: object[] = []
  return { all: new ServerClocks(clock, { warn: (fields) => void warned.push(fields) }), warned }
}

test('an instant is that of the latest clock of the servers concerned, and not before any moment of theirs', () => {
  const { all } = clocks()
  assert.equal(all.nowMs(['a']), start + 1_000, "of none that was asked: the gate's")
  all.saw('a', utc(start + 1_200), 1_000, 1_004)
  all.saw('b', utc(start + 5_000), 1_000, 1_004)
  assert.equal(all.nowMs(['a']), start + 1_200)
  assert.equal(all.nowMs(['a', 'b']), start + 5_000)
  monotonicMs += 10
  assert.equal(all.nowMs(['b', 'c']), start + 5_010)
})

test('of what was asked lately the narrowest answer counts, unless the clock was set since', () => {
  const { all } = clocks()
  all.saw('a', utc(start + 1_001), 1_000, 1_002)
  // Its answer was late: how far the clock had come is not told better by it.
  all.saw('a', utc(start + 1_010), 1_000, 1_300)
  assert.equal(all.nowMs(['a']), start + 1_001)
  all.saw('a', utc(start + 9_000), 1_000, 1_300)
  assert.equal(all.nowMs(['a']), start + 9_000)
  // Old by now.
  monotonicMs = 500_000
  all.saw('a', utc(start + 508_100), 500_000, 500_400)
  assert.equal(all.nowMs(['a']), start + 508_100)
})

test('no instant by a clock is before the one given last by it, but where that was put back by more than a second', () => {
  const { all } = clocks()
  all.saw('a', utc(start + 1_400), 1_000, 1_001)
  all.saw('b', utc(start + 1_000), 1_000, 1_001)
  assert.equal(all.nowMs(['a', 'b']), start + 1_400)
  assert.equal(all.nowMs(['b']), start + 1_000, 'of other servers nothing is told by it')
  all.saw('a', utc(start + 1_000), 1_000, 1_001)
  assert.equal(all.nowMs(['a']), start + 1_400)
  all.saw('a', utc(start - 60_000), 1_000, 1_001)
  assert.equal(all.nowMs(['a']), start - 60_000)
})

test('a clock that is not the gate’s is told once, until it is again', () => {
  const { all, warned } = clocks()
  all.saw('a', utc(start + 1_300), 1_000, 1_200)
  assert.deepEqual(warned, [])
  all.saw('a', utc(start + 61_000), 1_000, 1_001)
  all.saw('a', utc(start + 91_000), 1_000, 1_001)
  all.saw('b', utc(start - 4_000), 1_000, 1_001)
  assert.deepEqual(warned, [
    { server: 'a', skewMs: 59_999 },
    { server: 'b', skewMs: -5_000 },
  ])
  all.saw('a', utc(start + 1_000), 1_000, 1_001)
  all.saw('a', utc(start + 61_000), 1_000, 1_001)
  assert.equal(warned.length, 3)
})
