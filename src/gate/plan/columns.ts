/**
 * The columns of a scattered SELECT's rows: the client's own and hidden ones of ours behind them, and by which of them rows are compared.
 *
 * Text is compared by the server's own weights: a hidden column WEIGHT_STRING(c). For PAD SPACE collations it is padded to the column's length
 * (`AS CHAR(n)`), as plain weights order 'a' before 'a\t' where the server does not. ENUM and SET are compared by number, FLOAT as DOUBLE (as
 * text it has lost digits), TIMESTAMP by its instant. What has no such form is refused.
 */
import { append } from '../../base/append.ts'
import type { Expr, OrderItem, Select } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import { columnKey } from './alternatives.ts'
import type { ColumnInfo } from './catalog.ts'
import { familyOf } from './equality.ts'
import { isBuiltin } from '../pure-functions.ts'
import { isRandom } from './functions.ts'
import type { Compare, Piece } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { isConstant, named, refuseAliases } from './select-parts.ts'
import { bare, slotOf } from './slots.ts'
import { type ItemIndex, indexOf } from './select-items.ts'
import { compileSpan, text } from './text.ts'

/** A column before it is known how many hidden ones there will be. */
export type Ref = { readonly item: number } | { readonly hidden: number }
export type Key = { readonly ref: Ref; readonly compare: Compare }

/** Functions whose value is JSON. */
const jsonValued = /^JSON_(EXTRACT|ARRAY|OBJECT|SET|INSERT|REPLACE|REMOVE|MERGE|QUERY|KEYS|SEARCH)/

/** Longest text column that is padded: its weights are a few bytes a character, and every row carries them. */
const paddedLengthMax = 1024

export class Columns {
  readonly select: Select
  readonly analysis: Analysis
  readonly hidden: Piece[][] = []
  readonly #hiddenNames = new Map<string, number>()
  /** With DISTINCT a hidden column may only repeat what is listed: anything else would make equal rows different. */
  readonly #distinct: boolean
  readonly #firstStar: number
  readonly #lastStar: number
  #index: ItemIndex | null = null
  #groups: Map<string, OrderItem[]> | null = null
  /** Items by the names that HAVING has for them (having.ts); -1: a column of GROUP BY. */
  readonly namedInHaving = new Map<string, number>()

  constructor(select: Select, analysis: Analysis) {
    this.select = select
    this.analysis = analysis
    this.#distinct = select.distinct
    this.#firstStar = select.items.findIndex((item) => item.expr.kind === 'star')
    this.#lastStar = select.items.findLastIndex((item) => item.expr.kind === 'star')
  }

  /** Of the select list, made when it is first asked for: clauses may name as many items as there are. */
  get items(): ItemIndex {
    this.#index ??= indexOf(this.select.items, this.analysis)
    return this.#index
  }

