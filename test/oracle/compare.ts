/** Whether two answers are one: values, types, names, affected rows, warnings. */
import type { Column, Result, RawRow } from '../../src/mysql/connection.ts'
import { drawnFrom } from './probe-tables.ts'
import type { Asked } from './select.ts'

export type Answer =
  | { readonly kind: 'answer'; readonly result: Result }
  | { readonly kind: 'error'; readonly errno: number; readonly message: string; readonly code: string | null }

export type Difference = {
  readonly what: 'values' | 'order' | 'names' | 'types' | 'affected' | 'warnings' | 'error' | 'metadata'
  readonly detail: string
}

const real = new Set([4, 5])
/** Decimals of a real that shows as many as it takes. */
const notFixed = 31
const newDecimal = 246
const year = 13
const bit = 16
const float = 4
/** No type of a server's. */
const floatOrDouble = -4
const json = 245
const integers = new Set([1, 2, 3, 8, 9])
const lengthless = new Set([15, 249, 250, 251, 252, 253, 254])

/**
 * Which of the string or integer types it is, and the decimals of a string, servers tell by the plan that they chose (whether rows went through a temporary table), on one server
 * too; so do flags and lengths, which are counted apart as metadata.
 */
function typeOf(column: Column): string {
  if (lengthless.has(column.type)) return `string ${column.charset}`
  // Of MySQL: decimals 31 and utf8mb4, or 0 and binary where it went through a temporary table: with and without SQL_BUFFER_RESULT, on one server too.
  if (column.type === json) return 'json'
  if (integers.has(column.type)) return `integer ${(column.flags & 0x20) !== 0 ? 'unsigned' : ''}`
  return `${column.type} ${column.decimals} ${(column.flags & 0x20) !== 0 ? 'unsigned' : ''} ${column.charset}`
}

/**
 * What MySQL makes of these in an expression when rows go through a temporary table (MIN(bx.y) of a derived table with GROUP BY is a YEAR or an integer), and as what both are compared: with and without
 * SQL_BUFFER_RESULT, on one server too.
 */
const planned: readonly (readonly [type: number, through: ReadonlySet<number>, as: number])[] = [
  [year, integers, 3],
  [bit, integers, bit],
  [float, new Set([5]), floatOrDouble],
]

function asPlanned(column: Column, other: Column | undefined): Column {
  if (other === undefined || column.orgTable !== '' || other.orgTable !== '') return column
  const found = planned.find(
    ([type, through]) => (column.type === type && through.has(other.type)) || (other.type === type && through.has(column.type)),
  )
  return found === undefined ? column : { ...column, type: found[2] }
}

/** `text`: the answers are of the text protocol. */
export type Compared = Pick<Asked, 'ordered' | 'folded' | 'lists'> & { readonly sql?: string; readonly text?: boolean }

export function compareRows(asked: Compared, expected: Answer, got: Answer): Difference | null {
  const failed = compareErrors(expected, got)
  if (failed !== undefined) return failed
  if (expected.kind !== 'answer' || got.kind !== 'answer') return null
  const [a, b] = [expected.result, got.result]
  if (a.kind !== 'rows' || b.kind !== 'rows') return a.kind === b.kind ? null : { what: 'values', detail: `${a.kind} and ${b.kind}` }
  const names = (columns: readonly Column[]): string => columns.map((c) => c.name).join(' | ')
  if (names(a.columns) !== names(b.columns)) return { what: 'names', detail: `${names(a.columns)}\n  gate:   ${names(b.columns)}` }
  // With ROLLUP, MySQL makes an integer of a YEAR where it takes a temporary table: with and without SQL_BUFFER_RESULT, on one server too.
  const rollup = /WITH ROLLUP/i.test(asked.sql ?? '')
  const types = (columns: readonly Column[], others: readonly Column[]): string =>
    columns.map((c, i) => typeOf(rollup && c.type === year ? { ...c, type: 3, decimals: 0 } : asPlanned(c, others[i]))).join(' | ')
  const columns = a.columns.map((c, i) => asPlanned(c, b.columns[i]))
  const print = (row: RawRow): string => printRow(row, columns, asked)
  const [x, y] = [a.rows.map(print), b.rows.map(print)]
  if (asked.ordered && x.join('\n') !== y.join('\n') && x.toSorted().join('\n') === y.toSorted().join('\n'))
    return { what: 'order', detail: firstDifference(x, y) }
  if (!asked.ordered) {
    x.sort()
    y.sort()
  }
  if (x.length !== y.length || x.some((row, i) => !isSame(row, y[i] as string))) return { what: 'values', detail: firstDifference(x, y) }
  const [s, t] = [types(a.columns, b.columns), types(b.columns, a.columns)]
  if (s !== t) return { what: 'types', detail: `${s}\n  gate:   ${t}` }
  const more = (columns: readonly Column[]): string =>
    columns.map((c) => `${c.name}:${c.orgName}:${c.orgTable}:${c.table} ${c.length} ${c.flags}`).join(' | ')
  if (more(a.columns) !== more(b.columns)) return { what: 'metadata', detail: `${more(a.columns)}\n  gate:   ${more(b.columns)}` }
  if (a.warnings !== b.warnings) return { what: 'warnings', detail: `${a.warnings}, gate ${b.warnings}` }
  return null
}

/** Undefined: both answered. */
function compareErrors(expected: Answer, got: Answer): Difference | null | undefined {
  if (expected.kind === 'answer' && got.kind === 'answer') return undefined
  if (expected.kind === 'error' && got.kind === 'error') return null
  const failed = expected.kind === 'error' ? expected : (got as Extract<Answer, { kind: 'error' }>)
  return { what: 'error', detail: `only ${expected.kind === 'error' ? 'the server' : 'the gate'} says ${failed.errno} ${failed.message}` }
}

