import type { Query, Select } from '../../sql/ast.ts'
import { walkQuery } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import type { Scope } from './scope.ts'

/** A query within a statement whose rows are the same on every shard, whatever the rows around it: over tables that each has whole, and over no column of others. */
export function isSameEverywhere(analysis: Analysis, query: Query): boolean {
  if (analysis.limited || analysis.random !== null || analysis.clock !== null || analysis.connectionBound !== null) return false
  const scopes: [Select, Scope | undefined][] = []
  walkQuery(query, { select: (select) => void scopes.push([select, analysis.scopeOf(select)]) })
  const own = new Set(scopes.flatMap(([, scope]) => scope?.tables ?? []))
  if ([...own].some((table) => table.entry?.kind !== 'reference')) return false
  return scopes.every(([select, scope]) => {
    let same = scope !== undefined && scope.opaque.length === 0
    walkQuery(select, {
      expr(node) {
        if (node.kind === 'subquery' || node.kind === 'exists') return false
        const bound = node.kind === 'column' ? scope?.resolve(node) : undefined
        same &&= bound === undefined || (bound !== null && own.has(bound.table))
        return same
      },
    })
    return same
  })
}
