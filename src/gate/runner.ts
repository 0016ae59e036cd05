// long: the one way of a statement on one shard; what its failing means is in failed-statements.ts
/**
 * Runs statements of one session on shards: waits where the hold rules say so, finds the connection (the transaction's
 * branch, the pinned one, or any of the pool), brings it to the session's settings, relays, and decides what a failure means.
 *
 * What is sent again, and nothing else (promise 11): a statement outside a transaction, or the very first of one, that
 *  - was not sent (connecting failed, the pool's connection was found dead before writing), or
 *  - the server refused by read-only (1290), or interrupted (1317) while the routing record says that its shard is moving;
 *  - a read that changes nothing and of whose answer nothing has been passed on, whatever happened to its connection.
 */
import type { RelayEnd } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { heldMeanwhile, isCounted, requireRole } from './admission.ts'
import type { Backend } from './backend.ts'
import { resetNow } from './backend-settings.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { lost, serverSaidNo } from './failed-statements.ts'
import { askInsertId, insertIdOf, needsInsertId } from './insert-id.ts'
import { readOkFrame } from './ok-frame.ts'
import { nothingSaid, saidOn } from './scatter-warnings.ts'
import type { Guard } from './guard.ts'
import type { Relayer } from './relay.ts'
import { command } from './replies.ts'
import { connectError, type SessionConnections } from './session-connections.ts'
import { HeldMeanwhile, type Request } from './request.ts'
import { isRepeatable } from './snapshots.ts'
import { sessionStatus } from './session-status.ts'
import type { SessionSettings } from './settings.ts'
import { noteStatement, Transaction, type Branch, type TransactionHost, type TransactionOptions } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'
import { rollbackBranch } from './xa-commit.ts'

const beginCommand = command('BEGIN')

export class Runner implements TransactionHost {
  readonly core: Core
  readonly #relayer: Relayer
  readonly settings: SessionSettings
  readonly connections: SessionConnections
  transaction: Transaction | null = null
  /** Isolation or access of the next transaction only: statements that run before it, wherever it begins. */
  nextTransaction: readonly string[] = []
  /** The keyspace on whose connection, which the session keeps, it is another one than the session's last. */
  insertIdOn: string | null = null
  #lastInsertId = 0n
  affectedRows = -1n
  /** Where the last statement ran that SHOW WARNINGS may ask about. */
  ranOn: Backend | null = null
  warnings = 0
  /** Of the statement that runs: rows of its answer, shards that it was sent to, whether it failed. */
  readonly figures = { rows: 0, shards: 0, failed: false }
  /** The session's, which can stop its statement. */
  giveUp: TransactionHost['giveUp'] = () => {}
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

  get lastInsertId(): bigint {
    return this.#lastInsertId
  }

  set lastInsertId(id: bigint) {
    this.#lastInsertId = id
    this.insertIdOn = null
  }

  /** The statement before was warned of something, or failed; or what it said is known, be it nothing. */
  get mayHaveSaid(): boolean {
    return this.warnings > 0 || this.connections.said !== null || this.connections.leaving
  }

  /** A statement whose connection is shared left nothing on it: what another session left must not be told. */
  get leftNothing(): boolean {
    return this.transaction === null && this.connections.atHand === null && !this.connections.pinned
  }

  get status(): number {
    return sessionStatus(this.settings, this.transaction, this.core)
  }

  // ── TransactionHost ──
  changed(keyspace: string): void {
    if (this.core.holds.active) this.core.holds.openChanged(keyspace)
  }

  release(backend: Backend): void {
    this.connections.release(backend)
  }

