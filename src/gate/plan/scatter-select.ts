/**
 * How a SELECT is sent to several shards and its answers put together. Each shard answers for its own rows; what is right about that:
 *
 * - rows as they are: their union. ORDER BY: each shard sorts, the gate merges by what the shard itself would compare. LIMIT: the first
 *   limit + offset of each shard hold the first limit + offset of all.
 * - GROUP BY or DISTINCT over the whole shard key: no group spans two shards, so groups are rows as they are.
 * - other groups and aggregates: a shard's part of each, merged (aggregate.ts).
 * - windows whose PARTITION BY has the whole shard key: no partition spans two shards, so each shard's windows are whole. They are over what groups leave, so groups must be whole too.
 */
import type { CallExpr, Expr, OrderItem, Select } from '../../sql/ast.ts'
import { walkExpr } from '../../sql/walk.ts'
import { isBuiltin } from '../pure-functions.ts'
import type { Analysis } from './analysis.ts'
import { columnKey } from './alternatives.ts'
import { aggregateMerge, isOneRow } from './aggregate.ts'
import { Columns, type Key } from './columns.ts'
import { exactness } from './equality.ts'
import type { Root } from './groups.ts'
import type { MergeTemplate, Piece, Slot, Text } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { refusedMatch, soughtInBooleanMode } from './relevance.ts'
import { hasAggregate, limitOf, named, refuseAliases } from './select-parts.ts'
import { bare } from './slots.ts'
import { compileSpan, compileText, type PlanEdit, text } from './text.ts'

export type ScatterSelect = { readonly text: Text; readonly merge: MergeTemplate; readonly sought: readonly Slot[] }

/** @throws ScatterRefused */
export function scatterSelect(select: Select, analysis: Analysis, root: Root, count: number): ScatterSelect {
  if (analysis.opaque !== null)
    throw new ScatterRefused(analysis.opaque, "its rows would be made on each shard from that shard's rows alone")
  if (analysis.replicatedOuter)
    throw new ScatterRefused("an outer join that keeps a reference table's rows", 'every shard has those rows and would answer them')
  if (!root.tables.some((table) => table.context === analysis.scope.context)) {
    throw new ScatterRefused('a subquery over a sharded table', 'the rows outside of it are on every shard')
  }
  if (analysis.outerAggregate !== null)
    throw new ScatterRefused(
      `${analysis.outerAggregate} in a subquery over the rows outside of it`,
      "each shard has that of its own rows' alone",
    )
  const windows = windowsOf(select)
  const windowed = select.window !== null || windows.length > 0
  if (
    windowed &&
    ![...select.windows, ...windows.flatMap(({ over }) => over ?? [])].every(({ partition }) => coversShardKey(partition, analysis, root))
  )
    throw new ScatterRefused('a window function', 'its window would end at the shard', 'partition its window by the shard key')
  const functions = root.tables[0]?.keyspace.functions
  const unmerged = [...analysis.calls].find(
    (name) => !isBuiltin(name) && (functions === undefined || functions.aggregates.has(name) || !functions.all.has(name)),
  )
  if (unmerged !== undefined) throw new ScatterRefused(`${unmerged}()`, 'it may be an aggregate of its own, over the rows of one shard')
  if (select.lock?.skips === true && select.limit !== null)
    throw new ScatterRefused(
      'SKIP LOCKED with LIMIT',
      'each shard would lock as many rows as are asked for in all, and other sessions skip those that nobody was given',
      'restrict the statement to one shard key value, or leave SKIP LOCKED or LIMIT out',
    )
  if (analysis.seeded) throw new ScatterRefused('RAND(N)', 'each shard would begin its numbers anew')
  if (select.rollup) throw new ScatterRefused('WITH ROLLUP', 'the totals are those of one shard')

  const columns = new Columns(select, analysis)
  const edits: PlanEdit[] = [...analysis.edits, ...analysis.labels]
  const aggregated = selectHasAggregate(select)
  const grouped = select.groupBy !== null || aggregated || select.distinct
  const match = refusedMatch(analysis, grouped || select.orderBy !== null)
  if (match !== null) throw ScatterRefused.by(match)
  const local =
    select.groupBy !== null
      ? coversShardKey(
          select.groupBy.items.map((item) => named(item.expr, columns, 'column').expr),
          analysis,
          root,
        )
      : select.distinct &&
        !aggregated &&
        coversShardKey(
          select.items.map((item) => item.expr),
          analysis,
          root,
        )
  if (
    select.distinct &&
    (select.groupBy !== null || aggregated) &&
    !(
      local &&
      coversShardKey(
        select.items.map((item) => item.expr),
        analysis,
        root,
      )
    )
  ) {
    throw new ScatterRefused(
      'DISTINCT over groups',
      'equal rows may come of groups on several shards',
      'leave DISTINCT out, or group by what is distinct',
    )
  }
  if (windowed && grouped && !local) throw new ScatterRefused('a window function over groups', 'the groups would be those of one shard')
  let merge: MergeTemplate
  if (grouped && !local) {
    merge = aggregateMerge(columns)
    edits.push(...cutOut(columns, count))
  } else {
    if (select.having !== null && select.groupBy === null && aggregated)
      throw new ScatterRefused('HAVING', 'it is over a group of all shards')
    const grouping = orderOfGroups(columns)
    merge = rowMerge(columns, grouping === null ? sortKeys(columns) : grouping.keys)
    if (grouping !== null) edits.push({ span: { from: grouping.at, to: grouping.at }, pieces: grouping.pieces })
    if (select.limit !== null) edits.push({ span: select.limit.span, pieces: [text(' LIMIT '), { kind: 'limit-and-offset' }] })
  }
  if (columns.hidden.length > 0) {
    const at = select.itemsSpan.to
    edits.push({ span: { from: at, to: at }, pieces: columns.hidden.flatMap((pieces): Piece[] => [text(', '), ...pieces]) })
  }
  return { text: compileText(count, edits), merge, sought: soughtInBooleanMode(analysis) }
}

