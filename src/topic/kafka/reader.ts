/**
 * Reads partitions by explicit positions over the client's `fetch`: no group, nothing committed, no reset.
 *
 * - One fetch per broker is under way at a time, each long-polled by itself, so a quiet broker does not hold up another's
 *   records. A broker is asked again only when what it gave has been passed on.
 * - Each request carries the epoch of the last record read: a broker whose log went another way answers with where they
 *   part (KIP-320/595), and reading ends with SW-TOPIC-004. It carries the leader epoch of the metadata too, so a broker
 *   that does not know yet that it is deposed is refused an answer.
 * - OFFSET_OUT_OF_RANGE is judged against the log's ends: below is SW-TOPIC-001 with the range, beyond is SW-TOPIC-004.
 * - Everything else is waited out: metadata anew, and the fetch from the position that was last passed on.
 * - Metadata is read anew every few seconds: number of partitions and topic id must be those of the opening.
 */
import { append } from '../../base/append.ts'
import type { Clock } from '../../base/clock.ts'
import { topicErrors } from '../errors.ts'
import type { ReadOptions, TopicBatch, TopicPosition, TopicRecord } from '../topic.ts'
import type { KafkaAddress } from '../url.ts'
import { asRefusal, asUnreachable, hasApiError, isRefusal, isUnknownTopic, type RawConsumer } from './client.ts'
import { committedBatches, type Aborted, type RawBatch } from './committed.ts'

const metadataEveryMs = 3_000
/** A topic that metadata does not know for so long is gone; just made or just after a restart it may be unknown for a moment. */
const goneAfterMs = 6_000
const brokerWaitMs = 500
/** A leader that was elected this moment may refuse what it will know a moment later. */
const refusalsMax = 5
const logAppendTime = 0x08

export type ReaderOptions = ReadOptions & {
  readonly address: KafkaAddress
  readonly topicId: string
  readonly partitions: number
  readonly clock: Clock
  readonly consumer: RawConsumer
}

type Position = { offset: bigint; leaderEpoch: number }

type Metadata = { readonly leaders: ReadonlyMap<number, { readonly node: number; readonly epoch: number }> }

type RawPartition = {
  readonly partitionIndex: number
  readonly errorCode: number
  readonly lastStableOffset: bigint
  readonly logStartOffset: bigint
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: bigint }
  readonly abortedTransactions: readonly Aborted[] | null
  readonly records?: readonly RawBatch[] | null
}

type Answer = {
  readonly node: number
  readonly asked: readonly number[]
  readonly partitions: readonly RawPartition[]
  readonly error: unknown
}

/** What an answer gave for one partition. */
type Taken = { readonly partition: number; readonly records: TopicRecord[]; readonly epochs: number[]; readonly next: Position }

export class KafkaReader {
  readonly #options: ReaderOptions
  readonly #positions = new Map<number, Position>()
  readonly #logStart = new Map<number, bigint>()
  readonly #end = new Map<number, bigint>()
  readonly #pending = new Map<number, Promise<Answer>>()
  readonly #busy = new Set<number>()
  /** How often a position within the log was refused in a row. */
  readonly #refused = new Map<number, number>()
  #metadata: Metadata | null = null
  /** Whose partitions without a leader were told of. */
  #told: Metadata | null = null
  #metadataAt = -Infinity
  #unknownSince: number | null = null
  #pauseMs = 0

  constructor(positions: ReadonlyMap<number, TopicPosition>, options: ReaderOptions) {
    this.#options = options
    for (const [partition, from] of positions) {
      if (!Number.isInteger(partition) || partition < 0 || partition >= options.partitions)
        throw topicErrors.badRequest({ topic: options.address.topic, reason: `it has no partition ${partition}` })
      this.#positions.set(partition, { offset: from.offset, leaderEpoch: from.leaderEpoch ?? -1 })
    }
  }

