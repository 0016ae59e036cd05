/**
 * Dashboards: clients that read one database's figures through the gate, all the time. What a read shows of a database must be
 * no less than what any read of it had shown that had ended before this one began: no tenant goes back in time.
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
  readonly #newest = new Map<number, number>()
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
    const { clock, random, databases, clients, readsPerSecond, host, port, user, password, database } = this.#options
    const connection = await mysql.createConnection({ host, port, user, password, database })
    connection.on('error', () => undefined)
    const pauseMs = (1000 * clients) / readsPerSecond
    while (!signal.aborted) {
      const tenant = 1 + Math.floor(random() * databases)
      const floor = this.#newest.get(tenant) ?? 0
      const started = clock.monotonicMs()
      try {
        const [rows] = await connection.query<mysql.RowDataPacket[]>(
          'SELECT COALESCE(SUM(summaries), 0) AS n FROM query_hour WHERE database_id = ?',
          [tenant],
        )
        const n = Number(rows[0]?.['n'])
        this.#latencies.push(clock.monotonicMs() - started)
        if (n < floor) {
          this.#backwards++
          this.#messages.push(`database ${tenant} showed ${n} summaries after ${floor}`)
        }
        if (n > (this.#newest.get(tenant) ?? 0)) this.#newest.set(tenant, n)
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
