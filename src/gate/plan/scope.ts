/** Which tables a statement names, and to which of them a column belongs. */
import { append } from '../../base/append.ts'
import type { ResolvedTable } from '../../keyspace/vschema-resolve.ts'
import type { CallExpr, Expr, Span, TableName } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import { inRoleOf } from '../../topology/replica-name.ts'
import type { Catalog, ColumnInfo, KeyspaceInfo, TableColumns } from './catalog.ts'
import { planErrors } from './errors.ts'

/**
 * Where a condition holds: the whole SELECT, or only the side of an outer join that may be absent, or a subquery. A condition found in a
 * context says something of the tables inside of it, and of others only in relation to those.
 */
export class Context {
  readonly parent: Context | null
  constructor(parent: Context | null) {
    this.parent = parent
  }

  within(outer: Context): boolean {
    for (let context: Context | null = this; context !== null; context = context.parent) if (context === outer) return true
    return false
  }
}

export type BoundTable = {
  readonly id: number
  /** Lower case: what columns are qualified by. */
  readonly alias: string
  readonly name: string
  readonly keyspace: KeyspaceInfo
  readonly entry: ResolvedTable | undefined
  readonly columns: TableColumns | null
  readonly context: Context
  /** Where it is named: `keyspace.table`, without the alias. */
  readonly span: Span
  readonly hasAlias: boolean
}

export type BoundColumn = { readonly table: BoundTable; readonly column: ColumnInfo }

export class Scope {
  readonly parent: Scope | null
  readonly context: Context
  readonly tables: BoundTable[] = []
  /** Names of derived tables and CTEs: their columns are not known. */
  readonly opaque: string[] = []
  /** Of so many of the tables: names are looked up, as there may be hundreds of tables and thousands of names. */
  #indexed = -1
  readonly #byAlias = new Map<string, BoundTable[]>()
  readonly #byName = new Map<string, readonly BoundColumn[]>()

  constructor(parent: Scope | null, context: Context) {
    this.parent = parent
    this.context = context
  }

  /** The column of a table, or null when it is of a derived table, of none, or not known. */
  resolve(expr: Extract<Expr, { kind: 'column' }>): BoundColumn | null {
    const name = expr.name.text.toLowerCase()
    const qualifier = expr.table?.text.toLowerCase() ?? null
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const found = scope.#columns(name, qualifier)
      if (found.length === 1) return found[0] ?? null
      // Ambiguous, or perhaps of a derived table: nothing is concluded from it; the server knows.
      if (found.length > 1 || (qualifier === null ? scope.opaque.length > 0 : scope.opaque.includes(qualifier))) return null
      if (qualifier !== null && scope.#called(qualifier).length > 0) return null
    }
    return null
  }

  #called(alias: string): readonly BoundTable[] {
    this.#index()
    return this.#byAlias.get(alias) ?? []
  }

  #columns(name: string, qualifier: string | null): readonly BoundColumn[] {
    this.#index()
    const known = qualifier === null ? this.#byName.get(name) : undefined
    if (known !== undefined) return known
    const found = (qualifier === null ? this.tables : this.#called(qualifier)).flatMap((table) => {
      const column = columnsOf(table.columns).get(name)
      return column === undefined ? [] : [{ table, column }]
    })
    if (qualifier === null) this.#byName.set(name, found)
    return found
  }

  #index(): void {
    if (this.#indexed === this.tables.length) return
    this.#indexed = this.tables.length
    this.#byAlias.clear()
    this.#byName.clear()
    for (const table of this.tables) append(this.#byAlias, table.alias, table)
  }
}

const byColumnName = new WeakMap<TableColumns, ReadonlyMap<string, ColumnInfo>>()
const noColumns: ReadonlyMap<string, ColumnInfo> = new Map()

