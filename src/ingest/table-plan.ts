/**
 * A table of a definition, held against the table as a shard has it and the vschema: everything that would refuse rows, merge them wrongly, or make
 * two branches differ is a problem, with its way out; without problems it gives the plan by which rows are made, merged and written.
 */
import { TableProblems } from './table-problems.ts'
import type { ResolvedTable } from '../keyspace/vschema-resolve.ts'
import type { Vindex } from '../keyspace/vindex.ts'
import type { TableColumn, TableInfo } from '../mysql/table-info.ts'
import { columnCodec, columnKind, keyProblem, type ColumnCodec } from './codec.ts'
import type { Merge, TableDefinition } from './definition.ts'
import { versionBytesMax } from './order-version.ts'

/** Of a sketch that states none. */
export const relativeErrorDefault = 0.01

export type PlannedColumn = {
  readonly codec: ColumnCodec
  readonly name: string
  /** `version`: the order of `last` or `first`. */
  readonly merge: Merge | 'lastVersion' | 'firstVersion'
  readonly from: 'map' | 'bucket' | 'count' | 'version' | 'topic' | 'partition' | 'offset'
  readonly relativeError: number
}

export type TablePlan = {
  readonly definition: TableDefinition
  readonly name: string
  /** Key columns first. */
  readonly columns: readonly PlannedColumn[]
  readonly keyWidth: number
  /** Indexes into `columns`; empty: the row stands on every shard. */
  readonly shardKey: readonly number[]
  readonly vindex: Vindex | null
  readonly sketches: readonly number[]
  /** Index of the bucket column, or -1. */
  readonly bucket: number
}

export type TableProblem = { readonly table: string; readonly column: string | null; readonly problem: string; readonly fix: string }

export type TablePlanInput = {
  readonly definition: TableDefinition
  readonly topicId: string
  readonly info: TableInfo | null
  /** Null: the keyspace's vschema does not know the table. */
  readonly vschema: ResolvedTable | null
  readonly sharded: boolean
}

export function planTable(input: TablePlanInput): { plan: TablePlan | null; problems: TableProblem[] } {
  const { definition, info } = input
  const problems = new TableProblems(definition.table)
  if (info === null) {
    problems.add(null, 'there is no such table', 'make it, on every shard')
    return { plan: null, problems: problems.list }
  }
  const byName = new Map(info.columns.map((column) => [column.name.toLowerCase(), column]))
  checkTable(definition, info, problems)
  checkKeys(definition, info, byName, problems)
  checkOtherColumns(definition, info, problems)
  for (const [name, { merge, from }] of Object.entries(definition.columns)) {
    const column = byName.get(name.toLowerCase())
    if (column === undefined) problems.add(name, 'the table has no such column', 'add it, or take it out of the definition')
    else if (column.generated !== null)
      problems.add(name, 'it is a generated column', 'take it out of the definition: the server fills it in')
    else checkMerge(definition, column, merge, from, problems)
  }
  for (const name of [definition.lastVersion, definition.firstVersion])
    if (name !== null) checkVersion(name, byName.get(name.toLowerCase()), input.topicId, problems)
  const vindex = routing(input, problems)
  if (problems.list.length > 0) return { plan: null, problems: problems.list }
  return { plan: build(definition, byName, vindex), problems: [] }
}

function checkTable(definition: TableDefinition, info: TableInfo, problems: TableProblems): void {
  if (info.kind !== 'BASE TABLE' || info.engine !== 'InnoDB')
    problems.add(null, `it is a ${info.kind} of ${info.engine}`, 'rows and offsets are one transaction: make it an InnoDB table')
  for (const trigger of info.triggers)
    problems.add(
      null,
      `its trigger ${trigger.name} would run on this branch and may do otherwise on the next`,
      `DROP TRIGGER ${trigger.name}`,
    )
  for (const key of info.foreignKeys)
    problems.add(
      null,
      `its foreign key ${key.name} would make rows wait for, or vanish with, rows of ${key.referencedTable}`,
      'drop the foreign key',
    )
  if (definition.retentionMs !== null && definition.bucket === null)
    problems.add(null, 'rows expire by their bucket, and it has none', 'give it a bucket')
}

