import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keys } from '../topology/keys.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { updateRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { systemClock } from '../base/clock.ts'
import { firstEnd, horizonOf, keptUntil } from './dualwrite-horizon.ts'
import type { HorizonTopic } from './dualwrite-horizon.ts'
import { standing } from './testkit/standing-run.ts'

const topic = (more: Partial<HorizonTopic> = {}): HorizonTopic => ({
  url: 'log:///t',
  ms: null,
  bytes: null,
  recordBytes: null,
  keptUntilMs: null,
  partitions: [{ partition: 0, start: 0n, end: 1_000n, least: 500n }],
  ...more,
})
const at = (topics: readonly HorizonTopic[], removeAtMs?: number) => firstEnd({ atMs: 10_000, stoppedAtMs: 5_000, removeAtMs, topics })

test('the way back ends with what ends first: the removal of the old data, the topic’s time, or its bytes as it grows', () => {
  assert.deepEqual([at([topic()]).kind, at([topic()]).untilMs], ['open', null])
  assert.match(at([topic()]).because, /keeps everything/)
  const both = at([topic({ ms: 60_000n, keptUntilMs: 65_000 })], 40_000)
  assert.deepEqual([both.kind, both.untilMs, both.because], ['until', 40_000, 'the old data is removed then'])
  const sooner = at([topic({ ms: 20_000n, keptUntilMs: 25_000 })], 40_000)
  assert.deepEqual([sooner.kind, sooner.untilMs], ['until', 25_000])
  assert.match(sooner.because, /keeps 20000 ms/)
  // 100 records a second since it stopped; 1,000 of 10 bytes are held of 20,000 bytes: 1,000 of room, and 500 behind the position.
  const bytes = at([topic({ bytes: 20_000n, recordBytes: 10 })], 40_000)
  assert.deepEqual([bytes.kind, bytes.untilMs], ['until', 25_000])
  assert.match(bytes.because, /20000 bytes/)
})

test('a topic that removes by size is never called one that keeps everything: without growth its end is unknown', () => {
  const still = at([topic({ bytes: 20_000n, recordBytes: 10, partitions: [{ partition: 0, start: 0n, end: 500n, least: 500n }] })])
  assert.equal(still.kind, 'unknown')
  assert.match(still.because, /removes by size/)
})

test('a fleet that something else than complete stopped has an end by the topic’s time all the same, and none that is known where bytes limit', () => {
  const since = { atMs: 10_000, stoppedAtMs: undefined, removeAtMs: undefined }
  const byTime = firstEnd({ ...since, topics: [topic({ ms: 60_000n, keptUntilMs: 50_000 })] })
  assert.deepEqual([byTime.kind, byTime.untilMs], ['until', 50_000])
  const limited = topic({ bytes: 20_000n, recordBytes: 10 })
  for (const topics of [[limited], [limited, topic({ ms: 60_000n, keptUntilMs: 50_000 })]])
    assert.equal(firstEnd({ ...since, topics }).kind, 'unknown')
  assert.equal(firstEnd({ ...since, topics: [limited, topic({ ms: 1n, keptUntilMs: 9_000 })] }).kind, 'passed')
})

test('what the topic keeps by time is counted from the records at which the old side stands, not from when it stopped', async () => {
  // Records of partition 0 at 1000, 2000 … 9000 ms, of partition 1 at 8000 only.
  const asked: number[] = []
  const offsetsAt = async (ms: number): Promise<Map<number, bigint>> => {
    asked.push(ms)
    return new Map([
      [0, BigInt(Math.min(9, Math.max(0, Math.ceil(ms / 1000) - 1)))],
      [1, ms <= 8000 ? 0n : 1n],
    ])
  }
  const until = (a: bigint, b: bigint): Promise<number> =>
    keptUntil(
      { offsetsAt },
      10_240,
      new Map([
        [0, a],
        [1, b],
      ]),
      9_500,
    )
  const near = async (found: Promise<number>, wanted: number): Promise<void> => {
    const value = await found
    assert.ok(value <= wanted && value > wanted - 30, `${value} for ${wanted}`)
  }
  await near(until(9n, 1n), 9_500 + 10_240)
  await near(until(4n, 1n), 5_000 + 10_240)
  await near(until(4n, 0n), 5_000 + 10_240)
  await near(until(8n, 0n), 8_000 + 10_240)
  assert.ok(asked.length < 60, `${asked.length}`)
  await near(keptUntil({ offsetsAt }, 2_048, new Map([[0, 4n]]), 9_500), 9_500)
})

test('passed: the topic begins behind the old side’s position, or what was to end has ended', () => {
  const gone = at([topic({ partitions: [{ partition: 3, start: 501n, end: 1_000n, least: 500n }] })], 40_000)
  assert.deepEqual([gone.kind, gone.untilMs], ['passed', null])
  assert.match(gone.because, /partition 3 begins at 501, and the old side stands at 500/)
  assert.equal(at([topic()], 9_999).kind, 'passed')
  assert.equal(at([topic({ ms: 1_000n, keptUntilMs: 6_000 })]).kind, 'passed')
})

test('unknown: no consumer says that it runs, or old shards do not answer; a run that is decommissioned has none', async () => {
  const { store, run } = await standing()
  const world = { store, clock: systemClock }
  assert.deepEqual((await horizonOf(world, { ...run, state: 'decommissioned' } as WorkflowRecord)).kind, 'passed')
  const silent = await horizonOf(world, run)
  assert.equal(silent.kind, 'unknown')
  assert.match(silent.because, /none of its consumers says/)
  await updateRecord<FleetRecord>(store, keys.fleet('insights'), (one) => (one === null ? null : { ...one, wanted: 'stopped' }))
  const deaf = await horizonOf(world, run)
  assert.equal(deaf.kind, 'unknown')
  assert.match(deaf.because, /do not answer/)
  await store.commit([], [{ key: keys.fleet('insights'), value: undefined }])
  assert.equal((await horizonOf(world, run)).kind, 'passed')
})
