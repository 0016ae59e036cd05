/** What the demonstration's agents send, by seed: the n-th event of a producer is always the same but for its time. */
import { createHash } from 'node:crypto'
import type { RecordToSend } from '../../topic/topic.ts'

export type Summary = {
  readonly database_id: number
  readonly fingerprint: string
  readonly at: number
  readonly queries: number
  readonly rows_read: number
  readonly total_us: number
  readonly latencies_ms: readonly number[]
}

export type SlowQuery = {
  readonly event_id: string
  readonly database_id: number
  readonly at: number
  readonly ms: number
  readonly query: string
}

export type EventSpec = { readonly seed: number; readonly databases: number; readonly patterns: number }

export class Events {
  readonly #spec: EventSpec
  readonly #random: () => number
  #n = 0

  constructor(spec: EventSpec) {
    this.#spec = spec
    this.#random = seeded(spec.seed)
  }

  summary(at: number): Summary {
    const database_id = this.#database()
    const pattern = Math.floor(this.#random() ** 2 * this.#spec.patterns)
    const latencies_ms = Array.from(
      { length: 1 + Math.floor(this.#random() * 4) },
      () => Math.round(10 * Math.exp(this.#random() * 6)) / 10,
    )
    const queries = latencies_ms.length + Math.floor(this.#random() * 50)
    const total_us = latencies_ms.reduce((sum, ms) => sum + Math.round(ms * 1000), 0)
    return {
      database_id,
      fingerprint: fingerprintOf(database_id, pattern),
      at,
      queries,
      rows_read: queries * pattern,
      total_us,
      latencies_ms,
    }
  }

  slowQuery(at: number): SlowQuery {
    const database_id = this.#database()
    const n = this.#n++
    return {
      event_id: `${this.#spec.seed}-${n}`,
      database_id,
      at,
      ms: 1000 + Math.floor(this.#random() * 9000),
      query: `SELECT … /* ${n} */`,
    }
  }

  #database(): number {
    // A few databases are busy, most are not.
    return 1 + Math.floor(this.#random() ** 2 * this.#spec.databases)
  }
}

export function fingerprintOf(database: number, pattern: number): string {
  return createHash('sha256').update(`${database}/${pattern}`).digest('hex').slice(0, 16)
}

/** Key: hash of (database, fingerprint), so that a pattern stays in one partition. */
export function summaryRecord(event: Summary): RecordToSend {
  const key = createHash('sha256').update(`${event.database_id}/${event.fingerprint}`).digest().subarray(0, 8)
  return { key, value: Buffer.from(JSON.stringify(event)), timestampMs: event.at }
}

export function slowRecord(event: SlowQuery): RecordToSend {
  return { key: Buffer.from(String(event.database_id)), value: Buffer.from(JSON.stringify(event)), timestampMs: event.at }
}

/** Mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
