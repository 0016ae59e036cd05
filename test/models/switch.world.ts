/**
 * The world of the switch model: servers with their sessions and fences, the routing record, the leader's lease, and the
 * promises that are checked at every effect. See switch.model.ts.
 */
import { Random } from './random.ts'

export const switchRules = {
  closed: 'the side that does not serve is closed from its creation on, and only opened after the decision',
  lockAccounts: 'closing locks the client accounts: holds over a restart',
  readOnly: 'closing sets read_only: stops the sessions that lived when the accounts were locked',
  lockFirst: 'closing: accounts first, read_only second; what a restart between them leaves is closed',
  killWaits: 'a killed session may still finish its statement: without read_only the fence stands once the killed are gone',
  claimKill: "claim: kill the session that holds the server's GET_LOCK, then take it; all effects go through that session",
  lockChecked: 'the lock session is opened first, then the claimed session must still answer, then LOCK TABLES',
  claimToken: 'claim: after GET_LOCK, raise the token row kept on the server; a higher one there refuses',
  recordToken:
    "takeover writes its token into the routing record; every compare-and-set compares that record's version, not only the epoch",
  decideByCas: 'an unanswered compare-and-set is read back; opening the old side again needs its own one of the same record',
  fenceFirst: 'the lasting fence is on before the deciding compare-and-set',
  finalMarker: 'after the lasting fence a second marker, drained again',
  reverseFirst: 'reverse streams exist and are proven before the decision',
  proofFenced: "they are proven through the fence, over the applier's own account, not before it is laid",
  openAfter: 'the new side opens after the deciding compare-and-set, not before',
  origin: "a stream skips transactions that carry an applier's mark",
  progressCas: 'rows and position commit together, position compared with the one read',
  answerOnly: "refused is said only on the server's answer or when nothing was sent; otherwise: unknown",
  noBlindRetry: 'the gate retries only what a server refused',
  rollback1290: 'a COMMIT that met the fence is rolled back and reported, never committed again',
  retireCas: 'complete and cancel first commit the record to retiring; only then drop',
  roundsWithout: 'a stream starts no round on a server that has user triggers',
  dropUnderFence: 'user triggers that move are dropped on the old side under its fence, not before',
  makeBeforeOpen: 'they are made on the side that serves before it opens',
  objectsByRecord: 'step 10 puts them right on both sides by the record, also when giving up',
  strayTriggers: 'a server that was down in step 10 and kept them loses them at the next look',
} as const

export type SwitchRule = keyof typeof switchRules
export type SideName = 'S' | 'T'
export const otherSide: Record<SideName, SideName> = { S: 'T', T: 'S' }
export const keyCount = 4

/** Session, lease or server gone, timed out, or refused by a token: the controller can't go on with what it was doing. */
export class Lost extends Error {}
export const lost = new Lost()

/** A promise is broken. */
export class Broken extends Error {}

/** A controller's session on a server. */
export type Session = { readonly server: Server; readonly token: number; readonly controller: number; alive: boolean }

/** A client's session, pooled between statements; a killed one is gone once the statement it is in has ended. */
export type Connection = { readonly server: Server; readonly owner: Gate | null; busy: boolean; killed: boolean }

export type Gate = { alive: boolean; cut: boolean; seen: RoutingRecord }

/** `write` is null for markers; `mark` names the stream's source when an applier wrote it. */
export type LogEntry = { readonly key: number; readonly write: number | null; readonly mark: string | null }

export type Goal = SideName | 'retire'
export type RoutingRecord = {
  version: number
  epoch: number
  serving: SideName
  phase: 'stable' | 'switching' | 'opening' | 'retiring'
  to: SideName | null
  hold: boolean
  token: number
  goal: number
  retired: boolean
}

export class Server {
  readonly side: SideName
  readonly name: string
  readonly mysql: boolean
  /** read_only may be set here (managed services refuse it). */
  readonly hasReadOnly: boolean
  /** read_only stops the applier too: its account is too weak. */
  readonly weak: boolean
  /** Client accounts, the gates' too, are locked. */
  locked = false
  readOnly = false
  up = true
  token = 0
  dropped = false
  claimed: Session | null = null
  connections: Connection[] = []
  readonly sessions = new Set<Session>()
  readonly tableLocks = new Set<Session>()
  readonly transactions = new Set<number>()
  rows: number[][] = Array.from({ length: keyCount }, () => [])
  /** A user trigger stands on its table; what it did is a row of its own, which streams carry like any other. */
  triggers = false
  readonly fired: number[][] = Array.from({ length: keyCount }, () => [])
  readonly log: LogEntry[] = []
  readonly progress = new Map<Server, number>()

  constructor(side: SideName, index: number, random: Random) {
    this.side = side
    this.name = `${side}${index}`
    this.mysql = random.chance(0.5)
    this.hasReadOnly = random.chance(0.8)
    this.weak = side === 'S' && random.chance(0.1)
  }

  /** No client session can write, now or later. */
  isFenced(): boolean {
    return this.readOnly || (this.locked && this.connections.length === 0)
  }

  openSession(token: number, controller: number): Session {
    const session = { server: this, token, controller, alive: true }
    this.sessions.add(session)
    return session
  }

  killSession(session: Session): void {
    session.alive = false
    this.sessions.delete(session)
    this.tableLocks.delete(session)
  }

  killSessions(which: (session: Session) => boolean): void {
    for (const session of this.sessions) if (which(session)) this.killSession(session)
  }

  /** read_only is gone after it, and all sessions; locked accounts stay locked. */
  crash(): void {
    this.up = this.readOnly = false
    this.transactions.clear()
    this.connections = []
    this.killSessions(() => true)
  }

