/**
 * The text of a logged statement: its bytes are in the client's character set, whose collation id the event tells.
 *
 * Read as another one, a name would be another name, and a statement on a moved table pass for one on none. What can't be read with certainty (a set that is not
 * here, bytes that it does not have) has U+FFFD in it; whoever compares names takes one with that for any (`unreadable`).
 */
import type { Buffer } from 'node:buffer'

/** WHATWG's label of a set, and the ids of its collations. MariaDB's nopad ones are 1,024 further. Sets of which WHATWG has another table are left out: sjis, ujis, big5, euckr. */
const sets: readonly (readonly [label: string, collations: readonly number[]])[] = [
  ['windows-1252', [5, 8, 15, 31, 47, 48, 49, 94]],
  ['iso-8859-2', [2, 9, 21, 27, 77]],
  ['windows-1254', [30, 78]],
  ['windows-1250', [26, 34, 44, 66, 99]],
  ['windows-1251', [14, 23, 50, 51, 52]],
  ['windows-1256', [57, 67]],
  ['windows-1257', [29, 58, 59]],
  ['ibm866', [36, 68]],
  ['koi8-r', [7, 74]],
  ['koi8-u', [22, 75]],
  ['iso-8859-7', [25, 70]],
  ['iso-8859-8', [16, 71]],
  ['gbk', [28, 87]],
  ['gb18030', [248, 249, 250]],
  ['shift_jis', [95, 96]],
]
const nopad = 1024
const labelOf = new Map(sets.flatMap(([label, ids]) => ids.flatMap((id) => [[id, label] as const, [id + nopad, label] as const])))

/** utf8mb3, utf8mb4, ascii and binary, and all of MySQL's and MariaDB's newer ones (a client's set is never UTF-16 or 32). */
function isUtf8(id: number): boolean {
  const plain = id < 2048 && id >= nopad ? id - nopad : id
  return (
    [11, 65, 63, 33, 83, 76, 45, 46].includes(plain) || (plain >= 192 && plain <= 247) || (plain >= 255 && plain <= 323) || plain >= 2048
  )
}

/** @param collation the client's, null when the event does not say */
export function clientText(bytes: Buffer, collation: number | null): string {
  if (isAscii(bytes)) return bytes.toString('latin1')
  if (collation === null || isUtf8(collation)) return bytes.toString('utf8')
  const label = labelOf.get(collation)
  if (label === undefined) return bytes.toString('latin1').replace(/[\u0080-\u00ff]+/g, '\ufffd')
  return new TextDecoder(label, { ignoreBOM: true }).decode(bytes)
}

/** Whether a name may be any: it could not be read. */
export function unreadable(name: string): boolean {
  return name.includes('\ufffd')
}

function isAscii(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}
