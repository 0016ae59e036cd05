/** What a name means that WITH has given to a query. */
import type { With } from '../../sql/ast.ts'
import { planErrors } from './errors.ts'

/**
 * `unclear`: the servers differ in whether it is the query or a table. Tried: within a query of an inner WITH, MySQL takes an outer WITH's name for that query and MariaDB
 * mostly for a table; under RECURSIVE, MariaDB knows the names that follow and MySQL does not.
 */
export type Meaning = 'query' | 'unclear'
/** What can be named at a place: the queries of a WITH, as far as they are known there, and what can be named around it. Not a map of all names, as one for each of thousands of queries would hold thousands. */
export type Ctes = {
  readonly names: Names
  /** Those before this number. */
  readonly known: number
  /** The others are unclear, and not unknown. */
  readonly recursive: boolean
  /** Within a query of the WITH what stands around it is unclear. */
  readonly within: boolean
  readonly outer: Ctes
} | null
export const noCtes: Ctes = null

/** By name in lower case: the ways in which it is written, each with the number of the first query that is called so, in their order. */
type Names = ReadonlyMap<string, ReadonlyMap<string, number>>

const namesOf = new WeakMap<With, Names>()

function named(clause: With): Names {
  const there = namesOf.get(clause)
  if (there !== undefined) return there
  const names = new Map<string, Map<string, number>>()
  clause.tables.forEach(({ name: { text } }, at) => {
    const written = names.get(text.toLowerCase())
    if (written === undefined) names.set(text.toLowerCase(), new Map([[text, at]]))
    else if (!written.has(text)) written.set(text, at)
  })
  namesOf.set(clause, names)
  return names
}

/** In the n-th query of a WITH: those before it, and itself only where it is recursive. */
export function namesWithin(clause: With, n: number, outer: Ctes): Ctes {
  const { recursive } = clause
  return { names: named(clause), known: recursive ? n + 1 : n, recursive, within: true, outer }
}

/** Behind the WITH. */
export function namesBehind(clause: With, outer: Ctes): Ctes {
  return { names: named(clause), known: clause.tables.length, recursive: false, within: false, outer }
}

/** Errors: SW-GATE-100. Where names differ in case only, servers take the same name for the query or for a table by how they were set up. */
export function meaningOf(name: string, ctes: Ctes): Meaning | 'table' {
  const lower = name.toLowerCase()
  let other: string | null = null
  let crossed = false
  for (let at = ctes; at !== null; at = at.outer) {
    const written = at.names.get(lower)
    const first = written?.get(name)
    if (first !== undefined && (first < at.known || at.recursive)) return crossed || first >= at.known ? 'unclear' : 'query'
    for (const [spelt, place] of written ?? []) {
      if (place >= at.known && !at.recursive) break
      if (spelt === name) continue
      other ??= spelt
      break
    }
    crossed ||= at.within
  }
  if (other !== null)
    throw planErrors.refused({
      construct: `${name} beside a query that WITH calls ${other}`,
      reason: 'which of query and table is meant depends on the server',
      instead: 'write the name as WITH does, or call the query otherwise',
    })
  return 'table'
}
