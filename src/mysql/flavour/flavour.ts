/**
 * Everything that differs between MySQL and MariaDB, behind one interface: `flavourOf(connection)` picks. Elsewhere there is
 * no `if (mariadb)`. Statements come as text so that the caller decides on which session they run, and dry runs can show them.
 */
import type { Connection, FlavourName } from '../connection.ts'
import { mysqlErrors } from '../errors.ts'
import type { Credentials } from '../provisioning.ts'
import { mariadb } from './mariadb.ts'
import { mysql } from './mysql.ts'

export type AccountName = { user: string; host: string }

export type Account = AccountName & {
  locked: boolean
  plugin: string
  /** Privileges by which it passes `read_only=1`; empty: the fence holds it. */
  passesReadOnly: string[]
  /** A replica's account, never locked: it may read the binlog and has no global right to write. */
  replicates: boolean
  /** May turn off binary logging for its session: its writes could be hidden from the tail. */
  maySkipBinlog: boolean
}

/** For `check`: other ways past a locked account. */
export type DefinerObject = { kind: 'PROCEDURE' | 'FUNCTION' | 'TRIGGER' | 'EVENT' | 'VIEW'; schema: string; name: string; definer: string }

export type ServerIdentity = {
  uuid: string
  /** MariaDB's server_id besides its uid: a copied data directory carries the latter. */
  serverId: number
  /** Unix seconds, ± 2 (computed from the uptime). */
  startedAtS: number
  /** Transactions become visible in binlog order (MySQL's binlog_order_commits; MariaDB always, XA aside). */
  ordersCommits: boolean
}

export type BinlogSettings = {
  logBin: boolean
  format: string
  rowImage: string
  syncBinlog: number
  flushLogAtTrxCommit: number
  ordersCommits: boolean
  gtid: boolean
  /** MySQL binlog_row_value_options=PARTIAL_JSON. */
  partialJson: boolean
  /** Non-empty: some databases are not logged, or only some. */
  doDatabases: string
  ignoreDatabases: string
  /** Seconds; 0: kept for ever. */
  retentionS: number
  /** It is set up to replicate from another server, and what comes so is in no binlog of its own: the setting that says so. Null: nothing is hidden thus. */
  hidesReplicated: string | null
}

export type BinlogProblem = { setting: string; value: string; wanted: string; why: string; fix: string }

/** As both servers call who is logging in, of whichever account. */
export const loggingIn = 'unauthenticated user'

export type Session = {
  id: number
  user: string
  host: string
  /** Its current database. */
  schema: string | null
  command: string
  seconds: number
  state: string
  query: string | null
  /** Has an InnoDB transaction open; since when (Unix seconds), and whether it has changed rows or holds locks. */
  transaction: { startedAtS: number; rowsModified: number; rowsLocked: number; onlyReads: boolean } | null
}

/** Of the statement that a session runs: all of it, or its first 100 characters. */
export type StatementText = 'whole' | 'start'

/** By sessions' ids. */
export type LockWait = { readonly waiting: number; readonly blocking: number }

/** The sessions that `session` waits for. */
export function blockersOf(waits: readonly LockWait[], session: number): number[] {
  return waits.filter(({ waiting }) => waiting === session).map(({ blocking }) => blocking)
}

export type XaTransaction = { formatId: string; gtrid: Buffer; bqual: Buffer }

export interface Flavour {
  readonly name: FlavourName
  /** Closes a SELECT that must see and lock the newest row. */
  readonly lockInShareMode: 'FOR SHARE' | 'LOCK IN SHARE MODE'
  /** ON DUPLICATE KEY UPDATE: what stands between the rows and it, and how the row that was to be inserted is named in it. */
  readonly upsertAlias: '' | ' AS new_row'
  upsertValue(quotedColumn: string): string
  /** What information_schema.STATISTICS has of a key's part that is an expression. */
  readonly keyPartExpression: 'EXPRESSION' | 'NULL'
  /** Says of a row of information_schema.STATISTICS that its key is there and can't be named in FORCE INDEX. */
  keyUnusable(version: number): string
  /** A unique key over a BLOB, or over more bytes than a key may have, is kept as the hash of its values in a column that only the binlog shows. */
  readonly longKeysAreColumns: boolean
  /** What a locked account gets at connect. */
  readonly accountLockedErrno: number
  readonly versionMin: number
  /** Versions that the project's tests run on; others get a warning. */
  readonly versionsTested: readonly string[]

