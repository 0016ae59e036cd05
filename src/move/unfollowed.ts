/**
 * What of moved tables no binlog tells, or no transaction keeps (PROTOCOLS 1.10, 1.11). `create` refuses both; DDL may bring them in later, so they are looked for again at each
 * statement (by its words, `ddl.ts`), whenever a run begins, and before a switch.
 *
 * - A cascade that the server does not log takes child rows away without an event, and appliers run with foreign key checks off: the children would stay on the other side.
 * - Rows of another engine than InnoDB are not in one transaction with the position that produced them, and a chunk of them is no consistent read.
 *
 * Why the words are not enough: a statement under `sql_log_bin=0`, one made by hand on a target, a server that was exchanged for one that logs less. Why what stands is not enough: a
 * statement that lies ahead in the tail may have been taken back by now, and rows changed by the cascade in between.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'

/** Actions of a foreign key that change child rows. */
export const hiddenActions: readonly string[] = ['CASCADE', 'SET NULL', 'SET DEFAULT']

export type Unfollowed = { readonly table: string; readonly reason: string }

/** `tables`: names of the moved ones, in any case. */
export async function unfollowed(conn: Connection, schema: string, tables: Iterable<string>): Promise<Unfollowed[]> {
  const moved = new Set([...tables].map((name) => name.toLowerCase()))
  const of = quoteString(schema)
  const actions = hiddenActions.map(quoteString).join(', ')
  const cascades = (await flavourOf(conn).logsCascades(conn))
    ? []
    : await conn.allText(
        `SELECT TABLE_NAME AS t, CONSTRAINT_NAME AS name, DELETE_RULE AS on_delete, UPDATE_RULE AS on_update FROM information_schema.REFERENTIAL_CONSTRAINTS
         WHERE CONSTRAINT_SCHEMA = ${of} AND (DELETE_RULE IN (${actions}) OR UPDATE_RULE IN (${actions})) ORDER BY 1, 2`,
      )
  const stored = await conn.allText(
    `SELECT TABLE_NAME AS t, ENGINE AS engine, TABLE_TYPE AS kind FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = ${of} AND TABLE_TYPE <> 'VIEW' AND (ENGINE <> 'InnoDB' OR TABLE_TYPE <> 'BASE TABLE') ORDER BY 1`,
  )
  const found = [
    ...cascades.map(({ t, name, on_delete: onDelete, on_update: onUpdate }) => {
      const action = hiddenActions.includes(onDelete ?? '') ? `ON DELETE ${onDelete}` : `ON UPDATE ${onUpdate}`
      return { table: t ?? '', reason: `foreign key ${name} says ${action}, and the server does not log the rows that it changes` }
    }),
    ...stored.map(({ t, engine, kind }) => ({
      table: t ?? '',
      reason: kind === 'BASE TABLE' ? `it is kept by ${engine}` : `it is a ${kind?.toLowerCase()} table`,
    })),
  ]
  return found.filter(({ table }) => moved.has(table.toLowerCase()))
}
