import type { QueryView } from '../api/schemas.ts'
import { keys } from '../topology/keys.ts'
import { mergedQueries, type GateQueries } from '../topology/gate-queries.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'

/** What the live gates have counted since each began, taken together. */
export async function listQueries(store: Store): Promise<QueryView[]> {
  const records = await listRecords<GateQueries>(store, keys.allGateQueries)
  return mergedQueries(records.map(({ value }) => value))
}
