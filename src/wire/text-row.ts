/** Text row: per column 0xfb for NULL, else lenenc bytes. */
import { wireErrors } from './errors.ts'
import type { Writer } from './writer.ts'

/**
 * Writes the spans of one row's cells, `width` pairs (start, end) into `spans` from `at`; NULL is (-1, -1). In place: no
 * allocation per cell.
 */
export function scanTextRow(data: Buffer, start: number, end: number, width: number, spans: Int32Array, at: number): void {
  let pos = start
  for (let i = 0; i < width; i++) {
    if (pos >= end) throw wireErrors.malformed({ detail: `row ends at column ${i} of ${width}` })
    const first = data[pos] as number
    let length: number
    if (first < 0xfb) {
      length = first
      pos += 1
    } else if (first === 0xfb) {
      spans[at++] = -1
      spans[at++] = -1
      pos += 1
      continue
    } else if (first === 0xfc) {
      length = (data[pos + 1] as number) | ((data[pos + 2] as number) << 8)
      pos += 3
    } else if (first === 0xfd) {
      length = (data[pos + 1] as number) | ((data[pos + 2] as number) << 8) | ((data[pos + 3] as number) << 16)
      pos += 4
    } else {
      length = pos + 9 <= end ? Number(data.readBigUInt64LE(pos + 1)) : end
      pos += 9
    }
    if (!(pos + length <= end)) throw wireErrors.malformed({ detail: `column ${i} of ${width} reaches past its row` })
    spans[at++] = pos
    pos += length
    spans[at++] = pos
  }
  if (pos !== end) throw wireErrors.malformed({ detail: `${end - pos} bytes after the last of ${width} columns` })
}

export function decodeTextRow(data: Buffer, start: number, end: number, width: number): (Buffer | null)[] {
  const spans = new Int32Array(width * 2)
  scanTextRow(data, start, end, width, spans, 0)
  const row: (Buffer | null)[] = []
  for (let i = 0; i < width; i++) {
    const from = spans[2 * i] as number
    row.push(from < 0 ? null : data.subarray(from, spans[2 * i + 1]))
  }
  return row
}

export function writeTextRow(w: Writer, row: readonly (Uint8Array | null)[]): Writer {
  for (const cell of row) {
    if (cell === null) w.u8(0xfb)
    else w.lenencBytes(cell)
  }
  return w
}
