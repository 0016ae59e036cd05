/** Reads of replicas know no branches: a session at `KEYSPACE@replica` reads replicas of the old shards, whatever the read rule says. */
import type { CheckInput } from './dualwrite-checks.ts'
import type { Finding } from './dualwrite-world.ts'

/** Old shards whose replicas may be read. */
export async function checkReplicas({
  request,
  shards,
}: {
  readonly request: { readonly keyspace: { readonly name: string } }
  readonly shards: CheckInput['shards']
}): Promise<Finding[]> {
  const having = shards.filter((shard) => (shard.replicas ?? []).length > 0)
  if (having.length === 0) return []
  const { name } = request.keyspace
  const list = having.map((shard) => `${shard.name} (${(shard.replicas ?? []).join(', ')})`).join(', ')
  return [
    {
      check: 'replicas',
      what: `reads at ${name}@replica are answered by replicas of the old shards ${list}, wherever the ramp stands`,
      why: 'no step moves them, no comparison sees them, and once the old fleet is stopped they read rows that nobody writes any more',
      fix: `let those clients use ${name}, and take the replicas away: shardwright shard remove-replica ${name}/${having[0]?.name} --server …`,
      blocks: true,
    },
  ]
}
