/** The steps' effects in the switch model with the room's own code (`switch.code.ts`): commits, fences and the opening are the room's; markers, table locks and streams the model's. */
import { decide, takeRouting, type RoutingVersion } from '../../src/switch/decide.ts'
import type { SwitchContext } from '../../src/switch/context.ts'
import type { SwitchEffects } from '../../src/switch/effects.ts'
import { closeServer, isClosed, settledFenceState } from '../../src/switch/fence.ts'
import type { Side } from '../../src/switch/plan.ts'
import { settled } from '../../src/switch/settled.ts'
import { stepTen } from '../../src/switch/step-ten.ts'
import { toOpening, toSwitching } from '../../src/topology/routing.ts'
import { kept, ModelConnection } from './switch.server.ts'
import type { Server, SideName, World } from './switch.world.ts'

/** All that is switched. */
export const ranges = ['-']

export const modelOf = (connection: unknown): ModelConnection => connection as ModelConnection

export function sideOf(world: World, side: SideName): Side {
  const shards = world.sides[side].map(({ name }) => ({ shard: name, uid: name, serverId: name, schema: 'm' }))
  return { shards, serverIds: shards.map(({ serverId }) => serverId) }
}

export class ModelEffects implements SwitchEffects {
  readonly #context: SwitchContext
  readonly #world: World
  readonly #from: SideName
  readonly #to: SideName
  readonly #me: number
  readonly #turn: () => Promise<void>
  readonly #locks: ModelConnection[] = []
  #routing: RoutingVersion | null = null
  #outcome: 'switched' | 'back' = 'back'
  #fenceLaid = false

  constructor(
    context: SwitchContext,
    world: World,
    { from, to, turn, me }: { readonly from: SideName; readonly to: SideName; readonly turn: () => Promise<void>; readonly me: number },
  ) {
    this.#context = context
    this.#world = world
    this.#from = from
    this.#to = to
    this.#turn = turn
    this.#me = me
  }

  async preflight(): ReturnType<SwitchEffects['preflight']> {
    return { blockers: [], notes: [] }
  }

  async prepare(): Promise<readonly string[]> {
    this.#routing = await takeRouting(this.#context, 'app')
    await this.#context.pool.verify(this.#world.servers.map(({ name }) => name))
    // From where the old side follows the new one; never moved once there.
    for (const source of this.#world.sides[this.#to])
      await this.#each(this.#from, `way back from ${source.name}`, (server) => {
        if (!server.progress.has(source)) server.progress.set(source, source.log.length)
      })
    return []
  }

  async hold(): Promise<void> {
    const step = { ranges, token: this.#context.leadership.token, hold: { sinceMs: 0, untilMs: 1 } }
    this.#routing = await decide(this.#context, 'app', this.#version(), (record) => toSwitching(record, step), ranges)
  }

  async gatesAcknowledge(): ReturnType<SwitchEffects['gatesAcknowledge']> {
    for (let left = this.#world.random.below(4); left > 0; left--) await this.#turn()
    return { gates: 0, silent: [], open: 0 }
  }

  async requireClosed(): Promise<void> {
    const { pool, clock } = this.#context
    for (const { name } of this.#world.sides[this.#to]) {
      const state = await pool.run(name, ({ connection, ours }) => settledFenceState(connection, ours, { allowUnfenced: [] }, clock))
      if (!isClosed(state)) throw new Error(`${name} is open`)
    }
  }

  async lockTables(): ReturnType<SwitchEffects['lockTables']> {
    const { pool, leadership } = this.#context
    if (!this.#world.useLocks) return []
    for (const server of this.#world.sides[this.#from]) {
      for (let left = 5; left > 0; left--) if (server.transactions.size > 0) await this.#turn()
      // KILL after the grace.
      server.transactions.clear()
      await this.#turn()
      const locker = new ModelConnection(
        this.#world,
        { turn: this.#turn, broken: () => undefined },
        server.openSession(leadership.token, this.#me),
      )
      this.#locks.push(locker)
      kept(server).lock = locker.session
      await pool.run(server.name, ({ connection }) => modelOf(connection).statement('still mine?', () => undefined))
      await locker.statement('LOCK TABLES', () => void (server.transactions.size === 0 && server.tableLocks.add(locker.session)))
      if (!server.tableLocks.has(locker.session)) throw new Error('tables could not be locked')
    }
    return []
  }

  drain(): Promise<void> {
    return this.#drain(this.#from, this.#to)
  }

  async raiseIds(): Promise<readonly string[]> {
    return []
  }

  async closeServing(): ReturnType<SwitchEffects['closeServing']> {
    const { pool, clock } = this.#context
    const names = this.#world.sides[this.#from].map(({ name }) => name)
    const killed = await settled(names.map((name) => pool.run(name, (server) => closeServer(server, { allowUnfenced: [] }, clock))))
    this.#fenceLaid = true
    return killed.flat()
  }

  async releaseTableLocks(): Promise<void> {
    for (const locker of this.#locks.splice(0)) locker.destroy()
  }

  async dropObjects(): Promise<void> {}

  async makeObjects(): Promise<readonly string[]> {
    return []
  }

  proveWayBack(): Promise<void> {
    return this.#drain(this.#to, this.#from)
  }

  async carryRows(): Promise<readonly string[]> {
    return []
  }

  async decide(outcome: 'switched' | 'back'): Promise<void> {
    const step = { ranges, token: this.#context.leadership.token, outcome }
    this.#routing = await decide(this.#context, 'app', this.#version(), (record) => toOpening(record, step), ranges)
    this.#outcome = outcome
  }

  async finish(): ReturnType<SwitchEffects['finish']> {
    await this.releaseTableLocks()
    const [serving, other] = this.#outcome === 'switched' ? [this.#to, this.#from] : [this.#from, this.#to]
    const otherFence = this.#outcome === 'back' || this.#fenceLaid ? 'laid' : 'unknown'
    const work = {
      keyspace: 'app',
      ranges,
      routing: this.#version(),
      serving: sideOf(this.#world, serving),
      other: sideOf(this.#world, other),
      otherFence,
    } as const
    const done = await stepTen({ ...this.#context, fence: { allowUnfenced: [] }, readGraceMs: 3 }, work)
    return done.killed
  }

  async dropSessions(): Promise<void> {
    await settled(this.#world.servers.map(({ name }) => this.#context.pool.release(name)))
  }

  async holds(): Promise<null> {
    return null
  }

  async close(): Promise<void> {
    await this.releaseTableLocks()
  }

  async #each(side: SideName, what: string, act: (server: Server) => void): Promise<void> {
    for (const server of this.#world.sides[side])
      await this.#context.pool.run(server.name, ({ connection }) => modelOf(connection).statement(what, () => act(server)))
  }

  /** A marker on every server of one side; the other side's streams must come past it. */
  async #drain(from: SideName, to: SideName): Promise<void> {
    const marks: [Server, number][] = []
    await this.#each(from, 'marker', (server) => {
      server.log.push({ key: -1, write: null, mark: null })
      marks.push([server, server.log.length])
    })
    for (let left = 80; left > 0; left--) {
      if (marks.every(([source, at]) => this.#world.sides[to].every((server) => (server.progress.get(source) ?? -1) >= at))) return
      await this.#turn()
    }
    throw new Error('not drained')
  }

  #version(): RoutingVersion {
    if (this.#routing === null) throw new Error('the routing record was not read')
    return this.#routing
  }
}
