/**
 * Puts the streams of several shards together: one after the other, merged by their order, or aggregated. Streams stay lazy
 * wherever they can: what has not been asked for waits at its server.
 */
import { BinaryRows } from '../mysql/binary-rows.ts'
import type { Column, RawRow, RowBatch, RowStream } from '../mysql/connection.ts'
import { columnFlag } from '../wire/column-types.ts'
import { Aggregator } from './aggregate.ts'
import { columnAt, rowCompare } from './compare.ts'
import { StaleColumns } from './execution-errors.ts'
import type { Held } from './memory.ts'
import type { Merge, Slot, SortKey } from './plan/plan.ts'

export type MergeOutput = {
  columns(columns: readonly Column[], hidden: number): void
  row(row: RawRow): Promise<void> | undefined
  /** A row of an execution as its server sent it: given instead of its cells where all servers have the same types. */
  packet?(rows: BinaryRows, row: number): Promise<void> | undefined
}

export type MergeOptions = { held: Pick<Held, 'add'>; form: 'text' | 'binary'; resolve(slot: Slot): string | null }

export async function mergeStreams(streams: readonly RowStream[], merge: Merge, out: MergeOutput, options: MergeOptions): Promise<void> {
  const columns = commonColumns(streams)
  out.columns(columns, merge.hiddenColumns)
  const window = new Window(merge.offset, merge.limit, out, options.form === 'binary' && haveSameTypes(streams))
  switch (merge.kind) {
    case 'concat':
      for (const stream of streams) {
        for await (const batch of stream) {
          for (let i = 0; i < batch.length && !window.full; i++) {
            const wait = window.row(batch, i)
            if (wait !== undefined) await wait
          }
        }
      }
      return
    case 'sort':
      return await mergeSorted(streams, merge.keys, columns, window)
    case 'aggregate': {
      let noted = 0
      const aggregator = new Aggregator(merge, columns, options.form)
      // Compiled before a row is read: what can't be compared is refused at once.
      const compare = merge.keys.length === 0 ? null : rowCompare(merge.keys, columns)
      await Promise.all(
        streams.map(async (stream) => {
          for await (const batch of stream) {
            for (let i = 0; i < batch.length; i++) aggregator.add(batch.row(i))
            options.held.add(aggregator.bytes - noted)
            noted = aggregator.bytes
          }
        }),
      )
      const rows = aggregator.finish(options.resolve)
      if (compare !== null) rows.sort(compare)
      for (const row of rows) {
        if (window.full) return
        const wait = window.cells(row)
        if (wait !== undefined) await wait
      }
    }
  }
}

/** OFFSET and LIMIT. */
class Window {
  #skip: bigint
  #left: bigint | null
  readonly #out: MergeOutput
  readonly #asSent: boolean

  /** @param asSent rows of executions may be passed on as they are */
  constructor(offset: bigint, limit: bigint | null, out: MergeOutput, asSent: boolean) {
    this.#skip = offset
    this.#left = limit
    this.#out = out
    this.#asSent = asSent
  }

  get full(): boolean {
    return this.#left === 0n
  }

