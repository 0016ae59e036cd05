/**
 * What waits in memory for a shard, and how many bytes of it (promise 8).
 *
 * A record's key and value are views into the memory of the batch that brought it, 256 KiB of a log or megabytes of Kafka's answer: one small record that waits for a
 * shard that is down would keep all of that, uncounted. So what is kept is copied, into one piece of memory for the records of a shard that came together; and a value
 * is kept at all only where it may yet become a dead letter.
 */
import type { Item } from './batch.ts'
import type { MadeRow } from './made-row.ts'

export type Kept = { readonly items: Item[]; readonly bytes: number }

/** Of an item, and of each of its rows, besides what is counted: objects, offsets, the key as text. */
const objectBytes = 200
const cellBytes = 16

/** @param letters a record that a server refuses becomes a dead letter: key and value are needed until it is written */
export function keep(items: readonly Item[], letters: boolean): Kept {
  let copied = 0
  let cells = 0
  let bytes = 0
  for (const { record, rows, dead } of items) {
    const raw = (record.key?.length ?? 0) + (record.value?.length ?? 0)
    if (letters || dead !== null) copied += raw
    // Texts of cells may be slices of one text that was the whole value.
    let texts = 0
    for (const row of rows)
      for (const cell of row.cells) {
        if (typeof cell === 'string') texts += cellBytes + cell.length
        else if (Buffer.isBuffer(cell)) cells += cell.length
        else texts += Array.isArray(cell) ? cellBytes + 8 * cell.length : cellBytes
      }
    bytes += objectBytes * (1 + rows.length) + Math.max(texts, record.value?.length ?? 0)
  }
  const into = new Slab(copied + cells)
  const kept = items.map((item) => keptItem(item, letters || item.dead !== null, cells > 0, into))
  return { items: kept, bytes: bytes + copied + cells }
}

function keptItem(item: Item, letter: boolean, withBytes: boolean, into: Slab): Item {
  const { eventTimeMs, rows, dead, shards } = item
  const { partition, offset, timestampMs, key, value } = item.record
  const record = { partition, offset, timestampMs, key: letter ? into.copy(key) : null, value: letter ? into.copy(value) : null }
  const kept: Item = { record, eventTimeMs, rows: withBytes ? rows.map((row) => keptRow(row, into)) : rows, dead }
  if (shards !== undefined) kept.shards = shards
  return kept
}

/** A row that stands on every shard is one object for all of them: each gets one of its own, if it has bytes. */
function keptRow(row: MadeRow, into: Slab): MadeRow {
  if (!row.cells.some((cell) => Buffer.isBuffer(cell))) return row
  return { ...row, cells: row.cells.map((cell) => (Buffer.isBuffer(cell) ? into.copy(cell) : cell)) }
}

/** One piece of memory of exactly this size: smaller ones would come out of a pool that others keep alive. */
class Slab {
  readonly #bytes: Buffer
  #at = 0

  constructor(size: number) {
    this.#bytes = size === 0 ? nothing : Buffer.allocUnsafeSlow(size)
  }

  copy<T extends Buffer | null>(from: T): T {
    if (from === null || from.length === 0) return (from === null ? null : nothing) as T
    const to = this.#bytes.subarray(this.#at, this.#at + from.length)
    this.#at += from.copy(to)
    return to as T
  }
}

const nothing = Buffer.alloc(0)
