/** A Kafka topic as a `Topic`. */
import type { Clock } from '../../base/clock.ts'
import { isSwError } from '../../base/errors.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { topicErrors } from '../errors.ts'
import type { ReadOptions, Retention, Topic, TopicBatch, TopicPosition } from '../topic.ts'
import type { KafkaAddress } from '../url.ts'
import { asRefusal, asUnreachable, connectionOf, isRefusal, isUnbelieved, isUnknownTopic, rawConsumer, type RawConsumer } from './client.ts'
import { retentionOf, setRetention } from './kafka-admin.ts'
import { KafkaReader } from './reader.ts'

const openLimitMs = 15_000
const unknownLimitMs = 3_000
const earliest = -2n
const latest = -1n

type Connection = Awaited<ReturnType<typeof connectionOf>>

export class KafkaTopic implements Topic {
  readonly id: string
  readonly name: string
  readonly url: string
  readonly partitions: number
  readonly #address: KafkaAddress
  readonly #connection: Connection
  /** For questions; each read has a client of its own, since a client keeps one fetch session per broker. */
  readonly #consumer: RawConsumer
  readonly #clock: Clock
  readonly #log: Log
  readonly #closed = new AbortController()

  private constructor(
    address: KafkaAddress,
    connection: Connection,
    consumer: RawConsumer,
    clock: Clock,
    log: Log,
    id: string,
    partitions: number,
  ) {
    this.#address = address
    this.#connection = connection
    this.#consumer = consumer
    this.#clock = clock
    this.#log = log
    this.id = id
    this.name = address.topic
    this.url = `kafka://${address.brokers.join(',')}/${address.topic}`
    this.partitions = partitions
  }

  static async open(address: KafkaAddress, { clock, log = silentLog }: { readonly clock: Clock; readonly log?: Log }): Promise<KafkaTopic> {
    const connection = await connectionOf(address)
    const consumer = rawConsumer(connection)
    const started = clock.monotonicMs()
    try {
      for (;;) {
        try {
          const found = (await consumer.metadata({ topics: [address.topic], forceUpdate: true })).topics.get(address.topic)
          if (found !== undefined) return new KafkaTopic(address, connection, consumer, clock, log, found.id, found.partitionsCount)
        } catch (error) {
          const waitedMs = clock.monotonicMs() - started
          if (isRefusal(error)) throw asRefusal(error, address, 'reading')
          const unknown = isUnknownTopic(error)
          if (unknown && waitedMs > unknownLimitMs)
            throw topicErrors.noTopic({ topic: address.topic, where: address.brokers.join(',') }, error)
          if (waitedMs > openLimitMs || isUnbelieved(error)) throw asUnreachable(error, address)
        }
        consumer.clearMetadata()
        await clock.sleep(200)
      }
    } catch (error) {
      await consumer.close(true).catch(() => undefined)
      throw error
    }
  }

  startOffsets(): Promise<Map<number, bigint>> {
    return this.#offsets(earliest)
  }

  endOffsets(): Promise<Map<number, bigint>> {
    return this.#offsets(latest)
  }

  async offsetsAt(timestampMs: number): Promise<Map<number, bigint>> {
    // The end first: what comes in between is at or after it, whatever its timestamp says of itself.
    const ends = await this.endOffsets()
    const found = await this.#offsets(BigInt(Math.ceil(timestampMs)))
    return new Map([...ends].map(([partition, end]) => [partition, notNegative(found.get(partition)) ?? end]))
  }

