/**
 * What a topic's records become: which tables, which rows, and per column how rows of one key merge. `defineTopic` types it end to end: what
 * `decode` gives is what `map` gets, and a row has exactly the columns that its table declares.
 *
 * A definition is a pure function of the record. No clock, no random number, no state between records: two branches, and two attempts after
 * a crash, must make the same rows of it (`topic check` cannot see this; the preconditions of a dual-write try it).
 */
import { createHash } from 'node:crypto'
import type { TopicRecord } from '../topic/topic.ts'
import { ingestErrors } from './errors.ts'

/** What may stand in a row. Decimals beyond integers come as text (`'12.50'`); instants as Unix milliseconds (number) or text. */
export type Value = bigint | number | string | Uint8Array | null

/**
 * How rows of one key merge, in memory within a batch and in the server's upsert alike:
 * - `key`     part of the row's key
 * - `value`   a plain column of a `row` table
 * - `sum`     integers and decimals only: sums of floating point differ by how batches are cut
 * - `count`   how many rows were merged; filled in by us
 * - `min` `max` numbers, instants, binary strings
 * - `last` `first` by (event time, topic, partition, offset); the table keeps that order in `lastVersion` or `firstVersion`
 * - `sketch`  a DDSketch of numbers as a BLOB (ddsketch.ts)
 */
export type Merge = 'key' | 'value' | 'sum' | 'count' | 'min' | 'max' | 'last' | 'first' | 'sketch'

export type ColumnDefinition = {
  readonly merge: Merge
  /** Filled in by us: the record's coordinates. */
  readonly from?: 'topic' | 'partition' | 'offset'
  /** Of a sketch; default 0.01. */
  readonly relativeError?: number
}

export type Columns = { readonly [column: string]: ColumnDefinition }

export type Bucket = {
  /** Holds the bucket's beginning (`coalesced`) or the event time itself (`row`). */
  readonly column: string
  /** The grain of roll-ups, marks and purge. */
  readonly everyMs: number
  /** How the column holds instants; default `datetime` (UTC). */
  readonly as?: 'datetime' | 'ms' | 's'
}

type MergeValue<M extends Merge> = M extends 'sum' ? bigint | number | string : M extends 'sketch' ? number | readonly number[] : Value

type Filled<C extends Columns, B> =
  | { [K in keyof C]: C[K] extends { merge: 'count' } | { from: 'topic' | 'partition' | 'offset' } ? K : never }[keyof C]
  | (B extends { column: infer N } ? N : never)

/** A row as `map` gives it: every column that is not filled in by us. */
export type RowOf<C extends Columns, B = null> = { readonly [K in Exclude<keyof C, Filled<C, B>>]: MergeValue<C[K]['merge']> }

export type Row = { readonly [column: string]: Value | readonly number[] }

export type TableSpec<Event, C extends Columns, B extends Bucket | null = Bucket | null> = {
  /**
   * `coalesced`: rows of one key merge. `row`: one row a record (or several), never merged. `dimension`: rows that do not expire,
   * with idempotent merges only (`last`, `min`, `max`), so that they can be copied while they are written (PROTOCOLS 4.13).
   */
  readonly kind: 'coalesced' | 'row' | 'dimension'
  /** As in the keyspace's vschema: the columns of the primary vindex. Empty for a reference table. */
  readonly shardKey: readonly (keyof C & string)[]
  /** The primary key, or a unique key of NOT NULL columns. */
  readonly key: readonly (keyof C & string)[]
  readonly columns: C
  readonly bucket?: B
  /** Rows expire this long after the end of their bucket; absent: never. */
  readonly retentionMs?: number
  /** VARBINARY columns that keep the order of `last` and `first`. */
  readonly lastVersion?: string
  readonly firstVersion?: string
  /** A `last` column that is 1 when the row counts as deleted: it stays, or an older record would bring it back. */
  readonly tombstone?: keyof C & string
  /** An event counts once though producers sent it twice; coalescing then saves no statement on ids (PROTOCOLS 4, Promised). */
  readonly eventId?: (event: Event) => string
  readonly map: (event: Event, record: TopicRecord) => RowOf<C, B> | readonly RowOf<C, B>[] | null
}

