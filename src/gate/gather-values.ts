/**
 * A value that one server sent as text, as the literal by which another stores the same. Made for a session with `loadMode`. Pure.
 *
 * - FLOAT is asked for as DOUBLE: as text it has lost digits. Both are written with an exponent: without one a literal is a DECIMAL, which has 30 digits behind the point. Bits and bytes go as hex.
 * - TIMESTAMP goes as the instant that it is, and is stored by its local time. Where clocks are put back, an hour's times mean two instants: of these the one that the server would not take
 *   is refused. (As the zone of the server that is read says; the one that stores may have another where the session's is SYSTEM, and servers differ in it.)
 * - JSON of MySQL is typed inside, and text loses what it has no form for (tried): JSON_OBJECT('p', 1.50) holds a DECIMAL and comes back as a DOUBLE, times and bytes come back
 *   as text. A document with such values is refused. (An integer that was made as UNSIGNED INTEGER may be INTEGER afterwards, and the other way round: only JSON_TYPE tells.)
 */
import { escapeLiteral, quoteIdentifier } from '../sql/quote.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { planErrors } from './plan/errors.ts'

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
  if (column.dataType === 'json') return (cell) => escapeLiteral(requireCarried(column, cell))
  return escapeLiteral
}

const exponent = Buffer.from('e0')

function instantLiteral(column: ColumnInfo, cell: Buffer): Buffer {
  const text = requireCarried(column, cell).toString('latin1')
  // No instant of a TIMESTAMP is this one.
  return Buffer.from(Number(text) === 0 ? "'0000-00-00 00:00:00'" : `FROM_UNIXTIME(${text})`)
}

/** @throws SW-GATE-100 it can not be stored elsewhere as it is */
export function requireCarried(column: ColumnInfo, cell: Buffer): Buffer {
  if (cell.length !== 1 || cell[0] !== notCarried) return cell
  throw column.dataType === 'json' ? jsonNotCarried(`column ${column.name}`) : timeNotCarried(column.name)
}
const notCarried = 0x21

function jsonNotCarried(construct: string): Error {
  return planErrors.refused({
    construct: `JSON of ${construct} in rows that are put together, or moved to another shard,`,
    reason: 'a value in it (a DECIMAL, a time, bytes) would come out of its text as one of another type',
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
    case 'json': {
      const of = (path: string): string =>
        `EXISTS (SELECT 1 FROM JSON_TABLE(${name}, '${path}' COLUMNS (v JSON PATH '$')) _sw_j WHERE JSON_TYPE(_sw_j.v) NOT IN (${carriedTypes}))`
      return `CASE WHEN ${name} IS NULL THEN NULL WHEN JSON_TYPE(${name}) NOT IN (${carriedTypes}) OR ${of('$**.*')} OR ${of('$**[*]')} THEN '!' ELSE CAST(${name} AS CHAR) END`
    }
    default:
      return name
  }
}
const carriedTypes = "'OBJECT', 'ARRAY', 'BOOLEAN', 'NULL', 'INTEGER', 'UNSIGNED INTEGER', 'DOUBLE', 'STRING'"
