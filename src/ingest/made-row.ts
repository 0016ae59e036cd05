/** A record to rows: decoded by the version of its offset, mapped, every value checked against its column, routed by its shard key. Pure. */
import type { KeyspaceId } from '../keyspace/keyspace-id.ts'
import type { TopicRecord } from '../topic/topic.ts'
import type { Cell } from './codec.ts'
import { bucketOf, type Row, type TopicDefinition, type Value } from './definition.ts'
import { ingestErrors } from './errors.ts'
import type { OrderVersion } from './order-version.ts'
import type { TablePlan } from './table-plan.ts'

/** Numbers to sketch, a cell, or the record's place in the order of `last` and `first`. */
export type MadeCell = Cell | readonly number[] | OrderVersion

export type MadeRow = {
  readonly plan: TablePlan
  /** Of the key: equal for rows that merge. */
  readonly identity: string
  readonly cells: readonly MadeCell[]
  /** Beginning of its bucket; null: rows of this table do not expire. */
  readonly bucketMs: number | null
  readonly eventId: string | null
}

export type Maker = {
  readonly definition: TopicDefinition
  /** In the definition's order. */
  readonly plans: readonly TablePlan[]
}

export type MadeRecord = { readonly rows: readonly MadeRow[]; readonly eventTimeMs: number }

/** @throws whatever decode and map throw, SW-INGEST-011 for a value that its column cannot hold: the record is poison */
export function makeRows({ definition, plans }: Maker, record: TopicRecord, topicId: string): MadeRecord {
  const event = definition.decode(record)
  if (event === null || event === undefined) return { rows: none, eventTimeMs: record.timestampMs }
  const eventTimeMs = definition.eventTime(event, record)
  if (!(Math.abs(eventTimeMs) <= instantMax))
    throw ingestErrors.badRow({ table: '(any)', column: 'event time', reason: `${eventTimeMs} is no instant` })
  const rows: MadeRow[] = []
  for (const plan of plans) {
    const { definition: table } = plan
    const mapped = table.map(event, record)
    if (mapped.length > rowsMax)
      throw ingestErrors.badRow({ table: plan.name, column: '(any)', reason: `${mapped.length} rows of one record, ${rowsMax} at most` })
    for (let place = 0; place < mapped.length; place++) {
      const bucketMs = table.bucket === null ? null : bucketOf(table.bucket, eventTimeMs)
      const version: OrderVersion = { timeMs: Math.floor(eventTimeMs), topicId, partition: record.partition, offset: record.offset, place }
      const cells = cellsOf(plan, mapped[place] as Row, record, topicId, eventTimeMs, bucketMs, version)
      rows.push({
        plan,
        cells,
        bucketMs,
        identity: identityOf(plan, cells),
        eventId: table.eventId === null ? null : eventIdOf(plan, event),
      })
    }
  }
  return { rows, eventTimeMs }
}

const none: readonly MadeRow[] = []

/** Of ECMAScript: 100 million days. */
const instantMax = 8.64e15
/** What an order version has room for. */
const rowsMax = 65_536

function cellsOf(
  plan: TablePlan,
  row: Row,
  record: TopicRecord,
  topicId: string,
  eventTimeMs: number,
  bucketMs: number | null,
  version: OrderVersion,
): MadeCell[] {
  const cells: MadeCell[] = new Array(plan.columns.length)
  for (let i = 0; i < plan.columns.length; i++) {
    const { codec, from, merge, name } = plan.columns[i] as TablePlan['columns'][number]
    switch (from) {
      case 'version':
        cells[i] = version
        break
      case 'count':
        cells[i] = 1
        break
      case 'bucket':
        cells[i] = codec.cell(plan.definition.kind === 'row' ? eventTimeMs : bucketMs)
        break
      case 'topic':
        cells[i] = codec.cell(topicId)
        break
      case 'partition':
        cells[i] = codec.cell(record.partition)
        break
      case 'offset':
        cells[i] = codec.cell(record.offset)
        break
      case 'map': {
        const value = row[name]
        if (value === undefined) throw ingestErrors.badRow({ table: plan.name, column: name, reason: 'map gave no value for it' })
        if (merge === 'sketch') cells[i] = numbersOf(plan, name, value)
        else if (merge === 'key' && plan.definition.kind !== 'row') cells[i] = codec.keyCell(codec.cell(value as Value))
        else cells[i] = codec.cell(value as Value)
      }
    }
  }
  return cells
}

function numbersOf(plan: TablePlan, column: string, value: Row[string]): readonly number[] {
  const numbers = typeof value === 'number' ? [value] : value
  if (!Array.isArray(numbers) || !numbers.every(Number.isFinite))
    throw ingestErrors.badRow({ table: plan.name, column, reason: 'a sketch takes a number or a list of numbers' })
  return numbers as readonly number[]
}

function eventIdOf(plan: TablePlan, event: unknown): string {
  const id = plan.definition.eventId?.(event)
  if (typeof id !== 'string' || id === '' || Buffer.byteLength(id) > 255)
    throw ingestErrors.badRow({ table: plan.name, column: 'event id', reason: 'an event id is a text of 1 to 255 bytes' })
  return id
}

export function identityOf(plan: TablePlan, cells: readonly MadeCell[]): string {
  let identity = ''
  for (let i = 0; i < plan.keyWidth; i++) identity += (i === 0 ? '' : ',') + plan.columns[i]?.codec.identity(cells[i] as Cell)
  return identity
}

/** Null: it stands on every shard. @throws SW-INGEST-011 for a shard key that cannot be routed */
export function keyspaceIdOf({ plan, cells }: MadeRow): KeyspaceId | null {
  if (plan.vindex === null) return null
  const id = plan.vindex.map(
    plan.shardKey.map((i) => (plan.columns[i] as TablePlan['columns'][number]).codec.vindexValue(cells[i] as Cell)),
  )
  if (id === null) {
    const column = plan.columns[plan.shardKey[0] ?? 0]?.name ?? ''
    throw ingestErrors.badRow({ table: plan.name, column, reason: 'its value maps to no keyspace id' })
  }
  return id
}
