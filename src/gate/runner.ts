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
import { errno, isConnectionLost, ServerError } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { Pin } from './plan/plan.ts'
import { SilentSink, type Relayer } from './relay.ts'
import { statementsBetween, type SessionSettings } from './settings.ts'
import { shardName, Transaction, type Branch, type TransactionHost, type TransactionOptions } from './transaction.ts'
import type { KeyspaceView, ShardView } from './view.ts'

export type Request = {
  readonly keyspace: string
  /** Asked anew at each attempt, by the routing of that moment. */
  choose(keyspace: KeyspaceView): ShardView
  /** The command as it goes to this connection. */
  frame(backend: Backend, shard: ShardView): Buffer | Promise<Buffer>
  readonly bytes: number
  readonly effect: 'read' | 'lock' | 'write'
  readonly rereadable: boolean
  readonly pins: readonly Pin[]
  /** The session's LAST_INSERT_ID must be known to the connection. */
  readonly lastInsertId: boolean
  /** The connection of the statement before, if it is at hand. */
  readonly needsPrevious: boolean
  /** Keep the connection at hand for the next statement. */
  readonly keepAtHand: boolean
  /** Not part of the session's transaction: what commits implicitly. */
  readonly outside: boolean
  /** An OK is not passed on: the caller makes its own of what it said. */
  readonly mute?: boolean
}

const beginCommand = command('BEGIN')

export class Runner implements TransactionHost {
  readonly #core: Core
  readonly #relayer: Relayer
  readonly settings: SessionSettings
  transaction: Transaction | null = null
  /** Isolation or access of the next transaction only: statements run before it. */
  nextTransaction: string[] = []
  lastInsertId = 0n
  affectedRows = -1n
  warnings = 0
  foundRows: boolean
  #pinned: { backend: Backend; shard: ShardView; why: Set<Pin> } | null = null
  #atHand: Backend | null = null
  readonly #letGo = (): void => this.releaseAtHand()
  /** Where the running statement is, for KILL QUERY. */
  running: { backend: Backend; shard: ShardView; effect: Request['effect'] } | null = null

  constructor(core: Core, relayer: Relayer, settings: SessionSettings, foundRows: boolean) {
    this.#core = core
    this.#relayer = relayer
    this.settings = settings
    this.foundRows = foundRows
  }

  /** Status flags for answers that the gate makes itself. */
  get status(): number {
    let flags: number = this.settings.autocommit ? serverStatus.autocommit : 0
    const t = this.transaction
    if (t !== null && t.expelled === null && (t.explicit || t.branches.size > 0)) flags |= serverStatus.inTransaction
    if (/NO_BACKSLASH_ESCAPES/i.test(this.settings.get('sql_mode') ?? '')) flags |= serverStatus.noBackslashEscapes
    return flags
  }

