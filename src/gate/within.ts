/**
 * Work with servers that is waited for no longer than a while: a server that was paused, or whose network swallows what is sent, does not answer and does not cut. What the work uses is cut off
 * then, so that it ends too and keeps no connection of the pool.
 */
import type { Connection } from '../mysql/connection.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { shardName } from './transaction.ts'
import type { ShardView } from './view.ts'

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

/** Of a shard, no longer than `ms`. Errors: SW-GATE-010 when it takes longer; those of the work. */
export async function askedWithin<T>(
  core: Pick<Core, 'clock'>,
  ms: number,
  shard: ShardView,
  work: (within: Within) => Promise<T>,
): Promise<T> {
  const within = new Within(core, ms)
  try {
    return await within.wait(work(within))
  } catch (error) {
    throw within.over ? gateErrors.unreachable({ shard: shardName(shard), cause: (error as Error).message }, error as Error) : error
  } finally {
    within.end()
  }
}
