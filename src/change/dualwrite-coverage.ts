/**
 * How much of the retention window the new branch holds whole, and when it will hold all of it.
 *
 * A bucket is whole on the new branch iff, for every topic partition, the first offset that contributed to it on the old branch is not before
 * the new branch's start (PROTOCOLS 4.11): marks on the old shards tell, so event time that comes late or out of order is counted as it is.
 * What is not whole on the old side itself (its own start) is not asked for, where its tables were empty when its fleet was made. Where they were not, rows of before
 * have no marks, or stand beside marks that do not tell of them: buckets up to the one in which the fleet began, and all that hold rows without marks of a paired
 * topic (`dualwrite-old-rows.ts`), are not whole until they have expired. The new branch must also have applied what it was given: its lag
 * is part of the verdict, not of the percentage.
 */
import { table } from '../ingest/tables.ts'
import { quoteString } from '../sql/quote.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Coverage } from './dualwrite-spec.ts'
import type { OldRowsFound } from './dualwrite-old-rows.ts'
import { withServer } from './servers.ts'
import type { World } from './servers.ts'

export type Window = {
  readonly table: string
  /** Oldest and newest bucket that the old branch holds. */
  readonly oldestMs: number
  readonly newestMs: number
  /** Newest bucket that began before the new branch did; null: none, all are whole. */
  readonly brokenMs: number | null
  /** Newest bucket in which the old fleet began beside rows that were there before; null: none that is still held. */
  readonly adoptedMs?: number | null
  readonly everyMs: number
}

/** A bucket that any of so many first offsets contributed to was open when the fleet began. */
const firstOffsets = 100n

/** Marks of buckets that were open when the old fleet began; null: nothing was there before it, in its tables or in the topic. Pure. */
export function adoptedSql(old: FleetRecord): string | null {
  const begun = Object.entries(old.startOffsets).filter(([, offset]) => BigInt(offset) > 0n)
  if (old.tablesWereEmpty === true || begun.length === 0) return null
  return begun.map(([p, offset]) => `(m.partition_no = ${Number(p)} AND m.first_offset < ${BigInt(offset) + firstOffsets})`).join(' OR ')
}

/** Reads the marks of the old shards; `null` when a shard can't be read. */
export async function readWindows(
  world: Pick<World, 'store'>,
  shards: readonly ShardRecord[],
  pairs: readonly { readonly old: FleetRecord; readonly new: FleetRecord }[],
  bucketMs: ReadonlyMap<string, number>,
): Promise<Window[] | null> {
  const windows = new Map<string, { oldestMs: number; newestMs: number; brokenMs: number | null; adoptedMs: number | null }>()
  try {
    for (const serverId of new Set(shards.map((shard) => shard.serverId))) {
      const uids = shards.filter((shard) => shard.serverId === serverId).map((shard) => quoteString(shard.uid))
      await withServer(world.store, serverId, 'admin', async (connection) => {
        for (const { old, new: fresh } of pairs) {
          const before = Object.entries(fresh.startOffsets).map(
            ([p, offset]) => `(m.partition_no = ${Number(p)} AND m.first_offset < ${BigInt(offset)})`,
          )
          const rows = await connection.allText(
            `SELECT m.table_name AS name, MIN(m.bucket_ms) AS oldest, MAX(m.bucket_ms) AS newest,
              MAX(CASE WHEN ${before.length === 0 ? 'FALSE' : before.join(' OR ')} THEN m.bucket_ms END) AS broken,
              MAX(CASE WHEN ${adoptedSql(old) ?? 'FALSE'} THEN m.bucket_ms END) AS adopted
             FROM ${table.mark} m LEFT JOIN ${table.floor} f
              ON f.shard_uid = m.shard_uid AND f.branch_id = m.branch_id AND f.table_name = m.table_name
             WHERE m.shard_uid IN (${uids.join(', ')}) AND m.branch_id = ${quoteString(old.branchId)} AND m.topic_id = ${quoteString(old.topicId)}
              AND (f.floor_ms IS NULL OR m.bucket_ms >= f.floor_ms)
             GROUP BY m.table_name`,
          )
          for (const row of rows) {
            const name = row['name'] ?? ''
            const oldest = Number(row['oldest'])
            const newest = Number(row['newest'])
            const had = windows.get(name)
            windows.set(name, {
              oldestMs: Math.min(oldest, had?.oldestMs ?? oldest),
              newestMs: Math.max(newest, had?.newestMs ?? newest),
              brokenMs: later(row['broken'], had?.brokenMs),
              adoptedMs: later(row['adopted'], had?.adoptedMs),
            })
          }
        }
      })
    }
  } catch {
    return null
  }
  return [...windows].map(([name, window]) => ({ table: name, ...window, everyMs: bucketMs.get(name) ?? 1 }))
}

function later(found: string | null | undefined, had: number | null | undefined): number | null {
  const known = [found ?? null, had ?? null].filter((one) => one !== null).map(Number)
  return known.length === 0 ? null : Math.max(...known)
}

export type CoverageInput = {
  readonly nowMs: number
  readonly windows: readonly Window[] | null
  /** Rows that no mark tells of; null: they are passed over by name. */
  readonly oldRows: OldRowsFound | null
  /** Old fleets whose topic no fleet of the new branch reads. */
  readonly unpaired: readonly string[]
  readonly bucketMs: ReadonlyMap<string, number>
  /** How long rows of each table stay; absent: they are not asked to expire. */
  readonly retentionMs: ReadonlyMap<string, number>
  /** Upper bounds of partitions by time, ascending: rows of these tables go by whole partitions. */
  readonly boundsMs: ReadonlyMap<string, readonly number[]>
  /** Records to catch up; null: not known. */
  readonly lag: bigint | null
  /** No more than this is caught up: what arrives in moments. */
  readonly lagMost: bigint
  /** Records that the new branch takes a second over those that arrive; null: not known. */
  readonly gainPerSecond: number | null
  /** How fast event time passes: event milliseconds in one of ours. */
  readonly eventTimeRate: number
}

