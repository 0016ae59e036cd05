/** What the merged and the plain form of a scattered SELECT both ask about its clauses. */
import type { Expr, Query, Select } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { Columns } from './columns.ts'
import { isAggregate } from './functions.ts'
import type { Slot } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { bare, slotOf } from './slots.ts'

/** LIMIT takes literals and parameters only. */
export function limitOf(select: Select): { limit: Slot | null; offset: Slot | null } {
  const { limit } = select
  return { limit: limit === null ? null : slotOf(limit.count), offset: limit?.offset == null ? null : slotOf(limit.offset) }
}

/** A copy of an expression in the select list can't name the list's own aliases. @param hidden by columns: in GROUP BY a name is first that of a column */
export function refuseAliases(expr: Expr, columns: Columns, hidden: 'by columns' | 'never' = 'never'): void {
  walkExpr(expr, {
    expr(node) {
      if (node.kind !== 'column' || node.table !== null) return
      if (hidden === 'by columns' && columns.analysis.resolve(node) !== null) return
      const name = node.name.text.toLowerCase()
      if (columns.items.byAlias.has(name)) {
        throw new ScatterRefused(
          `an expression over the alias ${node.name.text}`,
          'it is compared outside of the server',
          'write the expression out instead of its alias',
        )
      }
    },
  })
}

/** `1` and an alias name an item of the select list. In GROUP BY a column hides an alias of its name, in ORDER BY the alias hides the column. */
export function named(expr: Expr, columns: Columns, hides: 'alias' | 'column'): { expr: Expr; item: number | null } {
  const { select } = columns
  let inner = bare(expr)
  // (2) and +2 are the places that 2 is, on both.
  while (inner.kind === 'unary' && inner.operator === '+') inner = bare(inner.operand)
  // MariaDB takes its value for a place in the list, MySQL for a constant.
  if (inner.kind === 'parameter') throw new ScatterRefused('ORDER BY or GROUP BY a parameter', 'what it means is only known to the server')
  if (inner.kind === 'constant' && inner.value !== 'null')
    throw new ScatterRefused('ORDER BY or GROUP BY TRUE or FALSE', 'to MariaDB it is a place in the list, to MySQL a constant')
  if (inner.kind === 'literal') {
    const number = columns.analysis.fixedInteger(inner)
    const found = number === null ? undefined : select.items[number - 1]
    if (number === null) return { expr, item: null }
    if (found === undefined || columns.hasStarBefore(number)) {
      throw new ScatterRefused(
        `ORDER BY or GROUP BY ${number}`,
        'the select list has no such column, or has * before it',
        'name the column',
      )
    }
    return { expr: found.expr, item: number - 1 }
  }
  if (inner.kind === 'column' && inner.table === null) {
    const name = inner.name.text.toLowerCase()
    if (hides === 'column' && columns.analysis.resolve(inner) !== null) return { expr, item: null }
    const item = columns.items.byAlias.get(name)?.[0]
    const found = item === undefined ? undefined : select.items[item]
    if (item === undefined || found === undefined) return { expr, item: null }
    if (hides === 'alias' && (columns.items.byName.get(name)?.length ?? 0) > 1)
      throw new ScatterRefused(
        `ORDER BY ${inner.name.text}, which several items of the list are called`,
        'the server says whether that is ambiguous',
      )
    return { expr: found.expr, item }
  }
  return { expr, item: null }
}

/**
 * The same for every row, and where there are none.
 * @param isSame whether that holds of a subquery
 */
export function isConstant(expr: Expr, isSame: (query: Query) => boolean = () => false): boolean {
  let constant = true
  walkExpr(expr, {
    expr(node) {
      if (node.kind === 'subquery' || node.kind === 'exists') {
        constant &&= isSame(node.query)
        return false
      }
      constant &&= node.kind !== 'column' && node.kind !== 'star'
      return constant
    },
  })
  return constant
}

export function hasAggregate(expr: Expr): boolean {
  let found = false
  walkExpr(expr, {
    expr(node) {
      // A subquery's aggregates are its own.
      if (node.kind === 'subquery' || node.kind === 'exists') return false
      if (node.kind === 'call' && isAggregate(node)) found = true
      return !found
    },
  })
  return found
}
