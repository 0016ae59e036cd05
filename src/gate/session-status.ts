import { serverStatus } from '../wire/capabilities.ts'
import type { Core } from './core.ts'
import type { SessionSettings } from './settings.ts'
import { hasMode } from './sql-mode.ts'
import type { Transaction } from './transaction.ts'

/** Status flags for answers that the gate makes itself. How a server found rows, and that it was slow, they do not say. */
export function sessionStatus(settings: SessionSettings, transaction: Transaction | null, core: Pick<Core, 'isMariadb'>): number {
  let flags: number = settings.autocommit ? serverStatus.autocommit : 0
  if (transaction !== null && transaction.expelled === null && (transaction.explicit || transaction.branches.size > 0)) {
    flags |= serverStatus.inTransaction
    if (isReadOnly(settings, transaction)) flags |= serverStatus.inTransactionReadonly
  }
  if (hasMode(settings, 'NO_BACKSLASH_ESCAPES')) flags |= serverStatus.noBackslashEscapes
  if (hasMode(settings, 'ANSI_QUOTES') && core.isMariadb) flags |= serverStatus.ansiQuotes
  return flags
}

/** As the servers say where it has begun; else as it will begin. */
function isReadOnly(settings: SessionSettings, { branches, options }: Transaction): boolean {
  for (const { backend } of branches.values()) return (backend.connection.status & serverStatus.inTransactionReadonly) !== 0
  if (options.readOnly !== null) return options.readOnly
  const said = options.before.filter((sql) => /READ (ONLY|WRITE)/.test(sql)).at(-1) ?? settings.get('access')
  return said?.includes('READ ONLY') === true
}