export type TopicSpec<Event, T extends Record<string, Columns>, B extends Record<keyof T, Bucket | null>> = {
  readonly topic: string
  /** Raised with every change of what rows records become (PROTOCOLS 4.12). */
  readonly version: number
  /** Bytes to an event; null: this record makes no rows. What it throws makes the record poison. */
  readonly decode: (record: TopicRecord) => Event | null
  /** Unix ms; the record's own timestamp unless said. */
  readonly eventTime?: (event: Event, record: TopicRecord) => number
  readonly tables: { readonly [K in keyof T]: TableSpec<Event, T[K], B[K]> }
  /** What happens at a record that cannot be decoded, mapped or routed. Default `stop`. */
  readonly poison?: 'stop' | 'dead-letter'
  /** Definitions of lower versions, for records before the change. */
  readonly previous?: readonly TopicDefinition[]
}

export type TableDefinition = {
  readonly table: string
  readonly kind: 'coalesced' | 'row' | 'dimension'
  readonly shardKey: readonly string[]
  readonly keyColumns: readonly string[]
  readonly columns: Columns
  readonly bucket: Required<Bucket> | null
  readonly retentionMs: number | null
  readonly lastVersion: string | null
  readonly firstVersion: string | null
  readonly tombstone: string | null
  readonly eventId: ((event: unknown) => string) | null
  readonly map: (event: unknown, record: TopicRecord) => readonly Row[]
}

export type TopicDefinition = {
  readonly topic: string
  readonly version: number
  readonly decode: (record: TopicRecord) => unknown
  readonly eventTime: (event: unknown, record: TopicRecord) => number
  readonly tables: readonly TableDefinition[]
  readonly poison: 'stop' | 'dead-letter'
  readonly previous: readonly TopicDefinition[]
  /** Of all that the definition says, code included: readiness under another digest is not ready. */
  readonly digest: string
}

/** Types and normalises a definition. @throws SW-INGEST-001 for what is wrong whatever the tables look like */
export function defineTopic<Event, const T extends Record<string, Columns>, const B extends Record<keyof T, Bucket | null>>(
  spec: TopicSpec<Event, T, B>,
): TopicDefinition {
  const wrong = (reason: string): Error => ingestErrors.badDefinition({ topic: spec.topic, reason })
  if (!Number.isSafeInteger(spec.version) || spec.version < 1) throw wrong('version is a whole number from 1 on')
  const tables = Object.entries(spec.tables as Record<string, TableSpec<Event, Columns, Bucket | null>>).map(([table, t]) =>
    normalTable(table, t, wrong),
  )
  if (tables.length === 0) throw wrong('it has no tables')
  const previous = spec.previous ?? []
  for (const [i, older] of previous.entries()) {
    const next = previous[i + 1]?.version ?? spec.version
    if (older.version >= next) throw wrong(`previous versions come in order, each below the next; ${older.version} is not below ${next}`)
  }
  return {
    topic: spec.topic,
    version: spec.version,
    decode: spec.decode,
    eventTime: (spec.eventTime as TopicDefinition['eventTime'] | undefined) ?? ((_, record) => record.timestampMs),
    tables,
    poison: spec.poison ?? 'stop',
    previous,
    digest: digestOf(spec),
  }
}

