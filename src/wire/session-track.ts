/**
 * Session changes inside an OK packet: a run of (1 type · lenenc data). Types: 0 system variables (lenenc name, lenenc value,
 * repeated on MariaDB) · 1 schema (lenenc) · 2 state change (lenenc "1") · 3 GTIDs (1 encoding, lenenc text) ·
 * 4 transaction characteristics (lenenc) · 5 transaction state (lenenc, 8 letters). Others are kept as raw bytes.
 */
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type SessionChange =
  | { kind: 'variable'; name: string; value: string }
  | { kind: 'schema'; name: string }
  | { kind: 'stateChanged'; value: string }
  | { kind: 'gtids'; text: string }
  | { kind: 'characteristics'; text: string }
  | { kind: 'transaction'; text: string }
  | { kind: 'other'; type: number; data: Buffer }

export function decodeSessionChanges(data: Buffer): SessionChange[] {
  const r = new Reader(data)
  const out: SessionChange[] = []
  while (r.left > 0) {
    const type = r.u8()
    const inner = new Reader(r.lenencBytes())
    switch (type) {
      case 0:
        while (inner.left > 0) {
          const name = inner.lenencText()
          out.push({ kind: 'variable', name, value: inner.lenencText() })
        }
        break
      case 1:
        out.push({ kind: 'schema', name: inner.lenencText() })
        break
      case 2:
        out.push({ kind: 'stateChanged', value: inner.lenencText() })
        break
      case 3:
        inner.skip(1)
        out.push({ kind: 'gtids', text: inner.lenencText() })
        break
      case 4:
        out.push({ kind: 'characteristics', text: inner.lenencText() })
        break
      case 5:
        out.push({ kind: 'transaction', text: inner.lenencText() })
        break
      default:
        out.push({ kind: 'other', type, data: inner.rest() })
    }
  }
  return out
}

export function encodeSessionChanges(changes: readonly SessionChange[]): Buffer {
  const w = new Writer(128)
  for (const change of changes) {
    const inner = new Writer(64)
    let type: number
    switch (change.kind) {
      case 'variable':
        type = 0
        inner.lenencText(change.name).lenencText(change.value)
        break
      case 'schema':
        type = 1
        inner.lenencText(change.name)
        break
      case 'stateChanged':
        type = 2
        inner.lenencText(change.value)
        break
      case 'gtids':
        type = 3
        inner.u8(0).lenencText(change.text)
        break
      case 'characteristics':
        type = 4
        inner.lenencText(change.text)
        break
      case 'transaction':
        type = 5
        inner.lenencText(change.text)
        break
      case 'other':
        type = change.type
        inner.bytes(change.data)
    }
    w.u8(type).lenencBytes(inner.take())
  }
  return w.take()
}
