/**
 * Who reads shards, by their server's own figures (not only by our gates'). Either flavour is made to count for the time (`setCounting`): MySQL in
 * performance_schema, MariaDB, which starts with that off, in its user statistics.
 *
 * Where nothing else stands on the server it is statements by account that count, whatever they read: nobody has business there. Where schemas of others do
 * (other shards, other applications), the accounts say nothing of which schema; there it is rows read of the shards' own tables, by whomever. What reads
 * such a table and finds no row is not seen there on MariaDB; whoever sits in the schema is, and so is a statement under way that names it.
 * Sessions are listed beside: one that is idle now can read the next moment.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf, loggingIn } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'

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

/** What of one server is asked about. */
export type Place = {
  readonly schemas: readonly string[]
  /** Gates still read and write these tables of theirs, for clients. */
  readonly served: readonly string[]
}

export type Readers = {
  /** Schemas of others stand there too. */
  readonly shared: boolean
  /** By account (`shared`: by `schema.table`): statements that read (rows that were read). */
  readonly reads: ReadonlyMap<string, bigint>
  /** Accounts with a session now (`shared`: in one of the schemas), neither the gates' nor those that look after the server. */
  readonly sessions: readonly string[]
}

const counted = "('statement/sql/select', 'statement/com/Execute')"
/** With what a statement is until the server knows which it is (one that begins unseen is not counted), and rows by table. */
const readInstruments =
  "('statement/sql/select', 'statement/com/Execute', 'statement/abstract/Query', 'statement/abstract/new_packet', 'wait/io/table/sql/handler')"
/** What is switched on and off on MariaDB. */
const userStatistics = 'userstat'

/**
 * Makes a server count what `readersOf` asks for. `note` is told what had been off before it is switched on, for `stopCounting` to put back.
 * Null: it counts; else why it can't (promise 6: no figures are not no reads).
 */
export async function startCounting(connection: Connection, note: (off: readonly string[]) => Promise<void>): Promise<string | null> {
  if (flavourOf(connection).name !== 'mysql') {
    if ((await connection.value('SELECT @@GLOBAL.userstat')) === '1') return null
    await note([userStatistics])
    await connection.query('SET GLOBAL userstat = 1')
    return null
  }
  if ((await connection.value('SELECT @@GLOBAL.performance_schema')) !== '1')
    return 'performance_schema is OFF: start it with performance_schema=ON'
  const why = await leavesOut(connection)
  if (why !== null) return why
  const off = (
    await connection.allText(
      `SELECT NAME AS name FROM performance_schema.setup_instruments WHERE NAME IN ${readInstruments} AND ENABLED = 'NO'`,
    )
  ).map((row) => row['name'] ?? '')
  if (off.length === 0) return null
  await note(off)
  await instruments(connection, off, 'YES')
  return null
}

/** Repeatable. */
export async function stopCounting(connection: Connection, off: readonly string[]): Promise<void> {
  if (flavourOf(connection).name === 'mysql') await instruments(connection, off, 'NO')
  else if (off.includes(userStatistics)) await connection.query('SET GLOBAL userstat = 0')
}

async function instruments(connection: Connection, names: readonly string[], enabled: 'YES' | 'NO'): Promise<void> {
  const list = names.map(quoteString).join(',')
  if (list !== '') await connection.query(`UPDATE performance_schema.setup_instruments SET ENABLED = '${enabled}' WHERE NAME IN (${list})`)
}

/** A server told to count for some only, or that had no room for all, counts nobody else. */
async function leavesOut(connection: Connection): Promise<string | null> {
  const consumers = await connection.allText(
    "SELECT NAME AS name FROM performance_schema.setup_consumers WHERE NAME IN ('global_instrumentation', 'thread_instrumentation') AND ENABLED = 'NO'",
  )
  if (consumers.length > 0) return `performance_schema.setup_consumers has ${consumers.map((row) => row['name']).join(', ')} off`
  const everybody = await connection.value(
    "SELECT COUNT(*) FROM performance_schema.setup_actors WHERE HOST = '%' AND USER = '%' AND ENABLED = 'YES'",
  )
  const nobody = await connection.value("SELECT COUNT(*) FROM performance_schema.setup_actors WHERE ENABLED = 'NO'")
  if (everybody === '0' || nobody !== '0') return 'performance_schema.setup_actors leaves accounts out'
  const tables = await connection.value(
    "SELECT COUNT(*) FROM performance_schema.setup_objects WHERE OBJECT_TYPE = 'TABLE' AND ENABLED = 'NO' AND OBJECT_SCHEMA NOT IN ('mysql', 'performance_schema', 'information_schema')",
  )
  if (tables !== '0') return 'performance_schema.setup_objects leaves tables out'
  const lost = await connection.allText(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('Performance_schema_users_lost', 'Performance_schema_table_instances_lost') AND Value <> '0'",
  )
  if (lost.length > 0) return `performance_schema has no room for all (${lost.map((row) => row['Variable_name']).join(', ')})`
  return null
}

