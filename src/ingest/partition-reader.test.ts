/** PROTOCOLS 4.7 where no broker says it: a log whose start moved between two answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { Wakeup } from '../base/wakeup.ts'
import type { Topic, TopicBatch, TopicRecord } from '../topic/topic.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { Chunk, Item } from './batch.ts'
import type { HeldPartition } from './held-partition.ts'
import { PartitionReader } from './partition-reader.ts'
import type { RecordRouter } from './record-router.ts'
import type { ShardLane } from './shard-lane.ts'

function record(offset: bigint): TopicRecord {
  return { partition: 0, offset, timestampMs: 0, key: null, value: Buffer.from('x') }
}

/** One answer of a topic, read from offset 5 on: what lanes got, and how the partition stands afterwards. */
async function readOnce(
  answer: Pick<TopicBatch, 'records' | 'next' | 'logStart'>,
  poison: 'stop' | 'dead-letter' = 'stop',
): Promise<{ pushed: Chunk[]; held: HeldPartition; reader: PartitionReader }> {
  const stop = new AbortController()
  const pushed: Chunk[] = []
  const lane = { queuedBytes: 0, hungry: true, next: () => 5n, push: (chunk: Chunk) => pushed.push(chunk) } as unknown as ShardLane
  const held: HeldPartition = {
    partition: 0,
    epoch: 1n,
    start: 0n,
    versions: [],
    state: 'running',
    readAt: 5n,
    leaderEpoch: 0,
    logStart: null,
    highWatermark: null,
    newestMs: null,
    error: null,
  }
  const topic = {
    name: 'queries',
    async *read() {
      yield { ...answer, highWatermark: new Map() }
      stop.abort()
    },
  } as unknown as Topic
  const route = (one: TopicRecord): Map<number, Item> => new Map([[0, { record: one, eventTimeMs: 1, rows: [], dead: null }]])
  const reader = new PartitionReader({
    topic,
    router: { route } as unknown as RecordRouter,
    config: { readBytesMax: 1 << 20, queuedBytesMax: 1 << 20 },
    poison,
    shardNames: ['-'],
    lanes: [[lane]],
    laneOf: () => lane,
    held: new Map([[0, held]]),
    fleet: () => ({ name: 'f', wanted: 'running', holdAt: null }) as unknown as FleetRecord,
    bell: new Wakeup(),
    onTrouble: () => undefined,
    clock: systemClock,
    log: silentLog,
  })
  const stopped = setInterval(() => void (held.state === 'stopped' && stop.abort()), 5)
  await reader.run(stop.signal)
  clearInterval(stopped)
  return { pushed, held, reader }
}

test('4.7: records that come with a log start past what was asked for are not taken: the partition stops, and says what is missing', async () => {
  const next = new Map([[0, { offset: 22n, leaderEpoch: 0 }]])
  const { pushed, held } = await readOnce({ records: [record(20n), record(21n)], next, logStart: new Map([[0, 20n]]) })
  assert.deepEqual(pushed, [])
  assert.deepEqual([held.state, held.readAt, held.error?.code], ['stopped', 5n, 'SW-INGEST-007'])
  assert.match(held.error?.what ?? '', /needs offsets 5 to 19/)
})

test('4.6: offsets without a record are taken too, and many records in pieces whose ends meet', async () => {
  const records = Array.from({ length: 100 }, (_, i) => record(BigInt(7 + 2 * i)))
  const next = new Map([[0, { offset: 300n, leaderEpoch: 4 }]])
  const { pushed, held } = await readOnce({ records, next, logStart: new Map([[0, 0n]]) })
  assert.equal(held.readAt, 300n)
  assert.ok(pushed.length > 1)
  let from = 5n
  for (const { to, items } of pushed) {
    assert.ok(items.every((item) => item.record.offset >= from && item.record.offset < to))
    from = to
  }
  assert.deepEqual([from, pushed.reduce((sum, { items }) => sum + items.length, 0)], [300n, 100])
})

