/**
 * The clocks of servers, as far as the gate can tell them. A statement on one shard has the time of its server; one on several has an instant that is given to all, and must not be behind what a shard wrote
 * a moment before: `DELETE … WHERE at <= NOW()` would leave the row that was just inserted. So it is taken by the servers' clocks and not by the gate's: the latest of them, which is asked when a connection is made, and now and then.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'

type Seen = {
  /** What a server's clock is at most above the gate's monotonic one, and at least. */
  readonly mostMs: number
  readonly leastMs: number
  readonly atMs: number
}

/** The narrowest of the last minutes counts: clocks drift by milliseconds in that time. */
const keptMs = 120_000
/** A late answer leaves open how far the clock had come: it is asked again, so often. */
const soonMs = 5
const asksMax = 3
/** Beyond that, times that servers write beside each other mean little. */
const toldMs = 500
/** An instant by a clock is not before the one given last by it, unless a clock was put back by more. */
const backMs = 1_000

export class ServerClocks {
  readonly #clock: Clock
  readonly #log: Pick<Log, 'warn'>
  readonly #seen = new Map<string, Seen>()
  readonly #told = new Set<string>()
  /** By the server whose clock it was. */
  readonly #lastMs = new Map<string, number>()

  constructor(clock: Clock, log: Pick<Log, 'warn'>) {
    this.#clock = clock
    this.#log = log
  }

  /** Asks a server, on a connection whose session has its time of no SET. What it says beside its time, by `select`, is the answer. */
  async ask(server: string, connection: Connection, select = 'NULL'): Promise<string | null> {
    let answer: string | null = null
    for (let i = 0; i < asksMax && (i === 0 || !this.#isKnown(server)); i++) {
      const sentMs = this.#clock.monotonicMs()
      const result = await connection.query(`SELECT UTC_TIMESTAMP(6), ${select}`)
      const [time, beside] = result.kind === 'rows' ? (result.rows[0] ?? []) : []
      if (time != null) this.saw(server, time.toString('latin1'), sentMs, this.#clock.monotonicMs())
      answer = beside?.toString('utf8') ?? null
    }
    return answer
  }

  /** By an answer that came soon. */
  #isKnown(server: string): boolean {
    const seen = this.#seen.get(server)
    return seen !== undefined && seen.mostMs - seen.leastMs <= soonMs && this.#clock.monotonicMs() - seen.atMs < keptMs
  }

  /** @param time UTC, as `2026-01-31 12:00:00.123456`; read by the server between the two moments of the gate's monotonic clock */
  saw(server: string, time: string, sentMs: number, answeredMs: number): void {
    const serverMs = Date.parse(`${time.slice(0, 19).replace(' ', 'T')}Z`) + Number(`0${time.slice(19)}`) * 1000
    if (!Number.isFinite(serverMs)) return
    const now: Seen = { mostMs: serverMs - sentMs, leastMs: serverMs - answeredMs, atMs: answeredMs }
    const before = this.#seen.get(server)
    // What does not overlap was set anew between the two.
    const same = before !== undefined && now.leastMs <= before.mostMs && before.leastMs <= now.mostMs
    if (same && answeredMs - before.atMs < keptMs && before.mostMs - before.leastMs <= now.mostMs - now.leastMs) return
    this.#seen.set(server, now)
    this.#tell(server, now)
  }

  #tell(server: string, { mostMs, leastMs }: Seen): void {
    const own = this.#clock.nowMs() - this.#clock.monotonicMs()
    const skewMs = leastMs > own ? leastMs - own : mostMs < own ? mostMs - own : 0
    if (Math.abs(skewMs) <= toldMs) {
      this.#told.delete(server)
      return
    }
    if (this.#told.has(server)) return
    this.#told.add(server)
    this.#log.warn(
      { server, skewMs: Math.round(skewMs) },
      "a server's clock is not the gate's: times that different servers and gates write are not to be compared. Keep them in step (NTP)",
    )
  }

  /** Unix milliseconds by the latest clock of these servers; of none that was asked, by the gate's. */
  nowMs(servers: Iterable<string>): number {
    const monotonicMs = this.#clock.monotonicMs()
    let latest: { readonly server: string; readonly ms: number } | null = null
    for (const server of servers) {
      const seen = this.#seen.get(server)
      if (seen !== undefined && (latest === null || monotonicMs + seen.mostMs > latest.ms))
        latest = { server, ms: monotonicMs + seen.mostMs }
    }
    if (latest === null) return this.#clock.nowMs()
    const lastMs = this.#lastMs.get(latest.server) ?? 0
    const ms = lastMs > latest.ms && lastMs - latest.ms < backMs ? lastMs : latest.ms
    this.#lastMs.set(latest.server, ms)
    return ms
  }
}
