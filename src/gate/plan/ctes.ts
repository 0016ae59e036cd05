/** What a name means that WITH has given to a query. */
import type { With } from '../../sql/ast.ts'
import { planErrors } from './errors.ts'

/**
 * `unclear`: the servers differ in whether it is the query or a table. Tried: within a query of an inner WITH, MySQL takes an outer WITH's name for that query and MariaDB
 * mostly for a table; under RECURSIVE, MariaDB knows the names that follow and MySQL does not.
 */
export type Meaning = 'query' | 'unclear'
export type Ctes = ReadonlyMap<string, Meaning>
export const noCtes: Ctes = new Map()

/** In the n-th query of a WITH: those before it, and itself only where it is recursive. */
export function namesWithin({ tables, recursive }: With, n: number, outer: Ctes): Ctes {
  const names = new Map<string, Meaning>()
  for (const name of outer.keys()) names.set(name, 'unclear')
  if (recursive) for (const { name } of tables.slice(n)) names.set(name.text, 'unclear')
  for (const { name } of tables.slice(0, recursive ? n + 1 : n)) names.set(name.text, 'query')
  return names
}

/** Behind the WITH. */
export function namesBehind({ tables }: With, outer: Ctes): Ctes {
  return new Map([...outer, ...tables.map(({ name }) => [name.text, 'query'] as const)])
}

/** Errors: SW-GATE-100. Where names differ in case only, servers take the same name for the query or for a table by how they were set up. */
export function meaningOf(name: string, ctes: Ctes): Meaning | 'table' {
  const meaning = ctes.get(name)
  if (meaning !== undefined) return meaning
  for (const other of ctes.keys()) {
    if (other.toLowerCase() !== name.toLowerCase()) continue
    throw planErrors.refused({
      construct: `${name} beside a query that WITH calls ${other}`,
      reason: 'which of query and table is meant depends on the server',
      instead: 'write the name as WITH does, or call the query otherwise',
    })
  }
  return 'table'
}
