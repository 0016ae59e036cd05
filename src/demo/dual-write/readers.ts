/**
 * Dashboards: clients that read one database's figures through the gate, all the time. What a read shows of an hour of a database must be
 * no less than what any read of it had shown that had ended before this one began, until that hour expires: no tenant goes back in time.
 */
import mysql from 'mysql2/promise'
import type { Clock } from '../../base/clock.ts'

export type ReadersOptions = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  readonly databases: number
  readonly clients: number
  /** How long an hour is, and how long its rows are kept, in milliseconds of event time. */
  readonly everyMs: number
  readonly keptMs: number
  readonly readsPerSecond: number
  readonly clock: Clock
  readonly random: () => number
}

export type ReadSecond = {
  readonly reads: number
  readonly errors: number
  readonly backwards: number
  readonly p95Ms: number
  readonly slowestMs: number
  readonly messages: readonly string[]
}

export class Readers {
  readonly #options: ReadersOptions
  /** By database: summaries of each hour, as Unix ms. */
  readonly #newest = new Map<number, Map<number, number>>()
  #latencies: number[] = []
  #errors = 0
  #backwards = 0
  #messages: string[] = []

  constructor(options: ReadersOptions) {
    this.#options = options
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.clients }, () => this.#client(signal)))
  }

  /** Since the last call. */
  takeSecond(): ReadSecond {
    const sorted = this.#latencies.toSorted((a, b) => a - b)
    const second = {
      reads: sorted.length,
      errors: this.#errors,
      backwards: this.#backwards,
      p95Ms: sorted[Math.floor(sorted.length * 0.95)] ?? 0,
      slowestMs: sorted.at(-1) ?? 0,
      messages: this.#messages.slice(0, 3),
    }
    this.#latencies = []
    this.#errors = 0
    this.#backwards = 0
    this.#messages = []
    return second
  }

  async #client(signal: AbortSignal): Promise<void> {
    const { clock, random, databases, clients, readsPerSecond, everyMs, keptMs, host, port, user, password, database } = this.#options
    const connection = await mysql.createConnection({ host, port, user, password, database, timezone: 'Z' })
    connection.on('error', () => undefined)
    const pauseMs = (1000 * clients) / readsPerSecond
    while (!signal.aborted) {
      const tenant = 1 + Math.floor(random() * databases)
      const before = new Map(this.#newest.get(tenant))
      const started = clock.monotonicMs()
      try {
        const [rows] = await connection.query<mysql.RowDataPacket[]>(
          'SELECT bucket, SUM(summaries) AS n FROM query_hour WHERE database_id = ? GROUP BY bucket ORDER BY bucket',
          [tenant],
        )
        this.#latencies.push(clock.monotonicMs() - started)
        const shown = new Map(rows.map((row) => [(row['bucket'] as Date).getTime(), Number(row['n'])]))
        // Branches drop an hour at the same boundary, and not in the same moment.
        const livesFrom = Date.now() - keptMs + 2 * everyMs
        for (const [hour, n] of before) {
          if (hour < livesFrom || (shown.get(hour) ?? 0) >= n) continue
          this.#backwards++
          this.#messages.push(`database ${tenant} showed ${shown.get(hour) ?? 0} summaries of an hour after ${n}`)
          break
        }
        const newest = this.#newest.get(tenant) ?? new Map<number, number>()
        for (const [hour, n] of shown) if (n > (newest.get(hour) ?? 0)) newest.set(hour, n)
        for (const hour of newest.keys()) if (hour < livesFrom) newest.delete(hour)
        this.#newest.set(tenant, newest)
      } catch (error) {
        if (signal.aborted) break
        this.#errors++
        this.#messages.push(error instanceof Error ? error.message : String(error))
        await clock.sleep(100)
      }
      await clock.sleep(Math.max(0, pauseMs - (clock.monotonicMs() - started)), signal).catch(() => undefined)
    }
    connection.destroy()
  }
}
