/** Definitions of the moved tables on the source, and the key by which each is copied. */
import { createVindex } from '../keyspace/vindexes/create.ts'
import type { Connection, FlavourName } from '../mysql/connection.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { StreamTable } from '../topology/records.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { charsetToUtf8 } from './charset.ts'
import { definitionDifference, type KnownTable } from './definitions.ts'
import { moveErrors } from './errors.ts'
import type { MergeWriter } from './merged-table.ts'
import { planTable, type TablePlan } from './table-plan.ts'

export type SourceTable = {
  plan: TablePlan
  key: UsableKey
  /** What DDL that lies ahead in the tail has changed of it; null: nothing. */
  altered: string | null
  keyName: string
  rowsEstimated: number
  bytesEstimated: number
  averageRowBytes: number
}

/** `descending`: which of its columns lie in descending order, where not all lie in one; an index of one direction is walked either way. */
export type UsableKey = { name: string; columns: string[]; descending?: boolean[] }

/**
 * By table: the primary key, else the unique key of NOT NULL columns with the fewest columns. Tables without one are left out. Keys with generated columns are none: rows are written with
 * their keys, and a server takes no value for such a column. Nor are keys that are invisible, ignored or hashes: no range can be read by them.
 */
export async function usableKeys(conn: Connection, schema: string): Promise<Map<string, UsableKey>> {
  const rows = await conn.allText(
    `SELECT s.TABLE_NAME AS t, s.INDEX_NAME AS name, s.COLUMN_NAME AS column_name, s.SUB_PART AS sub_part, s.NULLABLE AS nullable, s.COLLATION AS direction,
      ${flavourOf(conn).keyUnusable(conn.versionNumber)} AS unusable
    FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = ${quoteString(schema)} AND s.NON_UNIQUE = 0
    ORDER BY s.TABLE_NAME, s.INDEX_NAME, s.SEQ_IN_INDEX`,
  )
  const generated = new Set(
    (
      await conn.allText(
        `SELECT TABLE_NAME AS t, COLUMN_NAME AS c FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND EXTRA LIKE '% GENERATED%'`,
      )
    ).map(({ t, c }) => `${t}.${c}`),
  )
  const tables = new Map<string, UsableKey>()
  for (const [table, keys] of Map.groupBy(rows, (row) => row.t ?? '')) {
    const key = bestKey(keys, (column) => generated.has(`${table}.${column}`))
    if (key !== null) tables.set(table, key)
  }
  return tables
}

function bestKey(rows: readonly Record<string, string | null>[], isGenerated: (column: string) => boolean): UsableKey | null {
  const keys = new Map<string, { columns: string[]; descending: boolean[]; usable: boolean }>()
  for (const row of rows) {
    const name = row.name ?? ''
    const key = keys.get(name) ?? { columns: [], descending: [], usable: true }
    keys.set(name, key)
    const { column_name: column, sub_part: prefix, nullable, direction, unusable } = row
    if (unusable === '1' || column === null || column === undefined || prefix !== null || nullable === 'YES' || isGenerated(column)) {
      key.usable = false
      continue
    }
    key.columns.push(column)
    key.descending.push(direction === 'D')
  }
  const usable = [...keys]
    .filter(([, key]) => key.usable)
    .map(([name, { columns, descending }]): UsableKey => {
      const mixed = descending.includes(true) && descending.includes(false)
      return mixed ? { name, columns, descending } : { name, columns }
    })
  return usable.find((key) => key.name === 'PRIMARY') ?? usable.sort((a, b) => a.columns.length - b.columns.length)[0] ?? null
}

