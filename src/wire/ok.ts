/**
 * OK: 1 header (0x00; 0xfe where it ends rows under deprecateEof) · lenenc affected rows · lenenc insert id · 2 status ·
 * 2 warnings · lenenc info (absent when empty; servers write its length with and without sessionTrack, whatever the manuals
 * say) · with sessionTrack, if the status says sessionStateChanged: lenenc session changes (session-track.ts).
 */
import { capability, has, serverStatus } from './capabilities.ts'
import { Reader } from './reader.ts'
import { decodeSessionChanges, encodeSessionChanges, type SessionChange } from './session-track.ts'
import type { Writer } from './writer.ts'

export type Ok = {
  affectedRows: bigint
  insertId: bigint
  status: number
  warnings: number
  info: string
  sessionChanges: SessionChange[]
}

export const NO_CHANGES: SessionChange[] = []

export function decodeOk(data: Buffer, start: number, end: number, capabilities: number): Ok {
  const r = new Reader(data, start + 1, end)
  const affectedRows = r.lenencBigint()
  const insertId = r.lenencBigint()
  const status = r.left >= 2 ? r.u16() : 0
  const warnings = r.left >= 2 ? r.u16() : 0
  let info = ''
  let sessionChanges = NO_CHANGES
  if (r.left > 0) {
    info = r.lenencText()
    if (has(capabilities, capability.sessionTrack) && has(status, serverStatus.sessionStateChanged) && r.left > 0) {
      sessionChanges = decodeSessionChanges(r.lenencBytes())
    }
  }
  return { affectedRows, insertId, status, warnings, info, sessionChanges }
}

export function writeOk(w: Writer, ok: Partial<Ok>, capabilities: number, header: 0x00 | 0xfe = 0x00): Writer {
  const changes = has(capabilities, capability.sessionTrack) ? (ok.sessionChanges ?? NO_CHANGES) : NO_CHANGES
  let status = ok.status ?? serverStatus.autocommit
  status = changes.length > 0 ? status | serverStatus.sessionStateChanged : status & ~serverStatus.sessionStateChanged
  w.u8(header)
    .lenenc(ok.affectedRows ?? 0n)
    .lenenc(ok.insertId ?? 0n)
    .u16(status)
    .u16(ok.warnings ?? 0)
  const info = ok.info ?? ''
  if (info !== '' || changes.length > 0) w.lenencText(info)
  if (changes.length > 0) w.lenencBytes(encodeSessionChanges(changes))
  return w
}
