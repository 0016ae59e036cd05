/** One table of one group of shards, as all its servers have it: what to select there. Refuses what would compare apples with pears. */
import type { ColumnDefinition } from '../binlog/source.ts'
import { readTableDefinitions } from '../binlog/table-definitions.ts'
import { Router } from '../move/router.ts'
import { RowEncoder } from '../move/row-encoder.ts'
import type { SourceTable } from '../move/source-tables.ts'
import { asBytes } from '../move/statements.ts'
import type { MovedColumn, ShardKeyColumn, TablePlan } from '../move/table-plan.ts'
import { LiteralKind } from '../move/table-plan.ts'
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../sql/quote.ts'
import type { Flavour, ShardRef } from '../topology/records.ts'
import { verifyErrors } from './errors.ts'
import { shardsOf, type Group } from './groups.ts'
import { rowDigest, rowDigestNumber, valueDigest, withDigits, type ComparedColumn } from './row-text.ts'
import { plainDocuments } from './sampled-documents.ts'
import { digitsOf, sideColumnsOf } from './side-columns.ts'

/** What is selected of a table on one shard. All texts are latin1 views of bytes (move/statements.ts, `asBytes`). */
export type Side = {
  readonly ref: ShardRef
  /** `schema`.`table` FORCE INDEX (key): both sides walk the same key in the same order. */
  readonly from: string
  readonly into: string
  readonly digest: string
  readonly digestNumber: string
  readonly values: readonly string[]
}

export type Comparison = {
  readonly group: Group
  readonly plan: TablePlan
  /** Key and shard-key columns only: what a listing selects, and what is routed. */
  readonly keyPlan: TablePlan
  /** The key's columns, printed alike on all sides. */
  readonly keyExpressions: readonly string[]
  readonly encoder: RowEncoder
  /** Null for reference tables. */
  readonly router: Router | null
  readonly columnNames: readonly string[]
  readonly sources: readonly Side[]
  readonly targets: readonly Side[]
  /** The source with most rows: chunks are cut by its keys. */
  readonly pacer: Side
  readonly rowsEstimated: number
  readonly averageRowBytes: number
  /** A row's shard key as text without a comma, so that those of a range come in one cell; null: they are read row by row. */
  readonly shardKey: string | null
}

/** `stored`: generated, and kept with the row. */
export type SchemaDefinitions = ReadonlyMap<string, readonly (ComparedColumn & { readonly stored?: boolean })[]>

/** Does work on a session of a server. */
export type Use = <T>(serverId: string, work: (conn: Connection) => Promise<T>) => Promise<T>

/** Rows that the server estimates, by shard uid and table. */
export async function readEstimates(shards: readonly ShardRef[], use: Use): Promise<Map<string, Map<string, number>>> {
  return ofShards(shards, use, async (conn, shard) => {
    const fresh = flavourOf(conn).freshStatisticsSql
    if (fresh !== null) await conn.query(fresh)
    const rows = await conn.allText(
      `SELECT TABLE_NAME AS name, TABLE_ROWS AS row_count FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(shard.schema)}`,
    )
    return new Map(rows.map((row) => [row.name ?? '', Number(row.row_count ?? 0)]))
  })
}

/** Definitions of all tables of each shard's schema. Of the tables `compared` a few documents are read. */
export async function readDefinitions(
  shards: readonly ShardRef[],
  use: Use,
  compared: ReadonlySet<string> = new Set(),
): Promise<Map<string, SchemaDefinitions>> {
  return ofShards(shards, use, (conn, shard) => definitionsOf(conn, shard.schema, compared))
}

/** By shard uid. All beside each other: each is a look or two through a server's catalogue, and nothing is compared before. */
export async function ofShards<T>(
  shards: readonly ShardRef[],
  use: Use,
  look: (conn: Connection, shard: ShardRef) => Promise<T>,
): Promise<Map<string, T>> {
  return new Map(
    await Promise.all(shards.map(async (shard) => [shard.uid, await use(shard.serverId, (conn) => look(conn, shard))] as const)),
  )
}

