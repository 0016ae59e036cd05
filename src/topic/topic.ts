/**
 * Durable topics: what dual-write reads. Implemented by the embedded log (`log://`) and by Kafka (`kafka://`); both pass
 * `conformance.ts`. Open them with `openTopic` and `openProducer` (`open.ts`).
 *
 * What callers build on:
 * - A topic has partitions 0 … n-1. Within one, offsets only grow; they need not be consecutive (transactions, compaction).
 *   `next` of a batch, not "last offset + 1", is where reading goes on.
 * - Nothing is stored here for a reader: no group, no commit. The caller keeps `next` with its rows and gives it back.
 * - A requested offset that is gone is SW-TOPIC-001 and names the missing range; beyond the end it is SW-TOPIC-004. There
 *   is no reset of any kind, to any side. Where a gap is judged and where the records come from is the same answer (PROTOCOLS 4.7).
 * - `leaderEpoch` goes with an offset: the epoch under which the record *before* that offset was written, as the batch
 *   said. Given back with the position it lets the log tell that it was truncated and regrown (SW-TOPIC-004), though the
 *   offset exists. -1 (or absent): not known, not checked.
 * - What can be read is durable: on Kafka up to the last stable offset (committed transactions only), in the embedded log what was fsynced.
 * - The number of partitions and the topic's id are those of the moment of opening; a change of either ends every read
 *   with SW-TOPIC-002 or -003. It is on purpose that nothing goes on by itself: keys have moved between partitions.
 * - Trouble that may pass (a broker lost, a leader moving) is waited out inside `read`, told by `onTrouble`, and never ends it.
 * - Backpressure: a batch holds at most `bytesMax` of keys, values and headers, or one record that is larger. While the
 *   caller does not ask for the next one, at most one answer per broker is waiting (none with the embedded log). Pausing
 *   is not asking.
 * - Key and value are views into the batch's memory: copy what must outlive the batch.
 */
export type TopicRecord = {
  readonly partition: number
  readonly offset: bigint
  /** Event or append time as the topic is configured, Unix milliseconds. */
  readonly timestampMs: number
  readonly key: Buffer | null
  /** `null`: a tombstone. */
  readonly value: Buffer | null
  readonly headers?: readonly TopicHeader[]
}

export type TopicHeader = readonly [name: Buffer, value: Buffer]

/** Where a partition's reading goes on. */
export type TopicPosition = {
  readonly offset: bigint
  /** Epoch of the record before `offset`; -1 or absent: unknown. Fits an int32. */
  readonly leaderEpoch?: number
}

export type TopicBatch = {
  /** Those of one partition stand together, by offset. Empty in a batch that only tells how things stand. */
  readonly records: readonly TopicRecord[]
  /** For every partition whose position moved in this batch: also over offsets without a record. */
  readonly next: ReadonlyMap<number, { readonly offset: bigint; readonly leaderEpoch: number }>
  /** As the answers said that brought this batch; only the partitions that answered. Absent is unknown, not zero. */
  readonly logStart: ReadonlyMap<number, bigint>
  /** End of what can be read: `highWatermark - next` is the lag in offsets. Only the partitions that answered. */
  readonly highWatermark: ReadonlyMap<number, bigint>
}

export type ReadOptions = {
  readonly bytesMax: number
  /** Aborted: the generator returns (does not throw). */
  readonly signal: AbortSignal
  /** A batch comes at least this often while the topic can be reached, with nothing in it if need be. Default 1000. */
  readonly idleMs?: number
  /** Told of each attempt that failed and is tried again. */
  readonly onTrouble?: (error: Error) => void
}

export type Retention = {
  /** `null`: unlimited. */
  readonly ms: bigint | null
  /** Per partition; `null`: unlimited. Limits also when `ms` does not. */
  readonly bytes: bigint | null
  /** Whether `ms` is the topic's own setting or the broker's default: what "put back" means. */
  readonly msFrom: 'topic' | 'default'
}

export interface Topic extends AsyncDisposable {
  /** Made once with the topic; a topic of the same name made later has another. */
  readonly id: string
  readonly name: string
  readonly url: string
  /** How many partitions it had when opened. */
  readonly partitions: number
  /** First offset still held, by partition. */
  startOffsets(): Promise<Map<number, bigint>>
  /** End of what can be read (the next offset to be written, or the first of an open transaction), by partition. */
  endOffsets(): Promise<Map<number, bigint>>
  /** First offset whose record's timestamp is at or after `timestampMs`, else the end, by partition. */
  offsetsAt(timestampMs: number): Promise<Map<number, bigint>>
  /** Position (offset and epoch) of the present end: a start position that a truncation cannot pass unseen. */
  endPositions(): Promise<Map<number, { offset: bigint; leaderEpoch: number }>>
  retention(): Promise<Retention>
  /** `null`: unlimited; 'default': the topic's own setting is removed. Returns when it is in force. @throws SW-TOPIC-009 when not allowed */
  setRetentionMs(ms: bigint | null | 'default'): Promise<void>
  /**
   * Reads these partitions from these positions until aborted. Several reads of one topic may run at a time.
   * @throws SW-TOPIC-001 offset gone, -002 partition count changed, -003 topic gone or made anew, -004 log truncated
   */
  read(positions: ReadonlyMap<number, TopicPosition>, options: ReadOptions): AsyncGenerator<TopicBatch, void, undefined>
  close(): Promise<void>
}

export type RecordToSend = {
  /** Left out: by the key's hash, as Kafka's own clients do (murmur2); without a key, round robin by send. */
  readonly partition?: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Default: now. */
  readonly timestampMs?: number
  readonly headers?: readonly TopicHeader[]
}

export interface TopicProducer extends AsyncDisposable {
  readonly partitions: number
  /**
   * Resolves when all of them are durable, with partition and offset of each in the order given. Records of one send to
   * one partition stand in the order given; sends run in the order called, per partition.
   * @throws SW-TOPIC-010 (class unknown) when it may or may not have been written: a repetition can double
   */
  send(records: readonly RecordToSend[]): Promise<SentRecord[]>
  close(): Promise<void>
}

export type SentRecord = { readonly partition: number; readonly offset: bigint }

/** What a topic is made with. */
export type TopicSpec = {
  readonly partitions: number
  /** Default: unlimited for the embedded log, the broker's default for Kafka. */
  readonly retentionMs?: bigint | null
  readonly retentionBytes?: bigint | null
  /** Retention removes whole segments: a segment is closed at this size or age. */
  readonly segmentBytes?: number
  readonly segmentMs?: number
  /** Kafka only. */
  readonly replicas?: number
}