test('promise 8: what waits for a shard is counted with all the memory that it holds, however large the batch was that brought it', async () => {
  for (const poison of ['stop', 'dead-letter'] as const) {
    // A record of each of many answers, as a shard gets them of which little is its own.
    const records = Array.from({ length: 50 }, (_, i): TopicRecord => ({
      ...record(BigInt(5 + i)),
      value: Buffer.alloc(256 << 10, 'v').subarray(0, 300),
    }))
    const next = new Map([[0, { offset: 55n, leaderEpoch: 4 }]])
    const { pushed } = await readOnce({ records, next, logStart: new Map([[0, 0n]]) }, poison)
    const memory = new Set(pushed.flatMap(({ items }) => items.flatMap((item) => item.record.value?.buffer ?? [])))
    const holds = [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0)
    const counted = pushed.reduce((sum, { bytes }) => sum + bytes, 0)
    assert.ok(holds <= counted, `${poison}: ${holds} bytes held, ${counted} counted`)
  }
})

test('dead letters: a record that one shard refuses is one only if it has no rows elsewhere; else its partition stops, and says so', async () => {
  const read = () =>
    readOnce({ records: [record(5n)], next: new Map([[0, { offset: 6n, leaderEpoch: 0 }]]), logStart: new Map([[0, 0n]]) }, 'dead-letter')
  const refusal = new Error('CONSTRAINT `small` failed')
  const item: Item = { record: record(5n), eventTimeMs: 1, rows: [], dead: null }
  const alone = await read()
  assert.equal(alone.reader.refused(item, '-80', refusal), true)
  assert.equal(alone.held.state, 'running')
  const split = await read()
  assert.equal(split.reader.refused({ ...item, shards: 2 }, '-80', refusal), false)
  assert.deepEqual([split.held.state, split.held.error?.code, split.reader.poison], ['stopped', 'SW-INGEST-023', 1])
  assert.match(
    split.held.error?.what ?? '',
    /offset 5: shard -80 refuses its rows \(CONSTRAINT `small` failed\), and it has rows on 2 shards/,
  )
})

test('promise 6: a topic that does not answer for a partition is silent from the moment it was asked; one that is not asked is not', async () => {
  let nowMs = 0
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, sleep: async () => undefined }
  const partitions = [0, 1, 2].map((partition): HeldPartition => ({
    partition,
    epoch: 1n,
    start: 0n,
    versions: [],
    // The last was stopped: nobody asks for it.
    state: partition === 2 ? 'stopped' : 'running',
    readAt: 5n,
    leaderEpoch: 0,
    logStart: null,
    highWatermark: null,
    newestMs: null,
    error: null,
  }))
  const lane = { queuedBytes: 0, hungry: true, next: () => 5n, push: () => undefined } as unknown as ShardLane
  const stop = new AbortController()
  const seen: number[][] = []
  const silent = (): number[] => partitions.map(({ partition }) => reader.silentMs(partition))
  const topic = {
    name: 'queries',
    // Partition 0 answers, with nothing; 1 has no leader.
    async *read() {
      for (let i = 0; i < 3; i++) {
        nowMs += 4_000
        seen.push(silent())
        yield { records: [], next: new Map(), logStart: new Map(), highWatermark: new Map([[0, 5n]]) }
      }
      seen.push(silent())
      stop.abort()
    },
  } as unknown as Topic
  const reader: PartitionReader = new PartitionReader({
    topic,
    router: {} as RecordRouter,
    config: { readBytesMax: 1 << 20, queuedBytesMax: 1 << 20 },
    poison: 'stop',
    shardNames: ['-'],
    lanes: [[lane]],
    laneOf: () => lane,
    held: new Map(partitions.map((held) => [held.partition, held])),
    fleet: () => ({ name: 'f', wanted: 'running', holdAt: null }) as unknown as FleetRecord,
    bell: new Wakeup(),
    onTrouble: () => undefined,
    clock,
    log: silentLog,
  })
  await reader.run(stop.signal)
  assert.deepEqual(seen, [
    [4_000, 4_000, 0],
    [4_000, 8_000, 0],
    [4_000, 12_000, 0],
    [0, 12_000, 0],
  ])
})
