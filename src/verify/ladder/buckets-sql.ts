/** What is selected of a table by bucket: counts, exact sums, digests. Texts of digests are latin1 views of bytes (move/statements.ts). */
import type { Buffer as NodeBuffer } from 'node:buffer'
import type { ColumnDefinition } from '../../binlog/source.ts'
import type { TableDefinition } from '../../ingest/definition.ts'
import { asBytes } from '../../move/statements.ts'
import { quoteIdentifier, quoteQualified } from '../../sql/quote.ts'
import { rowDigest, rowDigestNumber } from '../row-text.ts'
import type { SideColumn } from '../row-text.ts'
import { sideColumnsOf } from '../side-columns.ts'

export type BucketAggregate = {
  readonly count: bigint
  /** By column, as exact decimal text without its point: columns have one scale on both branches. */
  readonly sums: readonly bigint[]
  readonly digest: bigint
}

export const noAggregate = (width: number): BucketAggregate => ({ count: 0n, sums: Array.from({ length: width }, () => 0n), digest: 0n })

/** Columns whose values add up: `sum` and `count`. */
export function additiveColumns(definition: TableDefinition): string[] {
  return Object.entries(definition.columns)
    .filter(([, { merge }]) => merge === 'sum' || merge === 'count')
    .map(([name]) => name)
}

export function sketchColumns(definition: TableDefinition): string[] {
  return Object.entries(definition.columns)
    .filter(([, { merge }]) => merge === 'sketch')
    .map(([name]) => name)
}

/** All columns that the fleets write but sketches, which have a rung of their own. Those of our own filling included. */
export function comparedColumns(definition: TableDefinition): string[] {
  const own = [definition.lastVersion, definition.firstVersion].filter((name) => name !== null)
  return [
    ...Object.entries(definition.columns)
      .filter(([, { merge }]) => merge !== 'sketch')
      .map(([name]) => name),
    ...own,
  ]
}

/** The bucket's beginning, ms, as an integer expression. Without FROM_UNIXTIME and its limits: DATETIMEs are UTC by convention. */
export function bucketExpression(definition: TableDefinition): string {
  const { bucket } = definition
  if (bucket === null) throw new Error(`${definition.table} has no bucket`)
  const column = quoteIdentifier(bucket.column)
  const { everyMs } = bucket
  switch (bucket.as) {
    case 'datetime':
      return `(TIMESTAMPDIFF(MICROSECOND,'1970-01-01 00:00:00',${column}) DIV ${everyMs * 1000})*${everyMs}`
    case 'ms':
      return `(${column} DIV ${everyMs})*${everyMs}`
    case 's':
      return `((${column}*1000) DIV ${everyMs})*${everyMs}`
  }
}

/** Rows of [lowMs, highMs), so that an index or partition on the bucket column can be used. */
export function bucketRange(definition: TableDefinition, lowMs: number, highMs: number): string {
  const { bucket } = definition
  if (bucket === null) throw new Error(`${definition.table} has no bucket`)
  const column = quoteIdentifier(bucket.column)
  return `${column}>=${instant(bucket.as, lowMs)} AND ${column}<${instant(bucket.as, highMs)}`
}

/** An instant as the bucket column holds it. */
export function bucketBound(definition: TableDefinition, ms: number): string {
  if (definition.bucket === null) throw new Error(`${definition.table} has no bucket`)
  return instant(definition.bucket.as, ms)
}

function instant(as: 'datetime' | 'ms' | 's', ms: number): string {
  switch (as) {
    case 'datetime':
      return `'${new Date(ms).toISOString().replace('T', ' ').replace('Z', '')}'`
    case 'ms':
      return String(ms)
    case 's':
      return String(Math.ceil(ms / 1000))
  }
}

export function aggregateSql(x: {
  schema: string
  definition: TableDefinition
  sums: readonly string[]
  digested: readonly SideColumn[]
  lowMs: number
  highMs: number
}): NodeBuffer {
  const { definition } = x
  const sums = x.sums.map((name) => `,SUM(${quoteIdentifier(name)})`).join('')
  const head = asBytes(`SELECT ${bucketExpression(definition)} AS b,COUNT(*)${sums}`)
  const digest = x.digested.length === 0 ? ',0' : `,SUM(${rowDigestNumber(x.digested)})`
  const tail = asBytes(
    ` FROM ${quoteQualified(x.schema, definition.table)} WHERE ${bucketRange(definition, x.lowMs, x.highMs)} GROUP BY b ORDER BY NULL`,
  )
  return Buffer.from(head + digest + tail, 'latin1')
}

/** Keys and digests of a bucket's rows, for naming those that differ. */
export function rowsSql(x: {
  schema: string
  definition: TableDefinition
  keyColumns: readonly string[]
  digested: readonly SideColumn[]
  bucketMs: number
  rowsMax: number
}): NodeBuffer {
  const { definition } = x
  const every = definition.bucket?.everyMs ?? 1
  const key = `CONCAT_WS(', ',${x.keyColumns.map((name) => `IFNULL(CAST(${quoteIdentifier(name)} AS CHAR),'NULL')`).join(',')})`
  return Buffer.from(
    asBytes(`SELECT ${key} AS k,`) +
      rowDigest(x.digested) +
      asBytes(
        ` AS d FROM ${quoteQualified(x.schema, definition.table)} WHERE ${bucketRange(definition, x.bucketMs, x.bucketMs + every)} LIMIT ${x.rowsMax}`,
      ),
    'latin1',
  )
}

/** Columns of one table as all shards have them. */
export function sideColumns(names: readonly string[], shards: readonly (readonly ColumnDefinition[])[]): Map<number, SideColumn[]> {
  const named = (columns: readonly ColumnDefinition[], name: string): ColumnDefinition | undefined =>
    columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
  return new Map(sideColumnsOf(shards.map((columns) => names.map((name) => named(columns, name)))).entries())
}

/** A decimal's digits; NULL (no row had a value) is nothing to add. */
export function digits(cell: NodeBuffer | null | undefined): bigint {
  return cell === null || cell === undefined ? 0n : BigInt(cell.toString('latin1').replace('.', ''))
}
