import type { RawRow, RowBatch } from './connection.ts'

/** Rows as one buffer and the spans of their cells, wherever they were decoded from: a result set or a binlog event. */
export class SpannedRows implements RowBatch {
  readonly data: Buffer
  readonly spans: Int32Array
  readonly length: number
  readonly width: number

  constructor(data: Buffer, spans: Int32Array, length: number, width: number) {
    this.data = data
    this.spans = spans
    this.length = length
    this.width = width
  }

  cell(row: number, column: number): Buffer | null {
    const at = 2 * (row * this.width + column)
    const start = this.spans[at] as number
    return start < 0 ? null : this.data.subarray(start, this.spans[at + 1])
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
}
