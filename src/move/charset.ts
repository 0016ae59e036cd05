/**
 * Shard keys in other character sets than UTF-8: vindexes take UTF-8 (as Vitess, which reads through a utf8mb4 connection). Rows themselves
 * are never converted.
 */

/** Server charset name → WHATWG label. latin1 is cp1252 on the server, its five holes mapped to themselves, as here. */
const labels: Readonly<Record<string, string>> = {
  latin1: 'windows-1252',
  cp1250: 'windows-1250',
  cp1251: 'windows-1251',
  cp1256: 'windows-1256',
  cp1257: 'windows-1257',
  cp866: 'ibm866',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  latin2: 'iso-8859-2',
  greek: 'iso-8859-7',
  hebrew: 'iso-8859-8',
  gbk: 'gbk',
  gb18030: 'gb18030',
  big5: 'big5',
  sjis: 'shift_jis',
  cp932: 'shift_jis',
  ujis: 'euc-jp',
  eucjpms: 'euc-jp',
  euckr: 'euc-kr',
  utf16le: 'utf-16le',
  utf16: 'utf-16be',
  ucs2: 'utf-16be',
}
const asTheyAre = new Set(['utf8mb4', 'utf8mb3', 'utf8', 'ascii', 'binary'])

/** Null: the bytes are UTF-8 (or binary) already. */
export function charsetToUtf8(charset: string | null): ((bytes: Uint8Array) => Uint8Array) | null | 'unsupported' {
  if (charset === null || asTheyAre.has(charset)) return null
  const label = labels[charset]
  if (label === undefined) return 'unsupported'
  const decoder = new TextDecoder(label)
  const single = charset.startsWith('utf16') || charset === 'ucs2' ? false : true
  return (bytes) => {
    // Nearly all keys are ASCII, which these charsets share.
    if (single && isAscii(bytes)) return bytes
    return Buffer.from(decoder.decode(bytes), 'utf8')
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}
