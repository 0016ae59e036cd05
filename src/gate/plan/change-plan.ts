/** UPDATE and DELETE over a sharded keyspace. */
import { isSwError } from '../../base/errors.ts'
import type { Delete, Update } from '../../sql/ast.ts'
import type { Analysis } from './analysis.ts'
import { planErrors } from './errors.ts'
import { refuseFollowed } from './following.ts'
import { gatherChange, gatherMove } from './gather-write.ts'
import type { RoutedPlan, UnchangedKey } from './plan.ts'
import type { BoundTable } from './scope.ts'
import { lookupChange, ownedLookups } from './lookup.ts'
import { refuseOwnDefaults } from './own-defaults.ts'
import { refusedMatch, soughtInBooleanMode } from './relevance.ts'
import { refuseChoosingCopies, refuseDivergingCopies, refuseMeetingCopies, shardKeyAssignments } from './shard-key.ts'
import { refusedConnectionBound } from './connection-bound.ts'
import { refusedScatter, severalRoots } from './select-plan.ts'
import { limitChooses, ordersByKey } from './read-twice.ts'
import { compileText } from './text.ts'
import { refuseTriggers } from './triggers.ts'

export function planChange(statement: Update | Delete, analysis: Analysis, keyspace: string, count: number): RoutedPlan {
  if (analysis.connectionBound !== null) throw refusedConnectionBound(analysis.connectionBound)
  const roots = analysis.groups.roots()
  const whole = compileText(count, analysis.edits)
  const changed = changedTables(statement, analysis)
  const unchanged: UnchangedKey[] = []
  let moves = false
  for (const table of changed) {
    refuseTriggers(table, [statement.kind === 'update' ? 'UPDATE' : 'DELETE'])
    const assigned = statement.kind === 'update' ? statement.assignments.map(({ column }) => column.name.text) : []
    refuseFollowed(table, assigned, statement.kind === 'delete')
    refuseDivergingCopies(table, statement, analysis)
    refuseChoosingCopies(table, analysis)
    if (statement.kind === 'update') {
      refuseMeetingCopies(table, statement)
      refuseOwnDefaults(table, statement)
    }
    if (table.entry?.kind !== 'sharded') continue
    if (statement.kind === 'update') {
      const single = analysis.scope.tables.length === 1
      const destination = single ? (roots[0]?.destination ?? null) : null
      try {
        unchanged.push(...shardKeyAssignments(table, statement.assignments, analysis, { single, destination, duplicate: false }))
      } catch (error) {
        // Some row may get another shard key: it is moved, where that can be done.
        if (!single || !isSwError(error, 'SW-GATE-120') || gatherMove(statement, table, analysis, count) === null) throw error
        moves = true
      }
    }
  }
  const [only] = changed
  const moved =
    statement.kind === 'update' && only !== undefined && (moves || unchanged.length > 0)
      ? gatherMove(statement, only, analysis, count)
      : null
  const reference = changed.find((table) => table.entry?.kind === 'reference')
  if (reference !== undefined && roots.length > 0) {
    throw planErrors.refused({
      construct: `changing reference table ${reference.name} by rows of a sharded one`,
      reason: 'every shard would change its copy by other rows',
      instead: 'change the reference table by constants',
    })
  }
  const scatter = gatherWhereRefused(scatterOf(statement, analysis, reference !== undefined, whole), statement, changed, analysis)
  const lookups = lookupChange(statement, changed, analysis)
  // By their keys also on one shard.
  const chosen = lookups?.verb === 'update' && limitChooses(statement, analysis)
  if (chosen && scatter.kind !== 'gather')
    throw planErrors.refused({
      construct: `UPDATE … LIMIT of ${only?.name ?? ''}, which owns lookup vindexes`,
      reason: 'the rows that it changes are read before, and of equal ones others might be read',
      instead: 'add an ORDER BY over a unique key',
    })
  return {
    kind: 'routed',
    keyspace,
    sharded: true,
    verb: statement.kind,
    effect: 'write',
    // A reference table's copies are all changed.
    destinations: roots.length > 0 ? roots.map((root) => root.destination) : [{ kind: reference === undefined ? 'any' : 'all' }],
    whole,
    scatter,
    limit: null,
    offset: null,
    insert: null,
    lookups,
    chosen,
    engine: changed.find((table) => table.columns?.engine != null)?.columns?.engine ?? null,
    keyed: changed.some((table) => ownedLookups(table).length > 0),
    moved: moved === null ? null : { gather: moved, always: moves },
    unchanged,
    copies: reference !== undefined,
    tables: analysis.tables.map((table) => table.name),
  }
}

function gatherWhereRefused(
  scatter: RoutedPlan['scatter'],
  statement: Update | Delete,
  changed: readonly BoundTable[],
  analysis: Analysis,
): RoutedPlan['scatter'] {
  if (scatter.kind !== 'refused') return scatter
  const gather = gatherChange(statement, changed, analysis, scatter.refusal)
  if (gather === null) return scatter
  return 'construct' in gather ? { kind: 'refused', refusal: gather } : { kind: 'gather', gather }
}

function scatterOf(statement: Update | Delete, analysis: Analysis, reference: boolean, whole: RoutedPlan['whole']): RoutedPlan['scatter'] {
  const roots = analysis.groups.roots()
  const verb = statement.kind === 'update' ? 'UPDATE' : 'DELETE'
  if (roots.length > 1) return severalRoots(roots)
  if (statement.limit !== null && !reference) {
    return refusedScatter(
      `${verb} … LIMIT`,
      'each shard would change as many rows as are to be changed in all',
      `select the keys with LIMIT, then ${verb} those rows`,
    )
  }
  if (statement.limit !== null && !ordersByKey(statement, analysis)) {
    return refusedScatter(`${verb} … LIMIT of a reference table`, 'each copy might choose other rows', 'add an ORDER BY over a unique key')
  }
  if (analysis.opaque !== null) return refusedScatter(analysis.opaque, "its rows would be made on each shard from that shard's rows alone")
  if (analysis.replicatedOuter) return refusedScatter("an outer join that keeps a reference table's rows", 'every shard has those rows')
  const [root] = roots
  if (root !== undefined && !root.tables.some((table) => table.context === analysis.scope.context)) {
    return refusedScatter('a subquery over a sharded table', 'the rows outside of it are on every shard')
  }
  if (statement.kind === 'delete' && statement.returning !== null)
    return refusedScatter('DELETE … RETURNING', 'rows come from several shards')
  if (analysis.seeded) return refusedScatter('RAND(N)', 'each shard would begin its numbers anew', 'use RAND(), or RAND() of a column')
  const match = refusedMatch(analysis, true)
  if (match !== null) return { kind: 'refused', refusal: match }
  return { kind: 'allowed', text: whole, merge: null, sought: soughtInBooleanMode(analysis) }
}

function changedTables(statement: Update | Delete, analysis: Analysis): BoundTable[] {
  const own = analysis.scope.tables
  if (statement.kind === 'delete') {
    const { targets } = statement
    if (targets === null) return own.slice(0, 1)
    return own.filter((table) => targets.some((target) => target.name.text.toLowerCase() === table.alias))
  }
  if (own.length === 1) return own.slice()
  const changed = new Set<BoundTable>()
  for (const { column } of statement.assignments) {
    const bound = analysis.resolve(column)
    if (bound !== null) changed.add(bound.table)
    // Of a table that is not known: any may be meant.
    else for (const table of own) changed.add(table)
  }
  return [...changed]
}
