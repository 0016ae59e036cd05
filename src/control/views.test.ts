import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { Json, Snapshot } from '../topology/store.ts'
import { undoView } from './undo-view.ts'
import { TopologyView, reportFreshMs } from './views.ts'

const nowMs = 1_000_000

const record: StreamRecord = {
  v: 1,
  uid: 's',
  workflowUid: 'w',
  workflow: 'move',
  keyspace: 'k',
  direction: 'forward',
  wanted: 'running',
  generation: 2,
  source: { shard: '-', uid: 'a', serverId: 'x', schema: 'k' },
  targets: [
    { shard: '-80', uid: 'b', serverId: 'y', schema: 'k1' },
    { shard: '80-', uid: 'c', serverId: 'y', schema: 'k2' },
  ],
  tables: [],
  movesReference: false,
  copy: 'full',
  options: { onDdl: 'stop', deferSecondaryKeys: true, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
}

const lag = { atMs: nowMs, transactions: 3, bytes: 0, markerAgeMs: 5, etaMs: 0 }
const target = (shard: string): StreamReport['targets'][number] => ({ shard, position: 'p', controlMarker: 1, lag })
const report: StreamReport = {
  v: 1,
  streamUid: 's',
  mover: 'm',
  generation: 2,
  atMs: nowMs,
  state: 'running',
  waiting: null,
  error: null,
  copy: { rowsDone: 5, rowsEstimated: 5, bytesDone: 0, bytesEstimated: 0, rowsPerSecond: 9, etaMs: 7, sourceRowsRead: 5, tables: [] },
  applied: { transactions: 1, rowChanges: 1, rowChangesPerSecond: null },
  targets: [target('-80'), target('80-')],
  headroom: null,
  resumed: null,
}

function viewOf(given: StreamReport | null): ReturnType<TopologyView['stream']> {
  const entries =
    given === null ? [] : [[keys.report('w', 's'), { key: keys.report('w', 's'), value: given as unknown as Json, version: 1 }] as const]
  const snapshot: Snapshot = { revision: 1, entries: new Map(entries) }
  return new TopologyView(snapshot, nowMs).stream(record)
}

test('promise 6: a fresh report of every target is known', () => {
  const view = viewOf(report)
  assert.deepEqual(
    [view.state, view.lag, view.rowsPerSecond, view.etaMs],
    ['running', { transactions: 3, bytes: 0, ageMs: 5, etaMs: 0 }, 9, 7],
  )
})

const unknown: [string, StreamReport | null][] = [
  ['no report', null],
  ['a report of an older generation', { ...report, generation: 1 }],
  ['a report that is too old', { ...report, atMs: nowMs - reportFreshMs }],
  ['one target without a lag', { ...report, targets: [target('-80'), { ...target('80-'), lag: null }] }],
  [
    'one target whose lag was measured too long ago',
    { ...report, targets: [target('-80'), { ...target('80-'), lag: { ...lag, atMs: nowMs - reportFreshMs } }] },
  ],
  ['no targets', { ...report, targets: [] }],
]

for (const [name, given] of unknown) {
  test(`promise 6: lag is unknown, not zero: ${name}`, () => assert.equal(viewOf(given).lag, null))
}

test('promise 6: each part of lag is unknown by itself, when one target does not know it', () => {
  const two = (part: object): StreamReport => ({ ...report, targets: [target('-80'), { ...target('80-'), lag: { ...lag, ...part } }] })
  assert.deepEqual(viewOf(two({ transactions: null, etaMs: null })).lag, { transactions: null, bytes: 0, ageMs: 5, etaMs: null })
  assert.deepEqual(viewOf(two({ markerAgeMs: null, bytes: 9 })).lag, { transactions: 3, bytes: 9, ageMs: null, etaMs: 0 })
})

test('promise 6, 1.6: rows held back are those of all targets, the position the oldest; of one target unknown, unknown', () => {
  const of = (...targets: object[]): StreamReport => ({ ...report, targets: targets.map((part) => ({ ...target('-80'), ...part })) })
  const figures = ({ rowsHeldBack, positionAgeMs }: ReturnType<typeof viewOf>) => [rowsHeldBack, positionAgeMs]
  const two = of({ rowsHeldBack: 3, positionAgeMs: 100 }, { rowsHeldBack: 4, positionAgeMs: 9_000 })
  assert.deepEqual(figures(viewOf(two)), [7, 9_000])
  assert.deepEqual(figures(viewOf(of({ rowsHeldBack: 3, positionAgeMs: 100 }, {}))), [null, null])
  assert.deepEqual(figures(viewOf({ ...two, atMs: nowMs - reportFreshMs })), [null, null])
})

test('promise 7: why it waits, and what holds its copy back, with since when and what ends it; once reports have ended: for a mover', () => {
  const wait = { what: 'x', sinceMs: nowMs - 9, ends: 'y' }
  const waits: StreamReport = { ...report, waiting: wait, throttled: { ...wait, reason: 'pressure' } }
  const view = viewOf(waits)
  assert.deepEqual([view.waiting?.reason, view.throttled], ['other', { ...wait, reason: 'pressure' }])
  const old = viewOf({ ...waits, atMs: nowMs - reportFreshMs })
  assert.deepEqual([old.waiting?.reason, old.waiting?.sinceMs, old.throttled], ['mover', nowMs - reportFreshMs, null])
  assert.equal(viewOf({ ...report, state: 'stopped', atMs: 1 }).waiting, null)
})

test('promise 6: state, rate and ETA of a stale report are unknown; a failure stays one', () => {
  const stale = viewOf({ ...report, atMs: nowMs - reportFreshMs })
  assert.deepEqual([stale.state, stale.rowsPerSecond, stale.etaMs], ['unknown', null, null])
  assert.equal(viewOf({ ...report, atMs: nowMs - reportFreshMs, state: 'failed' }).state, 'failed')
})

test('promise 5: what can be undone, by what and until when is told; what is not known is not promised', () => {
  const workflow = { keyspace: 'k', name: 'w', state: 'running', ended: false }
  const back = { ...viewOf(report), direction: 'reverse' as const }
  const of = (...streams: ReturnType<typeof viewOf>[]): string => {
    const undo = undoView(workflow, 'target', streams)
    return `${undo?.possible}: ${undo?.until}`
  }
  assert.match(undoView(workflow, 'source', [])?.by ?? '', / cancel$/)
  assert.match(of(back), /^yes: until complete/)
  assert.match(undoView(workflow, 'target', [back])?.by ?? '', / reversetraffic$/)
  assert.match(of(), /^unknown/)
  assert.match(of({ ...back, state: 'unknown' }), /^unknown/)
  const headroom = { retentionMs: 86_400_000, leftMs: 7_200_000, warning: null }
  assert.match(of({ ...back, wanted: 'stopped', state: 'stopped' }), /^not now: .* start first.*is unknown/)
  assert.match(of({ ...back, state: 'failed', headroom }), /^not now: .*kept for another 2\.?0? h/)
  assert.equal(undoView({ ...workflow, state: 'completing' }, 'target', [back])?.possible, 'no')
  assert.equal(undoView({ ...workflow, state: 'complete', ended: true }, 'target', [])?.possible, 'no')
})
