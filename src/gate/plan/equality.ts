/**
 * When does SQL's `=` on a column imply equal keyspace ids? Only then may a condition route, may tables joined by it stay in a shard, and do
 * groups not span shards. Collation equality and vindexes disagree easily (failure lore: “collation equality makes key ranges
 * disagree”): `'a' = 'A'` holds in a case-insensitive column while xxhash puts the rows on two shards. Where it is not implied, the statement goes
 * to all shards, which is always right.
 *
 * - integers: equal values, one decimal text.
 * - BINARY, VARBINARY: equal bytes.
 * - text under a bytewise vindex: only collations that compare bytes and pad nothing; CHAR columns with a padding `_bin` collation too, as
 *   what they hold never ends in a space.
 * - text under unicode_loose_*: it maps what the Unicode collation algorithm holds equal at the first level, trailing spaces cut. So equal by
 *   a binary or an untailored UCA collation implies equal ids, for the characters that both know alike (asked of both servers, equality.db.test.ts: all Latin,
 *   below U+0250; above, collations of Unicode versions after 6.2 hold some characters equal that the vindex, being Vitess's, holds apart: letters and digits added
 *   since, and marks that they ignore. A key with such a character is found by that very text, or by a scatter). Tailored collations (`_de_pb_`: ä = ae) never. Older ones (`_general_ci`) hold some letters equal that
 *   the vindex holds apart (ß = s, ı = i): for them only constants of ASCII without s and i are safe.
 */
import type { Vindex } from '../../keyspace/vindex.ts'
import type { ColumnInfo } from './catalog.ts'

const integers = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'integer', 'bigint'])
const texts = new Set(['char', 'varchar', 'tinytext', 'text', 'mediumtext', 'longtext'])
const binaries = new Set(['binary', 'varbinary', 'tinyblob', 'blob', 'mediumblob', 'longblob'])

export type Family = 'integer' | 'text' | 'binary' | 'other'

export function familyOf(column: ColumnInfo): Family {
  if (integers.has(column.dataType)) return 'integer'
  if (texts.has(column.dataType)) return column.collation === 'binary' ? 'binary' : 'text'
  return binaries.has(column.dataType) ? 'binary' : 'other'
}

/** - `always`; `plain-ascii`: for constants that `isPlainAscii`; `never`. */
export type Exactness = 'always' | 'plain-ascii' | 'never'

export function exactness(column: ColumnInfo, vindex: Pick<Vindex, 'type'>): Exactness {
  switch (familyOf(column)) {
    case 'integer':
      return 'always'
    case 'binary':
      // What `=` holds equal has equal bytes; BINARY(n) is padded to n when stored and when routed (convert.ts).
      return 'always'
    case 'text': {
      const collation = column.collation ?? ''
      const bytewise = collation.endsWith('_bin')
      if (vindex.type.startsWith('unicode_loose_')) {
        if (bytewise || untailored.test(collation)) return 'always'
        return collation.endsWith('_general_ci') ? 'plain-ascii' : 'never'
      }
      return bytewise && (column.padSpace === false || column.dataType === 'char') ? 'always' : 'never'
    }
    default:
      return 'never'
  }
}

const untailored = /^utf8(mb[34])?_(0900_(ai_ci|as_ci|as_cs)|uca1400_(nopad_)?(ai|as)_(ci|cs)|unicode_(520_)?(nopad_)?ci)$/

/** ASCII letters, digits and punctuation that no collation of MySQL holds equal to more than their other case and accented forms. */
export function isPlainAscii(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte <= 0x20 || byte >= 0x7f) return false
    const lower = byte | 0x20
    if (lower === 0x73 || lower === 0x69) return false
  }
  return true
}

/** Rows whose columns are equal stand on one shard. */
export function sameIdWhenEqual(a: ColumnInfo, b: ColumnInfo, vindex: Vindex): boolean {
  const family = familyOf(a)
  if (family !== familyOf(b) || exactness(a, vindex) !== 'always' || exactness(b, vindex) !== 'always') return false
  if (family === 'text') return a.collation === b.collation
  if (family === 'binary') return a.dataType === b.dataType && (a.dataType !== 'binary' || a.lengthMax === b.lengthMax)
  return true
}
