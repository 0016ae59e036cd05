/**
 * What makes one definition of another, for a table without rows: what a column held counts for nothing, so a column that has another name is one that goes and one that
 * comes. Texts are compared as they stand, so both have to be printed by the same server.
 */
import { quoteIdentifier } from './quote.ts'
import type { ColumnElement, KeyElement, TableDefinition } from './table-definition.ts'
import { addKeysStatements, columnsOf, foreignKeysOf, keysOf } from './table-edits.ts'

/**
 * Statements, to be run in their order; none when the two are one. Null: they differ in what is not made of ALTERs here (CHECK constraints, options of the table).
 */
export function alterStatements(quotedTable: string, from: TableDefinition, to: TableDefinition): string[] | null {
  if (from.options !== to.options || othersOf(from).join() !== othersOf(to).join()) return null
  const statements: string[] = []
  const foreign = difference(foreignKeysOf(from), foreignKeysOf(to))
  const keys = difference(keysOf(from), keysOf(to))
  // A constraint's name is free only when the statement that drops it has ended.
  if (foreign.gone.length > 0)
    statements.push(`ALTER TABLE ${quotedTable} ${foreign.gone.map(({ name }) => `DROP FOREIGN KEY ${quoteIdentifier(name)}`).join(', ')}`)
  const clauses = [...keys.gone.map(dropKey), ...columnClauses(columnsOf(from), columnsOf(to))]
  const [first, ...rest] = addKeysStatements(quotedTable, keys.come)
  const ordinary = keys.come.some(({ type }) => type !== 'fulltext')
  // In one statement with the columns: a table may not be without its key in between, nor a column without the one that it is first in.
  if (ordinary && first !== undefined) clauses.push(first.slice(`ALTER TABLE ${quotedTable} `.length))
  if (clauses.length > 0) statements.push(`ALTER TABLE ${quotedTable} ${clauses.join(', ')}`)
  statements.push(...(ordinary || first === undefined ? [] : [first]), ...rest)
  if (foreign.come.length > 0) statements.push(`ALTER TABLE ${quotedTable} ${foreign.come.map(({ text }) => `ADD ${text}`).join(', ')}`)
  return statements
}

function othersOf({ elements }: TableDefinition): string[] {
  return elements.filter(({ kind }) => kind === 'other').map(({ text }) => text)
}

function difference<T extends { readonly text: string }>(from: readonly T[], to: readonly T[]): { gone: T[]; come: T[] } {
  const [before, after] = [new Set(from.map(({ text }) => text)), new Set(to.map(({ text }) => text))]
  return { gone: from.filter(({ text }) => !after.has(text)), come: to.filter(({ text }) => !before.has(text)) }
}

function dropKey({ type, name }: KeyElement): string {
  return type === 'primary' ? 'DROP PRIMARY KEY' : `DROP KEY ${quoteIdentifier(name)}`
}

/** Each at its place; those that stand behind the same one as before, and are as before, are left alone. */
function columnClauses(from: readonly ColumnElement[], to: readonly ColumnElement[]): string[] {
  const same = (a: ColumnElement, b: ColumnElement): boolean => a.name.toLowerCase() === b.name.toLowerCase()
  const clauses = from
    .filter((column) => !to.some((other) => same(column, other)))
    .map(({ name }) => `DROP COLUMN ${quoteIdentifier(name)}`)
  const kept = from.filter((column) => to.some((other) => same(column, other)))
  for (const [i, column] of to.entries()) {
    const before = to[i - 1]
    const at = kept.findIndex((other) => same(column, other))
    const place = before === undefined ? 'FIRST' : `AFTER ${quoteIdentifier(before.name)}`
    if (at < 0) {
      clauses.push(`ADD COLUMN ${column.text} ${place}`)
      kept.splice(i, 0, column)
    } else if (at !== i || kept[at]?.text !== column.text) {
      clauses.push(`MODIFY COLUMN ${column.text} ${place}`)
      kept.splice(at, 1)
      kept.splice(i, 0, column)
    }
  }
  return clauses
}
