/**
 * One execution of a plan: which shard gets which text. Pure, and the gate's hot path: a statement for one shard whose text is not
 * changed costs one vindex and no copy.
 */
import { append } from '../../base/append.ts'
import { assert } from '../../base/assert.ts'
import type { VindexValue } from '../../keyspace/vindex.ts'
import type { Value } from '../../sql/value.ts'
import type { ColumnInfo } from './catalog.ts'
import { comparedValues, storedValue } from './convert.ts'
import { planErrors } from './errors.ts'
import type { GatherPlan } from './gather-types.ts'
import { drawsId, givenId } from './given-ids.ts'
import type { LookupEntry } from './lookup.ts'
import type {
  Destination,
  InsertPlan,
  InsertRow,
  Merge,
  Piece,
  Routed,
  RoutedPlan,
  RouteInputs,
  Send,
  Slot,
  Text,
  UnchangedKey,
} from './plan.ts'
import { loweredWord, lowers } from './relevance.ts'
import { Rendering, slotValue } from './render.ts'
import { leftToServer } from './server-ids.ts'

/** How many ids of `plan.insert.sequence` this execution takes. */
export function idsNeeded<S>(plan: RoutedPlan, inputs: RouteInputs<S>): number {
  if (plan.insert?.sequence == null) return 0
  let count = 0
  for (const row of plan.insert.rows) if (drawsId(row, inputs)) count++
  return count
}

/** @throws SW-GATE-100, 110, 122, 131, 133 */
export function routePlan<S>(plan: RoutedPlan, inputs: RouteInputs<S>): Routed<S> {
  if (plan.insert !== null && plan.insert.rows.length > 0) return routeInsert(plan, plan.insert.rows, inputs)
  const moved = plan.moved ?? null
  if (inputs.shards.length > 1 || plan.keyed === true) {
    if (moved?.always === true) return { sends: [], merge: null, firstId: null, gather: moved.gather }
    for (const key of plan.unchanged) {
      if (isUnchanged(key, inputs)) continue
      if (moved === null) throw planErrors.shardKeyChange({ table: key.table, column: key.column.name })
      return { sends: [], merge: null, firstId: null, gather: moved.gather }
    }
  }
  const only = plan.destinations.length === 1 ? plan.destinations[0] : undefined
  const shards = only === undefined ? commonShard(plan, inputs) : shardsOf(only, inputs)
  if (shards === null) return { sends: [], merge: null, firstId: null, gather: gatherOf(plan) }
  const first = shards[0]
  if (shards.length === 0) return { sends: [send(plan.whole, inputs, inputs.anyShard(), null, [])], merge: null, firstId: null }
  if (shards.length === 1 && first !== undefined && !needsGate(plan))
    return { sends: [send(plan.whole, inputs, first, null, [])], merge: null, firstId: null }
  if (plan.scatter.kind === 'refused') throw planErrors.refused({ ...plan.scatter.refusal })
  if (plan.scatter.kind === 'gather') return { sends: [], merge: null, firstId: null, gather: plan.scatter.gather }
  const limit = limitOf(plan.limit, inputs)
  const offset = limitOf(plan.offset, inputs) ?? 0n
  const { text, merge, sought = [] } = plan.scatter
  if (sought.some((slot) => lowers(slot, inputs))) throw planErrors.refused({ ...loweredWord })
  // The greatest number that servers take in a LIMIT: no answer has as many rows.
  const pushed = limit === null ? null : limit + offset > limitMax ? limitMax : limit + offset
  return {
    sends: sendsAlike(text, inputs, shards, pushed),
    merge: merge === null ? null : ({ ...merge, limit, offset } as Merge),
    firstId: null,
  }
}

/**
 * Rows whose ids a sequence draws, or of which lookups are kept, pass through the gate also where one shard has all of the keyspace: that shard would count by itself, in blocks that
 * are drawn already, and no lookup would hear of them. So do changes whose rows are known only when they are chosen.
 */
function needsGate({ scatter, chosen }: RoutedPlan): boolean {
  if (scatter.kind !== 'gather') return false
  if (chosen === true) return true
  const { use } = scatter.gather
  return use.kind === 'inserted' && (use.ids !== null || use.lookups.length > 0)
}

