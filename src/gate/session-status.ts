import { serverStatus } from '../wire/capabilities.ts'
import type { SessionSettings } from './settings.ts'
import { hasMode } from './sql-mode.ts'
import type { Transaction } from './transaction.ts'

/** Status flags for answers that the gate makes itself. */
export function sessionStatus(settings: SessionSettings, transaction: Transaction | null): number {
  let flags: number = settings.autocommit ? serverStatus.autocommit : 0
  if (transaction !== null && transaction.expelled === null && (transaction.explicit || transaction.branches.size > 0))
    flags |= serverStatus.inTransaction
  if (hasMode(settings, 'NO_BACKSLASH_ESCAPES')) flags |= serverStatus.noBackslashEscapes
  return flags
}
