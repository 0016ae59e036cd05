/** Rule 13 of PROTOCOLS 4 in the records of a run: when the pass may begin, and what is not ready before it has landed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { StreamReport } from '../topology/records.ts'
import { put, readRecord, updateRecord } from '../topology/typed.ts'
import type { Vector } from '../switch/ramp.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { behindOf } from '../switch/ramp.ts'
import { dimensionPositions, dimensionStreams, joinVectors, judgeStreams, restartStreams, tendDimensions } from './dimension-streams.ts'
import { whyNotReady } from './dualwrite-ready.ts'
import { refreshPlan } from './dualwrite-record.ts'
import { dataOf } from './dualwrite-spec.ts'
import { evidence, standing } from './testkit/standing-run.ts'

const table = (name: string, reference = false) => ({ name, reference, vindex: null, merge: { columns: {}, lastVersion: null } })

async function hybrid(): Promise<Awaited<ReturnType<typeof standing>> & { again: () => Promise<WorkflowRecord> }> {
  const world = await standing()
  const key = keys.workflow('insights', 'grow')
  await updateRecord<WorkflowRecord>(world.store, key, (run) =>
    run === null
      ? null
      : {
          ...run,
          spec: { ...(run.spec as object), bootstrap: 'hybrid' },
          data: { ...(run.data as object), dimensionTables: [table('city'), table('unit', true)] },
        },
  )
  await updateRecord<FleetRecord>(world.store, keys.fleet('insights@wide'), (one) =>
    one === null ? null : { ...one, startOffsets: { '0': '100' } },
  )
  const again = async (): Promise<WorkflowRecord> => (await readRecord<WorkflowRecord>(world.store, key))!.value
  return { ...world, run: await again(), again }
}

const at =
  (next: bigint | null): (() => Promise<Map<string, Vector>>) =>
  async () =>
    new Map(next === null ? [] : [['-', new Map([['t/0', next]])]])

const report = (streamUid: string, change: Partial<StreamReport>): StreamReport =>
  ({
    v: 1,
    streamUid,
    generation: 1,
    atMs: Date.now(),
    state: 'running',
    waiting: null,
    error: null,
    copy: { rowsDone: 5, rowsEstimated: 9 },
    targets: [],
    ...change,
  }) as unknown as StreamReport

test('rule 13: the pass does not begin before every old shard is past the new start, and an unknown position is not past it', async () => {
  const { desk, store, again } = await hybrid()
  for (const [next, why] of [
    [null, /positions of shard - are not known/],
    [99n, /shard - is at 99 of t\/0, and 100 was read/],
  ] as const) {
    await tendDimensions(desk, await again(), at(next))
    assert.deepEqual(await dimensionStreams(store, { uid: 'u' }), [])
    const { dimensions } = dataOf(await again())
    assert.equal(dimensions?.state, 'waiting')
    assert.match(dimensions?.because ?? '', why)
  }
  await tendDimensions(desk, await again(), at(100n))
  const [stream, ...others] = await dimensionStreams(store, { uid: 'u' })
  assert.equal(others.length, 0, 'one a source')
  assert.deepEqual(
    stream?.targets.map(({ shard }) => shard),
    ['-80', '80-'],
  )
  assert.deepEqual([stream?.copy, stream?.movesReference, stream?.options.deferSecondaryKeys], ['full', true, false])
  // What stands is not made again, wherever the old shards are by then.
  await tendDimensions(desk, await again(), at(null))
  assert.equal((await dimensionStreams(store, { uid: 'u' })).length, 1)
})

test('promise 12: a run that is being cancelled begins no stream, though it was looked at before', async () => {
  const { desk, store, run } = await hybrid()
  await updateRecord<WorkflowRecord>(store, keys.workflow('insights', 'grow'), (now) =>
    now === null ? null : { ...now, state: 'cancelling' },
  )
  await tendDimensions(desk, run, at(100n))
  assert.deepEqual(await dimensionStreams(store, run), [])
})

test('rule 13: not ready before the pass has landed, nor when a stream has stopped or nobody reports of it', async () => {
  const { desk, store, run, again } = await hybrid()
  await refreshPlan(desk, run)
  const shown = new Map([evidence('L0', 1), evidence('L1', 1)].map((one) => [one.rung, one]))
  const missing = async (): Promise<string | null> => (
    await tendDimensions(desk, await again(), at(100n)),
    whyNotReady(await again(), shown, 0)
  )
  assert.match(whyNotReady(await again(), shown, 0) ?? '', /dimension tables have not landed \(their copy has not begun\)/)
  assert.match((await missing()) ?? '', /have not landed \(every old shard is past/)
  assert.match((await missing()) ?? '', /have not landed \(no mover reports of -/)
  const say = (change: Partial<StreamReport>): Promise<unknown> => store.commit([], [put(keys.report('u', 'u-0'), report('u-0', change))])
  await say({ state: 'copying' })
  assert.match((await missing()) ?? '', /have not landed \(the pass over - is under way/)
  await say({})
  assert.equal(await missing(), null)
  await say({ atMs: Date.now() - 60_000 })
  assert.match((await missing()) ?? '', /are not known to be in step \(no mover reports/)
  await say({ state: 'failed', error: { code: 'SW-MOVE-034', what: 'w', why: '', fix: 'f' } })
  assert.match((await missing()) ?? '', /are not known to be in step \(the stream of - has failed: SW-MOVE-034 w; f/)
  assert.deepEqual(await restartStreams(desk, await again()), ['-'])
  // What an older generation reported says nothing of this one.
  assert.match((await missing()) ?? '', /no mover reports of -/)
  await say({ generation: 2 })
  assert.equal(await missing(), null)
})

test('a step towards the new branch waits until every stream has applied what others wrote before it; what no report says is not applied', async () => {
  const { desk, store, run, again } = await hybrid()
  await tendDimensions(desk, await again(), at(100n))
  const streams = await dimensionStreams(store, run)
  const offsets = new Map<string, Vector>(['-80', '80-'].map((shard) => [shard, new Map([['t/0', 7n]])]))
  const markers = new Map<string, Vector>(['-80', '80-'].map((shard) => [shard, new Map([['the binlog of -', 5n]])]))
  const needed = joinVectors(offsets, markers)
  const behind = async (): Promise<string | null> => behindOf(needed, joinVectors(offsets, await dimensionPositions(store, run, streams)))
  assert.match((await behind()) ?? '', /shard -80 is at 0 of the binlog of -, and 5 was read/)
  const applied = (one: number, other: number): StreamReport['targets'] =>
    [one, other].map((controlMarker, i) => ({ shard: ['-80', '80-'][i] ?? '', position: null, controlMarker, lag: null }))
  for (const [one, other, why] of [
    [5, 4, /shard 80- is at 4/],
    [5, 5, null],
  ] as const) {
    await store.commit([], [put(keys.report('u', 'u-0'), report('u-0', { targets: applied(one, other) }))])
    if (why === null) assert.equal(await behind(), null)
    else assert.match((await behind()) ?? '', why)
  }
})

test('rows of all streams are counted together; a report of another generation counts for none', async () => {
  const { desk, store, again } = await hybrid()
  await tendDimensions(desk, await again(), at(100n))
  const streams = await dimensionStreams(store, { uid: 'u' })
  assert.deepEqual(judgeStreams(streams, [report('u-0', { generation: 7 })], Date.now()).rowsDone, 0)
  assert.deepEqual(judgeStreams(streams, [report('u-0', { state: 'copying' })], Date.now()), {
    state: 'copying',
    because: 'the pass over - is under way',
    rowsDone: 5,
    rowsEstimated: 9,
  })
})