  // ── TransactionHost ──
  changed(keyspace: string): void {
    if (this.#core.holds.active) this.#core.holds.openChanged(keyspace)
  }

  release(backend: Backend): void {
    if (this.#pinned?.backend !== backend) backend.pool.give(backend)
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
    const slowFrom = this.#core.clock.monotonicMs()
    transaction.busy = true
    await transaction.commit()
    this.#core.stats.wrote(this.#core.clock.monotonicMs() - slowFrom)
  }

  async rollback(): Promise<void> {
    const transaction = this.transaction
    this.transaction = null
    await transaction?.rollback()
  }

  // ── one statement on one shard ──

  /** Relays the answer to the client. Resolves when it is complete, errors of the server passed on included. */
  async relay(request: Request, signal: AbortSignal): Promise<RelayEnd> {
    const startMs = request.effect === 'write' ? this.#core.clock.monotonicMs() : 0
    for (let attempt = 0; ; attempt++) {
      const stale = this.#core.fresh()
      if (stale !== undefined) await stale
      let keyspace = this.#core.keyspace(request.keyspace)
      if (keyspace.notReady !== null) keyspace = await this.#core.ready(request.keyspace, signal)
      const shard = request.choose(keyspace)
      const transaction: Transaction | null = request.outside ? null : await this.currentTransaction()
      if ((await this.admit(keyspace, shard, transaction, request, signal)) === 'again') continue
      const outcome = await this.#attempt(keyspace, shard, transaction, request)
      if (outcome.kind === 'done') {
        // As the client sees it: what it was held counts.
        if (request.effect === 'write') this.#core.stats.wrote(this.#core.clock.monotonicMs() - startMs)
        return outcome.end
      }
      await this.#core.afterRefusal(shard, keyspace.version, attempt, request.bytes, signal, outcome.cause)
      if (signal.aborted) throw signal.reason as Error
    }
  }

  /** Something that neither reads nor writes rows (PREPARE), on the connection that the next statement would take. */
  async onServer<T>(
    keyspaceName: string,
    signal: AbortSignal,
    act: (backend: Backend, shard: ShardView) => Promise<T>,
    choose?: (keyspace: KeyspaceView) => ShardView,
  ): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const stale = this.#core.fresh()
      if (stale !== undefined) await stale
      const keyspace = await this.#core.ready(keyspaceName, signal)
      const shard = choose === undefined ? (keyspace.shards[0] as ShardView) : choose(keyspace)
      let backend: Backend | undefined
      try {
        backend = this.#known(shard, this.transaction, false) ?? (await this.take(shard))
      } catch (error) {
        await this.#core.afterRefusal(shard, keyspace.version, attempt, 0, signal, this.connectError(shard, error as Error))
        continue
      }
      const ours = this.transaction?.branches.get(shard.uid)?.backend === backend || this.#pinned?.backend === backend
      try {
        if (backend.signature !== this.settings.signature && !ours) await this.bringToSettings(backend)
        const result = await act(backend, shard)
        if (!ours) this.done(backend, false)
        return result
      } catch (error) {
        if (!ours) this.done(backend, false)
        if (!isConnectionLost(error) || ours) throw error
        await this.#core.afterRefusal(
          shard,
          keyspace.version,
          attempt,
          0,
          signal,
          gateErrors.unreachable({ shard: shardName(shard), cause: error.message }, error),
        )
      }
    }
  }

  /** The transaction that a statement belongs to, or null in autocommit. Throws 1213 once for one that was expelled. */
  async currentTransaction(): Promise<Transaction | null> {
    const transaction = this.transaction
    if (transaction !== null && transaction.expelled !== null) {
      this.transaction = null
      await transaction.rollback()
      throw gateErrors.movedTransaction({ keyspace: transaction.expelled })
    }
    if (transaction === null && !this.settings.autocommit)
      return (this.transaction = new Transaction(false, { readOnly: null, snapshot: false }, this))
    return transaction
  }

  /**
   * A transaction that has begun on a component on hold goes on to the others too, within the grace: it is counted as open already, and made to
   * wait it could not end, so it would always be expelled.
   */
  underWayOnHeld(keyspace: KeyspaceView, transaction: Transaction | null): boolean {
    if (transaction === null) return false
    for (const { shard } of transaction.branches.values()) {
      if (shard.keyspace === keyspace.name && this.#core.holds.isHeld(keyspace.name, [shard.component.key])) return true
    }
    return false
  }

  /** Waits where the hold rules say so. 'again': time has passed, look at routing anew. */
  async admit(
    keyspace: KeyspaceView,
    shard: ShardView,
    transaction: Transaction | null,
    request: { effect: Request['effect']; bytes: number },
    signal: AbortSignal,
  ): Promise<'go' | 'again'> {
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
    if (!this.#core.holds.active) return 'go'
    const begins = transaction === null ? request.effect !== 'read' : !this.isCounted(transaction, keyspace.name)
    const keys = [shard.component.key]
    if (!begins || this.underWayOnHeld(keyspace, transaction) || !this.#core.holds.mustWait(keyspace.name, keys)) return 'go'
    this.#core.stats.held++
    await this.#core.holds.wait(keyspace.name, keys, request.bytes, signal)
    return 'again'
  }

  /**
   * Whether a transaction is open on what is on hold already, hence counted in what the gate acknowledges: it may go on, on other
   * shards of the keyspace too. Were it to wait, it would wait for a hold that waits for it.
   */
  isCounted(transaction: Transaction, keyspace: string): boolean {
    for (const branch of transaction.branches.values()) {
      if (branch.shard.keyspace === keyspace && this.#core.holds.isHeld(keyspace, [branch.shard.component.key])) return true
    }
    return false
  }

  #heldMeanwhile(shard: ShardView, transaction: Transaction | null, effect: Request['effect']): boolean {
    if (!this.#core.holds.isHeld(shard.keyspace, [shard.component.key])) return false
    return transaction === null ? effect !== 'read' : !this.isCounted(transaction, shard.keyspace)
  }

  async #attempt(
    keyspace: KeyspaceView,
    shard: ShardView,
    transaction: Transaction | null,
    request: Request,
  ): Promise<{ kind: 'done'; end: RelayEnd } | { kind: 'refused'; cause: Error }> {
    let backend: Backend
    try {
      const known = this.#known(shard, transaction, request.needsPrevious)
      backend = known ?? (await this.take(shard))
    } catch (error) {
      return { kind: 'refused', cause: this.connectError(shard, error as Error) }
    }
    // A hold may have begun, and been acknowledged, while a connection was waited for: from here on it is counted.
    if (
      this.#core.holds.active &&
      transaction?.branches.has(shard.uid) !== true &&
      this.#heldMeanwhile(shard, transaction, request.effect)
    ) {
      this.done(backend, false)
      return { kind: 'refused', cause: gateErrors.holdExpired({ keyspace: keyspace.name, waitedMs: 0 }) }
    }
    const branch = transaction === null ? null : (transaction.branches.get(shard.uid) ?? transaction.addBranch(shard, backend))
    const countsAsWrite = transaction === null && request.effect !== 'read'
    if (transaction !== null) transaction.busy = true
    if (countsAsWrite) shard.traffic.writes++
    this.running = { backend, shard, effect: request.effect }
    let end: RelayEnd
    try {
      if (backend.signature !== this.settings.signature) await this.bringToSettings(backend)
      if (branch !== null && branch.statements === 0) await this.beginBranch(branch, transaction as Transaction)
      else if (transaction === null && this.nextTransaction.length > 0) await this.#applyNext(backend)
      if (request.lastInsertId) this.#pipeline(backend, `SET last_insert_id=${this.lastInsertId}`)
      let framed = request.frame(backend, shard)
      if (!Buffer.isBuffer(framed)) framed = await framed
      end = await this.#relayer.run(backend.connection, framed, request.mute === true)
    } catch (error) {
      return await this.#lost(error as Error, shard, backend, transaction, branch, request)
    } finally {
      this.running = null
      if (transaction !== null) transaction.busy = false
      if (countsAsWrite) {
        shard.traffic.writes--
        if (this.#core.holds.active) this.#core.holds.openChanged(keyspace.name)
      }
    }
    if (end.kind === 'error') {
      const refused = await this.#serverSaidNo(end, shard, backend, transaction, branch, request)
      if (refused !== null) return { kind: 'refused', cause: refused }
      this.#core.stats.errors++
      return { kind: 'done', end }
    }
    this.warnings = end.warnings
    if (!end.hadRows) this.#readOk(end.frame)
    else this.affectedRows = -1n
    if (branch !== null) {
      branch.statements++
      if (request.effect !== 'read') branch.wrote = true
    }
    if (request.pins.length > 0) this.pin(backend, shard, request.pins)
    await this.#after(backend, transaction, branch, end, request)
    return { kind: 'done', end }
  }

  async #after(backend: Backend, transaction: Transaction | null, branch: Branch | null, end: RelayEnd, request: Request): Promise<void> {
    if (transaction !== null && branch !== null) {
      if (transaction.expelled !== null) {
        // It stays expelled: the client's next statement is told.
        await transaction.rollback()
        return
      }
      if ((end.kind === 'ok' ? end.status : backend.connection.status) & serverStatus.inTransaction) return
      transaction.dropBranch(branch)
      if (transaction.branches.size === 0 && this.transaction === transaction) this.transaction = null
      return
    }
    this.done(backend, request.keepAtHand || this.warnings > 0 || end.kind === 'error')
  }

  /** An autocommit statement ended: the connection goes back, or stays at hand for what asks about that statement. */
  done(backend: Backend, keepAtHand: boolean): void {
    if (this.#pinned?.backend === backend) return
    if (this.#atHand !== null && this.#atHand !== backend) this.releaseAtHand()
    if (keepAtHand && backend.connection.open && !backend.connection.inTransaction && backend.pool.linger(this.#letGo)) {
      this.#atHand = backend
      return
    }
    backend.pool.give(backend)
  }

  releaseAtHand(): void {
    const backend = this.#atHand
    if (backend === null) return
    this.#atHand = null
    backend.pool.unlinger(this.#letGo)
    backend.pool.give(backend)
  }

  /** A connection that this session must or may use: its branch, its pinned one, the one at hand. */
  #known(shard: ShardView, transaction: Transaction | null, needsPrevious: boolean): Backend | undefined {
    const pinned = this.#pinned
    if (pinned !== null && (pinned.shard.uid !== shard.uid || !pinned.backend.connection.open)) {
      if (pinned.shard.keyspace === shard.keyspace) {
        const state = [...pinned.why].join(', ')
        this.unpin()
        throw gateErrors.sessionStateLost({ state, keyspace: shard.keyspace })
      }
    }
    const branch = transaction?.branches.get(shard.uid)
    if (branch !== undefined) return branch.backend
    if (pinned !== null && pinned.shard.uid === shard.uid) return pinned.backend
    const atHand = this.#atHand
    if (atHand === null) return undefined
    const same = atHand.pool === this.#core.pools.of(shard, this.foundRows) && atHand.connection.open
    this.#atHand = null
    atHand.pool.unlinger(this.#letGo)
    if (same && (needsPrevious || atHand.signature === this.settings.signature)) return atHand
    atHand.pool.give(atHand)
    return undefined
  }

  get atHand(): Backend | null {
    return this.#atHand
  }

  get pinned(): boolean {
    return this.#pinned !== null
  }

  /** The transaction's branch on a shard, opened and begun when it is not there. Errors: of connecting, settings, BEGIN. */
  async openBranch(transaction: Transaction, shard: ShardView): Promise<Branch> {
    const known = transaction.branches.get(shard.uid)
    if (known !== undefined) {
      if (known.backend.signature !== this.settings.signature) await this.bringToSettings(known.backend)
      return known
    }
    const backend = await this.take(shard)
    if (this.#core.holds.active && transaction.branches.size === 0 && this.#heldMeanwhile(shard, transaction, 'write')) {
      this.done(backend, false)
      throw new HeldMeanwhile()
    }
    const branch = transaction.addBranch(shard, backend)
    try {
      if (branch.backend.signature !== this.settings.signature) await this.bringToSettings(branch.backend)
      await this.beginBranch(branch, transaction)
    } catch (error) {
      transaction.dropBranch(branch)
      throw error
    }
    return branch
  }

  /** A connection for one statement outside transactions, brought to the session's settings; give it back by `done`. */
  async openPlain(shard: ShardView): Promise<Backend> {
    const backend = await this.take(shard)
    try {
      if (backend.signature !== this.settings.signature) await this.bringToSettings(backend)
    } catch (error) {
      backend.pool.give(backend)
      throw error
    }
    return backend
  }

  isMoving(shard: ShardView): Promise<boolean> {
    return this.#isMoving(shard)
  }

  /** A connection from the pool. Errors are those of connecting: nothing was sent. */
  take(shard: ShardView): Backend | Promise<Backend> {
    const pool = this.#core.pools.of(shard, this.foundRows)
    return pool.tryTake(this.settings.signature) ?? pool.take(this.settings.signature)
  }

  connectError(shard: ShardView, error: Error): Error {
    if (error instanceof ServerError && (error.kind === 'accountLocked' || error.kind === 'access')) {
      return gateErrors.unreachable({ shard: shardName(shard), cause: error.serverMessage }, error)
    }
    if (error.name === 'SwError' && (error as { code?: string }).code?.startsWith('SW-GATE') === true) throw error
    return gateErrors.unreachable({ shard: shardName(shard), cause: error.message }, error)
  }

  pin(backend: Backend, shard: ShardView, why: readonly Pin[]): void {
    if (this.#pinned === null) this.#pinned = { backend, shard, why: new Set(why) }
    else for (const w of why) this.#pinned.why.add(w)
    backend.dirty = true
  }

  unpin(only?: Pin): void {
    const pinned = this.#pinned
    if (pinned === null) return
    if (only !== undefined) {
      pinned.why.delete(only)
      if (pinned.why.size > 0) return
    }
    this.#pinned = null
    const inBranch = [...(this.transaction?.branches.values() ?? [])].some((b) => b.backend === pinned.backend)
    if (!inBranch) pinned.backend.pool.give(pinned.backend)
  }

  /** Errors: what the server says of a setting. The connection is not used then. */
  async bringToSettings(backend: Backend): Promise<void> {
    const wanted = this.settings.signature
    const statements = statementsBetween(backend.signature, wanted)
    backend.signature = wanted
    if (backend.pool.acceptedSignatures.has(wanted)) {
      for (const sql of statements) this.#pipeline(backend, sql)
      return
    }
    try {
      for (const sql of statements) await backend.connection.query(sql)
    } catch (error) {
      backend.connection.destroy()
      throw error
    }
    backend.pool.acceptedSignatures.add(wanted)
  }

  async beginBranch(branch: Branch, transaction: Transaction): Promise<void> {
    const { backend } = branch
    if (this.nextTransaction.length > 0) await this.#applyNext(backend)
    if (!transaction.explicit) return
    const sql = transaction.beginStatement()
    // A plain BEGIN can't be refused; one with a mode can be, and nothing may run outside it then.
    if (sql === 'BEGIN') this.#pipelineFramed(backend, beginCommand)
    else await backend.connection.query(sql)
    for (const savepoint of transaction.savepoints) await backend.connection.query(savepoint)
  }

  async #applyNext(backend: Backend): Promise<void> {
    for (const sql of this.nextTransaction) await backend.connection.query(sql)
    this.nextTransaction = []
  }

  #pipeline(backend: Backend, sql: string): void {
    this.#pipelineFramed(backend, command(sql))
  }

  #pipelineFramed(backend: Backend, framed: Buffer): void {
    backend.connection.relay(
      framed,
      new SilentSink((end) => {
        if (end instanceof Error || end.kind === 'ok') return
        // It was accepted before: this connection is not what we think it is.
        this.#core.log.warn({ errno: end.errno, message: end.message }, 'a server refused a session setting that it had accepted before')
        backend.connection.destroy()
      }),
    )
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
    const passedOn = this.#relayer.passedOn
    const fresh = transaction === null || (branch !== null && branch.statements === 0 && transaction.branches.size === 1)
    const moving = error.kind === 'readOnly' || ((error.kind === 'interrupted' || error.kind === 'killed') && (await this.#isMoving(shard)))
    // Killed before it told anything: a read may be read again; of a write nobody knows.
    const mayRepeat = error.kind === 'killed' ? request.rereadable : true
    if (moving && !passedOn && mayRepeat && fresh) {
      await this.#abandon(backend, transaction, branch)
      return error.kind === 'readOnly' ? gateErrors.readOnly({ shard: shardName(shard), keyspace: shard.keyspace }, error) : error
    }
    if (transaction !== null && branch !== null) {
      if (moving) {
        this.transaction = null
        await transaction.rollback()
        if (passedOn) {
          this.#relayer.passOn(end)
          return null
        }
        throw gateErrors.movedTransaction({ keyspace: shard.keyspace }, error)
      }
      branch.statements++
      if (request.effect !== 'read') branch.wrote = true
      if (error.kind === 'deadlock') {
        // The server has rolled its branch back; the others must not outlive it.
        this.transaction = null
        await transaction.rollback()
      } else if (transaction.expelled !== null) await transaction.rollback()
      this.#relayer.passOn(end)
      return null
    }
    if (error.kind === 'killed' && !passedOn && request.effect === 'write') {
      backend.connection.destroy()
      throw gateErrors.unknownOutcome({ shard: shardName(shard), cause: end.message }, error)
    }
    this.#relayer.passOn(end)
    this.warnings = 1
    this.affectedRows = -1n
    if (request.pins.length > 0) this.pin(backend, shard, request.pins)
    else this.done(backend, true)
    return null
  }

  async #isMoving(shard: ShardView): Promise<boolean> {
    await this.#core.watch.refreshRouting().catch(() => {})
    const keyspace = this.#core.watch.view.keyspaces.get(shard.keyspace)
    const component = keyspace?.components.find((c) => c.key === shard.component.key)
    return component === undefined || component.phase !== 'stable' || component.epoch !== shard.component.epoch
  }

  /** Nothing was done on this connection: it goes back as if never used. */
  async #abandon(backend: Backend, transaction: Transaction | null, branch: Branch | null): Promise<void> {
    if (transaction === null || branch === null) {
      this.done(backend, false)
      return
    }
    try {
      if (backend.connection.open) await backend.connection.query('ROLLBACK')
    } catch {
      backend.connection.destroy()
    }
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
    if (this.#pinned?.backend === backend) this.unpin()
    const fresh = transaction === null || (branch !== null && branch.statements === 0 && transaction.branches.size === 1)
    const nothingDone =
      error.outcome === 'nothingSent' ||
      (request.rereadable && !this.#relayer.passedOn) ||
      (transaction !== null && request.effect !== 'write' && !this.#relayer.passedOn)
    if (transaction !== null && branch !== null) transaction.dropBranch(branch)
    else backend.pool.give(backend)
    if (this.#relayer.passedOn) {
      // Half an answer is with the client: only ending its connection can tell it so.
      await transaction?.rollback()
      throw new HalfAnswered(shardName(shard), error)
    }
    if (fresh && nothingDone) return { kind: 'refused', cause: gateErrors.unreachable({ shard: shardName(shard), cause }, error) }
    if (transaction !== null) {
      this.transaction = null
      await transaction.rollback()
      throw gateErrors.lostTransaction({ shard: shardName(shard), cause }, error)
    }
    throw gateErrors.unknownOutcome({ shard: shardName(shard), cause }, error)
  }

  #readOk(frame: Buffer): void {
    if (frame[4] !== 0x00) return
    const affected = lenenc(frame, 5)
    const insertId = lenenc(frame, affected.next)
    this.affectedRows = affected.value
    if (insertId.value !== 0n) this.lastInsertId = insertId.value
  }

  /** Everything that the session holds goes back; open transactions are rolled back. */
  async end(): Promise<void> {
    await this.rollback()
    this.releaseAtHand()
    this.unpin()
  }
}

/** A hold began while a connection was waited for. Nothing was done. */
export class HeldMeanwhile extends Error {
  override name = 'HeldMeanwhile'
}

/** The answer broke off after a part of it had been passed on. */
export class HalfAnswered extends Error {
  override name = 'HalfAnswered'
  constructor(shard: string, cause: Error) {
    super(`the answer of shard ${shard} broke off`, { cause })
  }
}

export function command(sql: string): Buffer {
  const bytes = Buffer.byteLength(sql)
  const framed = Buffer.allocUnsafe(bytes + 5)
  framed.writeUInt32LE(bytes + 1, 0)
  framed[4] = 0x03
  framed.write(sql, 5)
  return framed
}

export const interruptedErrno: number = errno.queryInterrupted

function lenenc(data: Buffer, at: number): { value: bigint; next: number } {
  const first = data[at] as number
  if (first < 0xfb) return { value: BigInt(first), next: at + 1 }
  if (first === 0xfc) return { value: BigInt(data.readUInt16LE(at + 1)), next: at + 3 }
  if (first === 0xfd) return { value: BigInt(data.readUIntLE(at + 1, 3)), next: at + 4 }
  return { value: data.readBigUInt64LE(at + 1), next: at + 9 }
}
