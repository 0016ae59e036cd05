/** A controller of the switch model: lease, claim, the ten steps of PROTOCOLS 3, recovery. A `yield` is a point where anything may happen before the next effect. */
import { Broken, Lost, lost, otherSide, type RoutingRecord, type Server, type Session, type SideName, type World } from './switch.world.ts'

type Steps<T = void> = Generator<void, T>

export function* controller(world: World, me: number): Steps {
  let token = 0
  const { lease } = world
  for (;;) {
    yield
    // Leases expire unnoticed.
    const other = 1 - me
    if (lease.leader === other) {
      const paused = world.asleep[other as 0 | 1] > world.now
      if (world.calm || !world.chance(paused ? 0.1 : world.expiry)) continue
    }
    if (lease.leader !== me || token === 0 || world.chance(0.5)) {
      lease.leader = me
      token = ++lease.token
      world.say(`lease: token ${token}`)
    }
    try {
      yield* new Reign(world, me, token).run()
    } catch (error) {
      if (!(error instanceof Lost)) throw error
    }
  }
}

/** What a controller does under one token, until it is lost. */
class Reign {
  readonly #world: World
  readonly #me: number
  readonly #token: number
  readonly #sessions = new Map<Server, Session>()

  constructor(world: World, me: number, token: number) {
    this.#world = world
    this.#me = me
    this.#token = token
  }

