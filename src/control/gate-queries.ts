import type { QueryView } from '../api/schemas.ts'
import { keys } from '../topology/keys.ts'
import { quantileMs, type GateQueries, type QueryShape } from '../topology/gate-queries.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'

/** What the live gates have counted since each began, taken together. */
export async function listQueries(store: Store): Promise<QueryView[]> {
  const records = await listRecords<GateQueries>(store, keys.allGateQueries)
  return mergedQueries(records.map(({ value }) => value))
}

export function mergedQueries(records: readonly GateQueries[]): QueryView[] {
  const all = new Map<string, { sum: QueryShape; latencies: Map<number, number> }>()
  for (const shape of records.flatMap(({ shapes }) => shapes)) {
    const name = `${shape.keyspace}\0${shape.text}`
    let entry = all.get(name)
    if (entry === undefined) {
      const none = { count: 0, scattered: 0, slow: 0, errors: 0, rows: 0, totalMs: 0, maxMs: 0 }
      all.set(name, (entry = { sum: { ...shape, ...none }, latencies: new Map() }))
    }
    const { sum, latencies } = entry
    for (const field of ['count', 'scattered', 'slow', 'errors', 'rows', 'totalMs'] as const) sum[field] += shape[field]
    sum.maxMs = Math.max(sum.maxMs, shape.maxMs)
    for (const [bucket, count] of shape.latencies) latencies.set(bucket, (latencies.get(bucket) ?? 0) + count)
  }
  return [...all.values()].map(({ sum: { latencies: _, ...sum }, latencies }) => ({
    ...sum,
    p50Ms: quantileMs([...latencies], 0.5),
    p99Ms: quantileMs([...latencies], 0.99),
  }))
}
