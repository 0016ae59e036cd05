/**
 * LOCAL INFILE: the server answers a query with 1 0xfb · rest: file name. The client sends the file as packets of any size
 * and an empty packet to end it, sequence ids counting on; then the server sends OK or ERR.
 */
import type { Writer } from './writer.ts'

export function isLocalInfile(data: Buffer, start: number): boolean {
  return data[start] === 0xfb
}

export function decodeLocalInfile(data: Buffer, start: number, end: number): string {
  return data.toString('utf8', start + 1, end)
}

export function writeLocalInfile(w: Writer, fileName: string): Writer {
  return w.u8(0xfb).text(fileName)
}