  identity(connection: Connection): Promise<ServerIdentity>
  /** Everything this server has in its binlogs and before: as its own GTID text. */
  executedPosition(connection: Connection): Promise<string>
  /**
   * A replica's word on itself: whether both parts of its replication run, and which of a primary's `executedPosition`s it has executed wholly;
   * null where its GTIDs say nothing. Needs no privilege but SELECT.
   */
  replication(connection: Connection, positions: readonly string[]): Promise<{ runs: boolean; has: (boolean | null)[] }>
  /** What is no longer in its binlogs. MariaDB: '' if the first binlog is still there, else the first binlog's GTID list. */
  purgedPosition(connection: Connection): Promise<string>
  /** File and offset of the end of the binlog; null with log_bin off. */
  binlogEnd(connection: Connection): Promise<{ file: string; position: number } | null>
  binlogSettings(connection: Connection): Promise<BinlogSettings>
  /** Statements that make the settings right, where they can be set at run time. */
  readonly binlogFixes: readonly string[]

  /** All accounts but roles and the server's own internal ones (mysql.sys, mariadb.sys …). */
  accounts(connection: Connection): Promise<Account[]>
  lockAccount(account: AccountName): string
  unlockAccount(account: AccountName): string
  proxies(connection: Connection): Promise<{ account: AccountName; proxied: AccountName }[]>
  definers(connection: Connection): Promise<DefinerObject[]>
  /** Makes one of our accounts with what it needs, or sets its password and grants anew. `locked` for a closed server. */
  accountStatements(role: 'admin' | 'mover' | 'gate', credentials: Credentials, options?: { host?: string; locked?: boolean }): string[]

  /** From where it replicates, running or not: a row of each channel, as the server tells. */
  replications(connection: Connection): Promise<Readonly<Record<string, string | null>>[]>
  /** All of them. `forget`: from where, too. */
  replicate(connection: Connection, what: 'start' | 'stop' | 'forget'): Promise<void>

  killConnection(id: number): string
  killQuery(id: number): string
  /** Whoever asks again and again takes what statements begin with: they may be of megabytes, in any number of sessions. */
  sessions(connection: Connection, statements: StatementText): Promise<Session[]>
  xaRecover(connection: Connection): Promise<XaTransaction[]>
  /**
   * What proves that rows of an XA COMMIT in the binlog are visible to reads that begin then: a marker behind it, as for any transaction, or only that the server does not
   * know the xid any more (XA RECOVER).
   */
  readonly xaProof: 'marker' | 'recover'
  /** Who waits for whose row locks: sessions by their ids. Other waits (for tables, named locks) are not in it. */
  lockWaits(connection: Connection): Promise<LockWait[]>
  /** Session settings for sessions that move rows: time zone, sql_mode, checks, isolation, idle timeouts. */
  readonly moverSessionSql: readonly string[]
  /** Reads that take longer than that from now on are ended by the server; 0: none is. */
  statementLimitSql(ms: number): string
  /** Before secondary keys are built of rows that stand already. */
  readonly keyBuildSql: readonly string[]
  /** Makes information_schema's estimates and AUTO_INCREMENT fresh for the session (MySQL caches them for a day). */
  readonly freshStatisticsSql: string | null
  /** Child rows of ON DELETE CASCADE are in the binlog, by version and settings (MySQL from 9.6). Tried by `cascade-probe.ts` when a workflow is created. */
  logsCascades(connection: Connection): Promise<boolean>
  /** Whether it does not for a connection that was reset (COM_RESET_CONNECTION, COM_CHANGE_USER), to which nothing gives that back (*tried*, 9.7.4; `move/hidden-cascades.ts`). */
  resetHidesCascades(connection: Connection): boolean
}

export function flavourOf(connection: Pick<Connection, 'flavour'>): Flavour {
  return flavourNamed(connection.flavour)
}

/**
 * Whether the tests of this project run on this version; callers warn about one that is `untested`.
 * @throws SW-MYSQL-014 for versions that are too old
 */
export function supportOf(connection: Connection): 'tested' | 'untested' {
  const flavour = flavourOf(connection)
  if (connection.versionNumber < flavour.versionMin) {
    throw mysqlErrors.flavourUnsupported({ server: connection.server, version: `${flavour.name} ${connection.serverVersion}` })
  }
  return flavour.versionsTested.some((version) => connection.serverVersion.startsWith(`${version}.`)) ? 'tested' : 'untested'
}

export function flavourNamed(name: FlavourName): Flavour {
  return name === 'mysql' ? mysql : mariadb
}
