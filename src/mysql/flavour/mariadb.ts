import { quoteIdentifier, quoteString } from '../../sql/quote.ts'
import type { Connection } from '../connection.ts'
import { errno, isServerError } from '../errors.ts'
import type { Account, Flavour } from './flavour.ts'
import {
  definers,
  isOn,
  lockAccount,
  lockWaits,
  makeAccount,
  moverSessionSql,
  need,
  privileges,
  proxies,
  sessions,
  type TextRow,
  unlockAccount,
  variables,
  xaRecover,
} from './shared.ts'

const DML =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, SHOW VIEW, EXECUTE, TRIGGER'

/** What is granted to PUBLIC (10.11) every account has. */
const everybody = 'PUBLIC'

/** How SHOW GRANTS prints GRANT ALL. */
const EVERYTHING = 'ALL PRIVILEGES'

/** MariaDB 10.5 and later. */
export const mariadb: Flavour = {
  name: 'mariadb',
  lockInShareMode: 'LOCK IN SHARE MODE',
  upsertAlias: '',
  upsertValue: (quotedColumn) => `VALUES(${quotedColumn})`,
  keyPartExpression: 'NULL',
  // A key that is a hash has no order. Before 10.6 there are no ignored ones, nor the column that tells.
  keyUnusable: (version) => (version < 100600 ? "INDEX_TYPE = 'HASH'" : "(INDEX_TYPE = 'HASH' OR IGNORED = 'YES')"),
  longKeysAreColumns: true,
  accountLockedErrno: errno.accountLockedMariadb,
  versionMin: 100500,
  versionsTested: ['10.11', '11.8'],

  async identity(connection) {
    const rows = await connection.allText(
      `SELECT @@server_uid AS uuid, @@server_id AS server_id,
         UNIX_TIMESTAMP() - VARIABLE_VALUE AS started FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'`,
    )
    return {
      uuid: need(rows[0], 'uuid'),
      serverId: Number(need(rows[0], 'server_id')),
      startedAtS: Math.round(Number(need(rows[0], 'started'))),
      ordersCommits: true,
    }
  },

  async executedPosition(connection) {
    return (await connection.value('SELECT @@GLOBAL.gtid_binlog_pos')) ?? ''
  },

  async replication(connection, positions) {
    const row = (
      await connection.allText(
        `SELECT @@GLOBAL.gtid_slave_pos AS pos,
           (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVE_RUNNING') AS runs`,
      )
    )[0]
    const done = sequences(need(row, 'pos'))
    return {
      runs: isOn(row?.['runs'] ?? ''),
      has: positions.map((position) => {
        const wanted = [...sequences(position)]
        return wanted.length === 0 ? null : wanted.every(([domain, sequence]) => (done.get(domain) ?? -1n) >= sequence)
      }),
    }
  },

  async purgedPosition(connection) {
    if ((await connection.value('SELECT @@GLOBAL.log_bin')) !== '1') return ''
    const first = (await connection.allText('SHOW BINARY LOGS'))[0]
    if (first === undefined) return ''
    // The list of GTIDs that a binlog begins with stands in its head: what came before it.
    return (await connection.value(`SELECT BINLOG_GTID_POS(${quoteString(need(first, 'Log_name'))}, 4)`)) ?? ''
  },

  async binlogEnd(connection) {
    const row = (await connection.allText('SHOW MASTER STATUS'))[0]
    return row === undefined ? null : { file: need(row, 'File'), position: Number(need(row, 'Position')) }
  },

  async binlogSettings(connection) {
    const v = await variables(connection, [
      'log_bin',
      'binlog_format',
      'binlog_row_image',
      'sync_binlog',
      'innodb_flush_log_at_trx_commit',
      'expire_logs_days',
      'binlog_expire_logs_seconds',
      'log_slave_updates',
    ])
    const logBin = isOn(v.get('log_bin'))
    const status = logBin ? (await connection.allText('SHOW MASTER STATUS'))[0] : undefined
    return {
      logBin,
      format: v.get('binlog_format') ?? '',
      rowImage: (v.get('binlog_row_image') ?? 'FULL').toUpperCase(),
      syncBinlog: Number(v.get('sync_binlog')),
      flushLogAtTrxCommit: Number(v.get('innodb_flush_log_at_trx_commit')),
      ordersCommits: true,
      gtid: true,
      partialJson: false,
      doDatabases: status?.['Binlog_Do_DB'] ?? '',
      ignoreDatabases: status?.['Binlog_Ignore_DB'] ?? '',
      retentionS: Number(v.get('binlog_expire_logs_seconds') ?? Number(v.get('expire_logs_days') ?? 0) * 86400),
      // OFF by default.
      hidesReplicated: !isOn(v.get('log_slave_updates')) && (await replicates(connection)) ? 'log_slave_updates' : null,
    }
  },

  binlogFixes: [
    'SET GLOBAL binlog_format=ROW',
    'SET GLOBAL binlog_row_image=FULL',
    'SET GLOBAL sync_binlog=1',
    'SET GLOBAL innodb_flush_log_at_trx_commit=1',
  ],

  async accounts(connection) {
    // At once: this is asked while clients are held.
    const [rows, granted, roles] = await Promise.all([
      connection.allText(
        `SELECT User AS user, Host AS host, JSON_VALUE(Priv, '$.plugin') AS plugin, JSON_VALUE(Priv, '$.account_locked') AS locked
         FROM mysql.global_priv
         WHERE User = 'PUBLIC' OR COALESCE(JSON_VALUE(Priv, '$.is_role'), 'false') NOT IN ('true', '1') AND User <> 'mariadb.sys'`,
      ),
      privileges(connection),
      connection.allText('SELECT User, Host, Role FROM mysql.roles_mapping'),
    ])
    const isPublic = (row: TextRow): boolean => row['user'] === 'PUBLIC' && row['host'] === ''
    const named = roles.map((row) => need(row, 'Role'))
    const byRole = await rolePrivileges(connection, new Set(rows.some(isPublic) ? [...named, everybody] : named))
    const out: Account[] = []
    for (const row of rows) {
      if (isPublic(row)) continue
      const user = need(row, 'user')
      const host = need(row, 'host')
      const all = new Set(granted.get(`'${user}'@'${host}'`) ?? [])
      for (const role of [everybody, ...rolesOf(roles, user, host)]) for (const privilege of byRole.get(role) ?? []) all.add(privilege)
      out.push({
        user,
        host,
        locked: row['locked'] === 'true' || row['locked'] === '1',
        plugin: row['plugin'] ?? '',
        passesReadOnly: all.has('READ_ONLY ADMIN') || all.has(EVERYTHING) ? ['READ_ONLY ADMIN'] : [],
        replicates: all.has('REPLICATION SLAVE') && !all.has('INSERT'),
        maySkipBinlog: ['BINLOG ADMIN', 'SUPER', EVERYTHING].some((name) => all.has(name)),
      })
    }
    return out
  },

  lockAccount,
  unlockAccount,

  proxies,
  definers,

  accountStatements(role, credentials, options = {}) {
    const { account, statements: out } = makeAccount(credentials, options)
    switch (role) {
      case 'admin':
        out.push(`GRANT ALL PRIVILEGES ON *.* TO ${account} WITH GRANT OPTION`)
        break
      case 'mover':
        // READ_ONLY ADMIN: targets are read_only from creation on. BINLOG MONITOR and REPLICATION SLAVE: the tail.
        out.push(
          `GRANT ${DML}, EVENT, PROCESS, RELOAD, REPLICATION SLAVE, BINLOG MONITOR, BINLOG ADMIN, REPLICATION MASTER ADMIN, SLAVE MONITOR, ` +
            `CONNECTION ADMIN, READ_ONLY ADMIN, SET USER ON *.* TO ${account}`,
        )
        break
      case 'gate':
        out.push(`GRANT ${DML}, PROCESS ON *.* TO ${account}`)
    }
    return out
  },

  killConnection: (id) => `KILL CONNECTION ${id}`,
  killQuery: (id) => `KILL QUERY ${id}`,
  sessions,
  xaRecover,
  lockWaits: (connection) =>
    lockWaits(
      connection,
      `SELECT DISTINCT r.trx_mysql_thread_id AS waiting, b.trx_mysql_thread_id AS blocking FROM information_schema.INNODB_LOCK_WAITS w
       JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id
       JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id`,
    ),
  // Its sort buffer is the server's own.
  keyBuildSql: [],
  moverSessionSql: [
    ...moverSessionSql,
    // Rows were checked on their source, or were not.
    'SET SESSION check_constraint_checks=0',
    // With sql_if_exists CREATE TABLE IF NOT EXISTS is an error where the table is there (1050, *tried*, 10.11), and what an ALTER does not find is passed over. INSTANT builds no keys (1846).
    "SET SESSION sql_if_exists=0, alter_algorithm='DEFAULT'",
    'SET SESSION max_statement_time=0, idle_transaction_timeout=0, idle_readonly_transaction_timeout=0, idle_write_transaction_timeout=0',
  ],
  replications,
  async replicate(connection, what) {
    if (what !== 'forget') return void (await connection.query(`${what.toUpperCase()} ALL SLAVES`))
    for (const { Connection_name: name } of await replications(connection))
      await connection.query(`RESET SLAVE ${quoteString(name ?? '')} ALL`)
  },
  statementLimitSql: (ms) => `SET SESSION max_statement_time=${ms / 1000}`,
  xaProof: 'recover',
  freshStatisticsSql: null,
  logsCascades: () => Promise.resolve(false),
  resetHidesCascades: () => false,
}

