/**
 * What a session has asked of servers when nobody waits for it any more: its client is gone, it was killed, its time is over. A server that ends the answer gives the connection back. One that
 * never does (paused, its network gone, out of its mind) would keep it for good, and when it has kept all of them no client of that server is answered. So what has not been heard of for a while is
 * cut off; a write that takes long, which its server says that it is at, is let finish. Why writes and COMMITs may be cut, too: docs/decisions/030.
 */
import type { Holder } from './backend.ts'
import type { Core } from './core.ts'

/**
 * @param over nothing is under way any more
 * @param more something may be asked still; else it is over when nothing is unanswered
 */
export async function cutOffSilent(
  { clock, config, pools }: Pick<Core, 'clock' | 'config' | 'pools'>,
  holder: Holder,
  over: AbortSignal,
  more: () => boolean,
): Promise<void> {
  for (let before = pools.unanswered(holder); ;) {
    await clock.sleep(config.abandonedMs, over).catch(() => {})
    if (over.aborted || pools.closed) return
    const now = pools.unanswered(holder)
    if (now.size === 0 && !more()) return
    const silent = [...now].filter(([connection, bytes]) => before.get(connection) === bytes)
    await Promise.all(
      silent.map(async ([connection, bytes]) => {
        if ((await pools.isAtWork(connection)) || connection.bytesReceived !== bytes) return
        connection.destroy(new Error(`nobody waits for it, and its server has said nothing for ${config.abandonedMs} ms`))
      }),
    )
    before = now
  }
}
