/** Views of the source made on a target, after its tables. */
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import type { SchemaCopyOptions } from './schema-copy.ts'
import { viewForTarget } from './view-for-target.ts'

export type Sides = Pick<SchemaCopyOptions, 'source'> & { readonly target: { readonly conn: Connection; readonly schema: string } }
type Failed = { view: string; reason: string }

/** Those whose bases are there. Returns the names that could not be made, with the server's reason. */
export async function createTargetViews(sides: Sides): Promise<Failed[]> {
  const { source, target } = sides
  const existing = new Set(await namesOf(target.conn, 'TABLES', target.schema))
  const views = await viewNames(source.conn, source.schema)
  return putViews(
    sides,
    views.filter((view) => !existing.has(view)),
  )
}

/**
 * Makes these views of the source on the target as they are there, also where it has others of their names. A view that somebody reads is waited for (the session's `lock_wait_timeout`), but once in all:
 * a backup that has read a hundred would hold up the switch a hundred times.
 */
export async function putViews({ source, target }: Sides, views: readonly string[]): Promise<Failed[]> {
  let open = views.map((view) => ({ view, reason: '' }))
  if (open.length === 0) return []
  await printAlike(source.conn, target.conn)
  const collation = await target.conn.value('SELECT @@SESSION.collation_connection')
  // A view may need another: go on while a pass makes any.
  let waited: string | null = null
  for (let before = -1; open.length !== before && open.length > 0 && waited === null;) {
    before = open.length
    const failed: typeof open = []
    for (const { view } of open) {
      if (waited !== null) {
        failed.push({ view, reason: waited })
        continue
      }
      const [shown] = await source.conn.allText(`SHOW CREATE VIEW ${quoteQualified(source.schema, view)}`)
      try {
        const text = viewForTarget(shown?.['Create View'] ?? '', source.schema, target.schema)
        await readLiteralsAs(target.conn, shown?.['collation_connection'] ?? '')
        await target.conn.query(text.replace(/^CREATE /, 'CREATE OR REPLACE '))
      } catch (error) {
        if (isServerError(error)) {
          failed.push({ view, reason: error.serverMessage })
          if (error.kind === 'lockWait') waited = `not tried after ${view}: ${error.serverMessage}`
        } else if (isSwError(error) && error.code.startsWith('SW-SQL-')) failed.push({ view, reason: error.message })
        else throw error
      }
    }
    open = failed
  }
  await readLiteralsAs(target.conn, collation ?? '')
  return open
}

/** `unknown`: it is there, and a server of another flavour or version prints one view in two ways. */
export type ViewApart = { readonly view: string; readonly stands: 'missing' | 'other' | 'unknown' }

/** Which of these views of the source the target does not have as they are there. */
export async function viewsApart({ source, target }: Sides, views: readonly string[]): Promise<ViewApart[]> {
  if (views.length === 0) return []
  const there = new Set(await viewNames(target.conn, target.schema))
  const alike = source.conn.flavour === target.conn.flavour && source.conn.versionNumber === target.conn.versionNumber
  await printAlike(source.conn, target.conn)
  const text = async ({ conn, schema }: Sides['target'], view: string): Promise<string> => {
    const [shown] = await conn.allText(`SHOW CREATE VIEW ${quoteQualified(schema, view)}`)
    const printed = shown?.['Create View'] ?? ''
    try {
      return `${shown?.['collation_connection']} ${viewForTarget(printed, schema, target.schema)}`
    } catch (error) {
      if (!isSwError(error)) throw error
      return printed
    }
  }
  const apart: ViewApart[] = []
  for (const view of views) {
    if (!there.has(view)) apart.push({ view, stands: 'missing' })
    else if (!alike) apart.push({ view, stands: 'unknown' })
    else if ((await text(source, view)) !== (await text(target, view))) apart.push({ view, stands: 'other' })
  }
  return apart
}

/** Whatever the server's own settings say: names are printed in backquotes, and read so. */
const readableSql = "SET SESSION sql_mode = '', sql_quote_show_create = 1"

/**
 * In the view's schema both servers print names without it, `orders`.`id` for `orders`.`orders`.`id` too, and MySQL leaves out the session's schema whichever the view is of (*tried*, 9.7.4): a name without
 * one would be read in another schema on the target. In this one, on both, it is the same there.
 */
const nobodysSchema = 'information_schema'

async function printAlike(...sessions: readonly Connection[]): Promise<void> {
  for (const conn of sessions) {
    await conn.query(readableSql)
    await conn.useDatabase(nobodysSchema)
  }
}

/** A view's texts are compared, sorted and grouped by the collation of the session that made it. The other flavour may not have it: its own is nearest then. */
async function readLiteralsAs(conn: Connection, collation: string): Promise<void> {
  try {
    await conn.query(`SET SESSION collation_connection = ${quoteString(collation)}`)
  } catch (error) {
    if (!isServerError(error, errno.unknownCollation)) throw error
  }
}

/** In their order. */
export function viewNames(conn: Connection, schema: string): Promise<string[]> {
  return namesOf(conn, 'VIEWS', schema)
}

async function namesOf(conn: Connection, kind: 'TABLES' | 'VIEWS', schema: string): Promise<string[]> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS name FROM information_schema.${kind} WHERE TABLE_SCHEMA = ${quoteString(schema)} ORDER BY TABLE_NAME`,
  )
  return rows.map((row) => row['name'] ?? '')
}
