/**
 * Character sets of one byte, as servers have them: WHATWG's tables, made right where the two differ (`move/charset.db.test.ts` compares all of them with both servers).
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

/** The character of each byte; `?` where the server has none. Null: no such set, or one of several bytes. */
export function oneByteCharacters(charset: string): readonly string[] | null {
  const set = Object.hasOwn(oneByte, charset) ? oneByte[charset] : undefined
  if (set === undefined) return null
  const decoder = new TextDecoder(set.label)
  const table = Array.from({ length: 256 }, (_, byte) => decoder.decode(Uint8Array.of(byte)).replace('\ufffd', '?'))
  for (const [character, bytes] of Object.entries(set.others ?? {})) for (const byte of bytes) table[byte] = character
  return table
}
