/** The formulas of PROTOCOLS 5: the worked examples to the digit, and what must hold of them for all numbers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  binlogRetentionNeeded,
  capacityFromDrain,
  catchUpSeconds,
  copySeconds,
  drainSeconds,
  pinDepthSeconds,
  pinReadySeconds,
  rateForDeadline,
  scalingEfficiency,
} from './formulas.ts'
import { day } from './text.ts'

const pinDays = (rd: number, rk: number, m: number, timesR: number): number => {
  const depth = pinDepthSeconds({ storeRetentionSeconds: rd * day, topicRetentionSeconds: rk * day, marginSeconds: m * day })
  return pinReadySeconds(rd * day, depth, 10_000, timesR * 10_000) / day
}
const near = (a: number, b: number, share = 1e-9): void =>
  assert.ok(Math.abs(a - b) <= share * Math.max(1, Math.abs(a), Math.abs(b)), `${a} is not ${b}`)

const positive = (max: number): fc.Arbitrary<number> => fc.double({ min: 1e-3, max, noNaN: true })

describe('worked examples of PROTOCOLS 5', () => {
  test('Rd 8 d, Rk 3 d, m 0.1 d, w = 3r: 5.1 d', () => near(pinDays(8, 3, 0.1, 3), 5.1))
  test('Rk of 8 d and its margin, w = 3r: 4 d', () => near(pinDays(8, 8.1, 0.1, 3), 4))
  test('Rk of thirty days changes nothing: nobody reads what has expired', () => near(pinDays(8, 30, 0.1, 3), 4))
  test('a fleet no faster than its producers is never ready', () => assert.equal(pinDays(8, 3, 0.1, 1), Infinity))
  test('copy: the slower of scan and landing, spread by the duty, then keys', () => {
    const x = { bytes: 400e9, readBytesPerSecond: 200e6, targets: 8, targetWriteBytesPerSecond: 20e6, duty: 0.8, keySeconds: 600 }
    near(copySeconds(x), 400e9 / 160e6 / 0.8 + 600)
    near(copySeconds({ ...x, targets: 16 }), 400e9 / 200e6 / 0.8 + 600)
  })
  test('drain: b·lag/(a − b), never unless a > b', () => {
    near(drainSeconds({ binlogBytesPerSecond: 4, applyBytesPerSecond: 16, lagSeconds: 3600 }), 1200)
    assert.equal(drainSeconds({ binlogBytesPerSecond: 4, applyBytesPerSecond: 4, lagSeconds: 3600 }), Infinity)
    assert.equal(drainSeconds({ binlogBytesPerSecond: 0, applyBytesPerSecond: 0, lagSeconds: 3600 }), 0)
  })
  test('binlogs: 1.5 × (lag + outage)', () => near(binlogRetentionNeeded(3600, 7200), 16_200))
  test('L6: held 60 s, drained in 30 s at 10,000/s sustains 30,000/s', () => near(capacityFromDrain(10_000, 60, 30), 30_000))
  test('efficiency: twice the shards, 1.8 × the rate: 0.9', () =>
    near(scalingEfficiency({ wNew: 18, wOld: 10, shardsNew: 8, shardsOld: 4 }), 0.9))
})

describe('for all numbers', () => {
  test('a fleet at the rate for a deadline has caught up at the deadline', () => {
    fc.assert(
      fc.property(positive(1e7), positive(1e6), fc.double({ min: 0.01, max: 100, noNaN: true }), (depth, r, depths) => {
        const deadline = depth * depths
        near(catchUpSeconds(depth, r, rateForDeadline(depth, r, deadline)), deadline, 1e-6)
      }),
    )
  })
  test('pinning is never later than waiting, once the fleet is twice as fast as its producers', () => {
    fc.assert(
      fc.property(
        positive(1e7),
        positive(1e7),
        positive(1e5),
        positive(1e5),
        fc.double({ min: 2, max: 50, noNaN: true }),
        (rd, rk, m, r, times) => {
          const depth = pinDepthSeconds({ storeRetentionSeconds: rd, topicRetentionSeconds: rk, marginSeconds: m })
          assert.ok(depth >= 0 && depth <= rd)
          assert.ok(pinReadySeconds(rd, depth, r, times * r) <= rd * (1 + 1e-9))
        },
      ),
    )
  })
  test('the backlog has gone exactly when what was read is what was written', () => {
    fc.assert(
      fc.property(positive(1e7), positive(1e5), fc.double({ min: 1.01, max: 50, noNaN: true }), (depth, r, times) => {
        const t = catchUpSeconds(depth, r, times * r)
        near(times * r * t, r * (depth + t), 1e-6)
      }),
    )
  })
  test('capacity and catching up are one formula read in two directions', () => {
    fc.assert(
      fc.property(positive(1e5), positive(1e6), fc.double({ min: 1.05, max: 50, noNaN: true }), (r, held, times) => {
        near(capacityFromDrain(r, held, catchUpSeconds(held, r, times * r)), times * r, 1e-6)
      }),
    )
  })
  test('more targets, more duty or faster servers never make a copy longer', () => {
    const arbitrary = fc.record({
      bytes: positive(1e15),
      readBytesPerSecond: positive(1e9),
      targets: fc.integer({ min: 1, max: 512 }),
      targetWriteBytesPerSecond: positive(1e9),
      duty: fc.double({ min: 0.01, max: 0.5, noNaN: true }),
      keySeconds: positive(1e5),
    })
    fc.assert(
      fc.property(arbitrary, (x) => {
        for (const better of [
          { targets: x.targets * 2 },
          { duty: x.duty * 2 },
          { readBytesPerSecond: x.readBytesPerSecond * 2 },
          { targetWriteBytesPerSecond: x.targetWriteBytesPerSecond * 2 },
        ])
          assert.ok(copySeconds({ ...x, ...better }) <= copySeconds(x))
      }),
    )
  })
})
