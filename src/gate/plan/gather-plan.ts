/**
 * Which rows of which tables are needed to answer a SELECT at one place. A row may be left out of a table when it can't be part of any
 * answer, whatever the other tables hold:
 *
 * - a condition over one table alone, said by AND in the context where the table stands, is false or NULL for it; said further out (WHERE over the side of an outer join
 *   that may be absent) only if the condition can't hold for an absent row, as NULL compared with anything is not true;
 * - a column of it must equal a column of another table, and no row fetched of that one has its value.
 *
 * What is not left out is filtered again by the statement itself: leaving out less is slower and never wrong.
 */
import { append } from '../../base/append.ts'
import type { Expr } from '../../sql/ast.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import { walkExpr } from '../../sql/walk.ts'
import { columnKey } from './alternatives.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { exactness, familyOf } from './equality.ts'
import { isRandom } from './functions.ts'
import type { GatherPlan, GatherStep } from './gather-types.ts'
import type { Piece, Refusal } from './plan.ts'
import type { BoundTable, Context, Scope } from './scope.ts'
import { bare } from './slots.ts'
import { compileSpan, compileText, type PlanEdit, text } from './text.ts'

export type Gathered = {
  readonly steps: readonly GatherStep[]
  /** Those that put the gathered tables' names in. */
  readonly edits: readonly PlanEdit[]
}

/** Null: it can't be gathered either. @param count tokens of the statement */
export function gatherPlan(analysis: Analysis, count: number, refusal: Refusal): GatherPlan | null {
  // No temporary table has a FULLTEXT key to search by.
  if (analysis.matches.length > 0) return null
  const gathered = gatherTables(analysis, analysis.tables)
  return gathered === null ? null : { steps: gathered.steps, text: compileText(count, gathered.edits), refusal, use: { kind: 'read' } }
}

/** @param tables those to be gathered */
export function gatherTables(analysis: Analysis, tables: readonly BoundTable[]): Gathered | null {
  if (tables.some((table) => table.columns === null)) return null
  const known = knownOf(analysis)
  const order = inOrder(tables, known, analysis)
  const stepOf = new Map(order.map((table, i) => [table, i]))
  const steps = order.map((table) => stepFor(table, stepOf, known, analysis))
  const edits: PlanEdit[] = [...analysis.edits, ...analysis.labels]
  for (const table of tables) {
    const step = stepOf.get(table) as number
    const alias = table.hasAlias ? [] : [text(` AS ${quoteIdentifier(table.name)}`)]
    edits.push({ span: table.span, pieces: [{ kind: 'gathered', step }, ...alias] })
  }
  // A label is the expression's text: where a table's name in it changes, the label is written out.
  for (const { expr, alias } of analysis.items) {
    if (alias !== null || expr.kind === 'star' || expr.kind === 'column') continue
    const end = expr.span.to
    if (!tables.some(({ span }) => span.from >= expr.span.from && span.to <= end)) continue
    if (analysis.labels.some(({ span }) => span.from === end && span.to === end)) continue
    edits.push({ span: { from: end, to: end }, pieces: [text(' AS '), { kind: 'label', span: expr.span }] })
  }
  return { steps, edits }
}

/** Tables of few rows first: what they hold says which rows of the others matter. */
function inOrder(tables: readonly BoundTable[], { filters, reduced }: Known, analysis: Analysis): BoundTable[] {
  const cost = new Map(tables.map((table) => [table, costOf(table, filters, analysis)]))
  const left = new Set(tables)
  const order: BoundTable[] = []
  while (left.size > 0) {
    let best: BoundTable | null = null
    let bestCost = Infinity
    for (const table of left) {
      const now = cost.get(table) as number
      if (now < bestCost) [best, bestCost] = [table, now]
    }
    order.push(best as BoundTable)
    left.delete(best as BoundTable)
    for (const table of reduced.get(best as BoundTable) ?? []) cost.set(table, Math.min(cost.get(table) ?? 2, 2))
  }
  return order
}

/** What conditions say of each table: looked at once, as there may be hundreds of tables and thousands of conditions. */
type Known = {
  readonly filters: ReadonlyMap<BoundTable, Piece[][]>
  readonly reductions: ReadonlyMap<BoundTable, readonly Reduction[]>
  /** By a table, those of which its rows leave fewer. */
  readonly reduced: ReadonlyMap<BoundTable, ReadonlySet<BoundTable>>
}
type Reduction = ReturnType<Analysis['groups']['reducing']>[number]

