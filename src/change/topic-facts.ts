/** What a topic surely holds, how fast it grows, how large its records are: asked of the broker, and read from a few records. */
import type { Clock } from '../base/clock.ts'
import type { Topic } from '../topic/topic.ts'

export type TopicFacts = {
  /** The least of its partitions; null: for ever. */
  readonly surelyMs: number | null
  readonly bytesLimit: bigint | null
  readonly raisable: boolean | null
}

/**
 * `retention.ms` is what the broker keeps at least, unless a limit by bytes removes earlier: then what is held now is what counts, by the oldest record of each
 * partition that has lost some already.
 */
export async function topicFacts(topic: Topic, clock: Clock): Promise<TopicFacts> {
  const { ms, bytes } = await topic.retention()
  let surelyMs = ms === null ? null : Number(ms)
  if (bytes !== null) {
    const starts = await topic.startOffsets()
    const trimmed = [...starts].filter(([, offset]) => offset > 0n).map(([partition]) => partition)
    if (trimmed.length > 0) {
      const oldest = await oldestMs(topic, starts, trimmed)
      for (const atMs of oldest.values()) {
        const age = Math.max(0, clock.nowMs() - atMs)
        surelyMs = surelyMs === null ? age : Math.min(surelyMs, age)
      }
    }
  }
  return { surelyMs, bytesLimit: bytes, raisable: null }
}

/** Of the first record that each of the partitions holds: its own time. A partition that holds none is left out. */
export async function oldestMs(
  topic: Pick<Topic, 'read'>,
  starts: ReadonlyMap<number, bigint>,
  partitions: readonly number[],
): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  const stop = new AbortController()
  const positions = new Map(partitions.map((partition) => [partition, { offset: starts.get(partition) ?? 0n }]))
  let turns = 0
  for await (const batch of topic.read(positions, { bytesMax: 1 << 18, signal: stop.signal, idleMs: 200 })) {
    for (const record of batch.records) if (!found.has(record.partition)) found.set(record.partition, record.timestampMs)
    if (found.size === partitions.length || ++turns > 50) break
  }
  stop.abort()
  return found
}

export type TopicRate = { readonly eventsPerSecond: number; readonly eventBytes: number | null }

/** Two looks at its ends; the size of the newest records. */
export async function topicRate(topic: Topic, clock: Clock, forMs: number, signal: AbortSignal): Promise<TopicRate> {
  const before = await topic.endOffsets()
  const sinceMs = clock.monotonicMs()
  await clock.sleep(forMs, signal)
  const after = await topic.endOffsets()
  const seconds = (clock.monotonicMs() - sinceMs) / 1000
  let grown = 0n
  for (const [partition, offset] of after) grown += offset - (before.get(partition) ?? offset)
  return { eventsPerSecond: Number(grown) / seconds, eventBytes: await recordBytes(topic, after) }
}

/** Of the newest records; null: there are none. */
export async function recordBytes(topic: Topic, ends: ReadonlyMap<number, bigint>): Promise<number | null> {
  const starts = await topic.startOffsets()
  const positions = new Map<number, { offset: bigint }>()
  for (const [partition, end] of ends) {
    const start = starts.get(partition) ?? 0n
    if (end > start) positions.set(partition, { offset: end - 100n > start ? end - 100n : start })
  }
  if (positions.size === 0) return null
  const stop = new AbortController()
  let records = 0
  let bytes = 0
  for await (const batch of topic.read(positions, { bytesMax: 1 << 18, signal: stop.signal, idleMs: 200 })) {
    for (const record of batch.records) {
      records++
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
    }
    break
  }
  stop.abort()
  return records === 0 ? null : bytes / records
}
