/**
 * InnoDB's open transactions. MySQL answers 3854 to any question about information_schema.INNODB_TRX while some session's statement holds
 * a character beyond utf8mb3 (*tried*, 9.7.4: `SELECT trx_id` too, as all columns are filled); then it is asked again, and where such
 * statements never cease, SHOW ENGINE INNODB STATUS tells the same.
 */
import type { Connection } from './connection.ts'
import { isServerError } from './errors.ts'

export type InnodbTransaction = {
  /** The session's id; 0 for a prepared XA transaction that no session holds. */
  readonly session: number
  readonly id: string
  readonly startedAtS: number
  readonly rowsModified: number
  readonly rowsLocked: number
  /** A SELECT outside of transactions that locks nothing: it writes nothing, and is over with its statement. */
  readonly onlyReads: boolean
}

const cannotConvert = 3854
const attemptsMax = 5

export async function innodbTransactions(conn: Connection): Promise<InnodbTransaction[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      const rows = await conn.allText(
        'SELECT trx_mysql_thread_id AS session, trx_id AS id, UNIX_TIMESTAMP(trx_started) AS started, trx_rows_modified AS modified, trx_rows_locked AS locked, trx_autocommit_non_locking AS only_reads FROM information_schema.INNODB_TRX',
      )
      return rows.map((row) => ({
        session: Number(row.session ?? 0),
        id: row.id ?? '',
        startedAtS: Number(row.started ?? 0),
        rowsModified: Number(row.modified ?? 0),
        rowsLocked: Number(row.locked ?? 0),
        onlyReads: row.only_reads === '1' && row.modified === '0',
      }))
    } catch (error) {
      if (!isServerError(error, cannotConvert)) throw error
      if (attempt < attemptsMax) continue
      const status = (await conn.allText('SHOW ENGINE INNODB STATUS'))[0]?.Status ?? ''
      const found = parseInnodbStatus(status, Number(await conn.value('SELECT UNIX_TIMESTAMP()')))
      if (found === null) throw error
      return found
    }
  }
}

/** Null when the list of transactions is not whole. A statement's text can't hide a transaction: only the first thread id behind a head counts. */
export function parseInnodbStatus(status: string, nowS: number): InnodbTransaction[] | null {
  const from = status.indexOf('LIST OF TRANSACTIONS FOR EACH SESSION:')
  if (from < 0 || /\.\.\. truncated\.\.\./.test(status)) return null
  const transactions: InnodbTransaction[] = []
  for (const part of status
    .slice(from)
    .split(/^---TRANSACTION /m)
    .slice(1)) {
    const head = /^(\d+), (ACTIVE|ACTIVE \(PREPARED\)|not started|COMMITTED IN MEMORY)\D*(\d+)?/.exec(part)
    if (head === null || head[2] === 'not started') continue
    const lines = part.split('\n')
    const thread = lines.find((line) => line.startsWith('MySQL thread id '))
    const body = lines.slice(0, thread === undefined ? 4 : lines.indexOf(thread)).join('\n')
    transactions.push({
      session: Number(/^MySQL thread id (\d+)/.exec(thread ?? '')?.[1] ?? 0),
      id: head[1] ?? '',
      startedAtS: Math.floor(nowS) - Number(head[3] ?? 0),
      rowsModified: Number(/undo log entries (\d+)/.exec(body)?.[1] ?? 0),
      rowsLocked: Number(/(\d+) row lock\(s\)/.exec(body)?.[1] ?? 0),
      // Not told there.
      onlyReads: false,
    })
  }
  return transactions
}
