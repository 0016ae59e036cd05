/** What both flavours say alike. */
import { quoteString } from '../../sql/quote.ts'
import type { Connection } from '../connection.ts'
import { mysqlErrors } from '../errors.ts'
import { innodbTransactions } from '../innodb-transactions.ts'
import type { Credentials } from '../provisioning.ts'
import type {
  Account,
  AccountName,
  BinlogProblem,
  BinlogSettings,
  DefinerObject,
  LockWait,
  Session,
  StatementText,
  XaTransaction,
} from './flavour.ts'

export type TextRow = Record<string, string | null>

/** A column of a text row that must be there and not NULL. */
export function need(row: TextRow | undefined, name: string): string {
  const value = row?.[name]
  if (value === undefined || value === null) throw mysqlErrors.unexpectedAnswer({ server: 'the server', got: 'no value', wanted: name })
  return value
}

export function accountText(account: AccountName): string {
  return `${quoteString(account.user)}@${quoteString(account.host)}`
}

/** `'user'@'host'` as information_schema prints grantees (nothing inside is escaped there). */
export function parseGrantee(text: string): AccountName {
  const at = text.lastIndexOf("'@'")
  return { user: text.slice(1, at), host: text.slice(at + 3, -1) }
}

export async function variables(connection: Connection, names: readonly string[]): Promise<Map<string, string>> {
  const rows = await connection.allText(`SHOW GLOBAL VARIABLES WHERE Variable_name IN (${names.map(quoteString).join(', ')})`)
  return new Map(rows.map((row) => [need(row, 'Variable_name').toLowerCase(), row['Value'] ?? '']))
}

export function isOn(value: string | undefined): boolean {
  return value === 'ON' || value === '1'
}

export async function privileges(connection: Connection): Promise<Map<string, Set<string>>> {
  const rows = await connection.allText('SELECT GRANTEE AS grantee, PRIVILEGE_TYPE AS privilege FROM information_schema.USER_PRIVILEGES')
  const out = new Map<string, Set<string>>()
  for (const row of rows) {
    const grantee = need(row, 'grantee')
    let set = out.get(grantee)
    if (set === undefined) out.set(grantee, (set = new Set()))
    set.add(need(row, 'privilege').toUpperCase())
  }
  return out
}

export async function definers(connection: Connection): Promise<DefinerObject[]> {
  const internal = "('mysql', 'sys', 'information_schema', 'performance_schema')"
  const rows = await connection.allText(
    `SELECT ROUTINE_TYPE AS kind, ROUTINE_SCHEMA AS s, ROUTINE_NAME AS n, DEFINER AS d FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN ${internal}
     UNION ALL SELECT 'TRIGGER', TRIGGER_SCHEMA, TRIGGER_NAME, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA NOT IN ${internal}
     UNION ALL SELECT 'EVENT', EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA NOT IN ${internal}
     UNION ALL SELECT 'VIEW', TABLE_SCHEMA, TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA NOT IN ${internal}`,
  )
  return rows.map((row) => ({
    kind: need(row, 'kind') as DefinerObject['kind'],
    schema: need(row, 's'),
    name: need(row, 'n'),
    definer: need(row, 'd'),
  }))
}

export async function sessions(connection: Connection, statements: StatementText): Promise<Session[]> {
  // Not information_schema.PROCESSLIST: MySQL fails it with 3854 while any session runs a statement with a character beyond utf8mb3.
  const list = statements === 'whole' ? 'SHOW FULL PROCESSLIST' : 'SHOW PROCESSLIST'
  const [rows, transactions] = await Promise.all([connection.allText(list), innodbTransactions(connection)])
  const open = new Map(transactions.map((transaction) => [transaction.session, transaction]))
  return rows.map((row) => {
    const id = Number(need(row, 'Id'))
    return {
      id,
      user: row['User'] ?? '',
      host: row['Host'] ?? '',
      schema: row['db'] ?? null,
      command: row['Command'] ?? '',
      seconds: Number(row['Time'] ?? 0),
      state: row['State'] ?? '',
      query: row['Info'] ?? null,
      transaction: open.get(id) ?? null,
    }
  })
}

export async function xaRecover(connection: Connection): Promise<XaTransaction[]> {
  const rows = await connection.all('XA RECOVER')
  return rows.map((row) => {
    const data = row['data'] ?? Buffer.alloc(0)
    const gtridLength = Number(row['gtrid_length'])
    return {
      formatId: String(row['formatID']),
      gtrid: Buffer.from(data.subarray(0, gtridLength)),
      bqual: Buffer.from(data.subarray(gtridLength, gtridLength + Number(row['bqual_length']))),
    }
  })
}

