/** HAVING over merged groups: comparisons of aggregates and numeric columns with constants, and AND, OR, NOT of them. Anything else is refused. */
import type { Expr, OrderItem } from '../../sql/ast.ts'
import { columnKey } from './alternatives.ts'
import type { Columns, Ref } from './columns.ts'
import { familyOf } from './equality.ts'
import type { Having } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { hasAggregate, named } from './select-parts.ts'
import { bare, slotOf } from './slots.ts'

type ColumnExpr = Extract<Expr, { kind: 'column' }>

const mirrored: Readonly<Record<string, string>> = { '=': '=', '<>': '<>', '<': '>', '>': '<', '<=': '>=', '>=': '<=' }

/** A function, as column numbers are known only when all hidden columns are. */
export function havingOf(given: Expr, columns: Columns, aggregate: (expr: Expr) => Ref): () => Having {
  const expr = bare(given)
  switch (expr.kind) {
    case 'and':
    case 'or': {
      const parts = expr.items.map((item) => havingOf(item, columns, aggregate))
      return () => ({ kind: expr.kind, items: parts.map((part) => part()) })
    }
    case 'unary': {
      if (expr.operator !== 'NOT' && expr.operator !== '!') break
      const operand = havingOf(expr.operand, columns, aggregate)
      return () => ({ kind: 'not', operand: operand() })
    }
    case 'is': {
      if (expr.what !== 'null') break
      const ref = operandOf(expr.operand, columns, aggregate)
      const test = (): Having => ({ kind: 'is-null', column: columns.index(ref) })
      return expr.not ? () => ({ kind: 'not', operand: test() }) : test
    }
    case 'binary': {
      if (!Object.hasOwn(mirrored, expr.operator)) break
      const [left, right] = [slotOf(expr.left), slotOf(expr.right)]
      if ((left === null) === (right === null)) break
      const ref = operandOf(left === null ? expr.left : expr.right, columns, aggregate)
      const operator = (left === null ? expr.operator : mirrored[expr.operator]) as '='
      const value = left ?? right
      if (value === null) break
      return () => ({ kind: 'compare', operator, column: columns.index(ref), value })
    }
    default:
  }
  throw new ScatterRefused(
    'this HAVING',
    'only comparisons of aggregates with constants are evaluated outside of a server',
    'group by the shard key, or filter what is returned',
  )
}

function operandOf(given: Expr, columns: Columns, aggregate: (expr: Expr) => Ref): Ref {
  const expr = bare(given)
  if (expr.kind === 'column') {
    const item = itemNamed(expr, columns)
    const meant = columns.select.items[item]
    if (meant === undefined) return numeric(expr, columns, null)
    if (hasAggregate(meant.expr)) return numericAggregate(meant.expr, columns, () => ({ item }))
    return numeric(meant.expr, columns, item)
  }
  if (hasAggregate(expr)) return numericAggregate(expr, columns, aggregate)
  throw new ScatterRefused('this HAVING', 'it compares an expression')
}

/**
 * The item that a name means, -1: a column of GROUP BY. Servers look among what the list and GROUP BY call so, and nowhere else (1054); where those are several things, the column of GROUP BY is
 * meant by some and ambiguous to others. So only a name of one thing is read here.
 */
function itemNamed(expr: ColumnExpr, columns: Columns): number {
  const spelt = `${expr.table?.text ?? ''}.${expr.name.text}`.toLowerCase()
  let item = columns.namedInHaving.get(spelt)
  if (item === undefined) columns.namedInHaving.set(spelt, (item = lookFor(expr, columns)))
  return item
}

function lookFor(expr: ColumnExpr, columns: Columns): number {
  const { select, analysis } = columns
  const name = expr.name.text.toLowerCase()
  const bound = analysis.resolve(expr)
  const isSame = (other: Expr): boolean => {
    const inner = bare(other)
    const found = inner.kind === 'column' ? analysis.resolve(inner) : null
    return found !== null && found.table === bound?.table && found.column === bound.column
  }
  const called =
    expr.table === null
      ? (columns.items.byBareName.get(name) ?? [])
      : bound === null
        ? []
        : (columns.items.ofColumn.get(columnKey(bound)) ?? []).flatMap((one) => (one.hasAlias ? [] : [one.item]))
  const groups = columns.groupsNamed(name)
  const grouped = groups.filter(({ expr: group }) => {
    const inner = bare(group)
    return inner.kind === 'column' && inner.name.text.toLowerCase() === name && (expr.table === null || isSame(inner))
  })
  const [item = -1, second] = called
  const meant = select.items[item]
  const isMeant = (column: Expr): boolean => meant !== undefined && isSame(column) && isSame(meant.expr)
  // GROUP BY the alias itself, or the column that the item is.
  const agrees = ({ expr: group }: OrderItem): boolean => {
    const inner = bare(group)
    if (meant === undefined) return true
    if (inner.kind !== 'column') return false
    return analysis.resolve(inner) === null ? inner.table === null && meant.alias?.text.toLowerCase() === name : isMeant(inner)
  }
  // GROUP BY an alias or a place of a column: it is looked for by the column's own name, too.
  const hides = groups.some((group) => {
    const { expr: given, item: at } = named(group.expr, columns, 'column')
    const inner = bare(given)
    if (at === null || inner.kind !== 'column' || inner.name.text.toLowerCase() !== name || meant === undefined) return false
    return !isMeant(inner)
  })
  if (second !== undefined || hides || (called.length === 0 && grouped.length === 0) || !grouped.every(agrees))
    throw new ScatterRefused(
      `${expr.name.text} in HAVING`,
      'which of several things of that name is meant is only known to the server, or there is none',
      'give what is compared a name of its own',
    )
  return item
}

/** MIN and MAX have the type of what they are of. */
function numericAggregate(given: Expr, columns: Columns, aggregate: (expr: Expr) => Ref): Ref {
  const expr = bare(given)
  if (expr.kind === 'call' && expr.name === 'AVG')
    throw new ScatterRefused(
      'HAVING over AVG()',
      'a server compares it with more digits than it shows',
      'compare SUM() with the number times COUNT()',
    )
  if (expr.kind === 'call' && (expr.name === 'MIN' || expr.name === 'MAX')) {
    const inner = expr.args[0] === undefined ? null : bare(expr.args[0])
    const bound = inner?.kind === 'column' ? columns.analysis.resolve(inner) : null
    if (bound === null || (familyOf(bound.column) !== 'integer' && bound.column.dataType !== 'decimal')) {
      throw new ScatterRefused(
        `HAVING over ${expr.name}() of what is no number`,
        'it would be compared outside of a server',
        'filter what is returned',
      )
    }
  }
  return aggregate(expr)
}

function numeric(given: Expr, columns: Columns, item: number | null): Ref {
  const expr = bare(given)
  const bound = expr.kind === 'column' ? columns.analysis.resolve(expr) : null
  if (bound === null || (familyOf(bound.column) !== 'integer' && bound.column.dataType !== 'decimal')) {
    throw new ScatterRefused(
      'HAVING over a column that is no number',
      'it would be compared outside of a server',
      'put the condition into WHERE',
    )
  }
  return columns.valueOf(expr, item)
}
