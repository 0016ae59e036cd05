/** What a part of a stream is at, and since when: what a mover tells when it is asked why a stream stands still (`Mover.standing`). */
import type { Clock } from '../base/clock.ts'

export class Doing {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  #what = 'not begun'
  #sinceMs: number

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** The same again goes on: whoever is woken for nothing has waited all the while. */
  begin(what: string): void {
    if (what === this.#what) return
    this.#what = what
    this.#sinceMs = this.#clock.monotonicMs()
  }

  get told(): { readonly what: string; readonly forMs: number } {
    return { what: this.#what, forMs: Math.round(this.#clock.monotonicMs() - this.#sinceMs) }
  }
}
