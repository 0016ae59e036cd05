/**
 * Shard keys in other character sets than UTF-8: vindexes take UTF-8 (as Vitess, which reads through a utf8mb4 connection). Rows themselves
 * are never converted.
 *
 * A row's place is what the text says that a client gets, so the conversion must be the server's, character by character: WHATWG's tables are others (`charset.db.test.ts` compares all
 * of them). Sets of one byte have a table here, made right where the two differ; what the server has no character for it gives as `?`. Sets of several bytes but Unicode's differ in
 * thousands of places, and from server to server: they are refused.
 */

/** Server charset name → WHATWG label, and bytes of which the server makes something else. latin1 is cp1252 on the server, its five holes mapped to themselves, as here. */
const oneByte: Readonly<Record<string, { readonly label: string; readonly others?: Readonly<Record<string, readonly number[]>> }>> = {
  latin1: { label: 'windows-1252' },
  latin2: { label: 'iso-8859-2' },
  koi8r: { label: 'koi8-r' },
  koi8u: { label: 'koi8-u', others: { '•': [0x95], '╝': [0xae], '╬': [0xbe] } },
  cp866: { label: 'ibm866', others: { ⁿ: [0xfc], '²': [0xfd] } },
  cp1250: { label: 'windows-1250', others: { '?': [0x81, 0x83, 0x88, 0x90, 0x98] } },
  cp1251: { label: 'windows-1251', others: { '?': [0x98] } },
  cp1256: { label: 'windows-1256', others: { '?': [0x8a, 0x8f, 0x98, 0x9a, 0x9f, 0xaa, 0xc0, 0xff] } },
  cp1257: { label: 'windows-1257', others: { '?': [0x81, 0x83, 0x88, 0x8a, 0x8c, 0x90, 0x98, 0x9a, 0x9c, 0x9f] } },
  greek: { label: 'iso-8859-7', others: { ʽ: [0xa1], ʼ: [0xa2], '?': [0xa4, 0xa5, 0xaa] } },
  hebrew: { label: 'iso-8859-8', others: { '‾': [0xaf] } },
}
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
  const table = oneByte[charset] === undefined ? null : characters(oneByte[charset])
  if (table === null) return 'unsupported'
  return (bytes) => {
    // Nearly all keys are ASCII, which these charsets share.
    if (isAscii(bytes)) return bytes
    let text = ''
    for (let i = 0; i < bytes.length; i++) text += table[bytes[i] as number] ?? ''
    return Buffer.from(text, 'utf8')
  }
}

function characters({ label, others }: NonNullable<(typeof oneByte)[string]>): string[] {
  const decoder = new TextDecoder(label)
  const table = Array.from({ length: 256 }, (_, byte) => decoder.decode(Uint8Array.of(byte)).replace('\ufffd', '?'))
  for (const [character, bytes] of Object.entries(others ?? {})) for (const byte of bytes) table[byte] = character
  return table
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}
