/**
 * One partition as one reader stands in it. The state that says how far the log goes, and where it begins, is given with
 * each call: a gap is judged by the very state under which the records are read (PROTOCOLS 4.7).
 *
 * A position is checked against the epochs when it is first used, when another producer has taken over, and when a batch of
 * another epoch comes: those are all the moments at which the log can have become another one behind the reader.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { topicErrors } from '../errors.ts'
import type { TopicPosition, TopicRecord } from '../topic.ts'
import { endOfEpoch, readEpochs } from './epochs.ts'
import { segmentFile, segmentsOf } from './folder.ts'
import { BatchReader, headerAt, isWhole } from './format.ts'
import { readIndex } from './index-file.ts'
import { chunkBytes, readExactly } from './scan.ts'
import type { PartitionState } from './state.ts'

export class PartitionCursor {
  readonly partition: number
  readonly #dir: string
  readonly #topic: string
  #offset: bigint
  #epoch: number
  #checkedSession: bigint | null = null
  #handle: FileHandle | null = null
  #segment = -1n
  #position = 0
  #chunk: Buffer = Buffer.alloc(0)
  #chunkAt = 0
  #batch: BatchReader | null = null

  constructor(dir: string, topic: string, partition: number, from: TopicPosition) {
    this.#dir = dir
    this.#topic = topic
    this.partition = partition
    this.#offset = from.offset
    this.#epoch = from.leaderEpoch ?? -1
  }

  get next(): { offset: bigint; leaderEpoch: number } {
    return { offset: this.#offset, leaderEpoch: this.#epoch }
  }

  /** @throws SW-TOPIC-001, -004 */
  async check(state: Readonly<PartitionState>, session: bigint): Promise<void> {
    if (this.#offset < state.start)
      throw topicErrors.offsetOutOfRange({
        topic: this.#topic,
        partition: this.partition,
        from: this.#offset,
        last: state.start - 1n,
        logStart: state.start,
      })
    if (this.#offset > state.end) throw this.#truncated(state.end)
    if (this.#checkedSession === session) return
    await this.#checkEpoch(state)
    // Files may have been put in the place of those that are open.
    await this.close()
    this.#checkedSession = session
  }

  /** Takes records into `out` until `budget` bytes or the end; returns the bytes taken. The first record always fits. */
  async take(state: Readonly<PartitionState>, budget: number, out: TopicRecord[]): Promise<number> {
    let taken = 0
    let records = 0
    while (this.#offset < state.end) {
      if (this.#batch === null) {
        const batch = await this.#nextBatch(state)
        if (batch.header.epoch !== this.#epoch) {
          await this.#checkEpoch(state)
          this.#epoch = batch.header.epoch
        }
        this.#batch = batch
      }
      const batch = this.#batch
      while (!batch.done) {
        const bytes = batch.nextBytes
        if (records > 0 && taken + bytes > budget) return taken
        out.push(batch.next())
        taken += bytes
        records++
      }
      this.#offset = batch.nextOffset
      this.#batch = null
      if (taken >= budget) return taken
    }
    return taken
  }

  /** After `take`: the offset may be in the middle of a batch. */
  settle(): void {
    if (this.#batch !== null) this.#offset = this.#batch.nextOffset
  }

  /** As one that was made for this position. */
  async restart(from: { readonly offset: bigint; readonly leaderEpoch: number }): Promise<void> {
    await this.close()
    this.#offset = from.offset
    this.#epoch = from.leaderEpoch
    this.#checkedSession = null
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = null
    this.#batch = null
    this.#chunk = Buffer.alloc(0)
    await handle?.close()
  }

  async #nextBatch(state: Readonly<PartitionState>): Promise<BatchReader> {
    if (this.#handle === null) await this.#seek(state)
    let batch = await this.#batchAt(state)
    if (batch === null) {
      // A closed segment is through; the next one begins at this very offset.
      await this.close()
      await this.#open(this.#offset)
      this.#position = 0
      batch = await this.#batchAt(state)
    }
    if (batch === null || batch.nextOffset > this.#offset) throw this.#damaged('nothing where a record must be')
    while (batch.nextOffset < this.#offset && !batch.done) batch.skip()
    return batch
  }

  /** The batch at the position, or null at the end of the segment. The position moves behind it. */
  async #batchAt(state: Readonly<PartitionState>): Promise<BatchReader | null> {
    const handle = this.#handle
    if (handle === null) return null
    const limit = this.#segment === state.segment ? state.bytes : (await handle.stat()).size
    if (this.#position >= limit) return null
    let at = this.#position - this.#chunkAt
    let header = headerAt(this.#chunk, at)
    if (header === null || !isWhole(this.#chunk, at, header)) {
      this.#chunk = await readExactly(handle, this.#position, Math.min(limit - this.#position, chunkBytes))
      this.#chunkAt = this.#position
      at = 0
      header = headerAt(this.#chunk, 0)
      if (header !== null && header.length > this.#chunk.length && this.#position + header.length <= limit)
        this.#chunk = await readExactly(handle, this.#position, header.length)
    }
    if (header === null || !isWhole(this.#chunk, at, header)) throw this.#damaged('the check sum of a batch is wrong')
    this.#position += header.length
    return new BatchReader(this.#chunk, at, header, this.partition)
  }

  async #seek(state: Readonly<PartitionState>): Promise<void> {
    const bases = await segmentsOf(this.#dir, this.partition)
    const base = bases.findLast((candidate) => candidate <= this.#offset)
    if (base === undefined) throw this.#damaged(`no segment holds offset ${this.#offset}`)
    await this.#open(base)
    const entry = (await readIndex(this.#dir, this.partition, base, Number.MAX_SAFE_INTEGER)).findLast(
      (candidate) => candidate.offset <= this.#offset,
    )
    this.#position = entry?.position ?? 0
    const limit = base === state.segment ? state.bytes : await this.#size()
    for (;;) {
      if (this.#position >= limit) return
      const before = this.#position
      const batch = await this.#batchAt(state)
      if (batch === null) return
      if (batch.header.base > this.#offset) throw this.#damaged(`it holds offset ${batch.header.base} and not ${this.#offset} before it`)
      if (batch.header.base + BigInt(batch.header.count) > this.#offset) {
        this.#position = before
        return
      }
    }
  }

  async #open(base: bigint): Promise<void> {
    this.#handle = await open(segmentFile(this.#dir, this.partition, base), 'r')
    this.#segment = base
    this.#chunk = Buffer.alloc(0)
    this.#chunkAt = 0
  }

  async #size(): Promise<number> {
    return this.#handle === null ? 0 : (await this.#handle.stat()).size
  }

  async #checkEpoch(state: Readonly<PartitionState>): Promise<void> {
    if (this.#epoch < 0 || this.#offset === 0n) return
    const epochs = await readEpochs(this.#dir, this.partition)
    const end = endOfEpoch(epochs, this.#epoch, state.end)
    if (end === null) throw this.#truncated('an offset that is not known (this log never had the epoch)')
    if (end < this.#offset) throw this.#truncated(end)
  }

  #truncated(end: bigint | string): Error {
    return topicErrors.logTruncated({ topic: this.#topic, partition: this.partition, offset: this.#offset, epoch: this.#epoch, end })
  }

  #damaged(reason: string): Error {
    const file = segmentFile(this.#dir, this.partition, this.#segment)
    return topicErrors.logDamaged({ file, position: this.#position, reason })
  }
}
