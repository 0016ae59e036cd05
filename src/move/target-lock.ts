/** One at a time on a target, whichever stream of whichever mover: statements that are executed there, and what a stream that begins makes of its tables. */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Waiting } from './applier-options.ts'

export type LockOptions = {
  conn: Connection
  targetUid: string
  clock: Clock
  signal: AbortSignal
  onWaiting: (waiting: Waiting | null) => void
}

export async function withTargetLock<T>(options: LockOptions, work: () => Promise<T>): Promise<T> {
  const { conn, targetUid } = options
  const lock = quoteString(`sw:ddl:${createHash('sha256').update(targetUid).digest('hex').slice(0, 32)}`)
  await take(options, lock)
  try {
    return await work()
  } finally {
    if (conn.open) await conn.value(`SELECT RELEASE_LOCK(${lock})`).catch(() => undefined)
  }
}

/** Neither "not yet" nor "it was killed" is the lock. */
async function take({ conn, clock, signal, onWaiting }: LockOptions, lock: string): Promise<void> {
  const sinceMs = clock.nowMs()
  for (;;) {
    signal.throwIfAborted()
    if ((await conn.value(`SELECT GET_LOCK(${lock}, 1)`)) === '1') break
    onWaiting({ what: 'a statement that another stream executes on the same target', sinceMs, ends: 'it ends' })
    await clock.sleep(20, signal)
  }
}
