/** Where a stream begins on its source (PROTOCOLS 1.2), and whether the source is still the one it was reading (1.10). */
import { unreachable } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { controlSchema, type ServerState } from '../binlog/control-schema.ts'
import { currentPosition, notExecuted } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf, type BinlogSettings } from '../mysql/flavour/flavour.ts'
import { innodbTransactions } from '../mysql/innodb-transactions.ts'
import { quoteString } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'
import { shownOn, type Shown } from './seen.ts'
import type { Waiting } from './applier-options.ts'

/** What of a server's state outlives its restarts: who it is. */
export function identityText(state: ServerState): string {
  return `${state.uuid}/${state.serverId}/${state.controlUid}`
}

/**
 * A position from which the tail brings every change of every transaction that a later read might not show: it is taken, and then every
 * transaction open at that moment, and every XA id prepared, is waited for.
 *
 * An XA transaction prepared before the position may end behind it: the tail meets its outcome without its rows. Until the stream's first marker, which is
 * written when this has returned, that is right: the tail waits until XA RECOVER has forgotten it (committed for readers then), and the copy's
 * reads begin behind that marker. One that was open at the position and is prepared by the time it is looked for again is found by the second look at
 * XA RECOVER.
 */
export async function startPosition(
  conn: Connection,
  options: {
    clock: Clock
    signal: AbortSignal
    onPosition: (position: Position) => void
    onWaiting: (waiting: Waiting | null) => void
  },
): Promise<Position> {
  const { clock, signal, onPosition, onWaiting } = options
  const flavour = flavourOf(conn)
  const position = await currentPosition(conn)
  onPosition(position)
  const sinceMs = clock.nowMs()
  // Not the copy that somebody's question just before the position has left (see trxPollMs).
  await clock.sleep(trxPollMs(0), signal)
  const openThen = new Set(await openTransactions(conn))
  const preparedThen = new Set((await flavour.xaRecover(conn)).map(xidText))
  let looksAgain = true
  for (let attempt = 0; ; attempt++) {
    const open = (await openTransactions(conn)).filter((id) => openThen.has(id))
    const prepared = (await flavour.xaRecover(conn)).map(xidText).filter((xid) => preparedThen.has(xid))
    if (open.length === 0 && looksAgain) {
      looksAgain = false
      for (const xid of await flavour.xaRecover(conn)) preparedThen.add(xidText(xid))
      continue
    }
    if (open.length === 0 && prepared.length === 0) break
    const what = [
      open.length === 0
        ? ''
        : `transactions open on the source since before the copy (sessions ${open.map((id) => id.split('/')[0]).join(', ')})`,
      prepared.length === 0 ? '' : `XA transactions prepared before the copy (${prepared.join(', ')})`,
    ]
      .filter((text) => text !== '')
      .join(' and ')
    onWaiting({ what, sinceMs, ends: 'they commit or roll back; KILL the sessions, or XA ROLLBACK, to go on now' })
    await clock.sleep(trxPollMs(attempt), signal)
  }
  onWaiting(null)
  return position
}

/**
 * INNODB_TRX is a copy that the server renews only when nobody has read it for 100 ms: asked every 50 ms it shows the same transactions for
 * ever (*tried*, MariaDB 10.11). Uneven pauses, so that two who ask do not keep it old for each other.
 */
function trxPollMs(attempt: number): number {
  return 130 + ((attempt * 89) % 170)
}

/** Transactions that have changed rows: session/transaction ids. One that has only read logs all it does later, behind the position. */
async function openTransactions(conn: Connection): Promise<string[]> {
  return (await innodbTransactions(conn))
    .filter(({ session, rowsModified }) => rowsModified > 0 && session > 0)
    .map(({ session, id }) => `${session}/${id}`)
}

/** Resolves when a prepared XA transaction has ended, for readers too. */
export async function xaEnded(conn: Connection, xid: string, clock: Clock, signal: AbortSignal): Promise<void> {
  while ((await flavourOf(conn).xaRecover(conn)).some((prepared) => xidText(prepared) === xid)) await clock.sleep(20, signal)
}

/** Those that the server knows: prepared, or with a commit that is not done yet. As the binlog has them. */
export async function knownXids(conn: Connection): Promise<ReadonlySet<string>> {
  return new Set((await flavourOf(conn).xaRecover(conn)).map(xidText))
}

function xidText(xid: { formatId: string; gtrid: Buffer; bqual: Buffer }): string {
  return `X'${xid.gtrid.toString('hex')}',X'${xid.bqual.toString('hex')}',${xid.formatId}`
}

/** @throws hidesReplicated */
export function refuseHidden({ hidesReplicated: setting }: BinlogSettings, source: string): void {
  if (setting !== null) throw moveErrors.hidesReplicated({ source, setting })
}

/**
 * What of it a server lacks that is to be the stream's source, or null. Transactions: all that shows on the target must have been executed there (`seen.ts`). Markers: the last that was read, and one up to which
 * the target may have rows, must stand there; a server that lost the end of its binlog gives the GTIDs of what it lost to others.
 */
export async function lackedBy(conn: Connection, markers: string, { stored, seen }: Shown): Promise<Lacked | null> {
  const transactions = await notExecuted(conn, shownOn({ position: stored.position, seen }) as Position)
  if (transactions !== null) return { kind: 'transactions', which: transactions }
  const read = Math.max(stored.at.marker, stored.intent.marker)
  if (read === 0) return null
  const marker = Number(
    (await conn.value(`SELECT n FROM ${controlSchema}.marker WHERE stream = ${quoteString(markers)} AND kind = 'mark'`)) ?? -1,
  )
  return marker < read ? { kind: 'marker', has: marker < 0 ? null : marker, read } : null
}

export type Lacked =
  | { readonly kind: 'transactions'; readonly which: string }
  | { readonly kind: 'marker'; readonly has: number | null; readonly read: number }

/** @throws sourceLacks, lostBinlog when the source is another server, or lost what we have read of it */
export async function checkSource(
  conn: Connection,
  { sourceName: source, streamUid: stream, markers, target }: { sourceName: string; streamUid: string; markers: string; target: string },
  shown: Shown,
): Promise<void> {
  const lacked = await lackedBy(conn, markers, shown)
  switch (lacked?.kind) {
    case undefined:
      return
    case 'transactions':
      throw moveErrors.sourceLacks({ source, stream, target, transactions: lacked.which })
    case 'marker': {
      const reason = `its last marker is ${lacked.has ?? 'gone'}, and marker ${lacked.read} had been read`
      throw moveErrors.lostBinlog({ source, stream, reason })
    }
    default:
      unreachable(lacked)
  }
}
