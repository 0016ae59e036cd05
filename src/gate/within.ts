/**
 * Work with servers that is waited for no longer than a while: a server that was paused, or whose network swallows what is sent, does not answer and does not cut. What the work uses is cut off
 * then, so that it ends too and keeps no connection of the pool.
 */
import type { Connection } from '../mysql/connection.ts'
import type { Core } from './core.ts'

export class Within {
  readonly #connections = new Set<Connection>()
  readonly #ended = new AbortController()
  readonly #late: Promise<never>
  over = false

  constructor({ clock }: Pick<Core, 'clock'>, ms: number) {
    this.#late = clock.sleep(ms, this.#ended.signal).then(() => {
      this.over = true
      for (const connection of this.#connections) connection.destroy()
      throw new Error(`no answer within ${ms} ms`)
    })
    this.#late.catch(() => {})
  }

  uses(connection: Connection): void {
    if (this.over) connection.destroy()
    else this.#connections.add(connection)
  }

  done(connection: Connection): void {
    this.#connections.delete(connection)
  }

  /** Rejects when it takes longer. */
  async wait<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {})
    return await Promise.race([work, this.#late])
  }

  end(): void {
    this.#ended.abort()
  }
}
