/**
 * Lookup vindexes in plans: what a table owns, what a statement does to it, and what is refused.
 *
 * A lookup says which keyspace ids rows with a value *may* have: the statement then goes to their shards, with the client's own conditions. So a
 * row of a lookup without a row of the table is harmless, and a row of the table without one is not: it would be missed. What is written keeps to that
 * (gate/lookup-writes.ts). A lookup is read by only where its table's own gate writes keep it (`owned`, and not `write_only`); a table that merely uses another
 * one's lookup is asked on all shards.
 */
import { isLookup } from '../../keyspace/vschema-resolve.ts'
import type { Vindex, VindexValue } from '../../keyspace/vindex.ts'
import type { LookupDefinition } from '../../keyspace/vindexes/lookup.ts'
import type { Delete, Insert, Update } from '../../sql/ast.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { familyOf } from './equality.ts'
import { planErrors } from './errors.ts'
import type { Piece, Slot } from './plan.ts'
import type { BoundTable } from './scope.ts'
import { asksOtherwise } from './read-twice.ts'
import { bare, slotOf } from './slots.ts'
import { follows } from './following.ts'
import { compileSpan, text } from './text.ts'

/** One that a table owns, and the table's columns in its order. */
export type OwnedLookup = {
  readonly lookup: LookupDefinition
  readonly keyspace: string
  readonly table: string
  readonly columns: readonly ColumnInfo[]
  /** The table's shard key. */
  readonly vindex: Vindex
  readonly key: readonly ColumnInfo[]
}

/** A row that a lookup must have, or may lose. */
export type LookupEntry = { readonly lookup: OwnedLookup; readonly values: readonly VindexValue[]; readonly keyspaceId: Uint8Array }

/** What an UPDATE or DELETE does to lookups: the rows that it changes are read before, under lock. */
export type LookupChange = {
  readonly lookups: readonly OwnedLookup[]
  /** Columns that `read` selects: shard key and those of the lookups. */
  readonly columns: readonly ColumnInfo[]
  /** Selects the rows that the statement will change. Null: the statement is not for one table, and is told of its rows by their keys. */
  readonly read: readonly Piece[] | null
  /** What columns are set to; empty for a DELETE. */
  readonly assigned: ReadonlyMap<string, Slot>
  readonly verb: 'update' | 'delete'
}

function columnsOf(table: BoundTable, names: readonly string[]): ColumnInfo[] | null {
  const found = names.map((name) => table.columns?.columns.find((column) => column.name.toLowerCase() === name.toLowerCase()))
  return found.some((column) => column === undefined) ? null : (found as ColumnInfo[])
}

/** Lookups that say where rows of the table may be. */
export function readableLookups(table: BoundTable): { readonly lookup: LookupDefinition; readonly columns: readonly ColumnInfo[] }[] {
  if (table.entry?.kind !== 'sharded') return []
  return table.entry.otherVindexes.flatMap(({ vindex, columns: names, owned }) => {
    if (!isLookup(vindex) || !owned || vindex.params['write_only'] === 'true') return []
    const columns = columnsOf(table, names)
    return columns === null || columns.some((column) => !isKept(column) || follows(table, column.name)) ? [] : [{ lookup: vindex, columns }]
  })
}

/** Of types whose stored values the gate knows; not those that the server makes of other columns. */
function isKept(column: ColumnInfo): boolean {
  const family = familyOf(column)
  if (column.generated) return false
  return family === 'integer' || family === 'text' || family === 'binary'
}

/** @throws SW-GATE-123 for one that can't be kept */
export function ownedLookups(table: BoundTable): OwnedLookup[] {
  const { entry } = table
  if (entry?.kind !== 'sharded') return []
  const key = columnsOf(table, entry.primaryVindex.columns)
  return entry.otherVindexes.flatMap(({ vindex, columns: names, owned }) => {
    if (!isLookup(vindex) || !owned) return []
    const refuse = (reason: string): never => {
      throw planErrors.lookupVindex({ table: table.name, vindex: vindex.name, reason })
    }
    const columns = columnsOf(table, names) ?? refuse(`the table lacks a column of ${names.join(', ')}`)
    if (names.length !== vindex.from.length) refuse(`it is found by ${vindex.from.length} columns, and the table gives ${names.length}`)
    const odd = columns.find((column) => !isKept(column))
    if (odd !== undefined)
      refuse(
        odd.generated
          ? `the server makes column ${odd.name} of others, and its value is not known before`
          : `column ${odd.name} is ${odd.dataType}; integers, text and binary strings are kept`,
      )
    const following = columns.find((column) => follows(table, column.name))
    if (following !== undefined) refuse(`a foreign key ON UPDATE CASCADE sets column ${following.name}`)
    if (key === null) refuse('the table lacks a column of its shard key')
    const { vindex: primary } = entry.primaryVindex
    return [{ lookup: vindex, keyspace: table.keyspace.name, table: table.name, columns, vindex: primary, key: key as ColumnInfo[] }]
  })
}

