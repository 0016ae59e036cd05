/**
 * Binary row: 1 0x00 · (columns + 9) / 8 bytes NULL bitmap, offset 2 bits · values of the columns that are not NULL
 * (binary-values.ts).
 */
import { readBinaryAsText, writeTextAsBinary, type ValueType } from './binary-values.ts'
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** The row in the text protocol's bytes. */
export function decodeBinaryRow(data: Buffer, start: number, end: number, columns: readonly ValueType[]): (Buffer | null)[] {
  const r = new Reader(data, start + 1, end)
  const bitmap = r.bytes((columns.length + 9) >> 3)
  const row: (Buffer | null)[] = []
  for (let i = 0; i < columns.length; i++) {
    const bit = i + 2
    const isNull = ((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0
    row.push(isNull ? null : readBinaryAsText(r, columns[i] as ValueType))
  }
  return row
}

export function writeBinaryRow(w: Writer, columns: readonly ValueType[], row: readonly (Buffer | null)[]): Writer {
  w.u8(0)
  const bitmapAt = w.length
  w.zeros((columns.length + 9) >> 3)
  for (let i = 0; i < columns.length; i++) {
    const cell = row[i]
    const bit = i + 2
    if (cell === null || cell === undefined) w.orAt(bitmapAt + (bit >> 3), 1 << (bit & 7))
    else writeTextAsBinary(w, columns[i] as ValueType, cell)
  }
  return w
}
