/** EOF: 1 0xfe · 2 warnings · 2 status; always shorter than 9 bytes, which tells it from a row. Not sent under deprecateEof. */
import type { Writer } from './writer.ts'

export type Eof = { warnings: number; status: number }

export function isEof(data: Buffer, start: number, end: number): boolean {
  return data[start] === 0xfe && end - start < 9
}

export function decodeEof(data: Buffer, start: number, end: number): Eof {
  if (end - start < 5) return { warnings: 0, status: 0 }
  return { warnings: data.readUInt16LE(start + 1), status: data.readUInt16LE(start + 3) }
}

export function writeEof(w: Writer, eof: Eof): Writer {
  return w.u8(0xfe).u16(eof.warnings).u16(eof.status)
}
