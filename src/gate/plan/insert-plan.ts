/**
 * INSERT and REPLACE over a sharded keyspace: each row goes where its shard key says. The text of a row is the client's own; only an id of
 * the sequence is put in where AUTO_INCREMENT would have filled one (no value, NULL, 0 or DEFAULT).
 *
 * REPLACE and ON DUPLICATE KEY UPDATE see a duplicate on the row's own shard only. A unique key that does not hold the shard key is therefore unique per shard;
 * docs/sql.md says so.
 */
import type { Vindex } from '../../keyspace/vindex.ts'
import type { Expr, Insert, Span } from '../../sql/ast.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { planErrors } from './errors.ts'
import { refuseFollowed } from './following.ts'
import { gatherInsert } from './gather-write.ts'
import type { Destination, InsertRow, Piece, RoutedPlan, SequencePlan, Slot } from './plan.ts'
import type { BoundTable } from './scope.ts'
import { computesOfParameters, computesOfParametersAlone } from './lone-parameters.ts'
import { ownedLookups, refuseWithLookups } from './lookup.ts'
import { refuseOwnDefaults } from './own-defaults.ts'
import { refuseChoosingCopies, refuseDivergingCopies, shardKeyAssignments } from './shard-key.ts'
import { refusedConnectionBound } from './connection-bound.ts'
import { countedColumn } from './server-ids.ts'
import { bare, slotOf } from './slots.ts'
import { compileSpan, compileText, type PlanEdit, text } from './text.ts'
import { refuseTriggers } from './triggers.ts'

export function planInsert(insert: Insert, analysis: Analysis, keyspace: string, count: number): RoutedPlan {
  if (analysis.connectionBound !== null) throw refusedConnectionBound(analysis.connectionBound)
  const table = analysis.tables[0] as BoundTable
  const { entry } = table
  const base = {
    kind: 'routed',
    keyspace,
    sharded: true,
    verb: insert.verb,
    effect: 'write',
    limit: null,
    offset: null,
    unchanged: [],
    tables: analysis.tables.map((t) => t.name),
    engine: table.columns?.engine ?? null,
    copies: entry?.kind === 'reference',
  } as const
  const whole = compileText(count, analysis.edits)
  if (entry === undefined) throw planErrors.tableNotInVschema({ table: table.name, keyspace })
  refuseTriggers(table, [
    'INSERT',
    ...(insert.onDuplicate === null ? [] : (['UPDATE'] as const)),
    ...(insert.verb === 'replace' ? (['DELETE'] as const) : []),
  ])
  refuseFollowed(table, insert.onDuplicate?.assignments.map(({ column }) => column.name.text) ?? [], insert.verb === 'replace')
  const lookups = ownedLookups(table)
  refuseDivergingCopies(table, insert, analysis)
  if (lookups.length > 0) refuseWithLookups(insert, table, lookups)
  if (entry.kind === 'sharded' && insert.onDuplicate !== null)
    shardKeyAssignments(table, insert.onDuplicate.assignments, analysis, { single: true, destination: null, duplicate: true })
  if (insert.query !== null || readsOthers(table, analysis)) return planInsertSelect(insert, base, whole, table, analysis, count)
  refuseChoosingCopies(table, analysis)
  if (insert.returning !== null && insert.rows.length > 1) {
    throw planErrors.refused({
      construct: 'RETURNING of several rows',
      reason: 'they may stand on several shards',
      instead: 'insert one row at a time',
    })
  }

  const names = namesOf(insert, table)
  const sequence = sequenceOf(table)
  refuseOwnDefaults(table, insert, names, sequence?.column)
  const counted = countedColumn(table, names, sequence)
  const sequencePlace = sequence === null ? -1 : names.indexOf(sequence.column.toLowerCase())
  const idPlace = counted === null ? sequencePlace : names.indexOf(counted.column.toLowerCase())
  const rows = insert.rows.map((row, i): InsertRow => {
    if (row.values.length !== names.length) throw planErrors.columnCount({ row: i + 1 })
    const given = idPlace < 0 ? undefined : row.values[idPlace]
    return {
      destination: destinationOf(table, names, row.values, sequence),
      text: rowText(row.span, insert.setForm, given, sequence, analysis),
      sequenceSlot: given === undefined ? null : (slotOf(given) ?? refuseSequenceValue(table, given)),
      lookups: lookups.map(({ columns }) =>
        columns.map((column) => lookupSlot(table, column, row.values[names.indexOf(column.name.toLowerCase())], sequence)),
      ),
    }
  })
  const rowsSpan = insert.rowsSpan as Span
  const edits: PlanEdit[] = [
    ...analysis.edits.filter((edit) => edit.span.to <= rowsSpan.from || edit.span.from >= rowsSpan.to),
    { span: rowsSpan, pieces: [{ kind: 'rows' }] },
  ]
  if (sequence !== null && sequencePlace < 0) edits.push(...extraColumn(insert, table, sequence), ...extraAlias(insert))
  const listed = entry.kind === 'sharded' && insert.columns === null && names.length > 0 ? columnList(insert, table, null) : null
  if (listed !== null && (sequence === null || sequencePlace >= 0)) edits.push(listed)
  const met = sequence === null || insert.onDuplicate === null ? null : rows.length > 1 ? 'several' : sequence.ofServer ? 'told' : 'asked'
  if (met === 'asked') edits.push(askedForMet(insert, sequence as SequencePlan, count))
  const values = [...insert.rows.flatMap((row) => row.values), ...(insert.onDuplicate?.assignments.map(({ value }) => value) ?? [])]
  const isComputed = computesOfParameters(values)
  const alone = isComputed && computesOfParametersAlone(insert)
  const gather = alone ? gatherInsert(insert, table, names, { sequence, counted }, analysis, count, typesDiffer) : null
  return {
    ...base,
    destinations: [{ kind: 'all' }],
    whole: sequence !== null ? [] : listed === null ? whole : compileText(count, [...analysis.edits, listed]),
    scatter: { kind: 'allowed', text: compileText(count, edits), merge: null },
    insert: {
      rows,
      sequence,
      counted,
      met,
      onDuplicate: insert.onDuplicate !== null,
      ignore: insert.ignore,
      lookups,
      computed: isComputed ? { alone, gather } : null,
    },
  }
}

