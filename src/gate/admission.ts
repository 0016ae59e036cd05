/** What the hold rules ask of transactions. */
import type { Core } from './core.ts'
import type { Request } from './request.ts'
import type { Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

/**
 * Whether a transaction is open on what is on hold already, hence counted in what the gate acknowledges: it may go on, on other
 * shards of the keyspace too. Were it to wait, it would wait for a hold that waits for it.
 */
export function isCounted(core: Core, transaction: Transaction, keyspace: string): boolean {
  for (const branch of transaction.branches.values()) {
    if (branch.shard.keyspace === keyspace && core.holds.isHeld(keyspace, [branch.shard.component.key])) return true
  }
  return false
}

/** A hold began since a statement was admitted, and it must not begin any more. */
export function heldMeanwhile(core: Core, shard: ShardView, transaction: Transaction | null, effect: Request['effect']): boolean {
  if (!core.holds.isHeld(shard.keyspace, [shard.component.key])) return false
  return transaction === null ? effect !== 'read' : !isCounted(core, transaction, shard.keyspace)
}
