/**
 * ERR: 1 0xff · 2 errno · '#' and 5 bytes SQLSTATE (absent before the handshake has agreed on protocol 41) · rest: message.
 * Errno 0xffff from MariaDB is progress report, which only clients that asked for it get.
 */
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export type Err = { errno: number; sqlState: string; message: string }

export function decodeErr(data: Buffer, start: number, end: number): Err {
  const r = new Reader(data, start + 1, end)
  const errno = r.u16()
  let sqlState = 'HY000'
  if (r.peek() === 0x23 && r.left >= 6) {
    r.skip(1)
    sqlState = r.bytes(5).toString('latin1')
  }
  return { errno, sqlState, message: r.rest().toString('utf8') }
}

export function writeErr(w: Writer, err: Err): Writer {
  return w.u8(0xff).u16(err.errno).u8(0x23).text(err.sqlState.padEnd(5, '0').slice(0, 5)).text(err.message)
}
