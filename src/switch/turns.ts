/**
 * What moves traffic, retires a side or closes a server again runs one at a time in a keyspace: each begins by looking at what stands open or
 * half done, and must not take what another one is about for what a dead leader left behind. Within one process: there is one leader.
 */
export class KeyspaceTurns {
  readonly #last = new Map<string, Promise<void>>()

  /** After all that were asked for before, whether they failed or not. `waits`: told when there are any, before and after. */
  async run(keyspace: string, work: () => Promise<void>, waits?: (waiting: boolean) => Promise<void>): Promise<void> {
    const before = this.#last.get(keyspace)
    const mine = (async () => {
      if (before !== undefined) {
        await waits?.(true)
        await before.catch(() => undefined)
        await waits?.(false)
      }
      await work()
    })()
    this.#last.set(keyspace, mine)
    try {
      await mine
    } finally {
      if (this.#last.get(keyspace) === mine) this.#last.delete(keyspace)
    }
  }

  /** Nothing runs and nothing waits. */
  idle(keyspace: string): boolean {
    return !this.#last.has(keyspace)
  }
}
