/** What the runner does about a statement that a server refused, or whose connection broke: failures.ts decides. */
import { unreachable } from '../base/assert.ts'
import type { RelayEnd } from '../mysql/connection.ts'
import { errno, isConnectionLost, ServerError } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import { isGivenUp } from './deadlocks.ts'
import { hasEnded } from './ended-by-server.ts'
import { gateErrors } from './errors.ts'
import { isKilled, judgeLoss, judgeRefusal, kindAt, ranOutside, type Circumstances } from './failures.ts'
import type { Relayer } from './relay.ts'
import { HalfAnswered, type Request } from './request.ts'
import type { Runner } from './runner.ts'
import { saidOf } from './scatter-warnings.ts'
import { noteStatement, shardName, type Branch, type Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'
import { rollbackBranch } from './xa-commit.ts'

export type Attempt = {
  readonly shard: ShardView
  readonly backend: Backend
  readonly transaction: Transaction | null
  readonly branch: Branch | null
  readonly request: Request
  /** Its frames were written; before that, only what comes before it on a connection (settings, BEGIN, a PREPARE) was. */
  readonly sent: boolean
}

/** An ERR answer. Null: it was passed on. An error: nothing was done and it may be sent again. */
export async function serverSaidNo(
  runner: Runner,
  relayer: Relayer,
  end: Extract<RelayEnd, { kind: 'error' }>,
  attempt: Attempt,
): Promise<Error | null> {
  const { shard, backend, transaction, branch, request } = attempt
  // What others must not find there may stand, whatever becomes of the rest.
  if (request.pins.length > 0) backend.dirty = true
  const error = new ServerError(end.errno, end.sqlState, end.message)
  const moving = (error.kind === 'interrupted' || error.kind === 'killed') && request.partly !== true && (await runner.core.isMoving(shard))
  const judged =
    error.kind === 'interrupted' && isGivenUp(relayer.stopped)
      ? 'pass-and-end'
      : judgeRefusal(kindAt(error.kind, shard), moving, circumstances(relayer, attempt))
  const asks = judged === 'pass' && request.whole !== false && transaction !== null && branch !== null
  const over = asks && (await hasEnded(branch, transaction, end.errno))
  // A client knows of 1205 that it may be the end of all.
  const verdict = !over ? judged : relayer.passedOn || end.errno === errno.lockWaitTimeout ? 'pass-and-end' : 'lost'
  switch (verdict) {
    case 'repeat':
      await abandon(runner, attempt)
      return error.kind === 'readOnly' ? gateErrors.readOnly({ shard: shardName(shard), keyspace: shard.keyspace }, error) : error
    case 'moved':
    case 'lost':
      runner.transaction = null
      await transaction?.rollback()
      throw verdict === 'moved'
        ? gateErrors.movedTransaction({ keyspace: shard.keyspace }, error)
        : gateErrors.lostTransaction({ shard: shardName(shard), cause: end.message }, error)
    case 'unknown':
    case 'partly':
      runner.transaction = null
      backend.connection.destroy()
      await transaction?.rollback()
      throw gateErrors[verdict === 'unknown' ? 'unknownOutcome' : 'partlyDone']({ shard: shardName(shard), cause: end.message }, error)
    case 'pass-and-end':
      if (request.pins.length > 0) runner.connections.pin(backend, shard, request.pins)
      runner.transaction = null
      // Of the transaction's connection nobody can ask it any more.
      if (transaction !== null) runner.connections.said = saidOf([['Error', String(end.errno), end.message]])
      await transaction?.rollback()
      relayer.passOn(end)
      return null
    case 'pass':
      break
    default:
      unreachable(verdict)
  }
  relayer.passOn(end)
  runner.warnings = 1
  if (request.pins.length > 0) runner.connections.pin(backend, shard, request.pins)
  // Of several statements some may have begun a transaction or ended it, and DDL ends one before it fails: an error does not tell.
  const ask = request.whole === false || (branch === null && backend.connection.inTransaction)
  const told = ask && (await hasTold(backend))
  if (transaction !== null && branch !== null) {
    noteStatement(branch, request)
    if (transaction.expelled !== null) await transaction.rollback()
    else if (told) runner.leaveEnded(transaction, branch)
    return null
  }
  runner.affectedRows = -1n
  if (backend.connection.inTransaction) runner.adopt(backend, shard)
  else runner.connections.done(backend, true, null)
  return null
}

/** Its status is what an answer of now says. */
async function hasTold({ connection }: Backend): Promise<boolean> {
  try {
    await connection.ping()
    return true
  } catch {
    connection.destroy()
    return false
  }
}

function circumstances(relayer: Relayer, { transaction, branch, request, sent }: Attempt): Circumstances {
  const first = branch !== null && branch.statements === 0 && transaction?.branches.size === 1
  return {
    // Until it is sent, what the relayer says is of the statement before.
    passedOn: sent && relayer.passedOn,
    rereadable: request.rereadable,
    effect: request.effect,
    whole: request.whole !== false,
    transaction: transaction === null ? 'none' : first ? 'first' : 'later',
  }
}

/** Nothing was done on this connection: it goes back as if never used. */
async function abandon(runner: Runner, { backend, transaction, branch }: Attempt): Promise<void> {
  if (transaction === null || branch === null) {
    runner.connections.done(backend, false)
    return
  }
  await rollbackBranch(branch)
  transaction.dropBranch(branch)
}

export async function lost(runner: Runner, relayer: Relayer, error: Error, attempt: Attempt): Promise<{ kind: 'refused'; cause: Error }> {
  const { shard, backend, transaction, branch, sent } = attempt
  const ended = !sent && isKilled(error)
  if (!isConnectionLost(error) && !ended) {
    // A setting or BEGIN was refused before the statement was sent.
    const refused = error instanceof ServerError && (error.kind === 'readOnly' || (await isFenced(runner, relayer, error, attempt)))
    // In the midst of a transaction (a PREPARE that failed) it stands as it was.
    if (transaction !== null && branch !== null && branch.statements > 0) {
      if (backend.connection.open) throw error
      // Its connection was given up over a setting: what ran on it before is gone.
      throw await lostBranch(runner, { shard, transaction, branch }, error)
    }
    await abandon(runner, attempt)
    if (refused && (transaction === null || transaction.branches.size === 0)) return { kind: 'refused', cause: error }
    throw error
  }
  // A server that has ended a session tells it before it closes.
  if (ended) backend.connection.destroy()
  const cause = error.cause instanceof Error ? error.cause.message : error.message
  // A connection that the session has pinned stays its own, broken as it is: what comes next is told that its state is lost (SW-GATE-020).
  const met = circumstances(relayer, attempt)
  const outside = met.effect === 'write' && ranOutside(error)
  const verdict = judgeLoss(
    sent && isConnectionLost(error) ? error.outcome : 'nothingSent',
    outside ? { ...met, transaction: 'none' } : met,
  )
  if (transaction !== null && branch !== null) transaction.dropBranch(branch)
  else backend.pool.give(backend)
  if (verdict === 'repeat') return { kind: 'refused', cause: gateErrors.unreachable({ shard: shardName(shard), cause }, error) }
  runner.transaction = null
  await transaction?.rollback()
  if (verdict === 'half') throw new HalfAnswered(shardName(shard), error)
  if (verdict === 'lost') throw gateErrors.lostTransaction({ shard: shardName(shard), cause }, error)
  throw gateErrors.unknownOutcome({ shard: shardName(shard), cause }, error)
}

/** The connection of a branch is gone, and all of the transaction with it: what the client is told. */
export async function lostBranch(
  runner: Runner,
  { shard, transaction, branch }: { shard: ShardView; transaction: Transaction; branch: Branch },
  error: Error,
): Promise<Error> {
  transaction.dropBranch(branch)
  runner.transaction = null
  await transaction.rollback()
  return gateErrors.lostTransaction({ shard: shardName(shard), cause: error.message }, error)
}

/** A fence of a switch has interrupted what came before the statement. */
async function isFenced(runner: Runner, relayer: Relayer, error: ServerError, { shard, sent }: Attempt): Promise<boolean> {
  return !sent && error.kind === 'interrupted' && relayer.stopped === null && (await runner.core.isMoving(shard))
}
