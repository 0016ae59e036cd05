/** Which items of a select list are called or mean what: looked up, as other clauses may name thousands of items of thousands. */
import { append } from '../../base/append.ts'
import type { SelectItem } from '../../sql/ast.ts'
import { columnKey } from './alternatives.ts'
import type { Analysis } from './analysis.ts'
import { bare } from './slots.ts'

/** The places of items in their order; names in lower case. */
export type ItemIndex = {
  /** By what AS calls them. */
  readonly byAlias: ReadonlyMap<string, readonly number[]>
  /** By what AS calls them, and by the name of the column that they are. */
  readonly byName: ReadonlyMap<string, readonly number[]>
  /** The same, and of a column in parentheses. */
  readonly byBareName: ReadonlyMap<string, readonly number[]>
  /** By the column that they are (`columnKey`), under whatever name. */
  readonly ofColumn: ReadonlyMap<string, readonly { readonly item: number; readonly hasAlias: boolean }[]>
}

export function indexOf(items: readonly SelectItem[], analysis: Analysis): ItemIndex {
  const byAlias = new Map<string, number[]>()
  const byName = new Map<string, number[]>()
  const byBareName = new Map<string, number[]>()
  const ofColumn = new Map<string, { item: number; hasAlias: boolean }[]>()
  items.forEach(({ expr, alias }, item) => {
    const inner = bare(expr)
    const name = inner.kind === 'column' ? inner.name.text.toLowerCase() : null
    const called = alias?.text.toLowerCase() ?? null
    if (called !== null) append(byAlias, called, item)
    const own = called ?? name
    if (own !== null) append(byBareName, own, item)
    if (own !== null && (called !== null || expr.kind === 'column')) append(byName, own, item)
    const bound = inner.kind === 'column' ? analysis.resolve(inner) : null
    if (bound !== null) append(ofColumn, columnKey(bound), { item, hasAlias: alias !== null })
  })
  return { byAlias, byName, byBareName, ofColumn }
}
