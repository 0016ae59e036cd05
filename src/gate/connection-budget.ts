/** Connections to one server, in number. */

/** A pool of them, as the budget sees it. */
type Member = { closeIdle(): boolean; mayGrow(): void }

/**
 * What one server's pools may have together. A pool that needs a connection when all are out takes the place of an idle one of
 * another pool: shards that share a server share its connections.
 */
export class ConnectionBudget {
  readonly #max: number
  #used = 0
  readonly #pools = new Set<Member>()
  readonly #starved = new Set<Member>()

  constructor(max: number) {
    this.#max = max
  }

  get max(): number {
    return this.#max
  }

  join(pool: Member): void {
    this.#pools.add(pool)
  }

  part(pool: Member): void {
    this.#pools.delete(pool)
    this.#starved.delete(pool)
  }

  /** False: the pool is told (`mayGrow`) when there is room. */
  take(pool: Member): boolean {
    if (this.#used >= this.#max) {
      // Before: the place may be free, and given, within the call.
      this.#starved.add(pool)
      for (const other of this.#pools) {
        // Its place is free once its connection has closed.
        if (other !== pool && other.closeIdle()) break
      }
      return false
    }
    this.#used++
    return true
  }

  give(): void {
    this.#used--
    // A pool whose waiters were served otherwise meanwhile takes nothing: the place is the next one's.
    for (const next of this.#starved) {
      if (this.#used >= this.#max) return
      this.#starved.delete(next)
      next.mayGrow()
    }
  }

  /** Somebody waits for a place that an idle connection holds. */
  get wanted(): boolean {
    return this.#starved.size > 0
  }
}
