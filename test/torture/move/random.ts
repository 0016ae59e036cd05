/** Choices that follow from a seed. */
import { seeded } from '../seeded.ts'

export class Dice {
  readonly #next: () => number

  constructor(seed: number) {
    this.#next = seeded(seed)
  }

  /** 0 … below - 1 */
  int(below: number): number {
    return Math.floor(this.#next() * below)
  }

  chance(probability: number): boolean {
    return this.#next() < probability
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(from.length)] as T
  }

  some<T>(from: readonly T[], count: number): T[] {
    const rest = [...from]
    return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(this.int(rest.length), 1)[0] as T)
  }

  /** A seed for somebody else, so that what one does does not shift what the other does. */
  seed(): number {
    return this.int(2 ** 31)
  }
}
