/**
 * Writes that no shard can do by itself.
 *
 * - *chosen*: which rows change depends on rows of other tables (joins, subqueries) or on all rows (ORDER BY … LIMIT). The rows to change are chosen at one place, by their
 *   keys, with what they are set to where that comes of other tables, stored as the target's columns hold it, conversions and refusals included; then each shard changes its own.
 * - *inserted*: INSERT … SELECT. The server stores the SELECT's rows in a table like the target's, conversions and refusals included; they are then inserted where they belong.
 *
 * What is read for a write is read under lock, FOR UPDATE what will change and LOCK IN SHARE MODE the rest, as one server does. No temporary table is made on a connection
 * that writes: a transaction that made one is logged whole even when it, or a part of it, is rolled back.
 */
import type { Assignment, Delete, Expr, Insert, Query, Select, Update } from '../../sql/ast.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { gatherTables } from './gather-plan.ts'
import { computesOfParametersAlone } from './lone-parameters.ts'
import { ownedLookups } from './lookup.ts'
import type { GatherPlan, GatherUse, WriteTarget } from './gather-types.ts'
import type { Piece, Refusal, SequencePlan } from './plan.ts'
import type { BoundTable } from './scope.ts'
import type { CountedColumn } from './server-ids.ts'
import { bare, slotOf } from './slots.ts'
import { compileSpan, compileText, type PlanEdit, text } from './text.ts'

/** Null: not in this way either. A refusal: not in any, and this is why. */
export function gatherChange(
  statement: Update | Delete,
  changed: readonly BoundTable[],
  analysis: Analysis,
  refusal: Refusal,
): GatherPlan | Refusal | null {
  const [target] = changed
  // What is set is computed on each shard, of its rows.
  if (analysis.seeded) return null
  if (target === undefined || changed.length > 1 || target.entry?.kind !== 'sharded' || analysis.matches.length > 0) return null
  if (statement.kind === 'delete' && statement.returning !== null) return null
  if (statement.with !== null || target.context !== analysis.scope.context) return null
  const others = analysis.tables.filter((table) => table !== target)
  // A server may refuse to read the table that it changes; copies of it would hide that.
  if (others.some((table) => table.name === target.name) || (statement.limit !== null && others.length > 0)) return null
  const keys = keyColumns(target)
  const gathered = gatherTables(analysis, analysis.tables)
  if (keys === null || gathered === null) return null
  const { where, orderBy, limit } = statement
  const alias = quoteIdentifier(target.hasAlias ? target.alias : target.name)
  const refs = statement.kind === 'update' ? statement.tables : statement.from
  const assignments = statement.kind === 'update' ? statement.assignments : []
  const single = refs.length === 1 && refs[0]?.kind === 'table'
  // Outside of subqueries a column can then be of no other table.
  const own = assignments.every(({ value }) => (single ? !hasSubquery(value) : isOfTarget(value, target, analysis)))
  const changedBefore = own || !single ? undefined : readsChanged(assignments, target, analysis)
  if (changedBefore !== undefined)
    return {
      construct: `${changedBefore} in an UPDATE that sets it before, beside a subquery over other shards' rows`,
      reason:
        'one table is set from left to right, and what is set to rows of other shards is made at one place, before anything is changed',
      instead: `set ${changedBefore} last, or write what it is set to in its place`,
      apart: true,
    }
  const set = own ? [] : assignments.map(({ column }) => columnOf(target, column.name.text))
  if (set.some((column) => column === undefined)) return null
  // They are stored first: only then their text says all of them.
  const list: Piece[] = [text(keys.columns.map((column) => `${alias}.${quoteIdentifier(column.name)}`).join(', '))]
  if (!own) for (const { value } of assignments) list.push(text(', '), ...compileSpan(value.span, gathered.edits))
  return {
    steps: gathered.steps,
    text: [
      // What DISTINCT looks at is cut to the digits that are shown: of what is set it is asked later.
      text(`SELECT ${own && limit === null ? 'DISTINCT ' : ''}`),
      ...list,
      text(' FROM '),
      ...compileSpan({ from: refs[0]?.span.from ?? 0, to: refs.at(-1)?.span.to ?? 0 }, gathered.edits),
      ...(where === null ? [] : [text(' WHERE '), ...compileSpan(where.span, gathered.edits)]),
      ...[orderBy, limit].flatMap((clause) => (clause === null ? [] : compileSpan(clause.span, gathered.edits))),
    ],
    refusal,
    alone: computesOfParametersAlone(statement),
    use: {
      kind: 'chosen',
      target: keys,
      set: set as ColumnInfo[],
      ignore: statement.ignore,
      strictMariadb: statement.kind === 'delete' || orderBy !== null || limit !== null ? 'warns' : 'refuses',
      limit: limit === null ? null : slotOf(limit.count),
      ...changeOf(statement, target, alias, keys, own, analysis, single),
    },
  }
}

