/**
 * JSON columns of MySQL that hold values that JSON has no text for: a DATE, TIME, DATETIME, BLOB or BIT put in by CAST or from a column. A SELECT gives their text only, so a copy cannot tell
 * them from strings, and strings is what they are on the targets (docs/decisions/008): whoever relies on JSON_TYPE, or on their order, has to know before.
 */
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { SchemaInfo } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { limitedSelect } from '../verify/ranges.ts'

/** As they print: quoted, and beginning like a date, a time or base64 with the type of a column. */
const looksOpaque = /^(base64:type\d+:|-?\d{2,4}[-:]\d{2}[-:]\d{2})/
const looksOpaqueSql = '"(base64:type[0-9]+:|-?[0-9]{2,4}[-:][0-9]{2}[-:][0-9]{2})'
const opaque = ['DATE', 'TIME', 'DATETIME', 'TIMESTAMP', 'BLOB', 'BIT', 'OPAQUE']

const lookMsMax = 2_000
/** After so many columns that took longer the others are not looked at either: a plan is waited for. */
const tooLargeMax = 5
const documentsMax = 50
const pathsMax = 20

/** A note for each column that holds some, or could not be looked through in the time it may take. */
export async function jsonNotes(connection: Connection, schema: Pick<SchemaInfo, 'name' | 'tables'>): Promise<string[]> {
  if (connection.flavour !== 'mysql') return []
  const notes: string[] = []
  let tooLarge = 0
  for (const table of schema.tables)
    for (const column of table.columns) {
      if (column.dataType !== 'json' || column.generated !== null) continue
      const found =
        tooLarge >= tooLargeMax
          ? 'unknown'
          : await lookAt(connection, quoteQualified(schema.name, table.name), quoteIdentifier(column.name))
      if (found === 'unknown') tooLarge++
      const name = `${table.name}.${column.name}`
      const become = 'as strings of the same text: JSON_TYPE of them, and how they compare, is another there'
      if (found === 'unknown')
        notes.push(
          `${name} was not looked through to its end: a DATE, TIME, BLOB or BIT within its JSON, if there is one, arrives ${become}`,
        )
      else if (found.length > 0)
        notes.push(
          `${name} holds values within its JSON that have no text of their own, which arrive ${become} (${found.map(({ type, path }) => `${type} at ${path}`).join(', ')})`,
        )
    }
  return notes
}

type Found = { readonly type: string; readonly path: string }

async function lookAt(connection: Connection, table: string, column: string): Promise<Found[] | 'unknown'> {
  const suspect = `CAST(${column} AS CHAR) REGEXP ${quoteString(looksOpaqueSql)}`
  const ask = (rest: string): Promise<Record<string, string | null>[] | 'unknown'> =>
    // It takes bytes, one a character.
    connection.allText(limitedSelect('mysql', Buffer.from(rest).toString('latin1'), lookMsMax)).catch((error: unknown) => {
      if (!isServerError(error)) throw error
      return 'unknown' as const
    })
  const documents = await ask(`CAST(${column} AS CHAR) AS j FROM ${table} WHERE ${suspect} LIMIT ${documentsMax}`)
  if (documents === 'unknown') return 'unknown'
  const paths = new Set<string>()
  for (const { j } of documents) for (const path of suspectPaths(JSON.parse(j ?? 'null'), '$')) if (paths.size < pathsMax) paths.add(path)
  const found: Found[] = []
  for (const path of paths) {
    const type = `JSON_TYPE(JSON_EXTRACT(${column}, ${quoteString(path)}))`
    const rows = await ask(
      `DISTINCT ${type} AS t FROM ${table} WHERE ${suspect} AND ${type} IN (${opaque.map(quoteString).join(', ')}) LIMIT 3`,
    )
    if (rows === 'unknown') continue
    for (const { t } of rows) found.push({ type: t ?? '', path })
  }
  return found
}

/** Pure: where strings stand that may be something else. */
export function suspectPaths(value: unknown, path: string): string[] {
  if (typeof value === 'string') return looksOpaque.test(value) ? [path] : []
  if (Array.isArray(value)) return value.flatMap((one, i) => suspectPaths(one, `${path}[${i}]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => suspectPaths(one, `${path}.${JSON.stringify(key)}`))
}
