/**
 * One transaction's worth of records for one shard, and what it merges to. Built anew for every attempt from the records themselves: offsets below
 * the shard's `next` and buckets below its floors are dropped first, then rows are merged (PROTOCOLS 4.6, 4.10).
 */
import { MergedTable } from './coalesce.ts'
import type { MadeRow } from './made-row.ts'
import { noFloor, type EventClaim, type MarkRow } from './position-sql.ts'
import type { TopicRecord } from '../topic/topic.ts'

/** A record as one shard sees it: its rows there. Waiting, it holds of the record what `keep` (kept.ts) left it. */
export type Item = {
  readonly record: TopicRecord
  /** How many shards have rows of it; absent: this one alone. */
  shards?: number
  readonly eventTimeMs: number
  rows: readonly MadeRow[]
  /** Why it makes no rows; it is kept as a dead letter. */
  dead: string | null
}

/** Offsets up to `to` of one partition, with the records among them that concern the shard. */
export type Chunk = {
  readonly partition: number
  readonly to: bigint
  readonly leaderEpoch: number
  readonly items: readonly Item[]
  readonly bytes: number
}

/** [from, to) of one partition: what a transaction moves the position by. */
export type Range = {
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
  readonly leaderEpoch: number
  readonly items: readonly Item[]
  /** In memory, as the chunks said that it was made of. */
  readonly bytes?: number
}

export type RangeCount = { records: number; lateRows: number; deadRecords: number; newestMs: number }

/** A row that counts only if its event's id stands under this very record. */
export type ClaimedRow = { readonly claim: EventClaim; readonly row: MadeRow; readonly item: Item }

export type BuiltBatch = {
  readonly tables: MergedTable[]
  readonly marks: MarkRow[]
  readonly counts: Map<number, RangeCount>
  readonly dead: Item[]
  /** By table. */
  readonly claims: Map<string, ClaimedRow[]>
  readonly rowsIn: number
}

export type Floors = ReadonlyMap<string, number>

export function buildBatch(ranges: readonly Range[], floors: Floors): BuiltBatch {
  const built = new Builder()
  for (const range of ranges) {
    const count: RangeCount = { records: 0, lateRows: 0, deadRecords: 0, newestMs: 0 }
    built.counts.set(range.partition, count)
    for (const item of range.items) {
      if (item.record.offset < range.from) continue
      count.records++
      if (item.dead !== null) {
        // Its time is the record's, if anything: it says nothing of the events'.
        count.deadRecords++
        built.dead.push(item)
        continue
      }
      count.newestMs = Math.max(count.newestMs, Math.floor(item.eventTimeMs))
      for (const row of item.rows) {
        if (row.bucketMs !== null && row.bucketMs < (floors.get(row.plan.name) ?? noFloor)) {
          count.lateRows++
          continue
        }
        built.rowsIn++
        if (row.eventId === null) built.take(row, item)
        else built.claim(row, item)
      }
    }
  }
  return built.done()
}

class Builder {
  readonly counts = new Map<number, RangeCount>()
  readonly dead: Item[] = []
  rowsIn = 0
  readonly #claims = new Map<string, ClaimedRow[]>()
  readonly #merge = new Merging()

  take(row: MadeRow, item: Item): void {
    this.#merge.take(row, item)
  }

  claim(row: MadeRow, item: Item): void {
    const list = this.#claims.get(row.plan.name) ?? []
    this.#claims.set(row.plan.name, list)
    const { partition, offset } = item.record
    list.push({ claim: { bucketMs: row.bucketMs ?? 0, id: row.eventId ?? '', partition, offset }, row, item })
  }

  done(): BuiltBatch {
    const { counts, dead, rowsIn } = this
    return { tables: this.#merge.tables(), marks: this.#merge.marks(), counts, dead, claims: this.#claims, rowsIn }
  }
}

/** Rows merged and marks noted; also of rows whose events turned out to be new. */
export class Merging {
  readonly #tables = new Map<string, MergedTable>()
  readonly #marks = new Map<string, MarkRow>()

  take(row: MadeRow, { record }: Item): void {
    const { name } = row.plan
    let table = this.#tables.get(name)
    if (table === undefined) this.#tables.set(name, (table = new MergedTable(row.plan)))
    table.add(row)
    if (row.bucketMs === null) return
    const key = `${name}/${row.bucketMs}/${record.partition}`
    const mark = this.#marks.get(key)
    if (mark === undefined) {
      this.#marks.set(key, {
        table: name,
        bucketMs: row.bucketMs,
        partition: record.partition,
        first: record.offset,
        last: record.offset,
        rows: 1,
      })
      return
    }
    if (record.offset < mark.first) mark.first = record.offset
    if (record.offset > mark.last) mark.last = record.offset
    mark.rows++
  }

  /** In the order in which they are locked: those with sketches, which are read first, before the others. */
  tables(): MergedTable[] {
    const rank = (table: MergedTable): string => `${table.plan.sketches.length > 0 ? 0 : 1}${table.plan.name}`
    return [...this.#tables.values()].sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
  }

  marks(): MarkRow[] {
    return [...this.#marks.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, mark]) => mark)
  }
}
