/** Whether a LIMIT chooses among rows. */
import type { Query, TableRef } from '../../sql/ast.ts'
import { isAggregate } from './functions.ts'

/** Which rows a LIMIT leaves matters: not of one row of aggregates, and not where there is none of a table. */
export function choosesRows(query: Query): boolean {
  if (query.kind === 'union') return true
  const aggregated = query.groupBy === null && query.items.every(({ expr }) => expr.kind === 'call' && isAggregate(expr))
  return !aggregated && query.from.some(readsTable)
}

function readsTable(ref: TableRef): boolean {
  switch (ref.kind) {
    case 'table':
    case 'function':
      return true
    case 'derived':
      return hasTable(ref.query)
    case 'join':
      return readsTable(ref.left) || readsTable(ref.right)
  }
}

function hasTable(query: Query): boolean {
  return query.kind === 'union' ? query.parts.some(hasTable) : query.from.some(readsTable)
}
