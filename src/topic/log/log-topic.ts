/**
 * The embedded log as a `Topic`: reads another process's files. One watch on the topic's folder (its state file changes
 * with every commit) wakes all reads; besides that it looks once per `idleMs`, so a missed notice costs a second, no record.
 */
import { watch } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { systemClock, type Clock } from '../../base/clock.ts'
import { isSwError } from '../../base/errors.ts'
import { topicErrors } from '../errors.ts'
import type { ReadOptions, Retention, Topic, TopicBatch, TopicPosition, TopicRecord } from '../topic.ts'
import { PartitionCursor } from './cursor.ts'
import { epochAt, readEpochs } from './epochs.ts'
import { readTopicFile, writeTopicFile, type TopicFile } from './folder.ts'
import { AppendLock } from './lock.ts'
import { offsetAtTime } from './segment-times.ts'
import { emptyPartition, readState, type LogState, type PartitionState } from './state.ts'

const identityEveryMs = 500

export class LogTopic implements Topic {
  readonly id: string
  readonly name: string
  readonly url: string
  readonly partitions: number
  readonly #dir: string
  readonly #clock: Clock
  readonly #closed = new AbortController()
  #identityAt = -Infinity

  private constructor(dir: string, file: TopicFile, clock: Clock) {
    this.#dir = dir
    this.#clock = clock
    this.id = file.id
    this.name = basename(dir)
    this.url = `log://${dir}`
    this.partitions = file.partitions
  }

  static async open(dir: string, options: { readonly clock?: Clock } = {}): Promise<LogTopic> {
    return new LogTopic(dir, await readTopicFile(dir), options.clock ?? systemClock)
  }