/** `UPDATE … SET k = 5 … WHERE k = 5`: what ORMs write that save all columns. */
function isUnchanged<S>({ table, column, assigned, held }: UnchangedKey, inputs: RouteInputs<S>): boolean {
  const was = slotValue(held, inputs)
  const becomes = slotValue(assigned, inputs)
  // A condition with NULL holds for no row.
  if (was.type === 'null') return true
  if (becomes.type === 'null') return false
  const way = inputs.text
  const [a, b] = [storedValue(table, column, was, way), storedValue(table, column, becomes, way)]
  return a.type === b.type && Buffer.compare(a.bytes, b.bytes) === 0
}

function gatherOf(plan: RoutedPlan): GatherPlan {
  assert(plan.scatter.kind === 'gather', 'only gathered plans come to no common shard')
  return plan.scatter.gather
}

/** Several sets of tables that are not joined by their shard keys: all must stand on one shard. Null: they do not, and are gathered. */
function commonShard<S>(plan: RoutedPlan, inputs: RouteInputs<S>): S[] | null {
  if (plan.destinations.length === 0) return []
  let common: S | undefined
  for (const destination of plan.destinations) {
    const shards = shardsOf(destination, inputs)
    // Equal to no row: whichever shard, the answer is the same.
    if (shards.length === 0) continue
    const [first] = shards
    if (shards.length > 1 || (common !== undefined && common !== first)) {
      if (plan.scatter.kind === 'gather') return null
      if (plan.scatter.kind === 'refused' && plan.scatter.refusal.apart === true) throw planErrors.refused({ ...plan.scatter.refusal })
      const { construct, reason } =
        plan.scatter.kind === 'refused'
          ? plan.scatter.refusal
          : { construct: 'the statement', reason: 'its tables are not joined by their shard keys' }
      throw planErrors.crossShard({ construct, reason })
    }
    common = first
  }
  return common === undefined ? [] : [common]
}

/** The shards that a table's rows may be on. */
export function shardsOf<S>(destination: Destination, inputs: RouteInputs<S>): readonly S[] {
  switch (destination.kind) {
    case 'any':
      return [inputs.anyShard()]
    case 'all':
      return inputs.shards
    case 'keyspace-id':
      return [inputs.shardOf(destination.id)]
    case 'values':
      return shardsOfValues(destination, inputs)
    case 'between':
      return shardsBetween(destination, inputs)
    case 'lookup': {
      const ids = inputs.keyspaceIds?.(destination)
      if (ids === undefined) return inputs.shards
      const found = new Set(ids.map((id) => inputs.shardOf(id)))
      return inputs.shards.filter((shard) => found.has(shard))
    }
  }
}

function shardsBetween<S>({ vindex, ranges }: Extract<Destination, { kind: 'between' }>, inputs: RouteInputs<S>): readonly S[] {
  let shards = inputs.shards
  for (const { column, low, high } of ranges) {
    const given = [low, high].flatMap((slot) => (slot === null ? [] : [slotValue(slot, inputs)]))
    const values = comparedValues(column, vindex, given, inputs.text)
    // By what a BETWEEN compares is the matter of both its bounds: of one that is told in part nothing is known.
    if (values === 'unknown' || values.length < given.length) continue
    const range = vindex.mapBetween?.(low === null ? null : (values[0] ?? null), high === null ? null : (values.at(-1) ?? null))
    if (range === undefined || inputs.shardsIn === undefined) continue
    if (range === null) return []
    const within = new Set(inputs.shardsIn(range))
    shards = shards.filter((shard) => within.has(shard))
  }
  return shards
}

/** A list of more combinations than this goes to all shards: it would mean all of them anyway. */
const combinationsMax = 10_000
const limitMax = (1n << 64n) - 1n

