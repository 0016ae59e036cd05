/** Whether a target's table, as it stands when a stream begins, can take the rows of the source's. */
import type { ColumnDefinition } from '../binlog/source.ts'
import { moveErrors } from './errors.ts'
import { misfits } from './schema-copy.ts'
import type { UsableKey } from './source-tables.ts'
import type { TablePlan } from './table-plan.ts'

/**
 * A target that lacks a column can't hold what the source has; and one with another key takes rows for the same that the source holds apart, or the other way
 * round: an upsert would leave the old row standing, or remove another.
 * @throws targetLacksColumn, targetHasOtherKey, and what `misfits` finds
 */
export function checkTarget(
  plan: TablePlan,
  key: UsableKey,
  target: { name: string; columns: readonly ColumnDefinition[] | undefined; key: UsableKey | undefined },
): void {
  const names = new Set((target.columns ?? []).map(({ name }) => name.toLowerCase()))
  const lacking = plan.columns.find(({ definition }) => !names.has(definition.name.toLowerCase()))?.definition
  if (lacking !== undefined)
    throw moveErrors.targetLacksColumn({ target: target.name, table: plan.name, column: lacking.name, type: lacking.columnType })
  const [misfit] = misfits(plan.name, plan.definitions, target.columns ?? [], target.name)
  if (misfit !== undefined) throw misfit
  const text = (columns: readonly string[]): string =>
    columns
      .map((column) => column.toLowerCase())
      .toSorted()
      .join(', ')
  const there = target.key?.columns ?? []
  if (text(there) !== text(key.columns))
    throw moveErrors.targetHasOtherKey({ target: target.name, table: plan.name, key: text(key.columns), there: text(there) })
}
