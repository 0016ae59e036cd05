/**
 * The gate: listens for MySQL clients and routes them by what the topology says. Constructed by `main/`; several may run,
 * in several processes, on one port or many. It keeps no state that outlives it.
 */
import { randomInt, type KeyObject } from 'node:crypto'
import net from 'node:net'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { acceptClient, type ServerConnection } from '../mysql/server-connection.ts'
import { withSharedReads } from '../mysql/shared-reads.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import { Accounts } from './accounts.ts'
import { defaultGateConfig, type GateConfig } from './config.ts'
import { BranchReads } from './branch-reads.ts'
import { CopiesOrder } from './copies-order.ts'
import { Core } from './core.ts'
import { Deadlocks } from './deadlocks.ts'
import { gateErrors } from './errors.ts'
import { Holds } from './holds.ts'
import { Kills } from './kills.ts'
import { Logins } from './logins.ts'
import { Membership, sessionsPerSlot } from './membership.ts'
import { GateCatalog } from './catalog.ts'
import { Planner } from './plan/planner.ts'
import { Pools } from './pools.ts'
import { errorFrame } from './replies.ts'
import { ReplicaHealth, type ReportedStream } from './replica-health.ts'
import { ReadFigures } from './read-figures.ts'
import { ReadSampler } from './read-sampler.ts'
import { ServerClocks } from './server-clocks.ts'
import { ServerModes } from './server-modes.ts'
import { Sequences } from './sequences.ts'
import { Sweeps } from './lookup-sweep.ts'
import { Xa } from './xa.ts'
import { XaRecovery } from './xa-recovery.ts'
import { Session } from './session.ts'
import { Stats } from './stats.ts'
import { TopologyWatch } from './topology-watch.ts'

export type GateOptions = {
  store: Store
  /** Port 0: the system chooses. `reusePort`: several processes on one port. `socket`: one that another process has bound, and hands on. */
  listen: { host: string; port: number; reusePort?: boolean; socket?: object }
  log: Log
  clock: Clock
  /** One process start. */
  id: string
  pid: number
  config?: Partial<GateConfig>
  /** The one of now: certificates are replaced while sessions go on. */
  secureContext?: () => SecureContext
  /** By which clients without TLS encrypt a password that they must show. */
  rsaKey?: () => Promise<KeyObject>
}

const statsEveryMs = 1_000
/** A client that is being greeted when the gate begins to end has so long to log in. */
const greetingMs = 3_000
/** Who is cut off at the end of the grace is told, and what was on its way to us by then is still taken: not run, and answered by that. */
const lastWordMs = 100

/** What came of a gate's end: how many sessions there were, and how many of them had to be cut off with something open. */
export type Drained = { readonly sessions: number; readonly cut: number; readonly ms: number }
/** A client whose machine is gone says nothing: its kernel is asked after this long, and the session ends when it does not answer. */
const keepAliveMs = 60_000

export class Gate {
  readonly #options: GateOptions
  readonly #core: Core
  readonly #health: ReplicaHealth
  readonly #recovery: XaRecovery
  #recoveryTimer: NodeJS.Timeout | null = null
  readonly #server: net.Server
  readonly #clients = new Set<net.Socket>()
  readonly #logins = new Logins()
  readonly #accounts: Accounts
  /** Anywhere: who takes the slot of a gate whose lease ended while its sessions live would else number its own as they are, and a KILL meet the wrong one. */
  #lastThread = randomInt(sessionsPerSlot)
  /** Its place among the gates is being taken: sessions that come meanwhile wait for their number. */
  #joining: Promise<void> = Promise.resolve()
  /** Clients that have connected and are not sessions yet. */
  #greeted = 0
  #queriesAtMs = 0
  #timer: NodeJS.Timeout | null = null
  #stopping = false

