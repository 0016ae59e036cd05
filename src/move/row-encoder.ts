/**
 * Rows as SQL literals, from cells of a RowBatch straight into a buffer: `(k1,k2,c3,…),`. Nothing is decoded on the way. The session that
 * gets them has character_set_client=binary, so text is bytes of the column's own charset.
 *
 * Inside '…' the server gives a meaning to `'` and `\` and to no other byte, so only these are escaped. Where the next of them stands in a
 * batch is looked up once (memchr) and remembered: cells before it are copied whole. Measured: a third of the cost of looking at each byte. Just behind one each byte is looked at.
 */
import { documentTextEnd } from '../binlog/json-types.ts'
import type { TextSpans } from '../keyspace/vindex.ts'
import { writeBulkText } from '../wire/stmt-bulk.ts'
import type { RowBatch } from '../mysql/connection.ts'
import { fieldsIn, jsonExpression } from './json-literal.ts'
import { LiteralKind, type TablePlan } from './table-plan.ts'

const quote = 0x27
const backslash = 0x5c
/** Below this a loop is cheaper than a call into native code. */
const longCellBytes = 64 * 1024
const largeBytes = 4 << 20
const copyBytesMin = 24
/** So many bytes behind a quote or backslash are looked at one by one. */
const nearBytes = 8
const jsonIntroducer = Buffer.from('_utf8mb4')
const asciiIntroducer = Buffer.from('_ascii')

export class RowEncoder {
  readonly plan: TablePlan
  /** For each moved column its place in the batches given. */
  readonly #places: Int32Array
  readonly #kinds: Uint8Array
  /** The batch data that the two offsets below are of. */
  #scanned: Buffer | null = null
  #scannedFrom = 0
  #nextQuote = 0
  #nextBackslash = 0
  /** After `encode`: offset behind the key's literal. */
  keyEnd = 0
  /** After `encode`: columns of JSON_TABLE in the row. */
  fields = 0

  /** `places`: where in a batch each moved column is: the identity for our own select lists, ordinals for row images. */
  constructor(plan: TablePlan, places: 'selected' | 'ordinal') {
    this.plan = plan
    this.#places = Int32Array.from(plan.columns, (column, i) => (places === 'selected' ? i : column.ordinal))
    this.#kinds = Uint8Array.from(plan.columns, (column) => column.kind)
  }

