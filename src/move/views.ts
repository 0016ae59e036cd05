/** Views of the source made on a target, after its tables. */
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import type { SchemaCopyOptions } from './schema-copy.ts'
import { viewForTarget } from './view-for-target.ts'

/** Those whose bases are there. Returns the names that could not be made, with the server's reason. */
export async function createTargetViews({
  source,
  target,
}: Pick<SchemaCopyOptions, 'source' | 'target'>): Promise<{ view: string; reason: string }[]> {
  const existing = new Set(await namesOf(target.conn, 'TABLES', target.schema))
  const views = await namesOf(source.conn, 'VIEWS', source.schema)
  let open = views.filter((view) => !existing.has(view)).map((view) => ({ view, reason: '' }))
  if (open.length === 0) return []
  for (const { conn } of [source, target]) {
    await conn.query(readableSql)
    await conn.useDatabase(nobodysSchema)
  }
  const collation = await target.conn.value('SELECT @@SESSION.collation_connection')
  // A view may need another: go on while a pass makes any.
  for (let before = -1; open.length !== before && open.length > 0;) {
    before = open.length
    const failed: typeof open = []
    for (const { view } of open) {
      const [shown] = await source.conn.allText(`SHOW CREATE VIEW ${quoteQualified(source.schema, view)}`)
      try {
        const text = viewForTarget(shown?.['Create View'] ?? '', source.schema, target.schema)
        await readLiteralsAs(target.conn, shown?.['collation_connection'] ?? '')
        await target.conn.query(text)
      } catch (error) {
        if (isServerError(error)) failed.push({ view, reason: error.serverMessage })
        else if (isSwError(error) && error.code.startsWith('SW-SQL-')) failed.push({ view, reason: error.message })
        else throw error
      }
    }
    open = failed
  }
  await readLiteralsAs(target.conn, collation ?? '')
  return open
}

/** Whatever the server's own settings say: names are printed in backquotes, and read so. */
const readableSql = "SET SESSION sql_mode = '', sql_quote_show_create = 1"

/**
 * In the view's schema both servers print names without it, `orders`.`id` for `orders`.`orders`.`id` too, and MySQL leaves out the session's schema whichever the view is of (*tried*, 9.7.4): a name without
 * one would be read in another schema on the target. In this one, on both, it is the same there.
 */
const nobodysSchema = 'information_schema'

/** A view's texts are compared, sorted and grouped by the collation of the session that made it. The other flavour may not have it: its own is nearest then. */
async function readLiteralsAs(conn: Connection, collation: string): Promise<void> {
  try {
    await conn.query(`SET SESSION collation_connection = ${quoteString(collation)}`)
  } catch (error) {
    if (!isServerError(error, errno.unknownCollation)) throw error
  }
}

async function namesOf(conn: Connection, kind: 'TABLES' | 'VIEWS', schema: string): Promise<string[]> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS name FROM information_schema.${kind} WHERE TABLE_SCHEMA = ${quoteString(schema)} ORDER BY TABLE_NAME`,
  )
  return rows.map((row) => row['name'] ?? '')
}