  async startOffsets(): Promise<Map<number, bigint>> {
    return mapOf((await this.#state()).partitions, (row) => row.start)
  }

  async endOffsets(): Promise<Map<number, bigint>> {
    return mapOf((await this.#state()).partitions, (row) => row.end)
  }

  async endPositions(): Promise<Map<number, { offset: bigint; leaderEpoch: number }>> {
    const positions = new Map<number, { offset: bigint; leaderEpoch: number }>()
    for (const [partition, row] of (await this.#state()).partitions.entries()) {
      const epochs = row.end > 0n ? await readEpochs(this.#dir, partition) : []
      positions.set(partition, { offset: row.end, leaderEpoch: epochAt(epochs, row.end - 1n) })
    }
    return positions
  }

  async offsetsAt(timestampMs: number): Promise<Map<number, bigint>> {
    const offsets = new Map<number, bigint>()
    for (let partition = 0; partition < this.partitions; partition++) {
      offsets.set(partition, await this.#again((state) => offsetAtTime(this.#dir, partition, rowOf(state, partition), timestampMs)))
    }
    return offsets
  }

  async retention(): Promise<Retention> {
    const file = await this.#identity()
    return {
      ms: file.retentionMs === null ? null : BigInt(file.retentionMs),
      bytes: file.retentionBytes === null ? null : BigInt(file.retentionBytes),
      msFrom: file.retentionMsOwn ? 'topic' : 'default',
    }
  }

  async setRetentionMs(ms: bigint | null | 'default'): Promise<void> {
    const lock = new AppendLock(this.#dir, this.#clock, 10_000)
    try {
      await lock.hold(async () => {
        const file = await this.#identity()
        const retentionMs = ms === null || ms === 'default' ? null : String(ms)
        await writeTopicFile(this.#dir, { ...file, retentionMs, retentionMsOwn: ms !== 'default' })
      })
    } catch (error) {
      if (isSwError(error)) throw error
      throw topicErrors.retentionRefused({ topic: this.name, reason: (error as Error).message, wanted: ms ?? -1 }, error)
    } finally {
      lock.close()
    }
  }

  async *read(positions: ReadonlyMap<number, TopicPosition>, options: ReadOptions): AsyncGenerator<TopicBatch, void, undefined> {
    const signal = AbortSignal.any([options.signal, this.#closed.signal])
    const cursors = [...positions].map(([partition, from]) => {
      if (partition < 0 || partition >= this.partitions)
        throw topicErrors.badRequest({ topic: this.name, reason: `it has no partition ${partition}` })
      return new PartitionCursor(this.#dir, this.name, partition, from)
    })
    const changes = new Changes(this.#dir, signal)
    const idleMs = options.idleMs ?? 1_000
    let first = 0
    let toldAt = this.#clock.monotonicMs()
    try {
      while (!signal.aborted) {
        changes.seen()
        const batch = await this.#batch(cursors, first++, options)
        const nowMs = this.#clock.monotonicMs()
        if (batch !== null && (batch.next.size > 0 || nowMs - toldAt >= idleMs)) {
          yield batch
          toldAt = this.#clock.monotonicMs()
        }
        if (batch === null || batch.next.size === 0) await changes.next(Math.max(1, toldAt + idleMs - this.#clock.monotonicMs()))
      }
    } finally {
      changes.stop()
      for (const cursor of cursors) await cursor.close()
    }
  }

  async close(): Promise<void> {
    this.#closed.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** null: could not be read just now, and `onTrouble` has been told. */
  async #batch(cursors: readonly PartitionCursor[], first: number, options: ReadOptions): Promise<TopicBatch | null> {
    try {
      return await this.#again((state) => this.#batchOf(state, cursors, first, options.bytesMax))
    } catch (error) {
      if (!isSwError(error, 'SW-TOPIC-005')) throw error
      options.onTrouble?.(error)
      return null
    }
  }

  /** All of it, or an error and no cursor has moved: whatever is tried again then begins with what this attempt had taken. */
  async #batchOf(state: LogState, cursors: readonly PartitionCursor[], first: number, bytesMax: number): Promise<TopicBatch> {
    const before = cursors.map((cursor) => ({ cursor, from: cursor.next }))
    try {
      return await this.#takeAll(state, cursors, first, bytesMax)
    } catch (error) {
      for (const { cursor, from } of before) await cursor.restart(from)
      throw error
    }
  }

  async #takeAll(state: LogState, cursors: readonly PartitionCursor[], first: number, bytesMax: number): Promise<TopicBatch> {
    const records: TopicRecord[] = []
    const next = new Map<number, { offset: bigint; leaderEpoch: number }>()
    const logStart = new Map<number, bigint>()
    const highWatermark = new Map<number, bigint>()
    // Everybody's position is judged before anybody's records are taken: an error loses no record that was taken.
    for (const cursor of cursors) await cursor.check(rowOf(state, cursor.partition), state.session)
    let left = bytesMax
    for (let n = 0; n < cursors.length; n++) {
      const cursor = cursors[(first + n) % cursors.length]
      if (cursor === undefined) break
      const row = rowOf(state, cursor.partition)
      logStart.set(cursor.partition, row.start)
      highWatermark.set(cursor.partition, row.end)
      if (left <= 0 || cursor.next.offset >= row.end) continue
      // Shares are even over those that are still to come, so that a long partition does not starve the others.
      const share = Math.max(1, Math.floor(left / (cursors.length - n)))
      left -= await cursor.take(row, share, records)
      cursor.settle()
      next.set(cursor.partition, cursor.next)
    }
    return { records, next, logStart, highWatermark }
  }

  /** Does `work` under the present state; once more when files have moved under it (retention, a log put back). */
  async #again<T>(work: (state: LogState) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const state = await this.#state()
      try {
        return await work(state)
      } catch (error) {
        const moved = (error as NodeJS.ErrnoException).code === 'ENOENT' || isSwError(error, 'SW-TOPIC-012')
        if (!moved || attempt > 1) throw error
        const now = await this.#state()
        if (now.session === state.session && now.sequence === state.sequence) throw error
      }
    }
  }

  async #state(): Promise<LogState> {
    if (this.#clock.monotonicMs() - this.#identityAt > identityEveryMs) await this.#identity()
    for (let attempt = 1; attempt <= 20; attempt++) {
      const state = readState(this.#dir)
      if (state !== null && state.partitions.length === this.partitions) return state
      await this.#identity()
      await this.#clock.sleep(attempt)
    }
    throw topicErrors.unreachable({
      topic: this.name,
      reason: 'its state file is missing or torn; the next producer mends it',
      where: join(this.#dir, 'state'),
    })
  }

  /** That this is still the topic that was opened. */
  async #identity(): Promise<TopicFile> {
    let file: TopicFile
    try {
      file = await readTopicFile(this.#dir)
    } catch (error) {
      if (isSwError(error, 'SW-TOPIC-008'))
        throw topicErrors.topicGone({ topic: this.name, id: this.id, reason: `there is none in ${dirname(this.#dir)}` }, error)
      throw error
    }
    if (file.id !== this.id) throw topicErrors.topicGone({ topic: this.name, id: this.id, reason: `another one, ${file.id}, has its name` })
    if (file.partitions !== this.partitions)
      throw topicErrors.partitionCountChanged({ topic: this.name, before: this.partitions, now: file.partitions })
    this.#identityAt = this.#clock.monotonicMs()
    return file
  }
}

/** Wakes when the folder changes. */
class Changes {
  #changed = false
  #wake: (() => void) | null = null
  readonly #watcher: ReturnType<typeof watch> | null
  readonly #signal: AbortSignal

  constructor(dir: string, signal: AbortSignal) {
    this.#signal = signal
    this.#watcher = this.#start(dir)
    signal.addEventListener('abort', this.#note, { once: true })
  }

  /** What happens from now on counts for the next `next`. */
  seen(): void {
    this.#changed = false
  }

  async next(limitMs: number): Promise<void> {
    if (this.#changed || this.#signal.aborted) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
  }

  stop(): void {
    this.#signal.removeEventListener('abort', this.#note)
    this.#watcher?.close()
  }

  readonly #note = (): void => {
    this.#changed = true
    this.#wake?.()
  }

  #start(dir: string): ReturnType<typeof watch> | null {
    try {
      return watch(dir, { persistent: false }, this.#note).on('error', () => {})
    } catch {
      // No watches left, or the folder is gone: the look once per idleMs remains.
      return null
    }
  }
}

function rowOf(state: LogState, partition: number): Readonly<PartitionState> {
  return state.partitions[partition] ?? emptyPartition
}

function mapOf<T, R>(rows: readonly T[], get: (row: T) => R): Map<number, R> {
  return new Map(rows.map((row, at) => [at, get(row)]))
}
