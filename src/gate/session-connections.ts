/**
 * The server connections of one session, outside and inside transactions: which one a statement must or may use, and how it is
 * brought to what the session has set.
 *
 * - *pinned*: carries state that can't be told to another one (user variables, temporary tables, named locks); stays with the session.
 * - *at hand*: the statement before may be asked about (SHOW WARNINGS, FOUND_ROWS()); let go when anybody else needs it.
 */
import { isSwError } from '../base/errors.ts'
import { ServerError } from '../mysql/errors.ts'
import type { Value } from '../sql/value.ts'
import type { Backend, Need } from './backend.ts'
import { bringTo, pipelineFramed, pipelineSetting, type Refusal } from './backend-settings.ts'
import type { Result } from '../mysql/connection.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { notBegun } from './failures.ts'
import { setVariables } from './kept-values.ts'
import type { Pin } from './plan/plan.ts'
import type { Agreed } from './pools.ts'
import type { Request } from './request.ts'
import { saidOn, type Said } from './scatter-warnings.ts'
import { withoutVariables, type SessionSettings } from './settings.ts'
import { modeOf } from './statement-text.ts'
import { shardName, type Transaction } from './transaction.ts'
import type { ShardView } from './view.ts'

const lasting: readonly Pin[] = ['temporary-table', 'get-lock', 'handler', 'unknown', 'server-state']
/** It may have left what COM_RESET_CONNECTION does not take back: a role is kept by both flavours, on MariaDB by COM_CHANGE_USER too. */
const beyondReset: readonly Pin[] = ['unknown', 'server-state']
const setting: readonly Pin[] = ['user-variable', 'routine', 'unknown']

type Pinned = { readonly backend: Backend; readonly shard: ShardView; readonly why: Set<Pin> }

