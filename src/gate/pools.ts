/**
 * The pools of all shards that serve, by shard and by what must be agreed upon at connecting. A pool ends when its shard
 * stops serving; when the shard serves again it gets a new one: nothing of an old side is ever used on a new one.
 *
 * A shard whose replicas are to be read has a pool for each of them: a statement takes the one with the fewest connections in use, in turn
 * where they are equal, of those that may be read (replica-health.ts). One that cannot be connected to is left out until it was looked at again.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { ServerError } from '../mysql/errors.ts'
import { strike, type Backend, type Holder, type Need } from './backend.ts'
import { BackendPool } from './backend-pool.ts'
import { Claims, type Counts } from './claims.ts'
import type { GateConfig } from './config.ts'
import { ConnectionBudget } from './connection-budget.ts'
import { gateErrors } from './errors.ts'
import type { ReplicaHealth } from './replica-health.ts'
import type { ServerModes } from './server-modes.ts'
import { withoutVariables } from './settings.ts'
import { toldInKeyspace } from './told-names.ts'
import type { ReplicaView, ShardView, View } from './view.ts'
import { Within } from './within.ts'

/** What a client and the gate agreed upon, and the gate and the servers must then too: whether rows found are counted or those changed; how columns are told. */
export type Agreed = { readonly foundRows: boolean; readonly extendedMetadata: boolean; readonly own?: true }

/** For statements of the gate's own: their connections are counted by themselves, as clients' statements hold some while they wait for one of these. */
export const plainly: Agreed = { foundRows: false, extendedMetadata: false, own: true }

const [sides, ownSide] = [[0, 1, 2, 3, 4], 4] as const

function sideOf({ foundRows, extendedMetadata, own }: Agreed): number {
  return own === true ? ownSide : (foundRows ? 1 : 0) + (extendedMetadata ? 2 : 0)
}

/** Where a connection goes: the primary of a shard, or one of its replicas. */
type Place = Pick<ShardView, 'server' | 'account'>

/** Of a read that nobody waits for; twice as long after each. */
const killAgainMs = 250

/** A shard whose server is another one now (`set-primary`, at another port, or accepted as another) gets a new pool: the old server is never used again. */
function placeOf({ uid }: ShardView, { server }: Place): string {
  return `${uid} ${server.id} ${server.host}:${server.port} ${server.identity ?? ''}`
}

export class Pools {
  readonly #config: GateConfig
  readonly #clock: Clock
  readonly #health: Pick<ReplicaHealth, 'whyNot' | 'failed' | 'looked'>
  /** By what was agreed upon in the handshake. */
  readonly #pools: readonly Map<string, BackendPool>[] = sides.map(() => new Map())

  readonly #modes: Pick<ServerModes, 'settle'>
  readonly #budgets = new Map<string, ConnectionBudget>()
  readonly #claims: Claims<object>
  readonly #shardsOf = new WeakMap<readonly ShardView[], Counts>()
  readonly #places = new WeakMap<Connection, Place>()
  /** Of pools that serve and of those that did. */
  readonly #open = new Set<Backend>()
  closed = false
  #turn = 0
  /** By the view's own objects: naming the place anew for each statement cost 5 % of the gate's own CPU. */
  readonly #known: readonly WeakMap<Place, BackendPool>[] = sides.map(() => new WeakMap())

  constructor(
    config: GateConfig,
    clock: Clock,
    health: Pick<ReplicaHealth, 'whyNot' | 'failed' | 'looked'>,
    modes: Pick<ServerModes, 'settle'>,
  ) {
    this.#modes = modes
    this.#config = config
    this.#clock = clock
    this.#health = health
    this.#claims = new Claims(config.backendConnectionsMax)
  }

