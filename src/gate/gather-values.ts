/**
 * A value that one server sent as text, as the literal by which another stores the same. Made for a session with `loadMode`. Pure.
 *
 * - FLOAT is asked for as DOUBLE: as text it has lost digits. Both are written with an exponent: without one a literal is a DECIMAL, which has 30 digits behind the point. Bits and bytes go as hex.
 * - TIMESTAMP goes as the instant that it is, and is stored by its local time. Where clocks are put back, an hour's times mean two instants: of these the one that the server would not take
 *   is refused. (As the zone of the server that is read says; the one that stores may have another where the session's is SYSTEM, and servers differ in it.)
 * - JSON of MySQL is typed inside, and text loses what it has no form for (tried): JSON_OBJECT('p', 1.50) holds a DECIMAL and comes back as a DOUBLE, times and bytes come back
 *   as text. A document with such values comes with their types, and is made of them (typed-documents.ts); one that can't be is refused. (An integer that was made as UNSIGNED INTEGER may be INTEGER afterwards, and the other way round: only JSON_TYPE tells.)
 */
import { escapeLiteral, quoteIdentifier } from '../sql/quote.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { planErrors } from './plan/errors.ts'
import { documentMaker, fetchedDocument, typedMark } from './typed-documents.ts'

/** Stores what is given: no id of its own for 0, every date that a table can hold, no refusal of what a stricter mode let in before. */
export const loadMode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'

const bare = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'integer', 'bigint', 'decimal', 'year'])
const bytes = new Set([
  'bit',
  'binary',
  'varbinary',
  'tinyblob',
  'blob',
  'mediumblob',
  'longblob',
  'vector',
  'geometry',
  'point',
  'linestring',
  'polygon',
  'multipoint',
  'multilinestring',
  'multipolygon',
  'geometrycollection',
  'geomcollection',
])

export function literalMaker(column: ColumnInfo): (cell: Buffer) => Buffer {
  if (bare.has(column.dataType)) return (cell) => cell
  if (column.dataType === 'float' || column.dataType === 'double')
    return (cell) => (cell.includes('e') ? cell : Buffer.concat([cell, exponent]))
  if (bytes.has(column.dataType)) return (cell) => Buffer.from(`x'${cell.toString('hex')}'`)
  if (column.dataType === 'timestamp') return (cell) => instantLiteral(column, cell)
  if (column.dataType === 'json') return (cell) => documentLiteral(column, cell)
  return escapeLiteral
}

const exponent = Buffer.from('e0')
const castTo = Buffer.from('CAST(')
const asJson = Buffer.from(' AS JSON)')

function instantLiteral(column: ColumnInfo, cell: Buffer): Buffer {
  const text = requireCarried(column, cell).toString('latin1')
  // No instant of a TIMESTAMP is this one.
  return Buffer.from(Number(text) === 0 ? "'0000-00-00 00:00:00'" : `FROM_UNIXTIME(${text})`)
}

/** @throws SW-GATE-100 it can not be stored elsewhere as it is */
export function requireCarried(column: ColumnInfo, cell: Buffer): Buffer {
  if (column.dataType === 'json' && cell[0] === typedMark) documentLiteral(column, cell)
  else if (column.dataType === 'timestamp' && cell.length === 1 && cell[0] === notCarried) throw timeNotCarried(column.name)
  return cell
}

function documentLiteral(column: ColumnInfo, cell: Buffer): Buffer {
  // As JSON: as text beside such a one, in a UNION, it would make both text.
  if (cell[0] !== typedMark) return Buffer.concat([castTo, escapeLiteral(cell), asJson])
  const made = documentMaker(cell.subarray(1))
  if (made === null) throw jsonNotCarried(`column ${column.name}`)
  return made
}

const notCarried = 0x21

function jsonNotCarried(construct: string): Error {
  return planErrors.refused({
    construct: `JSON of ${construct} in rows that are put together, or moved to another shard,`,
    reason: 'a value in it (bits, bytes that are no VARBINARY, a TIMESTAMP) would come out of its text as one of another type',
    instead: 'restrict the statement to one shard, or leave the column out; as text: CAST(… AS CHAR)',
  })
}

function timeNotCarried(name: string): Error {
  return planErrors.refused({
    construct: `TIMESTAMP ${name} in the hour that comes twice as clocks are put back, in rows that are put together or moved to another shard,`,
    reason: 'its local time stands for another instant, too',
    instead: "SET time_zone = '+00:00'",
  })
}

/** How the column is asked for. */
export function fetched(alias: string, column: ColumnInfo): string {
  const name = `${quoteIdentifier(alias)}.${quoteIdentifier(column.name)}`
  switch (column.dataType) {
    case 'float':
      return `(${name} + 0e0)`
    case 'timestamp':
      return `CASE WHEN ${name} IS NULL THEN NULL WHEN UNIX_TIMESTAMP(${name}) = 0 THEN 0 WHEN UNIX_TIMESTAMP(CAST(${name} AS DATETIME(6))) = UNIX_TIMESTAMP(${name}) THEN UNIX_TIMESTAMP(${name}) ELSE '!' END`
    case 'json':
      return fetchedDocument(name)
    default:
      return name
  }
}
