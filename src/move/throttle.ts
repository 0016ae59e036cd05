/** Holds the copy back to a rate (PROTOCOLS 1.14), and says so. Pressure measured elsewhere (replica lag, history length) comes in by `hold`. */
import type { Clock } from '../base/clock.ts'
import type { Waiting } from './applier-options.ts'

export class Throttle {
  readonly #clock: Clock
  readonly #bytesPerSecondMax: number | null
  #availableAtMs: number
  waiting: Waiting | null = null
  /** Why the copy must not go on just now; null: it may. */
  hold: (() => Promise<string | null>) | null = null

  constructor(clock: Clock, bytesPerSecondMax: number | null) {
    this.#clock = clock
    this.#bytesPerSecondMax = bytesPerSecondMax
    this.#availableAtMs = clock.monotonicMs()
  }

  /** Accounts for bytes that were read and waits until more may be. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecondMax !== null) {
      const nowMs = this.#clock.monotonicMs()
      this.#availableAtMs = Math.max(this.#availableAtMs, nowMs) + (bytes * 1000) / this.#bytesPerSecondMax
      if (this.#availableAtMs > nowMs) {
        this.waiting = {
          what: `the copy's limit of ${this.#bytesPerSecondMax} bytes a second`,
          sinceMs: this.#clock.nowMs(),
          ends: 'by itself',
        }
        await this.#clock.sleep(this.#availableAtMs - nowMs, signal).catch(() => undefined)
      }
    }
    for (let reason = await this.hold?.(); reason !== null && reason !== undefined && !signal.aborted; reason = await this.hold?.()) {
      this.waiting = { what: reason, sinceMs: this.waiting?.sinceMs ?? this.#clock.nowMs(), ends: 'it falls below its limit' }
      await this.#clock.sleep(100, signal).catch(() => undefined)
    }
    this.waiting = null
  }
}