/** Pure: percent, when, and why. */
export function judgeCoverage(input: CoverageInput): Coverage {
  const { nowMs, lag, gainPerSecond, oldRows } = input
  const lagText = lag === null ? null : String(lag)
  const notKnown = (because: string): Coverage => ({ atMs: nowMs, percent: null, readyAtMs: null, because, lag: lagText, tables: [] })
  if (input.windows === null) return notKnown('the old branch’s marks can not be read')
  if (oldRows !== null && oldRows.unknown !== null) return notKnown(oldRows.unknown)
  if (input.unpaired.length > 0) return notKnown(`no fleet of the new branch reads what ${input.unpaired.join(', ')} reads`)
  const windows = withOldRows(input.windows, oldRows, input.bucketMs)
  const tables = windows.map((window) => {
    const span = window.newestMs + window.everyMs - window.oldestMs
    const fullFromMs = window.brokenMs === null ? window.oldestMs : window.brokenMs + window.everyMs
    const percent = span <= 0 ? 100 : (Math.max(0, window.newestMs + window.everyMs - fullFromMs) / span) * 100
    return {
      table: window.table,
      percent: Math.min(100, Math.floor(percent * 10) / 10),
      fullFromMs: window.brokenMs === null ? null : fullFromMs,
    }
  })
  const percent = windows.length === 0 ? (lag === null ? null : 100) : Math.min(...tables.map((t) => t.percent))
  const reasons: { atMs: number | null; text: string }[] = []
  for (const [i, window] of windows.entries()) {
    if (window.brokenMs === null) continue
    const keptMs = input.retentionMs.get(window.table)
    if (keptMs === undefined) {
      reasons.push({ atMs: null, text: `${window.table} holds buckets from before this branch’s start, and they never expire` })
      continue
    }
    // The newest broken bucket leaves when the floor has passed its end, or that of its partition.
    const leavesMs = endOfPartition(input.boundsMs.get(window.table) ?? [], window.brokenMs + window.everyMs)
    const eventMsLeft = Math.max(0, leavesMs + keptMs - window.newestMs)
    const atMs = nowMs + eventMsLeft / Math.max(input.eventTimeRate, 1e-9)
    reasons.push({
      atMs,
      text: window.foreign
        ? `${window.table} holds rows up to ${new Date(window.brokenMs + window.everyMs).toISOString()} that its fleet did not write from this topic: no mark tells that the new branch has them; they expire`
        : `${window.table}: ${tables[i]?.percent} % of its window began after this branch’s start; the rest expires`,
    })
  }
  if (lag === null) reasons.push({ atMs: null, text: 'how far the new fleet is behind is not known' })
  else if (lag > input.lagMost) {
    const seconds = gainPerSecond === null || gainPerSecond <= 0 ? null : Number(lag) / gainPerSecond
    reasons.push({
      atMs: seconds === null ? null : nowMs + seconds * 1000,
      text: `the new fleet is ${lag} records behind${seconds === null ? ' and does not gain' : ''}`,
    })
  }
  if (reasons.length === 0) return { atMs: nowMs, percent, readyAtMs: nowMs, because: 'the whole window is there', lag: lagText, tables }
  const unknown = reasons.find((reason) => reason.atMs === null)
  const last = unknown ?? reasons.toSorted((a, b) => (b.atMs ?? 0) - (a.atMs ?? 0))[0]
  return {
    atMs: nowMs,
    percent,
    readyAtMs: last?.atMs === null || last === undefined ? null : Math.round(last.atMs),
    because: last?.text ?? '',
    lag: lagText,
    tables,
  }
}

/** The first bound that is no earlier; past the last there will be others, as wide as that one is. */
function endOfPartition(boundsMs: readonly number[], ms: number): number {
  const last = boundsMs.at(-1)
  if (last === undefined) return ms
  const width = last - (boundsMs.at(-2) ?? last)
  return boundsMs.find((bound) => bound >= ms) ?? (width <= 0 ? ms : last + Math.ceil((ms - last) / width) * width)
}

/** Rows that no mark tells of are held by the old branch like any other, and are not whole on the new one. */
function withOldRows(
  windows: readonly Window[],
  oldRows: OldRowsFound | null,
  bucketMs: ReadonlyMap<string, number>,
): (Window & { readonly foreign: boolean })[] {
  const names = new Set([...windows.map((window) => window.table), ...(oldRows?.byTable.keys() ?? [])])
  return [...names].map((table) => {
    const window = windows.find((one) => one.table === table)
    const rows = oldRows?.byTable.get(table)
    const broken = window?.brokenMs ?? -Infinity
    const foreign = Math.max(rows?.newestMs ?? -Infinity, oldRows === null ? -Infinity : (window?.adoptedMs ?? -Infinity))
    const newest = Math.max(broken, foreign)
    return {
      table,
      oldestMs: Math.min(window?.oldestMs ?? Infinity, rows?.oldestMs ?? Infinity),
      newestMs: Math.max(window?.newestMs ?? -Infinity, rows?.newestMs ?? -Infinity),
      brokenMs: newest === -Infinity ? null : newest,
      everyMs: window?.everyMs ?? bucketMs.get(table) ?? 1,
      foreign: foreign > broken,
    }
  })
}

/** Nothing left to wait for. */
export function isFilled(coverage: Coverage): boolean {
  return coverage.percent === 100 && coverage.readyAtMs !== null && coverage.readyAtMs <= coverage.atMs
}
