/**
 * Order and equality of values from several shards, by the type that the server says a column has. What can't be compared
 * exactly (text in a collation) is refused: whoever planned must have asked for weights then (promise 10). Pure.
 */
import { collation, columnType } from '../wire/column-types.ts'
import type { Column, RawRow } from '../mysql/connection.ts'
import { compareDecimals, parseDecimal, printDecimal } from './decimal.ts'
import { planErrors } from './plan/errors.ts'
import type { Compare, GroupKey, SortKey } from './plan/plan.ts'

export type CellCompare = (a: Buffer, b: Buffer) => number

/** Index of a column counted from the end when negative. */
export function columnAt(column: number, width: number): number {
  return column < 0 ? width + column : column
}

export function cellCompare(compare: Compare, column: Column): CellCompare {
  if (compare === 'bytes') return Buffer.compare
  switch (column.type) {
    case columnType.tiny:
    case columnType.short:
    case columnType.int24:
    case columnType.long:
    case columnType.longlong:
    case columnType.year:
      return compareIntegers
    case columnType.decimal:
    case columnType.newdecimal:
      return (a, b) => compareDecimals(parseDecimal(a.toString('latin1')), parseDecimal(b.toString('latin1')))
    case columnType.float:
      // Its text has six digits: what differs may look equal. Columns are asked for as DOUBLE.
      throw planErrors.textOrder({ construct: 'ORDER BY or GROUP BY of a FLOAT', column: column.name })
    case columnType.double:
      if (compare !== 'stored') requireAllDigits(column)
      return (a, b) => Number(a.toString('latin1')) - Number(b.toString('latin1'))
    case columnType.time:
      return (a, b) => timeMicros(a) - timeMicros(b)
    case columnType.date:
    case columnType.newdate:
    case columnType.datetime:
    case columnType.timestamp:
    case columnType.bit:
      return Buffer.compare
    case columnType.null:
      return () => 0
    case columnType.geometry:
    case columnType.json:
      // JSON's bytes are its text: 10 is before 9 there, and 1 is not 1.0.
      throw planErrors.textOrder({ construct: 'ORDER BY or GROUP BY of JSON or a geometry', column: column.name })
    default:
      if (column.charset === collation.binary) return Buffer.compare
      throw planErrors.textOrder({ construct: 'ORDER BY or GROUP BY', column: column.name })
  }
}

/** Decimals of a double that shows as many digits as it takes (NOT_FIXED_DEC). */
export const notFixed = 31

/** What is shown with fewer may be several values: 0.1 + 0.2 and 0.3. */
export function requireAllDigits(column: Column): void {
  if (column.decimals >= notFixed) return
  throw planErrors.textOrder({
    construct: `ORDER BY, GROUP BY or HAVING of a DOUBLE with ${column.decimals} decimals`,
    column: column.name,
  })
}

/** Sixteen digits and more need bigint; the rest a double holds exactly. */
function compareIntegers(a: Buffer, b: Buffer): number {
  if (a.length < 16 && b.length < 16) return Number(a.toString('latin1')) - Number(b.toString('latin1'))
  const x = BigInt(a.toString('latin1'))
  const y = BigInt(b.toString('latin1'))
  return x < y ? -1 : x > y ? 1 : 0
}

function timeMicros(cell: Buffer): number {
  const match = /^(-?)(\d+):(\d+):(\d+)(?:\.(\d+))?$/.exec(cell.toString('latin1'))
  if (match === null) return Number.NaN
  const micros = ((Number(match[2]) * 60 + Number(match[3])) * 60 + Number(match[4])) * 1e6 + Number((match[5] ?? '').padEnd(6, '0'))
  return match[1] === '-' ? -micros : micros
}

/** NULL is smaller than everything. */
export function rowCompare(keys: readonly SortKey[], columns: readonly Column[]): (a: RawRow, b: RawRow) => number {
  const compiled = keys.map((key) => {
    const at = columnAt(key.column, columns.length)
    return { at, compare: cellCompare(key.compare, columns[at] as Column), sign: key.descending ? -1 : 1 }
  })
  return (a, b) => {
    for (const { at, compare, sign } of compiled) {
      const x = a[at] as Buffer | null
      const y = b[at] as Buffer | null
      if (x === null || y === null) {
        if (x === y) continue
        return x === null ? -sign : sign
      }
      const order = compare(x, y)
      if (order !== 0) return order * sign
    }
    return 0
  }
}

/** Equal exactly when the values are equal; NULL equals NULL. */
export function groupKey(keys: readonly GroupKey[], columns: readonly Column[]): (row: RawRow) => string | null {
  const compiled = keys.map((key) => {
    const at = columnAt(key.column, columns.length)
    const column = columns[at] as Column
    // Refuses what can't be compared.
    cellCompare(key.compare, column)
    return { at, text: key.compare === 'bytes' ? bytesText : normaliserOf(column) }
  })
  const only = compiled.length === 1 ? compiled[0] : undefined
  // Nothing is put before it: a text of several pieces is copied once more when a map looks for it.
  if (only !== undefined)
    return (row) => {
      const cell = row[only.at] as Buffer | null
      return cell === null ? null : only.text(cell)
    }
  return (row) => {
    let out = ''
    for (const { at, text } of compiled) {
      const cell = row[at] as Buffer | null
      if (cell === null) out += 'n;'
      else {
        const value = text(cell)
        out += `${value.length}:${value};`
      }
    }
    return out
  }
}

function bytesText(cell: Buffer): string {
  return cell.toString('latin1')
}

function normaliserOf(column: Column): (cell: Buffer) => string {
  switch (column.type) {
    case columnType.decimal:
    case columnType.newdecimal:
      return (cell) => {
        const d = parseDecimal(cell.toString('latin1'))
        let { unscaled, scale } = d
        while (scale > 0 && unscaled % 10n === 0n) {
          unscaled /= 10n
          scale--
        }
        return printDecimal({ unscaled, scale })
      }
    case columnType.double:
      return (cell) => String(Number(cell.toString('latin1')) + 0)
    case columnType.tiny:
    case columnType.short:
    case columnType.int24:
    case columnType.long:
    case columnType.longlong:
      // ZEROFILL pads; the number counts.
      return (cell) => String(BigInt(cell.toString('latin1')))
    default:
      return bytesText
  }
}
