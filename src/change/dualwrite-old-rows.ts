/**
 * Rows of the old shards that no mark of the run's topics tells of: they were there before the fleet that fills the keyspace now (it was adopted with its rows), or
 * another topic's fleet wrote them (the topic was made anew). No mark says that the new branch has them, so their buckets are not whole there until they expire.
 *
 * How it is found, and what that costs a server: rows are looked for only outside the buckets that are marked, by the bucket column. Partitions by time or an index
 * that begins with it make that a look at what lies there; without either it is one read of the table, ended by the server after a minute, and then it is not known
 * (promise 6). A table in which there are none is not looked at again: who writes besides the fleets is seen in the binlogs. Where there are some, again when the newest of
 * them has expired. So a server meets one such statement a table and shard at the beginning of a run, and one when those rows have expired.
 *
 * Rows are read before the marks that are to tell of them: both come in one transaction, so what is read is marked by then, or purged below the floor.
 */
import type { TableDefinition } from '../ingest/definition.ts'
import { table } from '../ingest/tables.ts'
import { noFloor } from '../ingest/position-sql.ts'
import { asBytes } from '../move/statements.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { bucketBound, bucketExpression } from '../verify/ladder/buckets-sql.ts'
import { limitedSelect } from '../verify/ranges.ts'
import { withServer } from './servers.ts'

/** Buckets that hold such rows. */
export type OldRows = { readonly oldestMs: number; readonly newestMs: number }

/** Over all shards. `unknown`: why it is not known of all of them; null: it is. */
export type OldRowsFound = { readonly byTable: ReadonlyMap<string, OldRows>; readonly unknown: string | null }

type Known = 'none' | ((OldRows | { readonly because: string }) & { readonly againAtMs: number })

const lookMsMax = 60_000
const retryMs = 5_000
/** What took too long takes as long the next time. */
const retrySlowMs = 600_000
/** Whether those that were found have expired. */
const expiredEveryMs = 10_000
/** More of them are not listed: then the table is read once. */
const gapsMax = 100
const attemptsMax = 3

/** What a controller has found so far; another one looks anew. */
export class OldRowsLooks {
  readonly #known = new Map<string, Known>()

  /** Does what is due, one statement at a time. */
  async look(
    store: Store,
    shards: readonly ShardRecord[],
    tables: readonly TableDefinition[],
    fleets: readonly FleetRecord[],
    clock: { nowMs(): number },
    signal: AbortSignal,
  ): Promise<void> {
    for (const shard of shards)
      for (const one of tables.filter(({ bucket }) => bucket !== null)) {
        signal.throwIfAborted()
        const key = keyOf(shard, one.table, fleets)
        const known = this.#known.get(key)
        if (known === 'none' || (known !== undefined && known.againAtMs > clock.nowMs())) continue
        const had = known !== undefined && 'newestMs' in known ? known : null
        try {
          const rows = await withServer(store, shard.serverId, 'admin', async (connection) => {
            if (had !== null && (await marksOf(connection, shard, one.table, fleets)).floorMs <= had.newestMs) return had
            return unmarkedRows(connection, shard, one, fleets)
          })
          this.#known.set(key, rows === null ? 'none' : { ...rows, againAtMs: clock.nowMs() + expiredEveryMs })
        } catch (error) {
          const slow = isServerError(error, 3024, 1969)
          const because = slow
            ? `it took longer than ${lookMsMax / 1000} s: give ${one.table} an index that begins with ${one.bucket?.column}, or partitions by it`
            : error instanceof Error
              ? error.message
              : String(error)
          this.#known.set(key, { because, againAtMs: clock.nowMs() + (slow ? retrySlowMs : retryMs) })
        }
      }
  }

  found(shards: readonly ShardRecord[], tables: readonly TableDefinition[], fleets: readonly FleetRecord[]): OldRowsFound {
    const byTable = new Map<string, OldRows>()
    let unknown: string | null = null
    for (const shard of shards)
      for (const one of tables.filter(({ bucket }) => bucket !== null)) {
        const known = this.#known.get(keyOf(shard, one.table, fleets))
        if (known === 'none') continue
        if (known === undefined || 'because' in known) {
          unknown ??= `whether ${shard.name} holds rows of ${one.table} that no mark tells of is not known${known === undefined ? ' yet' : ` (${known.because})`}`
          continue
        }
        const had = byTable.get(one.table) ?? known
        byTable.set(one.table, {
          oldestMs: Math.min(had.oldestMs, known.oldestMs),
          newestMs: Math.max(had.newestMs, known.newestMs),
        })
      }
    return { byTable, unknown }
  }
}

/** Another topic's fleet makes the answer another one. */
function keyOf(shard: ShardRecord, name: string, fleets: readonly FleetRecord[]): string {
  return [shard.uid, name, ...fleets.map((fleet) => `${fleet.branchId}/${fleet.topicId}`).toSorted()].join('\n')
}

type Marks = { readonly floorMs: number; /** Ascending. */ readonly own: readonly number[]; readonly others: readonly number[] }