  *run(): Steps {
    const world = this.#world
    const token = this.#token
    if (world.record.token < token) world.compareAndSet({ ...world.record }, token, { token })
    for (;;) {
      yield
      const record = { ...world.record }
      const { serving } = record
      if (record.phase === 'stable' && world.has('strayTriggers') && record.token === token) yield* this.#dropStrays(otherSide[serving])
      const goal = world.goals[record.goal]
      if ((world.has('recordToken') && record.token !== token) || world.lease.leader !== this.#me) throw lost
      if (record.phase === 'switching') {
        // Giving up is a decision of the same record by the same compare-and-set.
        world.compareAndSet(record, token, { phase: 'opening' })
      } else if (record.phase === 'opening') {
        yield* this.#finishOpening(record)
      } else if (record.phase === 'retiring') {
        yield* this.#each(otherSide[serving], 'drop', drop)
        world.compareAndSet(record, token, { phase: 'stable', retired: true, goal: record.goal + 1 })
      } else if (goal === 'retire' && !record.retired) {
        if (world.has('retireCas')) {
          world.compareAndSet(record, token, { phase: 'retiring' })
        } else {
          yield* this.#each(otherSide[serving], 'drop', drop)
          world.compareAndSet(record, token, { retired: true, goal: record.goal + 1 })
        }
      } else if (goal !== undefined && goal !== 'retire' && goal !== serving && !record.retired) {
        try {
          yield* this.#attempt(record, goal)
        } catch (error) {
          if (!(error instanceof Lost)) throw error
        }
      } else if (goal !== undefined) {
        // Nothing to do, or refused.
        world.compareAndSet(record, token, { goal: record.goal + 1 })
      }
    }
  }

  /** The switch from the serving side to `to`, up to its deciding commit. */
  *#attempt(stable: RoutingRecord, to: SideName): Steps {
    const world = this.#world
    const from = otherSide[to]
    const record = world.compareAndSet(stable, this.#token, { phase: 'switching', to, hold: true })
    for (const server of world.servers) yield* this.#session(server)
    if (world.has('closed') && !world.sides[to].every((server) => server.isFenced())) throw new Broken('2 new side open at the start')
    // Gates acknowledge, or do not.
    for (let left = world.random.below(4); left > 0; left--) yield
    if (world.useLocks) yield* this.#lockTables(from)
    yield* this.#drain(from, to)
    if (world.has('reverseFirst')) yield* this.#startReverse(from, to)
    if (world.has('reverseFirst') && !world.has('proofFenced')) yield* this.#drain(to, from)
    if (!world.has('dropUnderFence')) yield* this.#triggers(from, false)
    if (world.has('fenceFirst')) yield* this.#close(from)
    yield* this.#triggers(from, false)
    if (world.has('finalMarker')) yield* this.#drain(from, to)
    if (world.has('reverseFirst') && world.has('proofFenced')) yield* this.#drain(to, from)
    if (world.has('makeBeforeOpen')) yield* this.#triggers(to, true)
    if (!world.has('openAfter')) yield* this.#open(to)
    world.nap(this.#me)
    yield
    try {
      world.compareAndSet(record, this.#token, { phase: 'opening', serving: to, epoch: record.epoch + 1 })
    } catch (error) {
      // As first written: "a failure before the decision rolls back", though nobody knows whether it was taken.
      if (error instanceof Lost && !world.has('decideByCas')) yield* this.#open(from)
      throw error
    }
  }

  /** Decided, whichever way: open what the record says. */
  *#finishOpening(record: RoutingRecord): Steps {
    const world = this.#world
    const away = otherSide[record.serving]
    if (!world.has('fenceFirst')) yield* this.#close(away)
    const byRecord = world.has('objectsByRecord')
    if (byRecord) yield* this.#dropStrays(away)
    if (byRecord && world.has('makeBeforeOpen')) yield* this.#triggers(record.serving, true)
    yield* this.#open(record.serving)
    if (!world.has('makeBeforeOpen')) yield* this.#triggers(record.serving, true)
    if (!world.has('reverseFirst')) yield* this.#startReverse(away, record.serving)
    // Claiming kills what older leaders left there.
    for (const server of world.sides[away]) {
      if (!server.up) continue
      yield* this.#session(server)
      this.#releaseLocks(server)
    }
    world.compareAndSet(record, this.#token, { phase: 'stable', hold: false, goal: record.goal + 1 })
  }

  *#lockTables(side: SideName): Steps {
    const world = this.#world
    for (const server of world.sides[side]) {
      for (let left = 5; left > 0; left--) if (server.transactions.size > 0) yield
      // KILL after the grace.
      server.transactions.clear()
      const claimed = yield* this.#session(server)
      world.nap(this.#me, 0.05)
      yield
      const locker = server.openSession(this.#token, this.#me)
      if (world.has('lockChecked')) yield* this.#statement(claimed, 'still mine?', () => {})
      yield* this.#statement(locker, 'lock tables', () => void (server.transactions.size === 0 && server.tableLocks.add(locker)))
      if (!server.tableLocks.has(locker)) throw lost
    }
  }

  /** A marker on every server of one side; the other side's streams must come past it. */
  *#drain(from: SideName, to: SideName): Steps {
    const marks: [Server, number][] = []
    yield* this.#each(from, 'marker', (server) => {
      server.log.push({ key: -1, write: null, mark: null })
      marks.push([server, server.log.length])
    })
    const { sides } = this.#world
    for (let left = 80; left > 0; left--) {
      if (marks.every(([source, position]) => sides[to].every((server) => (server.progress.get(source) ?? -1) >= position))) return
      yield
    }
    throw lost
  }

  /** Rows on the old side that say from where it follows the new one; never moved once there. */
  *#startReverse(from: SideName, to: SideName): Steps {
    for (const source of this.#world.sides[to]) {
      yield* this.#each(from, `reverse stream from ${source.name}`, (server) => {
        if (!server.progress.has(source)) server.progress.set(source, source.log.length)
      })
    }
  }

  *#open(side: SideName): Steps {
    const world = this.#world
    for (const server of world.sides[side]) {
      yield* this.#session(server)
      this.#releaseLocks(server)
      const unlock = (): void => world.setLocked(server, false)
      if (server.locked && world.unlockFirst) yield* this.#effect(server, 'open', unlock)
      if (server.readOnly) yield* this.#effect(server, 'open', () => world.setReadOnly(server, false))
      if (server.locked) yield* this.#effect(server, 'open', unlock)
    }
  }

  *#close(side: SideName): Steps {
    const world = this.#world
    for (const server of world.sides[side]) {
      const lock = world.has('lockAccounts') ? () => world.setLocked(server, true) : null
      const readOnly = world.has('readOnly') && server.hasReadOnly ? () => world.setReadOnly(server, true) : null
      for (const step of world.has('lockFirst') ? [lock, readOnly] : [readOnly, lock]) {
        if (step !== null) yield* this.#effect(server, 'close', step)
      }
      // Where read_only stops the living, KILL only spares clients errors.
      if (server.hasReadOnly && world.chance(0.7)) continue
      const kill = (): void => world.killClients(server)
      yield* this.#effect(server, 'kill', kill)
      while (world.has('killWaits') && !server.hasReadOnly && server.connections.length > 0) yield* this.#effect(server, 'kill', kill)
    }
  }

  *#triggers(side: SideName, stand: boolean): Steps {
    if (this.#world.moves) yield* this.#each(side, stand ? 'make triggers' : 'drop triggers', (server) => void (server.triggers = stand))
  }

  /** On those that are up; a server that is down delays nothing. */
  *#dropStrays(side: SideName): Steps {
    for (const server of this.#world.sides[side])
      if (server.up && server.triggers) yield* this.#effect(server, 'drop triggers', () => void (server.triggers = false))
  }

  #releaseLocks(server: Server): void {
    for (const session of server.tableLocks) if (session.token === this.#token) server.killSession(session)
  }

  *#each(side: SideName, what: string, act: (server: Server) => void): Steps {
    for (const server of this.#world.sides[side]) yield* this.#effect(server, what, () => act(server))
  }

  /** Through the claimed session; when that is lost, claim again and repeat, or leave it at that. */
  *#effect(server: Server, what: string, act: () => void): Steps {
    for (;;) {
      const session = yield* this.#session(server)
      try {
        return yield* this.#statement(session, what, act)
      } catch (error) {
        if (!(error instanceof Lost) || session.alive || this.#world.chance(0.3)) throw error
      }
    }
  }

  *#session(server: Server): Steps<Session> {
    const known = this.#sessions.get(server)
    if (known?.alive === true) return known
    const claimed = yield* this.#claim(server)
    this.#sessions.set(server, claimed)
    return claimed
  }

  *#claim(server: Server): Steps<Session> {
    const world = this.#world
    const token = this.#token
    const mayClaim = (): boolean => !world.has('claimToken') || server.token <= token
    if (!server.up || !mayClaim()) throw lost
    world.nap(this.#me)
    yield
    if (world.has('claimKill')) {
      // GET_LOCK returns when the killed holder has ended.
      server.killSessions(() => true)
      yield
      if (!server.up || server.claimed?.alive === true) throw lost
    }
    const session = server.openSession(token, this.#me)
    server.claimed = session
    yield
    if (!mayClaim()) server.killSession(session)
    if (!session.alive) throw lost
    if (world.has('claimToken')) server.token = token
    world.say(`claim ${server.name}, token ${token}`)
    return session
  }

  /** One statement over a session of ours. It may be done though its answer never comes. */
  *#statement(session: Session, what: string, act: () => void): Steps {
    const world = this.#world
    const { server } = session
    // Without sessions that can be killed, all one can do is look before.
    if (!world.has('claimKill') && world.has('claimToken') && server.token > session.token) throw lost
    const fences = what === 'open' || what === 'close'
    world.nap(session.controller, what === 'open' ? 0.15 : what === 'close' ? 0.04 : 0.01)
    yield
    if (!session.alive || !server.up) throw lost
    world.say(`token ${session.token}: ${what} ${server.name}`)
    act()
    // A restart between two effects, so quick that only the session is lost.
    if (fences && !world.calm && world.chance(0.07)) world.restart(server)
    if (!world.calm && world.chance(0.01)) {
      server.killSession(session)
      throw lost
    }
  }
}

function drop(server: Server): void {
  server.dropped = true
  server.rows = server.rows.map(() => [])
}