export function compareWrites(expected: Answer, got: Answer): Difference | null {
  const failed = compareErrors(expected, got)
  if (failed !== undefined) {
    if (failed === null && expected.kind === 'error' && got.kind === 'error' && expected.errno !== got.errno)
      return { what: 'error', detail: `${expected.errno} ${expected.message}; gate ${got.errno} ${got.message}` }
    return failed
  }
  if (expected.kind !== 'answer' || got.kind !== 'answer') return null
  const [a, b] = [expected.result, got.result]
  if (a.kind !== 'ok' || b.kind !== 'ok') return { what: 'values', detail: `${a.kind} and ${b.kind}` }
  if (a.affectedRows !== b.affectedRows) return { what: 'affected', detail: `${a.affectedRows}, gate ${b.affectedRows}` }
  // Of a sequence's ids and AUTO_INCREMENT's only that there is one.
  const idOf = ({ insertId }: { readonly insertId: bigint }): string => (insertId >= BigInt(drawnFrom) ? 'drawn' : String(insertId))
  if (idOf(a) !== idOf(b)) return { what: 'affected', detail: `insert id ${a.insertId}, gate ${b.insertId}` }
  // A server that sees beforehand that no row can be meant says nothing of them. How many warnings there are is compared below, and told twice alike.
  const info = ({ info: said, warnings }: { readonly info: string; readonly warnings: number }): string => {
    const rows = said.replace(`  Warnings: ${warnings}`, '')
    return rows === 'Rows matched: 0  Changed: 0' ? '' : rows
  }
  if (info(a) !== info(b)) return { what: 'affected', detail: `${a.info}, gate ${b.info}` }
  if (a.warnings !== b.warnings) return { what: 'warnings', detail: `${a.warnings}, gate ${b.warnings}` }
  return null
}

function printRow(row: RawRow, columns: readonly Column[], asked: Compared): string {
  return row
    .map((cell, i) => {
      if (cell === null) return 'NULL'
      if (asked.folded.includes(i)) return 'text'
      if (columns[i]?.type === bit) return `bits ${cell.toString('hex')}`
      const text = inScale(cell.toString('latin1'), columns[i] as Column)
      // The order of adding shows in the last digits (rounded twice, as those of …5 are on either side); of how many decimals a column shows it does not.
      const { type, decimals } = columns[i] as Column
      // A FLOAT has six digits, and as a DOUBLE all that come after those.
      if (type === floatOrDouble) return String(Number(Number(text).toPrecision(6)))
      if (real.has(type))
        return `${Number(Number(Number(text).toPrecision(12)).toPrecision(9))}${asked.text === true && decimals < notFixed ? ` of ${text.split('.')[1]?.length ?? 0}` : ''}`
      if (type === newDecimal && averaged.test(asked.sql ?? '')) return `${text} about ${decimals}`
      // A list in no order is cut at its greatest length wherever that falls.
      if (asked.lists.includes(i) && text.length >= 1000) return 'list'
      return JSON.stringify(asked.lists.includes(i) ? text.split(',').toSorted().join(',') : text)
    })
    .join(' | ')
}

const bits = /^bits ([0-9a-f]*)$/

/** MariaDB shows MAX() of a BIT as its bytes, or as digits where rows did not go through a temporary table: with and without SQL_BUFFER_RESULT, on one server too. */
function isDigitsOf(digits: string, bytes: string): boolean {
  const text = Buffer.from(digits, 'hex').toString('latin1')
  return /^\d+$/.test(text) && BigInt(text) === BigInt(`0x${bytes || '0'}`)
}

const fixed = /^(-?[\d.]+) (of|about) (\d+)$/
/** An average that goes through a temporary table has the digits that it shows and no more, and with ROLLUP that is the plan's choice: with and without SQL_BUFFER_RESULT, on one server too. */
const averaged = /AVG\([^)]*\) [-+*].*WITH ROLLUP/is

/** A real that shows a fixed number of decimals is rounded after its last digits came of the order of adding: what lies in the middle goes either way. */
function isSame(x: string, y: string): boolean {
  if (x === y) return true
  const [a, b] = [x.split(' | '), y.split(' | ')]
  return (
    a.length === b.length &&
    a.every((cell, i) => {
      const [m, n] = [bits.exec(cell)?.[1], bits.exec(b[i] as string)?.[1]]
      if (m !== undefined && n !== undefined) return m === n || isDigitsOf(m, n) || isDigitsOf(n, m)
      const [p, q] = [fixed.exec(cell), fixed.exec(b[i] as string)]
      if (p === null || q === null || p[2] !== q[2] || p[3] !== q[3]) return cell === b[i]
      return Math.abs(Number(p[1]) - Number(q[1])) < (p[2] === 'about' ? 2.5 : 1.5) * 10 ** -Number(p[3])
    })
  )
}

/**
 * MySQL shows a DECIMAL that an expression takes from an integer without its decimals (CASE … THEN 1.50 ELSE 4 END: 4), and with them where rows went through a temporary table: the plan's
 * choice. What the column says of itself is compared with the types.
 */
function inScale(text: string, { type, decimals }: Column): string {
  if (type !== newDecimal || decimals === 0 || decimals > 30) return text
  const point = text.indexOf('.')
  return point < 0 ? `${text}.${'0'.repeat(decimals)}` : text.padEnd(point + 1 + decimals, '0')
}

function firstDifference(x: readonly string[], y: readonly string[]): string {
  const at = x.findIndex((line, i) => line !== y[i])
  const i = at < 0 ? x.length : at
  return `${x.length} rows, gate ${y.length}; row ${i}:\n  server: ${x[i] ?? '(none)'}\n  gate:   ${y[i] ?? '(none)'}`
}
