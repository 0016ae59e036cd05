/**
 * The small prepared statement commands.
 * SEND_LONG_DATA: 1 0x18 · 4 statement id · 2 parameter · rest: data (no answer). CLOSE: 1 0x19 · 4 id (no answer).
 * RESET: 1 0x1a · 4 id. FETCH: 1 0x1c · 4 id · 4 rows.
 */
import { com } from './commands.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export function encodeStmtClose(id: number): Buffer {
  return new Writer(5).u8(com.stmtClose).u32(id).take()
}

export function encodeStmtReset(id: number): Buffer {
  return new Writer(5).u8(com.stmtReset).u32(id).take()
}

export function encodeStmtFetch(id: number, rows: number): Buffer {
  return new Writer(9).u8(com.stmtFetch).u32(id).u32(rows).take()
}

export function encodeStmtSendLongData(id: number, param: number, data: Uint8Array): Buffer {
  return new Writer(7 + data.length).u8(com.stmtSendLongData).u32(id).u16(param).bytes(data).take()
}

/** Of CLOSE, RESET and every other command that begins with a statement id. */
export function decodeStmtId(payload: Buffer): number {
  return new Reader(payload, 1).u32()
}

export function decodeStmtFetch(payload: Buffer): { id: number; rows: number } {
  const r = new Reader(payload, 1)
  return { id: r.u32(), rows: r.u32() }
}

export function decodeStmtSendLongData(payload: Buffer): { id: number; param: number; data: Buffer } {
  const r = new Reader(payload, 1)
  return { id: r.u32(), param: r.u16(), data: r.rest() }
}
