/**
 * Foreign keys by which a server sets a column of one table as another's row changes. Where that column says on which shard a row stands, or a lookup finds by it, the gate would not know of it. A parent's shard
 * key changes in no row that a foreign key names (moved-rows.ts), so what follows it stays; of reference tables the change is refused; what follows another column is not kept in a lookup. Pure.
 */
import type { ResolvedTable } from '../../keyspace/vschema-resolve.ts'
import { planErrors } from './errors.ts'
import type { BoundTable } from './scope.ts'
import { placesOf } from './triggers.ts'

/** A column that changes with rows of which its own table's writes say nothing. */
export function follows({ columns, keyspace }: Pick<BoundTable, 'columns' | 'keyspace'>, column: string): boolean {
  return (columns?.followers ?? []).some((one) => {
    if (one.onUpdate !== 'CASCADE' || !same(one.column, column)) return false
    const parent = keyspace.vschema.tables.get(one.parent)
    if (parent?.kind === 'sharded') return !keyOf(parent).some((name) => same(name, one.of))
    return parent?.kind !== 'reference'
  })
}

/**
 * @param assigned columns that an UPDATE sets
 * @param removes rows may be deleted
 * Errors: SW-GATE-100.
 */
export function refuseFollowed({ name, columns, keyspace }: BoundTable, assigned: readonly string[], removes: boolean): void {
  for (const one of columns?.followed ?? []) {
    const child = keyspace.vschema.tables.get(one.table)
    const isSet = cascading.has(one.onUpdate) && assigned.some((column) => same(column, one.of))
    const sets = isSet && placesOf(child).has(one.column.toLowerCase())
    const unsets =
      removes && one.onDelete === 'SET NULL' && child?.kind === 'sharded' && keyOf(child).some((column) => same(column, one.column))
    if (!sets && !unsets) continue
    throw planErrors.refused({
      construct: `${sets ? `a change of ${name}.${one.of}` : `a DELETE of rows of ${name}`}, which sets ${one.table}.${one.column} by a foreign key,`,
      reason: 'by that column rows are placed and found',
      instead: `change the rows of ${one.table} first, or drop the foreign key's ON ${sets ? 'UPDATE' : 'DELETE'}`,
    })
  }
}
const cascading = new Set(['CASCADE', 'SET NULL'])

function keyOf(entry: Extract<ResolvedTable, { kind: 'sharded' }>): readonly string[] {
  return entry.primaryVindex.columns
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