function shardsOfValues<S>(destination: Extract<Destination, { kind: 'values' }>, inputs: RouteInputs<S>): readonly S[] {
  const { columns, vindex } = destination
  if (inputs.shards.length === 1) return inputs.shards
  const values: VindexValue[][] = []
  let combinations = 1
  for (const { column, slots } of columns) {
    const given = slots.map((slot) => slotValue(slot, inputs))
    const list = comparedValues(column, vindex, given, inputs.text)
    if (list === 'unknown') return inputs.shards
    combinations *= list.length
    values.push(list)
  }
  if (combinations > combinationsMax) return inputs.shards
  const found = new Set<S>()
  const tuple: VindexValue[] = []
  const prefix = columns.length < vindex.columns
  if (prefix && inputs.shardsIn === undefined) return inputs.shards
  const visit = (column: number): void => {
    const list = values[column]
    if (list === undefined && prefix) {
      const range = vindex.mapPrefix?.(tuple)
      if (range != null) for (const shard of inputs.shardsIn?.(range) ?? inputs.shards) found.add(shard)
      return
    }
    if (list === undefined) {
      const id = vindex.map(tuple)
      if (id !== null) found.add(inputs.shardOf(id))
      return
    }
    for (const value of list) {
      tuple[column] = value
      visit(column + 1)
      if (found.size === inputs.shards.length) return
    }
  }
  if (combinations > 0) visit(0)
  return found.size <= 1 ? [...found] : inputs.shards.filter((shard) => found.has(shard))
}

function routeInsert<S>(plan: RoutedPlan, rows: readonly InsertRow[], inputs: RouteInputs<S>): Routed<S> {
  const byShard = new Map<S, Piece[][]>()
  const everywhere: Piece[][] = []
  let drawn = 0
  let firstId: bigint | null = null
  let lastShard: S | null = null
  let lastDrawn: bigint | null = null
  const mayMeet = rows.length > 1 && (plan.insert?.ignore === true || plan.insert?.onDuplicate === true)
  const drawnIds: { id: bigint; shard: S }[] = []
  const sequenced = plan.insert?.sequence != null
  const counted = plan.insert?.counted ?? null
  const entries: LookupEntry[] = []
  for (const row of rows) {
    let id: bigint | null = null
    if (counted !== null && drawsId(row, inputs)) throw leftToServer(counted)
    if (sequenced && drawsId(row, inputs)) {
      id = inputs.sequenceIds[drawn++] ?? null
      assert(id !== null, 'an INSERT was given fewer sequence ids than it needs')
      firstId ??= id
    }
    const slot: Slot | null =
      id === null
        ? null
        : inputs.idsAsParameters === true
          ? { kind: 'parameter', index: inputs.parameters.length + drawn - 1 }
          : { kind: 'constant', value: { type: 'integer', value: id } }
    const text = slot === null ? row.text : withId(row.text, slot)
    const keyspaceId = idOfRow(plan, row, id, inputs)
    if (plan.insert !== null) entries.push(...entriesOfRow(plan.insert, row, keyspaceId, id, inputs))
    const shards = shardsOfRow(row, keyspaceId, inputs)
    lastShard = shards === 'all' ? null : shards
    lastDrawn = id
    if (shards === 'all') everywhere.push(text as Piece[])
    else {
      if (id !== null && mayMeet) drawnIds.push({ id, shard: shards })
      append(byShard, shards, text as Piece[])
    }
  }
  if (byShard.size === 1 && everywhere.length === 0 && !sequenced && plan.whole === null) {
    const [shard] = byShard.keys()
    return { sends: [send(null, inputs, shard as S, null, [])], merge: null, firstId, entries }
  }
  const text = plan.scatter.kind === 'allowed' ? plan.scatter.text : plan.whole
  if (plan.scatter.kind === 'refused' && byShard.size + everywhere.length > 1) throw planErrors.refused({ ...plan.scatter.refusal })
  const targets = everywhere.length > 0 ? inputs.shards : inputs.shards.filter((shard) => byShard.has(shard))
  const sends = targets.map((shard) => send(text, inputs, shard, null, everywhere.length > 0 ? everywhere : (byShard.get(shard) ?? [])))
  const lastGiven = lastDrawn === null ? givenId(rows.at(-1) as InsertRow, inputs) : null
  const routed = { sends, merge: null, firstId, entries, lastId: plan.insert?.onDuplicate === false ? lastGiven : null }
  if (lastShard === null) return routed
  const several = mayMeet ? { ofSeveral: { drawn: drawnIds, last: lastDrawn ?? lastGiven } } : {}
  return { ...routed, lastRowAt: targets.indexOf(lastShard), ...several }
}

function withId(pieces: readonly Piece[], slot: Slot): Piece[] {
  return pieces.map((piece) => (piece.kind === 'sequence-id' ? { kind: 'slot', slot } : piece))
}

