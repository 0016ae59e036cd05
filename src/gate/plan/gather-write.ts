/**
 * Writes that no shard can do by itself.
 *
 * - *copied*: the rows to change are found with the help of other tables' rows (joins, subqueries). Those are copied to each shard of the changed table, and
 *   the statement runs there. Whether a row is changed, and to what, depends on the row and the copies alone.
 * - *chosen*: ORDER BY … LIMIT. The rows are chosen at one place, by their keys, under lock; then each shard changes its own.
 * - *inserted*: INSERT … SELECT. The server stores the SELECT's rows in a table like the target's, conversions and refusals included; they are then inserted where they belong.
 *
 * What is read for a write is read under lock (LOCK IN SHARE MODE), as one server does.
 */
import type { Delete, Expr, Insert, Update } from '../../sql/ast.ts'
import { quoteIdentifier } from '../../sql/quote.ts'
import { walkExpr } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import type { ColumnInfo } from './catalog.ts'
import { gatherTables } from './gather-plan.ts'
import type { GatherPlan, Refusal, SequencePlan, WriteTarget } from './plan.ts'
import type { BoundTable } from './scope.ts'
import { compileSpan, compileText, text } from './text.ts'

/** Null: not in this way either. */
export function gatherChange(
  statement: Update | Delete,
  changed: readonly BoundTable[],
  analysis: Analysis,
  count: number,
  refusal: Refusal,
): GatherPlan | null {
  const [target] = changed
  if (target === undefined || changed.length > 1 || target.entry?.kind !== 'sharded') return null
  if (statement.kind === 'delete' && statement.returning !== null) return null
  if (statement.limit !== null) return gatherChosen(statement, target, analysis, refusal)
  const others = analysis.tables.filter((table) => table !== target && table.entry?.kind !== 'reference')
  // A server may refuse to read the table that it changes; copies of it would hide that.
  if (others.length === 0 || others.some((table) => table.name === target.name)) return null
  if (target.context !== analysis.scope.context) return null
  const gathered = gatherTables(analysis, others)
  if (gathered === null) return null
  return {
    steps: gathered.steps,
    text: compileText(count, gathered.edits),
    refusal,
    use: { kind: 'copied', target: analysis.groups.destinationOf(target) },
  }
}

function gatherChosen(statement: Update | Delete, target: BoundTable, analysis: Analysis, refusal: Refusal): GatherPlan | null {
  if (analysis.tables.length > 1 || statement.with !== null || statement.limit === null) return null
  const keys = keyColumns(target)
  if (keys === null) return null
  const gathered = gatherTables(analysis, analysis.tables)
  const alias = quoteIdentifier(target.hasAlias ? target.alias : target.name)
  const { where, orderBy, limit } = statement
  const end = where !== null ? where.span.from - 1 : (orderBy ?? limit).span.from
  return gathered === null
    ? null
    : {
        steps: gathered.steps,
        text: [
          text(`SELECT ${keys.columns.map((column) => `${alias}.${quoteIdentifier(column.name)}`).join(', ')} FROM `),
          { kind: 'gathered', step: 0 },
          text(` AS ${alias}`),
          ...(where === null ? [] : [text(' WHERE '), ...compileSpan(where.span, gathered.edits)]),
          ...[orderBy, limit].flatMap((clause) => (clause === null ? [] : compileSpan(clause.span, gathered.edits))),
        ],
        refusal,
        use: { kind: 'chosen', target: keys, change: compileSpan({ from: 0, to: end }, analysis.edits) },
      }
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
  sequence: SequencePlan | null,
  analysis: Analysis,
  count: number,
  refusal: Refusal,
): GatherPlan | null {
  const { query } = insert
  const info = target.columns
  if (query === null || info === null || insert.returning !== null || insert.rowAlias !== null) return null
  const columns = names.map((name) => info.columns.find((column) => column.name.toLowerCase() === name))
  if (columns.some((column) => column === undefined || column.generated)) return null
  if (insert.onDuplicate?.assignments.some(({ value }) => !isOfTarget(value, target, analysis)) === true) return null
  const place = placeOf(target, names)
  if (place.kind === 'vindex' && place.columns.some(({ column, at }) => at < 0 && sequence?.column !== column.name)) return null
  if (sequence !== null && names.includes(sequence.column.toLowerCase())) sequence = null
  const others = analysis.tables.filter((table) => table !== target)
  const gathered = gatherTables(analysis, others)
  if (gathered === null) return null
  const list = [...(columns as ColumnInfo[]).map((column) => column.name), ...(sequence === null ? [] : [sequence.column])]
  const { edits } = analysis
  return {
    steps: gathered.steps,
    text: compileSpan(query.span, gathered.edits),
    refusal,
    use: {
      kind: 'inserted',
      target: { table: target.name, columns: columns as ColumnInfo[], place },
      ignore: insert.ignore,
      before: [...compileSpan({ from: 0, to: insert.table.span.to }, edits), text(` (${list.map(quoteIdentifier).join(', ')}) VALUES `)],
      after:
        insert.onDuplicate === null
          ? []
          : compileSpan({ from: insert.onDuplicate.span.from, to: Math.min(insert.onDuplicate.span.to, count) }, edits),
      sequence,
    },
  }
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
