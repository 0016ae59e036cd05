/**
 * Sources whose rows come together in one target hold them alike: its tables are made from the first one's, each stream writes by its own source's definitions, and on the way back every source
 * takes what the target has. So of each two that meet, every column is there on both and each holds the other's values, rows have the same key, and neither has a unique key
 * that the other lacks (PROTOCOLS 1.5, 1.6, 1.12). Found here, before anything is made, and not by a stream whose copy has run for hours.
 */
import type { SwError } from '../base/errors.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import type { UsableKey } from '../move/source-tables.ts'
import { tablesNow, type TablesNow } from '../move/tables-now.ts'
import { columnMisfit } from '../move/target-columns.ts'
import { keysLacking, type KeysOn } from '../move/unique-keys.ts'
import { changeErrors } from './errors.ts'
import type { MergeSource, Pair } from './key-collisions.ts'

/** `tables`: those that are moved. */
export async function disagreements(pairs: readonly Pair[], tables: readonly string[]): Promise<SwError[]> {
  const known = new Map<MergeSource, TablesNow>()
  for (const source of new Set(pairs.flat())) {
    const { connection, schema } = source
    known.set(source, await tablesNow(connection, schema.name))
  }
  const found: SwError[] = []
  for (const [one, other] of pairs)
    for (const table of tables) {
      const [a, b] = [known.get(one), known.get(other)]
      if (a === undefined || b === undefined) continue
      const keys = (source: MergeSource, { uniques }: TablesNow): KeysOn => {
        return { conn: source.connection, schema: source.schema.name, keys: uniques.get(table) ?? [] }
      }
      const what = [...differences(table, a, b), ...(await keysApart(table, keys(one, a), keys(other, b)))]
      found.push(...what.map((each) => changeErrors.sourcesDisagree({ table, one: one.shard, other: other.shard, what: each })))
    }
  return found
}

async function keysApart(table: string, a: KeysOn, b: KeysOn): Promise<string[]> {
  const first = (await keysLacking(table, b, a)).map(({ name }) => `unique key ${name} stands on the first only`)
  const second = (await keysLacking(table, a, b)).map(({ name }) => `unique key ${name} stands on the second only`)
  return [...first, ...second]
}

function differences(table: string, a: TablesNow, b: TablesNow): string[] {
  const [here, there] = [a.definitions.get(table) ?? [], b.definitions.get(table) ?? []]
  const named = (columns: readonly ColumnDefinition[], name: string): ColumnDefinition | undefined =>
    columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
  const columns = here.flatMap((column) => {
    const other = named(there, column.name)
    if (other === undefined) return [`column ${column.name} stands on the first only`]
    const wrong = columnMisfit(column, other) ?? columnMisfit(other, column)
    return wrong === null ? [] : [`column ${column.name} is ${print(column)} and ${print(other)}`]
  })
  const more = there.filter(({ name }) => named(here, name) === undefined).map(({ name }) => `column ${name} stands on the second only`)
  const keyText = (key: UsableKey | undefined): string =>
    (key?.columns ?? [])
      .map((name) => name.toLowerCase())
      .toSorted()
      .join(', ')
  const [key, otherKey] = [keyText(a.keys.get(table)), keyText(b.keys.get(table))]
  return [...columns, ...more, ...(key === otherKey ? [] : [`rows are told apart by (${key}) and by (${otherKey})`])]
}

function print({ columnType, collation, nullable, generated }: ColumnDefinition): string {
  return `${columnType}${collation === null ? '' : ` ${collation}`}${nullable ? '' : ' NOT NULL'}${generated ? ' generated' : ''}`
}
