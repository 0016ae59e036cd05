/**
 * Retention of binlogs that streams have raised on their sources (`move/headroom.ts`), put back when none reads there any more.
 *
 * Whoever ends streams writes down first which servers they read, and tries at once. What is left, since he died or the server did not answer, the leader goes on with:
 * a raise that stays keeps binlogs that somebody's disk was not meant for.
 */
import { putBackRetention } from '../move/headroom.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord } from '../topology/records.ts'
import type { Put } from '../topology/store.ts'
import { listRecords, put, unchanged } from '../topology/typed.ts'
import { withServerFor } from './servers.ts'
import type { World } from './servers.ts'

/**
 * Of a server whose streams have ended, or are about to: it stands until they have, whoever's they are. `unreadSinceMs`: by when it was put back first. A mover that had not
 * noticed the end may have raised once more after that, so it is looked at again then.
 */
type RetentionOwed = { v: 1; unreadSinceMs?: number }

const unnoticedMs = 20_000
/** What is asked of a server here takes milliseconds. */
const serverMsMax = 10_000

/** For a commit before or with the one that ends the streams. */
export function retentionOwed(servers: Iterable<string>): Put[] {
  return [...new Set(servers)].map((id) => put<RetentionOwed>(keys.retentionOwed(id), { v: 1 }))
}

/** On every server from which no stream reads by now. `say` hears of what was done, and of what could not be; that is tried again by the leader. */
export async function putBackUnread(world: Pick<World, 'store' | 'clock'>, say: (line: string) => Promise<void> | void): Promise<void> {
  const { store, clock } = world
  for (const record of await listRecords<RetentionOwed>(store, keys.allRetentionOwed)) {
    const id = record.key.slice(keys.allRetentionOwed.length)
    const { unreadSinceMs } = record.value
    const leave = (value: RetentionOwed | undefined): Promise<unknown> =>
      store.commit([unchanged(record)], [value === undefined ? { key: record.key, value } : put(record.key, value)])
    const streams = await listRecords<StreamRecord>(store, keys.streams)
    // Of a workflow that goes on, or of the one that has written this and is just ending.
    if (streams.some(({ value }) => value.source.serverId === id)) {
      if (unreadSinceMs !== undefined) await leave({ v: 1 })
      continue
    }
    try {
      if ((await store.get(keys.server(id))) === null) {
        await leave(undefined)
        continue
      }
      const limit = { ms: serverMsMax, doing: 'SET GLOBAL binlog_expire_logs_seconds' }
      const seconds = await withServerFor(world, id, limit, putBackRetention)
      if (seconds !== null) await say(`server ${id} keeps binlogs for ${seconds} s again, as before the move`)
      if (unreadSinceMs === undefined) await leave({ v: 1, unreadSinceMs: clock.nowMs() })
      else if (clock.nowMs() - unreadSinceMs >= unnoticedMs) await leave(undefined)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      await say(`whether the retention of binlogs on ${id} was raised is not known: ${reason}; it is tried again`)
    }
  }
}
