/** What statements hold in memory of rows that they put together, sort or write again: each within a bound, and all of one process within another (promise 8). */
import { gateErrors } from './errors.ts'

/** What a value of a row takes beside its bytes, about: a Buffer object and its slot. */
export const cellBytes = 100

export class HeldMemory {
  readonly #eachBytesMax: number
  readonly #allBytesMax: number
  #bytes = 0

  constructor(eachBytesMax: number, allBytesMax: number) {
    this.#eachBytesMax = eachBytesMax
    this.#allBytesMax = allBytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Of one statement; to be closed when it has ended. */
  open(): Held {
    let own = 0
    return {
      add: (bytes) => {
        own += bytes
        this.#bytes += bytes
        if (own > this.#eachBytesMax) throw gateErrors.memory({ bytesMax: this.#eachBytesMax })
        if (this.#bytes > this.#allBytesMax) throw gateErrors.memoryOfAll({ bytesMax: this.#allBytesMax })
      },
      close: () => {
        this.#bytes -= own
        own = 0
      },
    }
  }
}

export type Held = {
  /** Errors: SW-GATE-205, 044. */
  add(bytes: number): void
  close(): void
}
