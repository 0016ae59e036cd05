import { toOpening, toSwitching } from '../topology/routing.ts'
import { xaPrefix } from '../mysql/our-schema.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { keys } from '../topology/keys.ts'
import type { SwitchObjects } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { gatesAcknowledged } from './acknowledge.ts'
import type { Acknowledgement } from './acknowledge.ts'
import { preflight } from './check.ts'
import { decide, takeRouting } from './decide.ts'
import type { RoutingVersion } from './decide.ts'
import type { Preflight, SwitchEffects } from './effects.ts'
import { switchErrors } from './errors.ts'
import { fenceText } from './fence-choice.ts'
import type { CarriedRows } from './carried.ts'
import { closeServer, describeOpen, fenceState, isClosed, prepareFence, settledFenceState } from './fence.ts'
import { plannedIds, raiseIds } from './ids.ts'
import type { PlannedId } from './ids.ts'
import { drained, placeMarkers } from './markers.ts'
import { fenceOn, schemasOn, tablesOn } from './plan.ts'
import type { Side, SwitchPlan } from './plan.ts'
import { gateHolds } from './gate-holds.ts'
import type { GateHolds } from './report.ts'
import { requireNoneInDoubt } from './in-doubt.ts'
import { makeStreams } from './reverse-streams.ts'
import type { KilledSession } from './sessions.ts'
import { SessionLocks } from './session-locks.ts'
import { settled } from './settled.ts'
import { stepTen } from './step-ten.ts'
import type { SwitchContext, SwitchLimits } from './context.ts'
import { placeObjects, readObjects, sameObjects } from './moved-objects.ts'
import type { Objects } from './moved-objects.ts'
import { unknownTables } from './unknown-tables.ts'
import { noteClosed, searchUnmarked, unmarkedText } from './unmarked.ts'
import { makeViews } from './views.ts'

/** The switch's effects on real servers and the topology. */
const xaLooksMax = 10
/** A COMMIT of several shards that is under way is over within this; under the fence, what is left of one. */
const [doubtMs, doubtClosedMs] = [2_000, 200]

export class RealEffects implements SwitchEffects {
  readonly #context: SwitchContext
  readonly #plan: SwitchPlan
  readonly #limits: SwitchLimits
  readonly #allowDifferences: readonly string[]
  /** What is cut when a switch runs out of time; the opening after it has its own. */
  readonly #attempt = new AbortController()
  #routing: RoutingVersion | null = null
  #locks: SessionLocks[] = []
  #ids: PlannedId[] = []
  #outcome: 'switched' | 'back' = 'back'
  #fenceLaid = false
  #objects: Objects | null = null
  #holdVersion = 0
  readonly #carried: CarriedRows | null

  constructor(context: SwitchContext, plan: SwitchPlan, limits: SwitchLimits, allowDifferences: readonly string[] = []) {
    this.#allowDifferences = allowDifferences
    this.#context = context
    this.#plan = plan
    this.#limits = limits
    this.#carried = context.carrier?.of(plan, limits.warmMs) ?? null
  }

