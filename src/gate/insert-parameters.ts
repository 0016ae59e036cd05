/**
 * How the rows of an INSERT that go to several shards get their parameters. Values of columns are written out: servers store the same of them, and no server has to prepare a text that is
 * another one each time. What is computed of parameters depends on their types, and so does what a time is in a column of text, or a date without a month in one of numbers: executed as prepared.
 */
import { columnType } from '../wire/column-types.ts'
import type { Param } from '../wire/stmt-execute.ts'
import type { GatherJob } from './gather-job.ts'
import { planErrors } from './plan/errors.ts'
import type { GatherPlan } from './plan/gather-types.ts'
import { typesDiffer } from './plan/insert-plan.ts'
import type { InsertPlan, Routed, RouteInputs } from './plan/plan.ts'
import { Rendering } from './plan/render.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const withTime: readonly number[] = [columnType.datetime, columnType.timestamp, columnType.time]

export function executedInsert(insert: InsertPlan | null, params: readonly Param[]): boolean {
  if (insert === null || params.length === 0) return false
  return insert.computed !== null || params.some(hasNoLiteral)
}

/** As a literal it would be another value: in a column of text, or as a date without a month or day in one of numbers; a negative zero would be zero. */
function hasNoLiteral({ type, value }: Param): boolean {
  if (typeof value === 'number') return Object.is(value, -0)
  return value !== null && (withTime.includes(type) || (type === columnType.date && zeroDate.test(String(value))))
}
const zeroDate = /^\d+-(?:00-|\d\d-00)/

/**
 * What is computed of parameters alone depends, on MySQL, on the types of all (plan/lone-parameters.ts). Where a shard gets none of a kind that another gets (a row's text, and the types in it), it is computed at one place. Null:
 * each shard does as one server would. @throws SW-GATE-100
 */
export function computedAtOnePlace(
  insert: InsertPlan | null,
  { sends }: Routed<ShardView>,
  inputs: RouteInputs<ShardView>,
  params: readonly Param[],
): GatherPlan | null {
  const [first, second] = sends
  if (insert?.computed?.alone !== true || first === undefined || second === undefined || isMariadb(first.shard)) return null
  const kinds = new Map<number, string>()
  for (const row of insert.rows) {
    const rendering = new Rendering(inputs, first.shard, null, []).add(row.text)
    const text = rendering.text().toString('latin1')
    rendering.parameters.forEach((number, i) => {
      const param = params[number]
      if (param !== undefined && param.value !== null) kinds.set(number, `${i} ${param.type} ${param.unsigned} ${text}`)
    })
  }
  const all = new Set(kinds.values()).size
  const has = (parameters: readonly number[] | null): number => new Set((parameters ?? []).flatMap((n) => kinds.get(n) ?? [])).size
  if (sends.every(({ parameters }) => has(parameters) === all)) return null
  if (insert.computed.gather === null) throw planErrors.refused(typesDiffer)
  return insert.computed.gather
}

/** The same where some of a write's parameters go where its rows are chosen or made, and others to their shards. @throws SW-GATE-100 */
export function refuseApart({ alone }: GatherPlan, job: GatherJob, { shards }: KeyspaceView, params: readonly Param[]): void {
  const typed = (number: number): boolean => params[number]?.value != null
  const [first] = shards
  if (alone !== true || first === undefined || isMariadb(first)) return
  if (!job.around.some(typed) || job.parameters?.some(typed) !== true) return
  throw planErrors.refused({
    construct: 'a write that computes of parameters alone (? / ?) beside others that choose its rows',
    reason: 'MySQL goes by the types of all of them, and its rows are chosen elsewhere than they are changed',
    instead: 'give the value computed, or write CAST(? AS …)',
  })
}

function isMariadb({ server }: ShardView): boolean {
  return server.flavour === 'mariadb'
}