  /** Most bytes that `encode` may write for this row. */
  bytesMax(batch: RowBatch, row: number): number {
    let bytes = 3
    for (let i = 0; i < this.#places.length; i++) bytes += this.#cellBytesMax(batch, row, i)
    return bytes
  }

  /** Most bytes that `encodeSome` may write for these columns, commas too. */
  bytesMaxOf(batch: RowBatch, row: number, columns: readonly number[]): number {
    let bytes = 0
    for (const column of columns) bytes += this.#cellBytesMax(batch, row, column)
    return bytes
  }

  /** With the comma behind it: twice the cell; of a long one, what it takes: rows of megabytes are not to be in memory twice as large as they are. */
  #cellBytesMax(batch: RowBatch, row: number, column: number): number {
    const { data, spans, width } = batch
    const at = 2 * (row * width + (this.#places[column] as number))
    const [start, end] = [spans[at] as number, spans[at + 1] as number]
    const long = end - start > longCellBytes
    let bytes = 24 + (end - start) + (long ? specials(data, start, end) : end - start)
    if (this.#kinds[column] === LiteralKind.mysqlJson && start >= 0) bytes += jsonExpression(data, start, end)?.length ?? 0
    return bytes
  }

  /** Writes `(…),` at `at` and returns the offset behind it. The caller has made room for `bytesMax`. */
  encode(batch: RowBatch, row: number, out: Buffer, at: number): number {
    const keyWidth = this.plan.keyWidth
    const columns = this.#places.length
    this.fields = 0
    out[at++] = 0x28
    for (let i = 0; i < columns; i++) {
      at = this.#cell(batch, row, i, out, at)
      if (i + 1 === keyWidth) this.keyEnd = at
      out[at++] = 0x2c
    }
    out[at - 1] = 0x29
    out[at++] = 0x2c
    return at
  }

  /** Writes the row as parameters instead (`parameter-rows.ts`). */
  encodeParameters(batch: RowBatch, row: number, out: Buffer, at: number): number {
    const { data, spans, width } = batch
    const keyWidth = this.plan.keyWidth
    this.fields = 0
    for (let i = 0; i < this.#places.length; i++) {
      const place = 2 * (row * width + (this.#places[i] as number))
      at = writeBulkText(data, spans[place] as number, spans[place + 1] as number, out, at)
      if (i + 1 === keyWidth) this.keyEnd = at
    }
    return at
  }

  /** Writes some columns, separated by commas. */
  encodeSome(batch: RowBatch, row: number, columns: readonly number[], out: Buffer, at: number): number {
    for (const [n, column] of columns.entries()) {
      if (n > 0) out[at++] = 0x2c
      at = this.#cell(batch, row, column, out, at)
    }
    return at
  }

  /** The bytes of a moved column: a view, or null for NULL. */
  cell(batch: RowBatch, row: number, column: number): Buffer | null {
    const at = 2 * (row * batch.width + (this.#places[column] as number))
    const start = batch.spans[at] as number
    return start < 0 ? null : batch.data.subarray(start, batch.spans[at + 1])
  }

  /** Where a moved column's bytes stand in the rows of a batch. */
  column({ data, spans, width }: RowBatch, column: number): TextSpans {
    return { data, spans, first: 2 * (this.#places[column] as number), step: 2 * width }
  }

  /** Whether a moved column has the same bytes in the same row of two batches. */
  sameCell(a: RowBatch, b: RowBatch, row: number, column: number): boolean {
    const at = 2 * (row * a.width + (this.#places[column] as number))
    let x = a.spans[at] as number
    let y = b.spans[at] as number
    if (x < 0 || y < 0) return x === y
    const end = a.spans[at + 1] as number
    if (end - x !== (b.spans[at + 1] as number) - y) return false
    while (x < end) if (a.data[x++] !== b.data[y++]) return false
    return true
  }

  #cell(batch: RowBatch, row: number, column: number, out: Buffer, at: number): number {
    const { data, spans, width } = batch
    const place = 2 * (row * width + (this.#places[column] as number))
    let from = spans[place] as number
    if (from < 0) {
      out[at] = 0x4e
      out[at + 1] = 0x55
      out[at + 2] = 0x4c
      out[at + 3] = 0x4c
      return at + 4
    }
    let end = spans[place + 1] as number
    switch (this.#kinds[column]) {
      case LiteralKind.number:
        for (; from < end; from++) out[at++] = data[from] as number
        return at
      case LiteralKind.float: {
        // Without an exponent the server takes it for an integer or a decimal: -0 loses its sign, and 17 digits behind many zeros their last.
        let exponent = false
        for (; from < end; from++) {
          const byte = data[from] as number
          if (byte === 0x65) exponent = true
          out[at++] = byte
        }
        if (exponent) return at
        out[at] = 0x65
        out[at + 1] = 0x30
        return at + 2
      }
      case LiteralKind.bits: {
        let bits = 0n
        for (; from < end; from++) bits = (bits << 8n) | BigInt(data[from] as number)
        return at + out.write(bits.toString(), at, 'latin1')
      }
      case LiteralKind.mysqlJson: {
        const expression = jsonExpression(data, from, end)
        if (expression !== null) {
          this.fields += fieldsIn(expression)
          return at + out.write(expression, at, 'latin1')
        }
        at += jsonIntroducer.copy(out, at)
        break
      }
      case LiteralKind.json:
        end = documentTextEnd(data, from, end)
        at += jsonIntroducer.copy(out, at)
        break
      case LiteralKind.ascii:
        at += asciiIntroducer.copy(out, at)
        break
      default:
    }
    out[at++] = quote
    if (end - from < copyBytesMin) {
      for (; from < end; from++) {
        const byte = data[from] as number
        if (byte === quote || byte === backslash) out[at++] = backslash
        out[at++] = byte
      }
      out[at++] = quote
      return at
    }
    for (;;) {
      const special = this.#nextSpecial(data, from)
      if (special >= end) break
      if (special > from) {
        data.copy(out, at, from, special)
        at += special - from
      }
      // Where one is, others often are: by a call for each, a row of 17 MiB of quotes held everything up for half a second of work, and on a busy machine for longer than the mover's lease.
      let byByteTo = special + 1
      for (from = special; from < byByteTo; from++) {
        const byte = data[from] as number
        if (byte === quote || byte === backslash) {
          out[at++] = backslash
          byByteTo = Math.min(end, from + 1 + nearBytes)
        }
        out[at++] = byte
      }
    }
    if (from < end) {
      data.copy(out, at, from, end)
      at += end - from
    }
    out[at++] = quote
    // An event of megabytes is not to be kept for what was found in it.
    if (data.length > largeBytes) this.#scanned = null
    return at
  }

  /** Where the next quote or backslash at or after `from` stands; the end of the data when there is none. */
  #nextSpecial(data: Buffer, from: number): number {
    if (data !== this.#scanned || from < this.#scannedFrom) {
      this.#scanned = data
      this.#nextQuote = -1
      this.#nextBackslash = -1
    }
    this.#scannedFrom = from
    if (this.#nextQuote < from) {
      const found = data.indexOf(quote, from)
      this.#nextQuote = found < 0 ? data.length : found
    }
    if (this.#nextBackslash < from) {
      const found = data.indexOf(backslash, from)
      this.#nextBackslash = found < 0 ? data.length : found
    }
    return this.#nextQuote < this.#nextBackslash ? this.#nextQuote : this.#nextBackslash
  }
}

/** Quotes and backslashes in data[from, end). */
function specials(data: Buffer, from: number, end: number): number {
  let count = 0
  for (; from < end; from++) {
    const byte = data[from]
    if (byte === quote || byte === backslash) count++
  }
  return count
}
