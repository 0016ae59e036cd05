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
 * with fewer than two nobody is asked. Not seen: circles through transactions of another gate process; with `performance_schema=OFF` MySQL does not tell (there innodb_lock_wait_timeout is the end, as before).
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf, type LockWait } from '../mysql/flavour/flavour.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { gateErrors } from './errors.ts'
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

export type DeadlocksOptions = {
  readonly clock: Clock
  readonly log: Log
  /** 0: nobody looks. MariaDB renews its picture only when nobody has looked for 100 ms. */
  readonly everyMs: number
  readonly connectTimeoutMs: number
}

/** Why a statement was stopped: its transaction is to be rolled back. */
export function isGivenUp(stopped: Error | null): boolean {
  return isSwError(stopped, 'SW-GATE-046')
}

/** A server that says nothing for so long is left out of this look. */
const answerMs = 2_000

export class Deadlocks {
  readonly #options: DeadlocksOptions
  /** In the order in which they came to a second shard; how many statements each had begun at the last look, null: it was not busy. */
  readonly #open = new Map<Waiter, number | null>()
  readonly #connections = new Map<string, Connection>()
  #seen: ReadonlySet<string> = new Set()
  #timer: NodeJS.Timeout | null = null
  #stopped = false
  found = 0

  constructor(options: DeadlocksOptions) {
    this.#options = options
  }

  /** It has come to its second shard. */
  add(waiter: Waiter): void {
    if (this.#options.everyMs === 0) return
    this.#open.set(waiter, null)
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
    this.#timer = setTimeout(
      () =>
        void this.#look().finally(() => {
          this.#timer = null
          if (this.#open.size > 0) this.#arm()
          else this.#drop()
        }),
      this.#options.everyMs,
    )
    this.#timer.unref()
  }

  #drop(): void {
    for (const connection of this.#connections.values()) connection.destroy()
    this.#connections.clear()
  }

  async #look(): Promise<void> {
    const stuck: Waiter[] = []
    for (const [waiter, before] of this.#open) {
      const now = waiter.busy ? waiter.statements : null
      if (now !== null && now === before) stuck.push(waiter)
      this.#open.set(waiter, now)
    }
    const waits = stuck.length < 2 ? [] : await this.#waits(stuck)
    const seen = new Set(waits.map(({ waiting, blocking }) => `${waiting} > ${blocking}`))
    const lasting = waits.filter(({ waiting, blocking }) => this.#seen.has(`${waiting} > ${blocking}`))
    this.#seen = seen
    if (lasting.length === 0) return
    const nodes = new Map<string, Waiter>()
    for (const waiter of this.#open.keys()) for (const { shard, session } of waiter.places) nodes.set(sessionOf(shard, session), waiter)
    for (const waiter of givenUp(lasting, nodes, [...this.#open.keys()].toReversed())) {
      if (waiter.ended || !waiter.busy) continue
      this.found++
      const shards = waiter.places.map(({ shard }) => `${shard.keyspace}/${shard.name}`).join(', ')
      this.#options.log.info({ shards }, 'a deadlock over several shards: the youngest of its transactions is rolled back')
      waiter.giveUp(gateErrors.deadlock({ shards }))
    }
  }

  async #waits(stuck: readonly Waiter[]): Promise<Wait[]> {
    const shards = new Map(stuck.flatMap(({ places }) => places.map(({ shard }) => [serverOf(shard), shard] as const)))
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
          connectTimeoutMs: Math.min(answerMs, this.#options.connectTimeoutMs),
          attributes: { program_name: 'shardwright gate' },
        })
        if (this.#stopped) throw new Error('the gate ends')
        this.#connections.set(server, connection)
      }
      return await flavourOf(connection).lockWaits(connection)
    } catch (error) {
      drop()
      this.#options.log.debug({ server: at.id, error }, 'a server was not told who waits for whom')
      return []
    } finally {
      cut.removeEventListener('abort', drop)
    }
  }
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
