/**
 * A fleet's own rows on a shard, taken along when the shard's key range goes to other shards (PROTOCOLS 4.17): positions, floors, marks, event ids, dead letters.
 * Streams skip them, since they belong to a shard and not to a key.
 *
 * Why every record still takes effect once: they are read when the old shard is closed, so `next` says exactly which records are in the rows that the new shard
 * has drained. The new shard starts from that `next`, whatever it held before; a record below it is in the rows, one above it is in no row of the old shard.
 * Several old shards meet in one new shard only where their `next` agree: with two of them one record would be lost or counted twice, whichever was taken.
 * A missing row means the start offset (4.2), so it agrees with a `next` that stands there.
 *
 * What grows with the data is copied before, while the shard is written: marks, event ids and dead letters carry the offset of the last record that made them, and
 * are committed with the position that passes it. So those that came after a look at the positions are those at or above what it saw.
 * Event ids stand under no key of the table (an id says nothing of the shard key): each new shard that meets the old one gets all of them, which refuses the same
 * records as the old shard did.
 */
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import { ingestTables, table } from './tables.ts'
import { controlSchemaName } from './schema-name.ts'

export type CarriedPosition = {
  readonly branchId: string
  readonly topicId: string
  readonly partition: number
  readonly epoch: bigint
  readonly next: bigint
  readonly leaderEpoch: number
  readonly start: bigint
  readonly ranges: bigint
  readonly records: bigint
  readonly lateRows: bigint
  readonly deadRecords: bigint
  readonly newestMs: number
}

/** `shard` for messages; `counts`: the one new shard that goes on with its account, so that sums over shards stay what they are. */
export type OldPositions = { readonly shard: string; readonly counts: boolean; readonly positions: readonly CarriedPosition[] }

export type Disagreement = {
  readonly topicId: string
  readonly partition: number
  readonly at: readonly { readonly shard: string; readonly next: bigint }[]
}

const keyOf = (p: CarriedPosition): string => JSON.stringify([p.branchId, p.topicId, p.partition])

/** What one new shard begins with. Where the old ones disagree nothing is made up. */
export function mergePositions(old: readonly OldPositions[]): { positions: CarriedPosition[]; disagreements: Disagreement[] } {
  const all = new Map<string, CarriedPosition>()
  const disagreements: Disagreement[] = []
  for (const one of old.flatMap(({ positions }) => positions)) if (!all.has(keyOf(one))) all.set(keyOf(one), one)
  const positions: CarriedPosition[] = []
  for (const [key, first] of all) {
    const rows = old.map(({ shard, counts, positions: own }) => ({ shard, counts, row: own.find((one) => keyOf(one) === key) ?? null }))
    const at = rows.map(({ shard, row }) => ({ shard, next: row?.next ?? first.start }))
    const starts = rows.every(({ row }) => row === null || row.start === first.start)
    if (!starts || at.some(({ next }) => next !== at[0]?.next)) {
      disagreements.push({ topicId: first.topicId, partition: first.partition, at })
      continue
    }
    const present = rows.flatMap(({ row, counts }) => (row === null ? [] : [{ row, counts }]))
    const sum = (of: (row: CarriedPosition) => bigint): bigint => present.reduce((n, { row, counts }) => (counts ? n + of(row) : n), 0n)
    const max = <T>(of: (row: CarriedPosition) => T): T => present.map(({ row }) => of(row)).reduce((a, b) => (b > a ? b : a))
    positions.push({
      ...first,
      next: at[0]?.next ?? first.next,
      // The greatest: whoever was refused on one old shard is refused here.
      epoch: max((row) => row.epoch),
      leaderEpoch: max((row) => row.leaderEpoch),
      newestMs: max((row) => row.newestMs),
      ranges: sum((row) => row.ranges),
      records: sum((row) => row.records),
      lateRows: sum((row) => row.lateRows),
      deadRecords: sum((row) => row.deadRecords),
    })
  }
  return { positions, disagreements }
}

/** Whether a fleet has ever been at this shard. */
export async function hasFleetRows(connection: Connection, shardUid: string): Promise<boolean> {
  const there = await connection.value(
    `SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(controlSchemaName)} AND TABLE_NAME = 'ingest_position'`,
  )
  if (there === undefined) return false
  return (await connection.value(`SELECT 1 FROM ${table.position} WHERE shard_uid = ${quoteString(shardUid)} LIMIT 1`)) !== undefined
}

export async function readPositions(connection: Connection, shardUid: string): Promise<CarriedPosition[]> {
  const rows = await connection.allText(`SELECT * FROM ${table.position} WHERE shard_uid = ${quoteString(shardUid)}`)
  const big = (row: Record<string, string | null>, name: string): bigint => BigInt(row[name] ?? 0)
  return rows.map((row) => ({
    branchId: row['branch_id'] ?? '',
    topicId: row['topic_id'] ?? '',
    partition: Number(row['partition_no']),
    epoch: big(row, 'epoch'),
    next: big(row, 'next_offset'),
    leaderEpoch: Number(row['leader_epoch']),
    start: big(row, 'start_offset'),
    ranges: big(row, 'ranges'),
    records: big(row, 'records'),
    lateRows: big(row, 'late_rows'),
    deadRecords: big(row, 'dead_records'),
    newestMs: Number(row['newest_ms']),
  }))
}

