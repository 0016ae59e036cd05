/**
 * The embedded log's producer: group commit. What is sent while a commit is under way makes up the next one; one commit
 * locks, writes all partitions, syncs them side by side, then tells the state. A send is answered after that, so what was
 * acknowledged survives a crash of the machine. Several producers, also of several processes, take turns by the lock.
 *
 * It also keeps the topic's retention: at most once a second, whenever there is a producer.
 */
import { randomBytes } from 'node:crypto'
import { openSync, closeSync, fdatasyncSync } from 'node:fs'
import { basename } from 'node:path'
import { systemClock, type Clock } from '../../base/clock.ts'
import { isSwError } from '../../base/errors.ts'
import { silentLog, type Log } from '../../base/log.ts'
import { topicErrors } from '../errors.ts'
import { partitionOf } from '../partition-of.ts'
import type { RecordToSend, SentRecord, TopicProducer } from '../topic.ts'
import { readTopicFile, type TopicFile } from './folder.ts'
import { batchBytesMax, sizeOf } from './format.ts'
import { AppendLock } from './lock.ts'
import { PartitionWriter } from './partition-writer.ts'
import { recoverPartition } from './recover.ts'
import { readState, stateFile, writeState, type LogState } from './state.ts'

export type LogProducerOptions = {
  readonly clock?: Clock
  readonly log?: Log
  /** How long a commit waits for another process to let go of the lock. */
  readonly lockWaitMs?: number
  /** Sends wait while this much is on its way. */
  readonly queueBytesMax?: number
}

type Item = {
  readonly records: readonly RecordToSend[]
  readonly partitions: readonly number[]
  readonly bytes: number
  readonly resolve: (sent: SentRecord[]) => void
  readonly reject: (error: unknown) => void
}

const commitBytesMax = 8 << 20
const recordBytesMax = batchBytesMax / 4
const retentionEveryMs = 1_000

export class LogProducer implements TopicProducer {
  readonly partitions: number
  readonly #dir: string
  readonly #id: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #lock: AppendLock
  readonly #writers: PartitionWriter[]
  readonly #queueBytesMax: number
  readonly #session = randomBytes(8).readBigUInt64LE(0) | 1n
  #sequence = 0n
  #stateFd = -1
  /** Whether `state` on disk is what this producer wrote last is asked before each commit; this says that it cannot be. */
  #unsettled = true
  #topic: TopicFile
  #queue: Item[] = []
  #queueBytes = 0
  #waiting: (() => void)[] = []
  #running: Promise<void> | null = null
  #roundRobin = 0
  #retainedAt = -Infinity
  readonly #timer: NodeJS.Timeout
  #closed = false

  private constructor(dir: string, topic: TopicFile, options: LogProducerOptions) {
    this.#dir = dir
    this.#topic = topic
    this.#id = topic.id
    this.partitions = topic.partitions
    this.#clock = options.clock ?? systemClock
    this.#log = options.log ?? silentLog
    this.#queueBytesMax = options.queueBytesMax ?? 32 << 20
    this.#lock = new AppendLock(dir, this.#clock, options.lockWaitMs ?? 10_000)
    this.#writers = Array.from({ length: topic.partitions }, (_, partition) => new PartitionWriter(dir, partition))
    this.#timer = setInterval(() => void this.applyRetention().catch((error) => this.#complain(error)), retentionEveryMs)
    this.#timer.unref()
  }

  static async open(dir: string, options: LogProducerOptions = {}): Promise<LogProducer> {
    const producer = new LogProducer(dir, await readTopicFile(dir), options)
    try {
      await producer.#lock.hold(() => producer.#settle())
      return producer
    } catch (error) {
      await producer.close()
      throw error
    }
  }

