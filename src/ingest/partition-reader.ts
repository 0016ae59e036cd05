/**
 * Reads the partitions that a consumer holds, judges each answer for gaps (PROTOCOLS 4.7), routes records and gives them to the lanes of every shard. A record that
 * cannot be read stops its partition, or goes on as a dead letter. Who holds what, and what the fleet is to do, is the session's: it says `again` when that changed.
 */
import { setImmediate } from 'node:timers/promises'
import type { Wakeup } from '../base/wakeup.ts'
import type { Clock } from '../base/clock.ts'
import { isSwError, type SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { Topic, TopicBatch, TopicRecord } from '../topic/topic.ts'
import type { Chunk, Item } from './batch.ts'
import type { ConsumerConfig } from './consumer-options.ts'
import { gap } from './decide.ts'
import { ingestErrors } from './errors.ts'
import type { HeldPartition } from './held-partition.ts'
import type { RecordRouter } from './record-router.ts'
import type { ShardLane } from './shard-lane.ts'
import { reasonOf, viewOf } from './error-view.ts'
import { keep } from './kept.ts'

export type PartitionReaderOptions = {
  readonly topic: Topic
  readonly router: RecordRouter
  readonly config: Pick<ConsumerConfig, 'readBytesMax' | 'queuedBytesMax'>
  readonly poison: 'stop' | 'dead-letter'
  readonly shardNames: readonly string[]
  /** By shard, then by writer. */
  readonly lanes: readonly (readonly ShardLane[])[]
  readonly laneOf: (shard: number, partition: number) => ShardLane
  readonly held: ReadonlyMap<number, HeldPartition>
  readonly fleet: () => FleetRecord
  /** Rung when lanes have written, and when anything is to be looked at anew. */
  readonly bell: Wakeup
  readonly onTrouble: (error: unknown) => void
  readonly clock: Clock
  readonly log: Log
}

const recordsAtOnce = 32

export class PartitionReader {
  poison = 0
  records = 0
  readonly #options: PartitionReaderOptions
  /** Ends the read that is under way: positions have changed. */
  #reread = new AbortController()
  #failure: { error: unknown } | null = null
  /** When the topic last told how a partition stands, or was first asked since; monotonic ms. Not in it: it is not asked. */
  readonly #answeredMs = new Map<number, number>()

  constructor(options: PartitionReaderOptions) {
    this.#options = options
  }

  /** For how long the topic has not said how a partition stands, though it is asked: what was known of it may be of then. */
  silentMs(partition: number): number {
    const answeredMs = this.#answeredMs.get(partition)
    return answeredMs === undefined ? 0 : Math.round(this.#options.clock.monotonicMs() - answeredMs)
  }

  again(): void {
    this.#reread.abort()
    this.#options.bell.ring()
  }

  readable(held: HeldPartition): boolean {
    const holdAt = this.#options.fleet().holdAt?.[String(held.partition)]
    return held.state === 'running' && (holdAt === undefined || held.readAt < BigInt(holdAt))
  }

  /** Until the signal ends it. @throws what reading again can not help */
  async run(stop: AbortSignal): Promise<void> {
    const { held: holding, topic, config, bell, onTrouble } = this.#options
    while (!stop.aborted && this.#failure === null) {
      this.#reread = new AbortController()
      const reading = [...holding.values()].filter((held) => this.#options.fleet().wanted === 'running' && this.readable(held))
      this.#asks(reading)
      if (reading.length === 0) {
        await bell.wait(stop, 500)
        continue
      }
      const signal = AbortSignal.any([stop, this.#reread.signal])
      const positions = new Map(reading.map(({ partition, readAt, leaderEpoch }) => [partition, { offset: readAt, leaderEpoch }]))
      try {
        const batches = topic.read(positions, {
          bytesMax: config.readBytesMax,
          signal,
          onTrouble,
        })
        for await (const batch of batches) {
          // What came after a position went back starts above it: taken, it would skip what lies between.
          if (signal.aborted) break
          await this.#take(batch, signal)
          if (signal.aborted) break
        }
      } catch (error) {
        if (!signal.aborted) this.#readFailed(error)
      }
    }
    if (this.#failure !== null) throw this.#failure.error
  }

  /** Backpressure: by bytes; and rows that no lane could write soon are not made yet, which keeps what is in memory young. */
  async #room(signal: AbortSignal): Promise<void> {
    const { lanes, config, bell } = this.#options
    const queued = (): number => lanes.reduce((sum, of) => of.reduce((bytes, lane) => bytes + lane.queuedBytes, sum), 0)
    const enough = (): boolean => queued() > config.queuedBytesMax || !lanes.some((of) => of.some((lane) => lane.hungry))
    while (!signal.aborted && enough()) {
      await bell.wait(signal, 200)
      // Nobody asks meanwhile.
      this.#asks([...this.#options.held.values()], true)
    }
  }

  /** `anew`: whatever was said before, or not. */
  #asks(partitions: readonly HeldPartition[], anew = false): void {
    const nowMs = this.#options.clock.monotonicMs()
    for (const partition of this.#answeredMs.keys())
      if (!partitions.some((held) => held.partition === partition)) this.#answeredMs.delete(partition)
    for (const { partition } of partitions) if (anew || !this.#answeredMs.has(partition)) this.#answeredMs.set(partition, nowMs)
  }

  async #take(batch: TopicBatch, signal: AbortSignal): Promise<void> {
    const records = Map.groupBy(batch.records, ({ partition }) => partition)
    for (const [partition, held] of this.#options.held) {
      const logStart = batch.logStart.get(partition)
      held.logStart = logStart ?? held.logStart
      held.highWatermark = batch.highWatermark.get(partition) ?? held.highWatermark
      if (batch.highWatermark.has(partition) && this.#answeredMs.has(partition))
        this.#answeredMs.set(partition, this.#options.clock.monotonicMs())
      const next = batch.next.get(partition)
      if (next === undefined || held.state !== 'running' || next.offset <= held.readAt) continue
      // Judged with what came in the same answer as the records (PROTOCOLS 4.7).
      const missing = gap(held.readAt, logStart)
      if (missing !== null) {
        this.#stopPartition(held, this.#gapError(held, missing))
        continue
      }
      await this.#route(held, records.get(partition) ?? [], next, signal)
      if (signal.aborted) return
    }
  }

  /** A few at a time: answers of shards that came meanwhile are heard in between. What the signal cuts off is read again. */
  async #route(
    held: HeldPartition,
    records: readonly TopicRecord[],
    next: { offset: bigint; leaderEpoch: number },
    signal: AbortSignal,
  ): Promise<void> {
    for (let at = 0; ; at += recordsAtOnce) {
      const after = records[at + recordsAtOnce]
      const end = after === undefined ? next : { offset: after.offset, leaderEpoch: next.leaderEpoch }
      this.#routeSome(held, records.slice(at, at + recordsAtOnce), end)
      await this.#room(signal)
      if (after === undefined || held.state !== 'running') return
      await setImmediate()
      if (signal.aborted) return
    }
  }

  #routeSome(held: HeldPartition, records: readonly TopicRecord[], next: { offset: bigint; leaderEpoch: number }): void {
    const { partition } = held
    const { fleet, lanes, router, laneOf } = this.#options
    const holdAt = fleet().holdAt?.[String(partition)]
    let to = holdAt !== undefined && BigInt(holdAt) < next.offset ? BigInt(holdAt) : next.offset
    const items: Item[][] = lanes.map(() => [])
    for (const record of records) {
      if (record.offset < held.readAt) continue
      if (record.offset >= to) break
      let routed: Map<number, Item>
      try {
        routed = router.route(record, held.versions)
      } catch (error) {
        if (!this.poisoned(record, error)) {
          to = record.offset
          break
        }
        // By the first shard, whatever shard it would have been: it cannot be routed.
        routed = new Map([[0, { record, eventTimeMs: record.timestampMs, rows: [], dead: reasonOf(error) }]])
      }
      this.records++
      for (const [shard, item] of routed) {
        items[shard]?.push(item)
        if (item.dead === null) held.newestMs = Math.max(held.newestMs ?? 0, item.eventTimeMs)
      }
    }
    if (to <= held.readAt) return
    for (let shard = 0; shard < lanes.length; shard++) {
      const chunk: Chunk = {
        partition,
        to,
        leaderEpoch: next.leaderEpoch,
        ...keep(items[shard] ?? [], this.#options.poison === 'dead-letter'),
      }
      laneOf(shard, partition).push(chunk)
    }
    held.readAt = to
    held.leaderEpoch = next.leaderEpoch
    if (!this.readable(held)) this.again()
  }

  /** True: it goes on as a dead letter. False: its partition stops there. */
  poisoned(record: TopicRecord, error: unknown): boolean {
    this.poison++
    const { topic } = this.#options
    if (this.#options.poison === 'dead-letter') return true
    const held = this.#options.held.get(record.partition)
    const { partition, offset } = record
    if (held !== undefined)
      this.#stopPartition(held, ingestErrors.poison({ topic: topic.name, partition, offset, reason: reasonOf(error) }, error))
    return false
  }

  /**
   * A shard's server refuses the rows that it was to get of a record, which is alone in its batch. True: it goes on as a dead letter. One that has rows on other
   * shards, too, never does: theirs stand already, so half of it would be dead, and another branch splits it otherwise.
   */
  refused(item: Item, shard: string, error: Error): boolean {
    const { record, shards = 1 } = item
    if (shards === 1 || this.#options.poison === 'stop') return this.poisoned(record, error)
    this.poison++
    const { partition, offset } = record
    const held = this.#options.held.get(partition)
    const reason = reasonOf(error)
    if (held !== undefined)
      this.#stopPartition(
        held,
        ingestErrors.halfDead(
          { topic: this.#options.topic.name, partition, offset, shard, shards, reason, fleet: this.#options.fleet().name },
          error,
        ),
      )
    return false
  }

  #stopPartition(held: HeldPartition, error: SwError): void {
    this.#options.log.error({ fleet: this.#options.fleet().name, partition: held.partition, err: error }, 'a partition stops')
    held.state = 'stopped'
    held.error = viewOf(error)
    this.again()
  }

  #gapError(held: HeldPartition, missing: { from: bigint; last: bigint }): SwError {
    const { partition } = held
    const { shardNames, laneOf, topic } = this.#options
    const behind = shardNames.findIndex((_, shard) => laneOf(shard, partition).next(partition) === missing.from)
    const shard = shardNames[behind] ?? 'one or more'
    return ingestErrors.gap({ topic: topic.name, partition, shard, ...missing, logStart: missing.last + 1n })
  }

  #readFailed(error: unknown): void {
    const held = isSwError(error) ? this.#options.held.get(Number(error.params['partition'])) : undefined
    if (isSwError(error, 'SW-TOPIC-001') && held !== undefined) {
      const logStart = BigInt(String(error.params['logStart'] ?? held.readAt + 1n))
      this.#stopPartition(held, this.#gapError(held, { from: held.readAt, last: logStart - 1n }))
    } else if (isSwError(error, 'SW-TOPIC-004') && held !== undefined) this.#stopPartition(held, error)
    else this.#failure ??= { error }
    this.#options.bell.ring()
  }
}
