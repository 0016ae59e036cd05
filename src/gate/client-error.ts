/** How an error of ours looks to a MySQL client: errno and SQLSTATE that its libraries act upon, and our code in the text. */
import { isSwError } from '../base/errors.ts'
import { ConnectionLost, ServerError } from '../mysql/errors.ts'

export type ClientError = { errno: number; sqlState: string; message: string }

const byCode: Readonly<Record<string, readonly [number, string]>> = {
  'SW-GATE-001': [1045, '28000'],
  'SW-GATE-002': [1049, '42000'],
  'SW-GATE-003': [1046, '3D000'],
  // Nothing was done: clients that repeat on a lock wait timeout do right.
  'SW-GATE-005': [1205, 'HY000'],
  'SW-GATE-006': [1205, 'HY000'],
  'SW-GATE-007': [1213, '40001'],
  'SW-GATE-008': [1213, '40001'],
  'SW-GATE-009': [2013, 'HY000'],
  'SW-GATE-010': [1105, 'HY000'],
  'SW-GATE-011': [1115, '42000'],
  'SW-GATE-012': [1235, '42000'],
  'SW-GATE-013': [1040, '08004'],
  'SW-GATE-014': [1205, 'HY000'],
  'SW-GATE-015': [1317, '70100'],
  'SW-GATE-016': [1094, 'HY000'],
  'SW-GATE-017': [1243, 'HY000'],
  'SW-GATE-019': [1053, '08S01'],
  'SW-GATE-021': [1290, 'HY000'],
  'SW-GATE-022': [1153, '08S01'],
  'SW-GATE-023': [1461, '42000'],
  'SW-GATE-025': [1290, 'HY000'],
  'SW-GATE-027': [1044, '42000'],
  'SW-GATE-028': [1142, '42000'],
  'SW-GATE-029': [1227, '42000'],
  'SW-GATE-030': [1045, '28000'],
  'SW-GATE-031': [3159, 'HY000'],
  'SW-GATE-032': [1104, '42000'],
  'SW-GATE-033': [3024, 'HY000'],
  'SW-GATE-034': [1226, '42000'],
  'SW-GATE-035': [1104, '42000'],
  'SW-GATE-037': [1064, '42000'],
  'SW-GATE-038': [1115, '42000'],
  'SW-GATE-041': [1235, '42000'],
  'SW-GATE-042': [4031, 'HY000'],
  'SW-GATE-046': [1213, '40001'],
  'SW-GATE-047': [1153, '08S01'],
  'SW-GATE-201': [1235, '42000'],
  'SW-GATE-202': [2013, 'HY000'],
  'SW-GATE-206': [1235, '42000'],
  'SW-GATE-207': [1213, '40001'],
  'SW-WIRE-001': [1835, 'HY000'],
  'SW-SQL-004': [1064, '42000'],
  'SW-SQL-005': [1064, '42000'],
  'SW-SQL-001': [1064, '42000'],
  'SW-SQL-002': [1064, '42000'],
  'SW-SQL-003': [1064, '42000'],
}

export function clientError(error: unknown): ClientError {
  if (error instanceof ServerError) return { errno: error.errno, sqlState: error.sqlState, message: error.serverMessage }
  if (isSwError(error)) {
    const known =
      byCode[error.code] ??
      (error instanceof ConnectionLost
        ? ([2013, 'HY000'] as const)
        : error.class === 'user'
          ? ([1235, '42000'] as const)
          : ([1105, 'HY000'] as const))
    return { errno: known[0], sqlState: known[1], message: `${error.code}: ${error.message} (${error.fix})` }
  }
  return { errno: 1105, sqlState: 'HY000', message: 'SW-GATE: internal error; the log of the gate has it' }
}
