/** Collation ids that clients name in handshakes, as far as they are not utf8mb4's. */

const byId: Readonly<Record<number, string>> = {
  8: 'latin1',
  5: 'latin1',
  15: 'latin1',
  31: 'latin1',
  47: 'latin1',
  48: 'latin1',
  49: 'latin1',
  94: 'latin1',
  33: 'utf8mb3',
  83: 'utf8mb3',
  192: 'utf8mb3',
  223: 'utf8mb3',
  11: 'ascii',
  65: 'ascii',
  63: 'binary',
  9: 'latin2',
  30: 'latin5',
  20: 'latin7',
  51: 'cp1251',
  57: 'cp1256',
  59: 'cp1257',
  26: 'cp1250',
}
const utf8mb4Names: Readonly<Record<number, string>> = {
  45: 'utf8mb4_general_ci',
  46: 'utf8mb4_bin',
  224: 'utf8mb4_unicode_ci',
  246: 'utf8mb4_unicode_520_ci',
}

/** Null: one in which quotes can't be told safely. */
export function charsetOfCollation(id: number): string | null {
  const known = byId[id]
  if (known !== undefined) return known
  // big5 1 84, sjis 13 88, gbk 28 87, ucs2 35 90 128–151, utf16 54–56 101–124, utf32 60 61 160–183, cp932 95 96, gb18030 248–250, swe7 10 82
  const unsafe =
    [1, 84, 13, 88, 28, 87, 35, 90, 54, 55, 56, 62, 60, 61, 95, 96, 248, 249, 250, 10, 82].includes(id) || (id >= 101 && id <= 183)
  return unsafe ? null : 'utf8mb4'
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
