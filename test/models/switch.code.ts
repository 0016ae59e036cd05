/**
 * The switch model with controllers that are the room's own code: `runSwitch` (the order of the steps, giving up), `decide` and `takeRouting` over a topology that loses requests and answers, `recoverKeyspace`, `stepTen`, `ClaimPool`,
 * `closeServer`, `openServer`, `killClients`, and the transitions of `topology/routing.ts`. Clients, gates, streams, restarts and the promises that are checked are those of `switch.model.ts`.
 *
 * What is modelled: the lease; preflight and the gates' answers; markers and drains; table locks; rows of the way back; what `retire` removes. No user triggers.
 */
import type { Clock } from '../../src/base/clock.ts'
import { silentLog } from '../../src/base/log.ts'
import { ConnectionLost } from '../../src/mysql/errors.ts'
import { ClaimPool } from '../../src/switch/claim.ts'
import type { SwitchContext } from '../../src/switch/context.ts'
import { noSwitchFailpoint } from '../../src/switch/crash-points.ts'
import { decide, readRouting } from '../../src/switch/decide.ts'
import { recoverKeyspace } from '../../src/switch/recover.ts'
import { runSwitch } from '../../src/switch/switch.ts'
import { topologyErrors } from '../../src/topology/errors.ts'
import { keys } from '../../src/topology/keys.ts'
import { MemoryStore } from '../../src/topology/memory.ts'
import type { RoutingRecord } from '../../src/topology/records.ts'
import { toRetired, toRetiring, toSwitching } from '../../src/topology/routing.ts'
import type { Store } from '../../src/topology/store.ts'
import { put } from '../../src/topology/typed.ts'
import { checkEnd, live, type SwitchResult } from './switch.model.ts'
import { ModelEffects, modelOf, ranges, sideOf } from './switch.effects.ts'
import { ModelConnection, type Turns } from './switch.server.ts'
import { Broken, otherSide, World, type Server, type SideName } from './switch.world.ts'

export async function runSwitchCode(seed: number, trace?: (line: string) => void): Promise<SwitchResult> {
  const world = new World(seed, [], { triggers: false }, trace)
  // What an applier may not do under read_only the proof of the way back tells, unless its server has restarted since the fence was laid, without read_only: preflight has looked at its rights then.
  for (const server of world.servers) if (server.weak) server.crash = () => server.killSessions(() => true)
  const topology = new ModelTopology(world)
  await topology.fill()
  const controllers: [Controller, Controller] = [new Controller(topology, 0), new Controller(topology, 1)]
  const die = (i: 0 | 1): void => {
    controllers[i].dead = true
    controllers[i] = new Controller(topology, i)
  }
  const result = (broken: string | null): SwitchResult => ({ broken, switches: world.record.epoch })
  try {
    for (const i of live(world, die)) {
      await controllers[i].next()
      if (topology.failure !== null) throw topology.failure
    }
    checkEnd(world)
    return result(null)
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    return result(error.message)
  } finally {
    for (const controller of controllers) controller.dead = true
  }
}

/** The records, and the model's view of the one that decides. */
class ModelTopology {
  readonly world: World
  readonly memory = new MemoryStore()
  failure: Error | null = null

  constructor(world: World) {
    this.world = world
  }

  async fill(): Promise<void> {
    const names = (side: SideName): string[] => this.world.sides[side].map(({ name }) => name)
    const component = {
      range: '-',
      workflow: 'w',
      epoch: 0,
      serving: { primary: names('S'), replica: names('S') },
      other: names('T'),
      phase: 'stable',
      to: null,
      hold: null,
      retired: false,
    } as const
    const user = { user: 'admin', password: '' }
    const secret = { v: 1, admin: user, mover: { user: 'mover', password: '' }, gate: { user: 'gate', password: '' } } as const
    await this.memory.commit(
      [],
      [
        put(keys.routing('app'), { v: 1, token: 0, components: [component] }),
        ...this.world.servers.flatMap(({ name }) => [
          put(keys.server(name), { v: 1, id: name }),
          put(keys.secret(name), secret),
          put(keys.shard('app', name), { v: 1, uid: name, serverId: name, schema: 'm' }),
        ]),
      ],
    )
  }

  /** A commit may be lost on its way, or its answer. */
  storeFor(turns: Turns): Store {
    const { memory, world } = this
    const commit: Store['commit'] = async (conditions, puts) => {
      await turns.turn()
      const lost = (probability: number): void => {
        if (!world.calm && world.chance(probability)) throw topologyErrors.outcomeUnknown({ keys: 'routing' })
      }
      lost(0.06)
      const result = await memory.commit(conditions, puts)
      const routing = puts.find(({ key }) => key === keys.routing('app'))
      try {
        if (result.ok && routing !== undefined) this.#decided(routing.value as unknown as RoutingRecord)
      } catch (error) {
        if (error instanceof Broken) turns.broken(error)
        throw error
      }
      lost(0.08)
      return result
    }
    return { get: (key: string) => memory.get(key), list: (prefix: string) => memory.list(prefix), commit } as unknown as Store
  }

  #decided({ token, components: [component] }: RoutingRecord): void {
    if (component === undefined) return
    const { record } = this.world
    const { epoch, phase, hold, retired } = component
    const serving = component.serving.primary[0]?.startsWith('S') === true ? 'S' : 'T'
    Object.assign(record, { token, epoch, phase, retired, serving, hold: hold !== null, version: record.version + 1 })
    this.world.say(`committed by token ${token}: ${phase}, ${serving} serves`)
    this.world.checkServingOpen()
  }
}

