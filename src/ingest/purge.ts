/**
 * Rows that have expired, taken away at the same boundary on every branch (PROTOCOLS 4.10).
 *
 * The floor comes first: one transaction takes the floor row exclusively, which waits for every writer that has judged its rows by the old floor, and raises
 * it. From then on a writer reads the new floor under its shared lock and drops what lies below. Only then are partitions dropped: a late row would otherwise
 * land in the oldest partition that is left (tried), and stay for ever. A crash between the two leaves rows below the floor, which the next purge removes.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import { columnCodec } from './codec.ts'
import type { IngestFailpoints } from './crash-points.ts'
import type { TableDefinition } from './definition.ts'
import { ingestErrors } from './errors.ts'
import { noFloor, PositionSql } from './position-sql.ts'
import { readSchema } from '../mysql/introspect.ts'

/** The floor of a table whose newest events are at `watermarkMs`: the greatest bucket boundary that has wholly expired. */
export function floorFor(table: TableDefinition, watermarkMs: number): number | null {
  if (table.bucket === null || table.retentionMs === null) return null
  return Math.floor((watermarkMs - table.retentionMs) / table.bucket.everyMs) * table.bucket.everyMs
}

/**
 * How far time is in the topic: the least, over its partitions, of the newest event. One event of a producer with a wrong clock moves it nowhere as long as
 * another partition has none such, and never beyond our own clock: what a wrong clock says of next year must not end this year's rows. Null while a partition has had no event, or nothing is known.
 */
export function watermarkOf(newestByPartition: ReadonlyMap<number, number>, partitions: number, nowMs: number): number | null {
  let least = Infinity
  for (let partition = 0; partition < partitions; partition++) least = Math.min(least, newestByPartition.get(partition) || -Infinity)
  return Number.isFinite(least) ? Math.min(least, nowMs) : null
}

export type PurgeTarget = {
  readonly connection: Connection
  readonly shard: string
  readonly shardUid: string
  readonly branchId: string
  readonly schema: string
  readonly failpoints: IngestFailpoints
  /** `left`: their rows are deleted and they stay, for a later purge. */
  readonly partitions?: 'dropped' | 'left'
}

export type Purged = { readonly floorMs: number; readonly partitions: string[]; readonly rows: number }

/** `connection` has autocommit off. Repeatable; a floor below the one that stands changes nothing. */
export async function purgeTable(target: PurgeTarget, table: TableDefinition, floorMs: number): Promise<Purged> {
  const { connection, shardUid, branchId, failpoints } = target
  const { bucket } = table
  if (bucket === null) return { floorMs: noFloor, partitions: [], rows: 0 }
  const sql = new PositionSql({ shardUid, branchId, topicId: '' }, flavourOf(connection))
  await connection.query(sql.ensureFloor(table.table))
  await connection.query('COMMIT')
  await connection.query(sql.lockFloor(table.table))
  await connection.query(sql.raiseFloor(table.table, floorMs))
  const floor = Number(await connection.value(sql.lockFloor(table.table)))
  await connection.query('COMMIT')
  await failpoints.hit('purge.floorRaised')
  const dropped = target.partitions === 'left' ? null : await dropPartitions(target, table, floor)
  const rows = dropped === null ? await deleteBelow(target, table, floor) : 0
  for (const forget of [sql.forgetMarks(table.table, floor), sql.forgetEvents(table.table, floor)]) await repeated(connection, forget)
  return { floorMs: floor, partitions: dropped ?? [], rows }
}

/** Null: the table has no partitions by time. */
async function dropPartitions(
  { connection, shard, schema, failpoints }: PurgeTarget,
  table: TableDefinition,
  floorMs: number,
): Promise<string[] | null> {
  const rows = await connection.allText(
    `SELECT PARTITION_NAME AS name, PARTITION_METHOD AS method, PARTITION_EXPRESSION AS expression, PARTITION_DESCRIPTION AS bound FROM information_schema.PARTITIONS
     WHERE TABLE_SCHEMA=${quoteString(schema)} AND TABLE_NAME=${quoteString(table.table)} AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION`,
  )
  await connection.query('COMMIT')
  if (rows.length === 0) return null
  const column = table.bucket?.column ?? ''
  const bad = (reason: string): Error => ingestErrors.purgeRefused({ table: table.table, shard, column, reason })
  const expired: string[] = []
  for (const [i, row] of rows.entries()) {
    const bound = boundMs(row, table, bad)
    // The last one stays, whatever it holds: a table keeps at least one partition.
    if (bound !== null && bound <= floorMs && i < rows.length - 1) expired.push(row['name'] ?? '')
  }
  for (const name of expired) {
    await connection.query(`ALTER TABLE ${quoteQualified(schema, table.table)} DROP PARTITION ${quoteIdentifier(name)}`)
    await failpoints.hit('purge.somePartitions')
  }
  return expired
}