/**
 * HAVING, ORDER BY and LIMIT are about finished groups, and not for the shards. But MySQL takes parameters for what stands around them, and gives all of a statement the types of their values as soon as
 * one does not fit (tried: ? * ? of integers is a DOUBLE, and an integer where ORDER BY ? * ? stands too, or HAVING COUNT(*) > ? with 0.5). So where there are parameters elsewhere, those stay where
 * they are, to no effect. (LIMIT takes integers alone.)
 */
function cutOut({ select, analysis }: Columns, tokens: number): PlanEdit[] {
  const { having, limit } = select
  const orderBy = isOneRow(select) ? null : select.orderBy
  const [inHaving = 0, inOrder = 0, inLimit = 0] = [having, orderBy, limit].map((clause) =>
    clause === null ? 0 : analysis.parametersIn(clause.span),
  )
  const stay = analysis.parametersIn({ from: 0, to: tokens }) > inHaving + inOrder + inLimit
  const edits: PlanEdit[] = []
  if (having !== null)
    edits.push({
      span: having.span,
      pieces: stay && inHaving > 0 ? [text(' HAVING TRUE OR ('), ...compileSpan(having.expr.span, analysis.edits), text(')')] : [],
    })
  if (orderBy !== null && !(stay && inOrder > 0)) edits.push({ span: orderBy.span, pieces: [] })
  if (limit !== null) edits.push({ span: limit.span, pieces: [] })
  return edits
}

type Sorting = { readonly key: Key; readonly descending: boolean }

/**
 * MariaDB orders groups by what GROUP BY says where no ORDER BY stands. Where that decides which groups there are, or is said (DESC), each shard is told to: MySQL would not by itself.
 * Null: nothing to be told.
 */
