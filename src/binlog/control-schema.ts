/**
 * Our own tables on each server that the tail gives meaning to: markers. Other rooms keep their tables in the same schema (`move_…`, `control_token`, `control_locked`).
 *
 * - `server`          one row: a random id of ours, made once. A copied data directory carries it along with MariaDB's server_uid, so it is one part of
 *                     `ServerState` beside server_id (PROTOCOLS 1.4).
 * - `marker`          the mover's low and high markers: one row per stream and kind, its number.
 * - `control_marker`  the controller's markers: one row, a number that only grows.
 * - `ddl_announcement` one row: the DDL of ours that is begun next (PROTOCOLS 1.13), or, without a verb, the object of one that was given up.
 *
 * A marker proves visibility because its commit has returned: every ordinary transaction before it in the binlog is visible then, and its row event
 * stands in the tail after theirs. Its number has to change for the row to be logged at all: an UPDATE that changes nothing is not.
 *
 * Texts are binary, so no charset is asked of these tables.
 */
import { randomBytes } from 'node:crypto'
import { assert } from '../base/assert.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import { controlSchema, controlSchemaDdl, copiesTable, copiesTableDdl } from '../mysql/our-schema.ts'
import { binlogErrors } from './errors.ts'
import type { ColumnDefinition, RowsEvent, TableChoice } from './source.ts'

export { controlSchema }

const name = (bytes: number): string => `VARBINARY(${bytes}) NOT NULL`

const tables = {
  server: `(id TINYINT UNSIGNED NOT NULL PRIMARY KEY, server_uid ${name(64)})`,
  marker: `(stream ${name(128)}, kind ${name(16)}, n BIGINT UNSIGNED NOT NULL, PRIMARY KEY (stream, kind))`,
  control_marker: '(id TINYINT UNSIGNED NOT NULL PRIMARY KEY, n BIGINT UNSIGNED NOT NULL)',
  ddl_announcement: `(id TINYINT UNSIGNED NOT NULL PRIMARY KEY, n BIGINT UNSIGNED NOT NULL, verb ${name(64)}, object_schema ${name(256)}, object_name ${name(256)})`,
} as const

type ControlTable = keyof typeof tables

/** Makes what is missing; repeatable, from any session with rights on the schema. */
export async function ensureControlSchema(connection: Connection): Promise<void> {
  await connection.query(controlSchemaDdl)
  for (const [table, definition] of Object.entries(tables)) {
    await connection.query(`CREATE TABLE IF NOT EXISTS ${controlSchema}.${table} ${definition} ENGINE=InnoDB`)
  }
  await connection.query(copiesTableDdl)
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.server VALUES (1, '${randomBytes(16).toString('hex')}')`)
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.control_marker VALUES (1, 0)`)
  await connection.query(`INSERT IGNORE INTO ${controlSchema}.ddl_announcement VALUES (1, 0, '', '', '')`)
}

export const controlTables: readonly string[] = [...Object.keys(tables), copiesTable]

/** Whether our tables, which are there, have the rows that they have from their beginning. */
export async function hasControlRows(connection: Connection): Promise<boolean> {
  const counts = ['server', 'control_marker', 'ddl_announcement'].map(
    (table) => `(SELECT COUNT(*) FROM ${controlSchema}.${table} WHERE id = 1)`,
  )
  return (await connection.value(`SELECT ${counts.join(' + ')}`)) === String(counts.length)
}

/** What must stay the same between a low marker and the landing of its chunk; `sameServerRun` compares two. */
export type ServerState = {
  /** MySQL's server_uuid, MariaDB's server_uid. */
  readonly uuid: string
  readonly serverId: string
  /** The random id in our own table. */
  readonly controlUid: string
  /** Transactions become visible in binlog order: without it markers prove nothing. */
  readonly ordersCommits: boolean
  /** Bounds of the server's start, Unix seconds: its uptime is told in whole seconds. */
  readonly startedAfterS: number
  readonly startedBeforeS: number
}

