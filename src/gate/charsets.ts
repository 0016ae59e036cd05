/**
 * Collation ids that clients name in handshakes (`charsets.db.test.ts` holds them against what servers list). Ids that are not known here are refused: taken for
 * another set than the client writes in, what it stores would be other text.
 */

/** Which sets quotes can be told in: in these a byte below 0x80 is always that character. */
const charsets: Readonly<Record<string, readonly number[]>> = {
  latin2: [2, 9, 21, 27, 77],
  dec8: [3, 69],
  cp850: [4, 80],
  latin1: [5, 8, 15, 31, 47, 48, 49, 94],
  hp8: [6, 72],
  koi8r: [7, 74],
  ascii: [11, 65],
  ujis: [12, 91],
  cp1251: [14, 23, 50, 51, 52],
  hebrew: [16, 71],
  tis620: [18, 89],
  euckr: [19, 85],
  latin7: [20, 41, 42, 79],
  koi8u: [22, 75],
  gb2312: [24, 86],
  greek: [25, 70],
  cp1250: [26, 34, 44, 66, 99],
  cp1257: [29, 58, 59],
  latin5: [30, 78],
  armscii8: [32, 64],
  cp866: [36, 68],
  keybcs2: [37, 73],
  macce: [38, 43],
  macroman: [39, 53],
  cp852: [40, 81],
  cp1256: [57, 67],
  binary: [63],
  geostd8: [92, 93],
  eucjpms: [97, 98],
  utf8mb3: [33, 76, 83, ...between(192, 215), 223, 576, 577, 578],
  utf8mb4: [45, 46, ...between(224, 247), ...between(255, 323), 608, 609, 610],
}
/** In these a byte below 0x80 may be half of a character, or another one. */
const unsafe: Readonly<Record<string, readonly number[]>> = {
  big5: [1, 84],
  swe7: [10, 82],
  sjis: [13, 88],
  gbk: [28, 87],
  cp932: [95, 96],
  gb18030: [248, 249, 250],
  ucs2: [35, 90, ...between(128, 151), 159, 640, 641, 642],
  utf16: [54, 55, ...between(101, 124), 672, 673, 674],
  utf16le: [56, 62],
  utf32: [60, 61, ...between(160, 183), 736, 737, 738],
}
/** MariaDB: the same without padding. */
const noPad = 1024
/** MariaDB: UCA 14, 256 for each of its sets, these first. */
const uca14 = { utf8mb3: 2048, utf8mb4: 2304, end: 2560 }
/** By the same count: ucs2, utf16, utf32. */
const uca14Unsafe = ['ucs2', 'utf16', 'utf32'] as const

const byId = listed(charsets)
const unsafeById = listed(unsafe)

function listed(sets: typeof charsets): ReadonlyMap<number, string> {
  return new Map(Object.entries(sets).flatMap(([name, ids]) => ids.map((id) => [id, name] as const)))
}

function between(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

const utf8mb4Names: Readonly<Record<number, string>> = {
  45: 'utf8mb4_general_ci',
  46: 'utf8mb4_bin',
  224: 'utf8mb4_unicode_ci',
  246: 'utf8mb4_unicode_520_ci',
}

/** What a client that names none gets, as from servers; of an id above 255 that is cut to its last byte, too, 0 is left. */
const unnamed = 0

/** Null: one in which quotes can't be told safely, or that is not known. */
export function charsetOfCollation(id: number): string | null {
  if (id === unnamed) return 'utf8mb4'
  if (id >= uca14.utf8mb3 && id < uca14.end) return id < uca14.utf8mb4 ? 'utf8mb3' : 'utf8mb4'
  return byId.get(id) ?? (id > noPad && id < uca14.utf8mb3 ? (byId.get(id - noPad) ?? null) : null)
}

/** What SET NAMES must say for the session to be as the handshake asked, or null when new connections are so already. */
export function initialNames(id: number): string | null {
  const charset = charsetOfCollation(id)
  if (charset === null) return null
  if (charset !== 'utf8mb4') return charset === 'utf8mb3' ? 'utf8' : charset
  // Others (utf8mb4_0900_ai_ci, of which MariaDB knows nothing) are the server's default.
  const name = utf8mb4Names[id]
  return name === undefined ? null : `utf8mb4 COLLATE ${name}`
}

/** How long a character is, of those that are not one byte always. */
const lengths: Readonly<Record<string, { readonly min: number; readonly max: number }>> = {
  ujis: { min: 1, max: 3 },
  eucjpms: { min: 1, max: 3 },
  euckr: { min: 1, max: 2 },
  gb2312: { min: 1, max: 2 },
  big5: { min: 1, max: 2 },
  sjis: { min: 1, max: 2 },
  gbk: { min: 1, max: 2 },
  cp932: { min: 1, max: 2 },
  gb18030: { min: 1, max: 4 },
  utf8mb3: { min: 1, max: 3 },
  utf8mb4: { min: 1, max: 4 },
  ucs2: { min: 2, max: 2 },
  utf16: { min: 2, max: 4 },
  utf16le: { min: 2, max: 4 },
  utf32: { min: 4, max: 4 },
}

/** Bytes of a character of a collation's set, the shortest and the longest; null: it is not known. */
export function bytesOfCharacters(id: number): { readonly min: number; readonly max: number } | null {
  const charset = charsetOfCollation(id) ?? unsafeCharset(id)
  return charset === undefined ? null : (lengths[charset] ?? { min: 1, max: 1 })
}

function unsafeCharset(id: number): string | undefined {
  if (id >= uca14.end) return uca14Unsafe[Math.floor((id - uca14.end) / 256)]
  return unsafeById.get(id) ?? unsafeById.get(id - noPad)
}
