/**
 * A value that one server sent as text, as the literal by which another stores the same. FLOAT is asked for as DOUBLE, as text it has lost
 * digits; bits and bytes go as hex. Made for a session with `loadMode`. Pure.
 */
import { collation, columnType } from '../wire/column-types.ts'
import type { Column } from '../mysql/connection.ts'
import { escapeLiteral, quoteIdentifier } from '../sql/quote.ts'
import type { ColumnInfo } from './plan/catalog.ts'

/** Stores what is given: no id of its own for 0, every date that a table can hold, no refusal of what a stricter mode let in before. */
export const loadMode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'

const bare = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'integer', 'bigint', 'decimal', 'float', 'double', 'year'])
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
  if (bytes.has(column.dataType)) return (cell) => Buffer.from(`x'${cell.toString('hex')}'`)
  return escapeLiteral
}

/** How the column is asked for. */
export function fetched(alias: string, column: ColumnInfo): string {
  const name = `${quoteIdentifier(alias)}.${quoteIdentifier(column.name)}`
  return column.dataType === 'float' ? `(${name} + 0e0)` : name
}

const numeric = new Set<number>([
  columnType.decimal,
  columnType.tiny,
  columnType.short,
  columnType.long,
  columnType.float,
  columnType.double,
  columnType.longlong,
  columnType.int24,
  columnType.year,
  columnType.newdecimal,
])
const temporal = new Set<number>([columnType.timestamp, columnType.date, columnType.time, columnType.datetime, columnType.newdate])

/** The same for a column of an answer, by its type. */
export function literalOfType(column: Column): (cell: Buffer) => Buffer {
  if (numeric.has(column.type)) return (cell) => cell
  if (column.type === columnType.bit || (column.charset === collation.binary && !temporal.has(column.type)))
    return (cell) => Buffer.from(`x'${cell.toString('hex')}'`)
  return escapeLiteral
}
