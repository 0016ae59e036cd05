/**
 * Deadlocks over several servers. Each server ends those among its own locks; of transactions that wait for one another on different servers none sees more than one end, and all of them would stand until a
 * lock wait timeout (50 s by default, with what they hold). One unsharded server would answer 1213 at once, so the gate does.
 *
 * Who waits for whom on a server is what the server says; that connections on several servers are one transaction is what the gate knows. While two or more transactions with branches on several shards are at
 * one statement from one look to the next, the servers that they stand on are asked for all waits, and those that two looks in a row have seen make a graph: a node for such a transaction, one for each other
 * session of a server. The youngest transaction on a circle is given up: its statement is interrupted, it is rolled back, and its client is told 1213, as of any deadlock.
 *
 * Right or wrong, that is safe: a transaction that is rolled back and says so has harmed nobody. It is hardly ever wrong: a wait ends with the transaction that is waited for, or, at READ COMMITTED, a lock that is given
 * back early, and then the next look does not see it. A circle goes through two transactions with branches on several servers at least, as every other session waits on the server that it is waited for on; so
 * with fewer than two nobody is asked. Those of several gates: a transaction that has waited for some looks is told to the other gates (`GateStuck`), which tell theirs; each makes the same graph and
 * gives up its own. Where MySQL has `performance_schema=OFF` it does not tell who waits: there innodb_lock_wait_timeout is the end, as before.
 */
import { randomInt } from 'node:crypto'
import { isSwError } from '../base/errors.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf, type LockWait } from '../mysql/flavour/flavour.ts'
import { keys } from '../topology/keys.ts'
import type { GateStuck } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, put } from '../topology/typed.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { shardName } from './transaction.ts'
import type { ShardView } from './view.ts'

/** Sessions of all servers by `server session`. */
export type Wait = { readonly waiting: string; readonly blocking: string }

/** A transaction that may wait on one server and be waited for on another. */
export type Waiter = {
  readonly ended: boolean
  /** A statement of it is running. */
  readonly busy: boolean
  /** So many were begun. */
  readonly statements: number
  readonly places: readonly { readonly shard: ShardView; readonly session: number }[]
  /** Ends what runs; the client is told `why`. */
  giveUp(why: Error): void
}

/** Why a statement was stopped: its transaction is to be rolled back. */
export function isGivenUp(stopped: Error | null): boolean {
  return isSwError(stopped, 'SW-GATE-046')
}

/** A server that says nothing for so long is left out of this look. */
const answerMs = 2_000
/** Looks in which a transaction was at one statement, before other gates are told. */
const looksAlone = 4

type State = {
  readonly sinceMs: number
  /** How many statements it had begun at the last look; null: it was not busy. */
  statements: number | null
  /** In a row at which it was at one. */
  looks: number
}

/** Here, or at another gate. */
type Node = { readonly waiter: Waiter | null; readonly sinceMs: number; readonly sessions: readonly string[] }

export class Deadlocks {
  readonly #core: Core
  readonly #store: Store
  readonly #gate: string
  readonly #open = new Map<Waiter, State>()
  readonly #connections = new Map<string, Connection>()
  #seen: ReadonlySet<string> = new Set()
  /** What other gates were told. */
  #told = '[]'
  /** With that one goes what was told by it. */
  #toldLease: string | null = null
  #timer: NodeJS.Timeout | null = null
  #stopped = false
  /** That were ended here. */
  found = 0

  constructor(core: Core, store: Store, gate: string) {
    this.#core = core
    this.#store = store
    this.#gate = gate
  }

