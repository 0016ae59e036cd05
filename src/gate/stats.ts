/** Counters of one gate; written to the topology each second. */
import type { GateStats } from '../topology/records.ts'

export class Stats {
  sessions = 0
  statements = 0
  errors = 0
  held = 0
  #slowestWriteMs = 0
  #lastStatements = 0
  #lastAtMs = 0

  wrote(ms: number): void {
    if (ms > this.#slowestWriteMs) this.#slowestWriteMs = ms
  }

  /** Totals, and the slowest write and rate since the call before. */
  take(nowMs: number): GateStats {
    const seconds = (nowMs - this.#lastAtMs) / 1000
    const rate = this.#lastAtMs === 0 || seconds <= 0 ? 0 : (this.statements - this.#lastStatements) / seconds
    const stats: GateStats = {
      v: 1,
      atMs: nowMs,
      sessions: this.sessions,
      statements: this.statements,
      errors: this.errors,
      held: this.held,
      slowestWriteMs: Math.round(this.#slowestWriteMs * 10) / 10,
      statementsPerSecond: Math.round(rate),
    }
    this.#slowestWriteMs = 0
    this.#lastStatements = this.statements
    this.#lastAtMs = nowMs
    return stats
  }
}
