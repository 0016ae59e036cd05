/**
 * Who reads a server, by the server's own figures (not only by our gates'): statements by account, counted by the server itself. MySQL counts them
 * in performance_schema; MariaDB, which starts with that off, in its user statistics. Either is switched on for the time (`setCounting`). Sessions that are
 * there are listed beside: one that is idle now can read the next moment.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'

/** Our accounts that look after a server or write rows; clients come as `sw_gate` or as themselves. */
const own = new Set([
  'sw_admin',
  'sw_mover',
  'mysql.session',
  'mysql.sys',
  'mysql.infoschema',
  'event_scheduler',
  'system user',
  'mariadb.sys',
])

export type Readers = {
  /** Statements that read, by account. */
  readonly reads: ReadonlyMap<string, bigint>
  /** Accounts with a session now, ours that look after it left out. */
  readonly sessions: readonly string[]
}

const counted = "('statement/sql/select', 'statement/com/Execute')"
/** With what a statement is until the server knows which it is: one that begins unseen is not counted. */
const readInstruments = "('statement/sql/select', 'statement/com/Execute', 'statement/abstract/Query', 'statement/abstract/new_packet')"

/**
 * Switches what `readersOf` asks for on and off. `note` is called before a server that does not count is made to: only those are to be switched off again.
 * Null: it counts; else why it can't (promise 6: no figures are not no reads).
 */
export async function setCounting(connection: Connection, on: boolean, note?: () => Promise<void>): Promise<string | null> {
  if (flavourOf(connection).name === 'mysql') {
    if ((await connection.value('SELECT @@GLOBAL.performance_schema')) !== '1')
      return 'performance_schema is OFF: start it with performance_schema=ON'
    if (on) {
      const off = await connection.value(
        `SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME IN ${readInstruments} AND ENABLED = 'NO'`,
      )
      if (off === '0') return null
      await note?.()
    }
    await connection.query(
      `UPDATE performance_schema.setup_instruments SET ENABLED = '${on ? 'YES' : 'NO'}' WHERE NAME IN ${readInstruments}`,
    )
    return null
  }
  if (on) {
    if ((await connection.value('SELECT @@GLOBAL.userstat')) === '1') return null
    await note?.()
  }
  await connection.query(`SET GLOBAL userstat = ${on ? 1 : 0}`)
  return null
}

export async function readersOf(connection: Connection): Promise<Readers> {
  const mysql = flavourOf(connection).name === 'mysql'
  const rows = await connection.allText(
    mysql
      ? `SELECT USER AS user, SUM(COUNT_STAR) AS n FROM performance_schema.events_statements_summary_by_user_by_event_name
         WHERE EVENT_NAME IN ${counted} AND USER IS NOT NULL GROUP BY USER`
      : 'SELECT USER AS user, SELECT_COMMANDS AS n FROM information_schema.USER_STATISTICS',
  )
  const sessions = await connection.allText('SELECT DISTINCT USER AS user FROM information_schema.PROCESSLIST')
  const foreign = (user: string): boolean => user !== '' && !own.has(user.toLowerCase())
  return {
    reads: new Map(rows.flatMap((row) => (foreign(row['user'] ?? '') ? [[row['user'] ?? '', BigInt(row['n'] ?? 0)] as const] : []))),
    sessions: sessions.map((row) => row['user'] ?? '').filter(foreign),
  }
}

/** Accounts that read between two looks. */
export function readBetween(before: Readers, after: Readers, notCounted: readonly string[] = []): string[] {
  const out: string[] = []
  for (const [user, n] of after.reads) {
    if (notCounted.includes(user)) continue
    const more = n - (before.reads.get(user) ?? 0n)
    if (more > 0n) out.push(`${user} (${more} statements)`)
  }
  return out
}

/** Accounts that are nobody of ours: neither the gate's nor those that look after the server. */
export function unknownUsers(readers: Readers): string[] {
  return readers.sessions.filter((user) => user !== 'sw_gate')
}