  settle(connection: Connection): void {
    if (connection.killed && !connection.busy) this.connections = this.connections.filter((other) => other !== connection)
  }
}

export class World {
  readonly random: Random
  readonly without: ReadonlySet<SwitchRule>
  readonly sides: Record<SideName, Server[]>
  readonly servers: Server[]
  readonly useLocks: boolean
  readonly unlockFirst: boolean
  readonly rage: number
  readonly expiry: number
  readonly goals: Goal[]
  readonly gates: Gate[]
  /** There are user triggers, and they move with the switch. */
  readonly moves: boolean
  readonly record: RoutingRecord = {
    version: 0,
    epoch: 0,
    serving: 'S',
    phase: 'stable',
    to: null,
    hold: false,
    token: 0,
    goal: 0,
    retired: false,
  }
  readonly lease: { leader: number | null; token: number } = { leader: null, token: 0 }
  /** Every client write that any server took, by key. */
  readonly accepted: number[][] = Array.from({ length: keyCount }, () => [])
  readonly acceptedSet = new Set<number>()
  readonly acknowledged = new Set<number>()
  readonly refused = new Set<number>()
  /** Until when each controller is paused, in steps. */
  readonly asleep: [number, number] = [0, 0]
  calm = false
  now = 0
  readonly say: (line: string) => void

  constructor(seed: number, without: readonly SwitchRule[], options: SwitchOptions, trace: ((line: string) => void) | undefined) {
    const random = new Random(seed)
    this.random = random
    this.without = new Set(without)
    this.say = trace ?? (() => {})
    this.rage = random.pick([0.006, 0.015, 0.04])
    this.expiry = random.pick([0.002, 0.01, 0.03])
    this.useLocks = options.sessionLocks ?? random.chance(0.5)
    this.unlockFirst = options.unlockFirst ?? false
    const side = (name: SideName): Server[] => Array.from({ length: random.pick([1, 2]) }, (_, i) => new Server(name, i, random))
    this.sides = { S: side('S'), T: side('T') }
    this.servers = [...this.sides.S, ...this.sides.T]
    for (const target of this.sides.T) {
      for (const source of this.sides.S) target.progress.set(source, 0)
      if (!this.has('closed')) continue
      target.locked = this.has('lockAccounts')
      target.readOnly = this.has('readOnly') && target.hasReadOnly
    }
    this.goals = ['T', ...Array.from({ length: random.below(4) }, () => random.pick<Goal>(['T', 'S', 'S']))]
    this.goals.push(...random.pick<Goal[]>([[], ['retire'], ['retire', 'S', 'T', 'S']]))
    this.moves = options.triggers ?? random.chance(0.4)
    for (const source of this.sides.S) source.triggers = this.moves
    this.gates = Array.from({ length: random.pick([2, 3]) }, () => ({ alive: true, cut: false, seen: { ...this.record } }))
  }

  has(rule: SwitchRule): boolean {
    return !this.without.has(rule)
  }

  /** The server of a side that holds a key. */
  at(side: SideName, key: number): Server {
    const servers = this.sides[side]
    return servers[key % servers.length] as Server
  }

  chance(probability: number): boolean {
    return this.random.chance(probability)
  }

  /** Promise 2, at every change of a fence. */
  checkOneSideOpen(): void {
    for (let key = 0; key < keyCount; key++) {
      const open = [this.at('S', key), this.at('T', key)].every((server) => server.up && !server.isFenced() && server.tableLocks.size === 0)
      if (open) throw new Broken('2 both sides open')
    }
  }

  /** No keeper watches: what serves is open whenever the phase is stable. */
  checkServingOpen(): void {
    if (this.record.phase === 'stable' && this.sides[this.record.serving].some(({ locked, readOnly }) => locked || readOnly)) {
      throw new Broken('3 stable, yet what serves is closed')
    }
  }

  setReadOnly(server: Server, value: boolean): void {
    this.say(`${server.name} read_only = ${value}`)
    server.readOnly = value
    this.checkOneSideOpen()
    this.checkServingOpen()
  }

  setLocked(server: Server, value: boolean): void {
    this.say(`${server.name} accounts locked = ${value}`)
    server.locked = value
    this.checkOneSideOpen()
    this.checkServingOpen()
  }

  killClients(server: Server): void {
    for (const connection of server.connections) {
      connection.killed = true
      server.settle(connection)
    }
  }

  restart(server: Server): void {
    server.crash()
    server.up = true
    this.say(`restart ${server.name}`)
    this.checkOneSideOpen()
  }

  nap(controller: number, probability = 0.02): void {
    if (this.calm || !this.chance(probability)) return
    this.asleep[controller as 0 | 1] = this.now + this.random.pick([5, 20, 100, 700])
    this.say(`controller ${controller} pauses`)
  }

  /** A compare-and-set of the record; lost when refused, when the request is lost, or when only its answer is. */
  compareAndSet(seen: RoutingRecord, token: number, change: Partial<RoutingRecord>): RoutingRecord {
    const { record } = this
    let ok = this.has('recordToken') ? record.version === seen.version : record.epoch === seen.epoch
    if (!this.calm && this.chance(0.06)) ok = false
    if (ok) {
      Object.assign(record, change)
      record.version++
      this.say(`committed by token ${token}: ${JSON.stringify(change)}`)
      this.checkServingOpen()
    }
    if (!ok || (!this.calm && this.chance(0.08))) throw lost
    return { ...record }
  }
}

export type SwitchOptions = { readonly sessionLocks?: boolean; readonly unlockFirst?: boolean; readonly triggers?: boolean }
