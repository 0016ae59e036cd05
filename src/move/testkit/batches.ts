import type { RowBatch } from '../../mysql/connection.ts'

/** Cells in key order, as one batch with bytes between them, as packet headers are. */
export function batchOf(rows: readonly (readonly (Buffer | null)[])[]): RowBatch {
  const parts: Buffer[] = []
  const spans: number[] = []
  let at = 0
  for (const row of rows) {
    parts.push(Buffer.from([0x27, 0x5c, 0, 1]))
    at += 4
    for (const cell of row) {
      spans.push(cell === null ? -1 : at, cell === null ? -1 : at + cell.length)
      if (cell === null) continue
      parts.push(cell)
      at += cell.length
    }
  }
  const data = Buffer.concat(parts)
  const width = rows[0]?.length ?? 0
  return { data, spans: Int32Array.from(spans), length: rows.length, width, cell: () => null, row: () => [], rows: () => [] }
}