  /** It has come to its second shard. */
  add(waiter: Waiter): void {
    if (this.#core.config.deadlockCheckMs === 0) return
    this.#open.set(waiter, { sinceMs: this.#core.clock.nowMs(), statements: null, looks: 0 })
    this.#arm()
  }

  delete(waiter: Waiter): void {
    this.#open.delete(waiter)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#drop()
  }

  #arm(): void {
    if (this.#timer !== null || this.#stopped) return
    // InnoDB renews its picture of waits only when nobody has looked for 100 ms: gates that look in step would see the same one for ever.
    const everyMs = this.#core.config.deadlockCheckMs
    this.#timer = setTimeout(
      () =>
        void this.#look().finally(() => {
          this.#timer = null
          // The last of them may have ended while others were told of it.
          if (this.#open.size > 0 || this.#told !== '[]') this.#arm()
          else this.#drop()
        }),
      everyMs + randomInt(2 * everyMs),
    )
    this.#timer.unref()
  }

  #drop(): void {
    for (const connection of this.#connections.values()) connection.destroy()
    this.#connections.clear()
  }

  async #look(): Promise<void> {
    const stuck: Waiter[] = []
    const long: Node[] = []
    for (const [waiter, state] of this.#open) {
      const now = waiter.busy ? waiter.statements : null
      state.looks = now !== null && now === state.statements ? state.looks + 1 : 0
      state.statements = now
      if (state.looks > 0) stuck.push(waiter)
      if (state.looks >= looksAlone) long.push(nodeOf(waiter, state))
    }
    const others = await this.#exchange(long)
    const asked = stuck.length > 0 && stuck.length + others.length > 1
    const waits = asked
      ? await this.#waits([...stuck.flatMap((waiter) => sessionsOf(waiter)), ...others.flatMap(({ sessions }) => sessions)])
      : []
    const lasting = waits.filter((wait) => this.#seen.has(edgeOf(wait)))
    this.#seen = new Set(waits.map(edgeOf))
    if (lasting.length === 0) return
    const all = [...[...this.#open].map(([waiter, state]) => nodeOf(waiter, state)), ...others]
    const nodes = new Map(all.flatMap((node) => node.sessions.map((session) => [session, node] as const)))
    for (const { waiter } of givenUp(lasting, nodes, all.toSorted(younger))) {
      if (waiter === null || waiter.ended || !waiter.busy) continue
      this.found++
      const shards = waiter.places.map(({ shard }) => shardName(shard)).join(', ')
      this.#core.log.info({ shards }, 'a deadlock over several shards: the youngest of its transactions is rolled back')
      waiter.giveUp(gateErrors.deadlock({ shards }))
    }
  }

  /** Tells other gates what has waited here for long, and is told theirs while there is any. */
  async #exchange(long: readonly Node[]): Promise<Node[]> {
    const transactions = long.map(({ sinceMs, sessions }) => ({ sinceMs, sessions }))
    const told = JSON.stringify(transactions)
    if (told === '[]' && this.#told === '[]') return []
    const key = keys.stuck(this.#gate)
    const { leaseId } = this.#core.membership
    try {
      if (leaseId !== null && (told !== this.#told || leaseId !== this.#toldLease)) {
        const change =
          long.length === 0 ? { key, value: undefined } : put<GateStuck>(key, { v: 1, gate: this.#gate, transactions }, leaseId)
        await this.#store.commit([], [change])
        this.#told = told
        this.#toldLease = leaseId
      }
      if (long.length === 0) return []
      const records = await listRecords<GateStuck>(this.#store, keys.allStuck)
      const theirs = records.filter(({ value }) => value.gate !== this.#gate)
      return theirs.flatMap(({ value }) => value.transactions.map((one): Node => ({ waiter: null, ...one })))
    } catch (error) {
      this.#core.log.debug({ error }, 'what waits for long was not told to other gates')
      return []
    }
  }

  async #waits(sessions: readonly string[]): Promise<Wait[]> {
    const servers = new Set(sessions.map((session) => session.slice(0, session.lastIndexOf(' '))))
    const shards = new Map<string, ShardView>()
    for (const { shards: serving } of this.#core.watch.view.keyspaces.values())
      for (const shard of serving) if (servers.has(serverOf(shard))) shards.set(serverOf(shard), shard)
    const answers = await Promise.all(
      [...shards].map(async ([server, shard]) => {
        const waits = await this.#ask(server, shard)
        return waits.map(({ waiting, blocking }) => ({ waiting: sessionOf(shard, waiting), blocking: sessionOf(shard, blocking) }))
      }),
    )
    return answers.flat()
  }

  /** Nothing where it does not answer, or may not be asked: there the timeout is the end. */
  async #ask(server: string, { server: at, account }: ShardView): Promise<LockWait[]> {
    const cut = AbortSignal.timeout(answerMs)
    const drop = (): void => {
      this.#connections.get(server)?.destroy()
      this.#connections.delete(server)
    }
    cut.addEventListener('abort', drop, { once: true })
    try {
      let connection = this.#connections.get(server)
      if (connection === undefined || !connection.open) {
        connection = await connect({
          ...placeOfServer(at),
          user: account.user,
          password: account.password,
          connectTimeoutMs: Math.min(answerMs, this.#core.config.connectTimeoutMs),
          attributes: { program_name: 'shardwright gate' },
        })
        if (this.#stopped) {
          connection.destroy()
          return []
        }
        this.#connections.set(server, connection)
      }
      return await flavourOf(connection).lockWaits(connection)
    } catch (error) {
      drop()
      this.#core.log.debug({ server: at.id, error }, 'a server did not tell who waits for whom')
      return []
    } finally {
      cut.removeEventListener('abort', drop)
    }
  }
}

function edgeOf({ waiting, blocking }: Wait): string {
  return `${waiting} > ${blocking}`
}

function nodeOf(waiter: Waiter, { sinceMs }: State): Node {
  return { waiter, sinceMs, sessions: sessionsOf(waiter) }
}

function sessionsOf({ places }: Waiter): string[] {
  return places.map(({ shard, session }) => sessionOf(shard, session))
}

/** Alike at every gate. */
function younger(a: Node, b: Node): number {
  return b.sinceMs - a.sinceMs || ((a.sessions[0] ?? '') < (b.sessions[0] ?? '') ? -1 : 1)
}

function serverOf({ server }: ShardView): string {
  return `${server.id} ${server.host}:${server.port}`
}

function sessionOf(shard: ShardView, session: number): string {
  return `${serverOf(shard)} ${session}`
}

/**
 * Whom to give up, so that no circle is left that goes through any of them.
 *
 * @param nodes sessions that are part of a larger one; every other is a node by itself
 * @param order the first of it that is on a circle is given up
 */
export function givenUp<T extends object>(waits: readonly Wait[], nodes: ReadonlyMap<string, T>, order: readonly T[]): T[] {
  const behind = new Map<T | string, Set<T | string>>()
  for (const { waiting, blocking } of waits) {
    const from = nodes.get(waiting) ?? waiting
    const to = nodes.get(blocking) ?? blocking
    let all = behind.get(from)
    if (all === undefined) behind.set(from, (all = new Set()))
    all.add(to)
  }
  const gone: T[] = []
  for (const one of order) {
    if (!reaches(behind, one)) continue
    gone.push(one)
    behind.delete(one)
  }
  return gone
}

/** From itself to itself. */
function reaches<N>(behind: ReadonlyMap<N, ReadonlySet<N>>, start: N): boolean {
  const met = new Set<N>()
  const left = [...(behind.get(start) ?? [])]
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (node === start) return true
    if (met.has(node)) continue
    met.add(node)
    left.push(...(behind.get(node) ?? []))
  }
  return false
}
