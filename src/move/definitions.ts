/**
 * The definitions that a stream reads its tail by, stored with its positions (PROTOCOLS 1.13: events before DDL decode under the old schema).
 *
 * Why stored: a run that begins again reads events of before it. If a table was altered in between, what the source says now does not fit them, and
 * where only names or places of columns of one type changed nothing else would tell. They are written when the first position is, with the source's
 * definitions the same before and after it; used until the DDL comes by in the tail; replaced by what it made (`ddl-ahead.ts`) when everything before it is
 * applied, so that whatever is read next was defined by it.
 */
import type { ColumnDefinition } from '../binlog/source.ts'
import { charsetName } from '../binlog/table-definitions.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { UsableKey } from './source-tables.ts'
import { moveSchema, streamWhere } from './tables.ts'
import type { StreamOnTarget } from './takeover.ts'
import type { CascadingKey } from './hidden-cascades.ts'
import type { UniqueKey } from './unique-keys.ts'

export type KnownTable = {
  readonly definitions: readonly ColumnDefinition[]
  readonly key: UsableKey
  /** Of the source then. Not in what earlier versions stored. */
  readonly uniques?: readonly UniqueKey[]
  /** Its foreign keys that change its rows, then. Not in what earlier versions stored. */
  readonly cascades?: readonly CascadingKey[]
}

export async function readKnown(conn: Connection, on: StreamOnTarget): Promise<ReadonlyMap<string, KnownTable>> {
  const rows = await conn.allText(`SELECT table_name AS name, definition FROM ${moveSchema}.move_definition WHERE ${streamWhere(on)}`)
  return new Map(
    rows.map(({ name, definition }) => {
      const known = JSON.parse(definition ?? '{}') as KnownTable
      const now = known.definitions.map((column) => ({
        ...column,
        charset: charsetName(column.charset),
        collation: charsetName(column.collation),
      }))
      return [name ?? '', { ...known, definitions: now }]
    }),
  )
}

/** For an applier transaction: whoever was overtaken must not put its definitions over those of who came behind. */
export function knownSql(on: StreamOnTarget, name: string, known: KnownTable): string {
  const values = [on.streamUid, on.targetUid, name, on.workflowUid, JSON.stringify(known)]
  return `REPLACE INTO ${moveSchema}.move_definition (stream_uid, target_uid, table_name, workflow_uid, definition) VALUES (${values.map(quoteString).join(', ')})`
}

/** Columns by which two definitions differ; null when they are the same. */
export function definitionDifference(known: readonly ColumnDefinition[], now: readonly ColumnDefinition[] | undefined): string | null {
  if (now === undefined) return 'the table is not there any more'
  const place = known.findIndex((column, i) => JSON.stringify(column) !== JSON.stringify(now[i]))
  if (place >= 0) return `column ${place + 1} was ${print(known[place])} and is ${print(now[place])}`
  return known.length === now.length ? null : `column ${known.length + 1} is ${print(now[known.length])} and was not there`
}

function print(column: ColumnDefinition | undefined): string {
  return column === undefined ? 'not there' : `${column.name} ${column.columnType}`
}
