/**
 * Retention of binlogs that streams have raised on their sources (`move/headroom.ts`), put back when none reads there any more.
 *
 * Whoever ends streams writes down first which servers they read, and tries at once. What is left, since he died or the server did not answer, the leader goes on with:
 * a raise that stays keeps binlogs that somebody's disk was not meant for.
 */
import { putBackRetention } from '../move/headroom.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord } from '../topology/records.ts'
import type { Put, Store } from '../topology/store.ts'
import { listRecords, put, unchanged } from '../topology/typed.ts'
import { withServer } from './servers.ts'

/** Of a server whose streams have ended, or are about to. */
type RetentionOwed = { v: 1 }

/** For a commit before or with the one that ends the streams. */
export function retentionOwed(servers: Iterable<string>): Put[] {
  return [...new Set(servers)].map((id) => put<RetentionOwed>(keys.retentionOwed(id), { v: 1 }))
}

/** On every server from which no stream reads by now. `say` hears of what was done, and of what could not be; that is tried again by the leader. */
export async function putBackUnread(store: Store, say: (line: string) => Promise<void> | void): Promise<void> {
  for (const record of await listRecords<RetentionOwed>(store, keys.allRetentionOwed)) {
    const id = record.key.slice(keys.allRetentionOwed.length)
    // Of a workflow that goes on: it owes the same when it ends.
    const streams = await listRecords<StreamRecord>(store, keys.streams)
    const read = streams.some(({ value }) => value.source.serverId === id)
    try {
      if (!read && (await store.get(keys.server(id))) !== null) {
        const seconds = await withServer(store, id, 'admin', putBackRetention)
        if (seconds !== null) await say(`server ${id} keeps binlogs for ${seconds} s again, as before the move`)
      }
      await store.commit([unchanged(record)], [{ key: record.key, value: undefined }])
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      await say(`whether the retention of binlogs on ${id} was raised is not known: ${reason}; it is tried again`)
    }
  }
}