function checkKeys(definition: TableDefinition, info: TableInfo, byName: ReadonlyMap<string, TableColumn>, problems: TableProblems): void {
  const wanted = new Set(definition.keyColumns.map((name) => name.toLowerCase()))
  const same = info.keys.find(
    (key) =>
      key.unique &&
      key.parts.length === wanted.size &&
      key.parts.every((part) => part.prefixLength === null && wanted.has((part.column ?? '').toLowerCase())),
  )
  if (same === undefined)
    problems.add(null, `no unique key of it is (${definition.keyColumns.join(', ')})`, `PRIMARY KEY (${definition.keyColumns.join(', ')})`)
  if (definition.kind !== 'row') {
    for (const key of info.keys) {
      if (key.unique && key !== same)
        problems.add(null, `its unique key ${key.name} would merge rows of different keys`, `drop it, or make it an ordinary index`)
    }
    for (const name of definition.keyColumns) {
      const column = byName.get(name.toLowerCase())
      const problem = column === undefined ? null : keyProblem(column)
      if (problem !== null) problems.add(name, `it cannot be in the key: ${problem}`, 'change the column')
    }
    return
  }
  const coordinates = Object.values(definition.columns).map(({ from }) => from)
  if (definition.eventId === null && !(coordinates.includes('partition') && coordinates.includes('offset')))
    problems.add(
      null,
      'nothing tells two rows of a duplicated event apart, and nothing drops the second',
      "declare eventId, or put columns with from: 'partition' and from: 'offset' into the key",
    )
}

const ambient = /current_timestamp|\bnow\b|localtime|sysdate|uuid|\brand\b|nextval|next value/i

/** Every column counts, those that the definition leaves out most of all: what the server makes up differs between branches. */
function checkOtherColumns(definition: TableDefinition, info: TableInfo, problems: TableProblems): void {
  const ours = new Set(
    [...Object.keys(definition.columns), definition.lastVersion, definition.firstVersion].map((name) => (name ?? '').toLowerCase()),
  )
  for (const column of info.columns) {
    if (column.autoIncrement)
      problems.add(
        column.name,
        'AUTO_INCREMENT gives each branch, and each repetition, other numbers',
        'make the key of the record’s own values',
      )
    else if (ambient.test(column.defaultText ?? '') || ambient.test(column.extra))
      problems.add(
        column.name,
        `its default or ON UPDATE (${column.defaultText ?? column.extra}) differs between branches`,
        'take it from the record instead',
      )
    else if (!ours.has(column.name.toLowerCase()) && !column.nullable && column.defaultText === null && column.generated === null)
      problems.add(
        column.name,
        'it is NOT NULL, has no default, and the definition does not give it',
        'give it a default, or a place in the definition',
      )
  }
}

function checkMerge(
  definition: TableDefinition,
  column: TableColumn,
  merge: Merge,
  from: string | undefined,
  problems: TableProblems,
): void {
  const kind = columnKind(column)
  const no = (problem: string, fix: string): void => problems.add(column.name, problem, fix)
  const isBucket = definition.bucket?.column === column.name
  if (isBucket) {
    const as = definition.bucket?.as
    if ((as === 'datetime') !== (kind === 'instant') || (as !== 'datetime' && kind !== 'integer'))
      no(
        `the bucket is kept as ${as}, and the column is ${column.columnType}`,
        "as: 'datetime' for DATETIME and TIMESTAMP; 'ms' or 's' for integers",
      )
  }
  if ((from === 'partition' || from === 'offset') && !(kind === 'integer' && (from === 'partition' || column.dataType === 'bigint')))
    no(`it is to hold the record's ${from}, and is ${column.columnType}`, 'BIGINT UNSIGNED NOT NULL')
  switch (merge) {
    case 'sum':
      if (kind === 'float') no('sums of floating point differ by how batches are cut', 'make it DECIMAL, or an integer of a smaller unit')
      else if (kind !== 'integer' && kind !== 'decimal') no(`a sum of ${column.columnType}`, 'integers and DECIMAL can be summed')
      else if (column.nullable) no('a sum with NULL is NULL', 'NOT NULL DEFAULT 0')
      return
    case 'count':
      if (kind !== 'integer' || column.nullable)
        no(`a count in ${column.columnType}${column.nullable ? ' NULL' : ''}`, 'BIGINT UNSIGNED NOT NULL')
      return
    case 'min':
    case 'max':
      if (kind === 'text' || kind === 'json' || kind === 'other')
        no(
          `which ${column.columnType} is the smaller is the collation's to say, not ours`,
          'numbers, instants and binary strings have a minimum',
        )
      return
    case 'sketch':
      if (!['blob', 'mediumblob', 'longblob'].includes(column.dataType)) no(`a sketch in ${column.columnType}`, 'BLOB')
      return
    case 'last':
    case 'first':
    case 'key':
    case 'value':
      return
  }
}

