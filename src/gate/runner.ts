/**
 * Runs statements of one session on shards: waits where the hold rules say so, finds the connection (the transaction's
 * branch, the pinned one, or any of the pool), brings it to the session's settings, relays, and decides what a failure means.
 *
 * What is sent again, and nothing else (promise 11): a statement outside a transaction, or the very first of one, that
 *  - was not sent (connecting failed, the pool's connection was found dead before writing), or
 *  - the server refused by read-only (1290), or interrupted (1317) while the routing record says that its shard is moving;
 *  - a read that changes nothing and of whose answer nothing has been passed on, whatever happened to its connection.
 */
import { serverStatus } from '../wire/capabilities.ts'
import type { RelayEnd } from '../mysql/connection.ts'
import { isConnectionLost, ServerError } from '../mysql/errors.ts'
import { heldMeanwhile, isCounted, requireRole } from './admission.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { judgeLoss, judgeRefusal, kindAt, type Circumstances } from './failures.ts'
import { unreachable } from '../base/assert.ts'
import { readOkFrame } from './ok-frame.ts'
import type { Guard } from './guard.ts'
import type { Relayer } from './relay.ts'
import { command } from './replies.ts'
import { connectError, type SessionConnections } from './session-connections.ts'
import { HalfAnswered, HeldMeanwhile, type Request } from './request.ts'
import { sessionStatus } from './session-status.ts'
import type { SessionSettings } from './settings.ts'
import { rollbackBranch } from './xa-commit.ts'
import { shardName, Transaction, type Branch, type TransactionHost, type TransactionOptions } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

const beginCommand = command('BEGIN')

export class Runner implements TransactionHost {
  readonly core: Core
  readonly #relayer: Relayer
  readonly settings: SessionSettings
  readonly connections: SessionConnections
  transaction: Transaction | null = null
  /** Isolation or access of the next transaction only: statements run before it. */
  nextTransaction: string[] = []
  lastInsertId = 0n
  affectedRows = -1n
  warnings = 0
  /** Of the statement that runs: rows of its answer, shards that it was sent to, whether it failed. */
  readonly figures = { rows: 0, shards: 0, failed: false }
  readonly guard: Guard
  /** Where the running statement is, for KILL QUERY. */
  running: { backend: Backend; shard: ShardView; effect: Request['effect'] } | null = null

  constructor(core: Core, relayer: Relayer, connections: SessionConnections, guard: Guard) {
    this.core = core
    this.#relayer = relayer
    this.guard = guard
    this.settings = connections.settings
    this.connections = connections
  }

  get status(): number {
    return sessionStatus(this.settings, this.transaction)
  }

  // ── TransactionHost ──
  changed(keyspace: string): void {
    if (this.core.holds.active) this.core.holds.openChanged(keyspace)
  }

  release(backend: Backend): void {
    this.connections.release(backend)
  }

  // ── transactions ──
  begin(options: TransactionOptions): void {
    this.transaction = new Transaction(true, options, this)
  }

  /** Ends what is open by COMMIT; a transaction that was expelled is an error. */
  async commit(): Promise<void> {
    const transaction = this.transaction
    this.transaction = null
    if (transaction === null) return
    if (transaction.expelled !== null) {
      await transaction.rollback()
      throw gateErrors.movedTransaction({ keyspace: transaction.expelled })
    }
    const slowFrom = this.core.clock.monotonicMs()
    transaction.busy = true
    await transaction.commit()
    this.core.stats.wrote(this.core.clock.monotonicMs() - slowFrom)
  }

  async rollback(): Promise<void> {
    const transaction = this.transaction
    this.transaction = null
    await transaction?.rollback()
  }

  /** Relays the answer to the client. Resolves when it is complete, errors of the server passed on included. */
  async relay(request: Request, signal: AbortSignal): Promise<RelayEnd> {
    const startMs = request.effect === 'write' ? this.core.clock.monotonicMs() : 0
    for (let attempt = 0; ; attempt++) {
      const stale = this.core.fresh()
      if (stale !== undefined) await stale
      let keyspace = this.core.keyspace(request.keyspace)
      if (keyspace.notReady !== null) keyspace = await this.core.ready(request.keyspace, signal)
      const shard = request.choose(keyspace)
      if (!request.outside && this.transaction?.expelled != null) await this.currentTransaction()
      const transaction = request.outside ? null : this.#openTransaction()
      requireRole(keyspace, transaction, request.effect)
      const admitted = this.admit(keyspace, shard, transaction, request, signal)
      if (admitted !== 'go' && (await admitted) === 'again') continue
      const outcome = await this.#attempt(keyspace, shard, transaction, request)
      if (outcome.kind === 'done') {
        // As the client sees it: what it was held counts.
        if (request.effect === 'write') this.core.stats.wrote(this.core.clock.monotonicMs() - startMs)
        return outcome.end
      }
      await this.core.afterRefusal(shard, keyspace.version, attempt, request.bytes, signal, outcome.cause)
      if (signal.aborted) throw signal.reason as Error
    }
  }

