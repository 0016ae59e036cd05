/** What the page derives before it draws: geometry, shares, phases, minutes of traffic, the feed's pieces. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { followingStream, fourShards, gate, keyspace, status, stream, switchedStatus, workflow } from '../../test/kit/console-status.ts'
import { FeedParser } from './feed-parser.ts'
import { bytes, count, duration, percent, perSecond } from './format.ts'
import { emptyHistory, windowMs, withStatus } from './history.ts'
import { arcOf, coordinates, sectorPath } from './key-ring.ts'
import { phasesOf } from './phases.ts'
import { copyShare, ringShards } from './ring-model.ts'
import { switchResultOf } from './switch-result.ts'

test('arcs of printed key ranges', () => {
  const cases: [string, { start: number; end: number } | null][] = [
    ['-', { start: 0, end: 1 }],
    ['0', { start: 0, end: 1 }],
    ['-40', { start: 0, end: 0.25 }],
    ['40-80', { start: 0.25, end: 0.5 }],
    ['C0-', { start: 0.75, end: 1 }],
    ['8080-81', { start: 0x8080 / 0x10000, end: 0x81 / 0x100 }],
    ['80-40', null],
    ['4-8', null],
    ['shard', null],
  ]
  for (const [range, expected] of cases) assert.deepEqual(arcOf(range), expected, range)
})

test('neighbouring ranges meet on the ring, however they are cut', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 0xffff }), { minLength: 1, maxLength: 20 }), (cuts) => {
      const bounds = ['', ...cuts.toSorted((a, b) => a - b).map((cut) => cut.toString(16).padStart(4, '0')), '']
      const arcs = bounds.slice(1).map((end, index) => arcOf(`${bounds[index]}-${end}`)!)
      for (const [index, arc] of arcs.entries()) assert.equal(arc.start, index === 0 ? 0 : arcs[index - 1]!.end)
      assert.equal(arcs.at(-1)!.end, 1)
    }),
  )
})

test('a sector is drawn clockwise from the top, and a share of it from its start', () => {
  assert.deepEqual(coordinates(10, 0.25), { x: 10, y: -Math.cos(Math.PI / 2) * 10 })
  const sector = { arc: { start: 0, end: 0.5 }, inner: 50, outer: 100, gap: 0 }
  assert.equal(sectorPath(sector), 'M0 -100A100 100 0 0 1 0 100L0 50A50 50 0 0 0 0 -50Z')
  assert.equal(sectorPath(sector, 0.5), 'M0 -100A100 100 0 0 1 100 0L50 0A50 50 0 0 0 0 -50Z')
  assert.match(sectorPath({ ...sector, arc: { start: 0, end: 1 }, gap: 3 }), /A100 100 0 1 1/)
})

test('null is unknown in every format (promise 6); a copy that is not complete is never 100 %', () => {
  for (const format of [count, perSecond, bytes, duration, percent]) assert.equal(format(null), 'unknown')
  assert.deepEqual([0.9999, 1, 0, 0.25].map(percent), ['99.9 %', '100 %', '0.0 %', '25.0 %'])
  assert.deepEqual([0, 1.25, 84.4, 999, 1234, 61_000, 3_600_000, 400_000_000].map(duration), [
    '0 ms',
    '1.3 ms',
    '84 ms',
    '999 ms',
    '1.2 s',
    '1 min 1 s',
    '1 h 0 min',
    '5 days',
  ])
  assert.deepEqual([12, 2048, 157_286_400].map(bytes), ['12 B', '2.0 KiB', '150 MiB'])
})

test('copy share: unknown as soon as a part is, whole only when every table is done', () => {
  assert.equal(copyShare([stream()]), 0.25)
  assert.equal(copyShare([stream(), followingStream()]), 500_000 / 800_000)
  assert.equal(copyShare([followingStream()]), 1)
  assert.equal(copyShare([stream({ rowsDone: 500_000 })]), 0.999, 'the estimate was too small')
  assert.equal(copyShare([followingStream(), stream({ reportAgeMs: null })]), null)
  assert.equal(copyShare([stream({ rowsEstimated: 0, rowsDone: 0 })]), null)
  assert.equal(copyShare([stream({ state: 'unknown' })]), null)
  assert.equal(copyShare([]), null)
})

test('ring: before, during and after a switch', () => {
  const rolesOf = (it: ReturnType<typeof status>) =>
    ringShards(it.keyspaces[0]!, it.workflows).map((shard) => `${shard.name} ${shard.role} ${shard.filled}`)
  assert.deepEqual(rolesOf(status()), ['- serving 1', ...fourShards.map((shard) => `${shard} filling 0.25`)])
  assert.deepEqual(
    rolesOf(status({ workflows: [workflow({ streams: [] })] })).slice(1),
    fourShards.map((shard) => `${shard} standing by null`),
  )
  assert.deepEqual(rolesOf(switchedStatus()), [...fourShards.map((shard) => `${shard} serving 1`), '- following 1'])
  const stale = switchedStatus()
  for (const one of stale.workflows[0]!.streams) one.state = 'unknown'
  assert.deepEqual(rolesOf(stale).at(-1), '- following null')
})

test('phases of a workflow', () => {
  const states = (over: Parameters<typeof workflow>[0]) => phasesOf(workflow(over)).map((phase) => phase.state)
  const running = { state: 'running' as const, streams: [followingStream()] }
  const [p, c, d] = ['pending', 'current', 'done'] as const
  const { action, ...switched } = switchedStatus().workflows[0]!
  assert.deepEqual(states({ state: 'creating', streams: [] }), [c, p, p, p, p, p])
  assert.deepEqual(states({}), [d, c, p, p, p, p])
  assert.deepEqual(states({ streams: [stream({ state: 'failed' })], state: 'failed' }), [d, 'failed', p, p, p, p])
  assert.deepEqual(states(running), [d, d, c, p, p, p])
  assert.deepEqual(states({ ...running, streams: [followingStream({ lag: null })] }), [d, d, 'unknown', p, p, p])
  assert.deepEqual(states({ ...running, vdiff: switched.vdiff }), [d, d, c, d, p, p])
  assert.deepEqual(states({ ...running, action: { ...action!, state: 'running' } }), [d, d, c, p, c, p])
  assert.deepEqual(states(switched), [d, d, c, d, d, p])
  assert.deepEqual(states({ ...switched, state: 'complete', streams: [] }), [d, d, d, d, d, d])
})

test('history: errors by difference, switches by what serves, gaps where nothing is known, bounded', () => {
  const at = (ms: number, over: Parameters<typeof status>[0] = {}) => status({ nowMs: ms, ...over })
  let history = withStatus(emptyHistory, at(1000, { gates: [gate({ errors: 90 })] }))
  assert.deepEqual([history.samples[0]!.errorsSeen, history.samples[0]!.errorsPerSecond], [0, null])
  history = withStatus(history, at(1500, { gates: [gate({ errors: 92 }), gate({ id: 'gate-2', errors: 50 })] }))
  assert.deepEqual([history.samples[1]!.errorsSeen, history.samples[1]!.errorsPerSecond], [2, 4])
  assert.equal(history.samples[1]!.statementsPerSecond, 1224)
  history = withStatus(history, at(2000, { gates: [gate({ fresh: false })] }))
  assert.deepEqual(
    [history.samples[2]!.statementsPerSecond, history.samples[2]!.slowestWriteMs, history.samples[2]!.gatesUnknown],
    [null, null, 1],
  )
  assert.ok(history.samples.every((sample) => !sample.switched))
  history = withStatus(history, at(2500, { keyspaces: switchedStatus().keyspaces }))
  assert.equal(history.samples[3]!.switched, true)
  const parts = fourShards.map((name) => keyspace({ range: name, serving: [name], other: [] }).routing.components[0]!)
  history = withStatus(history, at(3000, { keyspaces: [{ ...keyspace(), routing: { version: 99, components: parts } }] }))
  assert.equal(history.samples[4]!.switched, false, 'complete cuts the component, and switches nothing')
  history = withStatus(history, at(2600 + windowMs))
  assert.deepEqual(
    history.samples.map((sample) => [sample.atMs, sample.statementsPerSecond]),
    [
      [3000, 612],
      [3001, null],
      [2600 + windowMs, 612],
    ],
  )
})

test('feed: payloads are the same however the text is cut', () => {
  const told = 'data: {"a":1}\n\n: a comment\r\nid: 7\r\ndata: x\r\ndata:y\r\n\r\ndata: last\n\ndata: not yet ended'
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: told.length }), { maxLength: 12 }), (cuts) => {
      const parser = new FeedParser()
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), told.length]
      const payloads = bounds.slice(1).flatMap((end, index) => parser.push(told.slice(bounds[index], end)))
      assert.deepEqual(payloads, ['{"a":1}', 'x\ny', 'last'])
    }),
  )
})

test('a result that is no switch report is not shown as one', () => {
  for (const other of [null, {}, { vdiff: 'x' }, { outcome: 1, steps: [] }, []]) assert.equal(switchResultOf(other), null)
  const read = switchResultOf(switchedStatus().workflows[0]!.action!.result)
  assert.deepEqual(read, {
    outcome: 'switched',
    stallMs: 89,
    steps: [{ name: 'drain', startMs: 10, ms: 12.5 }],
    holds: { held: 9, failed: 0, longestMs: 77, medianMs: 61 },
  })
  assert.equal(switchResultOf({ outcome: 'refused', steps: [], stallMs: null, holds: { held: '9' } })?.holds, null)
})
