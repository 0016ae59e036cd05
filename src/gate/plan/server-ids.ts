/** AUTO_INCREMENT without a sequence: each shard would count for itself, and give ids that others gave. */
import type { ColumnInfo } from './catalog.ts'
import { planErrors } from './errors.ts'
import type { SequencePlan } from './plan.ts'
import type { BoundTable } from './scope.ts'

export type CountedColumn = { readonly keyspace: string; readonly table: string; readonly column: string }

/** The column that shards would fill for a NULL or a 0; null: there is none, or a sequence fills it. Errors: SW-GATE-100 it is left out. */
export function countedColumn(table: BoundTable, names: readonly string[], sequence: SequencePlan | null): CountedColumn | null {
  if (table.entry?.kind !== 'sharded' && table.entry?.kind !== 'reference') return null
  const column: ColumnInfo | undefined = table.columns?.columns.find((c) => c.autoIncrement)
  if (column === undefined || sequence?.column === column.name) return null
  const counted = { keyspace: table.keyspace.name, table: table.name, column: column.name }
  if (!names.includes(column.name.toLowerCase())) throw leftToServer(counted)
  return counted
}

export function leftToServer({ keyspace, table, column }: CountedColumn): Error {
  return planErrors.refused({
    construct: `AUTO_INCREMENT of ${table}.${column}`,
    reason: 'each shard would count for itself and give ids that others gave',
    instead: `give the id, or: shardwright sequence create ${keyspace}.${table}.${column}`,
  })
}
