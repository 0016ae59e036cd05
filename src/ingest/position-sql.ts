/** Statements on our own rows of one shard and branch. Positions are decimal text: offsets may exceed 2^53. */
import type { Flavour } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import { table } from './tables.ts'

export type PositionKey = { readonly shardUid: string; readonly branchId: string; readonly topicId: string }

export type Advance = {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
  readonly epoch: bigint
  readonly leaderEpoch: number
  readonly records: number
  readonly lateRows: number
  readonly deadRecords: number
  readonly newestMs: number
}

export type MarkRow = {
  readonly table: string
  readonly bucketMs: number
  readonly partition: number
  first: bigint
  last: bigint
  rows: number
}

export class PositionSql {
  readonly #where: string
  readonly #branchWhere: string
  readonly #values: string
  readonly #branchValues: string
  readonly #flavour: Pick<Flavour, 'upsertAlias' | 'upsertValue' | 'lockInShareMode'>

  constructor({ shardUid, branchId, topicId }: PositionKey, flavour: Pick<Flavour, 'upsertAlias' | 'upsertValue' | 'lockInShareMode'>) {
    this.#branchWhere = `shard_uid=${quoteString(shardUid)} AND branch_id=${quoteString(branchId)}`
    this.#where = `${this.#branchWhere} AND topic_id=${quoteString(topicId)}`
    this.#branchValues = `${quoteString(shardUid)},${quoteString(branchId)}`
    this.#values = `${this.#branchValues},${quoteString(topicId)}`
    this.#flavour = flavour
  }

  /** Makes the missing row, with exactly the start offset (PROTOCOLS 4.2); locks it either way. */
  ensure(partition: number, start: bigint): string {
    return `INSERT INTO ${table.position} (shard_uid,branch_id,topic_id,partition_no,epoch,next_offset,leader_epoch,start_offset,taken,ranges,records,late_rows,dead_records,newest_ms)
      VALUES (${this.#values},${partition},0,${start},-1,${start},0,0,0,0,0,0) ON DUPLICATE KEY UPDATE epoch=epoch`
  }

  lock(partition: number): string {
    return `SELECT epoch,next_offset,leader_epoch FROM ${table.position} WHERE ${this.#where} AND partition_no=${partition} FOR UPDATE`
  }

  setEpoch(partition: number, epoch: bigint): string {
    return `UPDATE ${table.position} SET epoch=${epoch} WHERE ${this.#where} AND partition_no=${partition}`
  }

  /** Must match one row (PROTOCOLS 4.4): the session counts matched rows, not changed ones. */
  advance(a: Advance): string {
    return `UPDATE ${table.position} SET next_offset=${a.to},leader_epoch=${a.leaderEpoch},taken=taken+${a.to - a.from},ranges=ranges+1,records=records+${a.records},late_rows=late_rows+${a.lateRows},dead_records=dead_records+${a.deadRecords},newest_ms=GREATEST(newest_ms,${a.newestMs}) WHERE ${this.#where} AND partition_no=${a.partition} AND next_offset=${a.from} AND epoch=${a.epoch}`
  }

  /** Shared: a purge cannot raise a floor while rows that were judged by it are on their way. */
  floors(): string {
    return `SELECT table_name,floor_ms FROM ${table.floor} WHERE ${this.#branchWhere} ORDER BY table_name ${this.#flavour.lockInShareMode}`
  }

  ensureFloor(tableName: string): string {
    return `INSERT INTO ${table.floor} (shard_uid,branch_id,table_name,floor_ms) VALUES (${this.#branchValues},${quoteString(tableName)},${noFloor}) ON DUPLICATE KEY UPDATE floor_ms=floor_ms`
  }

  lockFloor(tableName: string): string {
    return `SELECT floor_ms FROM ${table.floor} WHERE ${this.#branchWhere} AND table_name=${quoteString(tableName)} FOR UPDATE`
  }

  raiseFloor(tableName: string, floorMs: number): string {
    return `UPDATE ${table.floor} SET floor_ms=GREATEST(floor_ms,${floorMs}) WHERE ${this.#branchWhere} AND table_name=${quoteString(tableName)}`
  }

