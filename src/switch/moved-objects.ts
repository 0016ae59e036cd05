/**
 * Triggers and events that move with the switch (`--triggers at-switch`): they stand on the side that serves and nowhere else, for a side that
 * follows must not do again what their row events already say (PROTOCOLS 1.11).
 *
 * Read from the side that serves before clients are held, and kept in the topology (`switch-objects/<workflow>`) before any is dropped: whoever goes
 * on after a crash makes them from there. Under the fence, when nobody writes, they are dropped on the side that goes and made on the one that
 * comes, *before* the deciding commit: a server that refuses one gives the switch up instead of serving without it. Step 10 puts both sides right
 * by the record, whichever way it was decided.
 *
 * Events are made disabled and noted as the fence's own (`fence-events.ts`): opening the server is what enables them.
 */
import { beyondThreeBytes } from '../move/true-definition.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { MovedEvent, MovedTrigger, RoutingRecord, ShardRef, SwitchObjects } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { ensureControlTables } from './control-schema.ts'
import { noteEvents } from './fence-events.ts'
import type { ClaimedServer } from './claim.ts'

export type Objects = Pick<SwitchObjects, 'triggers' | 'events'>

/** What stands in a schema, in the order in which it has to be made. */
export async function readObjects(connection: Connection, schema: string): Promise<Objects> {
  const of = `= ${quoteString(schema)}`
  const [triggers, events] = await Promise.all([
    connection.allText(
      `SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS t, ACTION_TIMING AS timing, EVENT_MANIPULATION AS event, ACTION_STATEMENT AS body, DEFINER AS definer,
         SQL_MODE AS mode, CHARACTER_SET_CLIENT AS charset, COLLATION_CONNECTION AS collation
       FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA ${of} AND LEFT(TRIGGER_NAME, ${fenceTriggerPrefix.length}) <> '${fenceTriggerPrefix}'
       ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER`,
    ),
    connection.allText(
      `SELECT EVENT_NAME AS name, DEFINER AS definer, STATUS AS status, SQL_MODE AS mode, TIME_ZONE AS zone, CHARACTER_SET_CLIENT AS charset, COLLATION_CONNECTION AS collation
       FROM information_schema.EVENTS WHERE EVENT_SCHEMA ${of} ORDER BY EVENT_NAME`,
    ),
  ])
  const text = (row: Record<string, string | null>, name: string): string => row[name] ?? ''
  const session = (row: Record<string, string | null>) => ({
    sqlMode: text(row, 'mode'),
    charset: text(row, 'charset'),
    collation: text(row, 'collation'),
    definer: text(row, 'definer'),
  })
  const created: MovedEvent[] = []
  for (const row of events) {
    const shown = (await connection.allText(`SHOW CREATE EVENT ${quoteQualified(schema, text(row, 'name'))}`))[0]
    // The server prints it anew, without its schema; the first of these words that follows PRESERVE is its state.
    const createSql = (shown?.['Create Event'] ?? '').replace(
      /( ON COMPLETION (?:NOT )?PRESERVE )(ENABLE|DISABLE(?: ON (?:SLAVE|REPLICA))?)/,
      '$1DISABLE',
    )
    created.push({ ...session(row), name: text(row, 'name'), zone: text(row, 'zone'), enabled: row['status'] === 'ENABLED', createSql })
  }
  const moved: MovedTrigger[] = []
  for (const row of triggers) {
    const [name, table] = [text(row, 'name'), text(row, 't')]
    const body = await trueBody(connection, quoteQualified(schema, name), text(row, 'body'))
    const createSql = `TRIGGER ${quoteIdentifier(name)} ${text(row, 'timing')} ${text(row, 'event')} ON ${quoteIdentifier(table)} FOR EACH ROW ${body}`
    moved.push({ ...session(row), name, table, createSql })
  }
  return { triggers: moved, events: created }
}

/** information_schema tells a letter of four bytes as one `?`. The statement by which the trigger was made has it, and ends with the body. */
async function trueBody(connection: Connection, trigger: string, told: string): Promise<string> {
  if (!told.includes('?')) return told
  const [shown] = await connection.allText(`SHOW CREATE TRIGGER ${trigger}`)
  const letters = [...(shown?.['SQL Original Statement'] ?? '').trimEnd()].slice(-[...told].length)
  const body = letters.join('')
  return body.replace(new RegExp(beyondThreeBytes, 'gu'), '?') === told ? body : told
}

/** Whether an event is enabled is the fence's business. */
export function sameObjects(a: Objects, b: Objects): boolean {
  const text = ({ triggers, events }: Objects): string => JSON.stringify([triggers, events.map((event) => ({ ...event, enabled: true }))])
  return text(a) === text(b)
}

