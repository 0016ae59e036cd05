/**
 * What a workflow made on a server that somebody else runs, written there before it is made (`_shardwright.control_made`): a cancel, also of
 * a creation that failed half way, removes exactly that (promise 12). A table that stood there empty before is not ours: only the rows that
 * came into it are.
 *
 * Why the note comes first: a crash between the two leaves a note of something that is not there, which removes nothing; the other way
 * round it would leave something that nobody knows. The thing itself is made by a statement that fails when it is there already.
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { controlSchema } from '../binlog/control-schema.ts'
import { ensureControlTables } from './control-schema.ts'

/** `rows`: the table was there, empty; its rows are ours. */
export type MadeKind = 'schema' | 'table' | 'view' | 'rows'
export type Made = { readonly kind: MadeKind; readonly schema: string; readonly name: string }

export async function noteMade(connection: Connection, workflowUid: string, made: readonly Made[]): Promise<void> {
  if (made.length === 0) return
  const rows = made.map(({ kind, schema, name }) => `(${[workflowUid, kind, schema, name].map(quoteString).join(', ')})`)
  await connection.query(
    `INSERT IGNORE INTO ${controlSchema}.control_made (workflow_uid, kind, schema_name, name) VALUES ${rows.join(', ')}`,
  )
}

export async function readMade(connection: Connection, workflowUid: string): Promise<Made[]> {
  await ensureControlTables(connection)
  const rows = await connection.allText(
    `SELECT kind, schema_name, name FROM ${controlSchema}.control_made WHERE workflow_uid = ${quoteString(workflowUid)}`,
  )
  return rows.map((row) => ({ kind: row['kind'] as MadeKind, schema: row['schema_name'] ?? '', name: row['name'] ?? '' }))
}

/** The workflow is over, or what it made stays. */
export async function forgetMade(connection: Connection, workflowUid: string): Promise<void> {
  await ensureControlTables(connection)
  await connection.query(`DELETE FROM ${controlSchema}.control_made WHERE workflow_uid = ${quoteString(workflowUid)}`)
}

/**
 * Removes what is noted; repeatable. A schema goes only when nothing else has come into it. `run` carries out one statement, past whoever holds
 * the table. Returns what was removed, for people.
 */
export async function removeMade(connection: Connection, workflowUid: string, run: (sql: string) => Promise<void>): Promise<string[]> {
  const made = await readMade(connection, workflowUid)
  const of = (kind: MadeKind): Made[] => made.filter((one) => one.kind === kind)
  const said: string[] = []
  for (const { schema, name } of of('view')) await run(`DROP VIEW IF EXISTS ${quoteQualified(schema, name)}`)
  for (const { schema, name } of of('table')) await run(`DROP TABLE IF EXISTS ${quoteQualified(schema, name)}`)
  for (const { schema, name } of of('rows')) {
    const there = await connection.value(
      `SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)} AND TABLE_NAME = ${quoteString(name)}`,
    )
    if (there !== undefined) await run(`TRUNCATE TABLE ${quoteQualified(schema, name)}`)
  }
  if (of('table').length > 0) said.push(`${of('table').length} tables dropped`)
  if (of('rows').length > 0) said.push(`${of('rows').length} tables that stood there before emptied again`)
  for (const { schema } of of('schema')) {
    const left = await connection.value(`SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)}`)
    const routines = await connection.value(
      `SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ${quoteString(schema)}`,
    )
    if (Number(left) + Number(routines) > 0) said.push(`schema ${schema} stays: something else stands in it`)
    else {
      await run(`DROP DATABASE IF EXISTS ${quoteIdentifier(schema)}`)
      said.push(`schema ${schema} dropped`)
    }
  }
  await forgetMade(connection, workflowUid)
  return said
}
