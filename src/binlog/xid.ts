/** XA ids as SQL text, normalised: `X'<gtrid>',X'<bqual>',<format>` with lower-case hex, so that equal ids are equal strings. */
import { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import { BadValue } from './row-sink.ts'

export function xidText(gtrid: Buffer, bqual: Buffer, formatId: number): string {
  return `X'${gtrid.toString('hex')}',X'${bqual.toString('hex')}',${formatId}`
}

/** Body of an XA_PREPARE event. */
export function parseXaPrepare(body: Buffer): { onePhase: boolean; xid: string } {
  const reader = new ByteReader(body)
  const onePhase = reader.u8() !== 0
  const formatId = reader.u32() | 0
  const gtridBytes = reader.u32()
  const bqualBytes = reader.u32()
  return { onePhase, xid: xidText(reader.bytes(gtridBytes), reader.bytes(bqualBytes), formatId) }
}

export type XaStatement = { readonly verb: 'start' | 'end' | 'prepare' | 'commit' | 'rollback'; readonly xid: string }

const part = String.raw`(?:[xX]'([0-9a-fA-F]*)'|0x([0-9a-fA-F]+)|'((?:[^'\\]|'')*)')`
const grammar = new RegExp(
  String.raw`^\s*XA\s+(START|BEGIN|END|PREPARE|COMMIT|ROLLBACK)\s+${part}(?:\s*,\s*${part}(?:\s*,\s*(\d+))?)?(?:\s+ONE\s+PHASE)?\s*;?\s*$`,
  'i',
)

/** The XA statement that a Query event holds, or null when it is none. @throws BadValue for one whose id can't be read */
export function xaStatement(text: string): XaStatement | null {
  if (!/^\s*XA\s/i.test(text)) return null
  const match = grammar.exec(text)
  if (match === null) throw new BadValue(`not an XA statement: ${text.slice(0, 200)}`)
  const bytes = (at: number): Buffer =>
    match[at + 2] === undefined
      ? Buffer.from(match[at] ?? match[at + 1] ?? '', 'hex')
      : Buffer.from((match[at + 2] ?? '').replaceAll("''", "'"), 'utf8')
  const word = (match[1] ?? '').toLowerCase()
  const verb = word === 'begin' ? 'start' : (word as XaStatement['verb'])
  return { verb, xid: xidText(bytes(2), bytes(5), Number(match[8] ?? '1')) }
}