  /** Who has a connection now, by its number on the server of the shard. */
  holderOf({ server }: ShardView, threadId: number): Holder | null {
    for (const { connection, holder } of this.#open)
      if (connection.threadId === threadId && this.#places.get(connection)?.server.id === server.id) return holder
    return null
  }

  /** A connection to where the shard is served, or to one of its replicas. Errors: of connecting, SW-GATE-014, 024. Nothing was sent. */
  take(
    shard: ShardView,
    agreed: Agreed,
    signature: string,
    signal: AbortSignal | null = null,
    holder: Holder | null = null,
    need: Need = 'write',
  ): Backend | Promise<Backend> {
    if (shard.replicas !== null) return this.#takeReplica(shard, shard.replicas, agreed, signature, signal, holder)
    const pool = this.#of(shard, shard, agreed)
    return pool.tryTake(signature, holder, need) ?? pool.take(signature, signal, holder, need)
  }

  async #takeReplica(
    shard: ShardView,
    all: readonly ReplicaView[],
    agreed: Agreed,
    signature: string,
    signal: AbortSignal | null,
    holder: Holder | null,
  ): Promise<Backend> {
    const why = (): (readonly [ReplicaView, string | null])[] => all.map((one) => [one, this.#health.whyNot(shard, one)])
    let looked = why()
    if (looked.every(([, reason]) => reason !== null) && all.length > 0) {
      await this.#health.looked()
      looked = why()
    }
    const turn = this.#turn++
    const fit = looked.flatMap(([one, reason], i) => {
      if (reason !== null) return []
      const pool = this.#of(shard, one, agreed)
      return [{ one, pool, busy: pool.busy, order: (i + turn) % all.length }]
    })
    const reasons = looked.flatMap(([one, reason]) => (reason === null ? [] : [`${one.server.id}: ${reason}`]))
    for (const { one, pool } of fit.sort((a, b) => a.busy - b.busy || a.order - b.order)) {
      try {
        return pool.tryTake(signature, holder, 'read') ?? (await pool.take(signature, signal, holder, 'read'))
      } catch (error) {
        // It stands, only its connections are all in use; or it serves no more, and routing is asked again.
        if (isSwError(error, 'SW-GATE-014') || pool.closed || signal?.aborted === true) throw error
        const reason = `it can not be connected to: ${(error as Error).message}`
        this.#health.failed(shard, one, reason)
        reasons.push(`${one.server.id}: ${reason}`)
      }
    }
    throw gateErrors.noReplica({
      shard: `${shard.keyspace}/${shard.name}`,
      reasons: reasons.length === 0 ? 'it has none' : reasons.join('; '),
    })
  }

  /**
   * Before a transaction takes a connection to a shard that it has not touched: at once (undefined), or when it may hold one more. `left` when it has given it back, or did not take it.
   * Errors: SW-GATE-014, the signal's reason.
   * @param shards all of the keyspace
   */
  enter(transaction: object, shard: ShardView, shards: readonly ShardView[], signal: AbortSignal | null): Promise<void> | undefined {
    this.claim(transaction, shard.keyspace, shards)
    return this.#take(transaction, shard, shard.server.id, 1, signal)
  }

  /** It may come to need a connection to each of the keyspace's shards: known before it has its first. */
  claim(transaction: object, keyspace: string, shards: readonly ShardView[]): void {
    this.#claims.claim(transaction, keyspace, this.#countsOf(shards))
  }

  left(transaction: object, shard: ShardView): void {
    this.#claims.release(transaction, shard.server.id)
  }

  #countsOf(shards: readonly ShardView[]): Counts {
    let counts = this.#shardsOf.get(shards)
    if (counts === undefined) {
      const made = new Map<string, number>()
      for (const { server } of shards) made.set(server.id, (made.get(server.id) ?? 0) + 1)
      // Over several shards, that of a scratch table.
      if (shards.length > 1) for (const [server, count] of made) made.set(server, count + 1)
      this.#shardsOf.set(shards, (counts = made))
    }
    return counts
  }

  #budget(serverId: string, own: boolean): ConnectionBudget {
    const key = own ? `${serverId} own` : serverId
    let budget = this.#budgets.get(key)
    if (budget === undefined) this.#budgets.set(key, (budget = new ConnectionBudget(this.#config.backendConnectionsMax)))
    return budget
  }

  /**
   * Room for a statement that takes a connection to each of several shards and holds them together; before it takes the first. Call what it gives when all are given back. Errors: SW-GATE-014, the signal's reason.
   * @param holder the statement, or its transaction, which holds others too
   */
  async admit(shards: readonly ShardView[], signal: AbortSignal | null, holder: object = {}): Promise<() => void> {
    const counts = new Map<string, number>()
    // More than there are it can not get whatever is done.
    const { backendConnectionsMax: max } = this.#config
    for (const shard of shards)
      for (const { server } of placesOf(shard)) counts.set(server.id, Math.min(max, (counts.get(server.id) ?? 0) + 1))
    this.#claims.expect(holder, counts)
    const admitted: [string, number][] = []
    const leave = (): void => {
      for (const [server, count] of admitted) this.#claims.release(holder, server, count)
    }
    try {
      for (const [server, count] of counts) {
        const waiting = this.#take(holder, shards[0] as ShardView, server, count, signal)
        if (waiting !== undefined) await waiting
        admitted.push([server, count])
      }
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  #take(
    holder: object,
    { keyspace, name }: ShardView,
    server: string,
    count: number,
    signal: AbortSignal | null,
  ): Promise<void> | undefined {
    const { poolWaitMs: waitedMs, backendConnectionsMax: max } = this.#config
    return this.#claims.take(
      holder,
      server,
      count,
      waitedMs,
      () => gateErrors.poolTimeout({ shard: `${keyspace}/${name}`, waitedMs, max }),
      signal,
    )
  }

  /** Whether a connection of this pool may serve the shard. */
  owns(shard: ShardView, agreed: Agreed, pool: BackendPool): boolean {
    const pools = this.#pools[sideOf(agreed)] as Map<string, BackendPool>
    return placesOf(shard).some((place) => pools.get(placeOf(shard, place)) === pool)
  }

  /** Whether a server of the shard has taken these settings before. */
  accepted(shard: ShardView, agreed: Agreed, signature: string): boolean {
    const settings = withoutVariables(signature)
    const pools = this.#pools[sideOf(agreed)] as Map<string, BackendPool>
    return placesOf(shard).some((place) => pools.get(placeOf(shard, place))?.acceptedSignatures.has(settings) === true)
  }

  #of(shard: ShardView, at: Place, agreed: Agreed): BackendPool {
    const known = this.#known[sideOf(agreed)] as WeakMap<Place, BackendPool>
    const seen = known.get(at)
    if (seen !== undefined && !seen.closed) return seen
    const pool = this.#poolAt(shard, at, agreed)
    known.set(at, pool)
    return pool
  }

