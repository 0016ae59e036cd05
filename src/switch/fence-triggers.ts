/**
 * The fence for servers whose accounts may not be locked: triggers on every table, installed while nobody waits, that refuse rows once they are
 * armed. It outlives restarts (triggers and the armed row are the server's own data), and lets our accounts pass by USER(): the
 * definer's rights would be CURRENT_USER().
 *
 * Why no write slips through: each trigger reads the armed row LOCK IN SHARE MODE (a plain read is passed by an older snapshot, *tried*), so
 * a transaction that was let in holds that row's lock until it ends, and arming, which needs it exclusively, comes after it: such transactions
 * are ended while arming waits. One that comes later waits for the arming and is refused.
 *
 * What it does not stop: DDL and TRUNCATE, for which no trigger runs.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { controlSchema } from '../binlog/control-schema.ts'
import type { ClaimedServer } from './claim.ts'
import { switchErrors } from './errors.ts'
import type { OurNames } from './server-access.ts'
import { connectAs } from './server-access.ts'
import { killedView, killSessions, listClientSessions } from './sessions.ts'
import type { KilledSession } from './sessions.ts'

const events = ['INSERT', 'UPDATE', 'DELETE'] as const

/** errno 1290: what gates and applications know from read_only. */
function triggerSql(schema: string, table: string, event: string, name: string, ours: OurNames, lock: string): string {
  const pass = [ours.admin, ours.mover].map(quoteString).join(', ')
  return `CREATE TRIGGER ${quoteQualified(schema, name)} BEFORE ${event} ON ${quoteQualified(schema, table)} FOR EACH ROW
BEGIN
  IF SUBSTRING_INDEX(USER(), '@', 1) NOT IN (${pass}) THEN
    IF (SELECT armed FROM ${controlSchema}.control_armed WHERE id = 1 ${lock}) = 1 THEN
      SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'shardwright: this side does not take writes (read-only)';
    END IF;
  END IF;
END`
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
  const lock = 'LOCK IN SHARE MODE'
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_armed (id, armed) VALUES (1, 0)`)
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

/** Whether it stands: armed, and no table without all of its triggers. */
export async function triggerFenceState(connection: Connection, schemas: readonly string[]): Promise<{ armed: boolean; bare: string[] }> {
  const [armed, tables] = await Promise.all([
    connection.value(`SELECT armed FROM ${controlSchema}.control_armed WHERE id = 1`),
    fencedTables(connection, schemas),
  ])
  return {
    armed: armed === '1',
    bare: tables.filter(({ missing }) => missing.length > 0).map(({ schema, table }) => `${schema}.${table}`),
  }
}

/** Arms; transactions that were let in before hold it up and are ended. */
export async function armTriggers(server: ClaimedServer, spare: ReadonlySet<string>, clock: Clock): Promise<KilledSession[]> {
  const { connection, ours, serverId } = server
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_armed (id, armed) VALUES (1, 0)`)
  let settled = false
  const arming = connection
    .pipelineSettled([
      'SET SESSION innodb_lock_wait_timeout = 30',
      `UPDATE ${controlSchema}.control_armed SET armed = 1 WHERE id = 1`,
      'SET SESSION innodb_lock_wait_timeout = 3',
    ])
    .finally(() => {
      settled = true
    })
  arming.catch(() => undefined)
  const killed: KilledSession[] = []
  await Promise.race([arming, clock.sleep(3)])
  if (!settled) {
    await using second = await connectAs(server.access, 'admin')
    while (!settled) {
      const holders = (await listClientSessions(second, ours, spare)).filter((session) => session.transaction !== null)
      await killSessions(second, holders)
      killed.push(...holders.map((session) => killedView(serverId, session)))
      await Promise.race([arming, clock.sleep(10)])
    }
  }
  for (const result of await arming) if (result.status === 'rejected') throw result.reason
  // Whoever waits for the armed row now is refused; who has a transaction open may only read in it.
  const open = (await listClientSessions(connection, ours, spare)).filter((session) => session.transaction !== null)
  await killSessions(connection, open)
  return [...killed, ...open.map((session) => killedView(serverId, session))]
}

export async function disarmTriggers(connection: Connection): Promise<void> {
  await connection.query(`UPDATE ${controlSchema}.control_armed SET armed = 0 WHERE id = 1`)
}

/** When no switch is to come any more. */
export async function dropFenceTriggers(server: ClaimedServer, schemas: readonly string[]): Promise<void> {
  const { connection } = server
  if (schemas.length === 0) return
  const rows = await connection.allText(
    `SELECT TRIGGER_SCHEMA AS s, TRIGGER_NAME AS n FROM information_schema.TRIGGERS
     WHERE TRIGGER_SCHEMA IN (${schemas.map(quoteString).join(', ')}) AND TRIGGER_NAME LIKE '\\_sw\\_fence\\_%'`,
  )
  if (rows.length === 0) return
  const drops = rows.map((row) => `DROP TRIGGER IF EXISTS ${quoteIdentifier(row['s'] ?? '')}.${quoteIdentifier(row['n'] ?? '')}`)
  const results = await connection.pipelineSettled(['SET SESSION sql_log_bin = 0', ...drops, 'SET SESSION sql_log_bin = 1'])
  if (results.at(-1)?.status === 'rejected') connection.destroy()
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
