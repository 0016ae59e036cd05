/** What a read tells while brokers do not answer alike, over answers made up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../base/clock.ts'
import type { TopicBatch } from '../topic.ts'
import type { KafkaAddress } from '../url.ts'
import type { RawConsumer } from './client.ts'
import { KafkaReader } from './reader.ts'

const address: KafkaAddress = { kind: 'kafka', brokers: ['a:1', 'b:1'], topic: 'events', tls: null, sasl: null }

/** Partition 0 on broker 1, 1 on broker 2, 2 without a leader. Broker 1 moves its log's start on in each answer, 2 has nothing new. */
function brokers(): RawConsumer {
  let start = 0n
  return {
    async metadata() {
      const partitions = [1, 2, -1].map((leader) => ({ leader, leaderEpoch: 0 }))
      return { topics: new Map([['events', { id: 't', partitionsCount: 3, partitions }]]) }
    },
    async fetch({ node, topics }: { node: number; topics: { partitions: { partition: number }[] }[] }) {
      await systemClock.sleep(node === 1 ? 5 : 40)
      start++
      const partitions = (topics[0]?.partitions ?? []).map(({ partition }) => ({
        partitionIndex: partition,
        errorCode: 0,
        lastStableOffset: 100n,
        logStartOffset: start,
        abortedTransactions: null,
        records: null,
      }))
      return { responses: [{ partitions }] }
    },
    clearMetadata: () => undefined,
  } as unknown as RawConsumer
}

test('each partition that can be read is told of once in idleMs, however busy others are; one without a leader is named as trouble', async () => {
  const stop = new AbortController()
  const troubles: string[] = []
  const positions = new Map([0, 1, 2].map((partition) => [partition, { offset: 100n }]))
  const reader = new KafkaReader(positions, {
    address,
    topicId: 't',
    partitions: 3,
    clock: systemClock,
    consumer: brokers(),
    bytesMax: 1 << 20,
    idleMs: 100,
    signal: stop.signal,
    onTrouble: (error) => void troubles.push(error.message),
  })
  const told = new Map<number, number[]>()
  const beganMs = performance.now()
  for await (const batch of reader.read() as AsyncGenerator<TopicBatch>) {
    for (const partition of batch.highWatermark.keys()) told.set(partition, [...(told.get(partition) ?? []), performance.now() - beganMs])
    if (performance.now() - beganMs > 1_500) stop.abort()
  }
  assert.deepEqual([...told.keys()].sort(), [0, 1])
  for (const [partition, times] of told) assert.ok(times.length >= 5, `partition ${partition} was told of ${times.length} times in 1.5 s`)
  assert.equal(troubles.length, 1, 'once for each look at the metadata')
  assert.match(troubles[0] ?? '', /no leader now for partition 2/)
})
