/**
 * How much the tail may bring while rows are held back (PROTOCOLS 1.6, promise 8).
 *
 * Rows held back stay in memory until what takes the others' rows away has come: by the other stream, which needs nothing of this one for it, or by this stream's own tail. So above a bound the tail waits; but nobody knows which
 * of the two it is, and two streams that wait for one another's tails would do so for ever. After a while it reads on by a little more, and then waits longer.
 */
import type { Clock } from '../base/clock.ts'

export type HeldRoomSteps = { readonly patienceMs: number; readonly patienceMsMax: number; readonly stepBytes: number }

/** Less than a step is not worth a pause. */
const stepsDefault: HeldRoomSteps = { patienceMs: 1_000, patienceMsMax: 8_000, stepBytes: 64 << 10 }

export class HeldRoom {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #bytesMax: () => number
  readonly #stepping: HeldRoomSteps
  #allowed = 0
  #steps = 0
  #fullSinceMs: number | null = null

  constructor(clock: Pick<Clock, 'monotonicMs'>, bytesMax: () => number, steps = stepsDefault) {
    this.#clock = clock
    this.#stepping = steps
    this.#bytesMax = bytesMax
  }

  /** Whether the tail has to wait with so many bytes held back. Asked again and again: time passes. */
  isFull(bytes: number): boolean {
    const { patienceMs, patienceMsMax, stepBytes } = this.#stepping
    const bytesMax = Math.max(stepBytes, this.#bytesMax())
    if (bytes <= Math.max(bytesMax, this.#allowed)) {
      this.#fullSinceMs = null
      return false
    }
    const nowMs = this.#clock.monotonicMs()
    this.#fullSinceMs ??= nowMs
    if (nowMs - this.#fullSinceMs < Math.min(patienceMsMax, patienceMs * 2 ** this.#steps)) return true
    this.#steps++
    this.#allowed = bytes + Math.max(stepBytes, bytesMax >> 2)
    this.#fullSinceMs = null
    return false
  }

  /** It was full when it was asked last. */
  get wasFull(): boolean {
    return this.#fullSinceMs !== null
  }

  /** Nothing is held back any more. */
  reset(): void {
    this.#allowed = 0
    this.#steps = 0
    this.#fullSinceMs = null
  }
}
