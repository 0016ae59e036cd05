/** Connections of one comparison, by server: taken, given back idle, opened up to a number a server, all closed at the end. */
import type { Clock } from '../base/clock.ts'
import { connectPlain, connectReader, type Addresses, type ServerAddress } from '../move/access.ts'
import { moverDefaults } from '../move/config.ts'
import { HangWatch } from '../move/hang-watch.ts'
import type { Connection } from '../mysql/connection.ts'
import { aggregateSessionSql, cellBytesMax } from './comparison.ts'

export class Sessions implements AsyncDisposable {
  readonly #addresses: Addresses
  readonly #perServerMax: number
  readonly cellBytesMax: number
  readonly #known = new Map<string, ServerAddress>()
  readonly #idle = new Map<string, Connection[]>()
  readonly #open = new Map<string, number>()
  readonly #waiters = new Map<string, (() => void)[]>()
  readonly #all = new Set<Connection>()
  readonly #signal: AbortSignal

  readonly #ended = new AbortController()
  readonly #watch: HangWatch

  constructor(options: {
    addresses: Addresses
    clock: Clock
    perServerMax: number
    signal: AbortSignal
    hangMs?: number
    cellBytesMax?: number
  }) {
    this.#watch = HangWatch.begin(
      options.clock,
      options.hangMs ?? moverDefaults.hangMs,
      AbortSignal.any([options.signal, this.#ended.signal]),
    )
    this.#addresses = options.addresses
    this.#perServerMax = options.perServerMax
    this.cellBytesMax = options.cellBytesMax ?? cellBytesMax
    this.#signal = options.signal
    // All of them: whoever gives a session back wakes one, and one that only learns that it is over passes nothing on.
    options.signal.addEventListener('abort', this.#wakeAll, { once: true })
  }

  async address(serverId: string): Promise<ServerAddress> {
    let address = this.#known.get(serverId)
    if (address === undefined) this.#known.set(serverId, (address = await this.#addresses(serverId)))
    return address
  }

  /** Runs `work` on a session that reads bytes, autocommit on. Waits while the server has enough of them. */
  async reader<T>(serverId: string, work: (conn: Connection) => Promise<T>): Promise<T> {
    while ((this.#idle.get(serverId)?.length ?? 0) === 0 && (this.#open.get(serverId) ?? 0) >= this.#perServerMax) {
      this.#signal.throwIfAborted()
      await new Promise<void>((resolve) => {
        const waiters = this.#waiters.get(serverId) ?? []
        this.#waiters.set(serverId, waiters)
        waiters.push(resolve)
      })
    }
    this.#signal.throwIfAborted()
    let conn = this.#idle.get(serverId)?.pop()
    if (conn === undefined) {
      this.#open.set(serverId, (this.#open.get(serverId) ?? 0) + 1)
      try {
        conn = await this.own(serverId)
        await conn.query(aggregateSessionSql(this.cellBytesMax))
      } catch (error) {
        conn?.destroy()
        this.#closed(serverId)
        throw error
      }
      this.#all.add(conn)
    }
    try {
      return await work(conn)
    } finally {
      if (conn.open && !this.#signal.aborted && !conn.inTransaction && conn.outstanding === 0) {
        const idle = this.#idle.get(serverId) ?? []
        this.#idle.set(serverId, idle)
        idle.push(conn)
        this.#waiters.get(serverId)?.shift()?.()
      } else {
        conn.destroy()
        this.#all.delete(conn)
        this.#closed(serverId)
      }
    }
  }

  readonly #asides = new Map<string, { last: Promise<unknown>; conn: Connection | null }>()

  /**
   * Runs `work` on the session of this server that is kept for looks which cannot wait for a reader: those of somebody who holds locks. One after another; each is a moment. Made here the first
   * time, so whoever is to be quick later asks it for something before.
   */
  async aside<T>(serverId: string, work: (conn: Connection) => Promise<T>): Promise<T> {
    const kept = this.#asides.get(serverId) ?? { last: Promise.resolve(), conn: null }
    this.#asides.set(serverId, kept)
    const done = kept.last.then(async () => {
      this.#signal.throwIfAborted()
      if (kept.conn?.open !== true) this.#all.add((kept.conn = await this.own(serverId)))
      return work(kept.conn)
    })
    kept.last = done.catch(() => undefined)
    return done
  }

  /** A session of one's own; the caller destroys it. Not counted. */
  async plain(serverId: string): Promise<Connection> {
    return this.#watched(serverId, connectPlain)
  }

  async own(serverId: string): Promise<Connection> {
    return this.#watched(serverId, connectReader)
  }

  async #watched(serverId: string, connect: typeof connectPlain): Promise<Connection> {
    const address = await this.address(serverId)
    const conn = await connect(address, this.#signal)
    this.#watch.add(conn, address)
    return conn
  }

  #closed(serverId: string): void {
    this.#open.set(serverId, (this.#open.get(serverId) ?? 1) - 1)
    this.#waiters.get(serverId)?.shift()?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#all) conn.destroy()
    this.#ended.abort()
    this.#signal.removeEventListener('abort', this.#wakeAll)
    this.#wakeAll()
    this.#all.clear()
  }

  readonly #wakeAll = (): void => {
    for (const waiters of this.#waiters.values()) for (const wake of waiters.splice(0)) wake()
  }
}
