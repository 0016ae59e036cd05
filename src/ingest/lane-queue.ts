/** What the reader brought and the shard has not taken: chunks in the order of offsets per partition. */
import type { Chunk, Item, Range } from './batch.ts'

export type Taken = { to: bigint; leaderEpoch: number; items: Item[] }

export class LaneQueue {
  #chunks: Chunk[] = []
  bytes = 0
  records = 0
  /** When the oldest one came, by performance.now's clock; for lingering. */
  sinceMs = 0

  get length(): number {
    return this.#chunks.length
  }

  push(chunk: Chunk): void {
    if (this.#chunks.length === 0) this.sinceMs = performance.now()
    const last = this.#chunks.at(-1)
    // Ranges without records would pile up one chunk for each read.
    if (last !== undefined && last.partition === chunk.partition && chunk.items.length === 0) {
      this.#chunks[this.#chunks.length - 1] = { ...last, to: chunk.to, leaderEpoch: chunk.leaderEpoch }
      return
    }
    this.#chunks.push(chunk)
    this.bytes += chunk.bytes
    this.records += chunk.items.length
  }

  /** Up to `limit` records from the front, by partition. A chunk may be cut: then the range ends where its next record begins. */
  take(limit: number): Map<number, Taken> {
    const out = new Map<number, Taken>()
    let room = limit
    let taken = 0
    for (const chunk of this.#chunks) {
      const there = out.get(chunk.partition)
      const next = chunk.items[room]
      const items = next === undefined ? chunk.items : chunk.items.slice(0, room)
      const to = next === undefined ? chunk.to : next.record.offset
      if (there === undefined) out.set(chunk.partition, { to, leaderEpoch: chunk.leaderEpoch, items: [...items] })
      else {
        there.to = to
        there.leaderEpoch = chunk.leaderEpoch
        for (const item of items) there.items.push(item)
      }
      room -= items.length
      if (next !== undefined) {
        const share = Math.round((chunk.bytes * items.length) / chunk.items.length)
        this.#chunks[taken] = { ...chunk, items: chunk.items.slice(items.length), bytes: chunk.bytes - share }
        this.bytes -= share
        break
      }
      taken++
      this.bytes -= chunk.bytes
      if (room <= 0) break
    }
    this.records -= limit - room
    this.#chunks.splice(0, taken)
    this.sinceMs = performance.now()
    return out
  }

  /** To the front again: they come before all else of their partitions. */
  putBack(ranges: readonly Range[]): void {
    const chunks = ranges.map(({ partition, to, leaderEpoch, items }): Chunk => ({ partition, to, leaderEpoch, items, bytes: 0 }))
    this.#chunks.unshift(...chunks)
    for (const { items } of chunks) this.records += items.length
  }

  drop(partition: number): void {
    this.#chunks = this.#chunks.filter((chunk) => {
      if (chunk.partition !== partition) return true
      this.bytes -= chunk.bytes
      this.records -= chunk.items.length
      return false
    })
  }
}
