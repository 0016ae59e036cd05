/**
 * Applications at work on the sources. Slots and unique values are dealt into partitions, one a writer, so that no key or unique value is ever on two
 * shards at once but by the wanderer, which takes a row off one shard (committed) before it puts it on another, as a gate does.
 */
import { systemClock } from '../../../src/base/clock.ts'
import type { Connection } from '../../../src/mysql/connection.ts'
import { isServerError } from '../../../src/mysql/errors.ts'
import type { TestServer } from '../../kit/servers.ts'
import { Dice } from './random.ts'
import { RowWriter, type RandomTable } from './schema.ts'
import { connectPatiently } from './servers.ts'

const session = [
  "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', innodb_lock_wait_timeout=2, foreign_key_checks=0",
  'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED',
]

export type WorkloadOptions = {
  sources: readonly { readonly server: TestServer; readonly schema: string }[]
  tables: readonly RandomTable[]
  seed: number
  pauseMs: number
  xa: boolean
}

export class Workload {
  readonly #options: WorkloadOptions
  readonly #stop = new AbortController()
  readonly #partitions: number
  readonly #servers: readonly TestServer[]
  #done: Promise<unknown> = Promise.resolve()
  #failure: unknown = null
  /** XA statements under way: MariaDB's are not safe against a crash of the server just then (its own replicas lose them too). */
  readonly #xaBusy = new Map<TestServer, Promise<void>>()
  /** Of XA transactions, by xid. */
  readonly #outcomes = new Map<string, 'COMMIT' | 'ROLLBACK'>()
  #xaHeld = false
  /** Writes wait: the streams are behind (what a machine can carry is not what is looked for here). */
  held = false
  /** Nobody writes. */
  stalled = false
  transactions = 0
  xa = 0
  wanders = 0
  bigTransactions = 0

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#servers = Array.from(new Set(options.sources.map(({ server }) => server)))
    this.#partitions = options.sources.length + 1 + this.#servers.length
  }

  /** `zone`: whoever works on several servers at once means one instant by one text. */
  async #connect(server: TestServer, signal: AbortSignal, zone: string): Promise<Connection> {
    return connectPatiently({ ...server.config, sessionSql: [...session, `SET SESSION time_zone='${zone}'`] }, signal)
  }

  #writers(dice: Dice, source: number, partition: number): RowWriter[] {
    const { tables, sources } = this.#options
    const schema = sources[source]?.schema ?? ''
    return tables
      .filter((table) => table.shard !== null || source === 0)
      .map((table) => new RowWriter(table, dice, { schema, source, partition, partitions: this.#partitions }))
      .filter((writer) => writer.possible)
  }

  /** First rows, by the same writers, alone. */
  async fill(dice: Dice, rowsOf: (table: RandomTable) => number): Promise<number> {
    const never = new AbortController().signal
    const { sources } = this.#options
    const conns = new Map<TestServer, Connection>()
    let rows = 0
    try {
      for (const [source, { server }] of sources.entries()) {
        const conn = conns.get(server) ?? (await this.#connect(server, never, zoneOf(dice)))
        conns.set(server, conn)
        for (const writer of this.#writers(dice, source, source)) {
          const count = Math.ceil(rowsOf(writer.table) / sources.length)
          for (let at = 0; at < count; at += 40) {
            const tuples = Array.from({ length: Math.min(40, count - at) }, () => writer.tuple(writer.key(writer.slot())))
            try {
              await conn.query(`REPLACE INTO ${writer.into} (${writer.columns()}) VALUES ${tuples.join(',')}`)
              rows += tuples.length
            } catch (error) {
              if (!isServerError(error)) throw error
            }
          }
        }
      }
    } finally {
      for (const conn of conns.values()) conn.destroy()
    }
    return rows
  }

  start(): void {
    const dice = new Dice(this.#options.seed)
    const { sources, xa } = this.#options
    const work = sources.flatMap((_, source) => [this.#worker(new Dice(dice.seed()), source), this.#worker(new Dice(dice.seed()), source)])
    if (sources.length > 1) work.push(this.#wanderer(new Dice(dice.seed())))
    if (xa) for (const server of this.#servers) work.push(this.#xaWorker(new Dice(dice.seed()), server))
    this.#done = Promise.all(
      work.map((one) =>
        one.catch((error: unknown) => {
          if (!this.#stop.signal.aborted) this.#failure ??= error
        }),
      ),
    )
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#done
    if (this.#failure !== null) throw this.#failure
  }

  /** Runs work while no XA statement is under way. */
  async withoutXa<T>(work: () => Promise<T>): Promise<T> {
    this.#xaHeld = true
    await Promise.all(this.#xaBusy.values())
    try {
      return await work()
    } finally {
      this.#xaHeld = false
    }
  }

  /** Runs `step` on a connection to each of the servers again and again; ones that were lost are replaced. */
  async #loop(servers: readonly TestServer[], dice: Dice, step: (conns: readonly Connection[]) => Promise<void>): Promise<void> {
    const { signal } = this.#stop
    let conns: Connection[] = []
    let zone = zoneOf(dice)
    while (!signal.aborted) {
      if (this.stalled || (this.held && dicePause(dice))) {
        await systemClock.sleep(50)
        continue
      }
      try {
        for (const server of servers.slice(conns.length)) conns.push(await this.#connect(server, signal, zone))
        await step(conns)
      } catch (error) {
        if (conns.length === servers.length && conns.every(({ open }) => open) && isServerError(error))
          for (const conn of conns) await conn.query('ROLLBACK').catch(() => undefined)
        else {
          for (const conn of conns) conn.destroy()
          conns = []
          zone = zoneOf(dice)
          await systemClock.sleep(50)
        }
      }
      if (this.#options.pauseMs > 0) await systemClock.sleep(this.#options.pauseMs)
    }
    for (const conn of conns) conn.destroy()
  }

  /** The same on one server. */
  async #loopOn(server: TestServer | undefined, dice: Dice, step: (conn: Connection) => Promise<void>): Promise<void> {
    if (server === undefined) return
    await this.#loop([server], dice, async ([conn]) => {
      if (conn !== undefined) await step(conn)
    })
  }

  async #worker(dice: Dice, source: number): Promise<void> {
    const writers = this.#writers(dice, source, source)
    if (writers.length === 0) return
    await this.#loopOn(this.#options.sources[source]?.server, dice, async (conn) => {
      await conn.query('BEGIN')
      const big = dice.chance(0.004)
      if (big) this.bigTransactions++
      for (let n = big ? 150 : 1 + dice.int(4); n > 0; n--) {
        const savepoint = !big && dice.chance(0.05)
        if (savepoint) await conn.query('SAVEPOINT s')
        for (const statement of seldomHuge(dice, writers).statements()) {
          try {
            await conn.query(statement)
          } catch (error) {
            // A duplicate or a value out of range undoes the statement only; a deadlock the transaction.
            if (!isServerError(error) || error.kind === 'deadlock' || error.kind === 'lockWait') throw error
          }
        }
        if (savepoint) await conn.query('ROLLBACK TO s')
      }
      await conn.query(dice.chance(0.1) ? 'ROLLBACK' : 'COMMIT')
      this.transactions++
    })
  }

  async #wanderer(dice: Dice): Promise<void> {
    const { sources } = this.#options
    const partition = sources.length
    const byShard = sources.map((_, source) => this.#writers(dice, source, partition).filter(({ table }) => table.shard !== null))
    await this.#loop(this.#servers, dice, async (conns) => {
      const on = (source: number): Connection | undefined => conns[this.#servers.findIndex((server) => server === sources[source]?.server)]
      const to = dice.int(sources.length)
      const here = (byShard[to] ?? []).filter(({ table }) => !table.huge)
      if (here.length === 0) return
      const writer = dice.pick(here)
      const { before, insert } = writer.arrival()
      for (const [source, others] of byShard.entries()) {
        const other = others.find(({ table }) => table === writer.table)
        if (other !== undefined) for (const statement of before(other.into)) await on(source)?.query(statement)
      }
      await on(to)?.query(insert)
      this.wanders++
    })
  }

  async #xaWorker(dice: Dice, server: TestServer): Promise<void> {
    const { sources } = this.#options
    const at = this.#servers.indexOf(server)
    const source = sources.findIndex((one) => one.server === server)
    const writers = this.#writers(dice, source, sources.length + 1 + at).filter(({ table }) => !table.huge)
    if (writers.length === 0) return
    const { signal } = this.#stop
    let number = 0
    await this.#loopOn(server, dice, async (conn) => {
      await this.#resolveXa(server, conn, dice)
      const xid = `'torture','${this.#options.seed}-${at === 0 ? '' : `${at}-`}${++number}'`
      await conn.query(`XA START ${xid}`)
      let ended = false
      try {
        for (let n = 1 + dice.int(5); n > 0; n--) for (const statement of dice.pick(writers).statements()) await conn.query(statement)
        await conn.query(`XA END ${xid}`)
        ended = true
        await this.#xaStep(server, () => conn.query(`XA PREPARE ${xid}`))
      } catch (error) {
        if (!conn.open) throw error
        if (!ended) await conn.query(`XA END ${xid}`).catch(() => undefined)
        await conn.query(`XA ROLLBACK ${xid}`).catch(() => undefined)
        return
      }
      await systemClock.sleep(dice.pick([0, 20, 300, 1500]), signal).catch(() => undefined)
      await this.#endXa(server, conn, dice, xid, 0.7)
      this.xa++
      await systemClock.sleep(30)
    })
    const conn = await this.#connect(server, new AbortController().signal, zoneOf(dice))
    await this.#resolveXa(server, conn, dice)
    conn.destroy()
  }

  /** Ends what was prepared before a connection or the server was lost. */
  async #resolveXa(server: TestServer, conn: Connection, dice: Dice): Promise<void> {
    for (const row of await conn.allText('XA RECOVER')) {
      const length = Number(row.gtrid_length)
      const data = row.data ?? ''
      if (data.slice(0, length) !== 'torture') continue
      const xid = `'torture','${data.slice(length)}'`
      await this.#endXa(server, conn, dice, xid, 0.5).catch((error: unknown) => {
        if (!isServerError(error)) throw error
      })
    }
  }

  /**
   * As a coordinator does, by what it has decided, if it has: MariaDB's XA ROLLBACK returns before it would stand a crash, so that one that was rolled back may be prepared once more after it.
   * `commits`: how often it decides so.
   */
  async #endXa(server: TestServer, conn: Connection, dice: Dice, xid: string, commits: number): Promise<void> {
    const outcome = this.#outcomes.get(xid) ?? (dice.chance(commits) ? 'COMMIT' : 'ROLLBACK')
    this.#outcomes.set(xid, outcome)
    await this.#xaStep(server, () => conn.query(`XA ${outcome} ${xid}`))
  }

  async #xaStep<T>(server: TestServer, work: () => Promise<T>): Promise<T> {
    while (this.#xaHeld) await systemClock.sleep(20)
    const running = work()
    this.#xaBusy.set(
      server,
      running.then(
        () => undefined,
        () => undefined,
      ),
    )
    return running
  }
}

function zoneOf(dice: Dice): string {
  return dice.pick(['+00:00', '+05:30', '-11:00'])
}

/** Rows of 16 MiB are written, but seldom: each write of one is a second of everybody's. */
function seldomHuge(dice: Dice, writers: readonly RowWriter[]): RowWriter {
  const writer = dice.pick(writers)
  const others = writers.filter(({ table }) => !table.huge)
  return writer.table.huge && others.length > 0 && dice.chance(0.98) ? dice.pick(others) : writer
}

/** Nearly always: a little goes on all the same. */
function dicePause(dice: Dice): boolean {
  return dice.chance(0.95)
}
