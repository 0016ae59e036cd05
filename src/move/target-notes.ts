/**
 * Of tables that stand on a target already: what makes no row another, so that it is no reason to refuse them, but may stop a stream later, or have rows read otherwise there.
 * Of two flavours texts are compared without what each prints in its own way.
 */
import type { Connection } from '../mysql/connection.ts'
import { checksOf, parseTableDefinition, type TableDefinition } from '../sql/table-definition.ts'
import { columnsOf } from '../sql/table-edits.ts'
import { showCreateTable } from './made-of.ts'
import { tableNames } from './schema-copy.ts'

type Side = { readonly conn: Connection; readonly schema: string }

export async function existingTableNotes(
  source: Side,
  target: Side & { readonly name: string },
  tables: readonly string[],
): Promise<string[]> {
  const there = new Set(await tableNames(target.conn, target.schema))
  const notes: string[] = []
  for (const table of tables.filter((name) => there.has(name))) {
    const [from, to] = [await definitionOf(source, table), await definitionOf(target, table)]
    const held = new Set(checksOf(from).map(plain))
    for (const check of checksOf(to))
      if (!held.has(plain(check)))
        notes.push(
          `the table ${table} of ${target.name} has CHECK (${check}), which the source has not: a row that does not meet it stops the stream`,
        )
    const made = new Map(columnsOf(from).map(({ name, expression }) => [name.toLowerCase(), expression]))
    for (const { name, expression } of columnsOf(to)) {
      const here = made.get(name.toLowerCase()) ?? null
      if (expression !== null && here !== null && plain(here) !== plain(expression))
        notes.push(`column ${name} of ${table} is made of ${expression} on ${target.name} and of ${here} on the source`)
    }
  }
  return notes
}

async function definitionOf({ conn, schema }: Side, table: string): Promise<TableDefinition> {
  return parseTableDefinition(await showCreateTable(conn, schema, table))
}

function plain(expression: string): string {
  return expression.replace(/_utf8mb4(?=')|[`() ]/g, '').toLowerCase()
}
