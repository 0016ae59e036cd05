/** Statements of a gate by shape, as it writes them to the topology. */

/** Latencies, by the number of the bucket: its upper bound is `bucketMs(number)`. */
export type LatencyCounts = [bucket: number, count: number][]

export type QueryShape = {
  keyspace: string
  /** Literals are `?`, lists of them `?, …`. */
  text: string
  count: number
  /** Of these: went to several shards; took longer than the gate's bound; failed. */
  scattered: number
  slow: number
  errors: number
  /** Of their answers. */
  rows: number
  totalMs: number
  maxMs: number
  latencies: LatencyCounts
}

export type GateQueries = {
  v: 1
  gate: string
  /** Since when it counts. */
  sinceMs: number
  atMs: number
  slowMs: number
  /** Statements of shapes that are not listed. */
  others: number
  shapes: QueryShape[]
}

/** Four to a doubling, from 1/64 ms. */
const bucketsPerDoubling = 4
const firstMs = 1 / 64
export const bucketsMax = 100

export function bucketOf(ms: number): number {
  if (ms <= firstMs) return 0
  return Math.min(bucketsMax - 1, Math.ceil(Math.log2(ms / firstMs) * bucketsPerDoubling))
}

export function bucketMs(bucket: number): number {
  return firstMs * 2 ** (bucket / bucketsPerDoubling)
}

/** By the upper bound of the bucket that holds it: at most 19 % too much. Null: nothing was counted. */
export function quantileMs(latencies: readonly (readonly [number, number])[], quantile: number): number | null {
  const sorted = latencies.toSorted((a, b) => a[0] - b[0])
  const total = sorted.reduce((sum, [, count]) => sum + count, 0)
  let left = Math.ceil(total * quantile)
  for (const [bucket, count] of sorted) {
    left -= count
    if (left <= 0) return bucketMs(bucket)
  }
  return null
}

/** Of all gates together; null: unknown. */
export type QueryTotals = Omit<QueryShape, 'latencies'> & { p50Ms: number | null; p99Ms: number | null }

export function mergedQueries(records: readonly GateQueries[]): QueryTotals[] {
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
