/** A bell: `wait` returns at the next `ring`, or at once when it rang since the last wait. Several may wait. */
export class Wakeup {
  #rung = false
  #waiters = new Set<() => void>()

  ring(): void {
    this.#rung = true
    const waiters = this.#waiters
    this.#waiters = new Set()
    for (const waiter of waiters) waiter()
  }

  /** Returns also when the signal aborts, and after `timeoutMs` when given. */
  async wait(signal: AbortSignal, timeoutMs?: number): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          signal.removeEventListener('abort', done)
          // Who waits with a limit in a loop, and is never rung for, would fill it.
          this.#waiters.delete(done)
          clearTimeout(timer)
          resolve()
        }
        const timer = timeoutMs === undefined ? undefined : setTimeout(done, timeoutMs)
        signal.addEventListener('abort', done, { once: true })
        this.#waiters.add(done)
      })
    }
    this.#rung = false
  }
}
