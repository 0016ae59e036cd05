/**
 * Rows that have expired, taken away at the same boundary on every branch (PROTOCOLS 4.10).
 *
 * The floor comes first: one transaction takes the floor row exclusively, which waits for every writer that has judged its rows by the old floor, and raises
 * it. From then on a writer reads the new floor under its shared lock and drops what lies below. Only then are partitions dropped: a late row would otherwise
 * land in the oldest partition that is left (tried), and stay for ever. A crash between the two leaves rows below the floor, which the next purge removes.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteQualified } from '../sql/quote.ts'
import { columnCodec } from './codec.ts'
import type { IngestFailpoints } from './crash-points.ts'
import type { TableDefinition } from './definition.ts'
import { boundMs, refusalOf, timePartitions } from './partitions-ahead.ts'
import { noFloor, PositionSql } from './position-sql.ts'
import { fleetMark } from './tables.ts'
import { readSchema } from '../mysql/introspect.ts'

/**
 * The floor of a table whose newest events are at `watermarkMs`: the greatest bucket boundary that has wholly expired. A table with partitions by time goes by
 * their bounds then (`floorByPartitions`).
 */
export function floorFor(table: TableDefinition, watermarkMs: number): number | null {
  if (table.bucket === null || table.retentionMs === null) return null
  return Math.floor((watermarkMs - table.retentionMs) / table.bucket.everyMs) * table.bucket.everyMs
}

/**
 * The greatest bound of a partition that is no later: what lies below a floor goes by whole partitions, so all of it goes, and on every branch. A floor within one
 * would leave rows below it where they were written before, and drop those that another branch writes later. Null: no partition has wholly expired.
 */
export async function floorByPartitions(
  connection: Connection,
  { shard, schema }: Pick<PurgeTarget, 'shard' | 'schema'>,
  table: TableDefinition,
  floorMs: number,
): Promise<number | null> {
  const rows = await timePartitions(connection, schema, table)
  if (rows.length === 0) return floorMs
  const bad = refusalOf(shard, table)
  const bounds = rows.flatMap((row) => boundMs(row, table, bad) ?? []).filter((bound) => bound <= floorMs)
  return bounds.length === 0 ? null : Math.max(...bounds)
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
  const rows = dropped === null ? await deleteBelow(target, table, floor, sql) : 0
  for (const forget of [sql.forgetMarks(table.table, floor), sql.forgetEvents(table.table, floor)]) await repeated(connection, forget)
  return { floorMs: floor, partitions: dropped ?? [], rows }
}

/** Null: the table has no partitions by time. */
async function dropPartitions(
  { connection, shard, schema, failpoints }: PurgeTarget,
  table: TableDefinition,
  floorMs: number,
): Promise<string[] | null> {
  const expired = await expiredPartitions(connection, { shard, schema }, table, floorMs)
  for (const name of expired ?? []) {
    await connection.query(`ALTER TABLE ${quoteQualified(schema, table.table)} DROP PARTITION ${quoteIdentifier(name)}`)
    await failpoints.hit('purge.somePartitions')
  }
  return expired
}

/** Partitions that are to be dropped, in order; null: the table has none by time. */
async function expiredPartitions(
  connection: Connection,
  { shard, schema }: Pick<PurgeTarget, 'shard' | 'schema'>,
  table: TableDefinition,
  floorMs: number,
): Promise<string[] | null> {
  const rows = await timePartitions(connection, schema, table)
  if (rows.length === 0) return null
  const bad = refusalOf(shard, table)
  return rows.flatMap((row, i) => {
    const bound = boundMs(row, table, bad)
    // The last one stays, whatever it holds: a table keeps at least one partition.
    return bound !== null && bound <= floorMs && i < rows.length - 1 ? [row['name'] ?? ''] : []
  })
}

/** Whether a purge up to this floor has taken away all that it takes. */
export async function isPurged(
  connection: Connection,
  place: Pick<PurgeTarget, 'shard' | 'schema'>,
  table: TableDefinition,
  floorMs: number,
): Promise<boolean> {
  const expired = await expiredPartitions(connection, place, table, floorMs)
  if (expired !== null) return expired.length === 0
  const below = await belowFloor(connection, place.schema, table, floorMs)
  if (below === null) return true
  return (await connection.value(`SELECT EXISTS (SELECT 1 FROM ${quoteQualified(place.schema, table.table)} WHERE ${below})`)) === '0'
}

async function deleteBelow(
  { connection, schema }: PurgeTarget,
  table: TableDefinition,
  floorMs: number,
  sql: PositionSql,
): Promise<number> {
  const below = await belowFloor(connection, schema, table, floorMs)
  await connection.query('COMMIT')
  if (below === null || table.bucket === null) return 0
  const order = `ORDER BY ${quoteIdentifier(table.bucket.column)} LIMIT 1000`
  return repeated(
    connection,
    `${fleetMark} DELETE FROM ${quoteQualified(schema, table.table)} WHERE ${below} ${order}`,
    sql.markPurge(table.table),
  )
}

/** The condition that expired rows meet, as SQL; null: the table has no such column. */
async function belowFloor(connection: Connection, schema: string, table: TableDefinition, floorMs: number): Promise<string | null> {
  const info = (await readSchema(connection, schema, [table.table])).tables[0]
  const column = info?.columns.find(({ name }) => name === table.bucket?.column)
  if (column === undefined || table.bucket === null) return null
  const codec = columnCodec(table.table, column, table.bucket.as)
  return `${codec.quoted} < ${codec.literal(codec.cell(floorMs))}`
}

/** In transactions of a thousand rows. `along`: in each that changes any. */
async function repeated(connection: Connection, sql: string, along: readonly string[] = []): Promise<number> {
  let rows = 0
  for (;;) {
    const result = await connection.query(sql)
    const affected = result.kind === 'ok' ? Number(result.affectedRows) : 0
    if (affected > 0) for (const one of along) await connection.query(one)
    await connection.query('COMMIT')
    rows += affected
    if (affected < 1000) return rows
  }
}
