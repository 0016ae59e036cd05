/**
 * Unique keys of both sides (PROTOCOLS 1.5). With one source a target is written by REPLACE, which removes, in silence, whatever row holds a value of any of its
 * unique keys. Where the source has the key too, that row was changed by the same round or chunk's tail and comes back by its own REPLACE. Under a key that only the target has, two
 * rows of the source may be one, and one of them is gone for good; where other streams write beside (1.6), it would never be written.
 *
 * A target may lack keys: they are built when the rows are there, or were left out by whoever made the table.
 */
import type { SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'

/** `of`: a column in small letters, or an expression in parentheses. `prefix`: of how many characters or bytes; null: the whole value. */
export type UniquePart = { readonly of: string; readonly prefix: number | null }
export type UniqueKey = { readonly name: string; readonly parts: readonly UniquePart[] }

/** By table, the primary key among them. */
export async function uniqueKeys(conn: Connection, schema: string): Promise<ReadonlyMap<string, readonly UniqueKey[]>> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS t, INDEX_NAME AS name, COLUMN_NAME AS column_name, ${flavourOf(conn).keyPartExpression} AS expression, SUB_PART AS prefix
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`,
  )
  const tables = new Map<string, UniqueKey[]>()
  for (const [table, parts] of Map.groupBy(rows, (row) => row.t ?? '')) {
    const keys = Map.groupBy(parts, (row) => row.name ?? '')
    tables.set(
      table,
      [...keys].map(([name, own]) => ({ name, parts: own.map(partOf) })),
    )
  }
  return tables
}

function partOf(row: Readonly<Record<string, string | null>>): UniquePart {
  const prefix = row.prefix === null || row.prefix === undefined ? null : Number(row.prefix)
  return { of: row.column_name === null ? `(${row.expression ?? ''})` : (row.column_name ?? '').toLowerCase(), prefix }
}

/** Keys of the target under which rows may meet that no key of the source holds apart. */
export function keysOfTargetOnly(source: readonly UniqueKey[], target: readonly UniqueKey[]): UniqueKey[] {
  return target.filter((key) => !source.some((own) => held(own, key)))
}

/** Rows that differ under `own` differ under `key`: it has all of its parts, as long or longer. */
function held(own: UniqueKey, key: UniqueKey): boolean {
  return own.parts.every(({ of, prefix }) =>
    key.parts.some((part) => part.of === of && (part.prefix === null || (prefix !== null && part.prefix >= prefix))),
  )
}

export function uniqueKeyFindings(table: string, source: readonly UniqueKey[], target: readonly UniqueKey[], name: string): SwError[] {
  return keysOfTargetOnly(source, target).map((key) =>
    moveErrors.targetHasUniqueKey({ table, target: name, key: key.name, columns: key.parts.map(printPart).join(', ') }),
  )
}

function printPart({ of, prefix }: UniquePart): string {
  return prefix === null ? of : `${of}(${prefix})`
}
