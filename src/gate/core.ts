/** What all sessions of a gate share. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { BranchReads } from './branch-reads.ts'
import type { GateConfig } from './config.ts'
import { UserTurns } from './guard.ts'
import { parseBranch, reservedBranches } from '../topology/dualwrite-records.ts'
import { replicaKeyspace, replicasOfName } from '../topology/replica-name.ts'
import { gateErrors } from './errors.ts'
import { HeldMemory } from './memory.ts'
import type { Holds } from './holds.ts'
import type { Deadlocks } from './deadlocks.ts'
import type { Kills } from './kills.ts'
import type { Membership } from './membership.ts'
import type { GateCatalog } from './catalog.ts'
import type { Sweeps } from './lookup-sweep.ts'
import type { Planner } from './plan/planner.ts'
import type { Pools } from './pools.ts'
import type { ServerClocks } from './server-clocks.ts'
import type { ServerModes } from './server-modes.ts'
import { Shapes } from './shapes.ts'
import type { Sequences } from './sequences.ts'
import type { Stats } from './stats.ts'
import type { TopologyWatch } from './topology-watch.ts'
import type { KeyspaceView, ShardView } from './view.ts'
import type { CopiesOrder } from './copies-order.ts'
import type { Xa } from './xa.ts'

export type SessionEntry = {
  readonly threadId: number
  readonly user: string
  readonly host: string
  readonly keyspace: string
  readonly doing: { readonly command: string; readonly sinceMs: number; readonly text: string }
  kill(what: 'connection' | 'query'): void
}

/** A keyspace that is not there or not routable yet is waited for at most this long. */
const readyWaitMs = 3_000
const staleWaitMs = 10_000

export class Core {
  readonly config: GateConfig
  readonly clock: Clock
  readonly log: Log
  readonly watch: TopologyWatch
  readonly held: HeldMemory
  readonly holds: Holds
  readonly membership: Membership
  readonly modes: ServerModes
  readonly clocks: ServerClocks
  readonly pools: Pools
  readonly stats: Stats
  readonly reads: BranchReads
  /** Set once by the gate, as they need this object. */
  catalog!: GateCatalog
  planner!: Planner
  sequences!: Sequences
  xa!: Xa
  copies!: CopiesOrder
  sweeps!: Sweeps
  kills!: Kills
  deadlocks!: Deadlocks
  readonly sessions = new Map<number, SessionEntry>()
  readonly turns = new UserTurns()
  readonly shapes: Shapes

  constructor(parts: {
    config: GateConfig
    clock: Clock
    log: Log
    watch: TopologyWatch
    holds: Holds
    membership: Membership
    modes: ServerModes
    clocks: ServerClocks
    pools: Pools
    stats: Stats
    reads: BranchReads
  }) {
    this.config = parts.config
    this.held = new HeldMemory(parts.config.scatterBytesMax, parts.config.heldBytesMax)
    this.shapes = new Shapes(parts.config.slowMs, parts.clock.nowMs())
    this.clock = parts.clock
    this.log = parts.log
    this.watch = parts.watch
    this.holds = parts.holds
    this.membership = parts.membership
    this.modes = parts.modes
    this.clocks = parts.clocks
    this.pools = parts.pools
    this.stats = parts.stats
    this.reads = parts.reads
  }

  /** As MariaDB 10 itself greets: clients that know MySQL only take it for what it can do, and not for a MySQL 10. */
  get greetedVersion(): string {
    const version = this.serverVersion
    return /^10\.\d+\.\d+-mariadb/i.test(version) ? `5.5.5-${version}` : version
  }

  /** Of the servers, or what clients are told they are. */
  get isMariadb(): boolean {
    return /mariadb/i.test(this.serverVersion)
  }

  /** As SELECT VERSION() says. */
  get serverVersion(): string {
    if (this.config.serverVersion !== '') return this.config.serverVersion
    const version = this.watch.view.serverVersion
    // Nothing is known yet: something every client understands.
    return version === '' ? '8.0.36-shardwright' : `${version}-shardwright`
  }

  /** Undefined at once when everything is as it should be: the hot path. */
  fresh(): Promise<void> | undefined {
    return this.membership.valid ? undefined : this.#revive()
  }

