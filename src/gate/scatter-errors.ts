import { ServerError } from '../mysql/errors.ts'

/** `schema`: the table is not as the gate's columns say (unknown column or table, column count). */
export function errorKindOf(error: unknown): 'schema' | 'other' {
  return error instanceof ServerError && (error.errno === 1054 || error.errno === 1146 || error.errno === 1136) ? 'schema' : 'other'
}