/** The instant below which all rows of a partition lie; null: MAXVALUE. */
function boundMs(row: Record<string, string | null>, table: TableDefinition, bad: (reason: string) => Error): number | null {
  const { method, expression, bound } = {
    method: row['method'] ?? '',
    expression: (row['expression'] ?? '').replaceAll('`', '').toLowerCase(),
    bound: row['bound'] ?? '',
  }
  if (!/^RANGE/i.test(method)) throw bad(`it is partitioned by ${method}`)
  if (/^MAXVALUE$/i.test(bound)) return null
  const column = (table.bucket?.column ?? '').toLowerCase()
  const text = bound.replace(/^'|'$/g, '')
  const ms = (ok: boolean, value: number): number => {
    if (!ok || !Number.isFinite(value)) throw bad(`the bound ${bound} of ${expression} is not understood`)
    return value
  }
  if (expression === column) {
    if (table.bucket?.as === 'ms') return ms(/^-?\d+$/.test(text), Number(text))
    if (table.bucket?.as === 's') return ms(/^-?\d+$/.test(text), Number(text) * 1000)
    return ms(true, Date.parse(`${text.replace(' ', 'T')}${text.length <= 10 ? 'T00:00:00' : ''}Z`))
  }
  // TO_DAYS counts from year 0: 719528 is 1970-01-01.
  if (expression === `to_days(${column})`) return ms(/^\d+$/.test(text), (Number(text) - 719_528) * 86_400_000)
  if (expression === `unix_timestamp(${column})`) return ms(/^\d+(\.\d+)?$/.test(text), Number(text) * 1000)
  throw bad(`it is partitioned by ${expression}`)
}

async function deleteBelow({ connection, schema }: PurgeTarget, table: TableDefinition, floorMs: number): Promise<number> {
  const info = (await readSchema(connection, schema, [table.table])).tables[0]
  await connection.query('COMMIT')
  const column = info?.columns.find(({ name }) => name === table.bucket?.column)
  if (column === undefined || table.bucket === null) return 0
  const codec = columnCodec(table.table, column, table.bucket.as)
  return repeated(
    connection,
    `DELETE FROM ${quoteQualified(schema, table.table)} WHERE ${codec.quoted} < ${codec.literal(codec.cell(floorMs))} ORDER BY ${codec.quoted} LIMIT 1000`,
  )
}

/** In transactions of a thousand rows. */
async function repeated(connection: Connection, sql: string): Promise<number> {
  let rows = 0
  for (;;) {
    const result = await connection.query(sql)
    await connection.query('COMMIT')
    const affected = result.kind === 'ok' ? Number(result.affectedRows) : 0
    rows += affected
    if (affected < 1000) return rows
  }
}

/**
 * Partitions ahead of time for a table partitioned BY RANGE COLUMNS or RANGE on the bucket column: adds those that are missing up to `untilMs`, each `everyMs`
 * wide, at boundaries that depend on nothing but time: both branches get the same. A MAXVALUE partition is split, which is quick while it is empty.
 */
export async function addPartitions(
  { connection, shard, schema }: PurgeTarget,
  table: TableDefinition,
  everyMs: number,
  untilMs: number,
): Promise<string[]> {
  const rows = await connection.allText(
    `SELECT PARTITION_NAME AS name, PARTITION_METHOD AS method, PARTITION_EXPRESSION AS expression, PARTITION_DESCRIPTION AS bound FROM information_schema.PARTITIONS
     WHERE TABLE_SCHEMA=${quoteString(schema)} AND TABLE_NAME=${quoteString(table.table)} AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION`,
  )
  await connection.query('COMMIT')
  const bad = (reason: string): Error => ingestErrors.purgeRefused({ table: table.table, shard, column: table.bucket?.column, reason })
  const expression = (rows[0]?.['expression'] ?? '').replaceAll('`', '').toLowerCase()
  if (rows.length === 0 || expression !== (table.bucket?.column ?? '').toLowerCase()) return []
  const last = rows
    .map((row) => boundMs(row, table, bad))
    .filter((bound) => bound !== null)
    .at(-1)
  if (last === undefined) return []
  const open = rows.at(-1)
  const isOpen = /^MAXVALUE$/i.test(open?.['bound'] ?? '')
  const bounds: number[] = []
  for (let bound = Math.floor(last / everyMs) * everyMs + everyMs; bound <= untilMs + everyMs && bounds.length < 500; bound += everyMs)
    bounds.push(bound)
  if (bounds.length === 0) return []
  const literal = (ms: number): string =>
    table.bucket?.as === 'ms'
      ? String(ms)
      : table.bucket?.as === 's'
        ? String(ms / 1000)
        : `'${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}'`
  const parts = bounds.map(
    (bound) => `PARTITION p${new Date(bound).toISOString().replace(/\D/g, '').slice(0, 14)} VALUES LESS THAN (${literal(bound)})`,
  )
  const qualified = quoteQualified(schema, table.table)
  await connection.query(
    isOpen
      ? `ALTER TABLE ${qualified} REORGANIZE PARTITION ${quoteIdentifier(open?.['name'] ?? '')} INTO (${parts.join(', ')}, PARTITION ${quoteIdentifier(open?.['name'] ?? '')} VALUES LESS THAN (MAXVALUE))`
      : `ALTER TABLE ${qualified} ADD PARTITION (${parts.join(', ')})`,
  )
  return bounds.map((bound) => new Date(bound).toISOString())
}
