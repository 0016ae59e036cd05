/**
 * Table locks held by a session: they let running writers end in order before the lasting fence is laid, so that no client's COMMIT
 * meets it. Safety does not rest on them (PROTOCOLS 3, step 4).
 *
 * - autocommit=0: at autocommit=1 MariaDB grants LOCK TABLES over a prepared XA transaction.
 * - A second session, since the claimed one must go on writing (1100, 1192). It takes GET_LOCK('sw:…:lock') and *then* the claimed
 *   session must answer: a stale controller's claimed session is dead, and one that is claimed after this kills the lock's holder.
 * - wait_timeout is the lease, and the session is pinged: a paused holder loses its locks by itself.
 * - Tables are locked one after the other: while one is waited for, writers of those that were granted before it queue (a waiting READ lock
 *   itself holds up nobody, *tried* on both). So each attempt is cut after 150 ms (lock_wait_timeout cannot be below 1 s), with a
 *   pause in which writers pass; blockers are killed once the grace is over, and at once where they are idle and have been for long: an
 *   application that forgot its transaction must not cost every other one the whole grace.
 */
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteQualified } from '../sql/quote.ts'
import type { ClaimPool } from './claim.ts'
import { switchErrors } from './errors.ts'
import { connectAs } from './server-access.ts'
import { within } from './fence-triggers.ts'
import { isOpen, killedView, killSessions, listClientSessions } from './sessions.ts'
import type { ClientSession, KilledSession } from './sessions.ts'

export type TableName = { readonly schema: string; readonly name: string }

export type SessionLocksOptions = {
  readonly tables: readonly TableName[]
  /** Until blockers are killed. */
  readonly graceMs: number
  /** Locks end by themselves this long after the holder stopped; whole seconds, as the server counts. */
  readonly leaseMs: number
  readonly attemptMs: number
  readonly clock: Clock
  /** On a server that also holds what goes on serving: only sessions of these schemas are ended. */
  readonly only?: readonly string[]
  /** A transaction in which nothing runs when we come, and that began this long before, is not about to end: it gets no grace (decision 017). */
  readonly abandonedS?: number
}

/** Also what the preflight lists as long. */
const abandonedDefaultS = 5

/** How long statements that were told to stop may take to hear of it. */
const interruptMs = 500

export class SessionLocks implements AsyncDisposable {
  readonly serverId: string
  readonly #pool: ClaimPool
  readonly #session: Connection
  readonly #options: SessionLocksOptions
  readonly #stop = new AbortController()

  private constructor(serverId: string, pool: ClaimPool, session: Connection, options: SessionLocksOptions) {
    this.serverId = serverId
    this.#pool = pool
    this.#session = session
    this.#options = options
    this.#keepAlive().catch(() => undefined)
  }

  /** Opens the second session, so that connecting costs nothing while clients are held. Locks nothing yet. */
  static async open(pool: ClaimPool, serverId: string, options: SessionLocksOptions): Promise<SessionLocks> {
    const { access } = await pool.claimed(serverId)
    const leaseS = Math.max(1, Math.ceil(options.leaseMs / 1_000))
    const session = await connectAs(access, 'admin', {
      sessionSql: [`SET SESSION autocommit = 0, wait_timeout = ${leaseS}, lock_wait_timeout = 10, sql_mode = ''`],
    })
    const taken = await session.value(`SELECT GET_LOCK('${pool.lockNames.lock}', 5)`)
    if (taken !== '1') {
      session.destroy()
      throw switchErrors.claimFailed({ server: serverId, reason: 'another session holds the right to lock tables' })
    }
    return new SessionLocks(serverId, pool, session, options)
  }

  get held(): boolean {
    return this.#session.open
  }