/** Global privileges of roles: information_schema has those of users only, so they are read from SHOW GRANTS. */
async function rolePrivileges(connection: Connection, roles: ReadonlySet<string>): Promise<Map<string, string[]>> {
  const out = new Map<string, string[]>()
  for (const role of roles) {
    const result = await connection.query(`SHOW GRANTS FOR ${role === everybody ? role : quoteIdentifier(role)}`)
    const lines = result.kind === 'rows' ? result.rows.map((row) => row[0]?.toString('utf8') ?? '') : []
    out.set(
      role,
      lines.flatMap((line) => /^GRANT (.+) ON \*\.\* TO /.exec(line)?.[1]?.split(', ') ?? []),
    )
  }
  return out
}

function rolesOf(mapping: readonly Record<string, string | null>[], user: string, host: string): Set<string> {
  const seen = new Set<string>()
  const queue: [string, string][] = [[user, host]]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const row of mapping) {
      const role = row['Role'] ?? ''
      if (row['User'] !== next[0] || row['Host'] !== next[1] || seen.has(role)) continue
      seen.add(role)
      queue.push([role, ''])
    }
  }
  return seen
}

/** A GTID position: the last sequence number of each domain, which only grows within it. */
function sequences(position: string): Map<string, bigint> {
  const parts = position.split(',').filter((part) => part.trim() !== '')
  return new Map(
    parts.map((part) => {
      const [domain = '', , sequence = '0'] = part.trim().split('-')
      return [domain, BigInt(sequence)]
    }),
  )
}

/** SHOW REPLICA STATUS tells of one connection only, that of @@default_master_connection. */
function replications(connection: Connection): Promise<Readonly<Record<string, string | null>>[]> {
  return connection.allText('SHOW ALL SLAVES STATUS')
}

/** Whether it is set up to, from anywhere. Who may not ask that is told whether it does so just now. */
async function replicates(connection: Connection): Promise<boolean> {
  try {
    return (await replications(connection)).length > 0
  } catch (error) {
    if (!isServerError(error) || error.kind !== 'access') throw error
    const running = await connection.value(
      "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'SLAVES_RUNNING'",
    )
    return Number(running) > 0
  }
}
