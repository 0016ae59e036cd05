import { quoteString } from '../../sql/quote.ts'
import type { Connection } from '../connection.ts'
import { errno } from '../errors.ts'
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
  unlockAccount,
  variables,
  xaRecover,
} from './shared.ts'

const DML =
  'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES, LOCK TABLES, CREATE VIEW, SHOW VIEW, EXECUTE, TRIGGER'

/** From here on the server follows foreign keys, and logs what that changes. */
const sqlCascadesSince = 90600

/** MySQL 8.0 to 9.x. */
export const mysql: Flavour = {
  name: 'mysql',
  lockInShareMode: 'FOR SHARE',
  upsertAlias: ' AS new_row',
  upsertValue: (quotedColumn) => `new_row.${quotedColumn}`,
  keyPartExpression: 'EXPRESSION',
  keyUnusable: () => "IS_VISIBLE = 'NO'",
  longKeysAreColumns: false,
  accountLockedErrno: errno.accountLockedMysql,
  versionMin: 80017,
  versionsTested: ['9.7'],

  async identity(connection) {
    const rows = await connection.allText(
      `SELECT @@server_uuid AS uuid, @@server_id AS server_id, @@binlog_order_commits AS ordered,
         UNIX_TIMESTAMP() - VARIABLE_VALUE AS started FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Uptime'`,
    )
    return {
      uuid: need(rows[0], 'uuid'),
      serverId: Number(need(rows[0], 'server_id')),
      startedAtS: Math.round(Number(need(rows[0], 'started'))),
      ordersCommits: isOn(need(rows[0], 'ordered')),
    }
  },

  async executedPosition(connection) {
    return ((await connection.value('SELECT @@GLOBAL.gtid_executed')) ?? '').replaceAll(/\s/g, '')
  },

  async replication(connection, positions) {
    const has = positions.map((position, i) => `, GTID_SUBSET(${quoteString(position)}, @@GLOBAL.gtid_executed) AS has${i}`)
    const row = (
      await connection.allText(
        `SELECT @@GLOBAL.gtid_mode AS mode,
           (SELECT COUNT(*) FROM performance_schema.replication_connection_status WHERE SERVICE_STATE = 'ON') AS receiving,
           (SELECT COUNT(*) FROM performance_schema.replication_applier_status WHERE SERVICE_STATE = 'ON') AS applying${has.join('')}`,
      )
    )[0]
    const known = row?.['mode'] === 'ON'
    return {
      runs: need(row, 'receiving') !== '0' && need(row, 'applying') !== '0',
      has: positions.map((position, i) => (known && position !== '' ? row?.[`has${i}`] === '1' : null)),
    }
  },

  async purgedPosition(connection) {
    return ((await connection.value('SELECT @@GLOBAL.gtid_purged')) ?? '').replaceAll(/\s/g, '')
  },

  async binlogEnd(connection) {
    const row = (await connection.allText(statusStatement(connection)))[0]
    return row === undefined ? null : { file: need(row, 'File'), position: Number(need(row, 'Position')) }
  },

  async binlogSettings(connection) {
    const v = await variables(connection, [
      'log_bin',
      'binlog_format',
      'binlog_row_image',
      'sync_binlog',
      'innodb_flush_log_at_trx_commit',
      'binlog_order_commits',
      'gtid_mode',
      'binlog_row_value_options',
      'binlog_expire_logs_seconds',
      'binlog_expire_logs_auto_purge',
      'log_replica_updates',
      'log_slave_updates',
    ])
    const logBin = isOn(v.get('log_bin'))
    const status = logBin ? (await connection.allText(statusStatement(connection)))[0] : undefined
    const logsReplicated = isOn(v.get('log_replica_updates') ?? v.get('log_slave_updates'))
    return {
      logBin,
      // Gone in versions that know ROW only.
      format: v.get('binlog_format') ?? 'ROW',
      rowImage: (v.get('binlog_row_image') ?? 'FULL').toUpperCase(),
      syncBinlog: Number(v.get('sync_binlog')),
      flushLogAtTrxCommit: Number(v.get('innodb_flush_log_at_trx_commit')),
      ordersCommits: isOn(v.get('binlog_order_commits')),
      gtid: v.get('gtid_mode') === 'ON',
      partialJson: (v.get('binlog_row_value_options') ?? '') !== '',
      doDatabases: status?.['Binlog_Do_DB'] ?? '',
      ignoreDatabases: status?.['Binlog_Ignore_DB'] ?? '',
      retentionS: v.get('binlog_expire_logs_auto_purge') === 'OFF' ? 0 : Number(v.get('binlog_expire_logs_seconds') ?? 0),
      hidesReplicated: !logsReplicated && (await replications(connection)).length > 0 ? 'log_replica_updates' : null,
    }
  },

  binlogFixes: [
    'SET GLOBAL binlog_row_image=FULL',
    "SET GLOBAL binlog_row_value_options=''",
    'SET GLOBAL sync_binlog=1',
    'SET GLOBAL innodb_flush_log_at_trx_commit=1',
    'SET GLOBAL binlog_order_commits=ON',
  ],

  async accounts(connection) {
    // A role is an account with no password that is locked and granted to somebody; it cannot be told by a column.
    // At once: this is asked while clients are held.
    const [rows, granted, roleGrants] = await Promise.all([
      connection.allText(
        `SELECT u.User AS user, u.Host AS host, u.account_locked AS locked, u.plugin AS plugin,
           EXISTS (SELECT 1 FROM mysql.role_edges e WHERE e.FROM_USER = u.User AND e.FROM_HOST = u.Host) AS is_role
         FROM mysql.user u WHERE u.User NOT IN ('mysql.sys', 'mysql.session', 'mysql.infoschema')`,
      ),
      privileges(connection),
      rolesOf(connection),
    ])
    const out: Account[] = []
    for (const row of rows) {
      const user = need(row, 'user')
      const host = need(row, 'host')
      if (row['is_role'] === '1' && row['locked'] === 'Y') continue
      const all = new Set<string>()
      for (const grantee of [`'${user}'@'${host}'`, ...roleGrants(`'${user}'@'${host}'`)]) {
        for (const privilege of granted.get(grantee) ?? []) all.add(privilege)
      }
      out.push({
        user,
        host,
        locked: row['locked'] === 'Y',
        plugin: row['plugin'] ?? '',
        passesReadOnly: ['SUPER', 'CONNECTION_ADMIN'].filter((name) => all.has(name)),
        replicates: all.has('REPLICATION SLAVE') && !all.has('INSERT'),
        maySkipBinlog: ['SUPER', 'SYSTEM_VARIABLES_ADMIN', 'SESSION_VARIABLES_ADMIN'].some((name) => all.has(name)),
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
        out.push(`GRANT ${DML}, EVENT, PROCESS, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${account}`)
        // CONNECTION_ADMIN passes read_only, which targets have from creation on, and may KILL.
        out.push(
          `GRANT CONNECTION_ADMIN, SYSTEM_VARIABLES_ADMIN, XA_RECOVER_ADMIN, SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER ON *.* TO ${account}`,
        )
        break
      case 'gate':
        out.push(`GRANT ${DML}, PROCESS ON *.* TO ${account}`)
        // It ends transactions in doubt.
        out.push(`GRANT XA_RECOVER_ADMIN ON *.* TO ${account}`)
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
      // Not by performance_schema.threads, which is empty where its instruments are off.
      `SELECT DISTINCT r.trx_mysql_thread_id AS waiting, b.trx_mysql_thread_id AS blocking FROM performance_schema.data_lock_waits w
       JOIN information_schema.INNODB_TRX r ON r.trx_id = w.REQUESTING_ENGINE_TRANSACTION_ID
       JOIN information_schema.INNODB_TRX b ON b.trx_id = w.BLOCKING_ENGINE_TRANSACTION_ID`,
    ),
  // Of 1 MiB, as it is by default, each of four threads has a quarter, and merges its pieces through files: a tenth of the work at 250,000 rows (CPU, 4 tables at once: 1.2 s, 1.07 s so), more with more.
  keyBuildSql: ['SET SESSION /*!80027 innodb_ddl_buffer_size=8388608, */ unique_checks=@@SESSION.unique_checks'],
  replications,
  async replicate(connection, what) {
    const [verb, end] = { start: ['START', ''], stop: ['STOP', ''], forget: ['RESET', ' ALL'] }[what]
    await connection.query(`${verb} ${replica(connection)}${end}`)
  },
  statementLimitSql: (ms) => `SET SESSION max_execution_time=${ms}`,
  moverSessionSql: [...moverSessionSql, 'SET SESSION max_execution_time=0'],
  xaProof: 'marker',
  freshStatisticsSql: 'SET SESSION information_schema_stats_expiry=0',
  resetHidesCascades: ({ versionNumber }) => versionNumber >= sqlCascadesSince,
  async logsCascades(connection) {
    // With innodb_native_foreign_keys the engine does them below the binlog, as it did before 9.6.
    return (
      connection.versionNumber >= sqlCascadesSince &&
      !isOn((await variables(connection, ['innodb_native_foreign_keys'])).get('innodb_native_foreign_keys'))
    )
  },
}

/** As it is called from 8.0.22 on. */
function replica(connection: Connection): string {
  return connection.versionNumber >= 80_022 ? 'REPLICA' : 'SLAVE'
}

function replications(connection: Connection): Promise<Readonly<Record<string, string | null>>[]> {
  return connection.allText(`SHOW ${replica(connection)} STATUS`)
}

function statusStatement(connection: Connection): string {
  return connection.versionNumber >= 80200 ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'
}

/** Roles of an account, also through other roles, as grantee texts: those that it was granted, and those that all accounts have (mandatory_roles), which no table tells. */
async function rolesOf(connection: Connection): Promise<(grantee: string) => ReadonlySet<string>> {
  const [rows, mandatory] = await Promise.all([
    connection.allText('SELECT FROM_USER, FROM_HOST, TO_USER, TO_HOST FROM mysql.role_edges'),
    // Of our own account, which has them as everybody has. The view came with 8.0.19.
    connection.versionNumber < 80019
      ? []
      : connection.allText("SELECT ROLE_NAME, ROLE_HOST FROM information_schema.APPLICABLE_ROLES WHERE IS_MANDATORY = 'YES'"),
  ])
  const direct = new Map<string, string[]>()
  for (const row of rows) {
    const to = `'${need(row, 'TO_USER')}'@'${need(row, 'TO_HOST')}'`
    direct.set(to, [...(direct.get(to) ?? []), `'${need(row, 'FROM_USER')}'@'${need(row, 'FROM_HOST')}'`])
  }
  const ofAll = mandatory.map((row) => `'${need(row, 'ROLE_NAME')}'@'${need(row, 'ROLE_HOST')}'`)
  return (grantee) => {
    const seen = new Set<string>()
    const queue = [...ofAll, ...(direct.get(grantee) ?? [])]
    for (let role = queue.pop(); role !== undefined; role = queue.pop()) {
      if (seen.has(role)) continue
      seen.add(role)
      queue.push(...(direct.get(role) ?? []))
    }
    return seen
  }
}
