/** What a target's tables were made of, noted when they are: between then and the beginning of a stream the source may be altered (`renewUnusedTables`). */
import { createHash } from 'node:crypto'
import type { Connection } from '../mysql/connection.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import { withoutCounter } from './table-look.ts'
import { moveSchema } from './tables.ts'

export type MadeOf = {
  /** The source's definition then. */
  readonly source: string
  /** What the table on the target looked like, made; '': it was being made, or altered to what its source had become, and may be so in part. */
  readonly look: string
}

export async function readMadeOf(conn: Connection, targetUid: string): Promise<ReadonlyMap<string, MadeOf>> {
  const rows = await conn.allText(
    `SELECT table_name AS name, made_of AS source, look FROM ${moveSchema}.move_table WHERE target_uid = ${quoteString(targetUid)}`,
  )
  return new Map(rows.map(({ name, source, look }) => [name ?? '', { source: source ?? '', look: look ?? '' }]))
}

type Made = { target: { conn: Connection; schema: string; uid: string }; workflowUid: string }

export async function noteMadeOf(made: Made, table: string, source: string): Promise<void> {
  await note(made, table, source, lookOf(await showCreateTable(made.target.conn, made.target.schema, table)))
}

/** Before the first of several statements: whoever finds the table in between must not take it for one that somebody has made or altered by hand. */
export async function noteBeingMade(made: Made, table: string, source: string, condition = 'TRUE'): Promise<void> {
  await note(made, table, source, '', condition)
}

async function note({ target, workflowUid }: Made, table: string, source: string, look: string, condition = 'TRUE'): Promise<void> {
  const values = [target.uid, table, workflowUid, withoutCounter(source), look].map(quoteString).join(', ')
  await target.conn.query(
    `REPLACE INTO ${moveSchema}.move_table (target_uid, table_name, workflow_uid, made_of, look) SELECT ${values} FROM DUAL WHERE ${condition}`,
  )
}

export function lookOf(text: string): string {
  return createHash('sha256').update(withoutCounter(text)).digest('hex')
}

export async function showCreateTable(conn: Connection, schema: string, table: string): Promise<string> {
  const rows = await conn.allText(`SHOW CREATE TABLE ${quoteQualified(schema, table)}`)
  return rows[0]?.['Create Table'] ?? ''
}
