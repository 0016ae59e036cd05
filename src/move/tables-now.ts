/** What a server says of a schema's tables, by their names. */
import type { ColumnDefinition } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import type { Connection } from '../mysql/connection.ts'
import type { KnownTable } from './definitions.ts'
import { cascadingKeys, type CascadingKey } from './hidden-cascades.ts'
import { usableKeys, type UsableKey } from './source-tables.ts'
import { uniqueKeys, type UniqueKey } from './unique-keys.ts'

export type TablesNow = {
  readonly definitions: ReadonlyMap<string, readonly ColumnDefinition[]>
  readonly keys: ReadonlyMap<string, UsableKey>
  readonly uniques: ReadonlyMap<string, readonly UniqueKey[]>
  readonly cascades: ReadonlyMap<string, readonly CascadingKey[]>
}

export async function tablesNow(conn: Connection, schema: string): Promise<TablesNow> {
  const definitions = await readTableDefinitions(conn, schema)
  const keys = await usableKeys(conn, schema)
  const uniques = await uniqueKeys(conn, schema)
  return { definitions, keys, uniques, cascades: await cascadingKeys(conn, schema) }
}

/** Of tables as they are now, by name; those without a key are left out. */
export async function definitionsOf(conn: Connection, schema: string, tables: readonly string[]): Promise<Record<string, KnownTable>> {
  const { definitions, keys, uniques, cascades } = await tablesNow(conn, schema)
  return Object.fromEntries(
    tables.flatMap((table) => {
      const [columns, key] = [definitions.get(table), keys.get(table)]
      if (columns === undefined || key === undefined) return []
      return [[table, { definitions: columns, key, uniques: uniques.get(table) ?? [], cascades: cascades.get(table) ?? [] }]]
    }),
  )
}
