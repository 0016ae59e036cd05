/** Coverage of an old side that held rows before its fleet: what no mark of the run's topics tells of is not whole on the new branch. */
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
const rows = (oldestMs: number, newestMs: number, table = 'stat') => ({
  byTable: new Map([[table, { oldestMs, newestMs }]]),
  unknown: null,
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
