import { createHash } from 'node:crypto'

/** With the uid of a workflow (36) before it: a transaction's id over the shard has 64 bytes on a server, of which it leaves 47 (gate/xa.ts). */
const nameMax = 10

/** Of a target; follows from the workflow, so that a repeated step finds what it made. A name that is too long gives way to its digest, which is none: names have a dash. */
export function shardUid(workflowUid: string, shard: string): string {
  const name = shard.length <= nameMax ? shard : createHash('sha256').update(shard).digest('hex').slice(0, nameMax)
  return `${workflowUid}.${name}`
}