export const typesDiffer = {
  construct: 'an INSERT that computes of parameters alone, which have other types in each of its rows,',
  reason: 'MySQL goes by the types of all of them, and a shard gets some',
  instead: 'insert the rows one by one, or give the values computed',
}

/** A row's own shard would answer a subquery from its rows alone. */
function readsOthers(target: BoundTable, analysis: Analysis): boolean {
  const others = analysis.tables.filter((one) => one !== target)
  return others.some((one) => one.entry?.kind !== 'reference')
}

/**
 * Into a reference table from reference tables: each shard does it for itself, unless ids are drawn or rows may meet. Else the SELECT's rows are put together at one place, and inserted from there
 * (gather-write.ts); when all of it stands on one shard it goes there as it is.
 */
function planInsertSelect(
  insert: Insert,
  base: Omit<RoutedPlan, 'destinations' | 'whole' | 'scatter' | 'insert'>,
  whole: RoutedPlan['whole'],
  table: BoundTable,
  analysis: Analysis,
  count: number,
): RoutedPlan {
  const names = namesOf(insert, table)
  const sequence = sequenceOf(table)
  const counted = countedColumn(table, names, sequence)
  const roots = analysis.groups.roots()
  refuseOwnDefaults(table, insert, names, sequence?.column)
  // Which of the rows that meet stays depends on their order, which may be another one on each shard.
  const meets = insert.ignore || insert.verb === 'replace' || insert.onDuplicate !== null
  if (table.entry?.kind === 'reference' && roots.length === 0 && !analysis.limited && sequence === null && counted === null && !meets)
    return { ...base, destinations: [{ kind: 'all' }], whole, scatter: { kind: 'allowed', text: whole, merge: null }, insert: null }
  const refusal =
    insert.query !== null
      ? {
          construct: 'INSERT … SELECT',
          reason: `the shard of each row of ${table.name} would be known only from its values`,
          instead: 'read the rows and insert them',
        }
      : {
          construct: `a subquery in an INSERT into ${table.name}`,
          reason: 'the shard of a row would answer it from its own rows alone',
          instead: 'read what it asks for, and insert that',
        }
  const gather = gatherInsert(insert, table, names, { sequence, counted }, analysis, count, refusal)
  if (gather === null) throw planErrors.refused(refusal)
  return { ...base, destinations: [{ kind: 'all' }], whole, scatter: { kind: 'gather', gather }, insert: null }
}

/** The columns that get a value, in lower case. */
function namesOf(insert: Insert, table: BoundTable): string[] {
  return (
    insert.columns?.map((name) => name.text.toLowerCase()) ??
    (table.columns?.columns ?? []).filter((column) => !column.invisible).map((column) => column.name.toLowerCase())
  )
}

function destinationOf(table: BoundTable, names: readonly string[], values: readonly Expr[], sequence: SequencePlan | null): Destination {
  const { entry } = table
  if (entry?.kind === 'pinned') return { kind: 'keyspace-id', id: entry.keyspaceId }
  if (entry?.kind !== 'sharded') return { kind: 'all' }
  const columns = entry.primaryVindex.columns.map((name) => {
    const column = table.columns?.columns.find((c) => c.name.toLowerCase() === name.toLowerCase())
    if (column === undefined) throw planErrors.unknownColumn({ column: name, clause: 'vschema' })
    return { column, slots: [shardKeySlot(table, column, values[names.indexOf(column.name.toLowerCase())], sequence)] }
  })
  return { kind: 'values', vindex: entry.primaryVindex.vindex satisfies Vindex, columns }
}