  /** What GROUP BY says by that name (in lower case), or by another name or place of an item that is a column of it. */
  groupsNamed(name: string): readonly OrderItem[] {
    if (this.#groups === null) {
      this.#groups = new Map()
      for (const group of this.select.groupBy?.items ?? []) {
        const names = [group.expr, named(group.expr, this, 'column').expr].flatMap((expr) => {
          const inner = bare(expr)
          return inner.kind === 'column' ? [inner.name.text.toLowerCase()] : []
        })
        for (const one of new Set(names)) append(this.#groups, one, group)
      }
    }
    return this.#groups.get(name) ?? []
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

  /** Among the first `count` items. */
  hasStarBefore(count: number): boolean {
    return this.#firstStar >= 0 && this.#firstStar < count
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
    const column = bare(expr)
    if (column.kind === 'column' && column.table === null) refuseAliases(expr, this)
    return this.addHidden(`value ${expr.span.from}`, this.copyOf(expr))
  }

  #itemOf(expr: Expr): number | null {
    const column = bare(expr)
    if (column.kind !== 'column') return null
    const bound = this.analysis.resolve(column)
    return bound === null ? null : (this.items.ofColumn.get(columnKey(bound))?.[0]?.item ?? null)
  }

  /** By what rows are ordered or grouped; null for a constant. */
  keyOf(expr: Expr, item: number | null, construct: string): Key | null {
    const inner = bare(expr)
    if (slotOf(inner) !== null) return null
    if (this.#distinct && item === null && this.#itemOf(expr) === null) {
      throw new ScatterRefused(
        `${construct} what DISTINCT does not list`,
        'rows that are equal in the list would come in several places',
        'select what is ordered by',
      )
    }
    if (inner.kind !== 'column') {
      let steady = isConstant(inner)
      walkExpr(inner, {
        expr(node) {
          // A stored function may say something else each time.
          steady &&= node.kind !== 'call' || isBuiltin(node.name)
          if ((node.kind === 'other' && node.construct === '->') || (node.kind === 'call' && jsonValued.test(node.name))) {
            throw new ScatterRefused(
              `${construct} JSON`,
              'only the server knows the order of JSON values',
              'order by JSON_UNQUOTE(…) + 0, or restrict the statement to one shard',
            )
          }
          if (node.kind === 'call' && isRandom(node))
            throw new ScatterRefused(`${construct} ${node.name}()`, 'each shard would draw values of its own')
        },
      })
      // What is the same for every row orders nothing, and a server need not reckon it: some can't be (BIGINT value is out of range).
      if (item === null && steady) return null
      const rounded =
        inner.kind === 'call' &&
        (inner.name === 'ROUND' || inner.name === 'TRUNCATE') &&
        (inner.args[1] === undefined || bare(inner.args[1]).kind === 'literal')
      return { ref: this.valueOf(expr, item), compare: rounded ? 'stored' : 'byType' }
    }
    const bound = this.analysis.resolve(inner)
    if (bound === null)
      throw new ScatterRefused(`${construct} ${inner.name.text}`, 'the column is of no table of the statement', 'correct the name')
    return this.#columnKey(inner, bound.column, `${bound.table.id}.${bound.column.name}`, item, construct)
  }

  /**
   * An hour a year has the same text twice where clocks are put back: rows are ordered by the instant. Groups are those of instants on MariaDB and of texts on MySQL
   * (tried), which does not run MariaDB's comments.
   */
  #instantOf(expr: Expr): Piece[] {
    const grouped = this.#distinct || this.select.groupBy !== null
    const [before, after] = grouped ? ['/*M!100000 UNIX_TIMESTAMP(*/ ', ' /*M!100000 )*/'] : ['UNIX_TIMESTAMP(', ')']
    return [text(before), ...this.copyOf(expr), text(after)]
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
      case 'double':
        return { ref: this.valueOf(expr, item), compare: 'stored' }
      case 'decimal':
      case 'numeric':
      case 'date':
      case 'datetime':
      case 'time':
      case 'year':
        return { ref: this.valueOf(expr, item), compare: 'byType' }
      case 'timestamp':
        return { ref: this.addHidden(`instant ${name}`, this.#instantOf(expr)), compare: 'byType' }
      case 'float':
        return { ref: this.addHidden(`double ${name}`, [text('('), ...this.copyOf(expr), text(') + 0e0')]), compare: 'byType' }
      case 'enum':
      case 'set':
      case 'bit':
        // MariaDB shows bits as a number where they went through two temporary tables.
        if (column.dataType === 'bit' && this.#distinct && this.select.orderBy !== null)
          throw new ScatterRefused('DISTINCT of bits with ORDER BY', 'how they are shown depends on how the server sorts them')
        if (column.signedSet === true)
          throw new ScatterRefused(
            `${construct} ${column.name}, a SET of 64 members`,
            'whether its last member makes it the greatest or the least depends on how the server sorts',
          )
        // Of a SET `+ 0` is a DOUBLE to MySQL, which has no room for its first and last members both.
        return column.dataType === 'set'
          ? { ref: this.addHidden(`number ${name}`, [text('CAST('), ...this.copyOf(expr), text(' AS UNSIGNED)')]), compare: 'byType' }
          : { ref: this.addHidden(`number ${name}`, [text('('), ...this.copyOf(expr), text(') + 0')]), compare: 'byType' }
      default:
        throw new ScatterRefused(
          `${construct} ${column.name}`,
          `columns of type ${column.dataType} have an order that only the server knows`,
        )
    }
  }
}

/**
 * The server's weight of a text column, or of an aggregate that keeps its type, so that comparing bytes is comparing by the collation. What was found by asking
 * both servers (weights.db.test.ts):
 *
 * - PAD SPACE, one weight a character: WEIGHT_STRING(c AS CHAR(n)) pads.
 * - PAD SPACE, characters of several weights (ß, ligatures: the UCA collations, german2): MySQL pads by characters, so that ß and ss differ; their plain
 *   weights are filled up with the weight of a space.
 * - CHAR columns with a NO PAD collation of MariaDB's are sorted by the server in another order than it compares them: grouped, not ordered.
 */
export function weightOf(column: ColumnInfo, value: readonly Piece[], construct: string): Piece[] {
  const collation = column.collation ?? ''
  if (unweighed.test(collation))
    throw new ScatterRefused(
      `${construct} ${column.name}`,
      `the server's weights of collation ${collation} are not in its order`,
      'use another collation, or restrict the statement to one shard',
    )
  if (column.padSpace === false) {
    if (construct === 'ORDER BY' && column.dataType === 'char' && collation.includes('nopad')) {
      throw new ScatterRefused(
        `ORDER BY ${column.name}`,
        `the server does not sort CHAR columns of collation ${collation} as it compares them`,
        'use a VARCHAR column',
      )
    }
    return [text('WEIGHT_STRING('), ...value, text(')')]
  }
  if (column.lengthMax === null || column.lengthMax > paddedLengthMax) {
    throw new ScatterRefused(
      `${construct} ${column.name}`,
      `its collation ${collation} pads with spaces and it may hold more than ${paddedLengthMax} characters`,
      'use a shorter column, or restrict the statement to one shard',
    )
  }
  if (hasExpansions(collation)) {
    const charset = collation.slice(0, collation.indexOf('_'))
    return [
      text('RPAD(WEIGHT_STRING('),
      ...value,
      text(`), ${column.lengthMax * expansionBytes}, WEIGHT_STRING(_${charset}' ' COLLATE ${collation}))`),
    ]
  }
  return [text('WEIGHT_STRING('), ...value, text(` AS CHAR(${column.lengthMax}))`)]
}

/**
 * WEIGHT_STRING says something else than the server's own order and equality: characters that differ have one weight (Big5, gb18030's ı), levels are padded otherwise than they are compared (Czech, Thai), what differs in accents
 * alone is equal and weighs differently (MariaDB's `_nopad_ai_cs`), characters come before a space or weigh nothing (latin7). Asked of every collation of both servers (all-weights.db.test.ts).
 */
const unweighed =
  /^(?:(?:big5|gb18030)_chinese_|latin7_(?:estonian|general)_|cp1250_czech_|tis620_thai_)|_thai_520_w2$|_uca1400_(?:\w+_)?nopad_ai_cs$/

/** A character's weights take at most this many bytes in these collations (the servers' own bound, strxfrm_multiply). */
const expansionBytes = 16

function hasExpansions(collation: string): boolean {
  if (/_(bin|general_ci|general_cs)$/.test(collation) || collation.includes('_uca1400_')) return false
  return /^(utf8|ucs2|utf16|utf32)/.test(collation) || !simpleCollations.has(collation)
}

const simpleCollations = new Set([
  'latin1_swedish_ci',
  'latin1_german1_ci',
  'latin1_danish_ci',
  'latin1_spanish_ci',
  'ascii_general_ci',
  'latin2_general_ci',
  'latin5_turkish_ci',
])
