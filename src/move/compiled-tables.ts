/** What is made once of each table as the tail describes it: the plan that its rows are read by, its encoder and the places of its keys. */
import type { TailTable } from '../binlog/source.ts'
import { moveErrors } from './errors.ts'
import { RowEncoder } from './row-encoder.ts'
import type { TablePlan } from './table-plan.ts'

export type Compiled = {
  readonly encoder: RowEncoder
  readonly plan: TablePlan
  readonly keyColumns: readonly number[]
  readonly shardColumns: readonly number[]
}

export class CompiledTables {
  readonly #planOf: (schema: string, table: string) => TablePlan | null
  readonly #where: (plan: TablePlan) => { table: string; source: string; at: string }
  readonly #compiled = new WeakMap<TailTable, Compiled | 'skip'>()

  /** `where`: for messages. */
  constructor(
    planOf: (schema: string, table: string) => TablePlan | null,
    where: (plan: TablePlan) => { table: string; source: string; at: string },
  ) {
    this.#planOf = planOf
    this.#where = where
  }

  /** @throws columnsDiffer */
  of(table: TailTable): Compiled | 'skip' {
    const known = this.#compiled.get(table)
    if (known !== undefined) return known
    const plan = this.#planOf(table.schema, table.name)
    if (plan === null) {
      this.#compiled.set(table, 'skip')
      return 'skip'
    }
    if (table.columns.length !== plan.definitions.length) {
      throw moveErrors.columnsDiffer({
        ...this.#where(plan),
        difference: `${table.columns.length} columns instead of ${plan.definitions.length}`,
      })
    }
    const compiled: Compiled = {
      encoder: new RowEncoder(plan, 'ordinal'),
      plan,
      keyColumns: plan.keyColumns.map((_, i) => i),
      shardColumns: plan.shardKey.map(({ index }) => index),
    }
    this.#compiled.set(table, compiled)
    return compiled
  }
}
