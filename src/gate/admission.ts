/** What the hold rules ask of transactions. */
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { Request } from './request.ts'
import { shardName, type Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

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

/** What may run on replicas, and in one transaction with what: SW-GATE-025, 026. */
export function requireRole(keyspace: KeyspaceView, transaction: Transaction | null, effect: Request['effect']): void {
  if (keyspace.role === 'replica' && effect !== 'read')
    throw gateErrors.replicaWrite({ construct: effect === 'lock' ? 'a locking read' : 'a write', keyspace: keyspace.name })
  for (const { shard } of transaction?.branches.values() ?? []) {
    const there = shard.replicas === null ? 'primary' : 'replica'
    if (there !== keyspace.role)
      throw gateErrors.mixedRoles({ first: `${shardName(shard)} (${there})`, second: `${keyspace.name} (${keyspace.role})` })
  }
}

/** A hold began since a statement was admitted, and it must not begin any more. */
export function heldMeanwhile(core: Core, shard: ShardView, transaction: Transaction | null, effect: Request['effect']): boolean {
  if (!core.holds.isHeld(shard.keyspace, [shard.component.key])) return false
  return transaction === null ? effect !== 'read' : !isCounted(core, transaction, shard.keyspace)
}
