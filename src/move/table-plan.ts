/**
 * What is precomputed of a moved table: which columns are read and written in which order, how each becomes a literal, what its key is
 * and how its shard key maps to a keyspace id.
 *
 * Key columns come first in every select list, row literal and insert list: the key's literal is then the beginning of the row's literal,
 * the same bytes in copy and tail (both read canonical values, binlog/canonical-select.ts). So one text serves as identity in sets
 * and maps, in DELETE, and as the bound of a chunk.
 */
import { canonicalExpression } from '../binlog/canonical-select.ts'
import type { ColumnDefinition } from '../binlog/source.ts'
import type { Vindex, VindexValueType } from '../keyspace/vindex.ts'
import type { FlavourName } from '../mysql/connection.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import type { TableMerge } from '../topology/records.ts'
import type { MergedTable, MergeWriter } from './merged-table.ts'

/** How a column's canonical bytes are written. */
export const LiteralKind = { number: 0, text: 1, bits: 2, json: 3, ascii: 4, mysqlJson: 5, float: 6 } as const
export type LiteralKind = (typeof LiteralKind)[keyof typeof LiteralKind]

export type MovedColumn = {
  readonly definition: ColumnDefinition
  readonly kind: LiteralKind
  /** Its place among all columns of the table: in the binlog's row images. */
  readonly ordinal: number
}

export type ShardKeyColumn = {
  /** Index into `columns`. */
  readonly index: number
  readonly type: VindexValueType
  /** Turns bytes of the column's charset into UTF-8; null where they are it already. */
  readonly toUtf8: ((bytes: Uint8Array) => Uint8Array) | null
}

export type TablePlan = {
  readonly schema: string
  readonly name: string
  readonly reference: boolean
  readonly definitions: readonly ColumnDefinition[]
  /** Columns that are moved (no generated ones), key columns first. */
  readonly columns: readonly MovedColumn[]
  readonly keyWidth: number
  /** Which of the key's columns lie in descending order; empty: it is walked in one direction. */
  readonly keyDescending: readonly boolean[]
  /** The key is the primary key: its index has the same name on every server. */
  readonly keyIsPrimary: boolean
  readonly vindex: Vindex | null
  readonly shardKey: readonly ShardKeyColumn[]
  readonly selectList: string
  readonly columnList: string
  /** Quoted names: what the key's index has. */
  readonly keyColumns: readonly string[]
  /** The same as they are compared with literals (`comparedColumn`). */
  readonly keyCompared: readonly string[]
  readonly shardKeyColumns: readonly string[]
  /** The shard key's columns as they are compared to say whose a row is: text by its bytes, for the keyspace id is made of them (statements.ts). */
  readonly ownerColumns: readonly string[]
  /** Others write its rows on the targets too. */
  readonly merged: MergedTable | null
}

export type TablePlanInput = {
  schema: string
  name: string
  reference: boolean
  definitions: readonly ColumnDefinition[]
  key: readonly string[]
  keyIsPrimary?: boolean
  keyDescending?: readonly boolean[]
  vindex: Vindex | null
  vindexColumns: readonly string[]
  toUtf8: (column: ColumnDefinition) => ((bytes: Uint8Array) => Uint8Array) | null
  /** MySQL's JSON is written otherwise to MySQL than to MariaDB, where it is text. MySQL unless given. */
  targetFlavour?: FlavourName
  merged?: { readonly merge: TableMerge; readonly writer: MergeWriter }
}

export function planTable(input: TablePlanInput): TablePlan {
  const lower = (name: string): string => name.toLowerCase()
  const ordinals = new Map(input.definitions.map((definition, ordinal) => [lower(definition.name), ordinal]))
  const key = input.key.map(lower)
  const rest = input.definitions
    .filter((definition) => !key.includes(lower(definition.name)) && !definition.generated)
    .map((definition) => lower(definition.name))
  const columns = [...key, ...rest].map((name): MovedColumn => {
    const ordinal = ordinals.get(name)
    const definition = ordinal === undefined ? undefined : input.definitions[ordinal]
    if (ordinal === undefined || definition === undefined) throw new Error(`table ${input.name} has no column ${name}`)
    const kind = literalKind(definition)
    return { definition, kind: kind === LiteralKind.json && input.targetFlavour !== 'mariadb' ? LiteralKind.mysqlJson : kind, ordinal }
  })
  const shardKey = input.vindexColumns.map((name): ShardKeyColumn => {
    const index = columns.findIndex((column) => lower(column.definition.name) === lower(name))
    const column = columns[index]
    if (column === undefined) throw new Error(`table ${input.name} has no stored column ${name}`)
    return { index, type: vindexValueType(column.definition), toUtf8: input.toUtf8(column.definition) }
  })
  const quoted = columns.map((column) => quoteIdentifier(column.definition.name))
  return {
    schema: input.schema,
    name: input.name,
    reference: input.reference,
    definitions: input.definitions,
    columns,
    keyWidth: key.length,
    keyDescending: input.keyDescending ?? [],
    keyIsPrimary: input.keyIsPrimary ?? false,
    vindex: input.vindex,
    shardKey,
    // Text that goes where JSON is text needs no types.
    selectList: columns
      .map(({ definition, kind }, i) => (kind === LiteralKind.json ? (quoted[i] ?? '') : canonicalExpression(definition)))
      .join(','),
    columnList: quoted.join(','),
    keyColumns: quoted.slice(0, key.length),
    keyCompared: columns.slice(0, key.length).map(({ definition }) => comparedColumn(definition)),
    shardKeyColumns: shardKey.map(({ index }) => quoted[index] ?? ''),
    ownerColumns: shardKey.map(({ index }) => asBytesCompared(columns[index], quoted[index] ?? '')),
    merged: mergedOf(input, columns, key.length),
  }
}