  async #revive(): Promise<void> {
    const sinceMs = this.clock.monotonicMs()
    for (;;) {
      try {
        await this.membership.revive()
        this.reads.forgetMoves()
        return
      } catch (error) {
        const waitedMs = this.clock.monotonicMs() - sinceMs
        if (waitedMs > staleWaitMs) throw gateErrors.stale({ ms: Math.round(waitedMs) }, error)
        await this.clock.sleep(50)
      }
    }
  }

  keyspace(name: string): KeyspaceView {
    if (name === '') throw gateErrors.noKeyspace()
    const keyspace = this.watch.view.keyspaces.get(name)
    if (keyspace === undefined) throw gateErrors.unknownKeyspace({ keyspace: name })
    return keyspace
  }

  /**
   * What a client's USE means: a keyspace, or one branch of it whatever the read rule says. `insights@main` is the keyspace itself where there
   * are no branches; `@primary` is what Vitess's clients write, and changes nothing; `@replica` reads from replicas. `@replica` alone means the
   * session's own keyspace. Errors: SW-GATE-002 no such keyspace.
   */
  keyspaceNamed(given: string, session = ''): string {
    const name = given.startsWith('@') ? `${parseBranch(session).keyspace}${given}` : given
    const { keyspaces } = this.watch.view
    if (keyspaces.has(name)) return name
    const { keyspace, branch } = parseBranch(name)
    const replicas = replicasOfName(name)
    if (replicas !== null) return this.keyspace(replicaKeyspace(this.keyspace(replicas).name)).name
    return this.keyspace(reservedBranches.includes(branch) ? keyspace : name).name
  }

  /** For statements of a session without a keyspace (`SELECT 1`, SHOW VARIABLES): any that can answer. */
  anyKeyspace(): KeyspaceView | undefined {
    let found: KeyspaceView | undefined
    for (const keyspace of this.watch.view.keyspaces.values()) {
      if (keyspace.notReady !== null || keyspace.role === 'replica') continue
      if (!keyspace.held && !keyspace.record.sharded) return keyspace
      found ??= keyspace
    }
    return found
  }

  async ready(name: string, signal: AbortSignal): Promise<KeyspaceView> {
    const sinceMs = this.clock.monotonicMs()
    for (;;) {
      const keyspace = this.keyspace(name)
      if (keyspace.notReady === null) return keyspace
      if (this.clock.monotonicMs() - sinceMs > readyWaitMs) throw gateErrors.notReady({ keyspace: name, reason: keyspace.notReady })
      await this.clock.sleep(20, signal)
    }
  }

  /**
   * A server refused, or could not be connected to, and nothing was done. Resolves when trying again makes sense: routing has
   * changed, a hold has ended, or a little time has passed.
   * @param version of the keyspace by which the statement was sent
   * @param attempt from 0; when nothing changes, the cause is thrown in the end
   */
  async afterRefusal(shard: ShardView, version: number, attempt: number, bytes: number, signal: AbortSignal, cause: Error): Promise<void> {
    const name = shard.keyspace
    if (this.keyspace(name).version === version) await this.watch.refreshRouting().catch(() => {})
    const now = this.keyspace(name)
    const component = now.components.find((c) => c.key === shard.component.key)
    if (component === undefined) return
    if (component.hold !== null || this.holds.mustWait(name, [component.key])) {
      await this.holds.wait(name, [component.key], bytes, signal)
      return
    }
    if (now.version !== version) return
    // Its server is another one now (`set-primary`).
    if (now.shards.some((one) => one.uid === shard.uid && one.server.id !== shard.server.id)) return
    // Opening and switching without a hold: the record says that a change is under way, so it is worth waiting for.
    const attemptsMax = component.phase === 'stable' ? 12 : 200
    if (attempt >= attemptsMax) throw cause
    await this.clock.sleep(Math.min(100, 10 * (attempt + 1)), signal)
  }

  /** Whether the record, read anew, says that a shard is moving or has moved. */
  async isMoving(shard: ShardView): Promise<boolean> {
    await this.watch.refreshRouting().catch(() => {})
    const keyspace = this.watch.view.keyspaces.get(shard.keyspace)
    const component = keyspace?.components.find((c) => c.key === shard.component.key)
    return component === undefined || component.phase !== 'stable' || component.epoch !== shard.component.epoch
  }
}
