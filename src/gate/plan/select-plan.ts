/** SELECT over a sharded keyspace. */
import type { Query, Select } from '../../sql/ast.ts'
import { walkQuery } from '../../sql/walk.ts'
import type { Analysis } from './analysis.ts'
import { refusedConnectionBound } from './connection-bound.ts'
import { gatherPlan } from './gather-plan.ts'
import type { Root } from './groups.ts'
import type { GatherPlan } from './gather-types.ts'
import type { Refusal, RoutedPlan } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { scatterSelect } from './scatter-select.ts'
import { limitOf } from './select-parts.ts'
import { compileText } from './text.ts'

/** @param count tokens of the statement */
export function planSelect(query: Query, analysis: Analysis, keyspace: string, count: number): RoutedPlan {
  if (analysis.connectionBound !== null) throw refusedConnectionBound(analysis.connectionBound)
  const roots = analysis.groups.roots()
  const select = query.kind === 'select' ? query : null
  const lock = lockingIn(query).length > 0
  return {
    kind: 'routed',
    keyspace,
    sharded: true,
    verb: 'select',
    effect: lock ? 'lock' : 'read',
    // No sharded table: every shard has what is asked for.
    destinations: roots.length === 0 ? [{ kind: 'any' }] : roots.map((root) => root.destination),
    whole: compileText(count, [...analysis.edits, ...analysis.labels]),
    scatter: gatherWhereRefused(scatterOf(query, analysis, roots, count), query, analysis, count, lock),
    ...(select === null ? { limit: null, offset: null } : limitOf(select)),
    insert: null,
    unchanged: [],
    instant: analysis.instant,
    tables: analysis.tables.map((table) => table.name),
  }
}

/**
 * What the shards can't answer each for itself is answered at one place, from their rows. Rows that are to be locked are locked where they stand when they are fetched: all that
 * the conditions leave possible, so rather more than one server would. A subquery's tables are read as of the snapshot there, and not here: refused.
 */
function gatherWhereRefused(
  scatter: RoutedPlan['scatter'],
  query: Query,
  analysis: Analysis,
  count: number,
  locked: boolean,
): RoutedPlan['scatter'] {
  const lock = locked ? lockText(query, analysis) : null
  if (locked && lock === null)
    return scatter.kind !== 'refused' || !lockingIn(query).some((select) => select !== query)
      ? scatter
      : { kind: 'refused', refusal: innerLock }
  const planned = (refusal: Refusal): GatherPlan | null => {
    const gather = gatherPlan(analysis, count, refusal)
    return gather === null || lock === null ? gather : { ...gather, lock }
  }
  if (scatter.kind === 'allowed') {
    const compares = scatter.merge !== null && scatter.merge.kind !== 'concat'
    const refusal = { construct: 'ORDER BY or GROUP BY', reason: 'it compares text in a collation that only the server knows', instead: '' }
    return compares ? { ...scatter, otherwise: planned(refusal) } : scatter
  }
  if (scatter.kind !== 'refused') return scatter
  const gather = planned(scatter.refusal)
  return gather === null ? scatter : { kind: 'gather', gather }
}

const innerLock: Refusal = {
  construct: 'FOR UPDATE or LOCK IN SHARE MODE within the statement',
  reason: 'the rows are fetched from several shards, and not those alone that it would lock',
  instead: 'lock the rows in a statement of their own, or restrict it to one shard key value',
  apart: true,
}

/** The SELECTs of a query, of any depth, with FOR UPDATE or its like. */
export function lockingIn(query: Query): Select[] {
  const found: Select[] = []
  walkQuery(query, { select: (select) => void (select.lock !== null && found.push(select)) })
  return found
}

/** Null: not one lock for all tables of one level. */
function lockText(query: Query, analysis: Analysis): NonNullable<GatherPlan['lock']> | null {
  if (query.kind !== 'select' || query.lock === null || query.lock.skips || analysis.opaque !== null) return null
  if (analysis.tables.some((table) => !analysis.scope.tables.includes(table))) return null
  const { kind, span } = query.lock
  const words = span.to - span.from
  if (kind === 'update') return words === 2 ? ' FOR UPDATE' : null
  return words === 2 || words === 4 ? ' LOCK IN SHARE MODE' : null
}

function scatterOf(query: Query, analysis: Analysis, roots: readonly Root[], count: number): RoutedPlan['scatter'] {
  const [root] = roots
  if (root === undefined) return refusedScatter('a table that every shard has', 'one shard answers')
  if (roots.length > 1) return severalRoots(roots)
  if (query.kind !== 'select')
    return refusedScatter(analysis.opaque ?? 'UNION', 'its parts would have to be put together from several shards')
  try {
    return { kind: 'allowed', ...scatterSelect(query, analysis, root, count) }
  } catch (error) {
    if (error instanceof ScatterRefused) return { kind: 'refused', refusal: error.refusal }
    throw error
  }
}

export function refusedScatter(
  construct: string,
  reason: string,
  instead = 'restrict the statement to one shard key value',
): RoutedPlan['scatter'] {
  return { kind: 'refused', refusal: { construct, reason, instead } }
}

export function severalRoots(roots: readonly Root[]): RoutedPlan['scatter'] {
  const names = roots.map((root) => root.tables[0]?.name ?? '').join(' and ')
  return refusedScatter(
    `${names} in one statement`,
    'they are not joined by their shard keys',
    'join them on their shard keys, or restrict each to one shard key value',
  )
}
