/**
 * Rows held back before a statement on a moved table (PROTOCOLS 1.6, 1.13; docs/decisions/025): which of them the source itself has given up since.
 *
 * A row that collides with another stream's waits until that stream is as far. When this stream is the one behind, what frees the place is its own change, and that may stand
 * behind the statement, which the tail may not pass before everything is applied. Of such a row the source has something else by now: it is gone, or its unique values are
 * others. Rows change by events only, so an event of its key lies behind the statement and before any marker written after this look: the row may be left out, as
 * long as the target does not count as consistent before that marker. A row that the source still has as it is waits for the other stream.
 *
 * Values also change without events, by DDL. So they count only when no statement but such as keep values lies ahead; a row that is gone counts always: whatever took it
 * leaves the target right that never had it.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import type { Change } from './pending.ts'
import { RowEncoder } from './row-encoder.ts'
import { asBytes, splitLiterals } from './statements.ts'
import type { TablePlan } from './table-plan.ts'

/** Looked at once: mostly there are few, and they are looked for again. */
export const heldRowsMax = 200

/** Of more than that, others each time: those that come first may stay for as long as one behind them does. */
export function heldRowsOf<Row>(held: readonly Row[], look: number): Row[] {
  const from = held.length === 0 ? 0 : (look * heldRowsMax) % held.length
  return [...held.slice(from), ...held.slice(0, from)].slice(0, heldRowsMax)
}

export type GivenUp = { readonly gone: Change[]; readonly otherValues: Change[] }

/** `conn` reads bytes. One question a row. */
export async function givenUpOnSource(conn: Connection, held: readonly Change[]): Promise<GivenUp> {
  const uniques = new Map<TablePlan, readonly number[]>()
  const found: GivenUp = { gone: [], otherValues: [] }
  for (const change of held) {
    const { table } = change
    let columns = uniques.get(table)
    if (columns === undefined) uniques.set(table, (columns = await uniqueColumns(conn, table)))
    const now = await rowNow(conn, change, columns)
    if (now === 'unknown') continue
    const was = splitLiterals(change.row?.slice(1, -1) ?? '')
    if (now === null) found.gone.push(change)
    else if (columns.some((column, i) => was[column] !== now[i])) found.otherValues.push(change)
  }
  return found
}

/** Literals of these columns, null where there is no row; unknown where the table is not any more what the row is of. */
async function rowNow(conn: Connection, { table, key }: Change, columns: readonly number[]): Promise<readonly string[] | null | 'unknown'> {
  const list = table.columns.map(({ definition }, i) =>
    i < table.keyWidth || columns.includes(i) ? canonicalExpression(definition) : 'NULL',
  )
  const where = splitLiterals(key).map((literal, i) => `${asBytes(table.keyColumns[i] ?? '')} = ${literal}`)
  const sql = `SELECT ${asBytes(list.join(','))} FROM ${asBytes(quoteQualified(table.schema, table.name))} WHERE ${where.join(' AND ')}`
  const encoder = new RowEncoder(table, 'selected')
  let now: string[] | null = null
  try {
    for await (const batch of await conn.rows(Buffer.from(sql, 'latin1'))) {
      for (let row = 0; row < batch.length; row++) {
        const out = Buffer.allocUnsafe(encoder.bytesMaxOf(batch, row, columns) + columns.length)
        const end = encoder.encodeSome(batch, row, columns, out, 0)
        now = splitLiterals(out.toString('latin1', 0, end))
      }
    }
  } catch (error) {
    if (isServerError(error)) return 'unknown'
    throw error
  }
  return now
}

/** Places in the plan of all columns that are in a unique key. */
async function uniqueColumns(conn: Connection, table: TablePlan): Promise<number[]> {
  const rows = await conn.all(
    `SELECT DISTINCT COLUMN_NAME AS name FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ${quoteString(table.schema)} AND TABLE_NAME = ${quoteString(table.name)} AND NON_UNIQUE = 0`,
  )
  const names = new Set(rows.map(({ name }) => name?.toString().toLowerCase()))
  return [...table.columns.keys()].filter((i) => names.has(table.columns[i]?.definition.name.toLowerCase() ?? ''))
}
