/**
 * The right to write to a target (PROTOCOLS 1.7): an epoch in every applier row of the stream there.
 *
 * Why only one writes: each applier transaction updates its lane's row under the condition of its own epoch before anything else and
 * commits only if the row matched. Taking over sets a greater epoch in all rows, which needs their locks: an older transaction
 * either committed before that (and is seen), or has not touched its row yet (and will not match), or holds it: then its session is killed,
 * and the server rolls it back before it gives up the lock.
 *
 * DDL is in no transaction, and no lock of ours waits for it: an ALTER whose mover was killed goes on at the server, and a paused mover has the session in which it would
 * begin one. So the sessions that do it (building keys, executing statements of the source) have rows too, entered under the epoch before the first statement. Who
 * takes over first raises the epoch, then sees these sessions end: one that is idle is killed; one at work is waited for, since hours of work are in it and the
 * next run looks at what it has made. Only then is anything looked at, and their rows are ours.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { Waiting } from './applier-options.ts'
import { noFailpoints, type Failpoints } from './crash-points.ts'
import { moveErrors } from './errors.ts'
import { firstOwnLane, moveSchema, streamWhere } from './tables.ts'

export type StreamOnTarget = { streamUid: string; targetUid: string; workflowUid: string; direction: string }

/** Lane numbers of the sessions outside of applier transactions. */
export const ownLanes = { meta: firstOwnLane, ddl: firstOwnLane + 1 } as const

/**
 * Takes the right over for `lanes` writers, lane i on session `sessions[i]`; returns the new epoch. The stream's row must exist. Sessions of DDL are not ended by it:
 * `endOwnSessions`.
 */
