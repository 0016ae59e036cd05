/** The instant of a statement on several shards: each is told the same, and has its own clock again behind it. */
import type { Connection } from '../mysql/connection.ts'
import type { SessionSettings } from './settings.ts'

/** NOW() on every shard: now, unless the session has set it. */
export function instantOf(settings: SessionSettings, nowMs: number): string | null {
  return settings.get('timestamp') === undefined ? (nowMs / 1000).toFixed(3) : null
}

export const ownInstant = 'SET timestamp=DEFAULT'

/** Sent in front of what follows; a server that refuses it is not what we think it is. */
export function sendBefore(connection: Connection, sql: string): void {
  connection.query(sql).catch((error: unknown) => connection.destroy(error as Error))
}