async function marksOf(connection: Connection, shard: ShardRecord, name: string, fleets: readonly FleetRecord[]): Promise<Marks> {
  const mine = fleets.map((fleet) => `(branch_id = ${quoteString(fleet.branchId)} AND topic_id = ${quoteString(fleet.topicId)})`)
  const branches = [...new Set(fleets.map((fleet) => quoteString(fleet.branchId)))]
  const where = `shard_uid = ${quoteString(shard.uid)} AND table_name = ${quoteString(name)}`
  const marks = await connection.allText(
    `SELECT bucket_ms AS bucket, MIN(${mine.join(' OR ')}) AS own FROM ${table.mark} WHERE ${where} AND bucket_ms <> ${noFloor} GROUP BY bucket_ms ORDER BY bucket_ms`,
  )
  const floor = await connection.value(`SELECT MAX(floor_ms) FROM ${table.floor} WHERE ${where} AND branch_id IN (${branches.join(', ')})`)
  const floorMs = Number(floor ?? noFloor)
  const held = marks.map((row) => ({ bucket: Number(row['bucket']), own: row['own'] === '1' })).filter(({ bucket }) => bucket >= floorMs)
  return {
    floorMs,
    own: held.flatMap(({ bucket, own }) => (own ? [bucket] : [])),
    // Where another fleet's marks stand beside ours, rows of both do.
    others: held.flatMap(({ bucket, own }) => (own ? [] : [bucket])),
  }
}

/** Null: none. */
export async function unmarkedRows(
  connection: Connection,
  shard: ShardRecord,
  definition: TableDefinition,
  fleets: readonly FleetRecord[],
): Promise<OldRows | null> {
  const everyMs = definition.bucket?.everyMs ?? 1
  let marks = await marksOf(connection, shard, definition.table, fleets)
  for (let attempt = 1; ; attempt++) {
    const gaps = gapsBetween([...marks.own, ...marks.others], everyMs, marks.floorMs)
    const listed = attempt === attemptsMax || gaps.length > gapsMax
    const rows = await (listed
      ? bucketsFrom(connection, shard, definition, marks.floorMs)
      : endsWithin(connection, shard, definition, gaps))
    marks = await marksOf(connection, shard, definition.table, fleets)
    const marked = new Set([...marks.own, ...marks.others])
    const unmarked = rows.filter((bucket) => bucket >= marks.floorMs && !marked.has(bucket))
    // The newest came, or the oldest went, while it was looked: what lies between them was not seen.
    if (!listed && unmarked.length < rows.length) continue
    const newest = unmarked.length === 0 ? null : Math.max(...unmarked)
    // They end somewhere within the bucket that follows: it has marks, and rows of before.
    const next = newest !== null && marks.own.includes(newest + everyMs) ? [newest + everyMs] : []
    const all = [...unmarked, ...next, ...marks.others]
    return all.length === 0 ? null : { oldestMs: Math.min(...all), newestMs: Math.max(...all) }
  }
}

/** The oldest and the newest bucket that holds rows within the gaps; of the column itself, so that an index or partitions answer it. */
function endsWithin(connection: Connection, shard: ShardRecord, definition: TableDefinition, gaps: readonly Gap[]): Promise<number[]> {
  const column = quoteIdentifier(definition.bucket?.column ?? '')
  const bucket = bucketExpression(definition).replaceAll(column, 'x.v')
  const where = gaps.map((gap) => `(${within(definition, gap)})`).join(' OR ')
  const end = (name: 'MIN' | 'MAX'): string =>
    `(SELECT ${bucket} FROM (SELECT ${name}(${column}) AS v FROM ${quoteQualified(shard.schema, definition.table)} WHERE ${where}) x)`
  return numbersOf(connection, `${end('MIN')}, ${end('MAX')}`)
}

/** All buckets that hold rows. */
function bucketsFrom(connection: Connection, shard: ShardRecord, definition: TableDefinition, floorMs: number): Promise<number[]> {
  const where = within(definition, { lowMs: floorMs === noFloor ? null : floorMs, highMs: null })
  const from = quoteQualified(shard.schema, definition.table)
  return numbersOf(connection, `${bucketExpression(definition)} AS b FROM ${from} WHERE ${where} GROUP BY b ORDER BY NULL`)
}

function within(definition: TableDefinition, { lowMs, highMs }: Gap): string {
  const column = quoteIdentifier(definition.bucket?.column ?? '')
  const low = lowMs === null ? [] : [`${column} >= ${bucketBound(definition, lowMs)}`]
  const high = highMs === null ? [] : [`${column} < ${bucketBound(definition, highMs)}`]
  return [...low, ...high].join(' AND ') || 'TRUE'
}

async function numbersOf(connection: Connection, select: string): Promise<number[]> {
  const result = await connection.query(limitedSelect(connection.flavour, asBytes(select), lookMsMax))
  const cells = result.kind === 'rows' ? result.rows.flatMap((row) => row) : []
  return cells.flatMap((cell) => (cell === null || cell === undefined ? [] : [Number(cell.toString('latin1'))]))
}

export type Gap = { readonly lowMs: number | null; readonly highMs: number | null }

/** Pure: what lies between marked buckets, before the first and after the last; null: without end. At or above the floor. */
export function gapsBetween(marked: readonly number[], everyMs: number, floorMs: number): Gap[] {
  const gaps: Gap[] = []
  let lowMs: number | null = floorMs === noFloor ? null : floorMs
  for (const bucket of [...new Set(marked)].toSorted((a, b) => a - b)) {
    if (lowMs === null || bucket > lowMs) gaps.push({ lowMs, highMs: bucket })
    lowMs = bucket + everyMs
  }
  return [...gaps, { lowMs, highMs: null }]
}

/** Whether the tables of a fleet that is being made hold rows already. A table that is not there holds none. */
export async function holdRows(store: Store, shards: readonly ShardRecord[], tables: readonly TableDefinition[]): Promise<boolean> {
  for (const shard of shards) {
    const found = await withServer(store, shard.serverId, 'admin', async (connection) => {
      for (const one of tables.filter(({ bucket }) => bucket !== null))
        try {
          if ((await connection.value(`SELECT 1 FROM ${quoteQualified(shard.schema, one.table)} LIMIT 1`)) != null) return true
        } catch (error) {
          if (!isServerError(error, errno.noSuchTable, errno.badDatabase)) throw error
        }
      return false
    })
    if (found) return true
  }
  return false
}