/** What would meet rows on other shards, or change rows that were not read. */
export function refuseWithLookups(insert: Insert, table: BoundTable, lookups: readonly OwnedLookup[]): void {
  const unique = lookups.some(({ lookup }) => lookup.unique)
  const construct =
    unique && insert.verb === 'replace'
      ? 'REPLACE'
      : insert.returning !== null
        ? 'INSERT … RETURNING'
        : unique && insert.onDuplicate !== null
          ? 'ON DUPLICATE KEY UPDATE'
          : unique && insert.ignore
            ? 'INSERT IGNORE'
            : null
  if (construct === null) return
  const names = lookups.map(({ lookup }) => lookup.name).join(', ')
  throw planErrors.refused({
    construct: `${construct} into ${table.name}, which owns lookup vindex ${names}`,
    reason: 'the rows that it meets may stand on other shards, and the lookup would have to be changed for them',
    instead: 'SELECT the row FOR UPDATE, then UPDATE or INSERT it, in one transaction',
  })
}

/** Null: no lookup of the changed table is concerned. */
export function lookupChange(statement: Update | Delete, changed: readonly BoundTable[], analysis: Analysis): LookupChange | null {
  const [table] = changed
  const all = changed.flatMap((one) => ownedLookups(one))
  if (table === undefined || all.length === 0) return null
  const assigned = new Map<string, Slot>()
  if (statement.kind === 'update') {
    const named = new Set(all.flatMap(({ columns }) => columns.map((column) => column.name.toLowerCase())))
    for (const { column, value } of statement.assignments) {
      const name = column.name.text.toLowerCase()
      const bound = analysis.resolve(column)
      if (!named.has(name) || (bound !== null && !changed.includes(bound.table))) continue
      const inner = bare(value)
      if (inner.kind === 'column' && inner.name.text.toLowerCase() === name && analysis.resolve(inner)?.table === bound?.table) continue
      const slot = slotOf(value)
      if (slot === null || slot.kind === 'default')
        throw planErrors.refused({
          construct: `setting ${table.name}.${name}, which a lookup vindex finds by, to an expression`,
          reason: 'the row of the lookup must be written before, and only the server knows the value',
          instead: 'give a constant or a parameter',
        })
      assigned.set(name, slot)
    }
  }
  const lookups =
    statement.kind === 'delete' ? all : all.filter(({ columns }) => columns.some((column) => assigned.has(column.name.toLowerCase())))
  if (lookups.length === 0) return null
  const refuse = (construct: string): never => {
    throw planErrors.refused({
      construct: `${construct} over ${table.name}, which owns lookup vindex ${lookups.map(({ lookup }) => lookup.name).join(', ')}`,
      reason: 'the rows that it changes can not be read before',
      instead: 'SELECT the keys FOR UPDATE and change those rows, in one transaction',
    })
  }
  if (changed.length > 1) refuse('a change of several tables')
  const otherwise = statement.kind === 'update' ? asksOtherwise(statement, table) : null
  if (otherwise !== null) refuse(`${otherwise} in the conditions of an UPDATE`)
  if (statement.kind === 'update' && statement.ignore) refuse('UPDATE IGNORE')
  if (statement.kind === 'delete' && statement.returning !== null) refuse('DELETE … RETURNING')
  const columns = [...new Set(lookups.flatMap((one) => [...one.key, ...one.columns]))]
  return {
    lookups,
    columns,
    assigned,
    verb: statement.kind,
    read: statement.with === null ? readText(statement, table, columns, analysis) : null,
  }
}

/**
 * Reads and locks the rows that the statement will change on a shard. Null: what a subquery reads is not locked by that, so the statement might find others. In a join a
 * row may come several times, and is one: by its unique key, which is told behind the columns that are asked for.
 */
function readText(statement: Update | Delete, table: BoundTable, columns: readonly ColumnInfo[], analysis: Analysis): Piece[] | null {
  const joined = analysis.tables.length > 1
  if (analysis.tables.some((one) => !analysis.scope.tables.includes(one))) return null
  const unique = table.columns?.uniqueKeys[0]
  if (joined && unique === undefined) return null
  const refs = statement.kind === 'update' ? statement.tables : statement.from
  const alias = quoteIdentifier(table.hasAlias ? table.alias : table.name)
  const { edits } = analysis
  const names = [...columns.map((column) => column.name), ...(joined ? (unique ?? []) : [])]
  const list = names.map((name) => `${alias}.${quoteIdentifier(name)}`).join(', ')
  return [
    text(`SELECT ${joined ? 'DISTINCT ' : ''}${list} FROM `),
    ...compileSpan({ from: refs[0]?.span.from ?? 0, to: refs.at(-1)?.span.to ?? 0 }, edits),
    ...(statement.where === null ? [] : [text(' WHERE ('), ...compileSpan(statement.where.span, edits), text(')')]),
    // An outer join that finds no row of the table changes none.
    ...(joined ? [text(`${statement.where === null ? ' WHERE' : ' AND'} ${alias}.${quoteIdentifier(unique?.[0] ?? '')} IS NOT NULL`)] : []),
    ...[statement.orderBy, statement.limit].flatMap((clause) => (clause === null ? [] : compileSpan(clause.span, edits))),
    text(' FOR UPDATE'),
  ]
}
