/** The shared vectors, for tests: inputs and results from Vitess's own. */
import { readFileSync } from 'node:fs'
import type { VindexValueType } from '../vindex.ts'

export type JsonValue = { type: VindexValueType; value: string | null; hex?: string }
export type Case = { in: JsonValue | string[]; ksid?: string; destination?: 'none'; keyrange?: [string, string] }
type Static = {
  params: { json_path?: string; file?: object; json?: Record<string, unknown>; fallback_type?: string; column_count?: string }
  cases: Case[]
}
type Vectors = Record<string, Case[]> & {
  numeric_static_map: Static
  numeric_static_map_fallback_xxhash: Static
  multicol: Static
  region_experimental: Record<string, Case[]>
  unicode_normalization_primary_weights: { hex: string; weights: string }[]
  unicode_hash_golden: Record<string, string>[]
}

export const vectors = (
  JSON.parse(readFileSync(new URL('vitess-vindexes-keyranges.json', import.meta.url), 'utf8')) as { vectors: Vectors }
).vectors
