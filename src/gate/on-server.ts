import { isConnectionLost } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { Runner } from './runner.ts'
import { connectError } from './session-connections.ts'
import { shardName } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

/**
 * Something that neither reads nor writes rows (PREPARE), on the connection that the next statement would take.
 *
 * @param again it may be done a second time; else only where it can't have been done, as nothing was sent
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
    const ours = runner.transaction?.branches.get(shard.uid)?.backend === backend || runner.connections.isPinned(backend)
    try {
      if (backend.signature !== runner.settings.unlimited) await runner.connections.bringToSettings(backend)
      const result = await act(backend, shard)
      if (!ours) runner.connections.done(backend, false)
      return result
    } catch (error) {
      if (!ours) runner.connections.done(backend, false)
      if (!isConnectionLost(error) || ours || (!again && error.outcome !== 'nothingSent')) throw error
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
