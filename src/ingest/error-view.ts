/** An error as reports show it. */
import { isSwError } from '../base/errors.ts'
import type { ErrorView } from '../topology/records.ts'

export function viewOf(error: unknown): ErrorView {
  if (isSwError(error)) return { code: error.code, what: error.message, why: error.why, fix: error.fix }
  return {
    code: 'SW-INGEST',
    what: reasonOf(error),
    why: 'an error that this program did not foresee',
    fix: 'the log of the consumer has it whole',
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
