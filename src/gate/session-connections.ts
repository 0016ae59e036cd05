/**
 * The server connections of one session, outside and inside transactions: which one a statement must or may use, and how it is
 * brought to what the session has set.
 *
 * - *pinned*: carries state that can't be told to another one (user variables, temporary tables, named locks); stays with the session.
 * - *at hand*: the statement before may be asked about (SHOW WARNINGS, FOUND_ROWS()); let go when anybody else needs it.
 */
import { isSwError } from '../base/errors.ts'
import { ServerError } from '../mysql/errors.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import type { Pin } from './plan/plan.ts'
import type { Agreed } from './pools.ts'
import { SilentSink } from './relay.ts'
import { command } from './replies.ts'
import { statementsBetween, type SessionSettings, readsOtherwise } from './settings.ts'
import { shardName, type Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

export class SessionConnections {
  readonly #core: Core
  readonly settings: SessionSettings
  readonly agreed: Agreed
  /** What SHOW WARNINGS says of a statement that ran on several of them: level, code, message. */
  said: readonly (readonly (string | null)[])[] | null = null
  #pinned: { backend: Backend; shard: ShardView; why: Set<Pin> } | null = null
  #atHand: Backend | null = null
  readonly #letGo = (): void => this.releaseAtHand()

  constructor(core: Core, settings: SessionSettings, agreed: Agreed) {
    this.#core = core
    this.settings = settings
    this.agreed = agreed
  }

  /** A branch does not need it any more. */
  release(backend: Backend): void {
    if (this.#pinned?.backend !== backend) backend.pool.give(backend)
  }

  /** The pinned connection was brought to these settings by the client's own SET. */
  pinnedHas(signature: string): void {
    if (this.#pinned !== null) this.#pinned.backend.signature = signature
  }

  isPinned(backend: Backend): boolean {
    return this.#pinned?.backend === backend
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
  known(shard: ShardView, transaction: Transaction | null, needsPrevious: boolean): Backend | undefined {
    const pinned = this.#pinned
    if (pinned !== null && (pinned.shard.uid !== shard.uid || !pinned.backend.connection.open)) {
      if (pinned.shard.keyspace === shard.keyspace) {
        const state = [...pinned.why].join(', ')
        this.unpin(transaction)
        throw gateErrors.sessionStateLost({ state, keyspace: shard.keyspace })
      }
    }
    const branch = transaction?.branches.get(shard.uid)
    if (branch !== undefined) return branch.backend
    if (pinned !== null && pinned.shard.uid === shard.uid) return pinned.backend
    const atHand = this.#atHand
    if (atHand === null) return undefined
    const same = this.#core.pools.owns(shard, this.agreed, atHand.pool) && atHand.connection.open
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

  /** A connection from the pool. Errors are those of connecting: nothing was sent. */
  take(shard: ShardView): Backend | Promise<Backend> {
    return this.#core.pools.take(shard, this.agreed, this.settings.signature)
  }

  pin(backend: Backend, shard: ShardView, why: readonly Pin[]): void {
    if (this.#pinned === null) this.#pinned = { backend, shard, why: new Set(why) }
    else for (const w of why) this.#pinned.why.add(w)
    backend.dirty = true
  }

  /** @param transaction under way: its connections go back when it ends */
  unpin(transaction: Transaction | null, only?: Pin): void {
    const pinned = this.#pinned
    if (pinned === null) return
    if (only !== undefined) {
      pinned.why.delete(only)
      if (pinned.why.size > 0) return
    }
    this.#pinned = null
    const inBranch = [...(transaction?.branches.values() ?? [])].some((b) => b.backend === pinned.backend)
    if (!inBranch) pinned.backend.pool.give(pinned.backend)
  }

  /** Errors: what the server says of a setting. The connection is not used then. */
  async bringToSettings(backend: Backend): Promise<void> {
    const wanted = this.settings.signature
    const statements = statementsBetween(backend.signature, wanted)
    // What was prepared there was read otherwise.
    if (backend.statements.size > 0 && readsOtherwise(backend.signature, wanted)) backend.pool.forgetAll(backend)
    backend.signature = wanted
    if (backend.pool.acceptedSignatures.has(wanted)) {
      for (const sql of statements) this.pipeline(backend, sql)
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

  pipeline(backend: Backend, sql: string): void {
    this.pipelineFramed(backend, command(sql))
  }

  pipelineFramed(backend: Backend, framed: Buffer): void {
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
}

/** Connecting failed: what a client is told, unless it can be tried again. */
export function connectError(shard: ShardView, error: Error): Error {
  // It says what to do better than we could.
  if (isSwError(error, 'SW-MYSQL-019')) return error
  if (error instanceof ServerError && (error.kind === 'accountLocked' || error.kind === 'access')) {
    return gateErrors.unreachable({ shard: shardName(shard), cause: error.serverMessage }, error)
  }
  if (error.name === 'SwError' && (error as { code?: string }).code?.startsWith('SW-GATE') === true) throw error
  return gateErrors.unreachable({ shard: shardName(shard), cause: error.message }, error)
}
