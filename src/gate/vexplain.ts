/**
 * VEXPLAIN: how the gate would run a statement, step by step, without running it. One row for each text and the shards that get it, and a note of what is not as on one server: a write that others may see a
 * part of, a read whose parts are of several instants (promise 10).
 */
import { append } from '../base/append.ts'
import type { GatherJob } from './gather-job.ts'
import type { Destination, Merge, Routed, RoutedPlan } from './plan/plan.ts'
import type { KeyspaceView, ShardView } from './view.ts'

export type Explained = { readonly what: string; readonly shards: string; readonly text: string }

export const vexplain = /^\s*VEXPLAIN(?:\s+PLAN)?\s+/i

/** @param job the texts of `routed.gather` */
export function explained(plan: RoutedPlan, routed: Routed<ShardView>, job: GatherJob | null, keyspace: KeyspaceView): Explained[] {
  const text = noteOf(plan, routed, job, keyspace)
  const steps = stepsOf(plan, routed, job, keyspace)
  return text === null ? steps : [...steps, { what: 'note', shards: '', text }]
}

const commits: Readonly<Record<KeyspaceView['record']['transactionMode'], string>> = {
  multi:
    'each shard commits by itself: readers may see a part of it for a moment, and a server that ends between two commits may leave a part (transaction_mode multi; xa commits all or nothing)',
  xa: 'all shards commit or none does; who reads several shards may see a part of it between two commits (transaction_mode xa)',
  single: 'refused if it comes to write on several shards (transaction_mode single)',
}
const instants =
  'each shard is read at an instant of its own: what is written meanwhile may be seen on one and not on another. In a transaction WITH CONSISTENT SNAPSHOT, or REPEATABLE READ, each shard stays at its own'

/** Null: it is as on one server. */
function noteOf(plan: RoutedPlan, routed: Routed<ShardView>, job: GatherJob | null, keyspace: KeyspaceView): string | null {
  if (keyspace.shards.length < 2) return null
  const { gather, sends } = routed
  const writes = gather === undefined ? plan.effect === 'write' : gather.use.kind !== 'read'
  if (gather === undefined && sends.length < 2) return null
  if (writes)
    return commits[plan.copies === true && keyspace.record.transactionMode === 'single' ? 'multi' : keyspace.record.transactionMode]
  const read = new Set(gather === undefined ? sends.map(({ shard }) => shard) : (job?.steps.flatMap(({ shards }) => shards) ?? []))
  return read.size < 2 ? null : instants
}

function stepsOf(plan: RoutedPlan, routed: Routed<ShardView>, job: GatherJob | null, keyspace: KeyspaceView): Explained[] {
  const all = keyspace.shards
  const steps = [...plan.destinations, ...(routed.gather?.steps.map((step) => step.destination) ?? [])]
  const lookups = [...new Set(steps)].flatMap((destination) => (destination.kind === 'lookup' ? [askOf(destination)] : []))
  const kept = (plan.insert?.lookups ?? plan.lookups?.lookups ?? []).map(({ lookup }): Explained => ({
    what: 'keep lookup vindex',
    shards: '',
    text: `${lookup.name}: ${lookup.table} (${lookup.from.join(', ')})`,
  }))
  if (routed.gather === undefined) return [...lookups, ...kept, ...sendsOf(plan, routed, all)]
  if (job === null) return lookups
  const fetched = job.steps.map((step): Explained => {
    const { plan: of } = step
    const conditions = step.filters.map((filter) => filter.text.toString('utf8'))
    const also = step.reductions.map(({ column }) => `${column.name} IN (values fetched before)`)
    const where = [...conditions, ...also]
    return {
      what: routed.gather?.use.kind === 'read' ? 'fetch rows' : 'fetch rows under lock',
      shards: namesOf(step.shards, all),
      text: `${of.table} (${of.columns.map((column) => column.name).join(', ')})${where.length === 0 ? '' : ` WHERE ${where.join(' AND ')}`}`,
    }
  })
  const last: Record<NonNullable<Routed<ShardView>['gather']>['use']['kind'], string> = {
    read: 'run over them at one place',
    chosen: 'choose rows at one place, change them on their shards in one transaction',
    inserted: 'make rows at one place, insert them on their shards in one transaction',
    moved: 'change them at one place, move them to their shards in one transaction',
  }
  const { kind } = routed.gather.use
  return [
    ...lookups,
    ...fetched,
    ...kept,
    { what: last[kind], shards: kind === 'read' ? 'any' : 'all that hold them', text: job.text.toString('utf8') },
  ]
}

function askOf({ lookup, columns }: Extract<Destination, { kind: 'lookup' }>): Explained {
  return {
    what: 'ask lookup vindex',
    shards: '',
    text: `${lookup.name}: ${lookup.table} by ${columns.map(({ column }) => column.name).join(', ')}`,
  }
}

function sendsOf(plan: RoutedPlan, { sends, merge }: Routed<ShardView>, all: readonly ShardView[]): Explained[] {
  const byText = new Map<string, ShardView[]>()
  for (const { shard, text } of sends) append(byText, text.toString('utf8'), shard)
  const what =
    sends.length === 1 ? 'send as it is' : plan.effect === 'write' ? 'send in one transaction' : `send to each and ${mergeOf(merge)}`
  return [...byText].map(([text, shards]) => ({ what, shards: namesOf(shards, all), text }))
}

function mergeOf(merge: Merge | null): string {
  if (merge === null || merge.kind === 'concat') return 'pass on one after the other'
  return merge.kind === 'sort' ? 'merge in order' : 'aggregate'
}

function namesOf(shards: readonly ShardView[], all: readonly ShardView[]): string {
  return shards.length === all.length && all.length > 1 ? `all ${all.length}` : shards.map(({ name }) => name).join(', ')
}
