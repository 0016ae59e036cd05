/** What a statement may not do to the columns that say where a row stands. */
import type { Assignment, Expr, Statement, Update } from '../../sql/ast.ts'
import { walkStatement } from '../../sql/walk.ts'
import { isBuiltin } from '../pure-functions.ts'
import type { Analysis } from './analysis.ts'
import { planErrors } from './errors.ts'
import type { Destination, UnchangedKey } from './plan.ts'
import type { BoundTable } from './scope.ts'
import { bare, slotOf } from './slots.ts'

/** Every shard has a copy of a reference table, and a change must do the same to each. */
export function refuseDivergingCopies(table: BoundTable, statement: Statement, analysis: Analysis): void {
  if (table.entry?.kind !== 'reference') return
  const stored = [...analysis.calls].find((name) => !isBuiltin(name) && table.keyspace.functions?.varying.has(name) === true)
  const own = analysis.random ?? analysis.clock ?? (stored === undefined ? serverVariableIn(statement) : `stored function ${stored}()`)
  if (own === null) return
  throw planErrors.refused({
    construct: `${own} in a change of reference table ${table.name}`,
    reason: 'each copy would get values of its own',
    instead: 'give the value itself',
  })
}

/** Settings that a session brings each of its connections to, and what the session itself answers; others may differ from server to server. */
const sessionsOwn = new Set(
  (
    'sql_mode time_zone lc_time_names autocommit character_set_client character_set_connection character_set_results collation_connection foreign_key_checks unique_checks ' +
    'group_concat_max_len div_precision_increment default_week_format sql_select_limit sql_safe_updates identity last_insert_id'
  ).split(' '),
)

function serverVariableIn(statement: Statement): string | null {
  let found: string | null = null
  walkStatement(statement, {
    expr(node) {
      if (node.kind !== 'system-variable') return
      if (node.scope === 'global' || !sessionsOwn.has(node.name.toLowerCase())) found ??= `@@${node.name}`
    },
  })
  return found
}

/** Where rows are alike to it each copy might choose another one. */
export function refuseChoosingCopies(table: BoundTable, analysis: Analysis): void {
  if (table.entry?.kind !== 'reference' || !analysis.limited) return
  throw planErrors.refused({
    construct: `LIMIT in a subquery of a change of reference table ${table.name}`,
    reason: 'of equal rows each copy might choose another',
    instead: 'read the value, and give it',
  })
}

/** Of rows that meet in a unique key IGNORE leaves one as it was: which, depends on their order. */
export function refuseMeetingCopies(table: BoundTable, update: Update): void {
  if (table.entry?.kind !== 'reference' || !update.ignore) return
  const unique = new Set((table.columns?.uniqueKeys ?? []).flat().map((name) => name.toLowerCase()))
  const met = update.assignments.find(({ column }) => unique.has(column.name.text.toLowerCase()))
  if (met === undefined) return
  throw planErrors.refused({
    construct: `UPDATE IGNORE of ${met.column.name.text}, which is unique in reference table ${table.name}`,
    reason: 'of rows that meet, each copy might leave another one as it was',
    instead: 'UPDATE without IGNORE, or row by row',
  })
}

type Where = {
  /** It is the only table: then a column that is not known can be of no other. */
  readonly single: boolean
  /** What WHERE restricts the shard key to. */
  readonly destination: Destination | null
  /** ON DUPLICATE KEY UPDATE. */
  readonly duplicate: boolean
}

/**
 * Refuses assignments that would change a row's shard key (SW-GATE-120). No change are: `k = k`; `k = VALUES(k)` where every unique key holds k, as the
 * duplicate then has it too; and `k = x` with `WHERE k = y`, to be checked at execution: those are returned.
 */
export function shardKeyAssignments(
  table: BoundTable,
  assignments: readonly Assignment[],
  analysis: Analysis,
  where: Where,
): UnchangedKey[] {
  const { entry } = table
  if (entry?.kind !== 'sharded') return []
  const routed = entry.primaryVindex.columns.map((column) => column.toLowerCase())
  const owned = where.duplicate
    ? entry.otherVindexes.filter((other) => other.owned).flatMap((other) => other.columns.map((column) => column.toLowerCase()))
    : []
  const unchanged: UnchangedKey[] = []
  for (const { column, value } of assignments) {
    const name = column.name.text.toLowerCase()
    if (!routed.includes(name) && !owned.includes(name)) continue
    const bound = analysis.resolve(column)
    if (bound !== null ? bound.table !== table : !where.single) continue
    if (isItself(bare(value), name, table, analysis, where.duplicate)) continue
    const held = routed.includes(name) ? heldBy(where.destination, name) : null
    const assigned = slotOf(value)
    if (held === null || assigned === null || assigned.kind === 'default')
      throw planErrors.shardKeyChange({ table: table.name, column: column.name.text })
    unchanged.push({ table: table.name, column: held.column, assigned, held: held.slot })
  }
  return unchanged
}

function isItself(value: Expr, name: string, table: BoundTable, analysis: Analysis, duplicate: boolean): boolean {
  if (value.kind === 'column') return value.name.text.toLowerCase() === name && analysis.resolve(value)?.table === table
  if (!duplicate || value.kind !== 'call' || (value.name !== 'VALUES' && value.name !== 'VALUE')) return false
  const of = value.args[0] === undefined ? null : bare(value.args[0])
  const keys = table.columns?.uniqueKeys ?? []
  return (
    of?.kind === 'column' &&
    of.name.text.toLowerCase() === name &&
    keys.length > 0 &&
    keys.every((key) => key.some((column) => column.toLowerCase() === name))
  )
}

function heldBy(destination: Destination | null, name: string) {
  if (destination?.kind !== 'values') return null
  const routed = destination.columns.find(({ column }) => column.name.toLowerCase() === name)
  const slot = routed?.slots.length === 1 ? routed.slots[0] : undefined
  return routed === undefined || slot === undefined ? null : { column: routed.column, slot }
}
