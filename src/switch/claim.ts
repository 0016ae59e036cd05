/**
 * Claims: the only way in which a controller touches a server (PROTOCOLS 3, Claim). A claim is one direct session that holds
 * GET_LOCK('sw:<installation>:ctl') and has raised the server's token row to the leader's token.
 *
 * Why a stale controller can do no harm: its session held the lock, so the successor's claim killed it before it took the lock
 * (which the server gives up only when the session has ended, rollback included); its next claim meets a greater token in the row,
 * which survives restarts. So `SET GLOBAL` and `LOCK TABLES`, which can carry no token, are protected as well.
 *
 * An effect whose session is lost in between is repeated on a new claim: each effect here is idempotent.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { unlessAborted } from '../base/unless-aborted.ts'
import type { Connection } from '../mysql/connection.ts'
import { isConnectionLost, isServerError } from '../mysql/errors.ts'
import type { Store } from '../topology/store.ts'
import type { Leadership } from '../workflow/context.ts'
import { controlSchema } from '../binlog/control-schema.ts'
import { ownServer, readOwner } from './control-schema.ts'
import { switchErrors } from './errors.ts'
import { connectAs, ourNames, readServerAccess } from './server-access.ts'
import type { OurNames, ServerAccess } from './server-access.ts'

export type ClaimedServer = {
  readonly serverId: string
  readonly access: ServerAccess
  readonly ours: OurNames
  /** The claimed session. Not for keeping: ask the pool each time. */
  readonly connection: Connection
}

export type ClaimPoolOptions = {
  store: Store
  installationId: string
  leadership: Leadership
  clock: Clock
  log: Log
  /** Other than over the network: the servers of a model. */
  connect?: typeof connectAs
}

const sessionSql = [
  "SET SESSION time_zone = '+00:00', autocommit = 1, wait_timeout = 604800, lock_wait_timeout = 3, innodb_lock_wait_timeout = 3, sql_log_bin = 1, sql_mode = 'STRICT_TRANS_TABLES'",
]

/** One claimed session a server, shared by all workflows of a control process. */
export class ClaimPool implements AsyncDisposable {
  readonly #options: ClaimPoolOptions
  readonly #claims = new Map<string, { claiming: Promise<ClaimedServer>; cut: AbortController }>()

  constructor(options: ClaimPoolOptions) {
    this.#options = options
  }

  get lockNames(): { ctl: string; lock: string } {
    const id = this.#options.installationId
    return { ctl: `sw:${id}:ctl`, lock: `sw:${id}:lock` }
  }

  /** The server's claimed session, claiming it when there is none that lives. */
  async claimed(serverId: string): Promise<ClaimedServer> {
    this.#options.leadership.signal.throwIfAborted()
    const held = this.#claims.get(serverId)
    if (held !== undefined) {
      const claim = await held.claiming.catch(() => null)
      if (claim !== null && claim.connection.open) return claim
      // Somebody else who waited for the same claim may have replaced it meanwhile.
      const now = this.#claims.get(serverId)
      if (now !== held && now !== undefined) return now.claiming
    }
    const cut = new AbortController()
    const made = { cut, claiming: this.#claim(serverId, AbortSignal.any([cut.signal, this.#options.leadership.signal])) }
    this.#claims.set(serverId, made)
    made.claiming.catch(() => {
      if (this.#claims.get(serverId) === made) this.#claims.delete(serverId)
    })
    return made.claiming
  }

  /**
   * Runs one idempotent effect through the claimed session; when the session is lost in it, claims again and repeats it. When the signal aborts the session is cut, however long its server
   * says nothing: what else was run by this on it is repeated on another.
   */
  async run<T>(serverId: string, effect: (server: ClaimedServer) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const attemptsMax = 4
    for (let attempt = 1; ; attempt++) {
      // A lost session may be one that was dropped to end this very effect.
      signal?.throwIfAborted()
      const server = await unlessAborted(this.claimed(serverId), signal)
      const cut = (): void => server.connection.destroy()
      signal?.addEventListener('abort', cut, { once: true })
      try {
        return await effect(server)
      } catch (error) {
        // The server says "killed" to a session that another one ended, once; after that it is gone.
        const lost = isConnectionLost(error) || (isServerError(error) && error.kind === 'killed') || !server.connection.open
        if (!lost || attempt === attemptsMax) throw error
        server.connection.destroy()
        this.#options.log.warn({ server: serverId, error: String(error) }, 'the claimed session was lost; claiming again')
      } finally {
        signal?.removeEventListener('abort', cut)
      }
    }
  }

  /** Finds out now, rather than in the middle of a switch, which sessions are half open. */
  async verify(serverIds: readonly string[]): Promise<void> {
    await Promise.all(serverIds.map((id) => this.run(id, (server) => server.connection.ping())))
  }

  async release(serverId: string): Promise<void> {
    const held = this.#claims.get(serverId)
    this.#claims.delete(serverId)
    held?.cut.abort(new Error('the claimed session is not needed any more'))
    const claim = await held?.claiming.catch(() => null)
    claim?.connection.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#claims.keys()].map((id) => this.release(id)))
  }

  async #claim(serverId: string, signal: AbortSignal): Promise<ClaimedServer> {
    const { store, connect = connectAs } = this.#options
    const access = await readServerAccess(store, serverId)
    let connection: Connection
    try {
      connection = await connect(access, 'admin', { sessionSql, foundRows: true }, signal)
    } catch (error) {
      throw switchErrors.serverUnreachable({ server: serverId, reason: (error as Error).message }, error)
    }
    const cut = (): void => connection.destroy()
    signal.addEventListener('abort', cut, { once: true })
    try {
      await this.#take(serverId, connection)
      return { serverId, access, ours: ourNames(access), connection }
    } catch (error) {
      connection.destroy()
      if (isConnectionLost(error) || (isServerError(error) && error.kind === 'killed')) {
        throw switchErrors.claimFailed({ server: serverId, reason: 'another controller was quicker' }, error)
      }
      throw error
    } finally {
      signal.removeEventListener('abort', cut)
    }
  }

  async #take(serverId: string, connection: Connection): Promise<void> {
    const { installationId, leadership } = this.#options
    const mine = BigInt(leadership.token)
    const { ctl, lock } = this.lockNames
    // (a)
    const owner = await ownServer(connection, installationId, serverId)
    if (owner.installation !== installationId) throw switchErrors.foreignInstallation({ server: serverId, other: owner.installation })
    if (owner.token > mine) throw switchErrors.steppedDown({ server: serverId, found: owner.token, mine })
    // (b)
    const attemptsMax = 3
    for (let attempt = 1; ; attempt++) {
      const row = (await connection.allText(`SELECT IS_USED_LOCK('${ctl}') AS ctl, IS_USED_LOCK('${lock}') AS locks`))[0]
      for (const id of [row?.['ctl'], row?.['locks']]) {
        if (!id) continue
        await connection.query(`KILL ${id}`).catch((error: unknown) => {
          if (!isServerError(error, 1094)) throw error
        })
      }
      if ((await connection.value(`SELECT GET_LOCK('${ctl}', 5)`)) === '1') break
      if (attempt === attemptsMax) throw switchErrors.claimFailed({ server: serverId, reason: 'the older control session did not end' })
    }
    // (c)
    const raised = await connection.query(`UPDATE ${controlSchema}.control_token SET token = ${mine} WHERE id = 1 AND token <= ${mine}`)
    if (raised.kind === 'ok' && raised.affectedRows === 1n) return
    const now = await readOwner(connection)
    throw switchErrors.steppedDown({ server: serverId, found: now?.token ?? 'unknown', mine })
  }
}