export class SessionConnections {
  readonly #core: Core
  readonly settings: SessionSettings
  readonly agreed: Agreed
  /** The number of the session. */
  readonly session: number
  #said: Said | null = null
  /**
   * User variables that the gate has, by name in lower case. Where a connection has them (`variablesOn`): those that were asked of it, good for the statement
   * that asked.
   */
  readonly variables = new Map<string, Value>()
  /** By keyspace. */
  readonly #pins = new Map<string, Pinned>()
  #atHand: Backend | null = null
  /** How many warnings the answer of the statement told of that was last kept at hand for; null: it failed. */
  #told: number | null = 0
  /** What the connection at hand had to say when somebody else needed it: null when it was lost over that. */
  #leaving: Promise<Said | null> | null = null
  /** Ends the waits of the statement that runs. */
  signal: AbortSignal | null = null
  readonly #letGo = (): Promise<void> | undefined => {
    const backend = this.#takeAtHand()
    return backend === null ? undefined : this.#give(backend, this.#told)
  }
  readonly #refused = (end: Refusal): void =>
    this.#core.log.warn({ errno: end.errno, message: end.message }, 'a server refused a session setting that it had accepted before')

  constructor(core: Core, settings: SessionSettings, agreed: Agreed, session: number) {
    this.#core = core
    this.settings = settings
    this.agreed = agreed
    this.session = session
  }

  /** What SHOW WARNINGS says of the statement before where no connection is to be asked for it. */
  get said(): Said | null {
    return this.#said
  }

  set said(said: Said | null) {
    this.#said = said
    this.#leaving = null
  }

  /** It is on its way (`left`). */
  get leaving(): boolean {
    return this.#leaving !== null
  }

  /** Errors: SW-GATE-012 it was lost. */
  async left(): Promise<void> {
    const leaving = this.#leaving
    if (leaving === null) return
    const said = await leaving
    if (said === null)
      throw gateErrors.notForwarded({
        construct: 'what the statement before was warned of',
        reason: 'its connection was needed for others and lost before that was told',
        fix: 'run the statement again where that does no harm',
      })
    this.said = said
  }

  /** A branch does not need it any more. */
  release(backend: Backend): void {
    if (!this.isPinned(backend)) backend.pool.give(backend)
  }

  /** The pinned connection was brought to these settings by the client's own SET. */
  pinnedHas(keyspace: string, signature: string): void {
    const pinned = this.#pins.get(keyspace)
    if (pinned !== undefined) pinned.backend.signature = signature
  }

  isPinned(backend: Backend): boolean {
    if (this.#pins.size === 0) return false
    for (const pinned of this.#pins.values()) if (pinned.backend === backend) return true
    return false
  }

  /** Errors: SW-GATE-012 the session's user variables are on a connection to another keyspace. */
  requireVariables(keyspace: string): void {
    for (const [home, { why }] of this.#pins)
      if (home !== keyspace && mayHaveSet(why))
        throw gateErrors.notForwarded({
          construct: `a user variable in keyspace ${keyspace}`,
          reason: `the session's variables are on its connection to keyspace ${home}`,
          fix: `set and read them in ${home} only, or use another session for ${keyspace}`,
        })
  }

  /** The keyspace on whose connection the session's user variables are, for all that is known; null: the gate has them. */
  get variablesOn(): string | null {
    for (const [keyspace, { why }] of this.#pins) if (mayHaveSet(why)) return keyspace
    return null
  }

  #hasVariables(backend: Backend): boolean {
    for (const pinned of this.#pins.values()) if (pinned.backend === backend && mayHaveSet(pinned.why)) return true
    return false
  }

  /** From now on they are a connection's, which nothing is to be brought back to what they were before. */
  forgetVariables(): void {
    this.variables.clear()
    this.settings.forgetVariables()
    for (const { backend } of this.#pins.values()) backend.signature = withoutVariables(backend.signature)
  }

  /** For what names user variables, or may read them unseen. Who may set them keeps the connection, and they are its own then (`pin`). */
  async tellVariables(backend: Backend, { readsVariables, needsPrevious, pins }: Request): Promise<void> {
    if (this.variablesOn !== null || (readsVariables !== true && !mayHaveSet(pins))) return
    if (needsPrevious)
      throw gateErrors.notForwarded({
        construct: 'a user variable in a statement that asks about the one before',
        reason: 'the gate has the variable, and would have to set it in between',
        fix: 'ask in a statement of its own',
      })
    // Nobody else may find them there.
    backend.dirty = true
    await backend.connection.query(setVariables(this.variables, modeOf(this.settings)))
  }

  /**
   * An autocommit statement ended: the connection goes back, or stays at hand for what asks about that statement.
   * @param given how many warnings there are to ask for; null: an error; `as before`: it asked about the statement before, of which its connection still tells
   */
  done(backend: Backend, keepAtHand: boolean, given: number | null | 'as before' = 0): void {
    const told = given === 'as before' ? this.#told : given
    if (this.isPinned(backend)) return
    if (this.#atHand !== null && this.#atHand !== backend) this.releaseAtHand()
    if (
      (keepAtHand || backend.drawn !== null) &&
      backend.connection.open &&
      !backend.connection.inTransaction &&
      backend.pool.linger(this.#letGo)
    ) {
      this.#atHand = backend
      this.#told = told
      return
    }
    void this.#give(backend, told)
  }

  releaseAtHand(): void {
    const backend = this.#takeAtHand()
    backend?.pool.give(backend)
  }

  #takeAtHand(): Backend | null {
    const backend = this.#atHand
    this.#atHand = null
    backend?.pool.unlinger(this.#letGo)
    return backend
  }

  /** What the client may ask for next is asked before others have the connection. @returns when it is back; undefined: it is */
  #give(backend: Backend, told: number | null): Promise<void> | undefined {
    if (told === 0 || this.#said !== null) {
      backend.pool.give(backend)
      return undefined
    }
    const asked = saidOn(backend.connection, told).catch(() => null)
    this.#leaving = asked
    return backend.pool.giveAfter(backend, asked)
  }

  /** A connection that this session must or may use: its branch, its pinned one, the one at hand. */
  known(shard: ShardView, transaction: Transaction | null, needsPrevious: boolean): Backend | undefined {
    const pinned = this.#pins.size === 0 ? undefined : this.#pinned(shard, transaction)
    const branch = transaction?.branches.get(shard.uid)
    if (branch !== undefined) return branch.backend
    if (pinned !== undefined) return pinned
    const atHand = this.#takeAtHand()
    if (atHand === null) return undefined
    const same = this.#core.pools.owns(shard, this.agreed, atHand.pool) && atHand.connection.open
    if (same && (needsPrevious || atHand.signature === this.settings.signature)) return atHand
    atHand.pool.give(atHand)
    return undefined
  }

  #pinned(shard: ShardView, transaction: Transaction | null): Backend | undefined {
    const pinned = this.#pins.get(shard.keyspace)
    if (pinned === undefined || (pinned.shard.uid === shard.uid && pinned.backend.connection.open)) return pinned?.backend
    const state = [...pinned.why].join(', ')
    if (mayHaveSet(pinned.why)) this.forgetVariables()
    this.#unpinOf(shard.keyspace, pinned, transaction)
    throw gateErrors.sessionStateLost({ state, keyspace: shard.keyspace })
  }

  get atHand(): Backend | null {
    return this.#atHand
  }

  /** Whose connection was pinned for that. */
  keyspacesWith(why: Pin): string[] {
    return [...this.#pins].flatMap(([keyspace, pinned]) => (pinned.why.has(why) ? [keyspace] : []))
  }

  /** Asked of the connection that is pinned to a keyspace's server; null: none is. Errors: SW-GATE-020 it is lost. */
  async askPinned(keyspace: string, sql: string | Buffer, transaction: Transaction | null): Promise<Result | null> {
    const shard = this.#core.watch.view.keyspaces.get(keyspace)?.shards[0]
    const backend = shard === undefined ? undefined : this.#pinned(shard, transaction)
    if (shard === undefined || backend === undefined) return null
    try {
      if (backend.signature !== this.settings.unlimited) await this.bringToSettings(backend)
      return await backend.connection.query(sql)
    } catch (error) {
      this.#pinned(shard, transaction)
      throw error
    }
  }

  /** A connection has what the client made there and will come back to: a gate that ends waits for it as for a transaction. Variables are set anew by whoever connects anew. */
  get keepsWork(): boolean {
    for (const { why } of this.#pins.values()) if (has(why, lasting)) return true
    return false
  }

  get pinned(): boolean {
    return this.#pins.size > 0
  }

  /** A connection for one statement outside transactions, brought to the session's settings; give it back by `done`. */
  async openPlain(shard: ShardView, wanted = this.settings.unlimited, need: Need = 'write'): Promise<Backend> {
    const backend = await this.take(shard, wanted, need)
    try {
      if (backend.signature !== wanted) await this.bringToSettings(backend, wanted)
    } catch (error) {
      backend.pool.give(backend)
      throw error
    }
    return backend
  }

  /** A connection from the pool. Errors are those of connecting: nothing was sent. */
  take(shard: ShardView, wanted = this.settings.unlimited, need: Need = 'write'): Backend | Promise<Backend> {
    return this.#core.pools.take(shard, this.agreed, wanted, this.signal, this, need)
  }

  pin(backend: Backend, shard: ShardView, why: readonly Pin[]): void {
    const pinned = this.#pins.get(shard.keyspace)
    if (pinned === undefined) this.#pins.set(shard.keyspace, { backend, shard, why: new Set(why) })
    else for (const w of why) pinned.why.add(w)
    backend.dirty = true
    if (this.variables.size > 0 && mayHaveSet(why)) this.forgetVariables()
  }

  /** @param transaction under way: its connections go back when it ends */
  unpin(transaction: Transaction | null, only?: Pin): void {
    for (const [keyspace, pinned] of this.#pins) {
      if (only !== undefined) pinned.why.delete(only)
      if (only === undefined || pinned.why.size === 0) this.#unpinOf(keyspace, pinned, transaction)
    }
  }

  #unpinOf(keyspace: string, { backend, why }: Pinned, transaction: Transaction | null): void {
    this.#pins.delete(keyspace)
    backend.spoiled ||= has(why, beyondReset)
    const inBranch = [...(transaction?.branches.values() ?? [])].some((b) => b.backend === backend)
    if (!inBranch) backend.pool.give(backend)
  }

  /**
   * Errors: what the server says of a setting. The connection is not used then.
   * @param wanted the session's settings; without its sql_select_limit unless the client's own SELECT runs as it stands
   */
  async bringToSettings(backend: Backend, wanted = this.settings.unlimited): Promise<void> {
    if (!this.#hasVariables(backend)) return await bringTo(backend, wanted, this.#refused)
    // What the settings say of user variables is what was asked of this one, for others: to be brought to it, or from it, would set them.
    backend.signature = withoutVariables(backend.signature)
    const own = withoutVariables(wanted)
    if (backend.signature !== own) await bringTo(backend, own, this.#refused)
  }

  pipeline(backend: Backend, sql: string): void {
    pipelineSetting(backend, sql, this.#refused)
  }

  /** What comes next on this connection is in a transaction, or of an outcome that is told as what it is (`ranOutside`). */
  pipelineBegin(backend: Backend, framed: Buffer): void {
    pipelineFramed(backend, framed, notBegun)
  }
}

/** Whether a statement that keeps its connection for that may have set user variables there, or reads them where that can't be seen. */
export function mayHaveSet(why: Iterable<Pin>): boolean {
  return has(why, setting)
}

function has(why: Iterable<Pin>, some: readonly Pin[]): boolean {
  for (const pin of why) if (some.includes(pin)) return true
  return false
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