/** In place of whatever this shard had. It is closed, and no fleet is at it. */
export async function writePositions(connection: Connection, shardUid: string, positions: readonly CarriedPosition[]): Promise<void> {
  await connection.query(`DELETE FROM ${table.position} WHERE shard_uid = ${quoteString(shardUid)}`)
  if (positions.length === 0) return
  const values = positions.map(
    (p) =>
      `(${quoteString(shardUid)},${quoteString(p.branchId)},${quoteString(p.topicId)},${p.partition},${p.epoch},${p.next},${p.leaderEpoch},${p.start},${p.next - p.start},${p.ranges},${p.records},${p.lateRows},${p.deadRecords},${p.newestMs})`,
  )
  await connection.query(
    `INSERT INTO ${table.position} (shard_uid,branch_id,topic_id,partition_no,epoch,next_offset,leader_epoch,start_offset,taken,ranges,records,late_rows,dead_records,newest_ms) VALUES ${values.join(',')}`,
  )
}

/** Nothing of a fleet stands there afterwards. */
export async function forgetFleetRows(connection: Connection, shardUids: readonly string[]): Promise<void> {
  if (shardUids.length === 0) return
  const list = shardUids.map((uid) => quoteString(uid)).join(',')
  const there = await connection.allText(
    `SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(controlSchemaName)} AND TABLE_NAME LIKE 'ingest\\_%'`,
  )
  for (const { name } of there) {
    if (!ingestTables.includes(name ?? '')) continue
    for (;;) {
      const result = await connection.query(`DELETE FROM ${controlSchemaName}.${name} WHERE shard_uid IN (${list}) LIMIT 5000`)
      if (result.kind !== 'ok' || result.affectedRows < 5000n) break
    }
  }
}

type Column = { readonly name: string; readonly is: 'text' | 'number' | 'bytes' }
type CarriedTable = {
  readonly table: string
  readonly columns: readonly Column[]
  /** What an INSERT that meets the row does to it; none: it leaves it alone. */
  readonly onDuplicate: ReadonlyMap<string, 'LEAST' | 'GREATEST'>
  /** Rows that are read at once; dead letters hold whole records. */
  readonly pageRows: number
}

const text = (name: string): Column => ({ name, is: 'text' })
const number = (name: string): Column => ({ name, is: 'number' })
const bytes = (name: string): Column => ({ name, is: 'bytes' })

/** Of marks only the ends are looked at (4.11); how many rows made them is no sum any more where old shards have met. */
const marks: CarriedTable = {
  table: table.mark,
  columns: [
    text('branch_id'),
    text('table_name'),
    number('bucket_ms'),
    text('topic_id'),
    number('partition_no'),
    number('first_offset'),
    number('last_offset'),
    number('row_count'),
  ],
  onDuplicate: new Map([
    ['first_offset', 'LEAST'],
    ['last_offset', 'GREATEST'],
    ['row_count', 'GREATEST'],
  ]),
  pageRows: 2000,
}
const events: CarriedTable = {
  table: table.event,
  columns: [
    text('branch_id'),
    text('table_name'),
    number('bucket_ms'),
    bytes('event_id'),
    text('topic_id'),
    number('partition_no'),
    number('at_offset'),
  ],
  onDuplicate: new Map(),
  pageRows: 2000,
}
const dead: CarriedTable = {
  table: table.dead,
  columns: [
    text('branch_id'),
    text('topic_id'),
    number('partition_no'),
    number('at_offset'),
    number('timestamp_ms'),
    bytes('record_key'),
    bytes('record_value'),
    text('reason'),
  ],
  onDuplicate: new Map(),
  pageRows: 4,
}

export type CarryTarget = {
  readonly shardUid: string
  /** Runs a statement there. Each is repeatable and alone. */
  readonly run: (sql: (connection: Connection) => string) => Promise<unknown>
  /** The one new shard that goes on with the old one's account: dead letters go there. */
  readonly counts: boolean
}

