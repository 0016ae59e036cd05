/**
 * What a target shows of its source beyond the position stored there (PROTOCOLS 1.10; docs/decisions/031).
 *
 * A position is stored with the rows that lead to it, or behind them. Between the two a target rests on transactions that no stored position names:
 * - a round in several transactions, or one in parts, stands there in part from its intent on; so do rows held back that are kept, which come of such rounds;
 * - a landing leaves out a row whose key the tail has brought, though what it brought is not applied yet;
 * - rows of a prepared XA transaction are kept, a statement is executed, an announcement is noted, at the group that has them.
 *
 * A source that lost one of those transactions (a replica that had not received it was made the primary) never brings it again: the row that was left out would be missing for good, the part of a round would stay.
 * So before any of them commits, or with it, the position of all that was read by then is stored here, and a stream goes on only on a server that has executed it.
 *
 * A landing's own rows need none: they are of transactions before its high marker, which the target has applied past; whatever of these changed a row of this target did so in a round, with the position that is stored.
 *
 * Each writer has a row of its own, so that lanes do not wait for each other. Within a run what a writer stores only grows, but a run begins at the position stored, behind what an earlier one had read: so that is put
 * together into a row that this run's writers do not touch.
 */
import { positionContains, positionOfBoth } from '../binlog/within.ts'
import type { Connection } from '../mysql/connection.ts'
import { errno, isServerError } from '../mysql/errors.ts'
import { quoteString } from '../sql/quote.ts'
import { firstOwnLane, moveSchema, readTarget, streamWhere, type StoredTarget } from './tables.ts'

/** Who writes what it has read, beside the lanes by their numbers. */
export const seenBy = {
  /** XA transactions, statements, announcements: one after another, as the tail comes to them. */
  tail: firstOwnLane,
  earlierRuns: firstOwnLane + 1,
  /** Rows left out as the source had given them up: asked of the source itself, which was ahead of the tail. */
  leftOut: firstOwnLane + 2,
} as const

export type Shown = { readonly stored: StoredTarget; readonly seen: readonly string[] }

type OnTarget = { readonly streamUid: string; readonly targetUid: string; readonly workflowUid: string }

/** For an applier transaction: by the time it commits all of the position may show on the target. */
export function seenSql({ streamUid, targetUid, workflowUid }: OnTarget, writer: number, position: string): string {
  return `REPLACE INTO ${moveSchema}.move_seen (stream_uid, target_uid, writer, workflow_uid, seen) VALUES (${quoteString(streamUid)}, ${quoteString(targetUid)}, ${writer}, ${quoteString(workflowUid)}, ${quoteString(position)})`
}

/** None: nothing was stored yet, or by a version without it. */
export async function readSeen(conn: Connection, streamUid: string, targetUid: string): Promise<string[]> {
  try {
    const rows = await conn.allText(`SELECT DISTINCT seen FROM ${moveSchema}.move_seen WHERE ${streamWhere({ streamUid, targetUid })}`)
    return rows.map(({ seen }) => seen ?? '')
  } catch (error) {
    if (isServerError(error, errno.noSuchTable)) return []
    throw error
  }
}

/** What stands of a stream on a target; null: it has not begun there. */
export async function readShown(conn: Connection, streamUid: string, targetUid: string): Promise<Shown | null> {
  const stored = await readTarget(conn, streamUid, targetUid)
  return stored === null ? null : { stored, seen: await readSeen(conn, streamUid, targetUid) }
}

/** All that shows on a target: its position, and what was read beyond it. */
export function shownOn({ position, seen }: { readonly position: string; readonly seen: readonly string[] }): string {
  return seen.filter((one) => !positionContains(position, one)).reduce((all, one) => positionOfBoth(all, one), position)
}

/** For the first transaction of a run, which has the right to write to all its targets by then. */
export function beginSeenSql(on: OnTarget, shown: string): string[] {
  // By the key's beginning alone: a server locks no row of another target then.
  return [`DELETE FROM ${moveSchema}.move_seen WHERE ${streamWhere(on)}`, seenSql(on, seenBy.earlierRuns, shown)]
}