function normalTable<Event>(table: string, t: TableSpec<Event, Columns, Bucket | null>, wrong: (reason: string) => Error): TableDefinition {
  const no = (reason: string): Error => wrong(`table ${table}: ${reason}`)
  const columns = Object.entries(t.columns)
  const merges = new Set(columns.map(([, { merge }]) => merge))
  for (const name of [...t.key, ...t.shardKey]) {
    if (t.columns[name] === undefined) throw no(`${name} is in its key or shard key and not among its columns`)
  }
  for (const name of t.key) if (t.columns[name]?.merge !== 'key') throw no(`${name} is in the key, so its merge is 'key'`)
  for (const [name, { merge, relativeError }] of columns) {
    if (merge === 'key' && !t.key.includes(name)) throw no(`${name} has merge 'key' and is not in the key`)
    if ((merge === 'value') !== (t.kind === 'row' && merge !== 'key')) {
      throw no(`${name} has merge '${merge}': columns of 'row' tables are 'key' or 'value', and 'value' is theirs alone`)
    }
    if (t.kind === 'dimension' && !['key', 'last', 'min', 'max'].includes(merge))
      throw no(`${name} has merge '${merge}', which is not idempotent: dimension tables take last, min and max`)
    if (relativeError !== undefined && !(merge === 'sketch' && relativeError > 0.0001 && relativeError < 0.5))
      throw no(`${name}: a relative error between 0.0001 and 0.5 belongs to a sketch`)
  }
  for (const name of t.shardKey)
    if (!t.key.includes(name)) throw no(`the shard key ${name} must be part of the key: rows of one key stand on one shard`)
  if (t.key.length === 0) throw no('it has no key')
  if (merges.has('last') !== (t.lastVersion !== undefined)) throw no("'last' columns and lastVersion go together")
  if (merges.has('first') !== (t.firstVersion !== undefined)) throw no("'first' columns and firstVersion go together")
  for (const name of [t.lastVersion, t.firstVersion])
    if (name !== undefined && t.columns[name] !== undefined) throw no(`${name} is filled in by us: take it out of columns`)
  if (t.tombstone !== undefined && t.columns[t.tombstone]?.merge !== 'last') throw no(`the tombstone ${t.tombstone} has merge 'last'`)
  const bucket = t.bucket ?? null
  if (t.kind === 'dimension' && (bucket !== null || t.retentionMs !== undefined))
    throw no('a dimension does not expire: no bucket, no retention')
  if (t.kind !== 'dimension' && bucket === null) throw no('it needs a bucket: rows that never expire make it a dimension')
  if (bucket !== null) {
    if (t.columns[bucket.column] === undefined) throw no(`the bucket column ${bucket.column} is not among its columns`)
    if (t.kind === 'coalesced' && !t.key.includes(bucket.column)) throw no(`the bucket column ${bucket.column} must be part of the key`)
    if (!Number.isSafeInteger(bucket.everyMs) || bucket.everyMs < 1) throw no('everyMs is a whole number of milliseconds')
  }
  if (t.retentionMs !== undefined && !(t.retentionMs > 0)) throw no('retentionMs is above zero')
  const map = t.map as (event: unknown, record: TopicRecord) => Row | readonly Row[] | null
  return {
    table,
    kind: t.kind,
    shardKey: t.shardKey,
    keyColumns: t.key,
    columns: t.columns,
    bucket: bucket === null ? null : { as: 'datetime', ...bucket },
    retentionMs: t.retentionMs ?? null,
    lastVersion: t.lastVersion ?? null,
    firstVersion: t.firstVersion ?? null,
    tombstone: t.tombstone ?? null,
    eventId: (t.eventId as ((event: unknown) => string) | undefined) ?? null,
    map(event, record) {
      const rows = map(event, record)
      return rows === null ? none : Array.isArray(rows) ? (rows as readonly Row[]) : [rows as Row]
    },
  }
}

const none: readonly Row[] = []

/** Functions count by their text: what they close over is not seen, so raise `version` when that changes. */
function digestOf(spec: unknown): string {
  const seen = JSON.stringify(spec, (key, value: unknown) => {
    if (typeof value === 'function') return `${value.toString()}${JSON.stringify((value as { schema?: unknown }).schema ?? null)}`
    if (typeof value === 'bigint') return `${value}n`
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    return value
  })
  return createHash('sha256').update(seen).digest('hex').slice(0, 32)
}

/** The definition by which the record at an offset is decoded. @throws SW-INGEST-002 when the code at hand lacks that version */
export function definitionOfVersion(definition: TopicDefinition, version: number): TopicDefinition {
  if (definition.version === version) return definition
  const older = definition.previous.find((other) => other.version === version)
  if (older === undefined) throw ingestErrors.versionMissing({ topic: definition.topic, version, has: definition.version })
  return older
}

/** Every table that any version of the definition writes, the newest version's first. */
export function allTables(definition: TopicDefinition): TableDefinition[] {
  const byName = new Map<string, TableDefinition>()
  for (const { tables } of [definition, ...definition.previous].toSorted((a, b) => b.version - a.version))
    for (const table of tables) if (!byName.has(table.table)) byName.set(table.table, table)
  return [...byName.values()]
}

export function bucketOf(bucket: Required<Bucket>, eventTimeMs: number): number {
  return Math.floor(eventTimeMs / bucket.everyMs) * bucket.everyMs
}