function shardsOfRow<S>({ destination }: InsertRow, keyspaceId: Uint8Array | null, inputs: RouteInputs<S>): S | 'all' {
  switch (destination.kind) {
    case 'any':
      return inputs.anyShard()
    case 'keyspace-id':
      return inputs.shardOf(destination.id)
    case 'values':
      assert(keyspaceId !== null, 'a row has a keyspace id')
      return inputs.shardOf(keyspaceId)
    default:
      return 'all'
  }
}

/** Null: the row stands on all shards, or on one whatever its values. */
function idOfRow<S>(plan: RoutedPlan, { destination }: InsertRow, id: bigint | null, inputs: RouteInputs<S>): Uint8Array | null {
  if (destination.kind !== 'values') return null
  const table = plan.tables[0] ?? ''
  const values = destination.columns.map(({ column, slots: [slot] }) => {
    assert(slot !== undefined, 'a row has a slot for each shard key column')
    return storedOf(table, column, slot, plan.insert, id, inputs)
  })
  const keyspaceId = destination.vindex.map(values)
  if (keyspaceId === null) {
    throw planErrors.shardKeyValue({
      table,
      column: destination.columns.map(({ column }) => column.name).join(', '),
      reason: `vindex ${destination.vindex.name} maps it to no shard`,
    })
  }
  return keyspaceId
}

function storedOf<S>(
  table: string,
  column: ColumnInfo,
  slot: Slot,
  insert: RoutedPlan['insert'],
  id: bigint | null,
  inputs: RouteInputs<S>,
): VindexValue {
  const value: Value = id !== null && column.name === insert?.sequence?.column ? { type: 'integer', value: id } : slotValue(slot, inputs)
  return storedValue(table, column, value, inputs.text)
}

/** A row without a value (NULL) is found by no condition that a lookup answers, and has none. */
function entriesOfRow<S>(
  insert: InsertPlan,
  row: InsertRow,
  keyspaceId: Uint8Array | null,
  id: bigint | null,
  inputs: RouteInputs<S>,
): LookupEntry[] {
  if (keyspaceId === null || insert.lookups.length === 0) return []
  return insert.lookups.flatMap((lookup, i) => {
    const values = (row.lookups[i] as readonly Slot[]).map((slot, place) =>
      storedOf(lookup.table, lookup.columns[place] as ColumnInfo, slot, insert, id, inputs),
    )
    return values.some((value) => value.type === 'NULL')
      ? []
      : [
          {
            lookup,
            values: values.map(({ type, bytes }) => ({ type, bytes: Buffer.from(bytes) })),
            keyspaceId: Uint8Array.from(keyspaceId),
          },
        ]
  })
}

function send<S>(
  text: Text,
  inputs: RouteInputs<S>,
  shard: S,
  limitAndOffset: bigint | null,
  rows: readonly (readonly Piece[])[],
): Send<S> {
  const { lexed } = inputs
  if (text === null)
    return {
      shard,
      text: lexed.start === 0 && lexed.end === lexed.bytes.length ? lexed.bytes : lexed.bytes.subarray(lexed.start, lexed.end),
      parameters: null,
    }
  const rendering = new Rendering(inputs, shard, limitAndOffset, rows).add(text)
  return { shard, text: rendering.text(), parameters: rendering.parameters }
}

/** The same text for all of them: made once, unless it names their databases. */
function sendsAlike<S>(text: Text, inputs: RouteInputs<S>, shards: readonly S[], limitAndOffset: bigint | null): Send<S>[] {
  const [first] = shards
  if (first === undefined || text?.some(({ kind }) => kind === 'schema') === true)
    return shards.map((shard) => send(text, inputs, shard, limitAndOffset, []))
  const made = send(text, inputs, first, limitAndOffset, [])
  return shards.map((shard) => ({ ...made, shard }))
}

/** @throws SW-GATE-131, or as a server */
export function limitOf<S>(slot: Slot | null, inputs: RouteInputs<S>): bigint | null {
  if (slot === null) return null
  if (slot.kind === 'parameter' && inputs.rowCount !== undefined) return inputs.rowCount(slot.index)
  const value = slotValue(slot, inputs)
  if (value.type === 'integer' && value.value >= 0n) return value.value
  throw planErrors.badLimit({ value: value.type === 'integer' || value.type === 'double' ? value.value : value.type })
}
