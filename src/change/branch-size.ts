/**
 * What a new branch will hold when its window is full, and whether its disks have room: from the bytes that the old branch holds now, the part of
 * the window that they stand for, and the growth of distinct rows measured bucket by bucket. Today's size would be too little where
 * cardinality grows, and far too little where the old branch is young itself.
 */
import { append } from '../base/append.ts'
import { statfs } from 'node:fs/promises'
import { table as ingestTable } from '../ingest/tables.ts'
import type { Bucket, TableDefinition } from '../ingest/definition.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord, ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { bucketRange } from '../verify/ladder/buckets-sql.ts'
import { limitedSelect } from '../verify/ranges.ts'
import { withServer } from './servers.ts'

export type SizeNow = {
  /** Of the tables named, on all shards together: as the server's files have it. */
  readonly bytes: number
  readonly byTable: ReadonlyMap<string, number>
}

/** Data and indexes by the server's own figures, fresh. */
export async function sizeOf(store: Store, shards: readonly ShardRecord[], tables: readonly string[] | null): Promise<SizeNow> {
  const byTable = new Map<string, number>()
  for (const serverId of new Set(shards.map((shard) => shard.serverId))) {
    const schemas = shards.filter((shard) => shard.serverId === serverId).map((shard) => quoteString(shard.schema))
    await withServer(store, serverId, 'admin', async (connection) => {
      if (connection.flavour === 'mysql') await connection.query('SET SESSION information_schema_stats_expiry=0')
      const rows = await connection.allText(
        `SELECT TABLE_NAME AS name, SUM(DATA_LENGTH+INDEX_LENGTH+DATA_FREE) AS bytes FROM information_schema.TABLES
         WHERE TABLE_SCHEMA IN (${schemas.join(',')}) AND TABLE_TYPE='BASE TABLE' GROUP BY TABLE_NAME`,
      )
      for (const row of rows) {
        const name = row['name'] ?? ''
        if (tables !== null && !tables.includes(name)) continue
        byTable.set(name, (byTable.get(name) ?? 0) + Number(row['bytes'] ?? 0))
      }
    })
  }
  return { bytes: [...byTable.values()].reduce((sum, bytes) => sum + bytes, 0), byTable }
}

/** Free bytes where these shards' servers keep their data; null: not visible from here (attached servers). */
export async function freeBytes(store: Store, shards: readonly ShardRecord[]): Promise<number | null> {
  let free: number | null = null
  for (const serverId of new Set(shards.map((shard) => shard.serverId))) {
    const server = (await readRecord<ServerRecord>(store, keys.server(serverId)))?.value
    if (server?.dataDir === null || server?.dataDir === undefined) return null
    try {
      const stats = await statfs(server.dataDir)
      // Several servers on one disk have it together: the least is what all of them may take.
      const here = stats.bavail * stats.bsize
      free = free === null ? here : Math.min(free, here)
    } catch {
      return null
    }
  }
  return free
}

export type TableGrowth = {
  readonly table: string
  /** Event milliseconds that the old branch holds of it, and of how many it will. */
  readonly heldMs: number
  readonly retentionMs: number
  /** Rows of a bucket, in the older and in the newer part of what is held; null: too few buckets, or the count took too long. */
  readonly rowsBefore: number | null
  readonly rowsNow: number | null
  /** Growth of rows in a bucket over one day of event time; null: not known. */
  readonly perDay: number | null
}

const countMsMax = 5_000
const bucketsCounted = 3

/**
 * Old and new buckets are counted on every shard, a few of each, within a time limit: one statement at a time on a server. Only buckets that every shard
 * still has: one that purged later than the others would have the oldest alone.
 */
