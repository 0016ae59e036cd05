/** One at a time on a target, whichever stream of whichever mover: statements that are executed there, and what a stream that begins makes of its tables. */
import { createHash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Waiting } from './applier-options.ts'
import { moveSchema } from './tables.ts'

export type LockOptions = {
  conn: Connection
  targetUid: string
  clock: Clock
  signal: AbortSignal
  onWaiting: (waiting: Waiting | null) => void
  idleSecondsMax?: number
}

/**
 * A stream that begins has the lock in a session that stands nowhere yet, so nobody who takes over would end it: left behind by a machine that was paused or has gone, it would keep everybody
 * waiting for as long as its server keeps a connection. It does its work in that session, so idle it has none.
 */
const idleSecondsMaxDefault = 30

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
async function take({ conn, clock, signal, onWaiting, idleSecondsMax = idleSecondsMaxDefault }: LockOptions, lock: string): Promise<void> {
  const sinceMs = clock.nowMs()
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted()
    if ((await conn.value(`SELECT GET_LOCK(${lock}, 1)`)) === '1') {
      if (attempt > 0) onWaiting(null)
      return
    }
    const holder = await heldBy(conn, lock)
    if (holder !== null && holder.idleSeconds > idleSecondsMax && !holder.isEntered)
      await conn.query(`KILL ${holder.id}`).catch(() => undefined)
    const given = holder === null ? '' : ` (KILL ${holder.id} gives it up)`
    const what = 'a statement that another stream executes on the same target, or tables that it makes there'
    onWaiting({ what, sinceMs, ends: `it ends${given}` })
    await clock.sleep(20, signal)
  }
}

/** The session of our account that has it. `isEntered`: the sessions of a stream that runs are idle while it executes in another; who takes it over ends them. */
async function heldBy(conn: Connection, lock: string): Promise<{ id: number; idleSeconds: number; isEntered: boolean } | null> {
  const id = Number((await conn.value(`SELECT IS_USED_LOCK(${lock})`)) ?? 0)
  if (id === 0) return null
  const sessions = await conn.allText('SHOW PROCESSLIST')
  const [own, holder] = [conn.threadId, id].map((session) => sessions.find(({ Id }) => Number(Id) === session))
  if (holder === undefined || holder.User !== own?.User) return null
  const entered = await conn.value(`SELECT 1 FROM ${moveSchema}.move_applier WHERE session = ${id} AND state = 'running' LIMIT 1`)
  return { id, idleSeconds: holder.Command === 'Sleep' ? Number(holder.Time) : 0, isEntered: entered !== undefined }
}
