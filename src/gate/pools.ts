/**
 * The pools of all shards that serve, by shard and by what must be agreed upon at connecting. A pool ends when its shard
 * stops serving; when the shard serves again it gets a new one: nothing of an old side is ever used on a new one.
 */
import type { Clock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { BackendPool, ConnectionBudget } from './backend.ts'
import type { GateConfig } from './config.ts'
import type { ShardView, View } from './view.ts'

/** A shard whose server is another one now (`set-primary`, or a server at another port) gets a new pool: the old server is never used again. */
function placeOf({ uid, server }: ShardView): string {
  return `${uid} ${server.id} ${server.host}:${server.port}`
}

export class Pools {
  readonly #config: GateConfig
  readonly #clock: Clock
  /** Changed rows and found rows: agreed upon in the handshake. */
  readonly #pools: readonly [Map<string, BackendPool>, Map<string, BackendPool>] = [new Map(), new Map()]

  readonly #budgets = new Map<string, ConnectionBudget>()

  constructor(config: GateConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  of(shard: ShardView, foundRows: boolean): BackendPool {
    const pools = this.#pools[foundRows ? 1 : 0]
    const place = placeOf(shard)
    const known = pools.get(place)
    if (known !== undefined) return known
    const { backendConnectionsMax, poolWaitMs, backendIdleMs, statementsPerConnectionMax } = this.#config
    let budget = this.#budgets.get(shard.server.id)
    if (budget === undefined) this.#budgets.set(shard.server.id, (budget = new ConnectionBudget(backendConnectionsMax)))
    const pool = new BackendPool({
      clock: this.#clock,
      shard: `${shard.keyspace}/${shard.name}`,
      budget,
      waitMs: poolWaitMs,
      idleMs: backendIdleMs,
      statementsMax: statementsPerConnectionMax,
      connect: () => this.connect(shard, foundRows),
    })
    pools.set(place, pool)
    return pool
  }

  connect(shard: ShardView, foundRows: boolean): Promise<Connection> {
    const { server, account } = shard
    return connect({
      ...(server.socketPath === null ? { host: server.host, port: server.port } : { socketPath: server.socketPath }),
      user: account.user,
      password: account.password,
      database: shard.schema,
      connectTimeoutMs: this.#config.connectTimeoutMs,
      foundRows,
      deprecateEof: false,
      attributes: { program_name: 'shardwright gate' },
    })
  }

  onView(view: View): void {
    const serving = new Set<string>()
    for (const keyspace of view.keyspaces.values()) for (const shard of keyspace.shards) serving.add(placeOf(shard))
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
    for (const pools of this.#pools) for (const pool of pools.values()) pool.destroy()
  }
}
