/**
 * A bounded pool of connections to one server under one account. Who takes a connection gives it back idle and with no
 * transaction open; one that is not so is destroyed, so that nothing of one user's session reaches the next. Nothing is
 * retried: a connection that turns out to be dead fails its statement with `nothingSent` or `outcomeUnknown`.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from './connection.ts'
import { mysqlErrors } from './errors.ts'

export type PoolOptions = {
  /** For messages. */
  server: string
  connect(signal?: AbortSignal): Promise<Connection>
  size: number
  /** How long `take` waits for a free one. */
  waitMs: number
  clock: Clock
  /** COM_RESET_CONNECTION before each reuse: session variables, user variables, locks, temporary tables. Default: none. */
  onReuse?: 'reset' | 'none'
}

type Waiter = { resolve(connection: Connection): void; reject(error: unknown): void }

export class Pool implements AsyncDisposable {
  readonly #options: PoolOptions
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  #connecting = 0
  #waiters: Waiter[] = []
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.size + this.#connecting
  }

  get idle(): number {
    return this.#idle.length
  }

  /** @throws SW-MYSQL-012 closed, SW-MYSQL-013 none free in time, and what connecting throws */
  async take(signal?: AbortSignal): Promise<Connection> {
    if (this.#closed) throw mysqlErrors.poolClosed({ server: this.#options.server })
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.open) continue
      if (this.#options.onReuse !== 'reset') return connection
      try {
        await connection.reset()
        return connection
      } catch {
        connection.destroy()
      }
    }
    if (this.size < this.#options.size) return this.#open(signal)
    return this.#wait(signal)
  }

  /** Gives a connection back. */
  give(connection: Connection): void {
    if (!this.#all.has(connection)) return
    if (this.#closed || connection.inTransaction || connection.outstanding > 0) {
      connection.destroy()
      return
    }
    if (!connection.open) return
    this.#idle.push(connection)
    this.#serve()
  }

  async with<T>(work: (connection: Connection) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const connection = await this.take(signal)
    try {
      return await work(connection)
    } finally {
      this.give(connection)
    }
  }

  /** Ends idle connections; those in use are ended when given back. */
  async close(): Promise<void> {
    this.#closed = true
    const error = mysqlErrors.poolClosed({ server: this.#options.server })
    const waiters = this.#waiters
    this.#waiters = []
    for (const waiter of waiters) waiter.reject(error)
    await Promise.all(this.#idle.splice(0).map((connection) => connection.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #open(signal?: AbortSignal): Promise<Connection> {
    this.#connecting++
    try {
      const connection = await this.#options.connect(signal)
      this.#all.add(connection)
      connection.onClose(() => {
        this.#all.delete(connection)
        const at = this.#idle.indexOf(connection)
        if (at >= 0) this.#idle.splice(at, 1)
        this.#serve()
      })
      if (this.#closed) {
        connection.destroy()
        throw mysqlErrors.poolClosed({ server: this.#options.server })
      }
      return connection
    } finally {
      this.#connecting--
    }
  }

  async #wait(signal?: AbortSignal): Promise<Connection> {
    const { clock, server, size, waitMs } = this.#options
    const done = new AbortController()
    const waiter: Waiter = { resolve() {}, reject() {} }
    const served = new Promise<Connection>((resolve, reject) => {
      waiter.resolve = resolve
      waiter.reject = reject
    })
    this.#waiters.push(waiter)
    const give = (error: unknown): void => {
      const at = this.#waiters.indexOf(waiter)
      if (at < 0) return
      this.#waiters.splice(at, 1)
      waiter.reject(error)
    }
    const onAbort = (): void => give(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    clock.sleep(waitMs, done.signal).then(
      () => give(mysqlErrors.poolExhausted({ server, size, timeoutMs: waitMs })),
      () => {},
    )
    try {
      return await served
    } finally {
      done.abort()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** A connection came back, or one is gone and another may be opened: the oldest waiter gets it. */
  #serve(): void {
    if (this.#waiters.length === 0 || (this.#idle.length === 0 && this.size >= this.#options.size)) return
    const waiter = this.#waiters.shift() as Waiter
    this.take().then(waiter.resolve, waiter.reject)
  }
}
