/**
 * What becomes of a statement that a server refused, or whose connection broke: the whole of promise 11 in two pure functions.
 *
 * Sent again (`repeat`) is only what no server can have done: not sent; refused by read-only; interrupted while its shard moves; or a read that
 * changes nothing and of whose answer nothing has been passed on. In a transaction only its very first statement, after a real ROLLBACK: what
 * came before stood in another snapshot.
 */
import { isConnectionLost, ServerError, type ServerErrorKind } from '../mysql/errors.ts'

export type Circumstances = {
  /** Of the answer, something is with the client. */
  readonly passedOn: boolean
  /** A read whose second execution can not be told from one. */
  readonly rereadable: boolean
  readonly effect: 'read' | 'lock' | 'write'
  /** False: a part of it may stand when it is refused, or be committed when its transaction is lost (CALL and other texts of several statements). */
  readonly whole: boolean
  /** `first`: nothing else of the transaction has run, on any shard. */
  readonly transaction: 'none' | 'first' | 'later'
}

/**
 * - `repeat`: nothing was done; wait as the record says and send it again.
 * - `pass`: the server's words are the answer; a transaction stands as the server left it.
 * - `pass-and-end`: the same, and the whole transaction is over: the server rolled its part back.
 * - `moved`: the transaction is rolled back, the client gets 1213: its shards move.
 * - `lost`: the same, as a server ended the connection.
 * - `unknown`: nobody told what became of it.
 * - `partly`: nor how much of it.
 */
export type Verdict = 'repeat' | 'pass' | 'pass-and-end' | 'moved' | 'lost' | 'unknown' | 'partly'

/** On a replica, read-only is no fence of a switch but what it is: a function that writes finds no other server either. */
export function kindAt(kind: ServerErrorKind, { replicas }: { replicas: readonly unknown[] | null }): ServerErrorKind {
  return kind === 'readOnly' && replicas !== null ? 'other' : kind
}

/** @param moving the routing record says that the statement's shard is moving, or has moved */
export function judgeRefusal(kind: ServerErrorKind, moving: boolean, c: Circumstances): Verdict {
  // What a part of it has committed stays, whatever becomes of the rest.
  if (!c.whole && (kind === 'readOnly' || kind === 'killed' || (kind === 'interrupted' && moving))) return c.passedOn ? 'pass' : 'partly'
  const fence = kind === 'readOnly' || (moving && (kind === 'interrupted' || kind === 'killed'))
  if (fence) {
    // A killed connection's statement may have been done, as far as anybody knows; an interrupted one was not.
    const undone = kind !== 'killed' || c.rereadable
    if (undone && !c.passedOn && c.transaction !== 'later') return 'repeat'
    if (c.transaction !== 'none') return c.passedOn ? 'pass-and-end' : 'moved'
  }
  if (kind === 'killed') {
    if (c.transaction !== 'none') return c.passedOn ? 'pass-and-end' : 'lost'
    return c.effect === 'write' && !c.passedOn ? 'unknown' : 'pass'
  }
  // The server has rolled its branch back; the others must not outlive it.
  return kind === 'deadlock' && c.transaction !== 'none' ? 'pass-and-end' : 'pass'
}

/** `half`: a part of the answer is with the client; only ending its connection can tell it that the rest won't come. */
export function judgeLoss(outcome: 'nothingSent' | 'outcomeUnknown', c: Circumstances): 'repeat' | 'half' | 'lost' | 'unknown' {
  if (c.passedOn) return 'half'
  // What ran inside a transaction is gone with it; but a write may still hold its locks for a while: the client begins again.
  const undone = outcome === 'nothingSent' || c.rereadable || (c.transaction !== 'none' && c.effect !== 'write' && c.whole)
  if (undone && c.transaction !== 'later') return 'repeat'
  if (!c.whole && outcome === 'outcomeUnknown') return 'unknown'
  return c.transaction === 'none' ? 'unknown' : 'lost'
}

/** Of a connection that ended as its BEGIN was refused. */
class NotBegun extends Error {}

/**
 * What a BEGIN that was refused makes of its connection's end. Where KILL QUERY meets it, MariaDB refuses it and runs what was sent behind it by itself (*tried*: of 3,000 that were sent together,
 * 69). A server that ends the session runs nothing more of it.
 */
export function notBegun({ errno, sqlState, message }: { errno: number; sqlState: string; message: string }): Error | undefined {
  return new ServerError(errno, sqlState, message).kind === 'killed' ? undefined : new NotBegun(`its BEGIN was refused: ${message}`)
}

/** What ran there was in no transaction, and stands if it was done: no ROLLBACK takes it back. */
export function ranOutside(error: unknown): boolean {
  return isUnknown(error) && (error as Error).cause instanceof NotBegun
}

/** It was sent, and nobody has told what became of it. */
export function isUnknown(error: unknown): boolean {
  return isConnectionLost(error) && error.outcome === 'outcomeUnknown'
}

export function isKilled(error: unknown): error is ServerError {
  return error instanceof ServerError && error.kind === 'killed'
}
