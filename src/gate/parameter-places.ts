/** Where the parameters of a statement stand, as far as that decides what MySQL makes of one that comes with another type than before (kept-types.ts). */
import { isSwError } from '../base/errors.ts'
import type { Assignment, Expr, Limit } from '../sql/ast.ts'
import { Kind, tokenKind, type Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import { walkStatement } from '../sql/walk.ts'
import type { Param } from '../wire/stmt-execute.ts'
import { asKept } from './kept-types.ts'
import { goesOnWith, type SessionStatement } from './prepared.ts'
import { Words } from './statement-words.ts'

/** `own`: of its own type, whatever came before: in LIMIT, and CAST(? AS CHAR). In a write, `stored`: it is what a column becomes; `computed`: anything else. `set`: in a SET. */
export type Place = 'read' | 'own' | 'stored' | 'computed' | 'set'

export type Places = ReadonlyMap<number, Place>

/** Of the parameters, by number; what is not in it is `computed` in a write and `read` elsewhere. */
export function placesOf(lexed: Lexed): Places {
  const places = new Map<number, Place>()
  const stored = (value: Expr): void => {
    if (value.kind === 'parameter') places.set(value.index, 'stored')
  }
  const counts = (limit: Limit | null): void => {
    for (const part of [limit?.count, limit?.offset]) if (part?.kind === 'parameter') places.set(part.index, 'own')
  }
  const assigned = (assignments: readonly Assignment[]): void => {
    for (const { value } of assignments) stored(value)
  }
  const words = new Words(lexed)
  for (let i = 0, index = 0; i < lexed.count; i++) {
    if (tokenKind(lexed, i) !== Kind.Parameter) continue
    if (words.at(i + 1) === 'AS' && words.at(i + 2) === 'CHAR') places.set(index, 'own')
    index++
  }
  try {
    const statement = parse(lexed)
    walkStatement(statement, { query: ({ limit }) => counts(limit) })
    if (statement.kind === 'insert') {
      for (const { values } of statement.rows) for (const value of values) stored(value)
      assigned(statement.onDuplicate?.assignments ?? [])
    } else if (statement.kind === 'update' || statement.kind === 'delete') {
      counts(statement.limit)
      if (statement.kind === 'update' && statement.tables.length === 1 && statement.tables[0]?.kind === 'table')
        assigned(statement.assignments)
    }
  } catch (error) {
    // What the parser does not know runs on one server, whose matter it is.
    if (!isSwError(error)) throw error
  }
  return places
}

/** The parameters of an execution as a server that has seen all of them takes them; the same ones where nothing changes. @throws SW-GATE-100 */
export function asTaken(statement: SessionStatement, sent: Param[], lex: () => Lexed): Param[] {
  const { kept, passthrough, mixed } = statement
  if (kept === null || !mixed) return sent
  const places = (statement.places ??= placesOf(lex()))
  const otherwise = passthrough?.kind === 'relay' && passthrough.effect === 'write' ? 'computed' : 'read'
  const params = asKept(sent, kept, (i) => places.get(i) ?? otherwise)
  goesOnWith(statement)
  return params
}
