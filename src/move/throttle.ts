/**
 * Holds the copy back (PROTOCOLS 1.14) and says why. Following is never held back: a tail that falls behind only makes matters worse.
 *
 * Bytes and time of reading are debts that shrink at the rates allowed: a limit changed while it waits counts from then on, and nothing is saved up for a
 * burst later.
 */
import type { Clock } from '../base/clock.ts'
import type { PaceLimits } from '../topology/records.ts'
import type { WaitReason } from '../topology/target-report.ts'
import type { Waiting } from './applier-options.ts'

/** A wait is looked at again this often: limits change while it lasts. */
const sliceMs = 200

type Held = { readonly what: string; readonly ends: string; readonly ms: number; readonly reason: WaitReason }

export class Throttle {
  readonly #clock: Clock
  readonly #limits: () => PaceLimits
  #bytesOwed = 0
  #readMsOwed = 0
  #paidAtMs: number
  /** Readers that are held just now: several take turns of one copy. */
  #held = 0
  waiting: Waiting | null = null
  /** What is above its limit on the servers; null: nothing. */
  pressure: (() => Promise<string | null>) | null = null

  constructor(clock: Clock, limits: () => PaceLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#paidAtMs = clock.monotonicMs()
  }

  /** Accounts for what was read and waits until more may be. `readMs`: how long the source was busy with it. */
  async take(spent: { readonly bytes: number; readonly readMs: number }, signal: AbortSignal): Promise<void> {
    this.#pay()
    this.#bytesOwed += spent.bytes
    this.#readMsOwed += spent.readMs
    let isHeld = false
    try {
      while (!signal.aborted) {
        this.#pay()
        const held = this.#own() ?? (await this.#pressed())
        if (held === null) break
        if (!isHeld) this.#held++
        isHeld = true
        if (this.waiting?.what !== held.what)
          this.waiting = { what: held.what, sinceMs: this.waiting?.sinceMs ?? this.#clock.nowMs(), ends: held.ends, reason: held.reason }
        await this.#clock.sleep(Math.max(1, Math.min(held.ms, sliceMs)), signal).catch(() => undefined)
      }
    } finally {
      if (isHeld) this.#held--
      // What holds another reader still holds the copy.
      if (this.#held === 0) this.waiting = null
    }
  }

  #pay(): void {
    const nowMs = this.#clock.monotonicMs()
    const elapsedMs = nowMs - this.#paidAtMs
    this.#paidAtMs = nowMs
    const { copyBytesPerSecondMax, sourceLoadMax } = this.#limits()
    this.#bytesOwed = copyBytesPerSecondMax === null ? 0 : Math.max(0, this.#bytesOwed - (elapsedMs * copyBytesPerSecondMax) / 1000)
    this.#readMsOwed = sourceLoadMax === null ? 0 : Math.max(0, this.#readMsOwed - elapsedMs * sourceLoadMax)
  }

  #own(): Held | null {
    const { copyBytesPerSecondMax, sourceLoadMax, pausedUntilMs } = this.#limits()
    const pausedMs = (pausedUntilMs ?? 0) - this.#clock.nowMs()
    if (pausedMs > 0) {
      const until = new Date(pausedUntilMs ?? 0).toISOString()
      return { what: `the copy is paused until ${until}`, ends: 'then, or by update --resume', ms: pausedMs, reason: 'pause' }
    }
    if (this.#bytesOwed > 0 && copyBytesPerSecondMax !== null)
      return {
        what: `the copy's limit of ${copyBytesPerSecondMax} bytes a second`,
        ends: 'by itself',
        ms: (this.#bytesOwed * 1000) / copyBytesPerSecondMax,
        reason: 'rate',
      }
    if (this.#readMsOwed > 0 && sourceLoadMax !== null)
      return {
        what: `the copy may read on the source ${Math.round(sourceLoadMax * 100)} % of the time`,
        ends: 'by itself',
        ms: this.#readMsOwed / sourceLoadMax,
        reason: 'rate',
      }
    return null
  }

  async #pressed(): Promise<Held | null> {
    const what = (await this.pressure?.()) ?? null
    return what === null ? null : { what, ends: 'it falls below its limit', ms: 100, reason: 'pressure' }
  }
}