async function definitionsOf(conn: Connection, schema: string, compared: ReadonlySet<string>): Promise<SchemaDefinitions> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS t, COLUMN_NAME AS c FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = ${quoteString(schema)} AND (EXTRA LIKE '%STORED GENERATED%' OR EXTRA LIKE '%PERSISTENT GENERATED%')`,
  )
  const stored = new Set(rows.map(({ t, c }) => `${t}.${c}`))
  const definitions: Map<string, (ComparedColumn & { stored: boolean })[]> = new Map()
  for (const [table, columns] of await readTableDefinitions(conn, schema, compared)) {
    const plain = await plainDocuments(conn, schema, table, compared.has(table) ? columns : [])
    definitions.set(
      table,
      columns.map((column) => ({
        ...column,
        stored: stored.has(`${table}.${column.name}`),
        plainDocument: plain.get(column.name) ?? null,
      })),
    )
  }
  return definitions
}

export function planComparison(
  group: Group,
  table: SourceTable,
  /** By shard uid: definitions, and estimated rows by table. */
  definitions: ReadonlyMap<string, SchemaDefinitions>,
  rows: ReadonlyMap<string, ReadonlyMap<string, number>>,
  flavours: ReadonlyMap<string, Flavour>,
): Comparison {
  const { plan } = table
  const rowsOf = (ref: ShardRef): number => rows.get(ref.uid)?.get(plan.name) ?? 0
  const first = group.sources[0]
  const shards = shardsOf(group)
  // What only another of the sources has, nothing would compare.
  for (const { uid } of group.sources.slice(1))
    for (const { name, generated: made } of definitions.get(uid)?.get(plan.name) ?? [])
      if (!made && columnNamed(plan.definitions, name) === undefined)
        throw verifyErrors.columnMissing({ column: name, table: plan.name, shard: first?.shard })
  const generated = generatedColumns(plan, shards, definitions, flavours)
  const columns = sideColumnsOf(
    shards.map((shard) => [
      ...sideColumns(plan, shard, definitions, first, flavours),
      ...generated.map((name) => columnNamed(definitions.get(shard.uid)?.get(plan.name), name)),
    ]),
  )
  const sides = shards.map((ref, i): Side => {
    const own = columns[i] ?? []
    return {
      ref,
      into: asBytes(quoteQualified(ref.schema, plan.name)),
      from: asBytes(`${quoteQualified(ref.schema, plan.name)} FORCE INDEX (${quoteIdentifier(table.keyName)})`),
      digest: rowDigest(own),
      digestNumber: rowDigestNumber(own),
      values: own.map(valueDigest),
    }
  })
  // Of a time that the target holds with more digits, the tail and statements have those of the source.
  const expressions = plan.columns.map(({ definition }, i) =>
    columns[0]?.[i]?.fractionDigits === undefined ? canonicalExpression(definition) : withDigits(definition, digitsOf(definition)),
  )
  const keyPlan = keysOnly(plan, expressions)
  const sources = sides.slice(0, group.sources.length)
  const pacer = sources.reduce((most, side) => (rowsOf(side.ref) > rowsOf(most.ref) ? side : most))
  return {
    group,
    plan,
    keyPlan,
    keyExpressions: expressions.slice(0, plan.keyWidth),
    encoder: new RowEncoder(keyPlan, 'selected'),
    router: group.kind === 'each' || plan.vindex === null ? null : new Router(group.targets.map(({ shard }) => shard)),
    columnNames: [...plan.columns.map(({ definition }) => definition.name), ...generated],
    sources,
    pacer,
    targets: sides.slice(group.sources.length),
    rowsEstimated: group.sources.reduce((sum, ref) => sum + rowsOf(ref), 0),
    averageRowBytes: Math.max(32, table.averageRowBytes),
    shardKey: group.kind === 'each' || plan.vindex === null ? null : shardKeyText(plan, expressions),
  }
}

/**
 * Columns that are stored, and generated on every side, each from the rest of the row: where their expression reads what a session has (its time zone, its sql_mode), a mover's is another
 * than the client's was, and nothing else would tell.
 */
function generatedColumns(
  plan: TablePlan,
  shards: readonly ShardRef[],
  definitions: ReadonlyMap<string, SchemaDefinitions>,
  flavours: ReadonlyMap<string, Flavour>,
): string[] {
  const sides = shards.map((shard) => definitions.get(shard.uid)?.get(plan.name))
  const jsonIsAlike = new Set(shards.map(({ serverId }) => flavours.get(serverId))).size < 2
  return (sides[0] ?? []).flatMap((column) => {
    const all = sides.map((side) => columnNamed(side, column.name))
    const alike = all.every(
      (other) => other?.stored === true && other.dataType === column.dataType && isUnsigned(other) === isUnsigned(column),
    )
    return alike && (jsonIsAlike || column.dataType !== 'json') ? [column.name] : []
  })
}

function columnNamed<C extends ColumnDefinition>(columns: readonly C[] | undefined, name: string): C | undefined {
  return columns?.find((column) => column.name.toLowerCase() === name.toLowerCase())
}

function sideColumns(
  plan: TablePlan,
  shard: ShardRef,
  definitions: ReadonlyMap<string, SchemaDefinitions>,
  first: ShardRef | undefined,
  flavours: ReadonlyMap<string, Flavour>,
): ComparedColumn[] {
  const table = definitions.get(shard.uid)?.get(plan.name)
  if (table === undefined) throw verifyErrors.tableMissing({ table: plan.name, shard: shard.shard })
  return plan.columns.map(({ definition }, i) => {
    const own = columnNamed(table, definition.name)
    if (own === undefined) throw verifyErrors.columnMissing({ column: definition.name, table: plan.name, shard: shard.shard })
    if (
      i < plan.keyWidth &&
      (own.dataType !== definition.dataType || own.collation !== definition.collation || isUnsigned(own) !== isUnsigned(definition))
    ) {
      throw verifyErrors.keyOrderDiffers({
        column: definition.name,
        table: plan.name,
        shard: shard.shard,
        source: first?.shard,
        here: describe(own),
        there: describe(definition),
      })
    }
    const otherFlavour = first !== undefined && flavours.get(first.serverId) !== flavours.get(shard.serverId)
    if (otherFlavour && (own.dataType === 'json' || definition.dataType === 'json')) {
      throw verifyErrors.jsonAcrossFlavours({ column: definition.name, table: plan.name, shard: shard.shard, source: first.shard })
    }
    return own
  })
}

function isUnsigned(column: ColumnDefinition): boolean {
  return /unsigned/i.test(column.columnType)
}

function describe(column: ColumnDefinition): string {
  return column.collation === null ? column.columnType : `${column.columnType} ${column.collation}`
}

function keysOnly(plan: TablePlan, expressions: readonly string[]): TablePlan {
  const columns: MovedColumn[] = plan.columns.slice(0, plan.keyWidth)
  const selected = expressions.slice(0, plan.keyWidth)
  const shardKey = plan.shardKey.map((column): ShardKeyColumn => {
    const moved = plan.columns[column.index]
    if (column.index < plan.keyWidth || moved === undefined) return column
    columns.push(moved)
    selected.push(expressions[column.index] ?? '')
    return { ...column, index: columns.length - 1 }
  })
  const quoted = columns.map(({ definition }) => quoteIdentifier(definition.name))
  return {
    ...plan,
    columns,
    shardKey,
    selectList: selected.join(','),
    columnList: quoted.join(','),
  }
}

/**
 * Numbers as they are, others in hex, columns parted by ':', NULL as N. Null where that text would not give the value back (BIT). In one cell: a row each would
 * cost the server and us several times more (a million rows: 1.1 s to send, 0.1 s so).
 */
function shardKeyText(plan: TablePlan, expressions: readonly string[]): string | null {
  if (plan.shardKey.some(({ index }) => plan.columns[index]?.kind === LiteralKind.bits)) return null
  const parts = plan.shardKey.map(({ index }) => {
    const column = plan.columns[index]
    if (column === undefined) return "'N'"
    const value = expressions[index] ?? ''
    return `IFNULL(${column.kind === LiteralKind.number || column.kind === LiteralKind.float ? value : `HEX(${value})`},'N')`
  })
  return asBytes(parts.length === 1 ? (parts[0] ?? '') : `CONCAT_WS(':',${parts.join(',')})`)
}

/** A cell's bytes at most, so that a span of many more rows than was thought does not come into memory here: digests are summed by the server then, shard keys read row by row. */
export const cellBytesMax = 16 << 20
export const aggregateSessionSql = (bytesMax: number): string => `SET SESSION group_concat_max_len=${bytesMax}`
