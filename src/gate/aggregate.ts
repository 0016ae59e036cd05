/**
 * Combines what each shard aggregated: exactly for integers and decimals, in doubles only where the server does too. Groups are
 * kept in memory, within the caller's bound. Pure.
 */
import { columnType } from '../wire/column-types.ts'
import type { Column, RawRow } from '../mysql/connection.ts'
import { cellCompare, columnAt, groupKey, notFixed, requireAllDigits, type CellCompare } from './compare.ts'
import { addDecimals, compareDecimals, divideDecimal, parseDecimal, printDecimal, withScale } from './decimal.ts'
import { cellBytes } from './memory.ts'
import { planErrors } from './plan/errors.ts'
import type { AggregateColumn, AggregateMerge, Having, Slot } from './plan/plan.ts'

/** What a group takes beside its values, about: a map entry and an array. */
const groupBytes = 160

export class Aggregator {
  readonly #merge: AggregateMerge
  readonly #columns: readonly Column[]
  readonly #form: 'text' | 'binary'
  readonly #key: (row: RawRow) => string | null
  readonly #groups = new Map<string | null, (Buffer | null)[]>()
  readonly #combine: readonly { at: number; column: AggregateColumn; fold: (kept: RawRow, row: RawRow) => void }[]
  /** Bytes of what is kept, about. */
  bytes = 0

  /** @param form of the answer: as text, a double of a column with fixed decimals shows those; a prepared statement's has all of its digits */
  constructor(merge: AggregateMerge, columns: readonly Column[], form: 'text' | 'binary' = 'text') {
    this.#form = form
    this.#merge = merge
    this.#columns = columns
    this.#key = groupKey(merge.groupBy, columns)
    if (merge.having !== null)
      for (const column of comparedBy(merge.having, columns)) if (column.type === columnType.double) requireAllDigits(column)
    this.#combine = withPartsOfAverages(merge.columns, columns.length).map((column) => ({
      at: columnAt(column.column, columns.length),
      column,
      fold: this.#folder(column),
    }))
  }

  add(row: RawRow): void {
    const key = this.#key(row)
    const kept = this.#groups.get(key)
    if (kept === undefined) {
      this.#groups.set(key, copied(row))
      this.bytes += groupBytes + (key?.length ?? 0)
      for (const cell of row) this.bytes += cell === null ? 8 : cell.length + cellBytes
      return
    }
    for (const { fold } of this.#combine) fold(kept, row)
  }

  /** The groups for which HAVING holds, in no order. */
  finish(resolve: (slot: Slot) => string | null): RawRow[] {
    const rows = [...this.#groups.values()]
    for (const { at, column } of this.#combine) {
      if (column.function !== 'avg') continue
      for (const row of rows) row[at] = this.#average(row, column, this.#columns[at] as Column)
    }
    const having = this.#merge.having
    return having === null ? rows : rows.filter((row) => truth(having, row, this.#columns.length, resolve) === true)
  }

  #folder(aggregate: AggregateColumn): (kept: RawRow, row: RawRow) => void {
    const width = this.#columns.length
    const at = columnAt(aggregate.column, width)
    const column = this.#columns[at] as Column
    switch (aggregate.function) {
      case 'sum':
      case 'count': {
        const real = column.type === columnType.double || column.type === columnType.float
        return (kept, row) => {
          const x = kept[at] as Buffer | null
          const y = row[at] as Buffer | null
          if (y === null) return
          if (x === null) kept[at] = Buffer.from(y)
          else
            kept[at] = Buffer.from(
              real
                ? this.#double(Number(x.toString('latin1')) + Number(y.toString('latin1')), column)
                : printDecimal(addDecimals(parseDecimal(x.toString('latin1')), parseDecimal(y.toString('latin1')))),
            )
        }
      }
      case 'bit_and':
      case 'bit_or':
      case 'bit_xor': {
        const operate =
          aggregate.function === 'bit_and'
            ? (a: bigint, b: bigint) => a & b
            : aggregate.function === 'bit_or'
              ? (a: bigint, b: bigint) => a | b
              : (a: bigint, b: bigint) => a ^ b
        // MySQL 8 takes binary strings bit by bit.
        if (!isInteger(column.type))
          return (kept, row) => {
            kept[at] = bitsOf(kept[at] as Buffer, row[at] as Buffer, (x, y) => Number(operate(BigInt(x), BigInt(y))))
          }
        return (kept, row) => {
          kept[at] = Buffer.from(
            String(operate(BigInt((kept[at] as Buffer).toString('latin1')), BigInt((row[at] as Buffer).toString('latin1')))),
          )
        }
      }
      case 'min':
      case 'max': {
        const by = columnAt(aggregate.by, width)
        // Of those that are shown alike either will do.
        const how = aggregate.compare === 'byType' ? 'stored' : aggregate.compare
        const compare: CellCompare = cellCompare(how, this.#columns[by] as Column)
        const sign = aggregate.function === 'min' ? -1 : 1
        return (kept, row) => {
          const x = kept[by] as Buffer | null
          const y = row[by] as Buffer | null
          if (y === null || (x !== null && compare(y, x) * sign <= 0)) return
          const cell = row[at] as Buffer | null
          // A longer one may come in the place of a shorter: what is kept grows with it.
          this.bytes += y.length - (x?.length ?? 0)
          if (by !== at) this.bytes += (cell?.length ?? 0) - (kept[at]?.length ?? 0)
          kept[at] = cell === null ? null : Buffer.from(cell)
          kept[by] = Buffer.from(y)
        }
      }
      case 'avg':
        // From its sum and count, at the end.
        return () => {}
    }
  }

  #double(value: number, column: Column): string {
    return this.#form === 'text' && column.decimals < notFixed ? printFixed(value, column.decimals) : printDouble(value)
  }

  #average(row: RawRow, aggregate: Extract<AggregateColumn, { function: 'avg' }>, column: Column): Buffer | null {
    const width = this.#columns.length
    const sum = row[columnAt(aggregate.sum, width)] as Buffer | null
    const count = BigInt((row[columnAt(aggregate.count, width)] as Buffer).toString('latin1'))
    if (sum === null || count === 0n) return null
    if (column.type === columnType.double || column.type === columnType.float)
      return Buffer.from(this.#double(Number(sum.toString('latin1')) / Number(count), column))
    return Buffer.from(printDecimal(divideDecimal(parseDecimal(sum.toString('latin1')), count, column.decimals)))
  }
}

/** What is kept: the row's cells are views of what a server sent, and would hold all of that. One buffer for all of them is cheaper than one for each. */
function copied(row: RawRow): RawRow {
  let bytes = 0
  for (const cell of row) bytes += cell?.length ?? 0
  const all = Buffer.allocUnsafe(bytes)
  const out: RawRow = []
  let at = 0
  for (const cell of row) {
    if (cell === null) {
      out.push(null)
      continue
    }
    all.set(cell, at)
    out.push(all.subarray(at, at + cell.length))
    at += cell.length
  }
  return out
}

/** An average's sum and count are added up as well, unless they are asked for by themselves. */
function withPartsOfAverages(listed: readonly AggregateColumn[], width: number): AggregateColumn[] {
  const out = [...listed]
  const add = (column: number, name: 'sum' | 'count'): void => {
    if (!out.some((other) => columnAt(other.column, width) === columnAt(column, width))) out.push({ function: name, column })
  }
  for (const column of listed) {
    if (column.function !== 'avg') continue
    add(column.sum, 'sum')
    add(column.count, 'count')
  }
  return out
}

function isInteger(type: number): boolean {
  return type === columnType.longlong || type === columnType.long || type === columnType.newdecimal || type === columnType.decimal
}

function bitsOf(a: Buffer, b: Buffer, operate: (x: number, y: number) => number): Buffer {
  if (a.length !== b.length)
    throw planErrors.refused({
      construct: 'a bitwise aggregate of binary strings',
      reason: `its parts have ${a.length} and ${b.length} bytes`,
      instead: 'restrict the statement to one shard',
    })
  const out = Buffer.alloc(a.length)
  for (let i = 0; i < a.length; i++) out[i] = operate(a[i] as number, b[i] as number)
  return out
}

/**
 * As servers print doubles of so many decimals (my_fcvt): a value half-way between two goes to the even digit. Few doubles are: m/2ʲ is n + ½ in units of 10⁻ᵈ exactly when m is odd and j = d + 1.
 */
export function printFixed(value: number, decimals: number): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  const size = Math.abs(value)
  // From here on toFixed() writes exponents, and no double has a fraction.
  if (size >= 1e21) return `${sign}${BigInt(size)}${decimals === 0 ? '' : `.${'0'.repeat(decimals)}`}`
  const text = size.toFixed(decimals)
  const isHalf = (size * 2 ** (decimals + 1)) % 2 === 1
  const isOdd = Number(text.at(-1)) % 2 === 1
  // toFixed() takes the larger one.
  return sign + (isHalf && isOdd ? printDecimal(addDecimals(parseDecimal(text), { unscaled: -1n, scale: decimals })) : text)
}

/** As servers print doubles (my_gcvt): shortest digits; an exponent, without a plus sign, when the point is more than 15 places off. */
export function printDouble(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value)
  const [mantissa = '', exponent = '0'] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const point = Number(exponent) + 1
  const sign = value < 0 ? '-' : ''
  if (point < -14 || point > 15) return `${sign}${mantissa}e${point - 1}`
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (digits.length <= point) return sign + digits.padEnd(point, '0')
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}

