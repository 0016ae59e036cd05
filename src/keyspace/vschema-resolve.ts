/** Turns a vschema into what routes rows, and refuses one that would route them wrongly or not at all. */
import { didYouMean } from './did-you-mean.ts'
import { keyspaceErrors } from './errors.ts'
import type { KeyspaceId } from './keyspace-id.ts'
import type { Vindex, VindexFiles } from './vindex.ts'
import { createVindex } from './vindexes/create.ts'
import { defineLookup, isLookupType, type LookupDefinition } from './vindexes/lookup.ts'
import type { ColumnVindexDefinition, TableDefinition, VindexDefinition, Vschema } from './vschema.ts'

/** A vindex and the columns of one table that it acts on, in its order. */
export type ColumnVindex<V extends Vindex | LookupDefinition = Vindex | LookupDefinition> = {
  readonly vindex: V
  readonly columns: readonly string[]
}

export type SequenceName = { readonly keyspace: string | null; readonly table: string }

type TableParts = {
  readonly name: string
  readonly autoIncrement: { readonly column: string; readonly sequence: SequenceName } | null
  readonly definition: TableDefinition
}

export type ResolvedTable = TableParts &
  (
    | {
        readonly kind: 'sharded'
        /** Decides on which shard a row stands. */
        readonly primaryVindex: ColumnVindex<Vindex>
        readonly otherVindexes: readonly (ColumnVindex & { readonly owned: boolean })[]
      }
    | { readonly kind: 'pinned'; readonly keyspaceId: KeyspaceId }
    | { readonly kind: 'reference'; readonly source: string | null }
    | { readonly kind: 'sequence'; readonly pinnedTo: KeyspaceId | null }
    | { readonly kind: 'unsharded' }
  )

export type ResolvedVschema = {
  readonly sharded: boolean
  readonly vindexes: ReadonlyMap<string, Vindex | LookupDefinition>
  readonly tables: ReadonlyMap<string, ResolvedTable>
}

export function isLookup(vindex: Vindex | LookupDefinition): vindex is LookupDefinition {
  return 'kind' in vindex
}

/**
 * Resolves every vindex and table. SW-KEYSPACE-010…012 (vindexes), 015 (columns), 019…023 (tables). `files` as for `createVindex`.
 */
export function resolveVschema(vschema: Vschema, files: VindexFiles | null = null): ResolvedVschema {
  const definitions = vschema.tables ?? {}
  const vindexes = new Map(
    Object.entries(vschema.vindexes ?? {}).map(([name, vindex]) => [name, resolveVindex(name, vindex, definitions, files)]),
  )
  const tables = new Map(Object.entries(definitions).map(([name, table]) => [name, resolveTable(name, table, vschema, vindexes)]))
  for (const { name, autoIncrement } of tables.values()) {
    if (autoIncrement === null || autoIncrement.sequence.keyspace !== null) continue
    const { table } = autoIncrement.sequence
    const there = tables.get(table)
    if (there !== undefined && there.kind !== 'sequence') {
      throw bad(`tables.${name}.auto_increment.sequence`, `${table} is no sequence`)
    }
  }
  return { sharded: vschema.sharded === true, vindexes, tables }
}

/** The table, or SW-KEYSPACE-024. */
export function requireTable(vschema: ResolvedVschema, table: string): ResolvedTable {
  const found = vschema.tables.get(table)
  if (found === undefined) throw keyspaceErrors.unroutableTable({ table, hint: didYouMean(table, vschema.tables.keys()) })
  return found
}

function bad(path: string, reason: string): Error {
  return keyspaceErrors.vschemaBadValue({ path, reason })
}

function resolveVindex(
  name: string,
  { type, params = {}, owner }: VindexDefinition,
  tables: Readonly<Record<string, TableDefinition>>,
  files: VindexFiles | null,
): Vindex | LookupDefinition {
  if (!isLookupType(type)) {
    if (owner !== undefined && owner !== '')
      throw bad(`vindexes.${name}.owner`, `a ${type} vindex is computed and has no owner; only lookups have one`)
    return createVindex(type, name, params, files)
  }
  if (owner !== undefined && owner !== '') {
    const table = Object.hasOwn(tables, owner) ? tables[owner] : undefined
    if (table === undefined) throw bad(`vindexes.${name}.owner`, `there is no table ${owner}${didYouMean(owner, Object.keys(tables))}`)
    if (table.column_vindexes?.some((column) => column.name === name) !== true) {
      throw bad(`vindexes.${name}.owner`, `table ${owner} does not use this vindex`)
    }
  }
  return defineLookup({ name, type, params, files })
}

