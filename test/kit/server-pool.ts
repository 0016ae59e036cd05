/**
 * Servers that tests gave back, for the next test of this process that wants one with the same options: a start costs MySQL 0.4 s of a processor and MariaDB 0.1,
 * a clean-up a tenth of that. What is given back is as it was after its start, or it ends: sessions are killed, databases and accounts dropped, the binlog begun anew;
 * settings, accounts, plugins and what else a server keeps of its own must then be what they were.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { connect } from '../../src/mysql/connect.ts'
import type { Connection } from '../../src/mysql/connection.ts'
import { accountText } from '../../src/mysql/flavour/shared.ts'
import type { LocalServer } from '../../src/local/local-server.ts'
import { quoteIdentifier, quoteString } from '../../src/sql/quote.ts'

export type Pooled = { readonly key: string; readonly server: LocalServer; readonly state: string }

/** A source and a target of each flavour, where there is memory. */
const keptMax = freemem() > 8 * 1024 ** 3 ? 4 : 1
/** From about here on dropping them costs what a start does. */
const tablesMax = 40

const systemSchemas = "('mysql', 'sys', 'information_schema', 'performance_schema')"
const kept: Pooled[] = []

export function takeServer(key: string): Pooled | null {
  const at = kept.findIndex((one) => one.key === key)
  return at < 0 ? null : (kept.splice(at, 1)[0] ?? null)
}

/** Digest of what a test could change for the next one and no clean-up puts back. */
export async function stateOf(server: LocalServer): Promise<string> {
  await using connection = await asRoot(server)
  return await digest(connection, server)
}

/** False: it is not surely as it was, and the caller ends it. What was longest here makes room, and is ended by `end`. */
export async function giveBack(one: Pooled, end: (server: LocalServer) => Promise<unknown>): Promise<boolean> {
  if (!(await clean(one).catch(() => false))) return false
  kept.push(one)
  const spare = kept.length > keptMax ? kept.shift() : undefined
  if (spare !== undefined) await end(spare.server)
  return true
}

async function clean({ server, state }: Pooled): Promise<boolean> {
  await using connection = await asRoot(server)
  await killOthers(connection)
  if (!(await isEmpty(connection, 'XA RECOVER'))) return false
  const [tables] = await connection.allText(
    `SELECT count(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ${systemSchemas}`,
  )
  if (Number(tables?.['n']) > tablesMax) return false
  await connection.query('SET SESSION foreign_key_checks = 0')
  for (const { name } of await connection.allText(
    `SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ${systemSchemas}`,
  ))
    await connection.query(`DROP DATABASE ${quoteIdentifier(name ?? '')}`)
  for (const { user, host } of await connection.allText(
    "SELECT User AS user, Host AS host FROM mysql.user WHERE User NOT IN ('root', 'mariadb.sys') AND User NOT LIKE 'mysql.%'",
  ))
    await connection.query(
      host === '' ? `DROP ROLE ${quoteString(user ?? '')}` : `DROP USER ${accountText({ user: user ?? '', host: host ?? '' })}`,
    )
  if ((await digest(connection, server)) === state) return true
  await connection.query(server.flavour === 'mysql' ? 'RESET BINARY LOGS AND GTIDS' : 'RESET MASTER')
  return (await digest(connection, server)) === state
}

function asRoot({ host, port }: LocalServer): Promise<Connection> {
  return connect({ host, port, user: 'root', password: '' })
}

async function killOthers(connection: Connection): Promise<void> {
  const deadline = performance.now() + 2_000
  for (;;) {
    const others = await connection.allText(
      "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND COMMAND <> 'Daemon' AND USER NOT IN ('system user', 'event_scheduler')",
    )
    if (others.length === 0) return
    if (performance.now() > deadline) throw new Error('sessions that stay')
    // One that has ended by itself is no more to be killed.
    for (const { id } of others) await connection.query(`KILL ${id}`).catch(() => undefined)
    await new Promise((done) => setTimeout(done, 5))
  }
}

const ownTables: Readonly<Record<LocalServer['flavour'], readonly string[]>> = {
  mariadb: [
    'global_priv',
    'db',
    'tables_priv',
    'columns_priv',
    'procs_priv',
    'proxies_priv',
    'roles_mapping',
    'func',
    'plugin',
    'servers',
    'event',
    'gtid_slave_pos',
  ],
  mysql: [
    'user',
    'db',
    'tables_priv',
    'columns_priv',
    'procs_priv',
    'proxies_priv',
    'global_grants',
    'role_edges',
    'default_roles',
    'password_history',
    'func',
    'plugin',
    'component',
    'servers',
    'slave_master_info',
    'gtid_executed',
  ],
}

async function digest(connection: Connection, server: LocalServer): Promise<string> {
  const hash = createHash('sha1')
  const queries = ['SHOW GLOBAL VARIABLES', ...ownTables[server.flavour].map((table) => `SELECT * FROM mysql.${table}`)]
  const replicas = server.flavour === 'mysql' ? 'SHOW REPLICA STATUS' : 'SHOW ALL SLAVES STATUS'
  const binlogs = server.flavour === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'
  for (const answer of await Promise.all([...queries, replicas, binlogs].map((sql) => connection.query(sql))))
    if (answer.kind === 'rows')
      for (const row of answer.rows.map((cells) => cells.map(String).join('\t')).toSorted()) hash.update(`${row}\n`)
  // What SET PERSIST left for the next start.
  hash.update(String(existsSync(join(server.dir, 'data', 'mysqld-auto.cnf'))))
  return hash.digest('hex')
}

async function isEmpty(connection: Connection, sql: string): Promise<boolean> {
  const answer = await connection.query(sql)
  return answer.kind === 'rows' && answer.rows.length === 0
}