function comparedBy(having: Having, columns: readonly Column[]): Column[] {
  switch (having.kind) {
    case 'and':
    case 'or':
      return having.items.flatMap((item) => comparedBy(item, columns))
    case 'not':
      return comparedBy(having.operand, columns)
    case 'is-null':
      return []
    case 'compare':
      return [columns[columnAt(having.column, columns.length)] as Column]
  }
}

/** SQL's three values: true, false, null. */
export function truth(having: Having, row: RawRow, width: number, resolve: (slot: Slot) => string | null): boolean | null {
  switch (having.kind) {
    case 'and':
    case 'or': {
      const decides = having.kind === 'or'
      let known = true
      for (const item of having.items) {
        const value = truth(item, row, width, resolve)
        if (value === decides) return decides
        known &&= value !== null
      }
      return known ? !decides : null
    }
    case 'not': {
      const operand = truth(having.operand, row, width, resolve)
      return operand === null ? null : !operand
    }
    case 'is-null':
      return row[columnAt(having.column, width)] === null
    case 'compare': {
      const cell = row[columnAt(having.column, width)] as Buffer | null
      const value = resolve(having.value)
      if (cell === null || value === null) return null
      const order = compareDecimals(parseDecimal(cell.toString('latin1')), parseDecimal(value))
      switch (having.operator) {
        case '=':
          return order === 0
        case '<>':
          return order !== 0
        case '<':
          return order < 0
        case '<=':
          return order <= 0
        case '>':
          return order > 0
        case '>=':
          return order >= 0
      }
    }
  }
}

export { withScale }