/**
 * A column of a key where its canonical value is compared. Both servers compare a SET as a signed number and keep it in the order of an unsigned one (*tried*, 10.11, 9.7.4): a value with
 * the 64th member is below all others to them, and equals no number that it is written as, so chunks lacked such rows and deletes found none. As what it is cast to no index is used for it; ranges of a SET use none anyway.
 */
export function comparedColumn(definition: ColumnDefinition, prefix = ''): string {
  const quoted = `${prefix}${quoteIdentifier(definition.name)}`
  return hasBit63(definition) ? `CAST(${quoted} AS UNSIGNED)` : quoted
}

function hasBit63({ dataType, columnType }: ColumnDefinition): boolean {
  return dataType === 'set' && (columnType.match(/'(?:[^']|'')*'/g)?.length ?? 0) >= 64
}

function asBytesCompared(column: MovedColumn | undefined, quoted: string): string {
  const charset = column?.kind === LiteralKind.text ? column.definition.charset : null
  return charset === null || charset === 'binary' ? quoted : `CAST(${quoted} AS BINARY)`
}

function mergedOf({ name, merged, targetFlavour }: TablePlanInput, columns: readonly MovedColumn[], keyWidth: number): MergedTable | null {
  if (merged === undefined) return null
  const cells = columns.map(({ definition }, i) => ({ name: definition.name, dataType: definition.dataType, key: i < keyWidth }))
  return merged.writer({ name, columns: cells, merge: merged.merge }, targetFlavour ?? 'mysql')
}

const numberTypes = new Set(['tinyint', 'smallint', 'mediumint', 'int', 'integer', 'bigint', 'decimal', 'numeric', 'year', 'enum', 'set'])

export function literalKind(definition: ColumnDefinition): LiteralKind {
  const type = definition.dataType
  if (numberTypes.has(type)) return LiteralKind.number
  if (type === 'float' || type === 'double') return LiteralKind.float
  // A string is not a number to `WHERE bit_column = …`; MariaDB takes x'…' for a string there, and finds nothing (*tried*, 10.11).
  if (type === 'bit') return LiteralKind.bits
  // MySQL refuses JSON from a binary string.
  if (type === 'json') return LiteralKind.json
  // MariaDB takes a binary string for the value's own 16 (or 4) bytes.
  if (type === 'uuid' || type === 'inet6' || type === 'inet4') return LiteralKind.ascii
  return LiteralKind.text
}

const valueTypes: Readonly<Record<string, VindexValueType>> = {
  decimal: 'DECIMAL',
  float: 'FLOAT32',
  double: 'FLOAT64',
  year: 'YEAR',
  date: 'DATE',
  time: 'TIME',
  datetime: 'DATETIME',
  timestamp: 'TIMESTAMP',
  char: 'CHAR',
  varchar: 'VARCHAR',
  tinytext: 'TEXT',
  text: 'TEXT',
  mediumtext: 'TEXT',
  longtext: 'TEXT',
  json: 'JSON',
  binary: 'BINARY',
  varbinary: 'VARBINARY',
  tinyblob: 'BLOB',
  blob: 'BLOB',
  mediumblob: 'BLOB',
  longblob: 'BLOB',
  bit: 'BIT',
  uuid: 'UUID',
  inet4: 'INET',
  inet6: 'INET',
}
const integerTypes: Readonly<Record<string, readonly [VindexValueType, VindexValueType]>> = {
  tinyint: ['INT8', 'UINT8'],
  smallint: ['INT16', 'UINT16'],
  mediumint: ['INT24', 'UINT24'],
  int: ['INT32', 'UINT32'],
  bigint: ['INT64', 'UINT64'],
}

export function vindexValueType(definition: ColumnDefinition): VindexValueType {
  const integer = integerTypes[definition.dataType]
  if (integer !== undefined) return /unsigned/i.test(definition.columnType) ? integer[1] : integer[0]
  return valueTypes[definition.dataType] ?? 'BLOB'
}