/** Above the servers' `connect_timeout` of 10 s, which ends who does not. */
const loginMsMax = 11_000

/** `readersOf`, asked again while somebody is logging in: in a moment he has a name, or is gone. */
export async function readersByName(connection: Connection, place: Place, clock: Clock, signal: AbortSignal): Promise<Readers> {
  const untilMs = clock.monotonicMs() + loginMsMax
  for (;;) {
    const readers = await readersOf(connection, place)
    if (!readers.sessions.includes(loggingIn) || clock.monotonicMs() >= untilMs) return readers
    await clock.sleep(100, signal)
  }
}

export async function readersOf(connection: Connection, place: Place): Promise<Readers> {
  const mine = new Set(place.schemas.map((schema) => schema.toLowerCase()))
  const withTables = await connection.allText(
    "SELECT DISTINCT TABLE_SCHEMA AS s FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema', '_shardwright')",
  )
  const shared = withTables.some(({ s }) => !mine.has((s ?? '').toLowerCase()))
  return {
    shared,
    reads: shared ? await rowsByTable(connection, mine, place.served) : await statementsByAccount(connection),
    sessions: await sessionsOf(connection, shared ? mine : null),
  }
}

const isForeign = (user: string): boolean => user !== '' && !own.has(user.toLowerCase())

async function statementsByAccount(connection: Connection): Promise<Map<string, bigint>> {
  const rows = await connection.allText(
    flavourOf(connection).name === 'mysql'
      ? `SELECT USER AS user, SUM(COUNT_STAR) AS n FROM performance_schema.events_statements_summary_by_user_by_event_name
         WHERE EVENT_NAME IN ${counted} AND USER IS NOT NULL GROUP BY USER`
      : 'SELECT USER AS user, SELECT_COMMANDS AS n FROM information_schema.USER_STATISTICS',
  )
  return new Map(rows.flatMap((row) => (isForeign(row['user'] ?? '') ? [[row['user'] ?? '', BigInt(row['n'] ?? 0)] as const] : [])))
}

async function rowsByTable(connection: Connection, schemas: ReadonlySet<string>, served: readonly string[]): Promise<Map<string, bigint>> {
  const rows = await connection.allText(
    flavourOf(connection).name === 'mysql'
      ? "SELECT OBJECT_SCHEMA AS s, OBJECT_NAME AS t, COUNT_READ AS n FROM performance_schema.table_io_waits_summary_by_table WHERE OBJECT_TYPE = 'TABLE'"
      : 'SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t, ROWS_READ AS n FROM information_schema.TABLE_STATISTICS',
  )
  const out = new Map<string, bigint>()
  for (const { s, t, n } of rows) {
    if (!schemas.has((s ?? '').toLowerCase()) || served.some((name) => name.toLowerCase() === (t ?? '').toLowerCase())) continue
    const name = `${s}.${t}`
    out.set(name, (out.get(name) ?? 0n) + BigInt(n ?? 0))
  }
  return out
}

async function sessionsOf(connection: Connection, schemas: ReadonlySet<string> | null): Promise<string[]> {
  const rows = await connection.allText('SELECT USER AS user, DB AS db, INFO AS info FROM information_schema.PROCESSLIST')
  const there = rows.filter(({ db, info }) => {
    if (schemas === null || schemas.has((db ?? '').toLowerCase())) return true
    const text = (info ?? '').toLowerCase()
    return [...schemas].some((schema) => text.includes(schema))
  })
  return [...new Set(there.map((row) => row['user'] ?? ''))].filter((user) => isForeign(user) && user !== 'sw_gate')
}

/** Who read between two looks, or of which tables rows were. `notCounted`: accounts whose statements do not count. */
export function readBetween(before: Readers, after: Readers, notCounted: readonly string[] = []): string[] {
  if (before.shared !== after.shared) return ['what stands beside it was changed, by which it is counted']
  const out: string[] = []
  for (const [name, n] of before.reads) if ((after.reads.get(name) ?? 0n) < n) out.push(`${name}: its figures were set back`)
  for (const [name, n] of after.reads) {
    if (!after.shared && notCounted.includes(name)) continue
    const more = n - (before.reads.get(name) ?? 0n)
    if (more > 0n) out.push(after.shared ? `somebody: ${name} (${more} rows)` : `${name} (${more} statements)`)
  }
  return out
}
