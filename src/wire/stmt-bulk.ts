/**
 * COM_STMT_BULK_EXECUTE (MariaDB 10.2 and later, where `stmtBulkOperations` was agreed upon): 1 0xfa · 4 statement id · 2 flags · parameters × (1 type · 1 flags), under flag 128 ·
 * rows, each: for every parameter 1 indicator · its value, where the indicator says that there is one (binary-values.ts). Source: MariaDB's protocol documentation.
 */
import { columnType } from './column-types.ts'

export const bulkIndicator = { value: 0, null: 1, default: 2, ignore: 3 } as const

const typesFollow = 128
/** Below this a loop is cheaper than a call into native code. */
const copyBytesMin = 24

/** What stands before the rows, without the command byte, where all parameters are texts: lenenc bytes, in the connection's charset. */
export function bulkHeadOfTexts(id: number, parameters: number): Buffer {
  const out = Buffer.alloc(6 + 2 * parameters)
  out.writeUInt32LE(id, 0)
  out.writeUInt16LE(typesFollow, 4)
  for (let i = 0; i < parameters; i++) out[6 + 2 * i] = columnType.string
  return out
}

/** Room that a text needs beside its own bytes. */
export const bulkTextRestBytes = 10

/** Writes the text `data[start, end)`, NULL where `start` is negative, and returns the offset behind it. */
export function writeBulkText(data: Buffer, start: number, end: number, out: Buffer, at: number): number {
  if (start < 0) {
    out[at] = bulkIndicator.null
    return at + 1
  }
  const length = end - start
  out[at++] = bulkIndicator.value
  if (length < 0xfb) out[at++] = length
  else at = writeLength(length, out, at)
  if (length >= copyBytesMin) return at + data.copy(out, at, start, end)
  for (let i = start; i < end; i++) out[at++] = data[i] as number
  return at
}

function writeLength(length: number, out: Buffer, at: number): number {
  if (length <= 0xffff) {
    out[at] = 0xfc
    return out.writeUIntLE(length, at + 1, 2)
  }
  if (length <= 0xffffff) {
    out[at] = 0xfd
    return out.writeUIntLE(length, at + 1, 3)
  }
  out[at] = 0xfe
  return out.writeBigUInt64LE(BigInt(length), at + 1)
}

/** Where the text whose indicator is at `at` begins and ends; it must not be NULL. */
export function bulkTextAt(rows: Buffer, at: number): [start: number, end: number] {
  const first = rows[at + 1] as number
  if (first < 0xfb) return [at + 2, at + 2 + first]
  const width = first === 0xfc ? 2 : first === 0xfd ? 3 : 6
  const start = at + 2 + (first === 0xfe ? 8 : width)
  return [start, start + rows.readUIntLE(at + 2, width)]
}