  async endPositions(): Promise<Map<number, { offset: bigint; leaderEpoch: number }>> {
    const [starts, ends] = await Promise.all([this.startOffsets(), this.endOffsets()])
    const positions = new Map<number, { offset: bigint; leaderEpoch: number }>()
    for (const [partition, offset] of ends) {
      const isEmpty = offset <= (starts.get(partition) ?? 0n)
      positions.set(partition, { offset, leaderEpoch: isEmpty ? -1 : await this.#epochAt(partition, offset - 1n) })
    }
    return positions
  }

  retention(): Promise<Retention> {
    return this.#asking(() => retentionOf(this.#address))
  }

  async setRetentionMs(ms: bigint | null | 'default'): Promise<void> {
    await setRetention(this.#address, ms, this.#clock)
  }

  async *read(positions: ReadonlyMap<number, TopicPosition>, options: ReadOptions): AsyncGenerator<TopicBatch, void, undefined> {
    const stop = new AbortController()
    const signal = AbortSignal.any([options.signal, this.#closed.signal, stop.signal])
    const consumer = rawConsumer(this.#connection)
    // fetch() finds a topic's brokers by what is tracked.
    consumer.topics.track(this.#address.topic)
    const { bytesMax, idleMs, onTrouble } = options
    try {
      const reader = new KafkaReader(positions, {
        bytesMax,
        signal,
        ...(idleMs === undefined ? {} : { idleMs }),
        onTrouble: (error) => {
          this.#log.warn({ topic: this.name, err: error }, 'topic not reached; trying again')
          onTrouble?.(error)
        },
        address: this.#address,
        topicId: this.id,
        partitions: this.partitions,
        clock: this.#clock,
        consumer,
      })
      yield* reader.read()
    } finally {
      stop.abort()
      await consumer.close(true).catch(() => undefined)
    }
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return
    this.#closed.abort()
    await this.#consumer.close(true).catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #offsets(timestamp: bigint): Promise<Map<number, bigint>> {
    return this.#asking(async () => {
      const found = (await this.#consumer.listOffsets({ topics: [this.name], timestamp })).get(this.name) ?? []
      if (found.length !== this.partitions)
        throw topicErrors.partitionCountChanged({ topic: this.name, before: this.partitions, now: found.length })
      return new Map(found.map((offset, partition) => [partition, offset]))
    })
  }

  /** Epoch of the batch that holds `offset`; -1 when it cannot be had. */
  async #epochAt(partition: number, offset: bigint): Promise<number> {
    return this.#asking(async () => {
      this.#consumer.topics.track(this.name)
      const leader = (await this.#consumer.metadata({ topics: [this.name] })).topics.get(this.name)?.partitions[partition]
      if (leader === undefined) return -1
      const ask = { partition, fetchOffset: offset, partitionMaxBytes: 1, currentLeaderEpoch: leader.leaderEpoch, lastFetchedEpoch: -1 }
      const topics = [{ topicId: this.id, partitions: [ask] }]
      const answer = await this.#consumer.fetch({
        node: leader.leader,
        minBytes: 1,
        maxBytes: 1,
        maxWaitTime: 100,
        isolationLevel: 0,
        topics,
      })
      const batches = answer.responses.flatMap((topic) => topic.partitions).flatMap((part) => part.records ?? [])
      return batches.find((batch) => batch.firstOffset + BigInt(batch.lastOffsetDelta) >= offset)?.partitionLeaderEpoch ?? -1
    })
  }

  /** Waits out what may pass. */
  async #asking<T>(question: () => Promise<T>): Promise<T> {
    const started = this.#clock.monotonicMs()
    for (;;) {
      try {
        return await question()
      } catch (error) {
        if (isSwError(error)) throw error
        if (isRefusal(error)) throw asRefusal(error, this.#address, 'reading its offsets')
        const waitedMs = this.#clock.monotonicMs() - started
        if (isUnknownTopic(error) && waitedMs > unknownLimitMs)
          throw topicErrors.topicGone({ topic: this.name, id: this.id, reason: 'the brokers do not know it' }, error)
        if (waitedMs > openLimitMs || this.#closed.signal.aborted) throw asUnreachable(error, this.#address)
        this.#consumer.clearMetadata()
        await this.#clock.sleep(200)
      }
    }
  }
}

function notNegative(offset: bigint | undefined): bigint | undefined {
  return offset === undefined || offset < 0n ? undefined : offset
}
