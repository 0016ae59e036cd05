import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askedShares, bytesLeftMs, timeLeftMs } from './dualwrite-headroom.ts'

/** One record a millisecond from `bornMs` on, offsets from 0; the broker's answers at `nowMs`. */
const at = (bornMs: number, nowMs: number, retentionMs: number, start: number) => ({
  retentionMs,
  start: BigInt(start),
  end: BigInt(nowMs - bornMs),
  firstOf: askedShares.map((share) => BigInt(Math.max(start, Math.min(nowMs - bornMs, nowMs - (1 - share) * retentionMs - bornMs)))),
})

test('a topic younger than its retention presses nobody, though its first record is yet to be read', () => {
  const young = at(1_000_000, 1_000_500, 100_000, 0)
  assert.equal(timeLeftMs({ ...young, limitedByBytes: false, next: 0n }), 50_000)
  assert.equal(timeLeftMs({ ...young, limitedByBytes: true, next: 0n }), 50_000, 'nothing was removed yet')
  assert.equal(timeLeftMs({ ...young, limitedByBytes: false, next: 500n }), 100_000)
})

test('a position that retention is about to reach has little left, one behind it nothing', () => {
  const old = at(0, 1_000_000, 100_000, 900_000)
  assert.equal(timeLeftMs({ ...old, limitedByBytes: false, next: 899_999n }), 0)
  assert.equal(timeLeftMs({ ...old, limitedByBytes: false, next: 905_000n }), 0)
  assert.equal(timeLeftMs({ ...old, limitedByBytes: false, next: 915_000n }), 10_000)
  assert.equal(timeLeftMs({ ...old, limitedByBytes: false, next: 1_000_000n }), 100_000)
})

test('where bytes have removed records already, what is held is the bound', () => {
  // A tenth of the retention is held.
  const full = at(0, 1_000_000, 100_000, 990_000)
  assert.equal(timeLeftMs({ ...full, limitedByBytes: true, next: 990_500n }), 5_000)
  assert.equal(timeLeftMs({ ...full, limitedByBytes: false, next: 990_500n }), 50_000)
})

test('where bytes alone limit, growth tells: room first, then what is held before the position; a topic that does not grow removes nothing', () => {
  const topic = { limit: 10_000n, recordBytes: 10, perSecond: 100, start: 0n, end: 400n, next: 100n }
  assert.deepEqual(bytesLeftMs(topic), { leftMs: 7_000, windowMs: 10_000 }, '600 records of room and 100 behind it')
  assert.deepEqual(bytesLeftMs({ ...topic, start: 1_000n, end: 2_000n, next: 1_050n }), { leftMs: 500, windowMs: 10_000 })
  assert.equal(bytesLeftMs({ ...topic, perSecond: 0 }), null)
  assert.equal(bytesLeftMs({ ...topic, start: 101n })?.leftMs, 0)
})
