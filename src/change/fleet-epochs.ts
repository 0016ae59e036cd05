import { branchKeyspace } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'

/**
 * Keys of what outlives the fleets of a branch, of every name that one of them ever had there (`insights@wide`, `insights@wide+slow`): epochs with the start of each partition.
 * They go with the branch's shards: one of the same name that is made anew begins elsewhere, and would be refused for ever (SW-INGEST-009).
 */
export async function epochsOfBranch(store: Store, keyspace: string, branch: string): Promise<string[]> {
  const name = branchKeyspace(keyspace, branch)
  const lists = await Promise.all([keys.partitionEpochsOf(name), keys.partitionEpochsOfNamed(name)].map((prefix) => store.list(prefix)))
  return lists.flatMap(({ entries }) => [...entries.keys()])
}