function orderOfGroups(columns: Columns): { keys: Sorting[]; at: number; pieces: Piece[] } | null {
  const { select, analysis } = columns
  const { groupBy } = select
  if (groupBy === null || select.orderBy !== null) return null
  if (select.limit === null && !groupBy.items.some(({ descending }) => descending)) return null
  const keys = groupBy.items.flatMap(({ expr: given, descending }): Sorting[] => {
    const { expr, item } = named(given, columns, 'column')
    // In ORDER BY an alias hides the column that GROUP BY means.
    if (item === null && bare(given).kind !== 'column') refuseAliases(given, columns)
    const meant = item === null ? named(given, columns, 'alias') : null
    if (meant !== null && meant.item !== null && !isSameColumn(meant.expr, given, analysis)) refuseAliases(given, columns)
    const key = columns.keyOf(expr, item, 'GROUP BY')
    return key === null ? [] : [{ key, descending }]
  })
  const at = select.having?.span.to ?? groupBy.span.to
  const pieces = groupBy.items.flatMap(({ expr, descending }, i) => [
    text(i === 0 ? ' ORDER BY ' : ', '),
    ...compileSpan(expr.span, analysis.edits),
    text(descending ? ' DESC' : ''),
  ])
  return { keys, at: select.window === null ? at : Math.max(at, select.window.to), pieces }
}

function isSameColumn(one: Expr, other: Expr, analysis: Analysis): boolean {
  const [a, b] = [one, other].map((expr) => {
    const inner = bare(expr)
    return inner.kind === 'column' ? analysis.resolve(inner) : null
  })
  return a != null && b != null && a.table === b.table && a.column === b.column
}

function rowMerge(columns: Columns, keys: readonly Sorting[]): MergeTemplate {
  const { limit, offset } = limitOf(columns.select)
  if (keys.length === 0) return { kind: 'concat', hiddenColumns: 0, limit, offset }
  return {
    kind: 'sort',
    hiddenColumns: columns.hidden.length,
    keys: keys.map(({ key, descending }) => ({ column: columns.index(key.ref), compare: key.compare, descending })),
    limit,
    offset,
  }
}

function sortKeys(columns: Columns): Sorting[] {
  const { select } = columns
  return (select.orderBy?.items ?? []).flatMap((order: OrderItem) => {
    const { expr, item } = named(order.expr, columns, 'alias')
    if (item === null) refuseAliases(expr, columns)
    const key = columns.keyOf(expr, item, 'ORDER BY')
    return key === null ? [] : [{ key, descending: order.descending }]
  })
}

/** Whether equal values of these expressions mean one shard. */
function coversShardKey(expressions: readonly Expr[], analysis: Analysis, root: Root): boolean {
  const given = new Set<string>()
  for (const expr of expressions) {
    const inner = bare(expr)
    const bound = inner.kind === 'column' ? analysis.resolve(inner) : null
    if (bound !== null) given.add(columnKey(bound))
  }
  return root.tables.some((table) => {
    const entry = table.entry
    if (entry?.kind !== 'sharded' || table.context !== analysis.scope.context) return false
    return entry.primaryVindex.columns.every((name) => {
      const column = table.columns?.columns.find((c) => c.name.toLowerCase() === name.toLowerCase())
      return column !== undefined && exactness(column, entry.primaryVindex.vindex) === 'always' && given.has(columnKey({ table, column }))
    })
  })
}

function selectHasAggregate(select: Select): boolean {
  return (
    select.items.some((item) => hasAggregate(item.expr)) ||
    (select.having !== null && hasAggregate(select.having.expr)) ||
    (select.orderBy?.items.some((item) => hasAggregate(item.expr)) ?? false) ||
    select.windows.some(({ partition, order }) => [...partition, ...order].some(hasAggregate))
  )
}

/** The calls that have a window; of one that only names it, `over` is null: it is one of the WINDOW clause. */
function windowsOf(select: Select): CallExpr[] {
  const found: CallExpr[] = []
  const visit = (expr: Expr): void =>
    walkExpr(expr, {
      expr(node) {
        if (node.kind === 'subquery' || node.kind === 'exists') return false
        if (node.kind === 'call' && node.window) found.push(node)
        return true
      },
    })
  for (const item of select.items) visit(item.expr)
  for (const item of select.orderBy?.items ?? []) visit(item.expr)
  return found
}