export async function takeOver(conn: Connection, on: StreamOnTarget, sessions: readonly number[]): Promise<number> {
  const where = streamWhere(on)
  await killSessions(conn, `${where} AND lane < ${firstOwnLane}`, sessions)
  const names = [on.streamUid, on.targetUid].map(quoteString).join(', ')
  const rest = [on.workflowUid, on.direction].map(quoteString).join(', ')
  const insert = `INTO ${moveSchema}.move_applier (stream_uid, target_uid, lane, workflow_uid, direction, epoch, state, n, session) VALUES`
  await conn.query('BEGIN')
  try {
    await conn.query(`UPDATE ${moveSchema}.move_stream SET epoch = epoch + 1 WHERE ${where}`)
    const epoch = Number(await conn.value(`SELECT epoch FROM ${moveSchema}.move_stream WHERE ${where}`))
    const own = Object.values(ownLanes).map((lane) => `(${names}, ${lane}, ${rest}, ${epoch}, 'ended', 0, 0)`)
    await conn.query(`INSERT IGNORE ${insert} ${own.join(', ')}`)
    await conn.query(`UPDATE ${moveSchema}.move_applier SET epoch = ${epoch}, state = 'ended', n = n + 1 WHERE ${where}`)
    const rows = sessions.map((session, lane) => `(${names}, ${lane}, ${rest}, ${epoch}, 'running', 0, ${session})`)
    await conn.query(
      `INSERT ${insert} ${rows.join(', ')}
      ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), state = VALUES(state), session = VALUES(session), n = n + 1`,
    )
    await conn.query('COMMIT')
    return epoch
  } catch (error) {
    if (conn.open) await conn.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

export type EndSessions = {
  /** What is done with one that is at work. */
  atWork: 'wait' | 'kill'
  /** Of this run, which are none of those. */
  own?: readonly number[]
  clock: Clock
  signal: AbortSignal
  failpoints?: Failpoints
  onWaiting?: (waiting: Waiting | null) => void
}

/**
 * Resolves when no session outside of applier transactions of whoever wrote before lives any more; `conn` is the first of ours then.
 * @throws superseded when somebody has taken over meanwhile
 */
export async function endOwnSessions(conn: Connection, on: StreamOnTarget, epoch: number, options: EndSessions): Promise<void> {
  const { atWork, failpoints = noFailpoints } = options
  await failpoints.hit('takeOver.afterEpoch')
  await sessionsEnd(conn, on, options)
  if (atWork === 'kill') return
  const where = `${streamWhere(on)} AND lane >= ${firstOwnLane}`
  await conn.query(
    `UPDATE ${moveSchema}.move_applier SET state = 'running', n = n + 1, session = IF(lane = ${ownLanes.meta}, ${conn.threadId}, 0) WHERE ${where} AND epoch = ${epoch}`,
  )
  const ours = `${streamWhere(on)} AND lane = ${ownLanes.meta} AND epoch = ${epoch} AND state = 'running' AND session = ${conn.threadId}`
  if ((await conn.value(`SELECT 1 FROM ${moveSchema}.move_applier WHERE ${ours}`)) === undefined)
    throw moveErrors.superseded({ stream: on.streamUid, target: on.targetUid })
}

/** Resolves when no session outside of applier transactions that was entered for the stream lives any more, but for `conn`. Whose right has ended enters none behind it. */
export async function sessionsEnd(
  conn: Connection,
  on: StreamOnTarget,
  { atWork, clock, signal, onWaiting, own = [] }: Omit<EndSessions, 'failpoints'>,
): Promise<void> {
  const where = `${streamWhere(on)} AND lane >= ${firstOwnLane}`
  const rows = await conn.allText(
    `SELECT DISTINCT session AS id, SUBSTRING_INDEX(USER(), '@', 1) AS user FROM ${moveSchema}.move_applier WHERE ${where} AND session <> 0`,
  )
  // An id may have been given anew after a restart of the server: to ourselves.
  const ids = new Set(rows.map(({ id }) => Number(id)).filter((id) => id !== conn.threadId && !own.includes(id)))
  const sinceMs = clock.nowMs()
  for (let pause = 5; ids.size > 0; pause = Math.min(1_000, pause * 2)) {
    const living = new Map((await conn.allText('SHOW PROCESSLIST')).map((row) => [Number(row.Id), row]))
    for (const id of ids) {
      const session = living.get(id)
      if (session === undefined || session.User !== rows[0]?.user) {
        ids.delete(id)
        continue
      }
      const statement = (session.Info ?? '').slice(0, 100)
      const kills = atWork === 'kill' || !changes(session)
      if (kills) await conn.query(`KILL ${id}`).catch(() => undefined)
      if (changes(session))
        onWaiting?.({
          what: kills
            ? `a statement that the server undoes: ${statement}`
            : `a statement of an earlier run that the server still executes: ${statement}`,
          sinceMs,
          ends: kills ? 'the server has undone it' : `it ends by itself; what it has made is kept (KILL ${id} gives it up)`,
        })
    }
    if (ids.size > 0) await clock.sleep(pause, signal)
  }
  onWaiting?.(null)
}

/** At work on something that would be lost; a question, or the wait for a lock, is not. */
function changes({ Command, Info }: Readonly<Record<string, string | null>>): boolean {
  return Command === 'Killed' || (Command === 'Query' && !/^\s*(SELECT|SHOW)\b/i.test(Info ?? ''))
}

/** For an applier transaction: the session that is to execute DDL from here on. Whoever takes over sees it end. */
export function enterDdlSession(on: StreamOnTarget, epoch: number, session: number): string {
  return `UPDATE ${moveSchema}.move_applier SET session = ${session}, n = n + 1 WHERE ${streamWhere(on)} AND lane = ${ownLanes.ddl} AND epoch = ${epoch}`
}

/** Ends the right of whoever has `epoch`: nothing of it commits afterwards. */
export async function endEpoch(conn: Connection, on: StreamOnTarget, epoch: number): Promise<void> {
  await conn.query(`UPDATE ${moveSchema}.move_applier SET state = 'stopped', n = n + 1 WHERE ${streamWhere(on)} AND epoch = ${epoch}`)
  await conn.query('COMMIT')
}

/**
 * Sessions of the same account that wrote as this stream before: a paused mover's open transaction holds locks until they end.
 * SHOW PROCESSLIST, not information_schema: MySQL fails that with 3854 while any session runs a statement with a character beyond
 * utf8mb3 (*tried*, 9.7.4).
 */
async function killSessions(conn: Connection, where: string, own: readonly number[]): Promise<void> {
  const rows = await conn.allText(
    `SELECT DISTINCT session AS id, SUBSTRING_INDEX(USER(), '@', 1) AS user FROM ${moveSchema}.move_applier WHERE ${where}`,
  )
  if (rows.length === 0) return
  const users = new Map((await conn.allText('SHOW PROCESSLIST')).map((row) => [Number(row.Id), row.User]))
  for (const row of rows) {
    const id = Number(row.id)
    // A session id may have been given anew: to ourselves, or to another of our sessions, which then connects again.
    if (users.get(id) !== row.user || own.includes(id) || id === conn.threadId) continue
    await conn.query(`KILL ${id}`).catch(() => undefined)
  }
}
