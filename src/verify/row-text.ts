/**
 * A row as one text, written by the server: the same text for the same values on either side, another text for other values.
 *
 * Argument: fields are parted by the byte FF. The head (numbers, times, lengths, NULL marks, digests of large values) is ASCII, and UTF-8 has no byte FF, nor FE, which stands for a NULL there: so the head's
 * fields and the strings in UTF-8 can be told apart one by one. After them each other string has exactly the length that its head field says (the last one: all that is left). So the text can be read back:
 * (1,NULL) is not (NULL,1), NULL is not '', ('ab','c') is not ('a','bc'), and no trailing space or zero byte is lost. The session's charset is binary: strings go in
 * as bytes of their own charset, unconverted, and are never compared by a collation. (A length for each string cost a tenth of the digest: measured.)
 *
 * What is summed is 64 bits of its SHA-256, which both flavours have built in (MySQL 9.7 has no SHA1 and MD5 any more); it costs
 * what SHA1 does. A row's digest cannot be steered, so equal counts and sums clear a chunk; a CRC could not: it is linear.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import { typedDocument } from '../binlog/json-types.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import { asBytes } from '../move/statements.ts'
import { quoteIdentifier } from '../sql/quote.ts'

/** `plainDocument`: a condition under which a JSON document surely has a text that tells all (`sampled-documents.ts`). */
export type ComparedColumn = ColumnDefinition & { readonly plainDocument?: string | null }

/**
 * A column as one side has it (`side-columns.ts`). `wide`: the sides differ in charset, so values are compared as utf8mb4. `digested`: on some side values may be large.
 * `fractionDigits`: of times, where the sides differ in them.
 */
export type SideColumn = {
  readonly definition: ComparedColumn
  readonly nullable: boolean
  readonly wide: boolean
  readonly digested: boolean
  readonly fractionDigits?: number
}

const plain = new Set([
  'tinyint',
  'smallint',
  'mediumint',
  'int',
  'integer',
  'bigint',
  'decimal',
  'numeric',
  'float',
  'double',
  'year',
  'enum',
  'set',
  'date',
  'time',
  'datetime',
  'timestamp',
])
/** Values that may be larger than a packet, or many of them in one row: only their digest goes into the row's text. */
const large = new Set(['text', 'mediumtext', 'longtext', 'blob', 'mediumblob', 'longblob', 'json'])
export function isLarge({ dataType }: ColumnDefinition): boolean {
  return large.has(dataType)
}

const opaque = new Set([
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
  'vector',
])

function isString({ definition: { dataType }, digested }: SideColumn): boolean {
  return !plain.has(dataType) && !opaque.has(dataType) && !digested && dataType !== 'bit'
}

/** `utf8`: a string without FE and FF, which a server stores nothing else as. */
type Field = { kind: 'head' | 'string' | 'utf8'; sql: string }

const utf8 = /^utf8(mb[34])?$/

/** As strong as a column: MariaDB would convert a literal to the columns' charset, which has no such byte (1300). */
const byte = (hex: 'FE' | 'FF'): string => `CAST(x'${hex}' AS BINARY)`

/** A time with so many digits of its second's fraction: no fewer than it has, or what is cut off is rounded. */
export function withDigits(definition: ColumnDefinition, digits: number): string {
  return `CAST(${canonicalExpression(definition)} AS ${definition.dataType === 'time' ? 'TIME' : 'DATETIME'}(${digits}))`
}

/** MySQL keeps the sign of zero, MariaDB has only one zero (*tried*): as values they are the same. */
function floatValue(definition: ColumnDefinition): string {
  return `(${canonicalExpression(definition)} + 0e0)`
}

/**
 * As a part of a text. There MySQL prints what was computed with at most 22 characters: of -1.0000000000000002e-10 it leaves -1e-10, and of a third of all doubles the last digit (*tried*, 9.7). A column itself it prints
 * whole, but a FLOAT with six digits; as a double that one has more digits than tell it from others, also when some are left out.
 * Nor is DOUBLE(10,2) printed itself: one that was a DOUBLE keeps all digits (an instant ALTER), and prints two.
 */
