/** Whether the rows of an UPDATE, which are read before it, may be others when it runs: then what lookups have of them would be of others, too. */
import type { Delete, Expr, Update } from '../../sql/ast.ts'
import { walkExpr, walkTable, type Visitor } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import { familyOf } from './equality.ts'
import { isClock, isRandom } from './functions.ts'
import type { BoundTable } from './scope.ts'
import { bare, slotOf } from './slots.ts'

/** What chooses the rows and says otherwise each time it is asked; null: nothing does. */
export function asksOtherwise(statement: Update | Delete, table: BoundTable): string | null {
  let found: string | null = null
  const visitor: Visitor = {
    expr(node) {
      if (node.kind !== 'call') return
      const own = table.keyspace.functions?.varying.has(node.name.toLowerCase()) === true
      if (own || isRandom(node) || isClock(node)) found ??= `${node.name}()`
    },
  }
  for (const ref of statement.kind === 'update' ? statement.tables : statement.from) walkTable(ref, visitor)
  if (statement.where !== null) walkExpr(statement.where, visitor)
  for (const { expr } of statement.orderBy?.items ?? []) walkExpr(expr, visitor)
  return found
}

/** Of rows that are alike to its ORDER BY, a LIMIT leaves those that come first in the key that the server reads by. */
export function limitChooses(statement: Update | Delete, analysis: Analysis): boolean {
  return statement.limit !== null && !ordersByKey(statement, analysis) && !isOneRow(statement, analysis)
}

/** No two rows are alike to ORDER BY. */
export function ordersByKey(statement: Update | Delete, analysis: Analysis): boolean {
  const ordered = new Set<string>()
  for (const { expr } of statement.orderBy?.items ?? []) {
    const name = ownColumn(bare(expr), analysis)
    if (name !== null) ordered.add(name)
  }
  return hasKey(analysis, (name) => ordered.has(name))
}

/** Each column of a unique key is held to one value. (A text that is compared with a number may be several.) */
function isOneRow(statement: Update | Delete, analysis: Analysis): boolean {
  const [table] = analysis.scope.tables
  const held = new Set<string>()
  for (const part of conjuncts(statement.where)) {
    if (part.kind !== 'binary' || part.operator !== '=') continue
    for (const [column, value] of [
      [bare(part.left), part.right],
      [bare(part.right), part.left],
    ] as const) {
      const name = ownColumn(column, analysis)
      if (name !== null && slotOf(value) !== null) held.add(name)
    }
  }
  return hasKey(analysis, (name) => {
    const column = table?.columns?.columns.find((one) => one.name.toLowerCase() === name)
    return held.has(name) && column !== undefined && familyOf(column) === 'integer'
  })
}

function conjuncts(where: Expr | null): readonly Expr[] {
  if (where === null) return []
  const inner = bare(where)
  return inner.kind === 'and' ? inner.items.flatMap(conjuncts) : [inner]
}

function ownColumn(expr: Expr, analysis: Analysis): string | null {
  return expr.kind === 'column' && analysis.resolve(expr)?.table === analysis.scope.tables[0] ? expr.name.text.toLowerCase() : null
}

function hasKey(analysis: Analysis, has: (name: string) => boolean): boolean {
  const [table] = analysis.scope.tables
  const told = (name: string): boolean =>
    has(name.toLowerCase()) && table?.columns?.columns.find((column) => column.name === name)?.nullable === false
  return analysis.scope.tables.length === 1 && (table?.columns?.uniqueKeys ?? []).some((key) => key.every(told))
}