/** An UPDATE of shard keys. Null: not for this table. @param count tokens of the statement */
export function gatherMove(statement: Update, target: BoundTable, analysis: Analysis, count: number): GatherPlan | null {
  const info = target.columns
  if (info === null || statement.with !== null || statement.ignore || analysis.tables.length > 1) return null
  const keys = keyColumns(target)
  if (keys === null) return null
  // Rows are moved whole.
  analysis.stars.push(null)
  const gathered = gatherTables(analysis, analysis.tables)
  if (gathered === null) return null
  const columns = info.columns.filter((column) => !column.generated)
  const names = columns.map((column) => column.name.toLowerCase())
  const lookups = ownedLookups(target).map((lookup) => ({
    lookup,
    at: lookup.columns.map((column) => names.indexOf(column.name.toLowerCase())),
  }))
  if (lookups.some(({ lookup, at }) => lookup.lookup.unique || at.includes(-1))) return null
  return {
    steps: gathered.steps,
    text: compileText(count, gathered.edits),
    refusal: { construct: 'an UPDATE of the shard key', reason: 'rows move between shards', instead: 'DELETE and INSERT the row' },
    use: {
      kind: 'moved',
      target: keys,
      row: { table: target.name, columns, place: placeOf(target, names) },
      lookups,
      before: [],
      after: [],
    },
  }
}

/** A column that an assignment reads after another has set it: its name. */
function readsChanged(assignments: readonly Assignment[], target: BoundTable, analysis: Analysis): string | undefined {
  const before = new Set<string>()
  let found: string | undefined
  for (const { column, value } of assignments) {
    const selects: Select[] = []
    walkExpr(value, {
      select: (select) => void selects.push(select),
      expr(node) {
        if (node.kind !== 'column' || !before.has(node.name.text.toLowerCase())) return
        // A subquery's column may be one of its own tables; of no known one, it may be the row's.
        const around = selects.filter(({ span }) => span.from <= node.span.from && span.to >= node.span.to)
        const inner = around.reduce<Select | null>((least, one) => (least !== null && width(least) <= width(one) ? least : one), null)
        const bound = (inner === null ? analysis.scope : analysis.scopeOf(inner))?.resolve(node)
        if (bound == null || bound.table === target) found ??= node.name.text
      },
    })
    before.add(column.name.text.toLowerCase())
  }
  return found
}

function width({ span }: Select): number {
  return span.to - span.from
}

function columnOf(table: BoundTable, name: string): ColumnInfo | undefined {
  return table.columns?.columns.find((column) => column.name.toLowerCase() === name.toLowerCase())
}

