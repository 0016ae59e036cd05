// long: one suite, one case per clause of the contract in topic.ts
/**
 * The suite that every kind of topic must pass (node:test), clause by clause of `topic.ts`. Each case has a topic of its own.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isSwError } from '../base/errors.ts'
import { addPartitions, createTopic, deleteTopic, openProducer, openTopic } from './open.ts'
import { partitionOf } from './partition-of.ts'
import type { RecordToSend, Topic, TopicBatch, TopicPosition, TopicProducer, TopicRecord, TopicSpec } from './topic.ts'

export type TopicKind = {
  /** Address of a topic of this name. */
  url(name: string): string
  close(): Promise<void>
}

const limitMs = 60_000
/** Within any retention: a broker deletes what is older at once. */
const recent = Date.now() - 600_000

type Room = { readonly url: string; readonly topic: Topic; readonly producer: TopicProducer }

export function topicConformance(kind: string, open: () => Promise<TopicKind>): void {
  describe(`topic: ${kind}`, () => {
    let opened: TopicKind
    let n = 0
    before(async () => {
      opened = await open()
    })
    after(() => opened.close())

    async function within(spec: TopicSpec, body: (room: Room) => Promise<void>): Promise<void> {
      const url = opened.url(`conform-${++n}`)
      await createTopic(url, spec)
      const topic = await openTopic(url)
      const producer = await openProducer(url)
      try {
        await body({ url, topic, producer })
      } finally {
        await producer.close().catch(() => undefined)
        await topic.close()
      }
    }

    test('records come back as they were sent: order, keys, tombstones, times, headers', () =>
      within({ partitions: 2 }, async ({ topic, producer }) => {
        const sent: RecordToSend[] = [
          { partition: 0, key: Buffer.from('k'), value: Buffer.from('v'), timestampMs: recent + 3 },
          { partition: 0, key: null, value: Buffer.from('no key'), timestampMs: recent + 4 },
          { partition: 0, key: Buffer.from('gone'), value: null, timestampMs: recent + 5 },
          { partition: 1, key: Buffer.alloc(0), value: Buffer.alloc(0), timestampMs: recent + 6 },
          {
            partition: 0,
            key: Buffer.from('h'),
            value: Buffer.alloc(300_000, 7),
            timestampMs: recent + 7,
            headers: [[Buffer.from('a'), Buffer.from('1')]],
          },
        ]
        const places = await producer.send(sent)
        assert.deepEqual(places, [
          { partition: 0, offset: 0n },
          { partition: 0, offset: 1n },
          { partition: 0, offset: 2n },
          { partition: 1, offset: 0n },
          { partition: 0, offset: 3n },
        ])
        const { records } = await readAll(topic, fromStart(topic), 5)
        for (const [at, place] of places.entries()) {
          const got = records.find((record) => record.partition === place.partition && record.offset === place.offset)
          const { partition: _, ...want } = sent[at] as RecordToSend
          assert.deepEqual(
            {
              key: got?.key,
              value: got?.value,
              timestampMs: got?.timestampMs,
              ...(got?.headers === undefined ? {} : { headers: got.headers }),
            },
            want,
          )
        }
      }))

    test('reading goes on at `next`, whatever the batches were cut to, without a gap or a double', () =>
      within({ partitions: 3 }, async ({ topic, producer }) => {
        for (let round = 0; round < 6; round++) await producer.send(keyed(round * 100, 100))
        let positions: Map<number, TopicPosition> = fromStart(topic)
        const seen: string[] = []
        for (const bytesMax of [1, 50, 400, 3_000, 1 << 20]) {
          // A reader that stops after two batches, and another that goes on where it was.
          const stop = new AbortController()
          let batches = 0
          for await (const batch of topic.read(positions, { bytesMax, signal: stop.signal })) {
            assertShape(batch, bytesMax)
            for (const record of batch.records) seen.push(`${record.partition}:${record.offset}`)
            positions = new Map([...positions, ...batch.next])
            if (++batches === 2) stop.abort()
          }
        }
        const rest = await readAll(topic, positions, 600 - seen.length)
        for (const record of rest.records) seen.push(`${record.partition}:${record.offset}`)
        assert.equal(seen.length, 600)
        assert.equal(new Set(seen).size, 600)
        for (let partition = 0; partition < 3; partition++) {
          const offsets = seen.filter((place) => place.startsWith(`${partition}:`)).map((place) => BigInt(place.slice(2)))
          assert.deepEqual(offsets, [...offsets.keys()].map(BigInt))
        }
      }))

    test('start, end and by time: the first at or after it, else the end', () =>
      within({ partitions: 2 }, async ({ topic, producer }) => {
        assert.deepEqual(
          await topic.startOffsets(),
          new Map([
            [0, 0n],
            [1, 0n],
          ]),
        )
        assert.deepEqual(
          await topic.endOffsets(),
          new Map([
            [0, 0n],
            [1, 0n],
          ]),
        )
        const base = recent
        for (let step = 0; step < 5; step++)
          await producer.send(
            Array.from({ length: 10 }, (_, at) => ({
              partition: 0,
              key: null,
              value: Buffer.from('x'),
              timestampMs: base + step * 1000 + at,
            })),
          )
        assert.equal((await topic.endOffsets()).get(0), 50n)
        assert.deepEqual(
          await topic.offsetsAt(base - 1),
          new Map([
            [0, 0n],
            [1, 0n],
          ]),
        )
        assert.equal((await topic.offsetsAt(base + 2000)).get(0), 20n)
        assert.equal((await topic.offsetsAt(base + 2005)).get(0), 25n)
        assert.equal((await topic.offsetsAt(base + 2500)).get(0), 30n)
        assert.deepEqual(
          await topic.offsetsAt(base + 9000),
          new Map([
            [0, 50n],
            [1, 0n],
          ]),
        )
      }))

    test('from the end positions only what comes later is read, and a quiet topic still tells how it stands', () =>
      within({ partitions: 2 }, async ({ topic, producer }) => {
        await producer.send(keyed(0, 40))
        const ends = await topic.endPositions()
        for (const [partition, { offset, leaderEpoch }] of ends)
          if (offset > 0n) assert.ok(leaderEpoch >= 0, `partition ${partition} has an epoch`)
        const stop = new AbortController()
        const got: TopicRecord[] = []
        let quiet = 0
        for await (const batch of topic.read(ends, { bytesMax: 1 << 20, signal: stop.signal, idleMs: 50 })) {
          got.push(...batch.records)
          if (batch.records.length === 0 && batch.highWatermark.size === 2 && ++quiet === 2) await producer.send(keyed(1000, 7))
          if (got.length === 7) stop.abort()
        }
        assert.equal(got.length, 7)
        assert.ok(got.every((record) => record.offset >= (ends.get(record.partition)?.offset ?? 0n)))
      }))

    test('a waiting read hears of a new record soon, without being asked again', () =>
      within({ partitions: 1 }, async ({ topic, producer }) => {
        const stop = new AbortController()
        // No idle batch within the test: only the record itself can end the waiting.
        const batches = topic.read(fromStart(topic), { bytesMax: 1000, signal: stop.signal, idleMs: limitMs * 2 })
        const first = batches.next()
        const early = await Promise.race([first.then(() => 'answered'), delay(700, 'waits')])
        if (early === 'waits') await producer.send([{ key: null, value: Buffer.from('now') }])
        const got = await Promise.race([first, delay(limitMs, null, { ref: false })])
        assert.equal(String(got?.value?.records[0]?.value ?? ''), 'now')
        stop.abort()
        await batches.return()
      }))

    test('aborting ends a waiting read without an error, at once', () =>
      within({ partitions: 1 }, async ({ topic }) => {
        const stop = new AbortController()
        setTimeout(() => stop.abort(), 100)
        const batches = topic.read(fromStart(topic), { bytesMax: 1000, signal: stop.signal, idleMs: 60_000 })
        assert.equal((await Promise.race([batches.next(), delay(limitMs, { done: 'never' }, { ref: false })])).done, true)
      }))

    test('failure lore, offsets expired / reset to latest: an offset below the log start is an error that names the missing range', () =>
      within({ partitions: 1, retentionMs: 14_400_000n }, async ({ topic, producer }) => {
        const hoursAgo = Date.now() - 2 * 3_600_000
        // One batch each: what a reader holds of a batch already is rightly passed on.
        for (let at = 0; at < 100; at += 10) await producer.send(keyed(at, 10).map((record) => ({ ...record, timestampMs: hoursAgo })))
        const behind = topic.read(new Map([[0, { offset: 0n }]]), { ...reading(), bytesMax: 40 })
        const first = await behind.next()
        const next = first.value?.next.get(0)?.offset ?? 0n
        assert.ok(next > 0n && next < 100n)
        await topic.setRetentionMs(3_600_000n)
        await until(async () => (await topic.startOffsets()).get(0) === 100n, 'the log start moves')
        await producer.send([{ partition: 0, key: null, value: Buffer.from('later') }])
        const start = (await topic.startOffsets()).get(0)
        for (const offset of [0n, 99n]) {
          await assert.rejects(drain(topic.read(new Map([[0, { offset }]]), reading())), (error) => {
            assert.ok(isSwError(error, 'SW-TOPIC-001'), String(error))
            assert.deepEqual([error.params['partition'], error.params['from']], [0, offset])
            assert.deepEqual([error.params['last'], error.params['logStart']], [99n, start])
            return true
          })
        }
        // The one that was in the middle meets the same, never a record beyond the gap.
        let last = next
        await assert.rejects(
          async () => {
            for await (const batch of behind) {
              for (const record of batch.records) {
                assert.equal(record.offset, last)
                last = record.offset + 1n
              }
            }
          },
          (error) => isSwError(error, 'SW-TOPIC-001') && error.params['from'] === last,
        )
        const kept = await readAll(topic, new Map([[0, { offset: start ?? 0n }]]), 1)
        assert.ok(kept.records.length > 0)
      }))

    test('retention is told and raised, and put back', () =>
      within({ partitions: 1, retentionMs: 60_000n }, async ({ topic }) => {
        assert.deepEqual({ ...(await topic.retention()), bytes: 'any' }, { ms: 60_000n, bytes: 'any', msFrom: 'topic' })
        await topic.setRetentionMs(123_456_789n)
        assert.equal((await topic.retention()).ms, 123_456_789n)
        await topic.setRetentionMs(null)
        assert.deepEqual({ ...(await topic.retention()), bytes: 'any' }, { ms: null, bytes: 'any', msFrom: 'topic' })
        await topic.setRetentionMs('default')
        assert.equal((await topic.retention()).msFrom, 'default')
      }))

    test('failure lore, partition count changed: a running read stops, and so does one begun by the same handle', () =>
      within({ partitions: 2 }, async ({ url, topic, producer }) => {
        await producer.send(keyed(0, 20))
        const running = drain(topic.read(fromStart(topic), reading()))
        const caught = assert.rejects(running, (error) => isSwError(error, 'SW-TOPIC-002') && error.params['now'] === 3)
        await addPartitions(url, 3)
        await caught
        await assert.rejects(drain(topic.read(fromStart(topic), reading())), (error) => isSwError(error, 'SW-TOPIC-002'))
        const again = await openTopic(url)
        assert.equal(again.partitions, 3)
        await again.close()
      }))

    test('a topic deleted under a read, or made anew under its name, ends it', () =>
      within({ partitions: 1 }, async ({ url, topic, producer }) => {
        await producer.send(keyed(0, 5))
        await producer.close()
        const running = drain(topic.read(fromStart(topic), reading()))
        const caught = assert.rejects(running, (error) => isSwError(error, 'SW-TOPIC-003'))
        await deleteTopic(url)
        await caught
        await assert.rejects(openTopic(url), (error) => isSwError(error, 'SW-TOPIC-008'))
        await createTopic(url, { partitions: 1 })
        const other = await openTopic(url)
        assert.notEqual(other.id, topic.id)
        await other.close()
        await assert.rejects(drain(topic.read(fromStart(topic), reading())), (error) => isSwError(error, 'SW-TOPIC-003'))
      }))

    test('failure lore, log truncated and regrown: a position beyond the end, or of an epoch the log never had there, is an error', () =>
      within({ partitions: 1 }, async ({ topic, producer }) => {
        await producer.send(keyed(0, 30))
        await assert.rejects(drain(topic.read(new Map([[0, { offset: 31n }]]), reading())), (error) => isSwError(error, 'SW-TOPIC-004'))
        const { next } = await readAll(topic, fromStart(topic), 30)
        const epoch = next.get(0)?.leaderEpoch ?? -1
        assert.ok(epoch >= 0)
        // Right: this epoch covers offset 10. Wrong: one that only another history of this log can have had.
        assert.equal((await readAll(topic, new Map([[0, { offset: 10n, leaderEpoch: epoch }]]), 20)).records.length, 20)
        await assert.rejects(
          drain(topic.read(new Map([[0, { offset: 10n, leaderEpoch: epoch + 7 }]]), reading())),
          (error) => isSwError(error, 'SW-TOPIC-004') && error.params['epoch'] === epoch + 7,
        )
      }))

    test('several reads of one topic at a time do not disturb each other', () =>
      within({ partitions: 4 }, async ({ topic, producer }) => {
        await producer.send(keyed(0, 400))
        const counts = await Promise.all(
          [1, 2, 3].map(async (bytes) => (await readAll(topic, fromStart(topic), 400, bytes * 100)).records.length),
        )
        assert.deepEqual(counts, [400, 400, 400])
      }))

    test('sends that run at once keep their order per partition, and every answer tells the true place', () =>
      within({ partitions: 2 }, async ({ topic, producer }) => {
        const sends = Array.from({ length: 60 }, (_, at) =>
          producer.send([
            { partition: 0, key: null, value: Buffer.from(`a${at}`) },
            { partition: 1, key: null, value: Buffer.from(`b${at}`) },
            { partition: 0, key: null, value: Buffer.from(`c${at}`) },
          ]),
        )
        const places = await Promise.all(sends)
        const { records } = await readAll(topic, fromStart(topic), 180)
        const at = new Map(records.map((record) => [`${record.partition}:${record.offset}`, String(record.value)]))
        assert.equal(at.size, 180)
        for (const [send, [a, b, c]] of places.entries()) {
          assert.equal(at.get(`0:${a?.offset}`), `a${send}`)
          assert.equal(at.get(`1:${b?.offset}`), `b${send}`)
          assert.equal(at.get(`0:${c?.offset}`), `c${send}`)
        }
        const zero = records.filter((record) => record.partition === 0).map((record) => Number(String(record.value).slice(1)))
        assert.deepEqual(
          zero,
          [...zero].sort((x, y) => x - y),
        )
      }))

    test('a key goes to the partition that Kafka’s own clients choose', () =>
      within({ partitions: 7 }, async ({ producer }) => {
        const keys = ['', 'a', 'ab', 'abc', 'abcd', 'grüße', 'x'.repeat(41)].map((text) => Buffer.from(text))
        const places = await producer.send(keys.map((key) => ({ key, value: null })))
        assert.deepEqual(
          places.map(({ partition }) => partition),
          keys.map((key) => partitionOf(key, 7)),
        )
      }))

    test('no topic, a topic twice, a partition that is not there: clear errors', async () => {
      await assert.rejects(openTopic(opened.url('never-made')), (error) => isSwError(error, 'SW-TOPIC-008'))
      await within({ partitions: 1 }, async ({ url, topic, producer }) => {
        await assert.rejects(createTopic(url, { partitions: 1 }), (error) => isSwError(error, 'SW-TOPIC-014'))
        await assert.rejects(producer.send([{ partition: 1, key: null, value: null }]), (error) => isSwError(error, 'SW-TOPIC-015'))
        await assert.rejects(drain(topic.read(new Map([[5, { offset: 0n }]]), reading())), (error) => isSwError(error, 'SW-TOPIC-015'))
        await assert.rejects(producer.send([{ key: null, value: Buffer.alloc(40 << 20) }]), (error) => isSwError(error, 'SW-TOPIC-013'))
      })
    })
  })
}

