/**
 * How the parts of a unique key are read, for whoever compares its values between two servers (key-collisions.ts, key-digests.ts): as literals that equal the
 * value and nothing else, and as bytes that are equal where the key takes two values for equal.
 */
import { isServerError } from '../mysql/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import type { KeyPart, TableColumn, TableInfo, TableKey } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'

/**
 * `numbers`: whole numbers in the order of their index, which are the same on every server. `pages`: in the order of the index, which the server keeps. `digests`: no index
 * gives these values in order: expressions, beginnings of columns, values whose index is one of hashes, parts that go up and others down.
 */
export type KeyReading = 'numbers' | 'pages' | 'digests'

export function readingOf(table: TableInfo, key: TableKey): KeyReading {
  const ordered = key.type === 'BTREE' && key.parts.every((part) => part.column !== null && part.prefixLength === null && !part.descending)
  // Both servers keep a SET of 64 members in the order of an unsigned number, and compare it as a signed one.
  const signed = key.parts.some(({ column }) => (columnOf(table, column ?? '')?.columnType.match(/'(?:[^']|'')*'/g)?.length ?? 0) >= 64)
  if (!ordered || signed) return 'digests'
  return key.parts.every((part) => isNumbered(columnOf(table, part.column ?? ''))) ? 'numbers' : 'pages'
}

export function columnOf(table: TableInfo, name: string): TableColumn | undefined {
  return table.columns.find((one) => one.name.toLowerCase() === name.toLowerCase())
}

/** Values of ENUM and SET are ordered by their numbers, and not by their texts; sources that meet have the same ones (source-agreement.ts). */
function isNumbered(column: TableColumn | undefined): boolean {
  return column !== undefined && /int$|^(bit|year|enum|set)$/.test(column.dataType)
}

/**
 * An expression that prints a column's value as a literal: bytes in the column's own charset, so that the other side compares by its column's collation
 * and by its index; numbers without quotes, which would make them doubles. A FLOAT is printed as the double that it equals: by itself it is printed with six digits, which equal nothing.
 */
export function literalSql(table: TableInfo, name: string): string {
  const column = columnOf(table, name)
  const quoted = quoteIdentifier(name)
  const dataType = column?.dataType ?? ''
  // Not `+ 0`: MariaDB takes the 64th member of a SET for a sign.
  if (/^(bit|enum|set)$/.test(dataType)) return `CONCAT(CAST(${quoted} AS UNSIGNED), '')`
  // A key takes 0 and -0 for equal, which is printed with its sign.
  if (dataType === 'float') return `IF(${quoted} = 0, '0', CONCAT(CAST(${quoted} AS DOUBLE), ''))`
  if (dataType === 'double') return `IF(${quoted} = 0, '0', CONCAT(${quoted}, ''))`
  if (/int$|^(decimal|numeric|year)$/.test(dataType)) return `CONCAT(${quoted}, '')`
  if (column?.charset != null && column.charset !== 'binary') return `CONCAT('_${column.charset} X''', HEX(${quoted}), '''')`
  if (/^(binary|varbinary|tinyblob|blob|mediumblob|longblob)$/.test(dataType)) return `CONCAT('X''', HEX(${quoted}), '''')`
  return `QUOTE(${quoted})`
}

/** For people. */
export function shownSql(table: TableInfo, name: string): string {
  const column = columnOf(table, name)
  const quoted = quoteIdentifier(name)
  if (column?.dataType === 'float') return quoted
  return column?.charset != null ? `QUOTE(${quoted})` : literalSql(table, name)
}

/** Of a column without a prefix, characters: what its digest is made of at most, and what of it is shown. */
const [valueMax, shownMax] = [65_535, 768]

/** A part of a key that is read by what it compares by. `value`: what stands in the index; `bytes`: equal where the index takes two values for equal; `shown`: for people. */
export type ComparedPart = { readonly value: string; readonly bytes: string; readonly shown: string }

/** Null: it cannot be read so, as an index of many values a row. */
export async function comparedParts(connection: Connection, table: TableInfo, key: TableKey): Promise<ComparedPart[] | null> {
  const parts: ComparedPart[] = []
  for (const part of key.parts) {
    const read = part.column === null ? await ofExpression(connection, table, part) : ofColumn(table, part.column, part.prefixLength)
    if (read === null) return null
    parts.push(read)
  }
  return parts
}

function ofColumn(table: TableInfo, name: string, prefixLength: number | null): ComparedPart | null {
  const column = columnOf(table, name)
  const quoted = quoteIdentifier(name)
  const numbered = column?.dataType === 'enum' || column?.dataType === 'set'
  const collation = column?.charset == null || column.charset === 'binary' || numbered ? null : column.collation
  if (prefixLength !== null) {
    const value = `LEFT(${quoted}, ${prefixLength})`
    return collation === null
      ? { value, bytes: `HEX(${value})`, shown: `CONCAT('X''', HEX(${value}), '''')` }
      : { value, bytes: weightSql(value, collation), shown: `QUOTE(${value})` }
  }
  const length = column?.lengthMax ?? 0
  // More than a digest is made of in one piece.
  if (length > valueMax) return null
  const long = length > shownMax && column?.charset != null
  const shown = long ? `QUOTE(LEFT(${quoted}, ${shownMax}))` : shownSql(table, name)
  return { value: quoted, bytes: collation === null ? literalSql(table, name) : weightSql(quoted, collation), shown }
}

/** Whether it is text, and by which collation, only the server knows. */
async function ofExpression(connection: Connection, table: TableInfo, part: KeyPart): Promise<ComparedPart | null> {
  if (part.expression === null) return null
  const value = `(${part.expression})`
  const from = `(SELECT 1) one LEFT JOIN ${quoteQualified(table.schema, table.name)} ON FALSE`
  try {
    const collation = await connection.value(`SELECT COLLATION(${value}) FROM ${from}`)
    // Numbers and times have it too.
    const bytes = collation == null || collation === 'binary' ? `HEX(CONCAT(${value}, ''))` : weightSql(value, collation)
    return { value, bytes, shown: `QUOTE(${value})` }
  } catch (error) {
    if (!isServerError(error)) throw error
    return null
  }
}

/**
 * Where a collation pads, spaces at the end count for nothing, nor does what weighs as much as a space. Of both kinds neither takes part: filled up to one length, as the server does it, `ß` and `ss` would differ.
 */
function weightSql(value: string, collation: string): string {
  if (/_nopad_|_0900_|^binary$/.test(collation)) return `HEX(WEIGHT_STRING(${value}))`
  const space = `CONVERT(' ' USING ${collation.slice(0, collation.indexOf('_'))}) COLLATE ${collation}`
  return `HEX(TRIM(TRAILING WEIGHT_STRING(${space}) FROM WEIGHT_STRING(RTRIM(${value}))))`
}

/** All parts together: 16 bytes, the same for equal values and for no others. A key that has a NULL keeps nothing apart, and is left out by `notNullSql`; NULL here: it was not to be made. */
export function digestSql(parts: readonly ComparedPart[]): string {
  return `LEFT(SHA2(CONCAT(${parts.map(({ bytes }) => bytes).join(", ',', ")}), 256), 32)`
}

export function notNullSql(parts: readonly { readonly value: string }[]): string {
  return parts.map(({ value }) => `${value} IS NOT NULL`).join(' AND ')
}

export function shownTogetherSql(shown: readonly string[]): string {
  return `CONCAT_WS(${quoteString(', ')}, ${shown.join(', ')})`
}
