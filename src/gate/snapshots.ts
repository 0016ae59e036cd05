/**
 * START TRANSACTION WITH CONSISTENT SNAPSHOT: what it is to see is what stands now, so the session's keyspace is opened at once, every shard of it. (Of several shards each has a snapshot of its own.)
 * Not where that can not be: under transaction_mode `single` over several shards, where one shard is to be touched and not known which, and between two branches.
 */
import type { Connection } from '../mysql/connection.ts'
import type { Core } from './core.ts'
import type { Runner } from './runner.ts'
import { connectError } from './session-connections.ts'
import type { SessionSettings } from './settings.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'
import { rollbackBranch } from './xa-commit.ts'

export async function openSnapshots(core: Core, runner: Runner, name: string, signal: AbortSignal): Promise<void> {
  const transaction = runner.transaction as Transaction
  for (let attempt = 0; ; attempt++) {
    const stale = core.fresh()
    if (stale !== undefined) await stale
    const keyspace = await core.ready(name, signal)
    if (keyspace.reads !== null || (keyspace.record.transactionMode === 'single' && keyspace.shards.length > 1)) return
    const keys = keyspace.components.map((component) => component.key)
    if (core.holds.active && core.holds.mustWait(name, keys)) {
      await core.holds.wait(name, keys, 0, signal)
      continue
    }
    const failed = await opened(runner, transaction, keyspace)
    if (failed === null) return
    for (const branch of transaction.branches.values()) {
      await rollbackBranch(branch)
      transaction.dropBranch(branch)
    }
    await core.afterRefusal(failed.shard, keyspace.version, attempt, 0, signal, connectError(failed.shard, failed.error))
    if (signal.aborted) throw signal.reason as Error
  }
}

/**
 * Whether the transaction that has begun keeps a snapshot: at other levels servers take none. Under SERIALIZABLE the read that would take one locks what it reads, and others could write
 * nothing there until it ends.
 * @param before what SET TRANSACTION said of it
 */
export async function isRepeatable(connection: Connection, before: readonly string[], settings: SessionSettings): Promise<boolean> {
  const said = [...before].reverse().find((sql) => /ISOLATION\s+LEVEL/i.test(sql)) ?? settings.get('isolation')
  if (said !== undefined) return /REPEATABLE\s+READ/i.test(said)
  const [row] = await connection.allText("SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')")
  return row?.['Value'] === 'REPEATABLE-READ'
}

async function opened(
  runner: Runner,
  transaction: Transaction,
  { shards }: KeyspaceView,
): Promise<{ shard: ShardView; error: Error } | null> {
  const settled = await Promise.allSettled(
    shards.map(async (shard) => {
      // What comes later finds it begun.
      ;(await runner.openBranch(transaction, shard)).statements++
    }),
  )
  const at = settled.findIndex((one) => one.status === 'rejected')
  const shard = shards[at]
  return shard === undefined ? null : { shard, error: (settled[at] as PromiseRejectedResult).reason as Error }
}