/** What stands before and after the keys, and what one row is between them. */
function changeOf(
  statement: Update | Delete,
  target: BoundTable,
  alias: string,
  keys: WriteTarget,
  own: boolean,
  analysis: Analysis,
  single: boolean,
): Pick<Extract<GatherUse, { kind: 'chosen' }>, 'before' | 'after' | 'row'> {
  const ignore = statement.ignore ? 'IGNORE ' : ''
  const name = quoteIdentifier(target.name)
  const tuple = keys.columns.map((column) => quoteIdentifier(column.name)).join(', ')
  if (statement.kind === 'delete')
    return { before: [text(`DELETE ${ignore}FROM ${name} WHERE (${tuple}) IN (`)], after: [text(')')], row: 'tuple' }
  const { assignments } = statement
  if (own) {
    const ordered = single && statement.orderBy?.items.every(({ expr }) => !hasSubquery(expr)) === true
    const span = { from: assignments[0]?.span.from ?? 0, to: assignments.at(-1)?.span.to ?? 0 }
    const qualified = keys.columns.map((column) => `${alias}.${quoteIdentifier(column.name)}`).join(', ')
    return {
      before: [text(`UPDATE ${ignore}${name} AS ${alias} SET `), ...compileSpan(span, analysis.edits), text(` WHERE (${qualified}) IN (`)],
      // Rows may meet, for a moment, in another order.
      after: [text(')'), ...(ordered ? compileSpan(statement.orderBy.span, analysis.edits) : [])],
      row: 'tuple',
    }
  }
  const on = keys.columns.map((column, i) => `${alias}.${quoteIdentifier(column.name)} = _sw_v.c${i}`).join(' AND ')
  const set = assignments
    .map(({ column }, i) => `${alias}.${quoteIdentifier(column.name.text)} = _sw_v.c${keys.columns.length + i}`)
    .join(', ')
  return { before: [text(`UPDATE ${ignore}${name} AS ${alias} JOIN (`)], after: [text(`) AS _sw_v ON ${on} SET ${set}`)], row: 'select' }
}

/** What tells a row from all others: its first unique key, and its shard key. */
function keyColumns(table: BoundTable): WriteTarget | null {
  const { columns: info, entry } = table
  const [unique] = info?.uniqueKeys ?? []
  if (info === null || unique === undefined || entry?.kind !== 'sharded') return null
  const named = [...new Set([...unique, ...entry.primaryVindex.columns].map((name) => name.toLowerCase()))]
  const columns = named.map((name) => info.columns.find((column) => column.name.toLowerCase() === name))
  if (columns.some((column) => column === undefined || column.nullable || column.dataType === 'float')) return null
  return { table: table.name, columns: columns as ColumnInfo[], place: placeOf(table, named) }
}

function placeOf(table: BoundTable, names: readonly string[]): WriteTarget['place'] {
  const { entry } = table
  if (entry?.kind === 'pinned') return { kind: 'keyspace-id', id: entry.keyspaceId }
  if (entry?.kind !== 'sharded') return { kind: 'everywhere' }
  const { vindex, columns } = entry.primaryVindex
  return {
    kind: 'vindex',
    vindex,
    columns: columns.flatMap((name) => {
      const column = table.columns?.columns.find((c) => c.name.toLowerCase() === name.toLowerCase())
      return column === undefined ? [] : [{ column, at: names.indexOf(name.toLowerCase()) }]
    }),
  }
}

/** @param names columns of the target that are given, in lower case */
export function gatherInsert(
  insert: Insert,
  target: BoundTable,
  names: readonly string[],
  { sequence, counted }: { readonly sequence: SequencePlan | null; readonly counted: CountedColumn | null },
  analysis: Analysis,
  count: number,
  refusal: Refusal,
): GatherPlan | null {
  const { query } = insert
  const info = target.columns
  if (info === null || insert.returning !== null || insert.rowAlias !== null) return null
  const columns = names.map((name) => info.columns.find((column) => column.name.toLowerCase() === name))
  if (columns.some((column) => column === undefined || column.generated)) return null
  const assigned = insert.onDuplicate?.assignments ?? []
  if (assigned.some(({ value }) => !isOfTarget(value, target, analysis))) return null
  // To servers `t.c` is of two tables then (1052); VALUES(c) is of none.
  if (analysis.tables.some((table) => table !== target && table.alias === target.alias) && assigned.some(({ value }) => hasColumn(value)))
    return null
  const place = placeOf(target, names)
  if (place.kind === 'vindex' && place.columns.some(({ column, at }) => at < 0 && sequence?.column !== column.name)) return null
  const at = names.indexOf((sequence?.column ?? counted?.column ?? '').toLowerCase())
  const ids = sequence !== null ? { at, sequence, counted: null } : counted !== null ? { at, sequence: null, counted } : null
  const others = analysis.tables.filter((table) => table !== target)
  if (query === null) {
    // A server may refuse to read the table that it inserts into; a copy of it would hide that.
    if (others.some((table) => table.name === target.name)) return null
    if (insert.rows.some((row) => row.values.length !== names.length || row.values.some((value) => bare(value).kind === 'default')))
      return null
  }
  const gathered = gatherTables(analysis, others)
  if (gathered === null) return null
  const lookups = ownedLookups(target).map((lookup) => ({
    lookup,
    at: lookup.columns.map((column) => names.indexOf(column.name.toLowerCase())),
  }))
  // What a column left out would hold is its default's business.
  const known = ({ lookup, at }: (typeof lookups)[number]): boolean =>
    at.every((place, i) => place >= 0 || lookup.columns[i]?.name === sequence?.column)
  if (!lookups.every(known)) return null
  const list = [...(columns as ColumnInfo[]).map((column) => column.name), ...(sequence === null || at >= 0 ? [] : [sequence.column])]
  const { edits } = analysis
  return {
    steps: gathered.steps,
    text:
      query === null
        ? valuesOf(insert, gathered.edits)
        : rowsOf(
            query,
            others.some(({ name, keyspace }) => name === target.name && keyspace === target.keyspace),
            gathered.edits,
          ),
    refusal,
    alone: computesOfParametersAlone(insert),
    use: {
      kind: 'inserted',
      target: { table: target.name, columns: columns as ColumnInfo[], place },
      ignore: insert.ignore,
      before: [...compileSpan({ from: 0, to: insert.table.span.to }, edits), text(` (${list.map(quoteIdentifier).join(', ')}) VALUES `)],
      after:
        insert.onDuplicate === null
          ? []
          : compileSpan({ from: insert.onDuplicate.span.from, to: Math.min(insert.onDuplicate.span.to, count) }, edits),
      ids,
      of: query !== null ? 'select' : insert.rows.length > 1 ? 'rows' : 'row',
      lookups,
    },
  }
}

