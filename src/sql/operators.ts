/** MySQL's operators by how tightly they bind, and functions of unusual form. */
// Binding powers, loosest first: OR, XOR, AND, NOT, comparison, |, &, shifts, + -, * / DIV MOD, ^.
export const notPower = 4
export const comparePower = 5
export const bitPower = 6

export const powers: Readonly<Record<string, number>> = {
  OR: 1,
  '||': 1,
  XOR: 2,
  AND: 3,
  '&&': 3,
  '=': comparePower,
  '<=>': comparePower,
  '>=': comparePower,
  '>': comparePower,
  '<=': comparePower,
  '<': comparePower,
  '<>': comparePower,
  '!=': comparePower,
  IS: comparePower,
  LIKE: comparePower,
  REGEXP: comparePower,
  RLIKE: comparePower,
  IN: comparePower,
  BETWEEN: comparePower,
  NOT: comparePower,
  SOUNDS: comparePower,
  MEMBER: comparePower,
  '|': bitPower,
  '&': 7,
  '<<': 8,
  '>>': 8,
  '+': 9,
  '-': 9,
  '*': 10,
  '/': 10,
  '%': 10,
  DIV: 10,
  MOD: 10,
  '^': 11,
}
/** Of `||` where it joins text. */
export const concatPower = 12
export const bareFunctions = new Set([
  'CURRENT_TIMESTAMP',
  'CURRENT_DATE',
  'CURRENT_TIME',
  'CURRENT_USER',
  'LOCALTIME',
  'LOCALTIMESTAMP',
  'UTC_DATE',
  'UTC_TIME',
  'UTC_TIMESTAMP',
])
/** `_utf8mb4 'x'`: the character sets of either server (SHOW CHARACTER SET; `utf8` is utf8mb3). Any other word is a column's name, and the string behind it what it is called. */
export const introducers = new Set(
  (
    'ARMSCII8 ASCII BIG5 BINARY CP1250 CP1251 CP1256 CP1257 CP850 CP852 CP866 CP932 DEC8 EUCJPMS EUCKR GB18030 GB2312 GBK GEOSTD8 GREEK HEBREW HP8 KEYBCS2 KOI8R KOI8U ' +
    'LATIN1 LATIN2 LATIN5 LATIN7 MACCE MACROMAN SJIS SWE7 TIS620 UCS2 UJIS UTF16 UTF16LE UTF32 UTF8 UTF8MB3 UTF8MB4'
  )
    .split(' ')
    .map((name) => `_${name}`),
)
/** Functions whose first argument is a keyword: a unit of time or a kind of format. */
export const unitFunctions = new Set(['TIMESTAMPADD', 'TIMESTAMPDIFF', 'GET_FORMAT'])