  async *read(): AsyncGenerator<TopicBatch, void, undefined> {
    const { signal, clock, idleMs = 1_000 } = this.#options
    // By partition: those of a quiet broker are told of too, while another has records all the time.
    const toldAtMs = new Map<number, number>()
    const beganMs = clock.monotonicMs()
    while (!signal.aborted) {
      const answers = await this.#round()
      if (signal.aborted) return
      const taken = answers.flatMap((answer) => this.#take(answer))
      for (const batch of this.#batches(taken, answers)) {
        const nowMs = clock.monotonicMs()
        const lately = (partition: number): boolean => nowMs - (toldAtMs.get(partition) ?? beganMs) < idleMs
        if (batch.next.size === 0 && [...batch.highWatermark.keys()].every(lately)) continue
        yield batch
        for (const partition of batch.highWatermark.keys()) toldAtMs.set(partition, clock.monotonicMs())
      }
      if (this.#pauseMs > 0) await clock.sleep(this.#pauseMs, signal).catch(() => undefined)
    }
  }

  /** Sends what can be sent, waits for the first answer, and returns all that are there. Nothing when something has to be waited out. */
  async #round(): Promise<Answer[]> {
    this.#pauseMs = 0
    try {
      const metadata = await this.#currentMetadata()
      const free = [...this.#positions.keys()].filter((partition) => !this.#busy.has(partition))
      const byNode = new Map<number, number[]>()
      for (const partition of free) {
        const leader = metadata.leaders.get(partition)
        if (leader !== undefined && leader.node >= 0) append(byNode, leader.node, partition)
      }
      this.#tellLeaderless(metadata)
      const nodes = new Set([...byNode.keys(), ...this.#pending.keys()]).size
      for (const [node, partitions] of byNode) if (!this.#pending.has(node)) this.#ask(node, partitions, nodes, metadata)
      if (this.#pending.size === 0) throw new Error('no partition has a leader now')
    } catch (error) {
      this.#waitOut(error)
      return []
    }
    if (!(await anyOf([...this.#pending.values()], this.#options.signal))) return []
    const answers: Answer[] = []
    for (const [node, pending] of this.#pending) {
      const answer = await Promise.race([pending, Promise.resolve(null)])
      if (answer === null) continue
      this.#pending.delete(node)
      for (const partition of answer.asked) this.#busy.delete(partition)
      await this.#judge(answer)
      answers.push(answer)
    }
    return answers
  }

  /** They are read when they have one; while others answer, nothing else would say why these stand still. Once for each look at the metadata. */
  #tellLeaderless(metadata: Metadata): void {
    if (this.#told === metadata) return
    this.#told = metadata
    const without = [...this.#positions.keys()].filter((partition) => (metadata.leaders.get(partition)?.node ?? -1) < 0)
    if (without.length === 0 || without.length === this.#positions.size) return
    this.#options.onTrouble?.(asUnreachable(new Error(`no leader now for partition ${without.join(', ')}`), this.#options.address))
  }

  #ask(node: number, partitions: readonly number[], nodes: number, metadata: Metadata): void {
    const { consumer, bytesMax, topicId, idleMs = 1_000 } = this.#options
    const maxBytes = Math.max(1, Math.floor(bytesMax / nodes))
    for (const partition of partitions) this.#busy.add(partition)
    const request = {
      node,
      minBytes: 1,
      maxBytes,
      maxWaitTime: Math.max(1, Math.min(brokerWaitMs, idleMs)),
      isolationLevel: 1,
      topics: [
        {
          topicId,
          partitions: partitions.map((partition) => {
            const position = this.#position(partition)
            return {
              partition,
              fetchOffset: position.offset,
              partitionMaxBytes: Math.max(1, Math.floor(maxBytes / partitions.length)),
              currentLeaderEpoch: metadata.leaders.get(partition)?.epoch ?? -1,
              lastFetchedEpoch: position.leaderEpoch,
            }
          }),
        },
      ],
    }
    const asked = [...partitions]
    const answer = consumer.fetch(request).then(
      (response): Answer => ({ node, asked, partitions: response.responses.flatMap((topic) => topic.partitions), error: null }),
      (error: unknown): Answer => ({ node, asked, partitions: partitionsOf(error), error }),
    )
    this.#pending.set(node, answer)
  }

  /** @throws what ends the reading */
  async #judge(answer: Answer): Promise<void> {
    const { topic } = this.#options.address
    for (const part of answer.partitions) {
      const diverging = part.divergingEpoch
      if (part.errorCode !== 0 || diverging === undefined || (diverging.epoch < 0 && diverging.endOffset < 0n)) continue
      const { offset, leaderEpoch } = this.#position(part.partitionIndex)
      throw topicErrors.logTruncated({ topic, partition: part.partitionIndex, offset, epoch: leaderEpoch, end: diverging.endOffset })
    }
    if (answer.error === null) return
    if (hasApiError(answer.error, 'OFFSET_OUT_OF_RANGE')) {
      const wrong = answer.partitions.filter((part) => part.errorCode === 1).map((part) => part.partitionIndex)
      await this.#judgeRange(wrong.length > 0 ? wrong : answer.asked)
    }
    this.#waitOut(answer.error)
  }

  async #judgeRange(partitions: readonly number[]): Promise<void> {
    const { consumer, address } = this.#options
    let starts: bigint[] | undefined
    let ends: bigint[] | undefined
    try {
      starts = (await consumer.listOffsets({ topics: [address.topic], timestamp: -2n })).get(address.topic)
      ends = (await consumer.listOffsets({ topics: [address.topic], timestamp: -1n })).get(address.topic)
    } catch (error) {
      this.#waitOut(error)
      return
    }
    for (const partition of partitions) {
      const { offset, leaderEpoch } = this.#position(partition)
      const start = starts?.[partition]
      const end = ends?.[partition]
      if (start !== undefined && offset < start)
        throw topicErrors.offsetOutOfRange({ topic: address.topic, partition, from: offset, last: start - 1n, logStart: start })
      if (end !== undefined && offset > end)
        throw topicErrors.logTruncated({ topic: address.topic, partition, offset, epoch: leaderEpoch, end })
      // Within the log, and refused all the same: the leader does not know the epoch that was sent, so it never was its own.
      const refused = (this.#refused.get(partition) ?? 0) + 1
      this.#refused.set(partition, refused)
      if (leaderEpoch >= 0 && start !== undefined && end !== undefined && refused >= refusalsMax)
        throw topicErrors.logTruncated({ topic: address.topic, partition, offset, epoch: leaderEpoch, end })
    }
  }

  #take(answer: Answer): Taken[] {
    const taken: Taken[] = []
    for (const part of answer.partitions) {
      if (part.errorCode !== 0) continue
      const partition = part.partitionIndex
      const position = this.#position(partition)
      if (part.logStartOffset >= 0n) this.#logStart.set(partition, part.logStartOffset)
      if (part.lastStableOffset >= 0n) this.#end.set(partition, part.lastStableOffset)
      const batches = part.records ?? []
      const records: TopicRecord[] = []
      const epochs: number[] = []
      for (const batch of committedBatches(batches, part.abortedTransactions ?? [])) {
        addRecords(records, batch, partition, position.offset)
        while (epochs.length < records.length) epochs.push(batch.partitionLeaderEpoch)
      }
      const last = batches.at(-1)
      if (last === undefined) continue
      const offset = last.firstOffset + BigInt(last.lastOffsetDelta) + 1n
      if (offset <= position.offset) continue
      const next = { offset, leaderEpoch: last.partitionLeaderEpoch }
      this.#positions.set(partition, next)
      this.#refused.delete(partition)
      taken.push({ partition, records, epochs, next })
    }
    return taken
  }

  /** Cuts what was taken into batches of at most `bytesMax`. */
  *#batches(taken: readonly Taken[], answers: readonly Answer[]): Generator<TopicBatch, void, undefined> {
    const told = new Set(answers.filter((answer) => answer.error === null).flatMap((answer) => answer.asked))
    if (told.size === 0 && taken.length === 0) return
    // A partition that a broker left out of an answer has not changed (fetch sessions, KIP-227).
    const logStart = new Map([...this.#logStart].filter(([partition]) => told.has(partition)))
    const highWatermark = new Map([...this.#end].filter(([partition]) => told.has(partition)))
    let records: TopicRecord[] = []
    let next = new Map<number, Position>()
    let bytes = 0
    for (const { partition, records: list, epochs, next: end } of taken) {
      for (const [at, record] of list.entries()) {
        const size = sizeOf(record)
        if (bytes + size > this.#options.bytesMax && records.length > 0) {
          yield { records, next, logStart, highWatermark }
          records = []
          next = new Map()
          bytes = 0
        }
        records.push(record)
        bytes += size
        next.set(partition, { offset: record.offset + 1n, leaderEpoch: epochs[at] ?? -1 })
      }
      next.set(partition, end)
    }
    yield { records, next, logStart, highWatermark }
  }

  async #currentMetadata(): Promise<Metadata> {
    const { consumer, address, clock, topicId, partitions } = this.#options
    const nowMs = clock.monotonicMs()
    if (this.#metadata !== null && nowMs - this.#metadataAt < metadataEveryMs) return this.#metadata
    const { topic } = address
    const found = (await consumer.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
    if (found === undefined) throw new Error('the brokers do not know the topic now')
    if (found.id !== topicId) throw topicErrors.topicGone({ topic, id: topicId, reason: `another one, ${found.id}, has its name` })
    if (found.partitionsCount !== partitions)
      throw topicErrors.partitionCountChanged({ topic, before: partitions, now: found.partitionsCount })
    this.#unknownSince = null
    const leaders = new Map<number, { node: number; epoch: number }>()
    for (let partition = 0; partition < partitions; partition++) {
      const at = found.partitions[partition]
      if (at !== undefined) leaders.set(partition, { node: at.leader, epoch: at.leaderEpoch })
    }
    this.#metadata = { leaders }
    this.#metadataAt = nowMs
    return this.#metadata
  }

  /** Makes the next round begin with fresh metadata, after a pause. @throws what waiting cannot mend */
  #waitOut(error: unknown): void {
    const { address, consumer, clock, topicId, onTrouble } = this.#options
    if (isOurs(error)) throw error
    if (isRefusal(error)) throw asRefusal(error, address, 'reading')
    if (isUnknownTopic(error)) {
      this.#unknownSince ??= clock.monotonicMs()
      if (clock.monotonicMs() - this.#unknownSince > goneAfterMs)
        throw topicErrors.topicGone({ topic: address.topic, id: topicId, reason: 'the brokers do not know it' }, error)
    }
    consumer.clearMetadata()
    this.#metadata = null
    this.#pauseMs = 200
    onTrouble?.(asUnreachable(error, address))
  }

  #position(partition: number): Position {
    return this.#positions.get(partition) ?? { offset: 0n, leaderEpoch: -1 }
  }
}

function addRecords(records: TopicRecord[], batch: RawBatch, partition: number, from: bigint): void {
  const appended = (batch.attributes & logAppendTime) !== 0
  for (const record of batch.records) {
    const offset = batch.firstOffset + BigInt(record.offsetDelta)
    // A batch is given whole: what stands before the offset asked for was read earlier.
    if (offset < from) continue
    const timestampMs = Number(appended ? batch.maxTimestamp : batch.firstTimestamp + record.timestampDelta)
    const { key, value } = record
    if (record.headers.length === 0) records.push({ partition, offset, timestampMs, key, value })
    else
      records.push({
        partition,
        offset,
        timestampMs,
        key,
        value,
        headers: record.headers.map(([name, text]) => [name ?? Buffer.alloc(0), text ?? Buffer.alloc(0)] as const),
      })
  }
}

function sizeOf(record: TopicRecord): number {
  let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of record.headers ?? []) bytes += name.length + value.length
  return bytes
}

function isOurs(error: unknown): boolean {
  return error instanceof Error && error.name === 'SwError'
}

/** An answer in which one partition failed still holds the others'. */
function partitionsOf(error: unknown): RawPartition[] {
  const response = (error as { response?: { responses?: { partitions: RawPartition[] }[] } } | null)?.response
  return (response?.responses ?? []).flatMap((topic) => topic.partitions)
}

/** False: the signal came first. Leaves nothing at the signal, which outlives many rounds. */
function anyOf(pending: readonly Promise<unknown>[], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (): void => {
      signal.removeEventListener('abort', end)
      resolve(!signal.aborted)
    }
    if (signal.aborted) return resolve(false)
    signal.addEventListener('abort', end)
    for (const one of pending) void one.then(end)
  })
}
