/**
 * Shard keys in other character sets than UTF-8: vindexes take UTF-8 (as Vitess, which reads through a utf8mb4 connection). Rows themselves
 * are never converted.
 *
 * A row's place is what the text says that a client gets, so the conversion must be the server's, character by character: WHATWG's tables are others (`charset.db.test.ts` compares all
 * of them). Sets of one byte have a table (`sql/one-byte-charsets.ts`), made right where the two differ; what the server has no character for it gives as `?`. Sets of several bytes but Unicode's differ in
 * thousands of places, and from server to server: they are refused.
 */
import { oneByteCharacters } from '../sql/one-byte-charsets.ts'

const unicode: Readonly<Record<string, string>> = { utf16le: 'utf-16le', utf16: 'utf-16be', ucs2: 'utf-16be' }
const asTheyAre = new Set(['utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'binary'])

/** Null: the bytes are UTF-8 (or binary) already. */
export function charsetToUtf8(charset: string | null): ((bytes: Uint8Array) => Uint8Array) | null | 'unsupported' {
  if (charset === null || asTheyAre.has(charset)) return null
  const wide = unicode[charset]
  if (wide !== undefined) {
    // A mark of the byte order is a character like any other here.
    const decoder = new TextDecoder(wide, { ignoreBOM: true })
    return (bytes) => Buffer.from(decoder.decode(bytes), 'utf8')
  }
  const table = oneByteCharacters(charset)
  if (table === null) return 'unsupported'
  return (bytes) => {
    // Nearly all keys are ASCII, which these charsets share.
    if (isAscii(bytes)) return bytes
    let text = ''
    for (let i = 0; i < bytes.length; i++) text += table[bytes[i] as number] ?? ''
    return Buffer.from(text, 'utf8')
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}
