/**
 * The fence for servers whose accounts may not be locked, and for those that also hold what must go on serving: triggers on every table of
 * some schemas, installed while nobody waits, that refuse rows once their schema is armed. It outlives restarts (triggers and the armed rows are
 * the server's own data), and lets our accounts pass by USER(): the definer's rights would be CURRENT_USER().
 *
 * Why no write slips through: each trigger reads its schema's armed row LOCK IN SHARE MODE (a plain read is passed by an older snapshot,
 * *tried*), so a transaction that was let in holds that row's lock until it ends, and arming, which needs it exclusively, comes after it:
 * such transactions are ended while arming waits. One that comes later waits for the arming and is refused. A missing row refuses.
 *
 * Nobody else on the server feels it: rows of other schemas are locked by nobody here, and of their sessions none is ended but one that
 * holds the armed row of ours.
 *
 * Decisions of transactions over several shards (gate/xa.ts) stand in no table of theirs: gates ask for the armed row themselves, in the statement that decides.
 *
 * What it does not stop: DDL and TRUNCATE, for which no trigger runs (decision 013). None is lost in silence:
 * - on the side that goes, before the last marker: it stands in the binlog before it, and the stream that must come past it stops there, so the
 *   switch gives up; between that marker and the decision: the table locks stay until the decision, and are asked for just before it;
 * - on the side that comes, before the streams back begin: its binlog is searched before anybody is held; after that those streams stop;
 * - on the closed side, once decided: the stream that reads that side stops, so there is no way back over it, and it is told as an ALARM.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { blockersOf, flavourOf } from '../mysql/flavour/flavour.ts'
import { armedSchemas as armedTable, controlSchema } from '../mysql/our-schema.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { quoteHex, quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { ClaimedServer } from './claim.ts'
import { switchErrors } from './errors.ts'
import type { OurNames } from './server-access.ts'
import { connectAs } from './server-access.ts'
import { isOpen, killedView, killSessions, listClientSessions } from './sessions.ts'
import type { ClientSession, KilledSession } from './sessions.ts'

const events = ['INSERT', 'UPDATE', 'DELETE'] as const

/** errno 1290: what gates and applications know from read_only. */
function triggerSql(schema: string, table: string, event: string, name: string, ours: OurNames, lock: string): string {
  const pass = [ours.admin, ours.mover].map(quoteString).join(', ')
  return `CREATE TRIGGER ${quoteQualified(schema, name)} BEFORE ${event} ON ${quoteQualified(schema, table)} FOR EACH ROW
BEGIN
  IF SUBSTRING_INDEX(USER(), '@', 1) NOT IN (${pass}) THEN
    IF IFNULL((SELECT armed FROM ${armedTable} WHERE schema_name = ${quoteHex(schema)} ${lock}), 1) = 1 THEN
      SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'shardwright: this side does not take writes (read-only)';
    END IF;
  END IF;
END`
}

/** Rows of `control_armed_schemas`; those that are missing are made disarmed. */
async function armedRows(connection: Connection, schemas: readonly string[]): Promise<void> {
  await connection.query(
    `INSERT IGNORE INTO ${armedTable} (schema_name, armed) VALUES ${schemas.map((schema) => `(${quoteHex(schema)}, 0)`).join(', ')}`,
  )
}

function nameOf(table: string, event: string): string {
  return `${fenceTriggerPrefix}${event.toLowerCase()}_${createHash('sha256').update(table).digest('hex').slice(0, 16)}`
}

/** Base tables of the schemas, and of each the fence triggers that are there. */
async function fencedTables(
  connection: Connection,
  schemas: readonly string[],
): Promise<{ schema: string; table: string; missing: string[] }[]> {
  if (schemas.length === 0) return []
  const list = schemas.map(quoteString).join(', ')
  const [tables, triggers] = await Promise.all([
    connection.allText(
      `SELECT TABLE_SCHEMA AS s, TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_SCHEMA IN (${list}) AND TABLE_TYPE = 'BASE TABLE'`,
    ),
    connection.allText(
      `SELECT TRIGGER_SCHEMA AS s, TRIGGER_NAME AS n FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN (${list}) AND TRIGGER_NAME LIKE '\\_sw\\_fence\\_%'`,
    ),
  ])
  const there = new Set(triggers.map((row) => `${row['s']}.${row['n']}`))
  return tables.map((row) => {
    const schema = row['s'] ?? ''
    const table = row['t'] ?? ''
    return { schema, table, missing: events.filter((event) => !there.has(`${schema}.${nameOf(table, event)}`)) }
  })
}

/** Makes the triggers that are missing, disarmed as the row stands; long before anybody waits. They do not go to the binlog: replicas follow rows. */
export async function installFenceTriggers(server: ClaimedServer, schemas: readonly string[], clock: Clock): Promise<void> {
  const { connection, ours, serverId } = server
  if (schemas.length === 0) return
  const lock = 'LOCK IN SHARE MODE'
  await armedRows(connection, schemas)
  const attemptsMax = 60
  for (const { schema, table, missing } of await fencedTables(connection, schemas)) {
    for (const event of missing) {
      const sql = triggerSql(schema, table, event, nameOf(table, event), ours, lock)
      for (let attempt = 1; ; attempt++) {
        // Writers queue behind a waiting CREATE TRIGGER: each attempt is short, and they pass in between.
        const results = await connection.pipelineSettled([
          "SET SESSION sql_log_bin = 0, lock_wait_timeout = 1, sql_mode = ''",
          sql,
          "SET SESSION sql_log_bin = 1, lock_wait_timeout = 3, sql_mode = 'STRICT_TRANS_TABLES'",
        ])
        if (results[2]?.status === 'rejected') connection.destroy()
        const failed = results.find((result) => result.status === 'rejected')
        if (failed === undefined) break
        const error: unknown = failed.reason
        // 1359: made meanwhile.
        if (isServerError(error, 1359)) break
        if (!isServerError(error) || error.kind !== 'lockWait' || attempt === attemptsMax) {
          throw switchErrors.fenceTriggers({ server: serverId, table: `${schema}.${table}`, reason: (error as Error).message }, error)
        }
        await clock.sleep(100)
      }
    }
  }
}

