/**
 * The right to write to a target (PROTOCOLS 1.7): an epoch in every applier row of the stream there.
 *
 * Why only one writes: each applier transaction updates its lane's row under the condition of its own epoch before anything else and
 * commits only if the row matched. Taking over sets a greater epoch in all rows, which needs their locks: an older transaction
 * either committed before that (and is seen), or has not touched its row yet (and will not match), or holds it: then its session is killed,
 * and the server rolls it back before it gives up the lock.
 */
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import { moveSchema } from './tables.ts'

export type StreamOnTarget = { streamUid: string; targetUid: string; workflowUid: string; direction: string }

/** Takes the right over for `lanes` writers, lane i on session `sessions[i]`; returns the new epoch. The stream's row must exist. */
export async function takeOver(conn: Connection, on: StreamOnTarget, sessions: readonly number[]): Promise<number> {
  const where = `stream_uid = ${quoteString(on.streamUid)} AND target_uid = ${quoteString(on.targetUid)}`
  await killSessions(conn, where, sessions)
  await conn.query('BEGIN')
  try {
    await conn.query(`UPDATE ${moveSchema}.move_stream SET epoch = epoch + 1 WHERE ${where}`)
    const epoch = Number(await conn.value(`SELECT epoch FROM ${moveSchema}.move_stream WHERE ${where}`))
    await conn.query(`UPDATE ${moveSchema}.move_applier SET epoch = ${epoch}, state = 'ended', n = n + 1 WHERE ${where}`)
    const names = [on.streamUid, on.targetUid].map(quoteString).join(', ')
    const rest = [on.workflowUid, on.direction].map(quoteString).join(', ')
    const rows = sessions.map((session, lane) => `(${names}, ${lane}, ${rest}, ${epoch}, 'running', 0, ${session})`)
    await conn.query(
      `INSERT INTO ${moveSchema}.move_applier (stream_uid, target_uid, lane, workflow_uid, direction, epoch, state, n, session) VALUES ${rows.join(', ')}
      ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), state = VALUES(state), session = VALUES(session), n = n + 1`,
    )
    await conn.query('COMMIT')
    return epoch
  } catch (error) {
    if (conn.open) await conn.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}

/** Ends the right of whoever has `epoch`: nothing of it commits afterwards. */
export async function endEpoch(conn: Connection, on: StreamOnTarget, epoch: number): Promise<void> {
  const where = `stream_uid = ${quoteString(on.streamUid)} AND target_uid = ${quoteString(on.targetUid)} AND epoch = ${epoch}`
  await conn.query(`UPDATE ${moveSchema}.move_applier SET state = 'stopped', n = n + 1 WHERE ${where}`)
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
