/** What `status`, `show` and --wait tell of a stream. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { followingStream, stream } from '../../test/kit/console-status.ts'
import { streamLine, streamLines } from './stream-text.ts'

const nowMs = 1_000_000
const waiting = { what: 'a lock', sinceMs: nowMs - 3_100, ends: 'its holder commits', reason: 'lock' }
const throttled = {
  what: 'the source has 101 threads at work (limit 100)',
  sinceMs: nowMs - 61_000,
  ends: 'it falls below its limit',
  reason: 'pressure',
}

test('promise 7: of a copying stream: state and since when, why it waits and what ends it, throttle, lag, rates, chunks, ETA, lanes, retries', () => {
  const copying = stream({
    targets: ['-80', '80-'],
    stateSinceMs: nowMs - 12_000,
    waiting,
    throttled,
    bytesPerSecond: 8_500_000,
    lag: { transactions: null, bytes: 12_000_000_000, ageMs: null, etaMs: 90_000 },
    rowChangesPerSecond: 612,
    appliedBytesPerSecond: 1_000_000,
    sourceBytesPerSecond: 2_048,
    retries: 2,
  })
  assert.deepEqual(streamLines(copying, nowMs), [
    '- → -80,80-: copying for 12.0 s, copied 100,000 of ~400,000 rows (25 %), 50,000 rows/s, ETA 6.0 s',
    '  waits for a lock; for 3.1 s; ends: its holder commits',
    '  copy held back: the source has 101 threads at work (limit 100); for 1 min 1 s; ends: it falls below its limit',
    '  lag unknown, unknown transactions, 11.2 GB, caught up in 1 min 30 s',
    '  copies 8.1 MB/s, chunks 3 done, 9 left; applies 612 row changes/s, 977 kB/s of 2.0 kB/s written, 321 in all; lanes 4, retries 2',
  ])
  assert.equal(
    streamLine(copying, nowMs),
    '- → -80,80-: copying for 12.0 s, copied 100,000 of ~400,000 rows (25 %), 50,000 rows/s, ETA 6.0 s, waits for a lock',
  )
})

test('a throttle that is the wait itself is told once', () => {
  const lines = streamLines(stream({ waiting: throttled, throttled }), nowMs)
  assert.equal(lines.filter((line) => line.includes('101 threads')).length, 1)
})

test('of one that follows; up with its source it has no ETA to tell', () => {
  const following = followingStream({ targets: ['-80'], stateSinceMs: nowMs - 500, rowChangesPerSecond: 10, lanes: null })
  assert.deepEqual(streamLines(following, nowMs), [
    '- → -80: running for 500 ms',
    '  lag 85 ms, 12 transactions, 3.3 kB',
    '  applies 10 row changes/s, unknown bytes/s of unknown bytes/s written, 321 in all; lanes unknown, retries 0',
  ])
  assert.equal(streamLine(following, nowMs), '- → -80: running for 500 ms, lag 85 ms, 12 transactions, 3.3 kB')
})

test('1.6, promise 7: of one with rows held back: how many, and from where on a crash begins again', () => {
  const held = followingStream({ targets: ['-80'], rowsHeldBack: 1_200, positionAgeMs: 34_000 })
  const text =
    '  1,200 rows held back by rows of other streams; position stored 34.0 s ago: from there on a crash begins again, and the binlog is needed'
  assert.ok(streamLines(held, nowMs).includes(text), streamLines(held, nowMs).join('\n'))
  assert.ok(!streamLines({ ...held, rowsHeldBack: null }, nowMs).some((line) => line.includes('held back')))
})

test('promise 6: of one nobody reports: unknown, and why; of one that rests what it rests by', () => {
  const silent = stream({ state: 'unknown', targets: ['-80'], reportAgeMs: null, stateSinceMs: nowMs })
  assert.match(streamLines(silent, nowMs)[0] ?? '', /^- → -80: unknown \(no mover has reported\), copied/)
  assert.match(streamLines({ ...silent, reportAgeMs: 4_000 }, nowMs)[0] ?? '', /unknown \(last report 4.0 s ago\)/)
  assert.ok(streamLines(silent, nowMs).includes('  lag unknown'))
  const error = { code: 'SW-MOVE-001', what: 'what', why: 'why', fix: 'do this' }
  const failed = followingStream({ state: 'failed', targets: ['-80'], error, waiting, stateSinceMs: nowMs - 1_000 })
  assert.deepEqual(streamLines(failed, nowMs), ['- → -80: failed for 1.0 s', '  SW-MOVE-001 what', '  do this'])
  assert.match(streamLines(stream({ wanted: 'stopped' }), nowMs)[0] ?? '', /copying, to be stopped, copied/)
})