/** False when the server restarted, was replaced, or changed its commit order between the two readings. */
export function sameServerRun(a: ServerState, b: ServerState): boolean {
  return (
    a.uuid === b.uuid &&
    a.serverId === b.serverId &&
    a.controlUid === b.controlUid &&
    a.ordersCommits === b.ordersCommits &&
    a.startedAfterS <= b.startedBeforeS &&
    b.startedAfterS <= a.startedBeforeS
  )
}

export type MarkerKind = 'low' | 'high' | 'mark'

export type WrittenMarker = { readonly number: number; readonly server: ServerState }

/**
 * Commits a mover's marker and reads the server's state after it, in one round trip. Numbers of a stream only grow, whoever writes: a caller that
 * lost an answer writes again and gets a later one. The session must be in autocommit.
 *
 * @param rowsRead for whoever comes after this mover, in the marker's own commit: what it has read by now (`readRowsRead`)
 */
export async function writeMarker(
  connection: Connection,
  stream: string,
  kind: MarkerKind,
  rowsRead: number | null = null,
): Promise<WrittenMarker> {
  const { serverSql, uptimeSql } = stateSql[connection.flavour]
  const rows = rowsRead === null ? '' : `, (${quoteString(rowsStream(stream))}, '${rowsKind}', ${rowsRead})`
  const n = rowsRead === null ? 'LAST_INSERT_ID(n + 1)' : `IF(kind = '${rowsKind}', GREATEST(n, ${rowsRead}), LAST_INSERT_ID(n + 1))`
  const [marker, server, uptime] = await connection.pipeline([
    `INSERT INTO ${controlSchema}.marker VALUES (${quoteString(stream)}, ${quoteString(kind)}, LAST_INSERT_ID(1))${rows} ON DUPLICATE KEY UPDATE n = ${n}`,
    serverSql,
    uptimeSql,
  ])
  return { number: insertId(marker, 'marker'), server: serverState(server, uptime) }
}

/** Not the stream's own name: in the tail its markers are known by that. */
function rowsStream(stream: string): string {
  return `${stream}/rows`
}

const rowsKind = 'rows'

/** Rows that a stream had read for its copy when it last wrote a marker and said so; null: never. */
export async function readRowsRead(connection: Connection, stream: string): Promise<number | null> {
  return readMarker(connection, rowsStream(stream), rowsKind)
}

/** The number of a stream's last marker as this server, which may be a replica of the one that it was written on, holds it; null: none. */
export async function readMarker(connection: Connection, stream: string, kind: MarkerKind | typeof rowsKind): Promise<number | null> {
  const sql = `SELECT n FROM ${controlSchema}.marker WHERE stream = ${quoteString(stream)} AND kind = ${quoteString(kind)}`
  const n = await connection.value(sql)
  return n === undefined || n === null ? null : Number(n)
}

/** Commits the next control marker. */
export async function bumpControlMarker(connection: Connection): Promise<number> {
  return insertId(
    await connection.query(`UPDATE ${controlSchema}.control_marker SET n = LAST_INSERT_ID(n + 1) WHERE id = 1`),
    'control_marker',
  )
}

/** Announces DDL of ours: write it on the session that runs the statement, just before it. */
export async function announceDdl(connection: Connection, verb: string, schema: string, object: string): Promise<void> {
  await connection.query(
    `UPDATE ${controlSchema}.ddl_announcement SET n = n + 1, verb = ${quoteString(verb)}, object_schema = ${quoteString(schema)}, object_name = ${quoteString(object)} WHERE id = 1`,
  )
}

/** Takes back what was announced of an object: the statement was refused, and will not come. */
export function withdrawDdl(connection: Connection, schema: string, object: string): Promise<void> {
  return announceDdl(connection, '', schema, object)
}

export async function readServerState(connection: Connection): Promise<ServerState> {
  const { serverSql, uptimeSql } = stateSql[connection.flavour]
  const [server, uptime] = await connection.pipeline([serverSql, uptimeSql])
  return serverState(server, uptime)
}