/** What stands between a server and being a source of rows (PROTOCOLS 1.10), with the way out of each. */
export function binlogProblems(settings: BinlogSettings): BinlogProblem[] {
  const out: BinlogProblem[] = []
  const want = (ok: boolean, setting: string, value: unknown, wanted: string, why: string, fix: string): void => {
    if (!ok) out.push({ setting, value: String(value), wanted, why, fix })
  }
  want(
    settings.logBin,
    'log_bin',
    'OFF',
    'ON',
    'rows are followed from the binlog',
    "set log_bin in the server's configuration and restart it",
  )
  want(
    settings.format === 'ROW',
    'binlog_format',
    settings.format,
    'ROW',
    'other formats log statements, whose rows cannot be known',
    'SET GLOBAL binlog_format=ROW, then reconnect every client',
  )
  want(
    settings.rowImage === 'FULL',
    'binlog_row_image',
    settings.rowImage,
    'FULL',
    'partial images lack columns that targets need',
    'SET GLOBAL binlog_row_image=FULL, then reconnect every client',
  )
  want(
    settings.syncBinlog === 1,
    'sync_binlog',
    settings.syncBinlog,
    '1',
    'after a crash the source could reuse positions that were already followed',
    'SET GLOBAL sync_binlog=1',
  )
  want(
    settings.flushLogAtTrxCommit === 1,
    'innodb_flush_log_at_trx_commit',
    settings.flushLogAtTrxCommit,
    '1',
    'after a crash binlog and tables could disagree',
    'SET GLOBAL innodb_flush_log_at_trx_commit=1',
  )
  want(
    settings.ordersCommits,
    'binlog_order_commits',
    'OFF',
    'ON',
    'without it a marker does not prove that earlier rows are visible',
    'SET GLOBAL binlog_order_commits=ON',
  )
  want(settings.gtid, 'gtid_mode', 'OFF', 'ON', 'positions are GTIDs', 'set gtid_mode=ON and enforce_gtid_consistency=ON')
  want(
    !settings.partialJson,
    'binlog_row_value_options',
    'PARTIAL_JSON',
    'empty',
    'partial JSON updates cannot be applied elsewhere',
    "SET GLOBAL binlog_row_value_options=''",
  )
  want(
    settings.doDatabases === '' && settings.ignoreDatabases === '',
    'binlog filters',
    settings.doDatabases || settings.ignoreDatabases,
    'none',
    'filtered changes are invisible',
    'remove binlog_do_db and binlog_ignore_db and restart the server',
  )
  const { hidesReplicated } = settings
  if (hidesReplicated !== null)
    want(
      false,
      hidesReplicated,
      'OFF',
      'ON where a server replicates from another',
      'rows that come by replication would be in no binlog of its own, and so be lost',
      `set ${hidesReplicated}=ON in the server's configuration and restart it; or end its replication (STOP REPLICA; RESET REPLICA ALL)`,
    )
  return out
}

/**
 * What a session would otherwise have from the server's own settings, each of which has its harm: a limit of time ends what takes longer, again and again; a limit of rows makes
 * a copy short; without autocommit nothing of ours is kept.
 */
export const moverSessionSql: readonly string[] = [
  'SET SESSION autocommit=1, sql_select_limit=18446744073709551615, sql_big_selects=1, sql_safe_updates=0, completion_type=0, sql_quote_show_create=1',
  "SET SESSION time_zone='+00:00', sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', foreign_key_checks=0, unique_checks=1",
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE',
  'SET SESSION wait_timeout=28800, net_read_timeout=600, net_write_timeout=600, innodb_lock_wait_timeout=10',
]

export function lockAccount(account: AccountName): string {
  return `ALTER USER ${accountText(account)} ACCOUNT LOCK`
}

export function unlockAccount(account: AccountName): string {
  return `ALTER USER ${accountText(account)} ACCOUNT UNLOCK`
}

export async function proxies(connection: Connection): Promise<{ account: AccountName; proxied: AccountName }[]> {
  const rows = await connection.allText("SELECT User, Host, Proxied_user, Proxied_host FROM mysql.proxies_priv WHERE Proxied_user <> ''")
  return rows.map((row) => ({
    account: { user: need(row, 'User'), host: need(row, 'Host') },
    proxied: { user: need(row, 'Proxied_user'), host: need(row, 'Proxied_host') },
  }))
}

/** Makes one of our accounts, or gives one that is there this password; its grants are the flavour's to add. */
export function makeAccount(
  credentials: Credentials,
  options: { host?: string; locked?: boolean },
): { account: string; statements: string[] } {
  const account = accountText({ user: credentials.user, host: options.host ?? '%' })
  const password = quoteString(credentials.password)
  const lock = options.locked === true ? ' ACCOUNT LOCK' : ''
  return {
    account,
    statements: [
      `CREATE USER IF NOT EXISTS ${account} IDENTIFIED BY ${password}${lock}`,
      `ALTER USER ${account} IDENTIFIED BY ${password}${lock}`,
    ],
  }
}

/** What is said of accounts that could hide their writes from every stream and replica; null: there are none. `ours`: user names that are left out. */
export function binlogSkippers(server: string, accounts: readonly Account[], ours: ReadonlySet<string>): string | null {
  const names = accounts.filter((one) => one.maySkipBinlog && !one.locked && !ours.has(one.user)).map(({ user, host }) => `${user}@${host}`)
  if (names.length === 0) return null
  return `${server}: ${names.join(', ')} may SET sql_log_bin=0: no stream sees what is written so, only a vdiff does`
}

/** `sql` gives both ids; a session that has ended has none any more. */
export async function lockWaits(connection: Connection, sql: string): Promise<LockWait[]> {
  const rows = await connection.allText(sql)
  return rows
    .map((row) => ({ waiting: Number(row['waiting'] ?? 0), blocking: Number(row['blocking'] ?? 0) }))
    .filter(({ waiting, blocking }) => waiting !== 0 && blocking !== 0)
}