/** Whether it stands on these schemas: all armed, and no table without all of its triggers. */
export async function triggerFenceState(connection: Connection, schemas: readonly string[]): Promise<{ armed: boolean; bare: string[] }> {
  if (schemas.length === 0) return { armed: true, bare: [] }
  const [armed, tables] = await Promise.all([
    connection.value(`SELECT COUNT(*) FROM ${armedTable} WHERE armed = 1 AND schema_name IN (${schemas.map(quoteHex).join(', ')})`),
    fencedTables(connection, schemas),
  ])
  return {
    armed: Number(armed) === schemas.length,
    bare: tables.filter(({ missing }) => missing.length > 0).map(({ schema, table }) => `${schema}.${table}`),
  }
}

/** Arms the schemas; transactions that were let in before hold it up and are ended, and no others. */
export async function armTriggers(
  server: ClaimedServer,
  schemas: readonly string[],
  spare: ReadonlySet<string>,
  clock: Clock,
): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  if (schemas.length === 0) return []
  await armedRows(connection, schemas)
  let settled = false
  const arming = connection
    .pipelineSettled([
      'SET SESSION innodb_lock_wait_timeout = 30',
      `UPDATE ${armedTable} SET armed = 1 WHERE schema_name IN (${schemas.map(quoteHex).join(', ')})`,
      'SET SESSION innodb_lock_wait_timeout = 3',
    ])
    .finally(() => {
      settled = true
    })
  arming.catch(() => undefined)
  const ended: ClientSession[] = []
  await Promise.race([arming, clock.sleep(3)])
  if (!settled) {
    await using second = await connectAs(server.access, 'admin')
    for (let round = 0; !settled; round++) {
      const open = (await listClientSessions(second, ours, spare)).filter(isOpen)
      const blocking = new Set(blockersOf(await flavourOf(second).lockWaits(second), connection.threadId))
      // MySQL tells who blocks only by performance_schema; without it all are ended where there is nobody else.
      const all = blocking.size === 0 && (await standsAlone(second, schemas))
      const holders = open.filter((session) => all || within(session, schemas) || blocking.has(session.id))
      await killSessions(second, holders)
      ended.push(...holders)
      // What InnoDB shows is a picture that it renews only when nobody has looked for 100 ms.
      await Promise.race([arming, clock.sleep(round === 0 ? 10 : 120)])
    }
  }
  for (const result of await arming) if (result.status === 'rejected') throw result.reason
  // Whoever waits for the armed row now is refused; who has a transaction open may only read in it.
  const open = (await listClientSessions(connection, ours, spare)).filter((one) => isOpen(one) && within(one, schemas))
  await killSessions(connection, open)
  return [...new Map([...ended, ...open].map((session) => [session.id, session])).values()].map((one) => killedView(serverId, one))
}

/** Nothing else is on the server. */
async function standsAlone(connection: Connection, schemas: readonly string[]): Promise<boolean> {
  const known = ['mysql', 'sys', 'information_schema', 'performance_schema', controlSchema, ...schemas]
  const others = await connection.value(
    `SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN (${known.map(quoteString).join(', ')})`,
  )
  return others === '0'
}

/** Of a server that holds other things, too: sessions that have one of these schemas as their own. A gate's always have. */
export function within(session: ClientSession, schemas: readonly string[]): boolean {
  return session.schema !== null && schemas.includes(session.schema)
}

export async function armedSchemas(connection: Connection): Promise<number> {
  try {
    return Number(await connection.value(`SELECT COUNT(*) FROM ${armedTable} WHERE armed = 1`))
  } catch (error) {
    if (isServerError(error, 1146)) return 0
    throw error
  }
}

export async function disarmTriggers(connection: Connection, schemas: readonly string[]): Promise<void> {
  if (schemas.length === 0) return
  await connection.query(`UPDATE ${armedTable} SET armed = 0 WHERE schema_name IN (${schemas.map(quoteHex).join(', ')})`)
}

/** When no switch is to come any more. */
export async function dropFenceTriggers(server: ClaimedServer, schemas: readonly string[]): Promise<void> {
  const { connection } = server
  if (schemas.length === 0) return
  const rows = await connection.allText(
    `SELECT TRIGGER_SCHEMA AS s, TRIGGER_NAME AS n FROM information_schema.TRIGGERS
     WHERE TRIGGER_SCHEMA IN (${schemas.map(quoteString).join(', ')}) AND TRIGGER_NAME LIKE '\\_sw\\_fence\\_%'`,
  )
  const drops = rows.map((row) => `DROP TRIGGER IF EXISTS ${quoteIdentifier(row['s'] ?? '')}.${quoteIdentifier(row['n'] ?? '')}`)
  const results =
    drops.length === 0 ? [] : await connection.pipelineSettled(['SET SESSION sql_log_bin = 0', ...drops, 'SET SESSION sql_log_bin = 1'])
  if (results.at(-1)?.status === 'rejected') connection.destroy()
  for (const result of results) if (result.status === 'rejected') throw result.reason
  // Last: triggers without their row refuse.
  await connection.query(`DELETE FROM ${armedTable} WHERE schema_name IN (${schemas.map(quoteHex).join(', ')})`)
}
