/**
 * Our rows on the servers that streams write to, in `_shardwright` beside the shards: where each stream stands on each target, which
 * chunks have landed, who may write. Keyed by stream and target uid, since several shards may share a server.
 *
 * Coordinates. Positions are opaque and never compared. A target's place in its source's order is the pair (marker, groups): the number of
 * the last mover marker before it, and how many groups of the binlog followed. The binlog's order of groups is the same on every reading,
 * so pairs of one stream are ordered even after a restart; a marker's number comes from the source, which only counts upwards.
 */
import { systemClock, type Clock } from '../base/clock.ts'
import { controlSchema, controlTables, ensureControlSchema, hasControlRows } from '../binlog/control-schema.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { moverUser } from '../mysql/our-schema.ts'
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'

export const moveSchema = controlSchema

/** Lanes from here on are sessions outside of applier transactions (`takeover.ts`). */
export const firstOwnLane = 1_000_000

const uid = 'VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL'

const definitions = [
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_stream (
    stream_uid ${uid}, target_uid ${uid}, workflow_uid ${uid}, direction ${uid}, source_uid ${uid},
    epoch BIGINT UNSIGNED NOT NULL, position MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at_marker BIGINT UNSIGNED NOT NULL, at_groups BIGINT UNSIGNED NOT NULL,
    intent_marker BIGINT UNSIGNED NOT NULL, intent_groups BIGINT UNSIGNED NOT NULL,
    control_marker BIGINT UNSIGNED NOT NULL, copy_state VARCHAR(16) CHARACTER SET ascii NOT NULL,
    server_identity VARCHAR(512) CHARACTER SET ascii NOT NULL, round_transactions BIGINT UNSIGNED NOT NULL DEFAULT 0, round_changes BIGINT UNSIGNED NULL,
    PRIMARY KEY (stream_uid, target_uid), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_applier (
    stream_uid ${uid}, target_uid ${uid}, lane INT UNSIGNED NOT NULL, workflow_uid ${uid}, direction ${uid},
    epoch BIGINT UNSIGNED NOT NULL, state VARCHAR(16) CHARACTER SET ascii NOT NULL, n BIGINT UNSIGNED NOT NULL, session BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (stream_uid, target_uid, lane), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_chunk (
    stream_uid ${uid}, target_uid ${uid}, table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, path VARCHAR(600) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    workflow_uid ${uid}, lo MEDIUMBLOB NULL, hi MEDIUMBLOB NULL, row_count BIGINT UNSIGNED NOT NULL, byte_count BIGINT UNSIGNED NOT NULL,
    first_path VARCHAR(600) CHARACTER SET ascii COLLATE ascii_bin NULL, rows_read BIGINT UNSIGNED NOT NULL DEFAULT 0, rows_redone BIGINT UNSIGNED NOT NULL DEFAULT 0, chunk_count BIGINT UNSIGNED NOT NULL DEFAULT 1,
    PRIMARY KEY (stream_uid, target_uid, table_name, path), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_key (
    target_uid ${uid}, table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, workflow_uid ${uid}, clauses MEDIUMBLOB NOT NULL,
    PRIMARY KEY (target_uid, table_name), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_table (
    target_uid ${uid}, table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, workflow_uid ${uid},
    made_of MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, look CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (target_uid, table_name), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_definition (
    stream_uid ${uid}, target_uid ${uid}, table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, workflow_uid ${uid},
    definition MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL,
    PRIMARY KEY (stream_uid, target_uid, table_name), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_ddl (
    stream_uid ${uid}, target_uid ${uid}, at_marker BIGINT UNSIGNED NOT NULL, at_groups BIGINT UNSIGNED NOT NULL, workflow_uid ${uid},
    statement CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, look CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, done TINYINT NOT NULL,
    defined MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    PRIMARY KEY (stream_uid, target_uid, at_marker, at_groups), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_announced (
    stream_uid ${uid}, target_uid ${uid}, object_schema VARBINARY(256) NOT NULL, object_name VARBINARY(256) NOT NULL,
    at_marker BIGINT UNSIGNED NOT NULL, at_groups BIGINT UNSIGNED NOT NULL, workflow_uid ${uid}, verb VARBINARY(64) NOT NULL,
    came_marker BIGINT UNSIGNED NULL, came_groups BIGINT UNSIGNED NULL,
    PRIMARY KEY (stream_uid, target_uid, object_schema, object_name, at_marker, at_groups), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_xa (
    stream_uid ${uid}, target_uid ${uid}, xid VARCHAR(700) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at_marker BIGINT UNSIGNED NOT NULL, at_groups BIGINT UNSIGNED NOT NULL, part INT UNSIGNED NOT NULL,
    workflow_uid ${uid}, committed TINYINT NOT NULL DEFAULT 0, changes LONGBLOB NOT NULL,
    PRIMARY KEY (stream_uid, target_uid, xid, at_marker, at_groups, part), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_held (
    stream_uid ${uid}, target_uid ${uid}, table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    key_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, workflow_uid ${uid}, held LONGBLOB NOT NULL,
    PRIMARY KEY (stream_uid, target_uid, table_name, key_hash), KEY (workflow_uid)) ENGINE=InnoDB`,
  `CREATE TABLE IF NOT EXISTS ${moveSchema}.move_seen (
    stream_uid ${uid}, target_uid ${uid}, writer INT UNSIGNED NOT NULL, workflow_uid ${uid}, seen MEDIUMTEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (stream_uid, target_uid, writer), KEY (workflow_uid)) ENGINE=InnoDB`,
]

/** Of tables that an earlier version may have made without them. */
const laterColumns = [
  { table: 'move_chunk', column: 'first_path', type: 'VARCHAR(600) CHARACTER SET ascii COLLATE ascii_bin NULL' },
  { table: 'move_chunk', column: 'rows_read', type: 'BIGINT UNSIGNED NOT NULL DEFAULT 0' },
  { table: 'move_ddl', column: 'defined', type: 'MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL' },
  { table: 'move_chunk', column: 'rows_redone', type: 'BIGINT UNSIGNED NOT NULL DEFAULT 0' },
  { table: 'move_stream', column: 'round_transactions', type: 'BIGINT UNSIGNED NOT NULL DEFAULT 0' },
  { table: 'move_stream', column: 'round_changes', type: 'BIGINT UNSIGNED NULL' },
  { table: 'move_chunk', column: 'chunk_count', type: 'BIGINT UNSIGNED NOT NULL DEFAULT 1' },
] as const

const tableNames = [
  'move_seen',
  'move_held',
  'move_xa',
  'move_announced',
  'move_chunk',
  'move_key',
  'move_table',
  'move_definition',
  'move_ddl',
  'move_applier',
  'move_stream',
] as const

/** Makes our tables where they are missing. Any session with rights on `_shardwright` may call it, any number of times. */
export async function ensureMoveTables(conn: Connection): Promise<void> {
  const columns = await conn.allText(
    `SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = '${moveSchema}'`,
  )
  const there = new Set(columns.flatMap(({ t, c }) => [t, `${t}.${c}`]))
  // Each of the statements below is a round trip and waits for others of its kind: a stream to many targets of one server makes them for each.
  const isWhole = [...controlTables, ...tableNames].every((name) => there.has(name))
  if (isWhole && laterColumns.every(({ table, column }) => there.has(`${table}.${column}`)) && (await hasControlRows(conn))) return
  await ensureControlSchema(conn)
  for (const definition of definitions) await conn.query(definition)
  for (const { table, column, type } of laterColumns) {
    // A table that was not there has just been made with it.
    if (!there.has(table) || there.has(`${table}.${column}`)) continue
    await conn.query(`ALTER TABLE ${moveSchema}.${table} ADD COLUMN ${column} ${type}`).catch((error: unknown) => {
      // Another session was quicker.
      if (!isServerError(error, errno.duplicateColumn)) throw error
    })
  }
}

export type StreamSeed = {
  streamUid: string
  workflowUid: string
  direction: 'forward' | 'reverse'
  sourceUid: string
  targetUid: string
  /** The source's position. All targets of one stream must be seeded with the same text: seeded positions have no order among each other. */
  position: string
}

/** Stores where a stream that only follows begins; a row that is there already stays as it is. True when it was absent. */
export async function seedPosition(conn: Connection, seed: StreamSeed): Promise<boolean> {
  const result = await conn.query(
    `INSERT IGNORE INTO ${moveSchema}.move_stream (stream_uid, target_uid, workflow_uid, direction, source_uid, epoch, position,
      at_marker, at_groups, intent_marker, intent_groups, control_marker, copy_state, server_identity)
    VALUES (${[seed.streamUid, seed.targetUid, seed.workflowUid, seed.direction, seed.sourceUid].map(quoteString).join(', ')}, 0, ${quoteString(seed.position)}, 0, 0, 0, 0, 0, 'none', '')`,
  )
  return result.kind === 'ok' && result.affectedRows === 1n
}

/**
 * Removes every row of a workflow's streams from this server. A mover that still writes finds its right gone and keeps nothing; a statement or keys that it left the server at
 * (`takeover.ts`) are ended first, since nobody knows their sessions afterwards.
 */
export async function forgetStreams(conn: Connection, workflowUid: string, clock: Clock = systemClock): Promise<void> {
  await endDdlSessions(conn, workflowUid, clock)
  for (const name of tableNames) {
    // A table that came with a later version than the one whose streams went there.
    await conn.query(`DELETE FROM ${moveSchema}.${name} WHERE workflow_uid = ${quoteString(workflowUid)}`).catch((error: unknown) => {
      if (!isServerError(error, errno.noSuchTable)) throw error
    })
  }
  const prefix = `${workflowUid}/`
  await conn.query(`DELETE FROM ${controlSchema}.marker WHERE LEFT(stream, ${Buffer.byteLength(prefix)}) = ${quoteString(prefix)}`)
}

/** First the right, so that no session is entered behind the look. */
async function endDdlSessions(conn: Connection, workflowUid: string, clock: Clock): Promise<void> {
  const where = `workflow_uid = ${quoteString(workflowUid)}`
  try {
    await conn.query(`UPDATE ${moveSchema}.move_applier SET epoch = epoch + 1, state = 'ended', n = n + 1 WHERE ${where}`)
  } catch (error) {
    if (isServerError(error, errno.noSuchTable)) return
    throw error
  }
  const rows = await conn.allText(
    `SELECT DISTINCT session AS id, SUBSTRING_INDEX(USER(), '@', 1) AS user FROM ${moveSchema}.move_applier WHERE ${where} AND lane >= ${firstOwnLane} AND session <> 0`,
  )
  const users = [moverUser, rows[0]?.user]
  const ids = new Set(rows.map(({ id }) => Number(id)).filter((id) => id !== conn.threadId))
  for (const untilMs = clock.monotonicMs() + 60_000; ids.size > 0;) {
    const living = new Map((await conn.allText('SHOW PROCESSLIST')).map((row) => [Number(row.Id), row]))
    for (const id of ids) {
      const session = living.get(id)
      if (session === undefined || !users.includes(session.User ?? '')) ids.delete(id)
      else await conn.query(`KILL ${id}`).catch(() => undefined)
    }
    if (ids.size === 0) return
    // What an ALTER has made is undone before its session ends.
    if (clock.monotonicMs() > untilMs)
      throw moveErrors.restart({ stream: workflowUid, reason: `the server still undoes the statement of session ${[...ids].join(', ')}` })
    await clock.sleep(50)
  }
}

/** Takes a start back of which nothing has come yet. */
export async function forgetStart(conn: Connection, streamUid: string, targetUid: string): Promise<void> {
  await conn.query(`DELETE FROM ${moveSchema}.move_stream WHERE ${streamWhere({ streamUid, targetUid })}`)
  // Nor does anything show of what was read: the next start may be on another server.
  await conn.query(`DELETE FROM ${moveSchema}.move_seen WHERE ${streamWhere({ streamUid, targetUid })}`)
}

export type Coordinate = { readonly marker: number; readonly groups: number }

export function compareCoordinates(a: Coordinate, b: Coordinate): number {
  return a.marker - b.marker || a.groups - b.groups
}

export type StoredTarget = {
  position: string
  at: Coordinate
  intent: Coordinate
  controlMarker: number
  copyState: 'copying' | 'done' | 'none'
  serverIdentity: string
}

/** Rows of our tables that are of this stream on this target. */
export function streamWhere({ streamUid, targetUid }: { readonly streamUid: string; readonly targetUid: string }): string {
  return `stream_uid = ${quoteString(streamUid)} AND target_uid = ${quoteString(targetUid)}`
}

/** What is stored of a stream on one target, or null. */
export async function readTarget(conn: Connection, streamUid: string, targetUid: string): Promise<StoredTarget | null> {
  const rows = await conn.allText(
    `SELECT position, at_marker, at_groups, intent_marker, intent_groups, control_marker, copy_state, server_identity
    FROM ${moveSchema}.move_stream WHERE ${streamWhere({ streamUid, targetUid })}`,
  )
  const row = rows[0]
  if (row === undefined) return null
  const number = (name: string): number => Number(row[name] ?? 0)
  return {
    position: row.position ?? '',
    at: { marker: number('at_marker'), groups: number('at_groups') },
    intent: { marker: number('intent_marker'), groups: number('intent_groups') },
    controlMarker: number('control_marker'),
    copyState: (row.copy_state ?? 'none') as StoredTarget['copyState'],
    serverIdentity: row.server_identity ?? '',
  }
}

/** Of a round: transactions of the tail, and row changes in them, for any target; null: not known when it began, of one that goes in parts. */
export type RoundSize = { readonly transactions: number; readonly changes: number | null }

/** How large the round was whose intent is stored. By itself: a server may still have the tables of a version without it, and others than movers read the rest. */
export async function readRound(conn: Connection, streamUid: string, targetUid: string): Promise<RoundSize> {
  const [row] = await conn.allText(
    `SELECT round_transactions, round_changes FROM ${moveSchema}.move_stream WHERE ${streamWhere({ streamUid, targetUid })}`,
  )
  const changes = row?.round_changes ?? null
  return { transactions: Number(row?.round_transactions ?? 0), changes: changes === null ? null : Number(changes) }
}

export type NewTarget = StreamSeed & { at: Coordinate; copyState: 'copying'; serverIdentity: string }

export async function insertTarget(conn: Connection, seed: NewTarget): Promise<void> {
  const { marker, groups } = seed.at
  await conn.query(
    `INSERT IGNORE INTO ${moveSchema}.move_stream (stream_uid, target_uid, workflow_uid, direction, source_uid, epoch, position,
      at_marker, at_groups, intent_marker, intent_groups, control_marker, copy_state, server_identity)
    VALUES (${[seed.streamUid, seed.targetUid, seed.workflowUid, seed.direction, seed.sourceUid].map(quoteString).join(', ')}, 0, ${quoteString(seed.position)},
      ${marker}, ${groups}, ${marker}, ${groups}, 0, '${seed.copyState}', ${quoteString(seed.serverIdentity)})`,
  )
}

/** Whether any stream, of whichever workflow, has begun to write to a target. */
export async function isWrittenTo(conn: Connection, targetUid: string): Promise<boolean> {
  return (await conn.value(`SELECT 1 FROM ${moveSchema}.move_stream WHERE target_uid = ${quoteString(targetUid)} LIMIT 1`)) === '1'
}

/** A range of a table that has landed: a chunk, or adjacent ones put together (`scan.ts`), whose paths go from `first` to `path`. */
export type ChunkRow = {
  table: string
  first: string
  path: string
  lo: readonly string[] | null
  hi: readonly string[] | null
  rows: number
  bytes: number
  /** How many were put together in it. */
  readonly chunks: number
  readonly work: CopyWork
}

/** Of the whole stream, when a range landed (the later, where ranges were put together): what a kill cost is told by it. */
export type CopyWork = {
  /** Rows of the source read for the copy, each time they were. */
  readonly rowsRead: number
  /** Of them, those that earlier resumes had to read again. */
  readonly rowsRedone: number
}

export async function readChunks(conn: Connection, streamUid: string, targetUid: string): Promise<ChunkRow[]> {
  const rows = await conn.all(
    `SELECT table_name, COALESCE(first_path, path) AS first_path, path, lo, hi, row_count, byte_count, chunk_count, rows_read, rows_redone FROM ${moveSchema}.move_chunk WHERE ${streamWhere({ streamUid, targetUid })}`,
  )
  return rows.map((row) => ({
    table: row.table_name?.toString() ?? '',
    first: row.first_path?.toString() ?? '',
    path: row.path?.toString() ?? '',
    lo: parseBound(row.lo ?? null),
    hi: parseBound(row.hi ?? null),
    rows: Number(row.row_count?.toString() ?? 0),
    bytes: Number(row.byte_count?.toString() ?? 0),
    chunks: Number(row.chunk_count?.toString() ?? 1),
    work: { rowsRead: Number(row.rows_read?.toString() ?? 0), rowsRedone: Number(row.rows_redone?.toString() ?? 0) },
  }))
}

/** What has landed of each table. */
export async function readLanded(
  conn: Connection,
  streamUid: string,
  targetUid: string,
): Promise<Map<string, { rows: number; bytes: number; chunks: number }>> {
  const rows = await conn.all(
    `SELECT table_name, SUM(row_count) AS row_count, SUM(byte_count) AS byte_count, SUM(chunk_count) AS chunk_count
    FROM ${moveSchema}.move_chunk WHERE ${streamWhere({ streamUid, targetUid })} GROUP BY table_name`,
  )
  const number = (value: Buffer | null | undefined): number => Number(value?.toString() ?? 0)
  return new Map(
    rows.map((row) => [
      row.table_name?.toString() ?? '',
      { rows: number(row.row_count), bytes: number(row.byte_count), chunks: number(row.chunk_count) },
    ]),
  )
}

/** A bound is the literals of the key's columns (latin1 text of their bytes), as JSON in ASCII. */
export function printBound(bound: readonly string[] | null): string {
  if (bound === null) return 'NULL'
  return quoteString(JSON.stringify(bound).replace(/[\u007f-\uffff]/g, (char) => '\\u' + char.charCodeAt(0).toString(16).padStart(4, '0')))
}

function parseBound(bytes: Buffer | null): string[] | null {
  return bytes === null ? null : (JSON.parse(bytes.toString('latin1')) as string[])
}

/** Statements of applier transactions. All are texts for a session with character_set_client=binary. */
export const applierSql = {
  /** First in every applier transaction (PROTOCOLS 1.7, 1.8): must match one row, or the transaction is rolled back. `n` makes it an event. */
  guard: (streamUid: string, targetUid: string, lane: number, epoch: number): string =>
    `UPDATE ${moveSchema}.move_applier SET n = n + 1 WHERE ${streamWhere({ streamUid, targetUid })} AND lane = ${lane} AND epoch = ${epoch} AND state = 'running'`,
  position: (
    streamUid: string,
    targetUid: string,
    at: { position: string; marker: number; groups: number; controlMarker: number },
  ): string =>
    `UPDATE ${moveSchema}.move_stream SET position = ${quoteString(at.position)}, at_marker = ${at.marker}, at_groups = ${at.groups}, control_marker = ${at.controlMarker} WHERE ${streamWhere({ streamUid, targetUid })}`,
  /** `round`: null: it is not one round that goes there. */
  intent: (streamUid: string, targetUid: string, to: Coordinate, round: RoundSize | null): string =>
    `UPDATE ${moveSchema}.move_stream SET intent_marker = ${to.marker}, intent_groups = ${to.groups}${round === null ? '' : `, round_transactions = ${round.transactions}, round_changes = ${round.changes ?? 'NULL'}`} WHERE ${streamWhere({ streamUid, targetUid })}`,
  copyState: (streamUid: string, targetUid: string, state: 'done'): string =>
    `UPDATE ${moveSchema}.move_stream SET copy_state = '${state}' WHERE ${streamWhere({ streamUid, targetUid })}`,
  chunks: (streamUid: string, targetUid: string, workflowUid: string, chunks: readonly ChunkRow[]): string =>
    `INSERT INTO ${moveSchema}.move_chunk (stream_uid, target_uid, table_name, path, workflow_uid, lo, hi, row_count, byte_count, first_path, rows_read, rows_redone, chunk_count) VALUES ${chunks
      .map(
        (chunk) =>
          `(${quoteString(streamUid)}, ${quoteString(targetUid)}, ${quoteString(chunk.table)}, ${quoteString(chunk.path)}, ${quoteString(workflowUid)}, ${printBound(chunk.lo)}, ${printBound(chunk.hi)}, ${chunk.rows}, ${chunk.bytes}, ${chunk.first === chunk.path ? 'NULL' : quoteString(chunk.first)}, ${chunk.work.rowsRead}, ${chunk.work.rowsRedone}, ${chunk.chunks})`,
      )
      .join(', ')}`,
  /**
   * Ranges that another takes the place of: goes with its INSERT. Each by its key, one by one: a DELETE of several reads the whole of a table that looks small, waits for what other landings have noted and not
   * committed, and two of them end in a deadlock, which takes their rows back too.
   */
  withoutChunks: (streamUid: string, targetUid: string, table: string, paths: readonly string[]): string[] =>
    paths.map(
      (path) =>
        `DELETE ${moveSchema}.move_chunk FROM ${moveSchema}.move_chunk FORCE INDEX (PRIMARY) WHERE ${streamWhere({ streamUid, targetUid })} AND table_name = ${quoteString(table)} AND path = ${quoteString(path)}`,
    ),
} as const