/** A body that names its own schema would go on working there. */
export function namesSchema(object: { readonly createSql: string }, schema: string): boolean {
  return new RegExp(`(^|[^\\w$])\`?${schema.replace(/[^\w]/g, '\\$&')}\`?\\s*\\.`, 'i').test(object.createSql)
}

function account(definer: string): string {
  const at = definer.lastIndexOf('@')
  return `${quoteString(definer.slice(0, at))}@${quoteString(definer.slice(at + 1))}`
}

/** Makes what is missing in a schema of a closed server. */
export async function makeObjects(server: ClaimedServer, schema: string, { triggers, events }: Objects): Promise<void> {
  const { connection } = server
  const there = await readObjects(connection, schema)
  const missing = triggers.filter((trigger) => !there.triggers.some((one) => one.name === trigger.name))
  for (const trigger of missing) {
    await asMadeThere(connection, schema, trigger, `CREATE DEFINER = ${account(trigger.definer)} ${trigger.createSql}`)
  }
  for (const event of events) {
    const same = there.events.find((one) => one.name === event.name)
    // Another definition was left from an earlier time on this side.
    if (same !== undefined && same.createSql !== event.createSql) await connection.query(`DROP EVENT ${quoteQualified(schema, event.name)}`)
    if (same === undefined || same.createSql !== event.createSql) await asMadeThere(connection, schema, event, event.createSql, event.zone)
  }
  await noteEvents(
    connection,
    events.filter((event) => event.enabled).map(({ name, definer }) => ({ schema, name, definer })),
  )
}

/** Events stay where they are: the fence has disabled them, and a later switch back makes them anew. */
export async function dropTriggers(server: ClaimedServer, schema: string): Promise<void> {
  const { triggers } = await readObjects(server.connection, schema)
  for (const { name } of triggers) await server.connection.query(`DROP TRIGGER IF EXISTS ${quoteQualified(schema, name)}`)
}

async function asMadeThere(
  connection: Connection,
  schema: string,
  made: { readonly sqlMode: string; readonly charset: string; readonly collation: string },
  sql: string,
  zone = '+00:00',
): Promise<void> {
  await connection.useDatabase(schema)
  // It is sent as we have it, in utf8mb4: what it was written in does for what is the same bytes there.
  const charset =
    Buffer.byteLength(sql) === sql.length || (made.charset.startsWith('utf8') && !beyondThreeBytes.test(sql)) ? made.charset : 'utf8mb4'
  const results = await connection.pipelineSettled([
    `SET SESSION sql_mode = ${quoteString(made.sqlMode)}, time_zone = ${quoteString(zone)}, character_set_client = ${charset}, collation_connection = ${made.collation}`,
    sql,
    "SET NAMES utf8mb4, SESSION sql_mode = 'STRICT_TRANS_TABLES', time_zone = '+00:00'",
  ])
  if (results[2]?.status === 'rejected') connection.destroy()
  for (const result of results) {
    // 1359, 1537: made meanwhile; 1588: an event whose only time has passed.
    if (result.status === 'rejected' && !isServerError(result.reason, 1359, 1537, 1588)) throw result.reason
  }
}

/** Of every shard whose workflow moves its objects: what has to stand on the side that serves. Empty where no workflow does. */
export async function objectsByShard(store: Store, keyspace: string, routing: RoutingRecord): Promise<ReadonlyMap<string, Objects>> {
  const records = await listRecords<SwitchObjects>(store, keys.allSwitchObjects)
  const byShard = new Map<string, Objects>()
  if (records.length === 0) return byShard
  for (const component of routing.components) {
    if (component.workflow === null) continue
    const workflow = await readRecord<WorkflowRecord>(store, keys.workflow(keyspace, component.workflow))
    const record = records.find((one) => one.value.workflowUid === workflow?.value.uid)
    if (record === undefined) continue
    for (const shard of [...component.serving.primary, ...component.other]) byShard.set(shard, record.value)
  }
  return byShard
}

/** Puts one server's shards right: `serves` has them all, the other side has no trigger. */
export async function placeObjects(
  server: ClaimedServer,
  shards: readonly ShardRef[],
  objects: ReadonlyMap<string, Objects>,
  role: 'serves' | 'follows',
): Promise<void> {
  const own = shards.filter((shard) => shard.serverId === server.serverId && objects.has(shard.shard))
  if (own.length > 0) await ensureControlTables(server.connection)
  for (const { shard, schema } of own) {
    const wanted = objects.get(shard)
    if (wanted === undefined) continue
    if (role === 'serves') await makeObjects(server, schema, wanted)
    else await dropTriggers(server, schema)
  }
}