  constructor(options: GateOptions) {
    this.#options = options
    const config: GateConfig = { ...defaultGateConfig, ...options.config }
    const { clock, log, store, id, pid } = options
    const watch = new TopologyWatch(store, clock, log)
    const stats = new Stats()
    const membership = new Membership({ store, clock, log, id, pid, leaseMs: config.leaseMs, refresh: () => watch.refresh() })
    const holds = new Holds({
      clock,
      limits: { bytesMax: config.holdBytesMax, waitMaxMs: config.holdMs, graceMs: config.transactionGraceMs },
      traffic: (uid) => watch.existingTraffic(uid),
      acknowledge: (keyspace, version, open) => membership.acknowledge(keyspace, version, open),
      report: (keyspace, report) => membership.report(keyspace, report),
    })
    const health = new ReplicaHealth({
      clock,
      log,
      lagMaxMs: config.replicaLagMaxMs,
      everyMs: config.replicaCheckMs,
      connectTimeoutMs: config.connectTimeoutMs,
      streams: () => reportedStreams(store),
    })
    const clocks = new ServerClocks(clock, log)
    const modes = new ServerModes({ clock, log, connectTimeoutMs: config.connectTimeoutMs, view: () => watch.view, clocks })
    const pools = new Pools(config, clock, health, modes)
    const reads = new BranchReads({
      clock,
      waitMaxMs: config.holdMs,
      bytesMax: config.holdBytesMax,
      figures: new ReadFigures(),
      sampler: new ReadSampler(),
      acknowledge: (key, version) => membership.acknowledge(key, version, 0),
    })
    this.#health = health
    this.#core = new Core({ config, clock, log, watch, holds, membership, modes, clocks, pools, stats, reads })
    this.#core.catalog = new GateCatalog(this.#core)
    this.#core.planner = new Planner(this.#core.catalog)
    this.#core.sequences = new Sequences(this.#core)
    this.#core.xa = new Xa(this.#core)
    this.#core.copies = new CopiesOrder(this.#core)
    this.#core.sweeps = new Sweeps(this.#core)
    this.#core.kills = new Kills(this.#core, store, id)
    this.#core.deadlocks = new Deadlocks(this.#core, store, id)
    this.#recovery = new XaRecovery(this.#core)
    this.#accounts = new Accounts(() => watch.view.users)
    watch.onChange((view, before) => {
      // Transactions on shards that do not serve any more end here; then what waited may go.
      watch.expelStrangers()
      pools.onView(view)
      health.onView(view)
      holds.onView(view, before)
      reads.onView(view)
    })
    this.#server = net.createServer(
      { noDelay: true, pauseOnConnect: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs },
      (socket) => void this.#accept(withSharedReads(socket)),
    )
  }

  /** Resolves when clients may connect, with the port. */
  async start(): Promise<{ host: string; port: number }> {
    const { host, port, reusePort, socket } = this.#options.listen
    await this.#core.watch.start()
    this.#health.start()
    void this.#core.modes.learn()
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      const listening = (): void => {
        this.#server.off('error', reject)
        resolve()
      }
      if (socket !== undefined) this.#server.listen(socket, listening)
      else this.#server.listen({ host, port, ...(reusePort === true ? { reusePort: true } : {}) }, listening)
    })
    const address = this.#server.address() as net.AddressInfo
    this.#joining = this.#core.membership.start(host, address.port)
    await this.#joining
    this.#core.kills.start()
    this.#timer = setInterval(() => void this.#everySecond(), statsEveryMs)
    this.#timer.unref()
    this.#recoveryTimer = setInterval(() => this.#recovery.tick(), this.#core.config.xaCheckMs)
    this.#recoveryTimer.unref()
    return { host, port: address.port }
  }

  /** The socket that it listens on: a process that has it keeps clients waiting, not refused, while another takes this one's place. */
  get listener(): unknown {
    return (this.#server as unknown as { readonly _handle: unknown })._handle
  }

  /**
   * Nobody is let in any more (other processes on the port take them); each session ends when nothing of it is open, its transaction included, and
   * at the latest after `graceMs`, rolled back. Holds, acknowledgements and figures go on until then: what is open must still be seen by a switch.
   * @param hurry ends the grace
   */
  async stop(graceMs = 0, hurry?: AbortSignal): Promise<Drained> {
    if (this.#stopping) return { sessions: 0, cut: 0, ms: 0 }
    this.#stopping = true
    this.#server.close()
    const core = this.#core
    const drained = await this.#drain(graceMs, hurry)
    if (drained.sessions > 0) core.log.info(drained, 'sessions have come to their ends, or were cut off')
    if (this.#timer !== null) clearInterval(this.#timer)
    if (this.#recoveryTimer !== null) clearInterval(this.#recoveryTimer)
    core.holds.stop()
    core.deadlocks.stop()
    for (const socket of this.#clients) socket.destroy()
    await core.sweeps.stop()
    await core.kills.stop()
    await core.membership.stop()
    await core.watch.stop()
    await this.#health.stop()
    core.pools.close()
    await this.#recovery.settled()
    return drained
  }

  async #drain(graceMs: number, hurry: AbortSignal | undefined): Promise<Drained> {
    const { sessions, clock } = this.#core
    const sinceMs = clock.monotonicMs()
    const ms = (): number => clock.monotonicMs() - sinceMs
    const atFirst = sessions.size
    const each = (act: (session: Session) => void): void => {
      for (const session of sessions.values()) act(session as Session)
    }
    each((session) => session.drain())
    while (sessions.size > 0 || (this.#greeted > 0 && ms() < greetingMs)) {
      if (ms() >= graceMs || hurry?.aborted === true) break
      await clock.sleep(10)
      each((session) => {
        session.drain()
        session.endIfTold(clock.monotonicMs())
      })
    }
    const cut = [...sessions.values()].filter((session) => !(session as Session).told).length
    const drained = { sessions: atFirst, cut, ms: Math.round(ms()) }
    if (cut > 0 && graceMs > 0) {
      each((session) => session.cutOff())
      await clock.sleep(lastWordMs)
    }
    return drained
  }

  get core(): Core {
    return this.#core
  }

  /** One look at all servers for transactions in doubt, beside those that the clock begins. */
  async lookForDoubt(): Promise<void> {
    await this.#recovery.pass()
  }

  async #accept(socket: net.Socket): Promise<void> {
    const core = this.#core
    socket.on('error', () => {})
    if (this.#stopping || core.sessions.size >= core.config.sessionsMax) {
      socket.end(errorFrame(this.#stopping ? gateErrors.draining() : gateErrors.tooManyConnections({ max: core.config.sessionsMax }), 0))
      return
    }
    this.#clients.add(socket)
    socket.on('close', () => this.#clients.delete(socket))
    this.#greeted++
    try {
      const client = await this.#greet(socket)
      if (client !== null) new Session(core, client).start()
    } finally {
      this.#greeted--
    }
  }

  async #greet(socket: net.Socket): Promise<ServerConnection | null> {
    const core = this.#core
    if (core.membership.slot < 0) await this.#joining.catch(() => {})
    const { secureContext, rsaKey } = this.#options
    return acceptClient(socket, {
      serverVersion: core.greetedVersion,
      threadId: this.#threadId(),
      // The one that clients of that family always have; whoever prefers the other is asked for it.
      plugin: core.isMariadb ? 'mysql_native_password' : 'caching_sha2_password',
      extendedMetadata: core.isMariadb && core.watch.view.extendedMetadata,
      packetBytesMax: core.config.packetBytesMax,
      authenticate: async (user, address) => {
        const pauseMs = this.#logins.pauseMs(user, address, core.clock.monotonicMs())
        if (pauseMs > 0) await core.clock.sleep(pauseMs)
        return this.#accounts.stored(user)
      },
      judged: (user, address, verified) => {
        if (verified) this.#logins.succeeded(user, address)
        else {
          this.#logins.refused(user, address, core.clock.nowMs())
          core.log.warn({ user, address, known: core.watch.view.users.has(user) }, 'a login was refused')
        }
      },
      learned: (user, stored, sha256) => this.#accounts.learned(user, stored, sha256),
      tlsRequired: (user) => core.config.requireTls || (user !== undefined && core.watch.view.users.get(user)?.requireTls === true),
      ...(secureContext === undefined ? {} : { secureContext: secureContext() }),
      ...(rsaKey === undefined ? {} : { rsaKey }),
    })
  }

  #threadId(): number {
    const { sessions, membership } = this.#core
    for (;;) {
      this.#lastThread = (this.#lastThread % (sessionsPerSlot - 1)) + 1
      const id = Math.max(0, membership.slot) * sessionsPerSlot + this.#lastThread
      if (!sessions.has(id)) return id
    }
  }

  async #everySecond(): Promise<void> {
    const core = this.#core
    core.pools.trim()
    const monotonicMs = core.clock.monotonicMs()
    for (const session of core.sessions.values()) {
      ;(session as Session).endIfIdle(monotonicMs - core.config.idleSessionMs)
      ;(session as Session).endIfStalled(monotonicMs)
      ;(session as Session).endIfTold(monotonicMs)
    }
    try {
      const nowMs = core.clock.nowMs()
      const { scattered, slow } = core.shapes
      const refusedLogins = this.#logins.refusals
      const deadlocks = core.deadlocks.found
      await core.membership.stats({
        ...core.stats.take(nowMs),
        scattered,
        slow,
        deadlocks,
        ...(refusedLogins.total > 0 && { refusedLogins }),
      })
      await this.#writeQueries(nowMs)
      if ([...core.watch.view.keyspaces.values()].some((keyspace) => keyspace.reads?.rule.to != null))
        await core.membership.reads(core.reads.takeFigures(), core.reads.sampler.take(this.#options.id, nowMs), nowMs)
    } catch (error) {
      core.log.debug({ error: String(error) }, 'figures could not be written')
    }
  }

  async #writeQueries(nowMs: number): Promise<void> {
    const { shapes, config, membership } = this.#core
    if (nowMs - this.#queriesAtMs < config.queriesEveryMs) return
    const queries = shapes.take(this.#options.id, nowMs)
    if (queries === null) return
    this.#queriesAtMs = nowMs
    await membership.queries(queries)
  }
}

async function reportedStreams(store: Store): Promise<ReportedStream[]> {
  const [streams, reports] = await Promise.all([
    listRecords<StreamRecord>(store, keys.streams),
    listRecords<StreamReport>(store, keys.reports),
  ])
  return streams.map(({ value: stream }) => ({ stream, report: reports.find(({ value }) => value.streamUid === stream.uid)?.value }))
}
