/**
 * How reads of replicas are asked for: `app@replica`, as Vitess's clients write it (`@rdonly` means the same: a replica serves both). No
 * keyspace or branch can be named so (`reservedBranches`).
 */
import { parseBranch } from './dualwrite-records.ts'

const replicaNames: readonly string[] = ['replica', 'rdonly']

export function replicaKeyspace(keyspace: string): string {
  return `${keyspace}@replica`
}

/** The keyspace whose replicas a name asks for, or null. */
export function replicasOfName(name: string): string | null {
  const { keyspace, branch } = parseBranch(name)
  return replicaNames.includes(branch) ? keyspace : null
}

/** What a table's qualifier means beside the session's keyspace: on replicas, those of the keyspace that it names. */
export function inRoleOf(qualifier: string, session: string | null): string {
  return session !== null && replicasOfName(session) !== null && !qualifier.includes('@') ? replicaKeyspace(qualifier) : qualifier
}