  preflight(): Promise<Preflight> {
    return preflight(this.#context, this.#plan, this.#limits, this.#allowDifferences, this.#carried)
  }

  async prepare(): Promise<readonly string[]> {
    const { pool, store, leadership, clock } = this.#context
    const plan = this.#plan
    const servers = [...new Set([...plan.from.serverIds, ...plan.to.serverIds])]
    this.#routing = await takeRouting(this.#context, plan.keyspace)
    await pool.verify(servers)
    this.#objects = await this.#readObjects()
    const fences = await settled(
      plan.from.serverIds.map((id) =>
        pool.run(id, async (server) => fenceText(id, await prepareFence(server, schemasOn(plan.from, id), clock, plan.fence))),
      ),
    )
    const carried = (await this.#carried?.prepare(pool, leadership.signal)) ?? []
    const views = await makeViews(store, pool, plan, this.#limits, this.#allowDifferences)
    await makeStreams(this.#context, plan.backMissing)
    await this.#untouched()
    this.#ids = await plannedIds(store, plan)
    const raised = await raiseIds(pool, plan, this.#ids, 1_000n, leadership.signal)
    // Both directions once: start-up, a slow mover or a dead one show now, when nobody waits.
    await this.#drain('forward', this.#limits.warmMs, leadership.signal)
    // Streams write nothing where user triggers stand: the way back is proven once they have moved.
    if (this.#objects === null || this.#objects.triggers.length === 0) await this.#drain('back', this.#limits.warmMs, leadership.signal)
    await this.#warm(servers)
    this.#locks = await settled(
      plan.from.serverIds.map((id) =>
        SessionLocks.open(pool, id, {
          tables: tablesOn(plan, plan.from, id),
          graceMs: this.#limits.graceMs,
          leaseMs: this.#limits.lockLeaseMs,
          attemptMs: 150,
          clock,
          ...(plan.fence === 'triggers' ? { only: schemasOn(plan.from, id) } : {}),
        }),
      ),
    )
    await this.#carried?.freshen(pool)
    const drainMs = await this.#calm()
    await requireNoneInDoubt(this.#context, plan.from.shards, doubtMs, leadership.signal)
    return [
      ...fences,
      ...views,
      ...carried,
      `a drain took ${Math.round(drainMs)} ms before clients were held`,
      ...raised.map((text) => `ids raised: ${text}`),
    ]
  }

  async hold(): Promise<void> {
    const { clock, leadership } = this.#context
    const sinceMs = clock.nowMs()
    const hold = { sinceMs, untilMs: sinceMs + this.#limits.holdMs }
    const step = { ranges: this.#plan.ranges, token: leadership.token, hold }
    this.#routing = await decide(
      this.#context,
      this.#plan.keyspace,
      this.#version(),
      (record) => toSwitching(record, step),
      this.#plan.ranges,
    )
    this.#holdVersion = this.#routing.version
  }

  gatesAcknowledge(): Promise<Acknowledgement> {
    const { store, clock, leadership } = this.#context
    const { seenMs, graceMs } = this.#limits
    return gatesAcknowledged({
      store,
      keyspace: this.#plan.keyspace,
      version: this.#holdVersion,
      seenMs,
      graceMs,
      clock,
      signal: leadership.signal,
    })
  }

  async requireClosed(): Promise<void> {
    const { pool, clock } = this.#context
    const plan = this.#plan
    await settled(
      plan.to.serverIds.map((id) =>
        pool.run(
          id,
          async ({ connection, ours, serverId }) => {
            const state = await settledFenceState(connection, ours, fenceOn(plan, plan.to, id), clock)
            if (!isClosed(state)) throw switchErrors.notClosed({ server: serverId, open: describeOpen(state) })
          },
          this.#attempt.signal,
        ),
      ),
    )
  }

  async lockTables(signal: AbortSignal): Promise<readonly KilledSession[]> {
    const { pool } = this.#context
    const killed = await settled(this.#locks.map((locks) => locks.lock(signal)))
    await settled(
      this.#plan.from.serverIds.map((id) =>
        pool.run(
          id,
          async ({ connection }) => {
            for (let looks = 1; ; looks++) {
              const prepared = (await flavourOf(connection).xaRecover(connection)).map((xa) => xa.gtrid.toString('latin1'))
              if (prepared.length === 0) return
              // A gate's, of other tables: the gate is at its COMMIT.
              if (looks > xaLooksMax || !prepared.every((gtrid) => gtrid.startsWith(xaPrefix)))
                throw switchErrors.preparedXa({ server: id, xids: prepared.join(', ') })
              await this.#context.clock.sleep(20)
            }
          },
          this.#attempt.signal,
        ),
      ),
    )
    return killed.flat()
  }

  async drain(signal: AbortSignal): Promise<void> {
    await settled([
      this.#drain('forward', this.#limits.drainMs, signal),
      // Under the fence: from here on every transaction there that is not ours is somebody who passes it.
      ...(this.#fenceLaid ? this.#plan.from.serverIds : []).map((id) =>
        this.#context.pool.run(id, ({ connection }) => noteClosed(connection, schemasOn(this.#plan.from, id)), this.#attempt.signal),
      ),
    ])
  }

  proveWayBack(signal: AbortSignal): Promise<void> {
    return this.#drain('back', this.#limits.drainMs, signal)
  }

  async carryRows(signal: AbortSignal): Promise<readonly string[]> {
    return (await this.#carried?.carry(this.#context.pool, AbortSignal.any([signal, this.#attempt.signal]))) ?? []
  }

  raiseIds(): Promise<readonly string[]> {
    return raiseIds(this.#context.pool, this.#plan, this.#ids, 0n, this.#attempt.signal)
  }

  async closeServing(): Promise<readonly KilledSession[]> {
    const { pool, clock, failpoint } = this.#context
    const plan = this.#plan
    const killed = await settled(
      plan.from.serverIds.map((id) =>
        pool.run(id, (server) => closeServer(server, fenceOn(plan, plan.from, id), clock, failpoint), this.#attempt.signal),
      ),
    )
    this.#fenceLaid = true
    // From here on nobody makes another, and no decision comes to that side.
    await settled([
      ...plan.from.serverIds.map((id) =>
        pool.run(
          id,
          async ({ connection }) => {
            const [strange] = await unknownTables(connection, plan, id)
            if (strange !== undefined) throw strange
          },
          this.#attempt.signal,
        ),
      ),
      requireNoneInDoubt(this.#context, plan.from.shards, doubtClosedMs, this.#attempt.signal),
    ])
    return killed.flat()
  }

  /** Under armed triggers they stay until the decision: they alone refuse TRUNCATE and DDL (`fence-triggers.ts`). */
  async releaseTableLocks(): Promise<void> {
    if (this.#plan.fence !== 'triggers') await this.#releaseLocks()
  }

  async #releaseLocks(): Promise<void> {
    await settled(this.#locks.map((locks) => locks.release()))
  }

  async dropObjects(): Promise<void> {
    const { pool } = this.#context
    const { from, fence } = this.#plan
    const objects = this.#objects
    if (objects === null) return
    // Nobody can change them any more; what came since they were read would be dropped and forgotten.
    for (const { serverId, schema } of from.shards) {
      const now = await pool.run(serverId, ({ connection }) => readObjects(connection, schema), this.#attempt.signal)
      if (!sameObjects(now, objects)) throw switchErrors.objectsChanged({ server: serverId, schema })
    }
    // What is dropped under them waits for them; DDL that gets in meanwhile stands before the second marker.
    if (fence === 'triggers') await settled(this.#locks.map((locks) => locks.unlock()))
    await this.#place(from, objects, 'follows')
    if (fence === 'triggers') await this.lockTables(this.#attempt.signal)
  }

  async makeObjects(): Promise<readonly string[]> {
    const objects = this.#objects
    if (objects === null) return []
    await this.#place(this.#plan.to, objects, 'serves')
    return [`${objects.triggers.length} triggers and ${objects.events.length} events moved`]
  }

  async #place(side: Side, objects: Objects, role: 'serves' | 'follows'): Promise<void> {
    const { pool } = this.#context
    const all = new Map(side.shards.map((shard) => [shard.shard, objects]))
    await settled(side.serverIds.map((id) => pool.run(id, (server) => placeObjects(server, side.shards, all, role), this.#attempt.signal)))
  }

  async decide(outcome: 'switched' | 'back'): Promise<void> {
    const step = { ranges: this.#plan.ranges, token: this.#context.leadership.token, outcome }
    // They end by themselves no earlier than our lease, without which the commit fails.
    if (outcome === 'switched' && this.#plan.fence === 'triggers') await settled(this.#locks.map((locks) => locks.requireHeld()))
    this.#routing = await decide(
      this.#context,
      this.#plan.keyspace,
      this.#version(),
      (record) => toOpening(record, step),
      this.#plan.ranges,
    )
    this.#outcome = outcome
  }

  async finish(): Promise<readonly KilledSession[]> {
    const { from, to, keyspace, ranges, allowUnfenced } = this.#plan
    await this.#releaseLocks()
    const [serving, other] = this.#outcome === 'switched' ? [to, from] : [from, to]
    const otherFence = this.#outcome === 'back' || this.#fenceLaid ? 'laid' : 'unknown'
    const done = await stepTen(
      { ...this.#context, fence: { allowUnfenced }, readGraceMs: this.#limits.readGraceMs },
      { keyspace, ranges, routing: this.#version(), serving, other, otherFence },
    )
    this.#routing = done.routing
    return done.killed
  }

  async dropSessions(): Promise<void> {
    this.#attempt.abort(switchErrors.timeUp({ limitMs: this.#limits.limitMs, step: 'an effect on a server' }))
    const { pool } = this.#context
    await settled([...this.#plan.from.serverIds, ...this.#plan.to.serverIds].map((id) => pool.release(id)))
  }

  holds(): Promise<GateHolds | null> {
    const hold = { keyspace: this.#plan.keyspace, version: this.#holdVersion, limitMs: this.#limits.holdsReportMs }
    return gateHolds(this.#context, hold)
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#locks.map((locks) => locks.release()), this.#carried?.end()])
  }

  /** As they stand on F now; in the topology before any of them is dropped. */
  async #readObjects(): Promise<Objects | null> {
    const { store, pool, leadership } = this.#context
    const { triggers, from, workflowUid } = this.#plan
    const [first] = from.shards
    if (triggers === 'refuse' || first === undefined) return null
    const objects = await pool.run(first.serverId, ({ connection }) => readObjects(connection, first.schema))
    const record: SwitchObjects = { v: 1, workflowUid, triggers: [...objects.triggers], events: [...objects.events] }
    const result = await store.commit([leadership.fence], [put(keys.switchObjects(workflowUid), record)])
    if (!result.ok) throw switchErrors.decisionLost({ keyspace: this.#plan.keyspace, reason: 'this controller does not lead any more' })
    return objects
  }

  /**
   * Where DDL and TRUNCATE pass the fence: none of it came to N since it was closed. From here on the streams back, which have begun, stop at it.
   */
  async #untouched(): Promise<void> {
    const { pool, clock, leadership } = this.#context
    const { to, fence } = this.#plan
    if (fence !== 'triggers') return
    for (const id of to.serverIds) {
      const search = await pool.run(id, (server) => searchUnmarked(server, schemasOn(to, id), clock, leadership.signal, 'untilClean'))
      const [found] = unmarkedText(id, search)
      if (found !== undefined) throw switchErrors.closedWritten({ server: id, found })
    }
  }

  /** What will be asked while clients are held is asked once before: caches of the servers and code of ours that has not run yet. */
  async #warm(servers: readonly string[]): Promise<void> {
    await settled(
      servers.map((id) =>
        this.#context.pool.run(id, async ({ connection, ours }) => {
          await fenceState(connection, ours, fenceOn(this.#plan, this.#plan.to, id))
          await flavourOf(connection).xaRecover(connection)
        }),
      ),
    )
  }

  /**
   * Drains until one is quick, a few times at most: right after a backlog, or in a hiccup of a disk, is no moment to hold clients. Returns how
   * long the last one took, which is about what it will take then.
   */
  async #calm(): Promise<number> {
    const { clock, leadership } = this.#context
    const attemptsMax = 6
    for (let attempt = 1; ; attempt++) {
      const beganMs = clock.monotonicMs()
      await this.#drain('forward', this.#limits.warmMs, leadership.signal)
      const tookMs = clock.monotonicMs() - beganMs
      if (tookMs <= this.#limits.calmMs || attempt === attemptsMax) return tookMs
    }
  }

  async #drain(direction: 'forward' | 'back', timeoutMs: number, signal: AbortSignal): Promise<void> {
    const { pool, store, clock } = this.#context
    const { from, to, streams, back, workflowUid } = this.#plan
    const markers = await placeMarkers(pool, direction === 'forward' ? from.serverIds : to.serverIds, this.#attempt.signal)
    await drained({
      store,
      workflowUid,
      streams: direction === 'forward' ? streams : back,
      markers,
      timeoutMs,
      clock,
      signal,
      late: direction === 'forward' ? 'notDrained' : 'reverseNotProven',
    })
  }

  #version(): RoutingVersion {
    if (this.#routing === null) throw new Error('the routing record was not read')
    return this.#routing
  }
}