/** Plans of all tables of a stream. @throws noKey, unsupportedCharset, missing columns as SW-MOVE errors */
export async function readSourceTables(
  conn: Connection,
  sourceName: string,
  schema: string,
  tables: readonly StreamTable[],
  /** By which definitions a table is read instead of those that the source has now (`definitions.ts`). */
  known: ReadonlyMap<string, KnownTable> = new Map(),
  targetFlavour: FlavourName = 'mysql',
  mergeWriter: MergeWriter | null = null,
): Promise<SourceTable[]> {
  const sizes = new Map<string, { rows: number; bytes: number; average: number }>()
  for (const row of await conn.allText(
    `SELECT TABLE_NAME AS name, TABLE_ROWS AS row_count, DATA_LENGTH AS bytes, AVG_ROW_LENGTH AS average FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)}`,
  ))
    sizes.set(row.name ?? '', { rows: Number(row.row_count ?? 0), bytes: Number(row.bytes ?? 0), average: Number(row.average ?? 0) })

  // Once for all tables: with hundreds of small ones, questions about each would take longer than copying them.
  const columns = await readTableDefinitions(
    conn,
    schema,
    tables.map(({ name }) => name),
  )
  const keys = await usableKeys(conn, schema)
  const found: SourceTable[] = []
  for (const table of tables) {
    const now = columns.get(table.name)
    const definitions = known.get(table.name)?.definitions ?? now
    if (definitions === undefined) throw moveErrors.missingTarget({ table: table.name, target: sourceName })
    const key = known.get(table.name)?.key ?? keys.get(table.name)
    if (key === undefined) throw moveErrors.noKey({ table: `${schema}.${table.name}` })
    const vindex = table.vindex === null || table.reference ? null : createVindex(table.vindex.type, table.vindex.type, table.vindex.params)
    const plan = planTable({
      schema,
      name: table.name,
      reference: table.reference,
      definitions,
      key: key.columns,
      keyDescending: key.descending ?? [],
      keyIsPrimary: key.name === 'PRIMARY',
      vindex,
      targetFlavour,
      ...(table.merge === undefined ? {} : { merged: { merge: table.merge, writer: needWriter(mergeWriter, table.name) } }),
      vindexColumns: vindex === null ? [] : (table.vindex?.columns ?? []).map((column) => storedColumn(definitions, column, table.name)),
      toUtf8: (column) => {
        const converter = charsetToUtf8(column.charset)
        if (converter === 'unsupported')
          throw moveErrors.unsupportedCharset({ column: column.name, table: table.name, charset: column.charset })
        return converter
      },
    })
    const size = sizes.get(table.name) ?? { rows: 0, bytes: 0, average: 0 }
    const altered = known.has(table.name) ? definitionDifference(definitions, now) : null
    found.push({
      plan,
      key,
      altered,
      keyName: key.name,
      rowsEstimated: size.rows,
      bytesEstimated: size.bytes,
      averageRowBytes: size.average,
    })
  }
  return found
}

/** @throws generatedShardKey */
function storedColumn(definitions: readonly ColumnDefinition[], column: string, table: string): string {
  const found = definitions.find(({ name }) => name.toLowerCase() === column.toLowerCase())
  if (found?.generated === true) throw moveErrors.generatedShardKey({ table, column })
  return column
}

function needWriter(writer: MergeWriter | null, table: string): MergeWriter {
  if (writer === null) throw moveErrors.noMergeWriter({ table })
  return writer
}

/**
 * Plans by the names that the binlog has. A server with `lower_case_table_names` writes them in small letters, or as a statement had them, whatever they were
 * attached by; names that differ in case only are one there.
 */
export function plansByName(
  source: string,
  plans: ReadonlyMap<string, TablePlan>,
  ignoresCase: boolean,
): (schema: string, table: string) => TablePlan | null {
  if (!ignoresCase) return (schema, table) => (schema === source ? (plans.get(table) ?? null) : null)
  const lower = new Map([...plans].map(([name, plan]) => [name.toLowerCase(), plan]))
  const own = source.toLowerCase()
  return (schema, table) => (schema.toLowerCase() === own ? (lower.get(table.toLowerCase()) ?? null) : null)
}