function resolveTable(
  name: string,
  table: TableDefinition,
  vschema: Vschema,
  vindexes: ReadonlyMap<string, Vindex | LookupDefinition>,
): ResolvedTable {
  const sharded = vschema.sharded === true
  const parts = { name, autoIncrement: resolveAutoIncrement(name, table), definition: table }
  checkColumns(name, table)
  const pinned = table.pinned === undefined || table.pinned === '' ? null : readPinned(name, table.pinned)
  if (table.source !== undefined && table.source !== '' && table.type !== 'reference') {
    throw bad(`tables.${name}.source`, 'only a reference table has a source')
  }
  const used = (table.column_vindexes ?? []).map((column, i) => resolveColumnVindex(name, i, column, vschema, vindexes))
  if (table.type === 'sequence') {
    if (sharded && pinned === null) throw keyspaceErrors.vschemaSequence({ table: name })
    return { ...parts, kind: 'sequence', pinnedTo: pinned }
  }
  if (table.type === 'reference') {
    if (used.length > 0) throw bad(`tables.${name}.column_vindexes`, 'a reference table stands whole on every shard and has no vindex')
    return { ...parts, kind: 'reference', source: table.source ?? null }
  }
  if (!sharded) return { ...parts, kind: 'unsharded' }
  if (pinned !== null) return { ...parts, kind: 'pinned', keyspaceId: pinned }
  const [primary, ...others] = used
  if (primary === undefined) throw keyspaceErrors.vschemaNoPrimaryVindex({ table: name })
  if (isLookup(primary.vindex)) {
    const reason = primary.vindex.unique ? 'it is a lookup, whose ids are not computed' : 'it is not unique'
    throw keyspaceErrors.vschemaPrimaryVindex({ table: name, vindex: primary.vindex.name, reason })
  }
  for (const [i, { vindex, columns }] of others.entries()) {
    if (!isLookup(vindex) && columns.length > 1) {
      throw bad(`tables.${name}.column_vindexes[${i + 1}]`, `${vindex.name} takes several columns and must be the primary vindex`)
    }
  }
  return { ...parts, kind: 'sharded', primaryVindex: { vindex: primary.vindex, columns: primary.columns }, otherVindexes: others }
}

function resolveColumnVindex(
  table: string,
  index: number,
  definition: ColumnVindexDefinition,
  vschema: Vschema,
  vindexes: ReadonlyMap<string, Vindex | LookupDefinition>,
): ColumnVindex & { readonly owned: boolean } {
  const path = `tables.${table}.column_vindexes[${index}]`
  const { name } = definition
  const vindex = vindexes.get(name)
  if (vindex === undefined) throw keyspaceErrors.vschemaNoVindex({ table, vindex: name, hint: didYouMean(name, vindexes.keys()) })
  const several = definition.columns ?? []
  const single = definition.column ?? ''
  if (single !== '' && several.length > 0) throw bad(path, 'it has column and columns')
  const columns = single !== '' ? [single] : several
  if (columns.length === 0) throw bad(path, 'it names no column')
  const repeated = columns.find((column, i) => columns.findIndex((other) => sameColumn(other, column)) !== i)
  if (repeated !== undefined) throw bad(path, `it names column ${repeated} twice`)
  checkKnown(path, columns, vschema.tables?.[table])
  if (isLookup(vindex)) {
    if (columns.length > vindex.from.length) {
      throw keyspaceErrors.wrongColumnCount({ name, type: vindex.type, need: vindex.from.length, got: columns.length })
    }
  } else if (columns.length !== vindex.columns) {
    throw keyspaceErrors.wrongColumnCount({ name, type: vindex.type, need: vindex.columns, got: columns.length })
  }
  return { vindex, columns, owned: isLookup(vindex) && vschema.vindexes?.[name]?.owner === table }
}

/** Column names are compared without case, as the servers do. */
export function sameColumn(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function checkColumns(name: string, { columns = [], auto_increment: increment, ...table }: TableDefinition): void {
  for (const [i, column] of columns.entries()) {
    if (columns.findIndex((other) => sameColumn(other.name, column.name)) !== i)
      throw bad(`tables.${name}.columns[${i}].name`, `column ${column.name} is listed twice`)
  }
  if (increment !== undefined) checkKnown(`tables.${name}.auto_increment`, [increment.column], { columns, ...table })
}

/** Where the column list claims to be complete, columns outside it are mistakes. */
function checkKnown(path: string, used: readonly string[], table: TableDefinition | undefined): void {
  if (table?.column_list_authoritative !== true) return
  const known = (table.columns ?? []).map(({ name }) => name)
  const unknown = used.find((column) => !known.some((name) => sameColumn(name, column)))
  if (unknown !== undefined) throw bad(path, `there is no column ${unknown}${didYouMean(unknown, known)}`)
}

function resolveAutoIncrement(name: string, table: TableDefinition): TableParts['autoIncrement'] {
  const increment = table.auto_increment
  if (increment === undefined) return null
  const names = /^(?:(?:`([^`]+)`|([^.`]+))\.)?(?:`([^`]+)`|([^.`]+))$/.exec(increment.sequence)
  if (names === null) throw bad(`tables.${name}.auto_increment.sequence`, `${JSON.stringify(increment.sequence)} is no table name`)
  return { column: increment.column, sequence: { keyspace: names[1] ?? names[2] ?? null, table: (names[3] ?? names[4]) as string } }
}

function readPinned(name: string, hex: string): KeyspaceId {
  if (!/^([0-9a-fA-F]{2})+$/.test(hex)) throw bad(`tables.${name}.pinned`, `${JSON.stringify(hex)} is no keyspace id in hexadecimal`)
  return Buffer.from(hex, 'hex')
}