  async send(records: readonly RecordToSend[]): Promise<SentRecord[]> {
    if (records.length === 0) return []
    let bytes = 0
    for (const record of records) {
      const size = sizeOf(record)
      if (size > recordBytesMax) throw topicErrors.recordTooLarge({ bytes: size, topic: basename(this.#dir), limit: recordBytesMax })
      bytes += size
    }
    const spread = this.#roundRobin++
    const partitions = records.map((record) => this.#partitionOf(record, spread))
    while (!this.#closed && this.#queueBytes > 0 && this.#queueBytes + bytes > this.#queueBytesMax) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (this.#closed) throw topicErrors.badRequest({ topic: basename(this.#dir), reason: 'the producer is closed' })
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, partitions, bytes, resolve, reject })
      this.#queueBytes += bytes
      this.#running ??= this.#run()
    })
  }

  /** Moves the log start where retention says. Runs by itself once a second. */
  async applyRetention(): Promise<void> {
    if (this.#closed || this.#running !== null) return
    if (this.#clock.monotonicMs() - this.#retainedAt < retentionEveryMs / 2) return
    this.#running = this.#run(true)
    await this.#running
  }

  async close(): Promise<void> {
    if (this.#closed) return
    clearInterval(this.#timer)
    while (this.#running !== null) await this.#running
    this.#closed = true
    this.#wakeSenders()
    for (const writer of this.#writers) await writer.closeFile()
    if (this.#stateFd >= 0) {
      fdatasyncSync(this.#stateFd)
      closeSync(this.#stateFd)
    }
    this.#lock.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(retainFirst = false): Promise<void> {
    // A turn later, so that sends of the same turn share a commit.
    await Promise.resolve()
    try {
      if (retainFirst) await this.#lock.hold(() => this.#settle().then(() => this.#retain())).catch((error) => this.#complain(error))
      while (this.#queue.length > 0) await this.#commitSome()
    } finally {
      this.#running = null
    }
  }

  async #commitSome(): Promise<void> {
    const items: Item[] = []
    for (let bytes = 0; this.#queue[0] !== undefined && (items.length === 0 || bytes + this.#queue[0].bytes <= commitBytesMax);) {
      const item = this.#queue.shift()
      if (item === undefined) break
      items.push(item)
      bytes += item.bytes
      this.#queueBytes -= item.bytes
    }
    this.#wakeSenders()
    let answers: SentRecord[][]
    try {
      answers = await this.#lock.hold(async () => {
        await this.#settle()
        const sent = await this.#write(items)
        if (this.#clock.monotonicMs() - this.#retainedAt >= retentionEveryMs) await this.#retain().catch((error) => this.#complain(error))
        return sent
      })
    } catch (error) {
      for (const item of items) item.reject(error)
      return
    }
    for (const [at, item] of items.entries()) item.resolve(answers[at] ?? [])
  }

  async #write(items: readonly Item[]): Promise<SentRecord[][]> {
    const nowMs = this.#clock.nowMs()
    const lists = new Map<number, RecordToSend[]>()
    const places = items.map((item) =>
      item.records.map((record, at) => {
        const partition = item.partitions[at] ?? 0
        const list = lists.get(partition)
        if (list === undefined) lists.set(partition, [record])
        else list.push(record)
        return { partition, at: BigInt(list === undefined ? 0 : list.length - 1) }
      }),
    )
    const records = items.reduce((sum, item) => sum + item.records.length, 0)
    const touched = [...lists.keys()].map((partition) => this.#writer(partition))
    const firsts = new Map<number, bigint>()
    try {
      for (const writer of touched) {
        firsts.set(writer.partition, await writer.append(lists.get(writer.partition) ?? [], this.#topic, nowMs))
      }
    } catch (error) {
      this.#unsettled = true
      try {
        for (const writer of touched) await writer.takeBack()
      } catch (second) {
        throw topicErrors.sendUnknown({ records, topic: basename(this.#dir), reason: (second as Error).message }, error)
      }
      throw topicErrors.diskTrouble({ dir: this.#dir, reason: (error as Error).message }, error)
    }
    try {
      await Promise.all(touched.map((writer) => writer.sync()))
      for (const writer of touched) await writer.commit()
      this.#tell()
    } catch (error) {
      this.#unsettled = true
      throw topicErrors.sendUnknown({ records, topic: basename(this.#dir), reason: (error as Error).message }, error)
    }
    return places.map((list) => list.map(({ partition, at }) => ({ partition, offset: (firsts.get(partition) ?? 0n) + at })))
  }

  async #retain(): Promise<void> {
    this.#retainedAt = this.#clock.monotonicMs()
    this.#topic = await readTopicFile(this.#dir)
    const nowMs = this.#clock.nowMs()
    const moved: PartitionWriter[] = []
    try {
      for (const writer of this.#writers) {
        if (await writer.expire(this.#topic, nowMs)) moved.push(writer)
        await writer.commit()
      }
      this.#tell()
    } catch (error) {
      this.#unsettled = true
      throw error
    }
    for (const writer of moved) await writer.dropBelowStart()
  }

  /** Makes this producer's picture that of the disk: nothing to do unless another one wrote since, or a commit went wrong. */
  async #settle(): Promise<void> {
    const state = readState(this.#dir)
    if (!this.#unsettled && state !== null && state.session === this.#session && state.sequence === this.#sequence) return
    const topic = await readTopicFile(this.#dir).catch((error: unknown) => {
      if (isSwError(error, 'SW-TOPIC-008'))
        throw topicErrors.topicGone({ topic: basename(this.#dir), id: this.#id, reason: 'its folder is gone' }, error)
      throw error
    })
    if (topic.id !== this.#id)
      throw topicErrors.topicGone({ topic: basename(this.#dir), id: this.#id, reason: `another one, ${topic.id}, has its name` })
    if (topic.partitions !== this.partitions)
      throw topicErrors.partitionCountChanged({ topic: basename(this.#dir), before: this.partitions, now: topic.partitions })
    this.#topic = topic
    this.#unsettled = true
    if (state !== null && state.partitions.length !== this.partitions) {
      throw topicErrors.logDamaged({
        file: stateFile(this.#dir),
        position: 0,
        reason: `it speaks of ${state.partitions.length} partitions`,
      })
    }
    for (const writer of this.#writers) await writer.settle(await this.#recover(writer.partition, state))
    if (this.#stateFd >= 0) closeSync(this.#stateFd)
    this.#stateFd = openSync(stateFile(this.#dir), state === null ? 'w+' : 'r+')
    this.#tell()
    this.#unsettled = false
  }

  async #recover(partition: number, state: LogState | null): ReturnType<typeof recoverPartition> {
    const known = state?.partitions[partition] ?? null
    const found = await recoverPartition(this.#dir, partition, known, this.#clock.nowMs())
    if (known === null || known.end !== found.end)
      this.#log.warn(
        { log: this.#dir, partition, toldEnd: known === null ? 'unknown' : String(known.end), end: String(found.end) },
        'end of the log found by reading it',
      )
    return found
  }

  #tell(): void {
    const sequence = this.#sequence + 1n
    writeState(this.#stateFd, { session: this.#session, sequence, partitions: this.#writers.map((writer) => writer.state) })
    this.#sequence = sequence
  }

  #partitionOf(record: RecordToSend, spread: number): number {
    if (record.partition !== undefined) {
      if (!Number.isInteger(record.partition) || record.partition < 0 || record.partition >= this.partitions)
        throw topicErrors.badRequest({ topic: basename(this.#dir), reason: `it has no partition ${record.partition}` })
      return record.partition
    }
    return record.key === null ? spread % this.partitions : partitionOf(record.key, this.partitions)
  }

  #writer(partition: number): PartitionWriter {
    const writer = this.#writers[partition]
    if (writer === undefined) throw topicErrors.badRequest({ topic: basename(this.#dir), reason: `it has no partition ${partition}` })
    return writer
  }

  #wakeSenders(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  #complain(error: unknown): void {
    this.#log.warn({ log: this.#dir, err: error }, 'retention of the log could not be applied')
  }
}
