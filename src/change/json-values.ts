/**
 * JSON columns of MySQL that hold bytes of a kind that no expression makes: a TINYBLOB's, and those that older servers made. They arrive as the strings that they print as, and a comparison finds each such
 * row different (docs/decisions/008): that is to be known before.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { SchemaInfo } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { limitedSelect } from '../verify/ranges.ts'

/** As they print: `move/json-literal.ts` makes the others. */
const pattern = 'base64:type(?!(15|16|250|251|252|254):)[0-9]+:'
const looksOpaque = new RegExp(`^${pattern}`)
const looksOpaqueSql = `"${pattern}`
const opaque = ['BLOB', 'GEOMETRY', 'OPAQUE']

const lookMsMax = 2_000
/** Of all columns of a source together: a plan is waited for, and these are scans of a server that serves. */
const allMsMax = 10_000
const documentsMax = 50
const pathsMax = 20

/** A note for each column that holds some, or could not be looked through in the time it may take. */
export async function jsonNotes(connection: Connection, schema: Pick<SchemaInfo, 'name' | 'tables'>, clock: Clock): Promise<string[]> {
  if (connection.flavour !== 'mysql') return []
  const notes: string[] = []
  const untilMs = clock.monotonicMs() + allMsMax
  const ask: Ask = async (select) => {
    if (clock.monotonicMs() >= untilMs) return 'unknown'
    try {
      // It takes bytes, one a character.
      return await connection.allText(limitedSelect('mysql', Buffer.from(select).toString('latin1'), lookMsMax))
    } catch (error) {
      if (!isServerError(error)) throw error
      return 'unknown'
    }
  }
  for (const table of schema.tables)
    for (const column of table.columns) {
      if (column.dataType !== 'json' || column.generated !== null) continue
      const { found, whole } = await lookThrough(ask, quoteQualified(schema.name, table.name), quoteIdentifier(column.name))
      const name = `${table.name}.${column.name}`
      const become = 'as strings of the same text: JSON_TYPE of them is another there, and a vdiff finds their rows different'
      if (found.length > 0)
        notes.push(
          `${name} holds bytes of a TINYBLOB, or of an older server, within its JSON, which no statement makes and which arrive ${become} (${found.join(', ')}${whole ? '' : ', and there may be more'})`,
        )
      else if (!whole)
        notes.push(`${name} was not looked through to its end: bytes of a TINYBLOB within its JSON, if there are any, arrive ${become}`)
    }
  return notes
}

/** What follows SELECT. 'unknown': the server ended it, or refused it. */
type Ask = (select: string) => Promise<readonly Readonly<Record<string, string | null>>[] | 'unknown'>

/**
 * `found`: types and paths. `whole`: there are no others. Of a column with many documents whose strings look so, most of which are strings, only the first tell where to look, and a scan for
 * what is not there is the one that is cut: nothing found says nothing then.
 */
export async function lookThrough(ask: Ask, table: string, column: string): Promise<{ found: string[]; whole: boolean }> {
  const suspect = `CAST(${column} AS CHAR) REGEXP ${quoteString(looksOpaqueSql)}`
  const documents = await ask(`CAST(${column} AS CHAR) AS j FROM ${table} WHERE ${suspect} LIMIT ${documentsMax + 1}`)
  if (documents === 'unknown') return { found: [], whole: false }
  const all = [...new Set(documents.flatMap(({ j }) => suspectPaths(JSON.parse(j ?? 'null'), '$')))]
  const paths = all.slice(0, pathsMax)
  // The expression meets keys too ({"2024-01-01": 5}): documents further on may have values.
  if (paths.length === 0) return { found: [], whole: documents.length <= documentsMax }
  const types = paths.map((path) => `JSON_TYPE(JSON_EXTRACT(${column}, ${quoteString(path)}))`)
  const isOne = types.map((type) => `${type} IN (${opaque.map(quoteString).join(', ')})`).join(' OR ')
  const list = types.map((type, i) => `${type} AS t${i}`).join(', ')
  const rows = await ask(`${list} FROM ${table} WHERE ${suspect} AND (${isOne}) LIMIT ${documentsMax + 1}`)
  if (rows === 'unknown') return { found: [], whole: false }
  const found = new Set<string>()
  for (const row of rows)
    paths.forEach((path, i) => {
      const type = row[`t${i}`] ?? ''
      if (opaque.includes(type)) found.add(`${type} at ${path}`)
    })
  return { found: [...found], whole: documents.length <= documentsMax && rows.length <= documentsMax && paths.length === all.length }
}

/** Pure: where strings stand that may be something else. */
export function suspectPaths(value: unknown, path: string): string[] {
  if (typeof value === 'string') return looksOpaque.test(value) ? [path] : []
  if (Array.isArray(value)) return value.flatMap((one, i) => suspectPaths(one, `${path}[${i}]`))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => suspectPaths(one, `${path}.${JSON.stringify(key)}`))
}