/** A control process: what it waits for goes on when it is its turn, and never once it is dead. */
class Controller implements Turns {
  dead = false
  readonly #topology: ModelTopology
  readonly #world: World
  readonly #me: 0 | 1
  readonly #waiting: (() => void)[] = []
  #sleepers: { readonly atStep: number; readonly wake: () => void }[] = []
  #began = false

  constructor(topology: ModelTopology, me: 0 | 1) {
    this.#topology = topology
    this.#world = topology.world
    this.#me = me
  }

  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  broken(error: Error): void {
    this.#topology.failure ??= error
  }

  async next(): Promise<void> {
    if (this.dead) return
    if (!this.#began) {
      this.#began = true
      this.#lead().catch((error: unknown) => this.broken(error as Error))
    } else if (this.#waiting.length > 0) {
      this.#waiting.splice(this.#world.random.below(this.#waiting.length), 1)[0]?.()
    } else {
      // Who waits for a server hears of it before a moment is over.
      const due = this.#sleepers.filter(({ atStep }) => atStep <= this.#world.now)
      this.#sleepers = this.#sleepers.filter((one) => !due.includes(one))
      for (const { wake } of due) wake()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }

  get #clock(): Clock {
    const now = (): number => this.#world.now
    return {
      nowMs: now,
      monotonicMs: now,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted === true) reject(signal.reason)
          this.#sleepers.push({ atStep: now() + (ms > 1_000 ? 900 : Math.min(ms, 60)), wake: resolve })
          signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        }),
    }
  }

  async #lead(): Promise<never> {
    const world = this.#world
    const { lease } = world
    const me = this.#me
    const other = (1 - me) as 0 | 1
    let token = 0
    for (;;) {
      await this.turn()
      // Leases expire unnoticed.
      if (lease.leader === other && (world.calm || !world.chance(world.asleep[other] > world.now ? 0.1 : world.expiry))) continue
      if (lease.leader !== me || token === 0 || world.chance(0.5)) {
        lease.leader = me
        token = ++lease.token
        world.say(`lease: token ${token}`)
      }
      const led = await this.#topology.memory.commit([], [put(keys.leader, { v: 1 })])
      if (!led.ok) continue
      const over = new AbortController()
      const leadership = { token, fence: { key: keys.leader, version: led.revision }, signal: over.signal }
      const store = this.#topology.storeFor(this)
      const connect = (async ({ record }) => {
        const server = this.#server(record.id)
        await this.turn()
        if (!server.up) throw new ConnectionLost('nothingSent', server.name)
        return new ModelConnection(world, this, server.openSession(token, me)).asConnection
      }) as NonNullable<ConstructorParameters<typeof ClaimPool>[0]['connect']>
      const clock = this.#clock
      const pool = new ClaimPool({ store, installationId: 'i', leadership, clock, log: silentLog, connect })
      const readPosition = (): Promise<string> => Promise.resolve('')
      const context: SwitchContext = { store, leadership, pool, clock, log: silentLog, readPosition, failpoint: noSwitchFailpoint }
      try {
        for (;;) {
          await this.turn()
          if (lease.leader !== me) break
          await this.#work(context)
        }
      } catch (error) {
        if (error instanceof Broken || !(error instanceof Error) || error instanceof TypeError) throw error
        world.say(`controller ${me}: ${error.message}`)
      }
      over.abort(new Error('another leads'))
    }
  }

  #server(name: string): Server {
    return this.#world.servers.find((server) => server.name === name) as Server
  }

  /** What a leader finds to do. */
  async #work(context: SwitchContext): Promise<void> {
    const world = this.#world
    const { pool, leadership } = context
    const { record } = world
    const goal = record.goal
    const done = (): void => void (record.goal === goal && (record.goal = goal + 1))
    const recovered = await recoverKeyspace(context, 'app', { readGraceMs: 3 })
    if (recovered.gaveUp.length + recovered.opened.length > 0) return done()
    const routing = await readRouting(context.store, 'app')
    const [component] = routing.value.components
    if (component === undefined) return
    const { token } = leadership
    if (component.phase === 'retiring') {
      for (const name of component.other)
        await pool.run(name, ({ connection }) => modelOf(connection).statement('drop', () => this.#drop(name)))
      await decide(context, 'app', routing, (now) => toRetired(now, { ranges, token }), ranges)
      return done()
    }
    const wanted = world.goals[goal]
    const serving = record.serving
    if (wanted === undefined) return
    if (wanted === 'retire') {
      if (component.retired) return done()
      await decide(context, 'app', routing, (now) => toRetiring(now, { ranges, token, serving: component.serving.primary }), ranges)
      return
    }
    // Of a component that is retired `toSwitching` refuses it.
    if (wanted === serving) return done()
    if (component.retired) {
      const refused = toSwitching(routing.value, { ranges, token, hold: { sinceMs: 0, untilMs: 1 } })
      if (refused.ok) throw new Broken('4 a side that is gone is switched to')
      return done()
    }
    const effects = new ModelEffects(context, world, { from: serving, to: otherSide[serving], turn: () => this.turn(), me: this.#me })
    const plan = { keyspace: 'app', workflow: 'w', from: sideOf(world, serving), to: sideOf(world, otherSide[serving]) }
    const { clock, log } = context
    const running = {
      plan,
      effects,
      dryRun: false,
      clock,
      log,
      signal: leadership.signal,
      limitMs: 5_000,
      failpoint: noSwitchFailpoint,
      undo: '',
    }
    const report = await runSwitch(running)
    world.say(`controller ${this.#me}: ${report.outcome}${report.error === null ? '' : `: ${report.error.what}`}`)
    done()
  }

  #drop(name: string): void {
    const server = this.#server(name)
    server.dropped = true
    server.rows = server.rows.map(() => [])
  }
}