  forgetMarks(tableName: string, floorMs: number): string {
    return `DELETE FROM ${table.mark} WHERE ${this.#branchWhere} AND table_name=${quoteString(tableName)} AND bucket_ms<${floorMs} LIMIT 1000`
  }

  /**
   * In a transaction that deletes expired rows: a row of ours that is there for no other. Binlogs show that the fleet made it, and who looks for other writers
   * does not take it for one. Inserted and deleted: nobody else ever sees it.
   */
  markPurge(tableName: string): string[] {
    const row = `${this.#branchWhere} AND table_name=${quoteString(tableName)} AND bucket_ms=${noFloor} AND topic_id='' AND partition_no=${purgePartition}`
    return [
      `INSERT INTO ${table.mark} (shard_uid,branch_id,table_name,bucket_ms,topic_id,partition_no,first_offset,last_offset,row_count) VALUES (${this.#branchValues},${quoteString(tableName)},${noFloor},'',${purgePartition},0,0,0)`,
      `DELETE FROM ${table.mark} WHERE ${row}`,
    ]
  }

  forgetEvents(tableName: string, floorMs: number): string {
    return `DELETE FROM ${table.event} WHERE ${this.#branchWhere} AND table_name=${quoteString(tableName)} AND bucket_ms<${floorMs} LIMIT 1000`
  }

  marks(rows: readonly MarkRow[]): string {
    const value = (name: string): string => this.#flavour.upsertValue(name)
    const list = rows.map(
      (m) =>
        `(${this.#branchValues},${quoteString(m.table)},${m.bucketMs},${this.#values.slice(this.#branchValues.length + 1)},${m.partition},${m.first},${m.last},${m.rows})`,
    )
    return `INSERT INTO ${table.mark} (shard_uid,branch_id,table_name,bucket_ms,topic_id,partition_no,first_offset,last_offset,row_count) VALUES ${list.join(',')}${this.#flavour.upsertAlias}
      ON DUPLICATE KEY UPDATE first_offset=LEAST(ingest_mark.first_offset,${value('first_offset')}),last_offset=GREATEST(ingest_mark.last_offset,${value('last_offset')}),row_count=ingest_mark.row_count+${value('row_count')}`
  }

  dead(row: { partition: number; offset: bigint; timestampMs: number; key: Buffer | null; value: Buffer | null; reason: string }): string {
    const bytes = (b: Buffer | null): string => (b === null ? 'NULL' : b.length === 0 ? "''" : `x'${b.toString('hex')}'`)
    return `INSERT INTO ${table.dead} (shard_uid,branch_id,topic_id,partition_no,at_offset,timestamp_ms,record_key,record_value,reason)
      VALUES (${this.#values},${row.partition},${row.offset},${Math.floor(row.timestampMs)},${bytes(row.key)},${bytes(row.value)},${quoteString(row.reason.slice(0, 1000))})`
  }

  /** IGNORE for ids that are there, or that another transaction is about to commit: it waits for that one. Who owns an id is read afterwards. */
  claimEvents(tableName: string, events: readonly EventClaim[]): string {
    const topic = this.#values.slice(this.#branchValues.length + 1)
    const list = events.map(
      (e) => `(${this.#branchValues},${quoteString(tableName)},${e.bucketMs},${eventLiteral(e.id)},${topic},${e.partition},${e.offset})`,
    )
    return `INSERT IGNORE INTO ${table.event} (shard_uid,branch_id,table_name,bucket_ms,event_id,topic_id,partition_no,at_offset) VALUES ${list.join(',')}`
  }

  eventOwners(tableName: string, events: readonly EventClaim[]): string {
    const pairs = events.map((e) => `(bucket_ms=${e.bucketMs} AND event_id=${eventLiteral(e.id)})`)
    return `SELECT bucket_ms,event_id,topic_id,partition_no,at_offset FROM ${table.event} WHERE ${this.#branchWhere} AND table_name=${quoteString(tableName)} AND (${pairs.join(' OR ')})`
  }
}

export type EventClaim = { readonly bucketMs: number; readonly id: string; readonly partition: number; readonly offset: bigint }

const purgePartition = 4_294_967_295

/** Before there is a floor: below every instant that a column can hold. */
export const noFloor = -9_000_000_000_000_000

function eventLiteral(id: string): string {
  return `x'${Buffer.from(id).toString('hex')}'`
}
