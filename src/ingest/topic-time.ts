/**
 * How far time is in a topic, for what expires by it (PROTOCOLS 4.10): the least, over its partitions, of the newest event that is written.
 *
 * The least, so that one event of a producer with a wrong clock moves it nowhere as long as another partition has none such; never beyond our own clock, so that what
 * a wrong clock says of next year ends no row of this one. Null while a partition that counts has had no event, or nothing is known.
 *
 * A partition that *rests* does not count: every shard has all that it holds, and its newest event has been the same for `restMs`. One that is empty, or that lost its
 * producer, would otherwise keep all rows of the keyspace for ever. What may still come to it can be older than the floor by then (a producer that was away and sends what
 * it has kept): such rows are late, dropped and counted on both branches alike. They are none that anybody would have had for long: rows below the floor are older by a whole
 * retention than what the others have, and the next purge would take them. When all rest, nothing has come to the topic: its time stands, as those that had events say.
 *
 * "Has all that it holds" is judged against ends that were read *before* the shards' positions; a partition that is behind counts, however long its newest event
 * stays: what it has yet to bring may be older, and is not late by our doing.
 */
export type PartitionSeen = {
  /** Of the newest event that any shard has of it; null: none yet. */
  readonly newestMs: number | null
  /** Every shard is at or past the end. */
  readonly readToEnd: boolean
}

export type TopicNow = {
  readonly ms: number | null
  /** The partition that holds it where it is, or back altogether; null: none is known, or all rest. */
  readonly heldBy: number | null
}

export class TopicTime {
  readonly #restMs: number
  /** Since when the newest event of a partition is this one, by the monotonic clock. */
  readonly #since = new Map<number, { readonly newestMs: number | null; readonly atMs: number }>()

  constructor(restMs: number) {
    this.#restMs = restMs
  }

  /** @param seen every partition of the topic; one that is left out is not known, and counts */
  look(
    seen: ReadonlyMap<number, PartitionSeen>,
    partitions: number,
    now: { readonly wallMs: number; readonly monotonicMs: number },
  ): TopicNow {
    let least: { partition: number; ms: number } | null = null
    let resting = Infinity
    for (let partition = 0; partition < partitions; partition++) {
      const { newestMs, readToEnd } = seen.get(partition) ?? { newestMs: null, readToEnd: false }
      if (this.#sameFor(partition, newestMs, now.monotonicMs) >= this.#restMs && readToEnd) {
        resting = Math.min(resting, newestMs ?? Infinity)
        continue
      }
      const ms = newestMs ?? -Infinity
      if (least === null || ms < least.ms) least = { partition, ms }
    }
    const ms = least?.ms ?? resting
    return { ms: Number.isFinite(ms) ? Math.min(ms, now.wallMs) : null, heldBy: least?.partition ?? null }
  }

  #sameFor(partition: number, newestMs: number | null, atMs: number): number {
    const since = this.#since.get(partition)
    if (since !== undefined && since.newestMs === newestMs) return atMs - since.atMs
    this.#since.set(partition, { newestMs, atMs })
    return 0
  }
}
