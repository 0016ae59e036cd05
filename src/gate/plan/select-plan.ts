/** SELECT over a sharded keyspace. */
import type { Query } from '../../sql/ast.ts'
import type { Analysis } from './analysis.ts'
import { planErrors } from './errors.ts'
import { gatherPlan } from './gather-plan.ts'
import type { Root } from './groups.ts'
import type { RoutedPlan } from './plan.ts'
import { ScatterRefused } from './refuse.ts'
import { scatterSelect } from './scatter-select.ts'
import { limitOf } from './select-parts.ts'
import { compileText } from './text.ts'

/** @param count tokens of the statement */
export function planSelect(query: Query, analysis: Analysis, keyspace: string, count: number): RoutedPlan {
  if (analysis.connectionBound !== null) throw refusedConnectionBound(analysis.connectionBound)
  const roots = analysis.groups.roots()
  const select = query.kind === 'select' ? query : null
  const lock = locks(query)
  return {
    kind: 'routed',
    keyspace,
    sharded: true,
    verb: 'select',
    effect: lock ? 'lock' : 'read',
    // No sharded table: every shard has what is asked for.
    destinations: roots.length === 0 ? [{ kind: 'any' }] : roots.map((root) => root.destination),
    whole: compileText(count, [...analysis.edits, ...analysis.labels]),
    scatter: gatherWhereRefused(scatterOf(query, analysis, roots, count), analysis, count, lock),
    ...(select === null ? { limit: null, offset: null } : limitOf(select)),
    insert: null,
    unchanged: [],
    pins: [],
    instant: analysis.instant,
    tables: analysis.tables.map((table) => table.name),
  }
}

/** What the shards can't answer each for itself is answered at one place, from their rows; but rows that are locked are locked where they stand. */
function gatherWhereRefused(scatter: RoutedPlan['scatter'], analysis: Analysis, count: number, lock: boolean): RoutedPlan['scatter'] {
  if (lock) return scatter
  if (scatter.kind === 'allowed') {
    const compares = scatter.merge !== null && scatter.merge.kind !== 'concat'
    const refusal = { construct: 'ORDER BY or GROUP BY', reason: 'it compares text in a collation that only the server knows', instead: '' }
    return compares ? { ...scatter, otherwise: gatherPlan(analysis, count, refusal) } : scatter
  }
  if (scatter.kind !== 'refused') return scatter
  const gather = gatherPlan(analysis, count, scatter.refusal)
  return gather === null ? scatter : { kind: 'gather', gather }
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

export function refusedConnectionBound(construct: string): Error {
  return planErrors.refused({
    construct,
    reason: 'it belongs to one server connection, and statements of a session go to many',
    instead: 'keep it in the application, or use an unsharded keyspace',
  })
}

function locks(query: Query): boolean {
  return query.kind === 'select' ? query.lock !== null : query.parts.some(locks)
}
