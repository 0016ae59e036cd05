/** PROTOCOLS 4.7 where no broker says it: a log whose start moved between two answers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
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
async function readOnce(answer: Pick<TopicBatch, 'records' | 'next' | 'logStart'>): Promise<{ pushed: Chunk[]; held: HeldPartition }> {
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
    poison: 'stop',
    shardNames: ['-'],
    lanes: [[lane]],
    laneOf: () => lane,
    held: new Map([[0, held]]),
    fleet: () => ({ name: 'f', wanted: 'running', holdAt: null }) as unknown as FleetRecord,
    bell: new Wakeup(),
    onTrouble: () => undefined,
    log: silentLog,
  })
  const stopped = setInterval(() => void (held.state === 'stopped' && stop.abort()), 5)
  await reader.run(stop.signal)
  clearInterval(stopped)
  return { pushed, held }
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
