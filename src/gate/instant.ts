/** The instant of a statement on several shards: their connections are brought to it as to any setting (`atInstant`). */
import type { SessionSettings } from './settings.ts'

/** NOW() on every shard: now, unless the session has set it. */
export function instantOf(settings: SessionSettings, nowMs: number): string | null {
  return settings.get('timestamp') === undefined ? (nowMs / 1000).toFixed(3) : null
}
