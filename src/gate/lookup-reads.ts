/**
 * Asks lookup vindexes where rows may be. The lookup's column is of the table's column's type and collation (else it is not asked, and the statement goes to all shards), so each
 * comparison of the statement says of the lookup's rows what it says of the table's: the values go there as the client wrote them.
 *
 * - Asked outside of the client's transaction, of what is committed: the rows of a lookup are committed before the table's are (lookup-writes.ts).
 * - A transaction may hold an older snapshot of a shard, with rows that the lookup has lost since: the shards that it has are asked as well.
 * - Replicas: how far a lookup's is behind the table's is not known: all shards are asked.
 */
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import type { LookupDefinition } from '../keyspace/vindexes/lookup.ts'
import { quoteIdentifier } from '../sql/quote.ts'
import { areOfSeveralTypes, comparableOf, comparedValues, isRead } from './plan/convert.ts'
import { familyOf } from './plan/equality.ts'
import type { ColumnInfo } from './plan/catalog.ts'
import { Rerouted } from './execution-errors.ts'
import type { Execution, SessionContext } from './execution.ts'
import { readInner } from './inner-statements.ts'
import type { GatherPlan } from './plan/gather-types.ts'
import type { LookupDestination, RoutedPlan, RouteInputs } from './plan/plan.ts'
import { literalOf, slotValue } from './plan/render.ts'
import { hasMode } from './sql-mode.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/** Keyspace ids by the text that asked for them; null: all shards. */
export type LookupAnswers = Map<string, readonly Uint8Array[] | null>

const valuesMax = 1_000
const idsMax = 10_000
const hash = createVindex('hash', 'hash')
const destinations = new WeakMap<RoutedPlan, readonly LookupDestination[]>()

/** Not asked: nothing more to do. The inputs know the answers then. Else they are asked, and the statement is to be planned anew. */
export function withLookups(
  context: SessionContext,
  plan: RoutedPlan,
  inputs: RouteInputs<ShardView>,
  e: Execution,
  keyspace: KeyspaceView,
): RouteInputs<ShardView> | Promise<never> {
  const all = lookupsOf(plan)
  if (all.length === 0 || keyspace.role === 'replica' || keyspace.shards.length === 1) return inputs
  const texts = new Map<LookupDestination, string>()
  for (const destination of all) {
    const text = askText(destination, plan.keyspace, inputs, context)
    if (text !== null) texts.set(destination, text)
  }
  const missing = [...texts].filter(([, text]) => !e.answers.has(text))
  if (missing.length > 0) return ask(context, missing, plan, e)
  const also = plan.effect === 'read' ? heldBy(context, keyspace) : []
  return {
    ...inputs,
    keyspaceIds(destination) {
      const ids = e.answers.get(texts.get(destination) ?? '')
      return ids == null ? undefined : [...ids, ...also]
    },
  }
}

function lookupsOf(plan: RoutedPlan): readonly LookupDestination[] {
  let known = destinations.get(plan)
  if (known === undefined) {
    const { scatter } = plan
    const gather: GatherPlan | null =
      scatter.kind === 'gather' ? scatter.gather : scatter.kind === 'allowed' ? (scatter.otherwise ?? null) : null
    const every = [...plan.destinations, ...(gather?.steps.map((step) => step.destination) ?? [])]
    destinations.set(plan, (known = every.filter((destination) => destination.kind === 'lookup')))
  }
  return known
}

/** A keyspace id of each shard that the transaction has. */
function heldBy(context: SessionContext, keyspace: KeyspaceView): Uint8Array[] {
  const { transaction } = context.runner
  return [...(transaction?.branches.values() ?? [])].flatMap(({ shard }) =>
    keyspace.shards.includes(shard) ? [parseKeyRange(shard.name).start] : [],
  )
}

/** The keyspace and table of a lookup. */
export function lookupTable(lookup: LookupDefinition, keyspace: string): { keyspace: string; table: string } {
  const at = lookup.table.indexOf('.')
  return at < 0 ? { keyspace, table: lookup.table } : { keyspace: lookup.table.slice(0, at), table: lookup.table.slice(at + 1) }
}

/** Null: the values are not known exactly, or too many. */
function askText(destination: LookupDestination, keyspace: string, inputs: RouteInputs<ShardView>, context: SessionContext): string | null {
  const { lookup, columns } = destination
  const way = inputs.text
  if (!way.startsWith('utf8') || hasMode(context.runner.settings, 'NO_BACKSLASH_ESCAPES')) return null
  const conditions: string[] = []
  for (const [i, { column, slots }] of columns.entries()) {
    if (slots.length > valuesMax) return null
    const values = slots.map((slot) => comparableOf(column, slotValue(slot, inputs), way))
    // What servers make of such values is also the matter of the index that they look in (a fraction), and of what stands in a tuple: the lookup's may be others.
    const isExact = familyOf(column) === 'integer' ? comparedValues(column, lookup, values, way) !== 'unknown' : !areOfSeveralTypes(values)
    if (!isExact) return null
    if (
      values.some(
        (value) =>
          (value.type === 'text' && !isRead(value.bytes, way)) ||
          value.type === 'kept' ||
          (value.type === 'double' && !Number.isFinite(value.value)),
      )
    )
      return null
    conditions.push(
      `${quoteIdentifier(lookup.from[i] as string)} IN (${values.map((value) => literalOf(value).toString('latin1')).join(', ')})`,
    )
  }
  const { table } = lookupTable(lookup, keyspace)
  return `SELECT ${quoteIdentifier(lookup.to)} FROM ${quoteIdentifier(table)} WHERE ${conditions.join(' AND ')} LIMIT ${idsMax + 1}`
}

async function ask(
  context: SessionContext,
  asked: readonly (readonly [LookupDestination, string])[],
  plan: RoutedPlan,
  e: Execution,
): Promise<never> {
  for (const [destination, text] of asked) e.answers.set(text, await answerOf(context, destination, text, plan.keyspace, e))
  throw new Rerouted()
}

async function answerOf(
  context: SessionContext,
  { lookup, columns }: LookupDestination,
  text: string,
  keyspace: string,
  e: Execution,
): Promise<readonly Uint8Array[] | null> {
  const { core } = context
  const place = lookupTable(lookup, keyspace)
  await core.ready(place.keyspace, e.signal)
  const info = core.catalog.keyspace(place.keyspace)
  if (info?.columns(place.table) === undefined) await core.catalog.load(place.keyspace, [place.table], e.signal)
  const there = core.catalog.keyspace(place.keyspace)?.columns(place.table)?.columns
  const alike = columns.every(({ column }, i) => {
    const other = there?.find(({ name }) => name.toLowerCase() === lookup.from[i]?.toLowerCase())
    return other !== undefined && comparesAlike(column, other)
  })
  if (!alike) return null
  const ids: Uint8Array[] = []
  for (const [cell] of await readInner(core, place.keyspace, Buffer.from(text, 'latin1'), e.signal, context.scatter)) {
    if (cell == null) continue
    const id = lookup.idForm === 'hash' ? hash.map([{ type: 'UINT64', bytes: cell }]) : cell
    if (id !== null) ids.push(Uint8Array.from(id))
  }
  if (ids.length > idsMax) return null
  return ids
}

/** Conditions on the one hold of the other. */
export function comparesAlike(a: ColumnInfo, b: ColumnInfo): boolean {
  const family = familyOf(a)
  if (family !== familyOf(b)) return false
  return family === 'text' ? a.collation === b.collation : family === 'integer' || a.dataType === b.dataType
}
