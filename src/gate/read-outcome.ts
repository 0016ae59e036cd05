/**
 * What a read that did not end well says about the branch that served it. The ramp steps back by these counts, so only what a branch can be blamed for is one:
 * a lost connection, a server that refuses or is not ready, a time limit, an error inside the gate. What the client asked for (its own bad statement, its KILL, its
 * transaction that moved) would be answered alike by any branch. A table, column or index that is not there is one of the two: `missing`, and the branch that was
 * left is asked whether it refuses it too. Pure.
 */
import { isSwError } from '../base/errors.ts'
import { isConnectionLost, serverErrorKind, ServerError } from '../mysql/errors.ts'
import { ElsewhereError, Rerouted } from './execution-errors.ts'

/** `again`: nothing was answered; the same statement is planned anew. */
export type ReadOutcome = 'answered' | 'client' | 'missing' | 'failed' | 'again'

/** Unknown database, column, table, index, function; a view that names such; columns that do not fit. */
const missing: ReadonlySet<number> = new Set([1049, 1054, 1109, 1136, 1146, 1176, 1305, 1356])
/** Of the gate: a KILL; the transaction that moved with its tenant; a statement that ran into its account's time limit is no fault of the statement alone. */
const killed = 'SW-GATE-015'
const movedTransaction = 'SW-GATE-007'
const tooLong = 'SW-GATE-033'

export function outcomeOfServer(number: number, message = ''): ReadOutcome {
  switch (serverErrorKind(number, message)) {
    case 'lockWait':
    case 'readOnly':
    case 'accountLocked':
    case 'interrupted':
    case 'killed':
    case 'tooManyConnections':
    case 'access':
      return 'failed'
    case 'deadlock':
    case 'duplicate':
      return 'client'
    case 'other':
      return missing.has(number) ? 'missing' : internal.has(number) ? 'failed' : 'client'
  }
}

/** Of the server itself: disk full, out of memory, a file or storage engine that fails, a table that is crashed or half made. */
const internal: ReadonlySet<number> = new Set([3, 1021, 1024, 1030, 1034, 1037, 1038, 1041, 1105, 1135, 1194, 1195, 1412, 1812, 1877])

/** `stopped`: why the statement was stopped from outside, if it was: what came of that is no answer of the branch. */
export function outcomeOf(error: unknown, stopped: unknown): ReadOutcome {
  if (error instanceof Rerouted) return 'again'
  if (stopped !== undefined && error !== stopped) return outcomeOf(stopped, undefined)
  if (error instanceof ElsewhereError) return outcomeOf(error.cause, undefined)
  if (error instanceof ServerError) return outcomeOfServer(error.errno, error.serverMessage)
  if (isConnectionLost(error) || !isSwError(error)) return 'failed'
  if (error.code === killed || error.code === movedTransaction) return 'client'
  return error.code === tooLong || error.class !== 'user' ? 'failed' : 'client'
}