function floatInText(definition: ColumnDefinition): string {
  const name = quoteIdentifier(definition.name)
  return /^double(?! ?\()/i.test(definition.columnType) ? `IF(${name}=0,'0',${name})` : floatValue(definition)
}

/** `mixed`: the row has strings of several collations, which the server would convert into one another, or refuse (1271, *tried* on
 * MariaDB: a nopad one among others of one charset; 3854 on MySQL: a number or digest beside a charset that does not hold ASCII as it is). */
function field({ definition, wide, digested, fractionDigits }: SideColumn, mixed: boolean): Field {
  const { dataType } = definition
  if (dataType === 'float' || dataType === 'double') return { kind: 'head', sql: floatInText(definition) }
  if (fractionDigits !== undefined) return { kind: 'head', sql: withDigits(definition, fractionDigits) }
  if (plain.has(dataType)) return { kind: 'head', sql: canonicalExpression(definition) }
  if (dataType === 'bit') return { kind: 'head', sql: `CAST(${quoteIdentifier(definition.name)} AS UNSIGNED)` }
  if (opaque.has(dataType)) return { kind: 'head', sql: `SHA2(HEX(${quoteIdentifier(definition.name)}),256)` }
  if (dataType === 'json')
    return { kind: 'head', sql: `SHA2(${typedDocument(quoteIdentifier(definition.name), definition.plainDocument)},256)` }
  const text = wide ? `CONVERT(${canonicalExpression(definition)} USING utf8mb4)` : canonicalExpression(definition)
  const value = mixed ? `CAST(${text} AS BINARY)` : text
  if (digested) return { kind: 'head', sql: `SHA2(${value},256)` }
  return { kind: wide || utf8.test(definition.charset ?? '') ? 'utf8' : 'string', sql: value }
}

/** 64 bits of a row's digest as 16 hex digits. */
export function rowDigest(columns: readonly SideColumn[]): string {
  const head: string[] = []
  const parted: string[] = []
  const strings: string[] = []
  const collations = new Set(columns.filter(isString).map(({ definition, wide }) => (wide ? 'utf8mb4' : definition.collation)))
  const mixed = collations.size > 1 || columns.some(({ definition }) => /^(utf16|utf16le|utf32|ucs2)$/.test(definition.charset ?? ''))
  const fields = columns.map((column) => ({ ...field(column, mixed), nullable: column.nullable }))
  const last = fields.findLastIndex(({ kind }) => kind === 'string')
  for (const [i, { kind, sql, nullable }] of fields.entries()) {
    const marked = (text: string): string => (nullable ? `IFNULL(${text},'N')` : text)
    if (kind === 'head') head.push(marked(sql))
    else if (kind === 'utf8') parted.push(nullable ? `IFNULL(${sql},${byte('FE')})` : sql)
    else {
      // The last string ends where the text ends: its length need not be told, only whether it is NULL.
      if (i !== last) head.push(marked(`LENGTH(${sql})`))
      else if (nullable) head.push(`ISNULL(${sql})`)
      strings.push(nullable ? `IFNULL(${sql},'')` : sql)
    }
  }
  return asBytes(`LEFT(SHA2(CONCAT_WS(${byte('FF')},${[...head, ...parted, ...strings].join(',')}),256),16)`)
}

/** The same as a number that can be summed without loss. */
export function rowDigestNumber(columns: readonly SideColumn[]): string {
  return `CAST(CONV(${rowDigest(columns)},16,10) AS UNSIGNED)`
}

/** One value, bounded: itself where it is short, else its digest; NULL stays NULL. For telling which columns differ. */
export function valueDigest(column: SideColumn): string {
  // Not within a text: sent as it is, with all digits, and printed alike by both flavours.
  if (/^(float|double)$/.test(column.definition.dataType)) return asBytes(floatValue(column.definition))
  const { kind, sql } = field(column, false)
  return asBytes(kind === 'head' ? sql : `SHA2(${sql},256)`)
}