  row(batch: RowBatch, row: number): Promise<void> | undefined {
    if (!this.#next()) return undefined
    if (this.#asSent && this.#out.packet !== undefined && batch instanceof BinaryRows) return this.#out.packet(batch, row)
    return this.#out.row(batch.row(row))
  }

  cells(row: RawRow): Promise<void> | undefined {
    return this.#next() ? this.#out.row(row) : undefined
  }

  /** Whether the row that comes is within. */
  #next(): boolean {
    if (this.#left === 0n) return false
    if (this.#skip > 0n) {
      this.#skip--
      return false
    }
    if (this.#left !== null) this.#left--
    return true
  }
}

class Cursor {
  readonly #iterator: AsyncIterator<RowBatch>
  readonly #keys: readonly number[]
  #next = 0
  batch: RowBatch | null = null
  /** The row at hand, of `batch`. */
  at = 0
  /** What it is compared by; null: there are no more rows. */
  key: RawRow | null = null

  /** @param keys columns that are compared */
  constructor(stream: RowStream, keys: readonly number[]) {
    this.#iterator = stream[Symbol.asyncIterator]()
    this.#keys = keys
  }

  /** Goes on within what is here; false: `refill` must be awaited. */
  step(): boolean {
    const { batch } = this
    if (batch === null || this.#next >= batch.length) return false
    this.at = this.#next++
    const key: RawRow = []
    for (const column of this.#keys) key.push(batch.cell(this.at, column))
    this.key = key
    return true
  }

  async refill(): Promise<void> {
    for (;;) {
      const next = await this.#iterator.next()
      if (next.done === true) {
        this.batch = null
        this.key = null
        return
      }
      this.batch = next.value
      this.#next = 0
      if (this.step()) return
    }
  }

  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}

/** The first of equal rows is that of the first shard: the order is the same every time. */
async function mergeSorted(
  streams: readonly RowStream[],
  keys: readonly SortKey[],
  columns: readonly Column[],
  window: Window,
): Promise<void> {
  // Of rows that are passed on as they were sent, only what is compared is read.
  const compared = keys.map(({ column }) => columnAt(column, columns.length))
  const compare = rowCompare(
    keys.map((key, i) => ({ ...key, column: i })),
    compared.map((at) => columns[at] as Column),
  )
  const cursors = streams.map((stream) => new Cursor(stream, compared))
  await Promise.all(cursors.map((cursor) => cursor.refill()))
  try {
    while (!window.full) {
      let best: Cursor | null = null
      for (const cursor of cursors) {
        if (cursor.key === null) continue
        if (best === null || compare(cursor.key, best.key as RawRow) < 0) best = cursor
      }
      if (best === null) return
      const wait = window.row(best.batch as RowBatch, best.at)
      if (wait !== undefined) await wait
      if (!best.step()) await best.refill()
    }
  } finally {
    await Promise.all(cursors.map((cursor) => cursor.close()))
  }
}

/** Then a row means the same behind the columns of any of them. */
function haveSameTypes(streams: readonly RowStream[]): boolean {
  const [first, ...others] = streams
  return others.every(({ columns }) =>
    columns.every((column, i) => {
      const same = first?.columns[i]
      return same !== undefined && same.type === column.type && ((same.flags ^ column.flags) & columnFlag.unsigned) === 0
    }),
  )
}

/** While DDL goes from shard to shard, `*` is not the same everywhere. Of what is no table's column, servers tell by their plans what it is called. @throws StaleColumns */
function requireAlike(a: readonly Column[], b: readonly Column[]): void {
  const isOther = (column: Column, other: Column | undefined): boolean =>
    other === undefined || (column.orgTable !== '' && other.orgTable !== '' && column.name.toLowerCase() !== other.name.toLowerCase())
  const [longer, shorter] = a.length < b.length ? [b, a] : [a, b]
  const other = longer.find((column, i) => isOther(column, shorter[i]))
  if (other !== undefined) throw new StaleColumns(other.orgTable)
}

/** All shards have the same columns; lengths and decimals may differ with what they hold, so the widest stand. */
function commonColumns(streams: readonly RowStream[]): Column[] {
  const [first, ...others] = streams
  if (first === undefined) return []
  for (const other of others) requireAlike(first.columns, other.columns)
  return first.columns.map((column, i) => {
    let { length, decimals, flags, type } = column
    for (const other of others) {
      const same = other.columns[i]
      if (same === undefined) continue
      length = Math.max(length, same.length)
      decimals = Math.max(decimals, same.decimals)
      // NOT NULL only where all say so.
      flags &= same.flags | ~1
      if (type === 6) type = same.type
    }
    return { ...column, length, decimals, flags, type }
  })
}
