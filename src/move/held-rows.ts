/**
 * Rows held back before a statement on a moved table (PROTOCOLS 1.6, 1.13; docs/decisions/025): which of them the source itself has given up since.
 *
 * A row that collides with another stream's waits until that stream is as far. When this stream is the one behind, what frees the place is its own change, and that may stand
 * behind the statement, which the tail may not pass before everything is applied. Of such a row the source has something else by now: it is gone, or a value of it is
 * another. Rows change by events only, so an event of its key lies behind the statement and before any marker written after this look: the row may be left out, as
 * long as the target does not count as consistent before that marker. A row that the source still has as it is waits for the other stream.
 *
 * Any column proves that, not only those that a unique key names: a key may be over a generated column or an expression, which rows do not carry. What is left out and was not
 * changed would be lost, so what may be written in two ways (floats, documents) is compared as what it is.
 *
 * Values also change without events, by DDL. So they count only when no statement but such as keep values lies ahead; a row that is gone counts always: whatever took it
 * leaves the target right that never had it.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteQualified } from '../sql/quote.ts'
import { changeBytes, rowText, type Change } from './pending.ts'
import { RowEncoder } from './row-encoder.ts'
import { asBytes, splitLiterals } from './statements.ts'
import { LiteralKind, type MovedColumn, type TablePlan } from './table-plan.ts'

/** Looked at once, and of so many bytes: mostly there are few, and they are looked for again. */
export const heldRowsMax = 200
const heldBytesMax = 8 << 20

/**
 * Of more than that, others each time: those that come first may stay for as long as one behind them does.
 *
 * @param from how many were looked at before
 */
export function heldRowsOf(held: readonly Change[], from: number): Change[] {
  const first = held.length === 0 ? 0 : from % held.length
  const found: Change[] = []
  let bytes = 0
  for (const change of [...held.slice(first), ...held.slice(0, first)].slice(0, heldRowsMax)) {
    bytes += changeBytes(change)
    if (found.length > 0 && bytes > heldBytesMax) break
    found.push(change)
  }
  return found
}

export type GivenUp = { readonly gone: Change[]; readonly otherValues: Change[] }

/** `conn` reads bytes. One question a row. */
export async function givenUpOnSource(conn: Connection, held: readonly Change[]): Promise<GivenUp> {
  const found: GivenUp = { gone: [], otherValues: [] }
  for (const change of held) {
    const now = await rowNow(conn, change)
    if (now === 'unknown') continue
    if (now === null) found.gone.push(change)
    else if (differs(change.table, splitLiterals(rowText(change.row ?? '').slice(1, -1)), now)) found.otherValues.push(change)
  }
  return found
}

/** Literals of the row, null where there is none; unknown where the table is not any more what the row is of. */
async function rowNow(conn: Connection, { table, key }: Change): Promise<readonly string[] | null | 'unknown'> {
  const list = table.columns.map(({ definition }) => canonicalExpression(definition)).join(',')
  const where = splitLiterals(key).map((literal, i) => `${asBytes(table.keyCompared[i] ?? '')} = ${literal}`)
  const sql = `SELECT ${asBytes(list)} FROM ${asBytes(quoteQualified(table.schema, table.name))} WHERE ${where.join(' AND ')}`
  const encoder = new RowEncoder(table, 'selected')
  const columns = [...table.columns.keys()]
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

/** Whether two rows of literals are certainly not one. */
export function differs(table: Pick<TablePlan, 'columns'>, was: readonly string[], now: readonly string[]): boolean {
  return table.columns.some((column, i) => was[i] !== now[i] && !sameValue(column, was[i] ?? '', now[i] ?? ''))
}

/** Of literals that differ. */
function sameValue({ kind, definition }: Pick<MovedColumn, 'kind' | 'definition'>, was: string, now: string): boolean {
  if (kind === LiteralKind.float) return Number(was) === Number(now)
  if (definition.dataType !== 'json' || was === 'NULL' || now === 'NULL') return false
  const [before, after] = [documentOf(was), documentOf(now)]
  return before === null || after === null || before === after
}

/** The first string of a literal, `json-literal.ts` has others behind it. Null: no document. */
function documentOf(literal: string): string | null {
  const text = /'((?:[^'\\]+|\\.|'')*)'/s.exec(literal)?.[1]?.replace(/\\(.)|''/gs, (_, char: string | undefined) => char ?? "'")
  try {
    return JSON.stringify(JSON.parse(text ?? ''))
  } catch {
    return null
  }
}
