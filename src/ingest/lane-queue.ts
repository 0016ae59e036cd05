/** What the reader brought and the shard has not taken: chunks in the order of offsets per partition. */
import type { Chunk, Item, Range } from './batch.ts'

export type Taken = { to: bigint; leaderEpoch: number; items: Item[]; bytes: number }

type Queued = { -readonly [K in keyof Chunk]: Chunk[K] }

export class LaneQueue {
  #chunks: Queued[] = []
  /** Of each partition the one that came last, if it is still here. */
  readonly #newest = new Map<number, Queued>()
  bytes = 0
  records = 0
  /** When the oldest one came, by performance.now's clock; for lingering. */
  sinceMs = 0

  get length(): number {
    return this.#chunks.length
  }

  push(chunk: Chunk): void {
    if (this.#chunks.length === 0) this.sinceMs = performance.now()
    const last = this.#newest.get(chunk.partition)
    // Ranges without records would pile up, uncounted, for as long as the shard is down: they go to what waits of their partition, wherever that stands.
    if (last !== undefined && chunk.items.length === 0) {
      if (chunk.to > last.to) {
        last.to = chunk.to
        last.leaderEpoch = chunk.leaderEpoch
      }
      return
    }
    const queued = { ...chunk }
    this.#chunks.push(queued)
    this.#newest.set(chunk.partition, queued)
    this.bytes += chunk.bytes
    this.records += chunk.items.length
  }

  /**
   * Up to `limit` records from the front, by partition. A chunk may be cut: then the range ends where its next record begins. Chunks of a partition may overlap
   * (another shard went back, and all was read again from there): what a chunk before had is passed over, and an end is never taken back.
   */
  take(limit: number): Map<number, Taken> {
    const out = new Map<number, Taken>()
    let room = limit
    let taken = 0
    for (const chunk of this.#chunks) {
      const there = out.get(chunk.partition) ?? { to: -1n, leaderEpoch: chunk.leaderEpoch, items: [], bytes: 0 }
      out.set(chunk.partition, there)
      const known = chunk.items.findIndex(({ record }) => record.offset >= there.to)
      const fresh = known === 0 ? chunk.items : known < 0 ? [] : chunk.items.slice(known)
      const next = fresh[room]
      const items = next === undefined ? fresh : fresh.slice(0, room)
      const to = next === undefined ? chunk.to : next.record.offset
      if (to > there.to) {
        there.to = to
        there.leaderEpoch = chunk.leaderEpoch
      }
      for (const item of items) there.items.push(item)
      room -= items.length
      const rest = next === undefined ? [] : fresh.slice(items.length)
      const share = rest.length === 0 ? chunk.bytes : Math.round((chunk.bytes * items.length) / fresh.length)
      there.bytes += share
      this.bytes -= share
      this.records -= chunk.items.length - rest.length
      if (next !== undefined) {
        chunk.items = rest
        chunk.bytes -= share
        break
      }
      if (this.#newest.get(chunk.partition) === chunk) this.#newest.delete(chunk.partition)
      taken++
      if (room <= 0) break
    }
    this.#chunks.splice(0, taken)
    this.sinceMs = performance.now()
    return out
  }

  /** To the front again: they come before all else of their partitions. */
  putBack(ranges: readonly Range[]): void {
    const chunks = ranges.map(({ partition, to, leaderEpoch, items, bytes = 0 }): Queued => ({ partition, to, leaderEpoch, items, bytes }))
    this.#chunks.unshift(...chunks)
    for (const chunk of chunks) {
      this.records += chunk.items.length
      this.bytes += chunk.bytes
      if (!this.#newest.has(chunk.partition)) this.#newest.set(chunk.partition, chunk)
    }
  }

  drop(partition: number): void {
    this.#newest.delete(partition)
    this.#chunks = this.#chunks.filter((chunk) => {
      if (chunk.partition !== partition) return true
      this.bytes -= chunk.bytes
      this.records -= chunk.items.length
      return false
    })
  }
}