  /** Takes the locks; returns what had to be killed. SW-SWITCH-006 when the tables stay busy. */
  async lock(signal: AbortSignal): Promise<KilledSession[]> {
    const { tables, graceMs, attemptMs, clock, only, abandonedS = abandonedDefaultS } = this.#options
    if (tables.length === 0) return []
    // Not `run`: a claim made anew would kill this very session, and rightly so.
    const server = await this.#pool.claimed(this.serverId)
    const nowS = Number(await server.connection.value('SELECT UNIX_TIMESTAMP()'))
    const abandoned = ({ command, transaction }: ClientSession): boolean =>
      command === 'Sleep' && transaction !== null && transaction.startedAtS <= nowS - abandonedS

    const sql = `LOCK TABLES ${tables.map((table) => `${quoteQualified(table.schema, table.name)} READ`).join(', ')}`
    const killed: KilledSession[] = []
    const startedMs = clock.monotonicMs()
    let blockers: ClientSession[] = []
    const killRoundsMax = 10
    for (let killRounds = 0; killRounds < killRoundsMax;) {
      signal.throwIfAborted()
      if (await this.#attempt(server.connection, sql, attemptMs)) return killed
      const open = (await listClientSessions(server.connection, server.ours)).filter(isOpen)
      blockers = only === undefined ? open : open.filter((session) => within(session, only))
      const graceOver = clock.monotonicMs() - startedMs >= graceMs
      const victims = graceOver ? blockers : blockers.filter(abandoned)
      if (graceOver || victims.length > 0) {
        if (graceOver) killRounds++
        await killSessions(server.connection, victims)
        killed.push(...victims.map((session) => killedView(this.serverId, session)))
        await clock.sleep(5, signal)
      } else {
        // Writers that queued behind us pass now.
        await clock.sleep(Math.min(50, attemptMs), signal)
      }
    }
    const list = blockers.map((session) => `session ${session.id} of ${session.user}@${session.host}: ${session.query ?? session.command}`)
    throw switchErrors.tablesNotLocked({ server: this.serverId, graceMs, blockers: list.join('; ') || 'none that has a transaction open' })
  }

  /** SW-SWITCH-… when the session is gone, and its locks with it. */
  async requireHeld(): Promise<void> {
    try {
      await this.#session.ping()
    } catch (error) {
      throw switchErrors.lockSessionLost({ server: this.serverId }, error)
    }
  }

  /** To be locked again. */
  async unlock(): Promise<void> {
    await this.#session.query('UNLOCK TABLES')
  }

  /** Ends with what the server answers; a session that is gone has no locks. */
  async release(): Promise<void> {
    if (this.#stop.signal.aborted) return
    this.#stop.abort()
    if (this.#options.only !== undefined && this.#session.open) await this.#interruptDdl(this.#options.only).catch(() => undefined)
    if (this.#session.open) await this.#session.query('UNLOCK TABLES').catch(() => undefined)
    this.#session.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  /**
   * Armed triggers would let pass what waits for us now: who sent it is told that it did not run. A statement that was killed and is granted
   * its lock before it has woken up runs all the same (*tried*), so ours stay until none waits any more, for a while.
   */
  async #interruptDdl(schemas: readonly string[]): Promise<void> {
    const { clock } = this.#options
    const server = await this.#pool.claimed(this.serverId)
    const untilMs = clock.monotonicMs() + interruptMs
    do {
      const waiting = (await listClientSessions(server.connection, server.ours)).filter(
        (session) => /metadata lock/i.test(session.state) && isDdl(session.query) && concerns(session, schemas),
      )
      if (waiting.length === 0) return
      await killSessions(server.connection, waiting, 'QUERY')
      await clock.sleep(2)
    } while (clock.monotonicMs() < untilMs)
  }

  async #attempt(claimed: Connection, sql: string, attemptMs: number): Promise<boolean> {
    let settled = false
    const attempt = this.#session.query(sql).then(
      () => true,
      (error: unknown) => {
        if (isServerError(error) && (error.kind === 'interrupted' || error.kind === 'lockWait' || error.kind === 'deadlock')) return false
        if (!this.#session.open || (isServerError(error) && error.kind === 'killed'))
          throw switchErrors.lockSessionLost({ server: this.serverId }, error)
        throw error
      },
    )
    const done = attempt.finally(() => {
      settled = true
    })
    done.catch(() => undefined)
    const timer = new AbortController()
    await Promise.race([done, this.#options.clock.sleep(attemptMs, timer.signal).catch(() => undefined)])
    timer.abort()
    if (!settled) {
      await claimed.query(flavourOf(claimed).killQuery(this.#session.threadId)).catch((error: unknown) => {
        if (!isServerError(error, 1094)) throw error
      })
    }
    return attempt
  }

  async #keepAlive(): Promise<void> {
    const pauseMs = Math.max(200, this.#options.leaseMs / 4)
    while (!this.#stop.signal.aborted && this.#session.open) {
      await this.#options.clock.sleep(pauseMs, this.#stop.signal)
      // A statement under way keeps the session by itself; a ping behind it would only queue.
      if (this.#session.outstanding === 0) await this.#session.ping()
    }
  }
}

function isDdl(query: string | null): boolean {
  return /^\s*(\/\*[^]*?\*\/\s*)*(TRUNCATE|ALTER|DROP|RENAME|CREATE|OPTIMIZE)\b/i.test(query ?? '')
}

function concerns(session: ClientSession, schemas: readonly string[]): boolean {
  return within(session, schemas) || schemas.some((schema) => session.query?.includes(schema) === true)
}
