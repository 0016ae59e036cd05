/**
 * The load of a simulation: how many records a second producers write at an instant, before it begins too. Constant within each step (an
 * hour), so that everything between two steps is a straight line and can be solved exactly instead of being approximated by small steps.
 */
export type LoadShape = {
  readonly eventsPerSecond: number
  /** Writes grow to this multiple, evenly over `growthSeconds` from 0 on, and stay there. */
  readonly growthTimes: number
  readonly growthSeconds: number
  /** 0: the same all day; 0.4: between 0.6 and 1.4 times, by a sine of 24 hours. */
  readonly dailySwing: number
  readonly stepSeconds: number
}

const daySeconds = 86_400

export class Load {
  readonly #shape: LoadShape
  /** Events from time 0 to the beginning of step i, for i ≥ 0 and, with negative sign, i < 0. */
  readonly #after: number[] = [0]
  readonly #before: number[] = [0]

  constructor(shape: LoadShape) {
    this.#shape = shape
  }

  step(seconds: number): number {
    return Math.floor(seconds / this.#shape.stepSeconds)
  }

  /** During step `index`. */
  rate(index: number): number {
    const { eventsPerSecond, growthTimes, growthSeconds, dailySwing, stepSeconds } = this.#shape
    const middle = (index + 0.5) * stepSeconds
    const grown = middle <= 0 ? 1 : growthSeconds <= 0 ? growthTimes : 1 + (growthTimes - 1) * Math.min(1, middle / growthSeconds)
    return eventsPerSecond * grown * (1 + dailySwing * Math.sin((2 * Math.PI * middle) / daySeconds))
  }

  /** Events written in [from, to). */
  events(from: number, to: number): number {
    return to <= from ? 0 : this.#count(to) - this.#count(from)
  }

  #count(seconds: number): number {
    const index = this.step(seconds)
    const start = index * this.#shape.stepSeconds
    return this.#countTo(index) + (seconds - start) * this.rate(index)
  }

  #countTo(index: number): number {
    const { stepSeconds } = this.#shape
    if (index >= 0) {
      while (this.#after.length <= index) {
        const last = this.#after.length - 1
        this.#after.push((this.#after[last] as number) + this.rate(last) * stepSeconds)
      }
      return this.#after[index] as number
    }
    while (this.#before.length <= -index) {
      const last = this.#before.length - 1
      this.#before.push((this.#before[last] as number) - this.rate(-last - 1) * stepSeconds)
    }
    return this.#before[-index] as number
  }
}