function shardKeySlot(table: BoundTable, column: ColumnInfo, value: Expr | undefined, sequence: SequencePlan | null): Slot {
  if (sequence?.column === column.name)
    return value === undefined ? { kind: 'default' } : (slotOf(value) ?? refuseSequenceValue(table, value))
  if (value === undefined) throw planErrors.shardKeyMissing({ table: table.name, column: column.name })
  const slot = slotOf(value)
  if (slot === null)
    throw planErrors.shardKeyValue({
      table: table.name,
      column: column.name,
      reason: 'it is an expression, whose value only a server knows',
    })
  if (slot.kind === 'default') throw planErrors.shardKeyMissing({ table: table.name, column: column.name })
  return slot
}

/** A column left out is NULL, where nothing else is its default. */
function lookupSlot(table: BoundTable, column: ColumnInfo, value: Expr | undefined, sequence: SequencePlan | null): Slot {
  const slot = value === undefined ? null : slotOf(value)
  if ((value === undefined || slot?.kind === 'default') && sequence?.column !== column.name && column.nullable && !column.hasDefault)
    return { kind: 'null' }
  return shardKeySlot(table, column, value, sequence)
}

function refuseSequenceValue(table: BoundTable, value: Expr): never {
  throw planErrors.refused({
    construct: `an expression (${bare(value).kind}) for a column of ${table.name} whose ids are drawn`,
    reason: 'whether it is NULL or 0, and an id must be drawn, only a server knows',
    instead: 'give a plain value, or leave the column out',
  })
}

function sequenceOf(table: BoundTable): SequencePlan | null {
  const increment = table.entry?.autoIncrement ?? null
  if (increment === null) return null
  const column = table.columns?.columns.find((c) => c.name.toLowerCase() === increment.column.toLowerCase())
  if (column === undefined) throw planErrors.unknownColumn({ column: increment.column, clause: 'vschema' })
  return { table: table.name, column: column.name, sequence: increment.sequence, ofServer: column.autoIncrement }
}

function rowText(span: Span, setForm: boolean, given: Expr | undefined, sequence: SequencePlan | null, { edits }: Analysis): Piece[] {
  if (sequence === null) return compileSpan(span, edits)
  if (given !== undefined)
    return [
      ...compileSpan({ from: span.from, to: given.span.from }, edits),
      { kind: 'sequence-id', given: given.span },
      ...compileSpan({ from: given.span.to, to: span.to }, edits),
    ]
  // `(…)` becomes `(…, id)`, the SET form `…, column = id`.
  if (setForm) return [...compileSpan(span, edits), text(`, ${quoteIdentifier(sequence.column)} = `), { kind: 'sequence-id', given: null }]
  const end = span.to - 1
  return [
    ...compileSpan({ from: span.from, to: end }, edits),
    text(end - span.from > 1 ? ', ' : ''),
    { kind: 'sequence-id', given: null },
    { kind: 'span', span: { from: end, to: span.to } },
  ]
}

/** The row's own id, which its answer then names: it changes nothing else, as assignments are made in order. */
function askedForMet(insert: Insert, { column }: SequencePlan, count: number): PlanEdit {
  const at = Math.min((insert.onDuplicate as NonNullable<Insert['onDuplicate']>).span.to, count)
  const id = `${quoteIdentifier(insert.table.name.text)}.${quoteIdentifier(column)}`
  return { span: { from: at, to: at }, pieces: [text(`, ${id} = LAST_INSERT_ID(${id})`)] }
}

/** The list of columns with the sequence's added; made whole where the client gave none. */
function extraColumn(insert: Insert, table: BoundTable, sequence: SequencePlan): PlanEdit[] {
  if (insert.setForm) return []
  const name = quoteIdentifier(sequence.column)
  if (insert.columnsSpan === null) return [columnList(insert, table, name)]
  const at = insert.columnsSpan.to - 1
  return [{ span: { from: at, to: at }, pieces: [text(insert.columns?.length === 0 ? name : `, ${name}`)] }]
}

/** `AS new(a, b)` names as many columns as there are values: the sequence's is one that nothing is called. */
function extraAlias({ rowAlias }: Insert): PlanEdit[] {
  if (rowAlias === null || rowAlias.to - rowAlias.from === justNamed) return []
  return [{ span: { from: rowAlias.to - 1, to: rowAlias.to - 1 }, pieces: [text(', _sw_id')] }]
}

/** Tokens of `AS new`. */
const justNamed = 2

/** What the values are for, as they were routed: were the table's columns others by now, a row would stand elsewhere than its values say. */
function columnList(insert: Insert, table: BoundTable, more: string | null): PlanEdit {
  const at = (insert.rowsSpan as Span).from - 1
  const visible = (table.columns?.columns ?? []).filter((column) => !column.invisible).map((column) => quoteIdentifier(column.name))
  const list = ` (${[...visible, ...(more === null ? [] : [more])].join(', ')}) `
  return { span: { from: at, to: at }, pieces: [more === null ? { kind: 'columns', text: list } : text(list)] }
}
