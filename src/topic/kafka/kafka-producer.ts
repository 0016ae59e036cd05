/**
 * A Kafka producer: idempotent, acknowledged by all in-sync replicas, and one request under way per partition. What is sent
 * meanwhile makes up the next request. One at a time because the client, told of a lost sequence, takes a new producer id
 * and sends again, which doubles records when several are under way; and one partition a request because in a request of
 * several a failed one makes it repeat all.
 */
import { Producer } from '@platformatic/kafka'
import { systemClock, type Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { topicErrors } from '../errors.ts'
import { partitionOf } from '../partition-of.ts'
import type { RecordToSend, SentRecord, TopicProducer } from '../topic.ts'
import type { KafkaAddress } from '../url.ts'
import { asRefusal, connectionOf, isRefusal, reasonOf, type Bytes, type RawProducer } from './client.ts'
import { KafkaTopic } from './kafka-topic.ts'

const requestBytesMax = 512 << 10
const queueBytesMax = 32 << 20
const recordBytesMax = 900 << 10

type Item = {
  readonly record: RecordToSend
  readonly bytes: number
  readonly done: (offset: bigint) => void
  readonly failed: (error: unknown) => void
}

export class KafkaProducer implements TopicProducer {
  readonly partitions: number
  readonly #address: KafkaAddress
  readonly #producer: RawProducer
  readonly #clock: Clock
  readonly #queues: Item[][]
  readonly #running = new Map<number, Promise<void>>()
  #queueBytes = 0
  #waiting: (() => void)[] = []
  #roundRobin = 0
  #closed = false

  private constructor(address: KafkaAddress, producer: RawProducer, partitions: number, clock: Clock) {
    this.#address = address
    this.#producer = producer
    this.#clock = clock
    this.partitions = partitions
    this.#queues = Array.from({ length: partitions }, () => [])
  }

  static async open(address: KafkaAddress, options: { readonly clock?: Clock; readonly log?: Log } = {}): Promise<KafkaProducer> {
    const clock = options.clock ?? systemClock
    const topic = await KafkaTopic.open(address, { clock })
    await topic.close()
    const producer = new Producer<Bytes, Bytes, Bytes, Bytes>({
      ...(await connectionOf(address)),
      idempotent: true,
      acks: -1,
      retries: 30,
      retryDelay: 300,
      connectTimeout: 5_000,
    })
    return new KafkaProducer(address, producer, topic.partitions, clock)
  }

  async send(records: readonly RecordToSend[]): Promise<SentRecord[]> {
    if (records.length === 0) return []
    const spread = this.#roundRobin++
    const { topic } = this.#address
    const placed = records.map((record) => {
      const partition = record.partition ?? (record.key === null ? spread % this.partitions : partitionOf(record.key, this.partitions))
      if (!Number.isInteger(partition) || partition < 0 || partition >= this.partitions)
        throw topicErrors.badRequest({ topic, reason: `it has no partition ${partition}` })
      const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0) + 64
      if (bytes > recordBytesMax) throw topicErrors.recordTooLarge({ bytes, topic, limit: recordBytesMax })
      return { record, partition, bytes }
    })
    const total = placed.reduce((sum, { bytes }) => sum + bytes, 0)
    while (!this.#closed && this.#queueBytes > 0 && this.#queueBytes + total > queueBytesMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (this.#closed) throw topicErrors.badRequest({ topic, reason: 'the producer is closed' })
    const sent = placed.map(
      ({ record, partition, bytes }) =>
        new Promise<SentRecord>((resolve, reject) => {
          this.#queueBytes += bytes
          this.#queues[partition]?.push({ record, bytes, done: (offset) => resolve({ partition, offset }), failed: reject })
        }),
    )
    const all = Promise.allSettled(sent)
    for (const partition of new Set(placed.map((place) => place.partition))) {
      if (!this.#running.has(partition)) this.#running.set(partition, this.#run(partition))
    }
    // Every record has its outcome before the send has: nothing is still on its way when it fails.
    return (await all).map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    while (this.#running.size > 0) await Promise.all(this.#running.values())
    this.#closed = true
    this.#wakeSenders()
    await this.#producer.close(true).catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(partition: number): Promise<void> {
    await Promise.resolve()
    const queue = this.#queues[partition] ?? []
    try {
      while (queue.length > 0) {
        let count = 0
        for (let bytes = 0; count < queue.length; count++) {
          bytes += queue[count]?.bytes ?? 0
          if (bytes > requestBytesMax && count > 0) break
        }
        const items = queue.splice(0, count)
        await this.#request(partition, items)
        for (const item of items) this.#queueBytes -= item.bytes
        this.#wakeSenders()
      }
    } finally {
      this.#running.delete(partition)
    }
  }

  async #request(partition: number, items: readonly Item[]): Promise<void> {
    const { topic } = this.#address
    const nowMs = this.#clock.nowMs()
    const messages = items.map(({ record }) => ({
      topic,
      partition,
      ...(record.key === null ? {} : { key: record.key }),
      ...(record.value === null ? {} : { value: record.value }),
      timestamp: BigInt(Math.floor(record.timestampMs ?? nowMs)),
      ...(record.headers === undefined ? {} : { headers: new Map(record.headers) }),
    }))
    try {
      const { offsets } = await this.#producer.send({ messages })
      const base = offsets?.find((offset) => offset.partition === partition)?.offset
      if (base === undefined || base < 0n) throw new Error('the broker named no offset')
      for (const [at, item] of items.entries()) item.done(base + BigInt(at))
    } catch (error) {
      const told = isRefusal(error)
        ? asRefusal(error, this.#address, 'writing')
        : topicErrors.sendUnknown({ records: items.length, topic, reason: reasonOf(error) }, error)
      for (const item of items) item.failed(told)
    }
  }

  #wakeSenders(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}
