/** What belongs to one server connection: refused over a sharded keyspace, with what a client may do instead. */
import type { Select } from '../../sql/ast.ts'
import { planErrors } from './errors.ts'

export type ConnectionBound = { readonly construct: string; readonly instead?: string }

export const boundAssignment: ConnectionBound = {
  construct: 'an assignment to a user variable',
  instead: 'SET @a = …, a statement of its own, which the gate keeps',
}

const into: ConnectionBound = {
  construct: 'SELECT … INTO',
  instead: 'into a variable: SET @a = (SELECT …), which the gate keeps; into a file: read the rows in the application',
}

/** Of a SELECT itself; null: nothing. */
export function boundBy(query: Select): ConnectionBound | null {
  if (query.into !== null) return into
  return query.options.includes('SQL_CALC_FOUND_ROWS') ? { construct: 'SQL_CALC_FOUND_ROWS' } : null
}

export function refusedConnectionBound({
  construct,
  instead = 'keep it in the application, or use an unsharded keyspace',
}: ConnectionBound): Error {
  return planErrors.refused({
    construct,
    reason: 'it belongs to one server connection, and statements of a session go to many',
    instead,
  })
}
