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
  #admitted = 0
  readonly #queue: { readonly count: number; enter(): void }[] = []

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

  /**
   * For a statement that holds some connections while it waits for others: all that such statements may hold at a time is no more than there is, so each comes to its last one. (Were they not
   * counted, as many as there are connections could hold one each, and none would get its second.) Who comes first enters first. Undefined: at once. Give the same count back by `leave`.
   * Errors: SW-GATE-014 (`late`), the signal's reason.
   */
  admit(count: number, waitMs: number, late: () => Error, signal: AbortSignal | null): Promise<void> | undefined {
    if (this.#queue.length === 0 && this.#admitted + count <= this.#max) {
      this.#admitted += count
      return undefined
    }
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', stopped)
      }
      const giveUp = (why: Error): void => {
        over()
        this.#queue.splice(this.#queue.indexOf(waiter), 1)
        // It may have kept smaller ones behind it.
        this.#enter()
        reject(why)
      }
      const stopped = (): void => giveUp(signal?.reason as Error)
      const timer = setTimeout(() => giveUp(late()), waitMs)
      const waiter = {
        count,
        enter: (): void => {
          over()
          resolve()
        },
      }
      signal?.addEventListener('abort', stopped, { once: true })
      this.#queue.push(waiter)
    })
  }

  leave(count: number): void {
    this.#admitted -= count
    this.#enter()
  }

  #enter(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#admitted + next.count <= this.#max; next = this.#queue[0]) {
      this.#admitted += next.count
      this.#queue.shift()
      next.enter()
    }
  }

  /** Somebody waits for a place that an idle connection holds. */
  get wanted(): boolean {
    return this.#starved.size > 0
  }
}