export function fromStart(topic: Topic): Map<number, TopicPosition> {
  return new Map(Array.from({ length: topic.partitions }, (_, partition) => [partition, { offset: 0n }]))
}

/** Reads until `count` records are there; fails after a limit. */
export async function readAll(
  topic: Topic,
  positions: ReadonlyMap<number, TopicPosition>,
  count: number,
  bytesMax = 1 << 20,
): Promise<{ records: TopicRecord[]; next: Map<number, { offset: bigint; leaderEpoch: number }> }> {
  const signal = AbortSignal.timeout(limitMs)
  const records: TopicRecord[] = []
  const next = new Map<number, { offset: bigint; leaderEpoch: number }>()
  if (count <= 0) return { records, next }
  for await (const batch of topic.read(positions, { bytesMax, signal })) {
    for (const { key, value, ...rest } of batch.records)
      records.push({ ...rest, key: key === null ? null : Buffer.from(key), value: value === null ? null : Buffer.from(value) })
    for (const [partition, position] of batch.next) next.set(partition, position)
    if (records.length >= count) return { records, next }
  }
  throw new Error(`only ${records.length} of ${count} records came within ${limitMs} ms`)
}

export function keyed(first: number, count: number): RecordToSend[] {
  return Array.from({ length: count }, (_, at) => ({ key: Buffer.from(`k${first + at}`), value: Buffer.from(`value ${first + at}`) }))
}

function reading(): { bytesMax: number; signal: AbortSignal } {
  return { bytesMax: 1 << 20, signal: AbortSignal.timeout(limitMs) }
}

async function drain(batches: AsyncIterable<TopicBatch>): Promise<void> {
  for await (const batch of batches) void batch
  throw new Error('the read ended without an error')
}

function assertShape(batch: TopicBatch, bytesMax: number): void {
  const bytes = batch.records.reduce((sum, record) => sum + (record.key?.length ?? 0) + (record.value?.length ?? 0), 0)
  assert.ok(batch.records.length <= 1 || bytes <= bytesMax, `${batch.records.length} records of ${bytes} bytes for ${bytesMax}`)
  const order = batch.records.map((record) => record.partition)
  assert.equal(
    order.filter((partition, at) => at > 0 && partition !== order[at - 1]).length + (order.length > 0 ? 1 : 0),
    new Set(order).size,
  )
  for (const record of batch.records) assert.ok((batch.next.get(record.partition)?.offset ?? 0n) > record.offset)
}

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  const limit = Date.now() + limitMs
  while (!(await condition())) {
    assert.ok(Date.now() < limit, what)
    await delay(50)
  }
}
