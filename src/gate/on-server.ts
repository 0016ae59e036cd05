import { isConnectionLost } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { lostBranch } from './failed-statements.ts'
import { isKilled, isUnknown } from './failures.ts'
import type { Runner } from './runner.ts'
import { connectError } from './session-connections.ts'
import { shardName } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/**
 * Something that neither reads nor writes rows (PREPARE), on the connection that the next statement would take.
 *
 * @param again it may be done a second time; else only where it can't have been done, as nothing was sent
 * Errors: what the server says; 1213 the transaction's connection was lost; SW-GATE-020 that which the session keeps was.
 */
export async function onServer<T>(
  core: Core,
  runner: Runner,
  keyspaceName: string,
  signal: AbortSignal,
  act: (backend: Backend, shard: ShardView) => Promise<T>,
  { choose, again = true }: { choose?: (keyspace: KeyspaceView) => ShardView; again?: boolean } = {},
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const stale = core.fresh()
    if (stale !== undefined) await stale
    const keyspace = await core.ready(keyspaceName, signal)
    const shard = choose === undefined ? (keyspace.shards[0] as ShardView) : choose(keyspace)
    let backend: Backend | undefined
    try {
      backend = runner.connections.known(shard, runner.transaction, false) ?? (await runner.connections.take(shard))
    } catch (error) {
      await core.afterRefusal(shard, keyspace.version, attempt, 0, signal, connectError(shard, error as Error))
      continue
    }
    const transaction = runner.transaction
    const branch = transaction?.branches.get(shard.uid)
    const pinned = runner.connections.isPinned(backend)
    const ours = branch?.backend === backend || pinned
    let acts = false
    try {
      if (backend.signature !== runner.settings.unlimited) await runner.connections.bringToSettings(backend)
      acts = true
      const result = await act(backend, shard)
      if (!ours) runner.connections.done(backend, false)
      return result
    } catch (error) {
      const killed = isKilled(error)
      // A server that has ended a session tells it before it closes.
      if (killed) backend.connection.destroy()
      if (!ours) runner.connections.done(backend, false)
      if (!killed && !isConnectionLost(error)) throw error
      if (transaction !== null && branch?.backend === backend) throw await lostBranch(runner, { shard, transaction, branch }, error)
      const undone = !acts || (!killed && !isUnknown(error))
      if (!again && !undone) throw error
      // Taken anew it tells that the session's state is lost.
      if (pinned) continue
      await core.afterRefusal(
        shard,
        keyspace.version,
        attempt,
        0,
        signal,
        gateErrors.unreachable({ shard: shardName(shard), cause: error.message }, error),
      )
      signal.throwIfAborted()
    }
  }
}
