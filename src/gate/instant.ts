/** The instant of a statement on several shards: their connections are brought to it as to any setting (`atInstant`). */
import type { ServerClocks } from './server-clocks.ts'
import type { SessionSettings } from './settings.ts'
import type { ShardView } from './view.ts'

/** NOW() on every shard: now by the servers' clocks, unless the session has set it. */
export function instantOf(settings: SessionSettings, clocks: ServerClocks, shards: readonly ShardView[]): string | null {
  if (settings.get('timestamp') !== undefined) return null
  const servers = shards.flatMap((shard) => [shard.server.id, ...(shard.replicas ?? []).map(({ server }) => server.id)])
  return (clocks.nowMs(servers) / 1000).toFixed(6)
}
