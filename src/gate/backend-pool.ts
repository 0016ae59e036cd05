/**
 * Connections to one schema of one server, shared by the gate's sessions as `sw_gate`.
 *
 * A connection is *clean* when all that it carries of a session is named by its signature (settings.ts) and by its cached
 * prepared statements, which are invisible to others. One that carries more (user variables, named locks, temporary
 * tables) is reset by COM_RESET_CONNECTION before it is used again; one with an open transaction never comes back: it is
 * destroyed, and the server rolls back.
 *
 * Where a reset hides cascades from the binlog (`Flavour.resetHidesCascades`), what was reset is used only where nothing is written: rows that streams can not follow never come through the
 * gate.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { ConnectionLost, ServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { closeStatement, fits, isStruck, keepsHistory, type Backend, type BackendStatement, type Holder, type Need } from './backend.ts'
import type { ConnectionBudget } from './connection-budget.ts'
import { gateErrors } from './errors.ts'
import { withoutInstant } from './settings.ts'

/** A promise: it is given back when that resolves. */
type Release = () => Promise<void> | undefined

/** Those that are of no use for writes; more would only keep places of the budget. */
const readersKept = 4

type Waiter = { readonly need: Need; resolve(backend: Backend): void; reject(error: Error): void }

export type BackendPoolOptions = {
  clock: Clock
  /** For messages. */
  shard: string
  /** Chosen anew after each reset, which leaves the one that is in use: MariaDB's EXECUTE IMMEDIATE 'USE …', also in a procedure; none after DROP DATABASE. */
  schema: string
  budget: ConnectionBudget
  waitMs: number
  idleMs: number
  /** A server that is not done with a reset after this is not waited for. */
  resetMs: number
  statementsMax: number
  /** The open connections of all pools. */
  open: Set<Backend>
  connect(): Promise<Connection>
}

export class BackendPool {
  readonly #options: BackendPoolOptions
  readonly #idle: Backend[] = []
  readonly #waiters: Waiter[] = []
  readonly #all = new Set<Backend>()
  /** Sessions that keep a connection only in case of SHOW WARNINGS: asked to let go when it is needed. */
  readonly #lingering = new Set<Release>()
  #connecting = 0
  /** Let go of, and about to be here. */
  #returning = 0
  #closed = false
  #closedError: Error = gateErrors.draining()
  /** Signatures that this server has accepted: setting them may be pipelined before a statement. */
  readonly acceptedSignatures = new Set<string>([''])

  constructor(options: BackendPoolOptions) {
    this.#options = options
    options.budget.join(this)
  }

  get size(): number {
    return this.#all.size + this.#connecting
  }

  /** Connections that somebody uses, or waits for. */
  get busy(): number {
    return this.#all.size - this.#idle.length + this.#waiters.length
  }

  get closed(): boolean {
    return this.#closed
  }

  /** A free connection, one with these settings if there is one near the top; undefined: `take` waits for one. */
  tryTake(signature: string, holder: Holder | null = null, need: Need = 'write'): Backend | undefined {
    const backend = this.#tryTake(signature, need)
    if (backend !== undefined) backend.holder = holder
    return backend
  }

