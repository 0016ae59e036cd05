/** What another branch said of a statement, kept for a while and bounded: an application repeats its mistakes many times a second, and each would ask again. */
const keptMs = 10_000
const keptMax = 500

export class Refusals {
  readonly #now: () => number
  readonly #known = new Map<string, { readonly untilMs: number; readonly answer: Promise<boolean> }>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** `ask` never fails. Those who ask at once wait for one answer. */
  alike(key: string, ask: () => Promise<boolean>): Promise<boolean> {
    const known = this.#known.get(key)
    if (known !== undefined && known.untilMs > this.#now()) return known.answer
    this.#known.delete(key)
    const [oldest] = this.#known.keys()
    if (this.#known.size >= keptMax && oldest !== undefined) this.#known.delete(oldest)
    const answer = ask()
    this.#known.set(key, { untilMs: this.#now() + keptMs, answer })
    return answer
  }
}