function checkVersion(name: string, column: TableColumn | undefined, topicId: string, problems: TableProblems): void {
  const need = Math.max(64, versionBytesMax(topicId))
  const fix = `VARBINARY(${need}) NOT NULL DEFAULT ''`
  if (column === undefined)
    problems.add(name, 'the table has no such column; it keeps the order of last or first', `ADD COLUMN ${name} ${fix}`)
  else if (column.dataType !== 'varbinary' || column.nullable || (column.lengthMax ?? 0) < versionBytesMax(topicId))
    problems.add(
      name,
      `it is ${column.columnType}${column.nullable ? ' NULL' : ''}; the order takes up to ${versionBytesMax(topicId)} bytes, compared as bytes`,
      fix,
    )
}

function routing({ definition, vschema, sharded }: TablePlanInput, problems: TableProblems): Vindex | null {
  if (!sharded) return null
  if (vschema === null) {
    problems.add(null, 'the vschema does not know the table', 'shardwright vschema apply')
    return null
  }
  if (vschema.kind === 'reference') {
    if (definition.shardKey.length > 0)
      problems.add(null, 'it is a reference table, which stands on every shard', 'leave its shard key empty')
    return null
  }
  if (vschema.kind !== 'sharded') {
    problems.add(null, `it is ${vschema.kind} in the vschema`, 'sharded and reference tables can be filled from a topic')
    return null
  }
  const { columns, vindex } = vschema.primaryVindex
  if (columns.map((name) => name.toLowerCase()).join() !== definition.shardKey.map((name) => name.toLowerCase()).join())
    problems.add(
      null,
      `its shard key is (${definition.shardKey.join(', ')}); the vschema routes it by (${columns.join(', ')})`,
      'make them the same, in the same order',
    )
  return vindex
}

function build(definition: TableDefinition, byName: ReadonlyMap<string, TableColumn>, vindex: Vindex | null): TablePlan {
  const names = [...definition.keyColumns, ...Object.keys(definition.columns).filter((name) => !definition.keyColumns.includes(name))]
  const codecOf = (name: string): ColumnCodec => {
    const column = byName.get(name.toLowerCase()) as TableColumn
    return columnCodec(definition.table, column, definition.bucket?.column === name ? definition.bucket.as : null)
  }
  const columns = names.map((name): PlannedColumn => {
    const { merge, from, relativeError } = definition.columns[name] ?? { merge: 'value' as const }
    const source = from ?? (merge === 'count' ? 'count' : definition.bucket?.column === name ? 'bucket' : 'map')
    return { codec: codecOf(name), name, merge, from: source, relativeError: relativeError ?? relativeErrorDefault }
  })
  // After all columns that they decide on: the server assigns from left to right.
  for (const [name, merge] of [
    [definition.lastVersion, 'lastVersion'],
    [definition.firstVersion, 'firstVersion'],
  ] as const) {
    if (name !== null) columns.push({ codec: codecOf(name), name, merge, from: 'version', relativeError: 0 })
  }
  return {
    definition,
    name: definition.table,
    columns,
    keyWidth: definition.keyColumns.length,
    shardKey: vindex === null ? [] : definition.shardKey.map((name) => columns.findIndex((column) => column.name === name)),
    vindex,
    sketches: columns.flatMap(({ merge }, index) => (merge === 'sketch' ? [index] : [])),
    bucket: columns.findIndex(({ from }) => from === 'bucket'),
  }
}