/** What came at or after `since` of each partition; of one that it does not name: all. Returns how many rows. */
export async function carrySince(
  from: Connection,
  shardUid: string,
  since: readonly CarriedPosition[],
  targets: readonly CarryTarget[],
): Promise<number> {
  const own = `shard_uid = ${quoteString(shardUid)}`
  const partitions = (await readPositions(from, shardUid)).map((position) => ({
    where: `branch_id = ${quoteString(position.branchId)} AND topic_id = ${quoteString(position.topicId)} AND partition_no = ${position.partition}`,
    since: since.find((one) => keyOf(one) === keyOf(position))?.next ?? 0n,
  }))
  if (partitions.length === 0) return 0
  let rows = 0
  // By their key, in one pass over all partitions: their offsets change with every write, so no index is kept on them.
  const recent = partitions.map((one) => `(${one.where} AND last_offset >= ${one.since})`).join(' OR ')
  for (const { branch_id: branchId, table_name: name } of await from.allText(
    `SELECT DISTINCT branch_id, table_name FROM ${table.mark} WHERE ${own}`,
  )) {
    const where = `${own} AND branch_id = ${quoteString(branchId ?? '')} AND table_name = ${quoteString(name ?? '')}`
    rows += await carryTable(from, marks, { where: `${where} AND (${recent})`, by: 'bucket_ms', at: null }, targets)
  }
  const first = targets.filter(({ counts }) => counts)
  for (const partition of partitions) {
    const pages = { where: `${own} AND ${partition.where}`, by: 'at_offset', at: partition.since }
    rows += await carryTable(from, events, pages, targets)
    if (first.length > 0) rows += await carryTable(from, dead, pages, first)
  }
  return rows
}

/** In pages by a column, each with all the rows of its last value. */
async function carryTable(
  from: Connection,
  carried: CarriedTable,
  { where, by, at: first }: { readonly where: string; readonly by: string; readonly at: bigint | null },
  targets: readonly CarryTarget[],
): Promise<number> {
  const list = carried.columns.map(({ name, is }) => (is === 'bytes' ? `HEX(${name}) AS ${name}` : name)).join(', ')
  let rows = 0
  for (let at = first; ;) {
    const rest = at === null ? where : `${where} AND ${by} >= ${at}`
    const bound = await from.value(`SELECT ${by} FROM ${carried.table} WHERE ${rest} ORDER BY ${by} LIMIT 1 OFFSET ${carried.pageRows - 1}`)
    const last = bound === undefined || bound === null ? null : BigInt(bound)
    const page = await from.allText(`SELECT ${list} FROM ${carried.table} WHERE ${last === null ? rest : `${rest} AND ${by} <= ${last}`}`)
    rows += page.length
    if (page.length > 0)
      for (const target of targets) await target.run((connection) => insertSql(connection, carried, target.shardUid, page))
    if (last === null) return rows
    at = last + 1n
  }
}

function insertSql(
  connection: Connection,
  carried: CarriedTable,
  shardUid: string,
  page: readonly Record<string, string | null>[],
): string {
  const names = ['shard_uid', ...carried.columns.map(({ name }) => name)]
  const literal = ({ name, is }: Column, row: Record<string, string | null>): string => {
    const value = row[name] ?? null
    if (value === null) return 'NULL'
    if (is === 'number') return String(BigInt(value))
    if (is === 'bytes') return value === '' ? "''" : `x'${value}'`
    return quoteString(value)
  }
  const values = page.map((row) => `(${[quoteString(shardUid), ...carried.columns.map((column) => literal(column, row))].join(',')})`)
  const into = `INTO ${carried.table} (${names.join(',')}) VALUES ${values.join(',')}`
  if (carried.onDuplicate.size === 0) return `INSERT IGNORE ${into}`
  const { upsertAlias, upsertValue } = flavourOf(connection)
  const own = carried.table.slice(carried.table.indexOf('.') + 1)
  const sets = [...carried.onDuplicate].map(([name, merge]) => `${name}=${merge}(${own}.${name},${upsertValue(name)})`)
  return `INSERT ${into}${upsertAlias} ON DUPLICATE KEY UPDATE ${sets.join(',')}`
}

/** Floors are raised, never lowered: the greatest of the old shards'. */
export async function readFloors(
  connection: Connection,
  shardUid: string,
): Promise<{ branchId: string; table: string; floorMs: bigint }[]> {
  const rows = await connection.allText(
    `SELECT branch_id, table_name, floor_ms FROM ${table.floor} WHERE shard_uid = ${quoteString(shardUid)}`,
  )
  return rows.map((row) => ({
    branchId: row['branch_id'] ?? '',
    table: row['table_name'] ?? '',
    floorMs: BigInt(row['floor_ms'] ?? 0),
  }))
}

export function floorsSql(
  shardUid: string,
  floors: readonly { branchId: string; table: string; floorMs: bigint }[],
): (connection: Connection) => string {
  const values = floors.map((one) => `(${quoteString(shardUid)},${quoteString(one.branchId)},${quoteString(one.table)},${one.floorMs})`)
  return (connection) => {
    const { upsertAlias, upsertValue } = flavourOf(connection)
    return `INSERT INTO ${table.floor} (shard_uid,branch_id,table_name,floor_ms) VALUES ${values.join(',')}${upsertAlias} ON DUPLICATE KEY UPDATE floor_ms=GREATEST(ingest_floor.floor_ms,${upsertValue('floor_ms')})`
  }
}
