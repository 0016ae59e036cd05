/** Literals of a statement as values, by the server's own reading of escapes. */
import type { Span } from './ast.ts'
import { Kind, type Lexed, type LexerMode, tokenEnd, tokenKind, tokenStart } from './lexer.ts'
import type { Value } from './value.ts'

const int64Max = (1n << 63n) - 1n
const uint64Max = (1n << 64n) - 1n
const uint64DigitsMax = 20

/**
 * The value of a literal: one token, adjacent strings, or an introducer and its literal. Null when it is text in a character set
 * (`_latin1'…'`) other than the connection's, utf8mb4 and binary: its bytes mean something else there.
 */
export function literalValue(lexed: Lexed, span: Span, negative = false): Value | null {
  const token = span.from
  const { bytes } = lexed
  const start = tokenStart(lexed, token)
  const end = tokenEnd(lexed, token)
  switch (tokenKind(lexed, token)) {
    case Kind.Integer:
      return integerLiteral(bytes, start, end, negative)
    case Kind.Decimal: {
      const text = bytes.toString('latin1', start, end)
      return { type: 'decimal', text: negative ? '-' + text : text }
    }
    case Kind.Float: {
      const value = Number(bytes.toString('latin1', start, end))
      return { type: 'double', value: negative ? -value : value }
    }
    case Kind.String:
    case Kind.NationalString: {
      if (negative) return null
      const national = tokenKind(lexed, token) === Kind.NationalString
      const first = unescape(bytes, national ? start + 1 : start, end, lexed.mode)
      const alone = span.to === token + 1
      if (alone) return national ? { type: 'text', bytes: first, national } : { type: 'text', bytes: first }
      const parts = [first]
      for (let i = token + 1; i < span.to; i++) parts.push(unescape(bytes, tokenStart(lexed, i), tokenEnd(lexed, i), lexed.mode))
      const text = Buffer.concat(parts)
      if (!national) return { type: 'text', bytes: text }
      return text.some((byte) => byte >= 0x80) ? null : { type: 'text', bytes: text, national }
    }
    case Kind.Hex:
      return negative ? null : { type: 'binary', bytes: hexLiteral(bytes.toString('latin1', start, end)) }
    case Kind.Bit:
      return negative ? null : { type: 'binary', bytes: bitLiteral(bytes.toString('latin1', start, end)) }
    case Kind.Word: {
      const introducer = bytes.toString('latin1', start + 1, end).toLowerCase()
      const inner = span.to > token + 1 ? literalValue(lexed, { from: token + 1, to: span.to }) : null
      if (inner === null || (inner.type !== 'text' && inner.type !== 'binary')) return null
      // The introducer is the first string's: those behind it are converted.
      if (span.to > token + 2 && inner.bytes.some((byte) => byte >= 0x80)) return null
      if (introducer === 'binary') return { type: 'binary', bytes: inner.bytes }
      return introducer === 'utf8mb4' || introducer === 'utf8' || introducer === 'utf8mb3' ? { type: 'text', bytes: inner.bytes } : null
    }
    default:
      return null
  }
}

function integerLiteral(bytes: Buffer, start: number, end: number, negative: boolean): Value {
  // Nearly all are short: a number holds 15 digits exactly, and BigInt of a number is cheaper than of a text.
  if (end - start <= 15) {
    let value = 0
    for (let i = start; i < end; i++) value = value * 10 + ((bytes[i] as number) - 0x30)
    return { type: 'integer', value: BigInt(negative ? -value : value) }
  }
  const text = bytes.toString('latin1', start, end).replace(/^0+(?=\d)/, '')
  // It may have millions of digits: they are not counted up.
  if (text.length > uint64DigitsMax) return { type: 'decimal', text: negative ? `-${text}` : text }
  const value = negative ? -BigInt(text) : BigInt(text)
  if (value > uint64Max || value < -int64Max - 1n) return { type: 'decimal', text: value.toString() }
  return { type: 'integer', value }
}

const escapes = new Uint8Array(256).map((_, byte) => byte)
escapes[0x30] = 0x00 // 0
escapes[0x62] = 0x08 // b
escapes[0x6e] = 0x0a // n
escapes[0x72] = 0x0d // r
escapes[0x74] = 0x09 // t
escapes[0x5a] = 0x1a // Z

/** The bytes between the quotes at `start` and `end - 1`. */
export function unescape(bytes: Buffer, start: number, end: number, mode: LexerMode): Buffer {
  const quote = bytes[start] as number
  const from = start + 1
  const to = end - 1
  let at = from
  while (at < to && bytes[at] !== quote && (bytes[at] !== 0x5c || mode.noBackslashEscapes)) at++
  if (at === to) return Buffer.from(bytes.subarray(from, to))
  const out = Buffer.allocUnsafe(to - from)
  bytes.copy(out, 0, from, at)
  let length = at - from
  while (at < to) {
    const byte = bytes[at++] as number
    if (byte === quote) at++
    else if (byte === 0x5c && !mode.noBackslashEscapes) {
      const next = bytes[at++] as number
      // `\%` and `\_` keep their backslash: LIKE reads it.
      if (next === 0x25 || next === 0x5f) out[length++] = 0x5c
      out[length++] = escapes[next] as number
      continue
    }
    out[length++] = byte
  }
  return out.subarray(0, length)
}

/** `0xABC` or `x'0ABC'` */
function hexLiteral(text: string): Buffer {
  const digits = text[0] === '0' ? text.slice(2) : text.slice(2, -1)
  return Buffer.from(digits.length % 2 === 0 ? digits : '0' + digits, 'hex')
}

/** `0b101` or `b'101'` */
function bitLiteral(text: string): Buffer {
  const digits = text[0] === '0' ? text.slice(2) : text.slice(2, -1)
  const padded = digits.padStart(Math.ceil(digits.length / 8) * 8, '0')
  const out = Buffer.alloc(padded.length / 8)
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(padded.slice(i * 8, i * 8 + 8), 2)
  return out
}