function knownOf(analysis: Analysis): Known {
  const filters = new Map<BoundTable, Piece[][]>()
  for (const { expr, scope, context } of analysis.conjuncts) {
    const table = onlyTableOf(expr, scope)
    if (table !== null && holdsFor(table, context, expr)) append(filters, table, compileSpan(expr.span, analysis.edits))
  }
  const reductions = new Map<BoundTable, Reduction[]>()
  const reduced = new Map<BoundTable, Set<BoundTable>>()
  const known = new Set<string>()
  for (const reduction of analysis.groups.reducing()) {
    const { inside, by } = reduction
    const said = `${columnKey(inside)}\0${columnKey(by)}`
    if (known.has(said) || !comparable(inside.column, by.column)) continue
    known.add(said)
    append(reductions, inside.table, reduction)
    const others = reduced.get(by.table)
    if (others === undefined) reduced.set(by.table, new Set([inside.table]))
    else others.add(inside.table)
  }
  return { filters, reductions, reduced }
}

function costOf(table: BoundTable, filters: Known['filters'], analysis: Analysis): number {
  if (table.entry?.kind === 'reference') return 5
  if (analysis.groups.destinationOf(table).kind !== 'all') return 1
  return filters.has(table) ? 3 : 4
}

function stepFor(table: BoundTable, steps: ReadonlyMap<BoundTable, number>, known: Known, analysis: Analysis): GatherStep {
  const place = steps.get(table) as number
  const all = (table.columns?.columns ?? []).filter((column) => !column.generated)
  const key = table.entry?.kind === 'sharded' && table.entry.primaryVindex.columns.length === 1 ? table.entry.primaryVindex : null
  const keyColumn = key === null ? undefined : all.find((column) => column.name.toLowerCase() === (key.columns[0] as string).toLowerCase())
  return {
    table: table.name,
    alias: table.hasAlias ? table.alias : table.name,
    columns: neededOf(table, all, analysis),
    all,
    shape: table.columns?.shape,
    filters: known.filters.get(table) ?? [],
    destination: table.entry?.kind === 'reference' ? { kind: 'any' } : analysis.groups.destinationOf(table),
    copied: table.entry?.kind === 'reference',
    reductions: (known.reductions.get(table) ?? []).flatMap(({ inside, by }) => {
      const step = steps.get(by.table)
      return step !== undefined && step < place ? [{ column: inside.column, step, of: by.column }] : []
    }),
    key:
      key === null || keyColumn === undefined || exactness(keyColumn, key.vindex) !== 'always'
        ? null
        : { column: keyColumn, vindex: key.vindex },
  }
}

/** Values of one are, written as a constant, compared with the other as the column itself would be. */
function comparable(a: ColumnInfo, b: ColumnInfo): boolean {
  const family = familyOf(a)
  if (family !== familyOf(b)) return false
  if (family === 'text') return a.collation === b.collation
  return family === 'integer' || (family === 'binary' && a.dataType === b.dataType && a.dataType !== 'binary')
}

/** What is named anywhere, by whichever table; and the columns of unique keys and of the shard key, which tell rows apart and where they stand. */
function neededOf(table: BoundTable, all: readonly ColumnInfo[], analysis: Analysis): readonly ColumnInfo[] {
  if (analysis.stars.some((alias) => alias === null || alias === table.alias)) return all
  const columns = table.columns?.columns ?? []
  // A generated column is computed anew from the others.
  if (columns.some((column) => column.generated && analysis.mentioned.has(column.name.toLowerCase()))) return all
  const sharding = table.entry?.kind === 'sharded' ? table.entry.primaryVindex.columns : []
  const keys = new Set([...(table.columns?.uniqueKeys ?? []).flat(), ...sharding].map((name) => name.toLowerCase()))
  const needed = all.filter(({ name }) => analysis.mentioned.has(name.toLowerCase()) || keys.has(name.toLowerCase()))
  return needed.length === 0 ? all.slice(0, 1) : needed
}

/** The table over whose columns alone a condition is, which any server could judge by its row. */
function onlyTableOf(expr: Expr, scope: Scope): BoundTable | null {
  let own: BoundTable | null = null
  let other = false
  walkExpr(expr, {
    expr(node) {
      if (node.kind === 'column') {
        const table = scope.resolve(node)?.table ?? null
        other ||= table === null || (own !== null && own !== table)
        own ??= table
      } else if (node.kind === 'subquery' || node.kind === 'exists' || node.kind === 'default' || node.kind === 'star') other = true
      else if (node.kind === 'call' && (isRandom(node) || node.window || node.schema !== null)) other = true
      return !other
    },
  })
  return other ? null : own
}

function holdsFor(table: BoundTable, context: Context, expr: Expr): boolean {
  if (table.context === context) return true
  return table.context.within(context) && refusesNull(expr)
}

/** Never true where the columns are NULL. */
function refusesNull(given: Expr): boolean {
  const expr = bare(given)
  if (expr.kind === 'binary')
    return ['=', '<', '>', '<=', '>=', '<>', '!='].includes(expr.operator) && [expr.left, expr.right].some(isColumn)
  if (expr.kind === 'in') return isColumn(expr.operand)
  return (
    expr.kind === 'other' && /^(NOT )?(BETWEEN|LIKE)$/i.test(expr.construct) && expr.children[0] !== undefined && isColumn(expr.children[0])
  )
}

function isColumn(expr: Expr): boolean {
  return bare(expr).kind === 'column'
}
