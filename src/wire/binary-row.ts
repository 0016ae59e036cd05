/**
 * Binary row: 1 0x00 · (columns + 9) / 8 bytes NULL bitmap, offset 2 bits · values of the columns that are not NULL
 * (binary-values.ts).
 */
import { readBinaryAsText, valueBytes, writeTextAsBinary, type ValueType } from './binary-values.ts'
import { wireErrors } from './errors.ts'
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** The row in the text protocol's bytes. */
export function decodeBinaryRow(data: Buffer, start: number, end: number, columns: readonly ValueType[]): (Buffer | null)[] {
  const r = new Reader(data, start + 1, end)
  const bitmap = r.bytes(bitmapBytes(columns.length))
  const row: (Buffer | null)[] = []
  for (let i = 0; i < columns.length; i++) {
    const bit = i + 2
    const isNull = ((bitmap[bit >> 3] as number) & (1 << (bit & 7))) !== 0
    row.push(isNull ? null : readBinaryAsText(r, columns[i] as ValueType))
  }
  return row
}

/**
 * Where a row's values are: for each column (start, end) into `spans` from `at`, NULL is (-1, -1). Nothing is decoded: `binaryText` does that for whoever asks.
 */
export function scanBinaryRow(
  data: Buffer,
  start: number,
  end: number,
  columns: readonly ValueType[],
  spans: Int32Array,
  at: number,
): void {
  const width = columns.length
  const bitmap = start + 1
  let pos = bitmap + bitmapBytes(width)
  for (let i = 0; i < width; i++) {
    if (((data[bitmap + ((i + 2) >> 3)] as number) & (1 << ((i + 2) & 7))) !== 0) {
      spans[at++] = -1
      spans[at++] = -1
      continue
    }
    const next = pos + valueBytes(data, pos, end, (columns[i] as ValueType).type)
    if (!(next <= end)) throw wireErrors.malformed({ detail: `column ${i} of ${width} reaches past its row` })
    spans[at++] = pos
    spans[at++] = next
    pos = next
  }
  if (pos !== end) throw wireErrors.malformed({ detail: `${end - pos} bytes after the last of ${width} columns` })
}

/** What `scanBinaryRow` has found, in the text protocol's bytes. */
export function binaryText(data: Buffer, start: number, end: number, column: ValueType): Buffer {
  return readBinaryAsText(new Reader(data, start, end), column)
}

/**
 * The first columns of a row as the server sent it.
 *
 * @param spans as `scanBinaryRow` has found them, from `at`
 * @param kept how many columns of `width`
 */
export function writeFirstColumns(
  w: Writer,
  data: Buffer,
  start: number,
  end: number,
  spans: Int32Array,
  at: number,
  kept: number,
  width: number,
): Writer {
  if (kept === width) return w.slice(data, start, end)
  const bytes = bitmapBytes(kept)
  const bitmapAt = w.length + 1
  w.slice(data, start, start + 1 + bytes)
  // Of the columns that are left out no NULL is told.
  w.andAt(bitmapAt + bytes - 1, 0xff >> (8 * bytes - kept - 2))
  const values = start + 1 + bitmapBytes(width)
  let valuesEnd = values
  for (let i = 0; i < kept; i++) valuesEnd = Math.max(valuesEnd, spans[at + 2 * i + 1] as number)
  return w.slice(data, values, valuesEnd)
}

function bitmapBytes(columns: number): number {
  return (columns + 9) >> 3
}

export function writeBinaryRow(w: Writer, columns: readonly ValueType[], row: readonly (Buffer | null)[]): Writer {
  w.u8(0)
  const bitmapAt = w.length
  w.zeros(bitmapBytes(columns.length))
  for (let i = 0; i < columns.length; i++) {
    const cell = row[i]
    const bit = i + 2
    if (cell === null || cell === undefined) w.orAt(bitmapAt + (bit >> 3), 1 << (bit & 7))
    else writeTextAsBinary(w, columns[i] as ValueType, cell)
  }
  return w
}
