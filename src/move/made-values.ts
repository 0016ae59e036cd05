/**
 * Of what a server makes the values of generated columns and of a key's parts that are expressions, as it prints it. It quotes names, so those that stand in an expression are found in its text
 * (also in one of its strings: more is compared then, and nothing is passed over).
 */
import { isSwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteQualified } from '../sql/quote.ts'
import { translateDefinition } from '../sql/flavour-translation.ts'
import { parseTableDefinition, printTableDefinition } from '../sql/table-definition.ts'
import { columnsOf, withoutAutoIncrement } from '../sql/table-edits.ts'
import { showCreateTable } from './made-of.ts'

/** Expressions by generated column in small letters, in the order of the names: of what it is made, and what that is made of. */
export type Made = Readonly<Record<string, string>>

/** By column in small letters. A text that is not to be read stands for each of them whole. */
export async function expressionsOf(
  conn: Connection,
  schema: string,
  table: string,
  generated: ReadonlySet<string>,
): Promise<ReadonlyMap<string, string>> {
  const text = await showCreateTable(conn, schema, table).catch((error: unknown) => {
    // Dropped since its keys were read.
    if (!isServerError(error, errno.noSuchTable)) throw error
    return ''
  })
  try {
    return text === '' ? new Map() : expressionsIn(text)
  } catch (error) {
    if (!isSwError(error)) throw error
    return new Map([...generated].map((column) => [column, text]))
  }
}

function expressionsIn(text: string): ReadonlyMap<string, string> {
  return new Map(
    columnsOf(parseTableDefinition(text)).flatMap(({ name, expression }) =>
      expression === null ? [] : [[name.toLowerCase(), expression] as const],
    ),
  )
}

/** @param of a column in small letters, or an expression in parentheses; null: it is written */
export function madeOf(of: string, expressions: ReadonlyMap<string, string>): Made | null {
  const found = new Map<string, string>()
  const open = of.startsWith('(') ? namesIn(of) : [of]
  for (const name of open) {
    const expression = expressions.get(name)
    if (expression === undefined || found.has(name)) continue
    found.set(name, expression)
    open.push(...namesIn(expression))
  }
  return found.size === 0 ? null : Object.fromEntries([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function namesIn(expression: string): string[] {
  return Array.from(expression.matchAll(/`((?:[^`]|``)+)`/g), ([, name]) => (name ?? '').replaceAll('``', '`').toLowerCase())
}

const triedName = '_shardwright_printed'
type On = { readonly conn: Connection; readonly schema: string }

/**
 * How another server prints what is made of the source's expressions. It is asked by a temporary table of the session, which nobody else sees. What it does not take, and what the
 * source had before (`definitions.ts`), stays as it is printed here, and is like nothing there.
 */
export async function printedThere(source: On, table: string, target: On): Promise<(made: Made) => Made> {
  const text = await showCreateTable(source.conn, source.schema, table)
  const here = expressionsIn(text)
  const there = await printedBy(target, text, source.conn.flavour)
  return (made) =>
    Object.fromEntries(
      Object.entries(made).map(([column, expression]) => [
        column,
        expression === here.get(column) ? (there.get(column) ?? expression) : expression,
      ]),
    )
}

async function printedBy({ conn, schema }: On, text: string, from: Connection['flavour']): Promise<ReadonlyMap<string, string>> {
  const definition = translateDefinition(withoutAutoIncrement(parseTableDefinition(text)), from, conn.flavour)
  const columns = { ...definition, temporary: true, elements: columnsOf(definition), options: ' ENGINE=InnoDB' }
  const quoted = quoteQualified(schema, triedName)
  try {
    await conn.query(printTableDefinition(columns, quoted))
  } catch (error) {
    if (!isServerError(error)) throw error
    return new Map()
  }
  const printed = await showCreateTable(conn, schema, triedName)
  await conn.query(`DROP TEMPORARY TABLE ${quoted}`)
  return expressionsIn(printed)
}
