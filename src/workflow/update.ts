import type { Condition, Json, Put, Store } from '../topology/store.ts'
import { workflowErrors } from './errors.ts'

const attemptsMax = 64

/**
 * Read, change, compare-and-set, again on conflict. `change` gets the value now (null: absent) and gives the new one, or
 * `undefined` to leave it. `fence` conditions are never retried: when one fails the caller has lost the right to write
 * (SW-WORKFLOW-005).
 */
export async function updateRecord<T>(
  store: Store,
  key: string,
  change: (value: T | null) => { value: T; also?: readonly Put[] } | undefined,
  fence: readonly Condition[] = [],
): Promise<T | null> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const entry = await store.get(key)
    const current = (entry?.value ?? null) as T | null
    const next = change(current)
    if (next === undefined) return current
    const result = await store.commit(
      [{ key, version: entry?.version ?? 0 }, ...fence],
      [{ key, value: next.value as Json }, ...(next.also ?? [])],
    )
    if (result.ok) return next.value
    if (result.conflicts.some((conflict) => fence.some((condition) => condition.key === conflict))) throw workflowErrors.notLeader()
  }
  throw workflowErrors.busy({ key })
}
