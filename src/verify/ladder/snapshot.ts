/**
 * Marks, positions, floors and, through the same session, rows of every shard of both branches, each shard in one snapshot (PROTOCOLS 4.11).
 * Read otherwise, a position could be newer than the rows it stands with, and a bucket would pass for comparable that is not.
 *
 * Purge is held back while the snapshots stand; one that had begun goes on. A partition that it drops takes its rows from a snapshot too: MySQL ends such a
 * reader (1412), MariaDB answers without them (seen), and rows that only one branch has lost so would be a difference. The floor is raised before anything
 * is dropped, and is not raised again: where no floor is another after the work than in its snapshots, nothing that was compared had gone. Else it is done again.
 */
import { isSwError } from '../../base/errors.ts'
import { ServerError } from '../../mysql/errors.ts'
import { table } from '../../ingest/tables.ts'
import type { ShardMarks } from '../../ingest/decide.ts'
import type { Connection } from '../../mysql/connection.ts'
import { quoteString } from '../../sql/quote.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import type { ShardRef } from '../../topology/records.ts'
import { readFloors, withPurgeHeld } from './purge-hold.ts'
import type { BranchSide, LadderWorld } from './world.ts'

export type PositionRow = {
  readonly topicId: string
  readonly partition: number
  readonly epoch: bigint
  readonly next: bigint
  readonly start: bigint
  readonly taken: bigint
  readonly ranges: bigint
  readonly records: bigint
  readonly lateRows: bigint
  readonly deadRecords: bigint
}

export type ShardSnapshot = {
  readonly ref: ShardRef
  readonly branch: string
  /** In the snapshot's transaction; results are bytes. */
  readonly connection: Connection
  readonly positions: readonly PositionRow[]
  /** By table, ms; and the condition that its rows meet. */
  readonly floors: ReadonlyMap<string, number>
  readonly floorWhere: string
  /** Next offset by `topic/partition`, the start where nothing was applied. */
  readonly next: ReadonlyMap<string, bigint>
}

export type Snapshots = { readonly old: readonly ShardSnapshot[]; readonly new: readonly ShardSnapshot[] }

/** A purge that had begun has ended by then. */
const purgeEndsMs = 30_000
const alterEndsMs = 5_000
const againMs = 250

/** Runs `work` with a snapshot of every shard of both branches, and with purge held back. */
export async function withSnapshots<T>(world: LadderWorld, work: (snapshots: Snapshots) => Promise<T>): Promise<T> {
  return withPurgeHeld(world, async () => {
    const { clock, signal } = world
    const beganMs = clock.monotonicMs()
    const endMs = beganMs + purgeEndsMs
    for (;;) {
      try {
        const done = await snapshotsOnce(world, work)
        if (done !== null) return done.value
        if (clock.monotonicMs() > endMs) throw new Error('rows were purged while they were compared')
      } catch (error) {
        // A table that is just being altered is in no list of MariaDB's (seen).
        const altered = isSwError(error, 'SW-VERIFY-004') && clock.monotonicMs() <= beganMs + alterEndsMs
        const dropped = error instanceof ServerError && error.errno === 1412 && clock.monotonicMs() <= endMs
        if (!altered && !dropped) throw error
      }
      await clock.sleep(againMs, signal)
    }
  })
}

/** Null: a floor was raised meanwhile. */
async function snapshotsOnce<T>(world: LadderWorld, work: (snapshots: Snapshots) => Promise<T>): Promise<{ readonly value: T } | null> {
  const open: Connection[] = []
  try {
    const take = (side: BranchSide, fleets: readonly FleetRecord[]): Promise<ShardSnapshot[]> =>
      Promise.all(
        side.shards.map(async (ref) => {
          const connection = await world.sessions.own(ref.serverId)
          open.push(connection)
          return readShard(connection, ref, side.branch, fleets)
        }),
      )
    const [before, after] = await Promise.all([
      take(
        world.old,
        world.pairs.map((pair) => pair.old),
      ),
      take(
        world.new,
        world.pairs.map((pair) => pair.new),
      ),
    ])
    const value = await work({ old: before, new: after })
    for (const { ref, floorWhere, floors } of [...before, ...after]) {
      const now = await world.sessions.reader(ref.serverId, (connection) => readFloors(connection, floorWhere))
      if ([...now].some(([name, floorMs]) => floorMs !== floors.get(name))) return null
    }
    return { value }
  } finally {
    for (const connection of open) connection.destroy()
  }
}