  #tryTake(signature: string, need: Need): Backend | undefined {
    const idle = this.#idle
    const wanted = withoutInstant(signature)
    // What can't be written by is used up first where nothing is.
    if (need === 'read') {
      const reader = this.#outOf(idle.findLastIndex(({ hidesCascades }) => hidesCascades))
      if (reader !== undefined) return reader
    }
    for (let i = idle.length - 1, seen = 0; i >= 0 && seen < 8; i--, seen++) {
      const backend = idle[i] as Backend
      if (!fits(backend, need) || (backend.signature !== wanted && withoutInstant(backend.signature) !== wanted)) continue
      const taken = this.#outOf(i)
      if (taken !== undefined) return taken
    }
    for (let i = idle.length - 1; i >= 0; i--) {
      const taken = fits(idle[i] as Backend, need) ? this.#outOf(i) : undefined
      if (taken !== undefined) return taken
    }
    return undefined
  }

  /** Out of those that are idle; undefined: it is none, or closed. */
  #outOf(at: number): Backend | undefined {
    const backend = this.#idle[at]
    if (backend === undefined) return undefined
    if (at === this.#idle.length - 1) this.#idle.pop()
    else this.#idle.splice(at, 1)
    return backend.connection.open ? backend : undefined
  }

  /** Errors: what connecting gives, SW-GATE-014, the signal's reason. Nothing was sent in any case. */
  take(signature: string, signal: AbortSignal | null = null, holder: Holder | null = null, need: Need = 'write'): Promise<Backend> {
    const free = this.tryTake(signature, holder, need)
    if (free !== undefined) return Promise.resolve(free)
    const released = this.#lingering.values().next()
    if (released.done !== true) {
      // Kept only in case of a question: it is at hand sooner than a new one.
      this.#release(released.value)
      const freed = this.tryTake(signature, holder, need)
      if (freed !== undefined) return Promise.resolve(freed)
    }
    return this.#wait(need, signal, holder)
  }

  /** A new connection in the place of one that its holder has not used yet. Errors: as those of `take`. */
  renewed(backend: Backend, signal: AbortSignal | null = null): Promise<Backend> {
    if (backend.fresh) return Promise.resolve(backend)
    const { holder } = backend
    backend.connection.destroy()
    return this.#wait('fresh', signal, holder)
  }

  #wait(need: Need, signal: AbortSignal | null, holder: Holder | null): Promise<Backend> {
    if (this.#closed) return Promise.reject(this.#closedError)
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    return new Promise<Backend>((resolve, reject) => {
      const giveUp = (why: Error): void => {
        const at = this.#waiters.indexOf(waiter)
        if (at < 0) return
        this.#waiters.splice(at, 1)
        waiter.reject(why)
      }
      const stopped = (): void => giveUp(signal?.reason as Error)
      const over = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stopped)
      }
      const timer = setTimeout(() => {
        const { shard, waitMs, budget } = this.#options
        giveUp(gateErrors.poolTimeout({ shard, waitedMs: waitMs, max: budget.max }))
      }, this.#options.waitMs)
      const waiter: Waiter = {
        need,
        resolve(backend) {
          over()
          backend.holder = holder
          resolve(backend)
        },
        reject(error) {
          over()
          reject(error)
        },
      }
      signal?.addEventListener('abort', stopped, { once: true })
      this.#waiters.push(waiter)
      this.mayGrow()
    })
  }

  /** Opens as many connections as somebody waits for and the server's budget allows. */
  mayGrow(): void {
    while (!this.#closed && this.#lacking > this.#connecting) {
      if (!this.#options.budget.take(this)) {
        // Those who wait can't use what is idle here, or would have it.
        if (this.#idle.length > 0) this.closeIdle()
        return
      }
      this.#connecting++
      void this.#grow()
    }
  }

  /** Connections that have to be opened, or are being opened, for those who wait. */
  get #lacking(): number {
    const fresh = this.#waiters.reduce((count, { need }) => count + Number(need === 'fresh'), 0)
    return fresh + Math.max(0, this.#waiters.length - fresh - this.#returning)
  }

  /** Closes one idle connection, the one unused longest; false when there is none. */
  closeIdle(): boolean {
    const backend = this.#idle.shift()
    if (backend === undefined) {
      const released = this.#lingering.values().next()
      if (released.done === true) return false
      // It is closed when it comes, as a place is wanted.
      if (this.#release(released.value)) return true
      return this.#idle.length > 0 && this.closeIdle()
    }
    backend.connection.destroy()
    return true
  }

  async #grow(): Promise<void> {
    try {
      const connection = await this.#options.connect()
      this.#connecting--
      const backend: Backend = {
        connection,
        pool: this,
        signature: '',
        dirty: false,
        fresh: true,
        hidesCascades: false,
        spoiled: false,
        drawn: null,
        statements: new Map(),
        lastUsedMs: this.#options.clock.monotonicMs(),
        holder: null,
      }
      if (this.#closed) {
        connection.onClose(() => this.#options.budget.give())
        void connection.close()
        return
      }
      this.#all.add(backend)
      this.#options.open.add(backend)
      connection.onClose(() => {
        this.#all.delete(backend)
        this.#options.open.delete(backend)
        const at = this.#idle.indexOf(backend)
        if (at >= 0) this.#idle.splice(at, 1)
        this.#options.budget.give()
        // Whoever waited for this one needs another.
        this.mayGrow()
      })
      this.#offer(backend)
    } catch (error) {
      this.#connecting--
      this.#options.budget.give()
      // The server has no room: whoever waits gets one of ours when it comes back, or the place of one that is of no use to it.
      if (error instanceof ServerError && error.kind === 'tooManyConnections' && this.#all.size > 0) {
        if (this.#waiters.length > 0 && this.#idle.length > 0) this.closeIdle()
        return
      }
      // One failure fails everyone who waits for a new connection: they decide whether to wait for routing to change.
      const failed = this.#all.size === 0 ? this.#waiters.splice(0) : this.#waiters.splice(0, 1)
      for (const waiter of failed) waiter.reject(error as Error)
    }
  }

  /** Gives a connection back. It must have no open transaction and no outstanding command. */
  give(backend: Backend): void {
    backend.holder = null
    backend.drawn = null
    backend.fresh = false
    if (!backend.connection.open) return
    const { connection } = backend
    if (this.#closed || backend.spoiled || isStruck(connection) || connection.inTransaction || connection.outstanding > 0) {
      connection.destroy()
      return
    }
    if (!backend.dirty) {
      this.#offer(backend)
      return
    }
    const hidesCascades = flavourOf(connection).resetHidesCascades(connection)
    // Those that are about to be reset count.
    const readers = [...this.#all].filter((one) => one !== backend && one.hidesCascades && one.holder === null)
    if (hidesCascades && readers.length >= readersKept) return connection.destroy()
    backend.hidesCascades = hidesCascades
    const reset = Promise.all([connection.reset(), connection.useDatabase(this.#options.schema), keepsHistory(connection)])
    this.#orEnd(connection, reset).then(
      ([, , keeps]) => {
        if (keeps) return connection.destroy()
        backend.dirty = false
        backend.signature = ''
        backend.statements.clear()
        this.#offer(backend)
      },
      () => connection.destroy(),
    )
  }

  /** True: it will be here when it was asked something. */
  #release(release: Release): boolean {
    const back = release()
    if (back === undefined) return false
    this.#returning++
    void back.then(() => {
      this.#returning--
      // It may be lost, or not clean.
      this.mayGrow()
    })
    return true
  }

  /** When that is answered. Resolves when it was given back. */
  async giveAfter(backend: Backend, answered: Promise<unknown>): Promise<void> {
    await this.#orEnd(backend.connection, answered)
    this.give(backend)
  }

  /** A server that does not answer is not waited for. */
  async #orEnd<T>(connection: Connection, answered: Promise<T>): Promise<T> {
    const late = setTimeout(() => connection.destroy(), this.#options.resetMs)
    try {
      return await answered
    } finally {
      clearTimeout(late)
    }
  }

  #offer(backend: Backend): void {
    if (!backend.connection.open) return
    if (this.#closed) {
      void backend.connection.close().catch(() => {})
      return
    }
    const at = this.#waiters.findIndex(({ need }) => fits(backend, need))
    const waiter = this.#waiters[at]
    if (waiter !== undefined) {
      this.#waiters.splice(at, 1)
      waiter.resolve(backend)
      return
    }
    // Whoever still waits can't use it.
    if (this.#options.budget.wanted || this.#lacking > this.#connecting) {
      backend.connection.destroy()
      return
    }
    backend.lastUsedMs = this.#options.clock.monotonicMs()
    this.#idle.push(backend)
  }

  /** True when the session may keep the connection a while; `release` is called when somebody else needs it. */
  linger(release: Release): boolean {
    if (this.#waiters.length > 0 || this.#options.budget.wanted || this.#closed) return false
    this.#lingering.add(release)
    return true
  }

  unlinger(release: Release): void {
    this.#lingering.delete(release)
  }

  remember(backend: Backend, text: string, statement: BackendStatement): void {
    backend.statements.set(text, statement)
    if (backend.statements.size <= this.#options.statementsMax) return
    const [oldest] = backend.statements
    if (oldest === undefined) return
    backend.statements.delete(oldest[0])
    closeStatement(backend.connection, oldest[1].id)
  }

  /** A statement that its cache does not name any more. */
  forget(backend: Backend, id: number): void {
    closeStatement(backend.connection, id)
  }

  forgetAll(backend: Backend): void {
    for (const { id } of backend.statements.values()) closeStatement(backend.connection, id)
    backend.statements.clear()
  }

  /** Closes what was idle too long. Called now and then. */
  trim(nowMs: number): void {
    const limit = nowMs - this.#options.idleMs
    while (this.#idle.length > 0 && (this.#idle[0] as Backend).lastUsedMs < limit) {
      const backend = this.#idle.shift() as Backend
      void backend.connection.close().catch(() => {})
    }
  }

  /** The shard serves no more. Who waits was sent nowhere, so routing is asked again for it: no client hears of a switch. */
  retire(): void {
    this.close(new ConnectionLost('nothingSent', this.#options.shard))
  }

  /** Idle connections end now, others when given back; who waits is told why. */
  close(why: Error = gateErrors.draining()): void {
    if (this.#closed) return
    this.#closed = true
    this.#closedError = why
    this.#options.budget.part(this)
    for (const waiter of this.#waiters.splice(0)) waiter.reject(why)
    for (const backend of this.#idle.splice(0)) void backend.connection.close().catch(() => {})
  }

  destroy(): void {
    this.close()
    for (const backend of this.#all) backend.connection.destroy()
  }
}
