/**
 * One partition as its producer holds it. Everything here runs under the append lock, after `settle`.
 *
 * Appending is two steps so that a group commit syncs all partitions side by side: `append` writes bytes and says what the
 * state will be; when `sync` is through, `commit` makes that the state. Thrown away in between, nothing was said to anyone.
 */
import { open, type FileHandle } from 'node:fs/promises'
import type { RecordToSend } from '../topic.ts'
import { clipEpochs, newEpoch, readEpochs, writeEpochs, type Epoch } from './epochs.ts'
import { indexFile, segmentFile, segmentsOf, type TopicFile } from './folder.ts'
import { encodeBatch, sizeOf } from './format.ts'
import { encodeEntry, indexEveryBytes } from './index-file.ts'
import { newSegment, removeSegment } from './recover.ts'
import { newestOf } from './segment-times.ts'
import { emptyPartition, type PartitionState } from './state.ts'

/** A batch is closed at this size; a single record may be larger. */
const batchTargetBytes = 256 << 10

export class PartitionWriter {
  readonly partition: number
  readonly #dir: string
  #state: Readonly<PartitionState> = emptyPartition
  /** What the state will be once synced. */
  #next: PartitionState = { ...emptyPartition }
  #handle: FileHandle | null = null
  #handleOf = -1n
  #epochs: Epoch[] = []
  /** Whether this session has begun its epoch here. */
  #ownEpoch = false
  #indexed = 0
  #entries: { base: bigint; bytes: Buffer }[] = []

  constructor(dir: string, partition: number) {
    this.#dir = dir
    this.partition = partition
  }

  get state(): Readonly<PartitionState> {
    return this.#state
  }

