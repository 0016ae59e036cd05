/**
 * Rows of an execution as the server sent them. What asks for a cell gets the text protocol's bytes, made then; whoever passes rows on as they are takes their packets, and nothing of them is decoded.
 */
import { binaryText, writeFirstColumns } from '../wire/binary-row.ts'
import type { Writer } from '../wire/writer.ts'
import type { Column, RawRow, RowBatch } from './connection.ts'

export class BinaryRows implements RowBatch {
  readonly length: number
  readonly width: number
  /** What the packets are views of. */
  readonly #packets: Buffer
  /** By row: where its packet begins and ends. */
  readonly #rows: Int32Array
  /** By cell: where its value does. */
  readonly #values: Int32Array
  readonly #columns: readonly Column[]
  #text: { data: Buffer; spans: Int32Array } | null = null

  constructor(packets: Buffer, rows: Int32Array, values: Int32Array, columns: readonly Column[]) {
    this.#packets = packets
    this.#rows = rows
    this.#values = values
    this.#columns = columns
    this.length = rows.length >> 1
    this.width = columns.length
  }

  get data(): Buffer {
    return this.#asText().data
  }

  get spans(): Int32Array {
    return this.#asText().spans
  }

  cell(row: number, column: number): Buffer | null {
    const at = 2 * (row * this.width + column)
    const start = this.#values[at] as number
    return start < 0 ? null : binaryText(this.#packets, start, this.#values[at + 1] as number, this.#columns[column] as Column)
  }

  row(row: number): RawRow {
    const out: RawRow = []
    for (let column = 0; column < this.width; column++) out.push(this.cell(row, column))
    return out
  }

  rows(): RawRow[] {
    const out: RawRow[] = []
    for (let row = 0; row < this.length; row++) out.push(this.row(row))
    return out
  }

  /** The payload of a row's packet, of its first columns only. */
  writeTo(w: Writer, row: number, columns: number): void {
    const [start, end] = [this.#rows[2 * row] as number, this.#rows[2 * row + 1] as number]
    writeFirstColumns(w, this.#packets, start, end, this.#values, 2 * row * this.width, columns, this.width)
  }

  /** For whoever splices texts: all cells one behind the other. */
  #asText(): { data: Buffer; spans: Int32Array } {
    if (this.#text !== null) return this.#text
    const cells: Buffer[] = []
    const spans = new Int32Array(2 * this.length * this.width).fill(-1)
    let at = 0
    for (let i = 0; i < this.length * this.width; i++) {
      const cell = this.cell(Math.floor(i / this.width), i % this.width)
      if (cell === null) continue
      cells.push(cell)
      spans[2 * i] = at
      at += cell.length
      spans[2 * i + 1] = at
    }
    this.#text = { data: Buffer.concat(cells), spans }
    return this.#text
  }
}