function columnsOf(table: TableColumns | null): ReadonlyMap<string, ColumnInfo> {
  if (table === null) return noColumns
  let columns = byColumnName.get(table)
  if (columns === undefined)
    byColumnName.set(table, (columns = new Map(table.columns.map((column) => [column.name.toLowerCase(), column]))))
  return columns
}

/**
 * Whether an aggregate in a subquery is over the rows of a query around it: it belongs to the innermost one of whose columns it has one. (Over no column it is the subquery's own; what can't be
 * resolved is of a derived table, and those are not sent to several shards anyway.)
 */
export function isOfOuter(aggregate: CallExpr, scope: Scope): boolean {
  let own = false
  let outer = false
  for (const arg of aggregate.args)
    walkExpr(arg, {
      expr(node) {
        const bound = node.kind === 'column' ? scope.resolve(node) : null
        if (bound === null) return
        if (scope.tables.includes(bound.table)) own = true
        else outer = true
      },
    })
  return outer && !own
}

/** Signals that columns must be loaded first. */
export class NeedsSchema extends Error {
  readonly keyspace: string
  readonly tables: string[]
  constructor(keyspace: string, tables: string[]) {
    super('columns are not loaded')
    this.keyspace = keyspace
    this.tables = tables
  }
}

const systemSchemas = new Set(['information_schema', 'performance_schema', 'mysql', 'sys'])
export function isSystemSchema(name: string): boolean {
  return systemSchemas.has(name.toLowerCase())
}

/** Collects the tables of a statement; all must be of one keyspace. */
export class Binder {
  readonly catalog: Catalog
  readonly current: string | null
  readonly tables: BoundTable[] = []
  #missing = false

  constructor(catalog: Catalog, current: string | null) {
    this.catalog = catalog
    this.current = current
  }

  keyspaceOf(table: TableName): KeyspaceInfo {
    const name = table.schema === null ? this.current : inRoleOf(table.schema.text, this.current)
    if (name === null) throw planErrors.noKeyspace()
    const keyspace = this.catalog.keyspace(name)
    if (keyspace === undefined) throw planErrors.unknownKeyspace({ keyspace: name })
    return keyspace
  }

  bind(table: TableName, alias: string | null, context: Context): BoundTable {
    const keyspace = this.keyspaceOf(table)
    const first = this.tables[0]?.keyspace
    if (first !== undefined && first.name !== keyspace.name)
      throw planErrors.crossKeyspace({ keyspaces: `${first.name}, ${keyspace.name}` })
    const name = table.name.text
    // Its server would know it by its own character set, and the gate as a table that is not there.
    if (keyspace.vschema.sharded && name.includes('\ufffd'))
      throw planErrors.refused({
        construct: `a table whose name ${name} is not UTF-8`,
        reason: 'the gate knows names as UTF-8 only',
        instead: 'SET NAMES utf8mb4, and write the name so',
      })
    const columns = keyspace.vschema.sharded ? keyspace.columns(name) : null
    this.#missing ||= columns === undefined
    const entry = keyspace.vschema.tables.get(name)
    if (keyspace.vschema.sharded && entry === undefined && columns != null)
      throw planErrors.tableNotInVschema({ table: name, keyspace: keyspace.name })
    const bound: BoundTable = {
      id: this.tables.length,
      alias: (alias ?? name).toLowerCase(),
      name,
      keyspace,
      entry,
      columns: columns ?? null,
      context,
      span: table.span,
      hasAlias: alias !== null,
    }
    this.tables.push(bound)
    return bound
  }

  /** After all tables are bound. Those that are not there are asked for beside the others: believed for a moment each, they would be asked for in turn. */
  requireColumns(): void {
    const keyspace = this.tables[0]?.keyspace
    if (keyspace === undefined || !this.#missing) return
    throw new NeedsSchema(keyspace.name, [...new Set(this.tables.flatMap(({ name, columns }) => (columns === null ? [name] : [])))])
  }
}

export function isSharded(table: BoundTable): boolean {
  return table.entry?.kind === 'sharded'
}