/** @param buffered the target is read, too: a server keeps all rows before it inserts one, as what they show (MariaDB: a quotient with the digits of its type, not all that it was computed to) */
function rowsOf(query: Query, buffered: boolean, edits: readonly PlanEdit[]): Piece[] {
  const { from, to } = query.span
  if (!buffered || query.kind !== 'select') return compileSpan(query.span, edits)
  const items = query.itemsSpan.from
  return [...compileSpan({ from, to: items }, edits), text(' SQL_BUFFER_RESULT '), ...compileSpan({ from: items, to }, edits)]
}

/** Of VALUES or SET, for a table with the columns that are given. */
function valuesOf({ rows }: Insert, edits: readonly PlanEdit[]): Piece[] {
  const between = <T>(parts: readonly T[], pieces: (part: T) => Piece[]): Piece[] =>
    parts.flatMap((part, i) => (i === 0 ? pieces(part) : [text(', '), ...pieces(part)]))
  return [
    text('VALUES '),
    ...between(rows, ({ values }) => [text('('), ...between(values, ({ span }) => compileSpan(span, edits)), text(')')]),
  ]
}

/** Beyond those in VALUES(c). */
function hasColumn(expr: Expr): boolean {
  let found = false
  walkExpr(expr, {
    expr(node) {
      found ||= node.kind === 'column'
      return !(node.kind === 'call' && (node.name === 'VALUES' || node.name === 'VALUE'))
    },
  })
  return found
}

function hasSubquery(expr: Expr): boolean {
  let found = false
  walkExpr(expr, {
    expr(node) {
      found ||= node.kind === 'subquery' || node.kind === 'exists'
      return !found
    },
  })
  return found
}

/** ON DUPLICATE KEY UPDATE may name columns of the SELECT's tables, which its rows do not have any more. */
function isOfTarget(expr: Expr, target: BoundTable, analysis: Analysis): boolean {
  const has = (table: BoundTable, name: string): boolean =>
    table.columns?.columns.some((column) => column.name.toLowerCase() === name) === true
  let own = true
  walkExpr(expr, {
    expr(node) {
      if (node.kind === 'call' && (node.name === 'VALUES' || node.name === 'VALUE')) return false
      if (node.kind === 'subquery' || node.kind === 'exists') own = false
      if (node.kind === 'column') {
        const name = node.name.text.toLowerCase()
        const alone = analysis.opaque === null && !analysis.tables.some((table) => table !== target && has(table, name))
        own &&= has(target, name) && (node.table === null ? alone : node.table.text.toLowerCase() === target.alias)
      }
      return own
    },
  })
  return own
}