async function readShard(connection: Connection, ref: ShardRef, branch: string, fleets: readonly FleetRecord[]): Promise<ShardSnapshot> {
  // Our sessions read committed rows as they come (PROTOCOLS 1.5); a snapshot is REPEATABLE READ.
  await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
  await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY')
  const ids = [...new Set(fleets.map((fleet) => quoteString(fleet.branchId)))].join(',')
  const mine = `shard_uid=${quoteString(ref.uid)} AND branch_id IN (${ids})`
  const positions = (
    await connection.allText(
      `SELECT topic_id,partition_no,epoch,next_offset,start_offset,taken,ranges,records,late_rows,dead_records FROM ${table.position} WHERE ${mine}`,
    )
  ).map((row): PositionRow => ({
    topicId: row['topic_id'] ?? '',
    partition: Number(row['partition_no']),
    epoch: big(row['epoch']),
    next: big(row['next_offset']),
    start: big(row['start_offset']),
    taken: big(row['taken']),
    ranges: big(row['ranges']),
    records: big(row['records']),
    lateRows: big(row['late_rows']),
    deadRecords: big(row['dead_records']),
  }))
  const floors = await readFloors(connection, mine)
  // A missing row means exactly the start offset (PROTOCOLS 4.2).
  const next = new Map<string, bigint>()
  for (const fleet of fleets)
    for (const [partition, offset] of Object.entries(fleet.startOffsets)) next.set(`${fleet.topicId}/${partition}`, BigInt(offset))
  for (const row of positions) next.set(`${row.topicId}/${row.partition}`, row.next)
  return {
    ref,
    branch,
    connection,
    positions,
    floors,
    floorWhere: mine,
    next,
  }
}

/**
 * Of one table on all shards of a branch, what `judgeBuckets` takes: the marks of a bucket and partition put together (the first record and the last of any shard is all that is judged), so that memory goes by
 * buckets and partitions and not by shards. Read when a rung asks, in the snapshots; positions and floors stay each shard's own.
 */
export async function marksOf(shards: readonly ShardSnapshot[], tableName: string): Promise<ShardMarks[]> {
  const marks = new Map<number, Map<string, { first: bigint; last: bigint }>>()
  const partitions = new Map<string, string>()
  await Promise.all(shards.map((shard) => readMarks(shard, tableName, marks, partitions)))
  return shards.map(({ floors, next }, i) => ({
    floorMs: floors.get(tableName) ?? Number.MIN_SAFE_INTEGER,
    next,
    marks: i === 0 ? marks : new Map(),
  }))
}

async function readMarks(
  { connection, floors, floorWhere }: ShardSnapshot,
  tableName: string,
  marks: Map<number, Map<string, { first: bigint; last: bigint }>>,
  partitions: Map<string, string>,
): Promise<void> {
  const floorMs = floors.get(tableName)
  const kept = floorMs === undefined ? '' : ` AND bucket_ms >= ${floorMs}`
  const sql = `SELECT bucket_ms,topic_id,partition_no,first_offset,last_offset FROM ${table.mark} WHERE ${floorWhere} AND table_name=${quoteString(tableName)}${kept}`
  for await (const batch of await connection.rows(Buffer.from(sql)))
    for (let row = 0; row < batch.length; row++) {
      const cell = (i: number): string => Buffer.from(batch.cell(row, i) ?? []).toString('latin1')
      const name = `${cell(1)}/${cell(2)}`
      // One text for all marks of a partition.
      const partition = at(partitions, name, () => name)
      const bucket = at(marks, Number(cell(0)), () => new Map<string, { first: bigint; last: bigint }>())
      const [first, last] = [big(cell(3)), big(cell(4))]
      const mark = bucket.get(partition)
      if (mark === undefined) bucket.set(partition, { first, last })
      else {
        if (first < mark.first) mark.first = first
        if (last > mark.last) mark.last = last
      }
    }
}

/** Start offsets of a branch by `topic/partition`: a bucket of which a record is before one of them is not whole there. */
export function startsOf(fleets: readonly FleetRecord[]): Map<string, bigint> {
  const starts = new Map<string, bigint>()
  for (const fleet of fleets)
    for (const [partition, offset] of Object.entries(fleet.startOffsets)) starts.set(`${fleet.topicId}/${partition}`, BigInt(offset))
  return starts
}

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}

function big(text: string | null | undefined): bigint {
  return BigInt(text ?? 0)
}
