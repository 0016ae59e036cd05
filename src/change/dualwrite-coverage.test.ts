/** Coverage: what is whole on the new branch, and when all is; also of an old side that held rows before its fleet, of which no mark tells. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { adoptedSql, isFilled, judgeCoverage } from './dualwrite-coverage.ts'
import type { CoverageInput } from './dualwrite-coverage.ts'
import { gapsBetween } from './dualwrite-old-rows.ts'
import { noFloor } from '../ingest/position-sql.ts'
import { fleet } from './testkit/standing-run.ts'

const input = (more: Partial<CoverageInput>): CoverageInput => ({
  nowMs: 1_000_000,
  windows: [{ table: 'stat', oldestMs: 5000, newestMs: 9000, everyMs: 1000, brokenMs: null }],
  oldRows: { byTable: new Map(), unknown: null },
  unpaired: [],
  bucketMs: new Map([['stat', 1000]]),
  retentionMs: new Map([['stat', 8_000]]),
  boundsMs: new Map(),
  lag: 0n,
  lagMost: 10n,
  gainPerSecond: null,
  eventTimeRate: 1,
  ...more,
})
const window = (brokenMs: number | null) => ({ table: 'stat', oldestMs: 1000, newestMs: 9000, everyMs: 1000, brokenMs })
const rows = (oldestMs: number, newestMs: number, table = 'stat') => ({
  byTable: new Map([[table, { oldestMs, newestMs }]]),
  unknown: null,
})

test('coverage is counted by buckets that are whole; T_ready is when the last broken one has expired, in event time', () => {
  const half = judgeCoverage(input({ windows: [window(4000)] }))
  // Whole from 5000 on, of 1000 … 10000.
  assert.equal(half.percent, 55.5)
  // The bucket of 4000 is gone at 4000 + 1000 + 8000 of event time, which stands at 9000.
  assert.equal(half.readyAtMs, 1_004_000)
  assert.equal(judgeCoverage(input({ windows: [window(4000)], eventTimeRate: 4 })).readyAtMs, 1_001_000)
  // By partitions: it goes when that up to 6000 goes; past the last there will be one up to 9000.
  const ready = (...bounds: number[]): number | null =>
    judgeCoverage(input({ windows: [window(4000)], boundsMs: new Map([['stat', bounds]]) })).readyAtMs
  assert.equal(ready(3000, 6000, 9000), 1_005_000)
  assert.equal(ready(2000, 5000), 1_004_000)
  assert.equal(ready(0, 3000), 1_005_000)
  assert.equal(isFilled(half), false)
  const whole = judgeCoverage(input({ windows: [window(null)] }))
  assert.equal(whole.percent, 100)
  assert.ok(isFilled(whole))
})

test('unknown is not zero: marks, lag or gain that are not known leave readiness unknown; rows that never expire are never whole', () => {
  assert.deepEqual([judgeCoverage(input({ windows: null })).percent, judgeCoverage(input({ windows: null })).readyAtMs], [null, null])
  assert.equal(isFilled(judgeCoverage(input({ windows: [window(null)], lag: null }))), false)
  assert.equal(judgeCoverage(input({ windows: [window(null)], lag: 500n })).readyAtMs, null)
  assert.equal(judgeCoverage(input({ windows: [window(null)], lag: 500n, gainPerSecond: 100 })).readyAtMs, 1_005_000)
  assert.equal(judgeCoverage(input({ windows: [window(4000)], retentionMs: new Map() })).readyAtMs, null)
})

test('rows that no mark tells of count as held and not as whole, until they have expired', () => {
  const adopted = judgeCoverage(input({ oldRows: rows(0, 4000) }))
  // Held: 0 … 10000; whole: from 5000 on.
  assert.equal(adopted.percent, 50)
  assert.equal(adopted.readyAtMs, 1_000_000 + 4000 + 1000 + 8000 - 9000)
  assert.match(adopted.because, /^stat holds rows up to 1970-01-01T00:00:05.000Z that its fleet did not write from this topic/)
  assert.equal(isFilled(adopted), false)
  assert.ok(isFilled(judgeCoverage(input({}))))
  const alone = judgeCoverage(input({ windows: [], oldRows: rows(0, 4000) }))
  assert.deepEqual([alone.percent, alone.tables[0]?.table], [0, 'stat'], 'a table without any mark is no table without rows')
})

test('so do buckets in which the old fleet began beside them; by name they are passed over', () => {
  const windows = [{ table: 'stat', oldestMs: 5000, newestMs: 9000, everyMs: 1000, brokenMs: null, adoptedMs: 6000 }]
  assert.equal(judgeCoverage(input({ windows })).percent, 60)
  assert.equal(judgeCoverage(input({ windows, oldRows: rows(5000, 5000) })).tables[0]?.fullFromMs, 7000)
  assert.ok(isFilled(judgeCoverage(input({ windows, oldRows: null }))))
})

test('what was not looked at, or has no fleet on the new branch, is not known', () => {
  const unknown = judgeCoverage(input({ oldRows: { byTable: new Map(), unknown: 'whether -80 holds rows is not known yet' } }))
  assert.deepEqual([unknown.percent, unknown.readyAtMs, unknown.because], [null, null, 'whether -80 holds rows is not known yet'])
  const unpaired = judgeCoverage(input({ unpaired: ['insights+slow'] }))
  assert.deepEqual([unpaired.percent, isFilled(unpaired)], [null, false])
  assert.match(unpaired.because, /no fleet of the new branch reads what insights\+slow reads/)
})

test('a fleet that was made for empty tables, or from the beginning of its topic, has nothing before it', () => {
  const old = { ...fleet('insights', 'main', 'd1'), startOffsets: { 0: '0', 1: '50' } }
  assert.equal(adoptedSql(old), '(m.partition_no = 1 AND m.first_offset < 150)')
  assert.equal(adoptedSql({ ...old, tablesWereEmpty: true }), null)
  assert.equal(adoptedSql({ ...old, startOffsets: { 0: '0' } }), null)
})

test('rows are looked for before, between and after marked buckets, at or above the floor', () => {
  assert.deepEqual(gapsBetween([], 10, noFloor), [{ lowMs: null, highMs: null }])
  assert.deepEqual(gapsBetween([30, 20, 50], 10, noFloor), [
    { lowMs: null, highMs: 20 },
    { lowMs: 40, highMs: 50 },
    { lowMs: 60, highMs: null },
  ])
  assert.deepEqual(gapsBetween([20], 10, 20), [{ lowMs: 30, highMs: null }])
})
