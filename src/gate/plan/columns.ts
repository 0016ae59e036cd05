/**
 * The columns of a scattered SELECT's rows: the client's own and hidden ones of ours behind them, and by which of them rows are compared.
 *
 * Text is compared by the server's own weights: a hidden column WEIGHT_STRING(c). For PAD SPACE collations it is padded to the column's length
 * (`AS CHAR(n)`), as plain weights order 'a' before 'a\t' where the server does not. ENUM and SET are compared by number, FLOAT as DOUBLE (as
 * text it has lost digits). What has no such form is refused.
 */
import type { Expr, Select } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { familyOf } from './equality.ts'
import { isRandom } from './functions.ts'
import type { Compare, Piece } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { bare } from './slots.ts'
import { compileSpan, text } from './text.ts'

/** A column before it is known how many hidden ones there will be. */
export type Ref = { readonly item: number } | { readonly hidden: number }
export type Key = { readonly ref: Ref; readonly compare: Compare }

/** Longest text column that is padded: its weights are a few bytes a character, and every row carries them. */
const paddedLengthMax = 1024

export class Columns {
  readonly select: Select
  readonly analysis: Analysis
  readonly hidden: Piece[][] = []
  readonly #hiddenNames = new Map<string, number>()
  readonly #firstStar: number
  readonly #lastStar: number

  constructor(select: Select, analysis: Analysis) {
    this.select = select
    this.analysis = analysis
    this.#firstStar = select.items.findIndex((item) => item.expr.kind === 'star')
    this.#lastStar = select.items.findLastIndex((item) => item.expr.kind === 'star')
  }

  /** Negative ones count from the end. Call when all hidden columns are there. */
  index(ref: Ref): number {
    if ('hidden' in ref) return ref.hidden - this.hidden.length
    if (this.#firstStar < 0 || ref.item < this.#firstStar) return ref.item
    return -(this.hidden.length + this.select.items.length - ref.item)
  }

  /** Whether an item's place in the row is known: not between two `*`. */
  #placed(item: number): boolean {
    return this.#firstStar < 0 || item < this.#firstStar || item > this.#lastStar
  }

  copyOf(expr: Expr): Piece[] {
    return compileSpan(expr.span, this.analysis.edits)
  }

  /** @param name equal names are one column */
  addHidden(name: string, pieces: Piece[]): Ref {
    const there = this.#hiddenNames.get(name)
    if (there !== undefined) return { hidden: there }
    this.hidden.push(pieces)
    this.#hiddenNames.set(name, this.hidden.length - 1)
    return { hidden: this.hidden.length - 1 }
  }

  /** The value itself: the item where it stands among them, else a copy. */
  valueOf(expr: Expr, item: number | null): Ref {
    const place = item ?? this.#itemOf(expr)
    if (place !== null && this.#placed(place)) return { item: place }
    return this.addHidden(`value ${expr.span.from}`, this.copyOf(expr))
  }

  #itemOf(expr: Expr): number | null {
    const column = bare(expr)
    if (column.kind !== 'column') return null
    const bound = this.analysis.resolve(column)
    const found = this.select.items.findIndex((item) => {
      const other = bare(item.expr)
      if (other.kind !== 'column') return false
      const otherBound = this.analysis.resolve(other)
      return bound !== null && otherBound !== null && bound.table === otherBound.table && bound.column === otherBound.column
    })
    return found < 0 ? null : found
  }

  /** By what rows are ordered or grouped; null for a constant. */
  keyOf(expr: Expr, item: number | null, construct: string): Key | null {
    const inner = bare(expr)
    if (inner.kind === 'literal' || inner.kind === 'parameter' || inner.kind === 'constant') return null
    if (inner.kind !== 'column') {
      walkExpr(inner, {
        expr(node) {
          if (node.kind === 'call' && isRandom(node)) throw new ScatterRefused(`${construct} ${node.name}()`, 'each shard would draw values of its own')
        },
      })
      return { ref: this.valueOf(expr, item), compare: 'byType' }
    }
    const bound = this.analysis.resolve(inner)
    if (bound === null) throw new ScatterRefused(`${construct} ${inner.name.text}`, 'the column is of no table of the statement', 'correct the name')
    return this.#columnKey(inner, bound.column, `${bound.table.id}.${bound.column.name}`, item, construct)
  }

  #columnKey(expr: Expr, column: ColumnInfo, name: string, item: number | null, construct: string): Key {
    switch (familyOf(column)) {
      case 'integer':
        return { ref: this.valueOf(expr, item), compare: 'byType' }
      case 'binary':
        return { ref: this.valueOf(expr, item), compare: 'bytes' }
      case 'text':
        return { ref: this.addHidden(`weight ${name}`, weightOf(column, this.copyOf(expr), construct)), compare: 'bytes' }
      case 'other':
        break
    }
    switch (column.dataType) {
      case 'decimal': case 'numeric': case 'double': case 'date': case 'datetime': case 'timestamp': case 'time': case 'year':
        return { ref: this.valueOf(expr, item), compare: 'byType' }
      case 'float':
        return { ref: this.addHidden(`double ${name}`, [text('('), ...this.copyOf(expr), text(') + 0e0')]), compare: 'byType' }
      case 'enum': case 'set': case 'bit':
        return { ref: this.addHidden(`number ${name}`, [text('('), ...this.copyOf(expr), text(') + 0')]), compare: 'byType' }
      default:
        throw new ScatterRefused(`${construct} ${column.name}`, `columns of type ${column.dataType} have an order that only the server knows`)
    }
  }
}

/** The server's weight of a text column, or of an aggregate that keeps its type. */
export function weightOf(column: ColumnInfo, value: readonly Piece[], construct: string): Piece[] {
  if (column.padSpace === false) return [text('WEIGHT_STRING('), ...value, text(')')]
  if (column.lengthMax === null || column.lengthMax > paddedLengthMax) {
    throw new ScatterRefused(
      `${construct} ${column.name}`,
      `its collation ${column.collation} pads with spaces and it may hold more than ${paddedLengthMax} characters`,
      `order by LEFT(${column.name}, n) of a shorter column, or restrict the statement to one shard`,
    )
  }
  return [text('WEIGHT_STRING('), ...value, text(` AS CHAR(${column.lengthMax}))`)]
}