  #poolAt(shard: ShardView, at: Place, agreed: Agreed): BackendPool {
    const pools = this.#pools[sideOf(agreed)] as Map<string, BackendPool>
    const place = placeOf(shard, at)
    const known = pools.get(place)
    if (known !== undefined) return known
    const { poolWaitMs, backendIdleMs, abandonedMs, statementsPerConnectionMax } = this.#config
    const budget = this.#budget(at.server.id, agreed.own === true)
    const pool = new BackendPool({
      clock: this.#clock,
      shard: `${shard.keyspace}/${shard.name}`,
      schema: shard.schema,
      budget,
      waitMs: poolWaitMs,
      idleMs: backendIdleMs,
      resetMs: abandonedMs,
      open: this.#open,
      statementsMax: statementsPerConnectionMax,
      connect: () => this.connect(shard, agreed, at),
    })
    pools.set(place, pool)
    // What is under way when the gate stops may ask for a shard that nobody has asked for before: what it was given would never be closed.
    if (this.closed) pool.close()
    return pool
  }

  async connect(shard: ShardView, agreed: Agreed, at: Place = shard): Promise<Connection> {
    const { server, account } = at
    const sessionSql: string[] = []
    const connection = await connect({
      ...placeOfServer(server),
      user: account.user,
      password: account.password,
      database: shard.schema,
      connectTimeoutMs: this.#config.connectTimeoutMs,
      ...agreed,
      deprecateEof: false,
      sharedReads: true,
      sessionSql,
      attributes: { program_name: 'shardwright gate' },
    })
    if (connection.extendedMetadata !== agreed.extendedMetadata) {
      connection.destroy()
      throw gateErrors.greetedOtherwise({ shard: `${shard.keyspace}/${shard.name}`, server: server.id })
    }
    try {
      await this.#modes.settle(connection, server, sessionSql, agreed.own === true)
    } catch (error) {
      connection.destroy()
      throw error
    }
    this.#places.set(connection, at)
    connection.told = toldInKeyspace(shard)
    return connection
  }

  /** What has been asked on connections of theirs and is not answered: how many bytes have come there so far. */
  unanswered(holder: Holder): Map<Connection, number> {
    const found = new Map<Connection, number>()
    for (const { holder: by, connection } of this.#open)
      if (by === holder && connection.outstanding > 0) found.set(connection, connection.bytesReceived)
    return found
  }

  /** Connections that sessions have. */
  get held(): number {
    let count = 0
    for (const { holder } of this.#open) if (holder !== null) count++
    return count
  }

  /** KILL QUERY of what runs there. */
  async killQuery(connection: Connection): Promise<void> {
    const place = this.#places.get(connection)
    if (place === undefined) return
    strike(connection)
    await this.#beside(place, (other) => other.query(`KILL QUERY ${connection.threadId}`))
  }

  /**
   * The same of a read that nobody waits for any more. A server that has not begun with what was sent takes the session for idle, of which a KILL says nothing (a busy machine; *tried*): it is told
   * again until its answer comes. (What went out ahead of it, a BEGIN, is answered before.)
   */
  async killUnawaited(connection: Connection): Promise<void> {
    let { outstanding, bytesReceived } = connection
    for (let waitMs = killAgainMs; ; waitMs *= 2) {
      await this.killQuery(connection).catch(() => {})
      await this.#clock.sleep(waitMs)
      if (this.closed || !connection.open || connection.outstanding === 0) return
      if (connection.outstanding === outstanding && connection.bytesReceived !== bytesReceived) return
      ;({ outstanding, bytesReceived } = connection)
    }
  }

  /** Whether its server says that it is at what was asked there. One that lets nobody in now (it is full, the account is locked) is there, and may be. */
  async isAtWork(connection: Connection): Promise<boolean> {
    const place = this.#places.get(connection)
    if (place === undefined) return false
    try {
      const sessions = await this.#beside(place, (other) => other.allText('SHOW PROCESSLIST'))
      // MariaDB says Killed of an idle one, too, that was told to end its statement; of what is at one it says the text.
      const isIdle = ({ Command, Info }: (typeof sessions)[number]): boolean =>
        Command === 'Sleep' || (Command === 'Killed' && Info === null)
      return sessions.some((session) => Number(session['Id']) === connection.threadId && !isIdle(session))
    } catch (error) {
      return error instanceof ServerError
    }
  }

  /** On a connection of its own, as the busy one can't be asked. A server may say nothing there either: it is waited for as for a connection. */
  async #beside<T>({ server, account }: Place, ask: (other: Connection) => Promise<T>): Promise<T> {
    const { connectTimeoutMs } = this.#config
    const other = await connect({ ...placeOfServer(server), user: account.user, password: account.password, connectTimeoutMs })
    const within = new Within({ clock: this.#clock }, connectTimeoutMs)
    within.uses(other)
    try {
      return await within.wait(ask(other))
    } finally {
      within.end()
      await other.close().catch(() => {})
    }
  }

  onView(view: View): void {
    const serving = new Set<string>()
    for (const keyspace of view.keyspaces.values())
      for (const shard of keyspace.shards) for (const place of placesOf(shard)) serving.add(placeOf(shard, place))
    for (const pools of this.#pools) {
      for (const [uid, pool] of pools) {
        if (serving.has(uid)) continue
        pools.delete(uid)
        pool.retire()
      }
    }
  }

  trim(): void {
    const nowMs = this.#clock.monotonicMs()
    for (const pools of this.#pools) for (const pool of pools.values()) pool.trim(nowMs)
  }

  close(): void {
    this.closed = true
    for (const pools of this.#pools) for (const pool of pools.values()) pool.destroy()
  }
}

function placesOf(shard: ShardView): readonly Place[] {
  return shard.replicas ?? [shard]
}
