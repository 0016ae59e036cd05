/** Statements that go to every shard without anything that bounds them, for users to whom they are refused. Pure. */
import type { Routed, RoutedPlan, RouteInputs } from './plan/plan.ts'
import { shardsOf } from './plan/route.ts'

/** Why it is one; null: it is none. */
export function unboundedReason<S>(plan: RoutedPlan, routed: Routed<S>, inputs: RouteInputs<S>): string | null {
  if (inputs.shards.length < 2 || (plan.insert !== null && routed.gather === undefined)) return null
  // Rows that get another shard key are found by the one that they have.
  const moves = routed.gather?.use.kind === 'moved'
  if (routed.gather !== undefined && !moves) return 'its rows must be put together from every shard'
  if (plan.limit !== null || (!moves && routed.sends.length < inputs.shards.length)) return null
  return plan.destinations.some((destination) => shardsOf(destination, inputs) === inputs.shards)
    ? 'its WHERE names no shard key, and it has no LIMIT'
    : null
}