  // ── transactions ──
  /** @param chained what the transaction before began with */
  begin(options: Omit<TransactionOptions, 'before'>, chained: TransactionOptions | null = null): void {
    this.transaction = new Transaction(true, chained ?? { ...options, before: this.#takeNext() }, this)
  }

  /**
   * For a statement that needs one of its own; the caller commits it.
   * @param copies it changes every copy of a reference table
   */
  ownTransaction(copies: boolean): Transaction {
    return new Transaction(true, { copies, readOnly: null, snapshot: false, before: this.nextTransaction }, this)
  }

  #takeNext(): readonly string[] {
    const next = this.nextTransaction
    this.nextTransaction = []
    return next
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
      if (request.lastInsertId && this.insertIdOn !== request.keyspace) await this.knowInsertId()
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
      this.transaction = new Transaction(false, { readOnly: null, snapshot: false, before: this.#takeNext() }, this)
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
    transaction?.requireAlone(shard)
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
    let enters: Transaction | null = null
    try {
      const known = this.connections.known(shard, transaction, request.needsPrevious)
      if (known === undefined && isCountedAt(shard)) enters = transaction
      const taken = known ?? (enters === null ? this.connections.take(shard) : this.#takeFor(enters, shard))
      backend = taken instanceof Promise ? await taken : taken
    } catch (error) {
      return { kind: 'refused', cause: connectError(shard, error as Error) }
    }
    // What others' triggers and functions have left there would be read.
    const leftByOthers =
      request.readsVariables === true &&
      !backend.fresh &&
      !this.connections.isPinned(backend) &&
      transaction?.branches.get(shard.uid)?.begun !== true
    const mayReset = !flavourOf(backend.connection).resetHidesCascades(backend.connection)
    if (leftByOthers && !mayReset && transaction?.branches.has(shard.uid) !== true) {
      try {
        backend = await backend.pool.renewed(backend, this.connections.signal)
      } catch (error) {
        if (enters !== null) this.core.pools.left(enters, shard)
        return { kind: 'refused', cause: connectError(shard, error as Error) }
      }
    }
    // A hold may have begun, and been acknowledged, while a connection was waited for: from here on it is counted.
    if (
      this.core.holds.active &&
      transaction?.branches.has(shard.uid) !== true &&
      heldMeanwhile(this.core, shard, transaction, request.effect)
    ) {
      this.connections.done(backend, false)
      if (enters !== null) this.core.pools.left(enters, shard)
      return { kind: 'refused', cause: gateErrors.holdExpired({ keyspace: keyspace.name, waitedMs: 0 }) }
    }
    const branch =
      transaction === null ? null : (transaction.branches.get(shard.uid) ?? transaction.addBranch(shard, backend, enters !== null))
    const countsAsWrite = transaction === null && request.effect !== 'read'
    if (transaction !== null) transaction.busy = true
    if (countsAsWrite) shard.traffic.writes++
    this.running = { backend, shard, effect: request.effect }
    this.figures.shards ||= 1
    // What was written can not be taken back for its answer's size.
    this.#relayer.quota = request.effect === 'write' ? null : this.guard.quota
    let sent = false
    let end: RelayEnd
    let framed: Buffer
    try {
      if (leftByOthers && mayReset) await resetNow(backend)
      if (backend.signature !== this.settings.signature) await this.connections.bringToSettings(backend, this.settings.signature)
      if (branch !== null && !branch.begun) await this.beginBranch(branch, transaction as Transaction)
      else if (transaction === null && this.nextTransaction.length > 0) await this.applyNext(backend)
      if (this.connections.variables.size > 0) await this.connections.tellVariables(backend, request)
      const made = request.frame(backend, shard)
      framed = Buffer.isBuffer(made) ? made : await made
      if (this.insertIdOn !== request.keyspace) this.#bringInsertId(backend, request, framed)
      if (!request.needsPrevious) {
        this.connections.said = null
        this.ranOn = backend
      }
      sent = true
      end = await this.#relayer.run(backend.connection, framed, request.mute === true, shard)
    } catch (error) {
      return await lost(this, this.#relayer, error as Error, { shard, backend, transaction, branch, request, sent })
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
      const refused = await serverSaidNo(this, this.#relayer, end, { shard, backend, transaction, branch, request, sent })
      if (refused !== null) return { kind: 'refused', cause: refused }
      this.core.stats.errors++
      this.figures.failed = true
      return { kind: 'done', end }
    }
    // What asks about the statement before leaves what that was warned of.
    if (!request.needsPrevious) this.warnings = end.warnings
    if (end.hadRows) {
      this.affectedRows = -1n
      if (request.effect === 'write') backend.connection.lastInsertId = null
    } else {
      const asks = this.#readOk(end, backend, request, framed)
      if (asks !== undefined) await asks
    }
    // Its own statements may have made ids that no OK tells: the connection, which it keeps, knows.
    if (request.whole === false) {
      this.insertIdOn = request.keyspace
      backend.connection.lastInsertId = null
    }
    // An answer of rows does not tell what LAST_INSERT_ID(expr) has set.
    else if (request.setsInsertId === true) this.lastInsertId = (await this.#askInsertId(backend)) ?? this.lastInsertId
    if (branch !== null) noteStatement(branch, request)
    else this.nextTransaction = []
    if (request.pins.length > 0) this.connections.pin(backend, shard, request.pins)
    // It stays expelled: the client's next statement is told.
    if (transaction !== null && branch !== null && transaction.expelled !== null) await transaction.rollback()
    else {
      const asks = this.#after(backend, shard, transaction, branch, request)
      if (asks !== undefined) await asks
    }
    return { kind: 'done', end }
  }

  #after(
    backend: Backend,
    shard: ShardView,
    transaction: Transaction | null,
    branch: Branch | null,
    request: Request,
  ): Promise<void> | undefined {
    if (transaction !== null && branch !== null) {
      if (this.warnings > 0 && !backend.connection.inTransaction) return this.#leaveAsked(transaction, branch)
      this.leaveEnded(transaction, branch)
    } else if (backend.connection.inTransaction) this.adopt(backend, shard)
    else this.connections.done(backend, request.keepAtHand || this.warnings > 0, request.needsPrevious ? 'as before' : this.warnings)
    return undefined
  }

  /** The last answer on the branch told that nothing is open there any more. */
  leaveEnded(transaction: Transaction, branch: Branch): void {
    branch.open = branch.backend.connection.inTransaction
    if (branch.open) return
    transaction.dropBranch(branch)
    // Without autocommit, savepoints may stand before anything has begun.
    const kept = !transaction.explicit && transaction.savepoints.length > 0
    if (transaction.branches.size === 0 && this.transaction === transaction && !kept) this.transaction = null
  }

  /** The same, when what the statement was warned of is known: the connection goes to others then (without autocommit, a read of no table). */
  async #leaveAsked(transaction: Transaction, branch: Branch): Promise<void> {
    const { connection } = branch.backend
    if (this.connections.said === null) this.connections.said = await saidOn(connection, this.warnings).catch(() => null)
    this.leaveEnded(transaction, branch)
  }

  /** A routine has begun a transaction and left it open: it is the session's, as on a server. */
  adopt(backend: Backend, shard: ShardView): void {
    const transaction = new Transaction(true, { readOnly: null, snapshot: false, before: [] }, this)
    const branch = transaction.addBranch(shard, backend, false)
    branch.begun = true
    branch.statements++
    branch.wrote = true
    this.transaction = transaction
  }

  /** What a routine has made of LAST_INSERT_ID(), for whoever asks elsewhere than on its connection. Errors: SW-GATE-020. */
  async knowInsertId(): Promise<void> {
    if (this.insertIdOn === null) return
    const answer = await this.connections.askPinned(this.insertIdOn, askInsertId, this.transaction)
    this.lastInsertId = insertIdOf(answer) ?? this.lastInsertId
  }

  /** The statement before ran on a connection to another keyspace than this: who asked about it on this one's would be told what somebody else's statement left there. */
  ranElsewhere(keyspace: KeyspaceView | undefined): boolean {
    const pool = this.ranOn?.pool
    const { agreed } = this.connections
    return pool !== undefined && keyspace?.shards.every((shard) => !this.core.pools.owns(shard, agreed, pool)) === true
  }

  /**
   * The transaction's branch on a shard, opened and begun when it is not there. Errors: of connecting, settings, BEGIN; SW-GATE-201.
   * @param wanted which settings what runs there is to have
   * @returns no promise where nothing is to be sent for it
   */
  openBranch(transaction: Transaction, shard: ShardView, wanted = this.settings.unlimited): Branch | Promise<Branch> {
    const known = transaction.branches.get(shard.uid)
    if (known === undefined) return this.#openBranch(transaction, shard, wanted)
    return known.backend.signature === wanted ? known : this.connections.bringToSettings(known.backend, wanted).then(() => known)
  }

  async #openBranch(transaction: Transaction, shard: ShardView, wanted: string): Promise<Branch> {
    transaction.requireAlone(shard)
    const had = this.connections.known(shard, transaction, false)
    const enters = had === undefined && isCountedAt(shard)
    const backend = had ?? (await (enters ? this.#takeFor(transaction, shard, wanted) : this.connections.take(shard, wanted)))
    if (this.core.holds.active && transaction.branches.size === 0 && heldMeanwhile(this.core, shard, transaction, 'write')) {
      this.connections.done(backend, false)
      if (enters) this.core.pools.left(transaction, shard)
      throw new HeldMeanwhile()
    }
    const branch = transaction.addBranch(shard, backend, enters)
    try {
      if (branch.backend.signature !== wanted) await this.connections.bringToSettings(branch.backend, wanted)
      await this.beginBranch(branch, transaction)
    } catch (error) {
      // A part of what begins it may stand.
      await rollbackBranch(branch)
      transaction.dropBranch(branch)
      throw error
    }
    return branch
  }

  /** A connection of the pool for a branch, when the transaction may hold one more of that server (claims.ts). */
  async #takeFor(transaction: Transaction, shard: ShardView, wanted?: string): Promise<Backend> {
    const { pools } = this.core
    const waiting = pools.enter(transaction, shard, this.core.keyspace(shard.keyspace).shards, this.connections.signal)
    if (waiting !== undefined) await waiting
    try {
      return await this.connections.take(shard, wanted)
    } catch (error) {
      pools.left(transaction, shard)
      throw error
    }
  }

  /** Room for a scratch table's connection beside those of the transaction's branches; what it gives is called when that one is given back. Errors: SW-GATE-014. */
  roomBeside(transaction: Transaction, on: readonly ShardView[]): Promise<() => void> {
    const { pools } = this.core
    for (const { keyspace } of on.slice(0, 1)) pools.claim(transaction, keyspace, this.core.keyspace(keyspace).shards)
    return pools.admit(on, this.connections.signal, transaction)
  }

  async beginBranch(branch: Branch, transaction: Transaction): Promise<void> {
    const { backend } = branch
    const { before } = transaction.options
    const { dirty } = backend
    // Until something begins a server keeps it, for whoever comes then.
    if (before.length > 0) backend.dirty = true
    for (const sql of before) await backend.connection.query(sql)
    const xaStart = transaction.xaStart(branch)
    if (xaStart !== null) {
      await backend.connection.query(xaStart)
      if (transaction.options.snapshot && (await isRepeatable(backend.connection, transaction.options.before, this.settings)))
        await this.core.xa.takeSnapshot(branch.shard, backend.connection, this.connections)
    } else if (transaction.explicit) {
      const sql = transaction.beginStatement(branch.shard)
      // A plain BEGIN is refused only where it is interrupted; one with a mode can be, and nothing may run outside it then.
      if (sql === 'BEGIN') this.connections.pipelineBegin(backend, beginCommand)
      else await backend.connection.query(sql)
    }
    if (transaction.explicit) backend.dirty = dirty
    for (const { sql } of transaction.savepoints) await backend.connection.query(sql)
    branch.begun = true
  }

  /** A connection for a read outside transactions, which may be on several; give it back by `connections.done`. */
  async openPlain(shard: ShardView, wanted = this.settings.unlimited): Promise<Backend> {
    const backend = await this.connections.openPlain(shard, wanted)
    try {
      if (this.nextTransaction.length > 0) await this.applyNext(backend)
    } catch (error) {
      this.connections.done(backend, false)
      throw error
    }
    return backend
  }

  /** For a statement outside transactions, which is one. A server keeps it for the next when the statement reads no table: nobody else may find it. */
  async applyNext(backend: Backend): Promise<void> {
    backend.dirty = true
    for (const sql of this.nextTransaction) await backend.connection.query(sql)
  }

  /** What it gives is to be waited for: the server is asked. */
  #readOk(end: RelayEnd, backend: Backend, request: Request, framed: Buffer): Promise<void> | undefined {
    const said = readOkFrame(end.frame)
    if (said === null) return undefined
    this.affectedRows = said.affectedRows
    if (said.insertId === 0n) return undefined
    if (request.whole !== false && request.setsInsertId !== true && request.mayGiveId?.(said.insertId, framed) === true)
      return this.#knowGivenId(backend, said.insertId)
    this.lastInsertId = said.insertId
    backend.connection.lastInsertId = said.insertId
    return undefined
  }

  #bringInsertId(backend: Backend, request: Request, framed: Buffer): void {
    // Where a routine keeps the session's elsewhere: none that a row can have.
    const id = this.insertIdOn === null ? this.lastInsertId : 0n
    const there = backend.connection.lastInsertId
    if (there === id || !needsInsertId(there, request, framed)) return
    this.connections.pipeline(backend, `SET last_insert_id=${id}`)
    backend.connection.lastInsertId = id
  }

  async #askInsertId({ connection }: Backend): Promise<bigint | null> {
    const id = insertIdOf(await connection.query(askInsertId).catch(() => null))
    connection.lastInsertId = id
    return id
  }

  async #knowGivenId(backend: Backend, id: bigint): Promise<void> {
    // Asking makes the server forget what it warned of.
    if (this.warnings > 0) this.connections.said = await saidOn(backend.connection, this.warnings).catch(() => nothingSaid)
    // What the connection had before is the session's (then nothing changes), or not this (`needsInsertId`).
    if ((await this.#askInsertId(backend)) === id) this.lastInsertId = id
  }

  /** Everything goes back; open transactions are rolled back. */
  async end(): Promise<void> {
    await this.rollback()
    this.connections.releaseAtHand()
    this.connections.unpin(this.transaction)
  }
}

/** Which replica a connection goes to is the pools' choice. */
function isCountedAt({ replicas }: ShardView): boolean {
  return replicas === null
}