export async function growthOf(
  store: Store,
  shards: readonly ShardRecord[],
  branchId: string,
  tables: readonly TableDefinition[],
): Promise<TableGrowth[]> {
  const marks = await onEach(store, shards, (connection, shard) => markedBuckets(connection, shard, branchId))
  const out: TableGrowth[] = []
  for (const definition of tables) {
    const { bucket, retentionMs, table: name } = definition
    if (bucket === null || retentionMs === null) continue
    const floorMs = Math.max(...marks.map(({ floors }) => floors.get(name) ?? -Infinity))
    const all = new Set(marks.flatMap(({ buckets }) => buckets.get(name) ?? []))
    const buckets = [...all].filter((one) => one >= floorMs).toSorted((a, b) => a - b)
    const first = buckets[0]
    const last = buckets.at(-1)
    const heldMs = first === undefined || last === undefined ? 0 : last + bucket.everyMs - first
    // The first bucket and the last are only parts of one; of four whole ones or fewer nothing can be told.
    const whole = buckets.slice(1, -1)
    const some = whole.length < 4 ? 0 : Math.min(bucketsCounted, Math.floor(whole.length / 2))
    const count = async (which: readonly number[]): Promise<number | null> => {
      const counts = await onEach(store, shards, (connection, shard) => rowsIn(connection, shard, definition, bucket, which))
      return counts.includes(null) ? null : counts.reduce<number>((sum, n) => sum + (n ?? 0), 0) / which.length
    }
    const rowsBefore = some === 0 ? null : await count(whole.slice(0, some))
    const rowsNow = some === 0 ? null : await count(whole.slice(-some))
    out.push({ table: name, heldMs, retentionMs, rowsBefore, rowsNow, perDay: growthPerDay(rowsBefore, rowsNow, heldMs) })
  }
  return out
}

/** Servers side by side, the shards of one in turn. */
async function onEach<T>(
  store: Store,
  shards: readonly ShardRecord[],
  work: (connection: Connection, shard: ShardRecord) => Promise<T>,
): Promise<T[]> {
  const servers = [...new Set(shards.map((shard) => shard.serverId))]
  const answers = await Promise.all(
    servers.map((id) =>
      withServer(store, id, 'admin', async (connection) => {
        const out: T[] = []
        for (const shard of shards) if (shard.serverId === id) out.push(await work(connection, shard))
        return out
      }),
    ),
  )
  return answers.flat()
}

type Marked = { readonly buckets: ReadonlyMap<string, number[]>; readonly floors: ReadonlyMap<string, number> }

/** By table: the buckets that this shard has had rows of, and below which they are gone. */
async function markedBuckets(connection: Connection, shard: ShardRecord, branchId: string): Promise<Marked> {
  const mine = `shard_uid=${quoteString(shard.uid)} AND branch_id=${quoteString(branchId)}`
  const buckets = new Map<string, number[]>()
  const marks = await connection.allText(`SELECT DISTINCT table_name AS t, bucket_ms AS b FROM ${ingestTable.mark} WHERE ${mine}`)
  for (const { t, b } of marks) append(buckets, t ?? '', Number(b))
  const floors = await connection.allText(`SELECT table_name AS t, floor_ms AS f FROM ${ingestTable.floor} WHERE ${mine}`)
  return { buckets, floors: new Map(floors.map(({ t, f }) => [t ?? '', Number(f)])) }
}

/** Rows of buckets that lie side by side; null: counting takes too long. */
async function rowsIn(
  connection: Connection,
  shard: ShardRecord,
  definition: TableDefinition,
  bucket: Required<Bucket>,
  which: readonly number[],
): Promise<number | null> {
  const [low = 0, high = 0] = [which[0], which.at(-1)]
  try {
    const result = await connection.query(
      limitedSelect(
        connection.flavour,
        `COUNT(*) FROM ${quoteQualified(shard.schema, definition.table)} WHERE ${bucketRange(definition, low, high + bucket.everyMs)}`,
        countMsMax,
      ),
    )
    return result.kind === 'rows' ? Number(result.rows[0]?.[0]?.toString() ?? 0) : null
  } catch {
    return null
  }
}

const dayMs = 86_400_000

/** Pure: the daily factor less one that leads from the older bucket's rows to the newer's over what is held; null below a quarter of a day. */
export function growthPerDay(before: number | null, now: number | null, heldMs: number): number | null {
  if (before === null || now === null || before <= 0 || now <= 0 || heldMs < dayMs / 4) return null
  return (now / before) ** (dayMs / heldMs) - 1
}

/**
 * Pure: the bytes of a full window. `heldMs` of it are there in `bytes`; when it is full there are `retentionMs / heldMs` times as many, at the
 * rows that buckets have now rather than on average.
 */
export function steadyBytes(bytes: number, growth: Pick<TableGrowth, 'heldMs' | 'retentionMs' | 'rowsBefore' | 'rowsNow'>): number | null {
  if (growth.heldMs <= 0) return null
  const window = Math.max(1, growth.retentionMs / growth.heldMs)
  const grown =
    growth.rowsBefore === null || growth.rowsNow === null ? 1 : Math.max(1, (2 * growth.rowsNow) / (growth.rowsBefore + growth.rowsNow))
  return bytes * window * grown
}