const controlUidSql = `(SELECT server_uid FROM ${controlSchema}.server WHERE id = 1)`
const uptimeSql = "SHOW GLOBAL STATUS LIKE 'Uptime'"
const stateSql = {
  mysql: {
    serverSql: `SELECT @@server_uuid, @@server_id, ${controlUidSql}, @@GLOBAL.binlog_order_commits, UNIX_TIMESTAMP(NOW(6))`,
    uptimeSql,
  },
  // MariaDB always commits in binlog order (XA COMMIT aside: PROTOCOLS 1.9).
  mariadb: { serverSql: `SELECT @@server_uid, @@server_id, ${controlUidSql}, 1, UNIX_TIMESTAMP(NOW(6))`, uptimeSql },
} as const

function serverState(server: Result | undefined, uptime: Result | undefined): ServerState {
  const cells = (result: Result | undefined): string[] =>
    (result?.kind === 'rows' ? (result.rows[0] ?? []) : []).map((cell) => cell?.toString() ?? '')
  const [uuid = '', serverId = '', controlUid = '', orders = '', nowS = ''] = cells(server)
  const [, uptimeS = ''] = cells(uptime)
  if (controlUid === '' || nowS === '' || uptimeS === '') {
    throw binlogErrors.controlSchemaBroken({ schema: controlSchema, server: uuid, difference: 'its table server has no row' })
  }
  const start = Number(nowS) - Number(uptimeS)
  // The uptime is read up to a moment after the clock, and its fraction is cut.
  return {
    uuid,
    serverId,
    controlUid,
    ordersCommits: orders === '1' || orders === 'ON',
    startedAfterS: start - 1,
    startedBeforeS: start + 1,
  }
}

function insertId(result: Result | undefined, table: string): number {
  if (result?.kind !== 'ok' || result.insertId === 0n) {
    throw binlogErrors.controlSchemaBroken({ schema: controlSchema, server: '', difference: `its table ${table} has no row` })
  }
  assert(result.insertId <= BigInt(Number.MAX_SAFE_INTEGER), 'a marker number stays below 2^53')
  return Number(result.insertId)
}

const column = (columnName: string, type: string): ColumnDefinition => ({
  name: columnName,
  dataType: type.split(/[( ]/)[0] ?? type,
  columnType: type,
  charset: null,
  collation: null,
  nullable: false,
  generated: false,
})

const columns: Record<ControlTable, readonly ColumnDefinition[]> = {
  server: [column('id', 'tinyint unsigned'), column('server_uid', 'varbinary(64)')],
  marker: [column('stream', 'varbinary(128)'), column('kind', 'varbinary(16)'), column('n', 'bigint unsigned')],
  control_marker: [column('id', 'tinyint unsigned'), column('n', 'bigint unsigned')],
  ddl_announcement: [
    column('id', 'tinyint unsigned'),
    column('n', 'bigint unsigned'),
    column('verb', 'varbinary(64)'),
    column('object_schema', 'varbinary(256)'),
    column('object_name', 'varbinary(256)'),
  ],
}

/** What a TableChooser answers for our tables here; null: not one of them. */
export function chooseControlTable(schema: string, table: string): TableChoice | null {
  return schema === controlSchema && table in tables ? { kind: 'decode', columns: columns[table as ControlTable] } : null
}

export type ControlSighting =
  | { readonly kind: 'marker'; readonly stream: string; readonly marker: MarkerKind; readonly number: number }
  | { readonly kind: 'controlMarker'; readonly number: number }
  /** No verb: taken back. */
  | { readonly kind: 'ddlAnnounced'; readonly verb: string; readonly schema: string; readonly name: string }

/** What the rows of an event say when they are ours; most events are not and cost one comparison. */
export function controlSightings(event: RowsEvent): ControlSighting[] {
  if (event.table.schema !== controlSchema || event.after === null) return []
  const sightings: ControlSighting[] = []
  for (const row of event.after.rows()) {
    const text = (at: number): string => row[at]?.toString() ?? ''
    switch (event.table.name) {
      case 'marker':
        sightings.push({ kind: 'marker', stream: text(0), marker: text(1) as MarkerKind, number: Number(text(2)) })
        break
      case 'control_marker':
        sightings.push({ kind: 'controlMarker', number: Number(text(1)) })
        break
      case 'ddl_announcement':
        sightings.push({ kind: 'ddlAnnounced', verb: text(2), schema: text(3), name: text(4) })
        break
      default:
        break
    }
  }
  return sightings
}