  /** The same, with an OK not passed on: true. False: the client has the server's error. */
  async perform(request: Request, signal: AbortSignal): Promise<boolean> {
    return (await this.relay({ ...request, mute: true }, signal)).kind === 'ok'
  }

  /** The transaction that a statement belongs to, or null in autocommit. Throws 1213 once for one that was expelled. */
  async currentTransaction(): Promise<Transaction | null> {
    const transaction = this.transaction
    if (transaction !== null && transaction.expelled !== null) {
      this.transaction = null
      await transaction.rollback()
      throw gateErrors.movedTransaction({ keyspace: transaction.expelled })
    }
    return this.#openTransaction()
  }

  #openTransaction(): Transaction | null {
    if (this.transaction === null && !this.settings.autocommit)
      this.transaction = new Transaction(false, { readOnly: null, snapshot: false }, this)
    return this.transaction
  }

  /** Waits where the hold rules say so. 'again': time has passed, look at routing anew. */
  admit(
    keyspace: KeyspaceView,
    shard: ShardView,
    transaction: Transaction | null,
    request: { effect: Request['effect']; bytes: number },
    signal: AbortSignal,
  ): 'go' | Promise<'again'> {
    if (
      transaction !== null &&
      transaction.branches.size > 0 &&
      keyspace.record.transactionMode === 'single' &&
      !transaction.branches.has(shard.uid)
    ) {
      const other = [...transaction.branches.values()].find((b) => b.shard.keyspace === shard.keyspace)
      if (other !== undefined)
        throw gateErrors.singleMode({ first: shardName(other.shard), second: shardName(shard), keyspace: keyspace.name })
    }
    if (!this.core.holds.active) return 'go'
    const begins = transaction === null ? request.effect !== 'read' : !isCounted(this.core, transaction, keyspace.name)
    const keys = [shard.component.key]
    if (!begins || !this.core.holds.mustWait(keyspace.name, keys)) return 'go'
    this.core.stats.held++
    return this.core.holds.wait(keyspace.name, keys, request.bytes, signal).then(() => 'again')
  }

  async #attempt(
    keyspace: KeyspaceView,
    shard: ShardView,
    transaction: Transaction | null,
    request: Request,
  ): Promise<{ kind: 'done'; end: RelayEnd } | { kind: 'refused'; cause: Error }> {
    let backend: Backend
    try {
      const known = this.connections.known(shard, transaction, request.needsPrevious)
      const taken = known ?? this.connections.take(shard)
      backend = taken instanceof Promise ? await taken : taken
    } catch (error) {
      return { kind: 'refused', cause: connectError(shard, error as Error) }
    }
    // A hold may have begun, and been acknowledged, while a connection was waited for: from here on it is counted.
    if (
      this.core.holds.active &&
      transaction?.branches.has(shard.uid) !== true &&
      heldMeanwhile(this.core, shard, transaction, request.effect)
    ) {
      this.connections.done(backend, false)
      return { kind: 'refused', cause: gateErrors.holdExpired({ keyspace: keyspace.name, waitedMs: 0 }) }
    }
    const branch = transaction === null ? null : (transaction.branches.get(shard.uid) ?? transaction.addBranch(shard, backend))
    const countsAsWrite = transaction === null && request.effect !== 'read'
    if (transaction !== null) transaction.busy = true
    if (countsAsWrite) shard.traffic.writes++
    this.running = { backend, shard, effect: request.effect }
    this.figures.shards ||= 1
    // What was written can not be taken back for its answer's size.
    this.#relayer.quota = request.effect === 'write' ? null : this.guard.quota
    let end: RelayEnd
    try {
      if (backend.signature !== this.settings.signature) await this.connections.bringToSettings(backend)
      if (branch !== null && branch.statements === 0) await this.beginBranch(branch, transaction as Transaction)
      else if (transaction === null && this.nextTransaction.length > 0) await this.#applyNext(backend)
      if (request.lastInsertId) this.connections.pipeline(backend, `SET last_insert_id=${this.lastInsertId}`)
      let framed = request.frame(backend, shard)
      if (!Buffer.isBuffer(framed)) framed = await framed
      end = await this.#relayer.run(backend.connection, framed, request.mute === true, shard)
    } catch (error) {
      return await this.#lost(error as Error, shard, backend, transaction, branch, request)
    } finally {
      this.running = null
      if (transaction !== null) transaction.busy = false
      if (countsAsWrite) {
        shard.traffic.writes--
        if (this.core.holds.active) this.core.holds.openChanged(keyspace.name)
      }
    }
    this.figures.rows = end.rows
    if (end.kind === 'error') {
      const refused = await this.#serverSaidNo(end, shard, backend, transaction, branch, request)
      if (refused !== null) return { kind: 'refused', cause: refused }
      this.core.stats.errors++
      this.figures.failed = true
      return { kind: 'done', end }
    }
    this.warnings = end.warnings
    if (!end.hadRows) this.#readOk(end.frame)
    else this.affectedRows = -1n
    if (branch !== null) {
      branch.statements++
      if (request.effect !== 'read') branch.wrote = true
    }
    if (request.pins.length > 0) this.connections.pin(backend, shard, request.pins)
    // It stays expelled: the client's next statement is told.
    if (transaction !== null && branch !== null && transaction.expelled !== null) await transaction.rollback()
    else this.#after(backend, transaction, branch, end, request)
    return { kind: 'done', end }
  }

  #after(backend: Backend, transaction: Transaction | null, branch: Branch | null, end: RelayEnd, request: Request): void {
    if (transaction !== null && branch !== null) {
      if ((end.kind === 'ok' ? end.status : backend.connection.status) & serverStatus.inTransaction) return
      transaction.dropBranch(branch)
      if (transaction.branches.size === 0 && this.transaction === transaction) this.transaction = null
    } else this.connections.done(backend, request.keepAtHand || this.warnings > 0 || end.kind === 'error')
  }

  /** The transaction's branch on a shard, opened and begun when it is not there. Errors: of connecting, settings, BEGIN. */
  async openBranch(transaction: Transaction, shard: ShardView): Promise<Branch> {
    const known = transaction.branches.get(shard.uid)
    if (known !== undefined) {
      if (known.backend.signature !== this.settings.signature) await this.connections.bringToSettings(known.backend)
      return known
    }
    const backend = await this.connections.take(shard)
    if (this.core.holds.active && transaction.branches.size === 0 && heldMeanwhile(this.core, shard, transaction, 'write')) {
      this.connections.done(backend, false)
      throw new HeldMeanwhile()
    }
    const branch = transaction.addBranch(shard, backend)
    try {
      if (branch.backend.signature !== this.settings.signature) await this.connections.bringToSettings(branch.backend)
      await this.beginBranch(branch, transaction)
    } catch (error) {
      transaction.dropBranch(branch)
      throw error
    }
    return branch
  }

  async beginBranch(branch: Branch, transaction: Transaction): Promise<void> {
    const { backend } = branch
    if (this.nextTransaction.length > 0) await this.#applyNext(backend)
    const xaStart = transaction.xaStart(branch)
    if (xaStart !== null) await backend.connection.query(xaStart)
    else if (transaction.explicit) {
      const sql = transaction.beginStatement(branch.shard)
      // A plain BEGIN can't be refused; one with a mode can be, and nothing may run outside it then.
      if (sql === 'BEGIN') this.connections.pipelineFramed(backend, beginCommand)
      else await backend.connection.query(sql)
    }
    for (const { sql } of transaction.savepoints) await backend.connection.query(sql)
  }

  async #applyNext(backend: Backend): Promise<void> {
    for (const sql of this.nextTransaction) await backend.connection.query(sql)
    this.nextTransaction = []
  }

  /** An ERR answer. Null: it was passed on. An error: nothing was done and it may be sent again. */
  async #serverSaidNo(
    end: Extract<RelayEnd, { kind: 'error' }>,
    shard: ShardView,
    backend: Backend,
    transaction: Transaction | null,
    branch: Branch | null,
    request: Request,
  ): Promise<Error | null> {
    const error = new ServerError(end.errno, end.sqlState, end.message)
    const moving = (error.kind === 'interrupted' || error.kind === 'killed') && (await this.core.isMoving(shard))
    const verdict = judgeRefusal(kindAt(error.kind, shard), moving, this.#circumstances(transaction, branch, request))
    switch (verdict) {
      case 'repeat':
        await this.#abandon(backend, transaction, branch)
        return error.kind === 'readOnly' ? gateErrors.readOnly({ shard: shardName(shard), keyspace: shard.keyspace }, error) : error
      case 'moved':
      case 'lost':
        this.transaction = null
        await transaction?.rollback()
        throw verdict === 'moved'
          ? gateErrors.movedTransaction({ keyspace: shard.keyspace }, error)
          : gateErrors.lostTransaction({ shard: shardName(shard), cause: end.message }, error)
      case 'unknown':
        backend.connection.destroy()
        throw gateErrors.unknownOutcome({ shard: shardName(shard), cause: end.message }, error)
      case 'pass-and-end':
        this.transaction = null
        await transaction?.rollback()
        this.#relayer.passOn(end)
        return null
      case 'pass':
        break
      default:
        unreachable(verdict)
    }
    this.#relayer.passOn(end)
    if (transaction !== null && branch !== null) {
      branch.statements++
      if (request.effect !== 'read') branch.wrote = true
      if (transaction.expelled !== null) await transaction.rollback()
      return null
    }
    this.warnings = 1
    this.affectedRows = -1n
    if (request.pins.length > 0) this.connections.pin(backend, shard, request.pins)
    else this.connections.done(backend, true)
    return null
  }

  #circumstances(transaction: Transaction | null, branch: Branch | null, { rereadable, effect }: Request): Circumstances {
    const first = branch !== null && branch.statements === 0 && transaction?.branches.size === 1
    return { passedOn: this.#relayer.passedOn, rereadable, effect, transaction: transaction === null ? 'none' : first ? 'first' : 'later' }
  }

  /** Nothing was done on this connection: it goes back as if never used. */
  async #abandon(backend: Backend, transaction: Transaction | null, branch: Branch | null): Promise<void> {
    if (transaction === null || branch === null) {
      this.connections.done(backend, false)
      return
    }
    await rollbackBranch(branch)
    transaction.dropBranch(branch)
  }

  async #lost(
    error: Error,
    shard: ShardView,
    backend: Backend,
    transaction: Transaction | null,
    branch: Branch | null,
    request: Request,
  ): Promise<{ kind: 'refused'; cause: Error }> {
    if (!isConnectionLost(error)) {
      // A setting or BEGIN was refused before the statement was sent.
      const refused = error instanceof ServerError && error.kind === 'readOnly'
      // In the midst of a transaction (a PREPARE that failed) it stands as it was.
      if (branch !== null && branch.statements > 0 && backend.connection.open) throw error
      await this.#abandon(backend, transaction, branch)
      if (refused && (transaction === null || transaction.branches.size === 0)) return { kind: 'refused', cause: error }
      throw error
    }
    const cause = error.cause instanceof Error ? error.cause.message : error.message
    if (this.connections.isPinned(backend)) this.connections.unpin(this.transaction)
    const verdict = judgeLoss(error.outcome, this.#circumstances(transaction, branch, request))
    if (transaction !== null && branch !== null) transaction.dropBranch(branch)
    else backend.pool.give(backend)
    if (verdict === 'repeat') return { kind: 'refused', cause: gateErrors.unreachable({ shard: shardName(shard), cause }, error) }
    this.transaction = null
    await transaction?.rollback()
    if (verdict === 'half') throw new HalfAnswered(shardName(shard), error)
    if (verdict === 'lost') throw gateErrors.lostTransaction({ shard: shardName(shard), cause }, error)
    throw gateErrors.unknownOutcome({ shard: shardName(shard), cause }, error)
  }

  #readOk(frame: Buffer): void {
    const said = readOkFrame(frame)
    if (said === null) return
    this.affectedRows = said.affectedRows
    if (said.insertId !== 0n) this.lastInsertId = said.insertId
  }

  /** Everything goes back; open transactions are rolled back. */
  async end(): Promise<void> {
    await this.rollback()
    this.connections.releaseAtHand()
    this.connections.unpin(this.transaction)
  }
}