  /** Takes over at what recovery found. A log that is shorter than this session knew it gets a new epoch. */
  async settle(found: PartitionState): Promise<void> {
    if (found.end < this.#state.end) this.#ownEpoch = false
    await this.closeFile()
    this.#state = found
    this.#next = { ...found }
    this.#entries = []
    this.#indexed = found.bytes
    this.#epochs = await readEpochs(this.#dir, this.partition)
  }

  /** Writes the records behind what is there; their offsets are consecutive from the one returned. */
  async append(records: readonly RecordToSend[], topic: TopicFile, nowMs: number): Promise<bigint> {
    const first = this.#next.end
    const epoch = await this.#epoch(nowMs)
    for (let at = 0; at < records.length;) {
      let to = at
      for (let bytes = 0; to < records.length; to++) {
        const record = records[to]
        if (record === undefined) break
        bytes += sizeOf(record)
        if (bytes > batchTargetBytes && to > at) break
      }
      const batch = encodeBatch(this.#next.end, epoch, records.slice(at, to), nowMs)
      await this.#roomFor(batch.length, topic, nowMs)
      await this.#write(batch, to - at)
      at = to
    }
    return first
  }

  async sync(): Promise<void> {
    await this.#handle?.datasync()
  }

  async commit(): Promise<void> {
    this.#state = { ...this.#next }
    const entries = this.#entries
    this.#entries = []
    // Not synced and not needed: what is missing costs a reader time, nothing else.
    for (const { base, bytes } of entries) {
      const index = await open(indexFile(this.#dir, this.partition, base), 'a')
      await index.write(bytes)
      await index.close()
    }
  }

  /** Takes back what was written since the last commit. @throws when the disk refuses that too: then nobody knows */
  async takeBack(): Promise<void> {
    const bases = await segmentsOf(this.#dir, this.partition)
    await this.closeFile()
    for (const base of bases.filter((base) => base > this.#state.segment)) await removeSegment(this.#dir, this.partition, base)
    if (this.#state.segment >= 0n) {
      const handle = await open(segmentFile(this.#dir, this.partition, this.#state.segment), 'r+')
      await handle.truncate(this.#state.bytes)
      await handle.datasync()
      await handle.close()
    }
    await this.settle({ ...this.#state })
  }

  /**
   * Where the log may begin by the topic's retention. Whole segments only; the one written to is closed first when all of
   * it is past (or it is older than a segment may be). The caller tells the state, then calls `dropBelowStart`.
   */
  async expire(topic: TopicFile, nowMs: number): Promise<boolean> {
    const { segment, bytes, newestMs, openedMs } = this.#next
    if (segment < 0n) return false
    const before = this.#next.start
    const limitMs = topic.retentionMs === null ? -Infinity : nowMs - Number(topic.retentionMs)
    if (bytes > 0 && (newestMs < limitMs || nowMs - openedMs >= topic.segmentMs)) await this.#roll(nowMs)
    const closed = (await segmentsOf(this.#dir, this.partition)).filter((base) => base < this.#next.segment)
    if (closed.length === 0) return false
    const sizes = new Map<bigint, number>()
    if (topic.retentionBytes !== null) for (const base of closed) sizes.set(base, await this.#sizeOf(base))
    let total = this.#next.bytes + [...sizes.values()].reduce((sum, size) => sum + size, 0)
    for (const [at, base] of closed.entries()) {
      const size = sizes.get(base) ?? 0
      const overBytes = topic.retentionBytes !== null && total - size >= Number(topic.retentionBytes)
      const overTime = topic.retentionMs !== null && (await newestOf(this.#dir, this.partition, base)) < limitMs
      if (!overBytes && !overTime) break
      total -= size
      this.#next.start = closed[at + 1] ?? this.#next.segment
    }
    return this.#next.start > before
  }

  async dropBelowStart(): Promise<void> {
    for (const base of (await segmentsOf(this.#dir, this.partition)).filter((base) => base < this.#state.start)) {
      await removeSegment(this.#dir, this.partition, base)
    }
    const left = clipEpochs(this.#epochs, this.#state.start, this.#state.end)
    if (left.length === this.#epochs.length) return
    this.#epochs = left
    await writeEpochs(this.#dir, this.partition, left)
  }

  async closeFile(): Promise<void> {
    await this.#handle?.close()
    this.#handle = null
    this.#handleOf = -1n
  }

  async #epoch(nowMs: number): Promise<number> {
    const last = this.#epochs.at(-1)?.epoch ?? -1
    if (this.#ownEpoch) return last
    const epoch = newEpoch(nowMs, last)
    this.#epochs = [...clipEpochs(this.#epochs, this.#next.start, this.#next.end), { epoch, start: this.#next.end }]
    // On disk before the first record of the epoch is: a reader that meets it finds it told.
    await writeEpochs(this.#dir, this.partition, this.#epochs)
    this.#ownEpoch = true
    return epoch
  }

  async #roomFor(bytes: number, topic: TopicFile, nowMs: number): Promise<void> {
    const { segment, bytes: used, openedMs } = this.#next
    if (segment < 0n || (used > 0 && (used + bytes > topic.segmentBytes || nowMs - openedMs >= topic.segmentMs))) await this.#roll(nowMs)
    if (this.#handle === null || this.#handleOf !== this.#next.segment) {
      await this.closeFile()
      this.#handle = await open(segmentFile(this.#dir, this.partition, this.#next.segment), 'r+')
      this.#handleOf = this.#next.segment
    }
  }

  async #roll(nowMs: number): Promise<void> {
    if (this.#next.segment >= 0n) {
      const base = this.#next.segment
      if (this.#handle === null) this.#handle = await open(segmentFile(this.#dir, this.partition, base), 'r+')
      await this.#handle.datasync()
      this.#entries.push({
        base,
        bytes: encodeEntry({ offset: this.#next.end, position: this.#next.bytes, newestBeforeMs: this.#next.newestMs }),
      })
      await this.closeFile()
    }
    this.#handle = await newSegment(this.#dir, this.partition, this.#next.end)
    this.#handleOf = this.#next.end
    this.#next = { ...this.#next, segment: this.#next.end, bytes: 0, newestMs: -Infinity, openedMs: nowMs }
    this.#indexed = 0
  }

  async #write(batch: Buffer, records: number): Promise<void> {
    const handle = this.#handle
    if (handle === null) throw new Error('no segment is open')
    const next = this.#next
    if (next.bytes - this.#indexed >= indexEveryBytes) {
      const entry = { offset: next.end, position: next.bytes, newestBeforeMs: next.newestMs }
      this.#entries.push({ base: next.segment, bytes: encodeEntry(entry) })
      this.#indexed = next.bytes
    }
    for (let done = 0; done < batch.length;) {
      const { bytesWritten } = await handle.write(batch, done, batch.length - done, next.bytes + done)
      done += bytesWritten
    }
    next.bytes += batch.length
    next.end += BigInt(records)
    next.newestMs = Math.max(next.newestMs, batch.readDoubleLE(24))
  }

  async #sizeOf(base: bigint): Promise<number> {
    const handle = await open(segmentFile(this.#dir, this.partition, base), 'r')
    try {
      return (await handle.stat()).size
    } finally {
      await handle.close()
    }
  }
}
