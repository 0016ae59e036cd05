/**
 * How far the source's replicas are behind (PROTOCOLS 1.14), by our own markers: a replica that holds marker n has applied all that was committed before it,
 * so the age of the first marker that it lacks is its lag; none is lacking: 0. What servers say of their own replicas is not asked: it is 0 where
 * replication does not even run.
 *
 * A replica that does not answer, or holds no marker of this run yet, is unknown: null, which no limit allows (promise 6).
 */
import type { Clock } from '../base/clock.ts'
import { readMarker } from '../binlog/control-schema.ts'
import type { Connection } from '../mysql/connection.ts'
import { connectPlain, type Addresses } from './access.ts'
import type { ReplicaLag } from './pressure.ts'

const answerMs = 2_000

export type ReplicaLagsOptions = {
  /** Server ids of the source's replicas, as they are just now. */
  readonly replicas: () => Promise<readonly string[]>
  readonly addresses: Addresses
  /** Whose markers are looked for. */
  readonly stream: string
  readonly sent: MarkerTimes
  readonly clock: Clock
}

export class ReplicaLags {
  readonly #options: ReplicaLagsOptions
  readonly #connections = new Map<string, Connection>()

  constructor(options: ReplicaLagsOptions) {
    this.#options = options
  }

  async measure(): Promise<ReplicaLag[]> {
    let ids: readonly string[]
    try {
      ids = await this.#options.replicas()
    } catch {
      return [{ name: 'of the source shard', lagMs: null }]
    }
    for (const id of this.#connections.keys()) if (!ids.includes(id)) this.#drop(id)
    return Promise.all(ids.map(async (id) => ({ name: id, lagMs: await this.#lagOf(id) })))
  }

  close(): void {
    for (const id of this.#connections.keys()) this.#drop(id)
  }

  async #lagOf(id: string): Promise<number | null> {
    const { stream, sent, clock, addresses } = this.#options
    const limit = AbortSignal.timeout(answerMs)
    const cut = (): void => this.#drop(id)
    try {
      let connection = this.#connections.get(id)
      if (connection === undefined || !connection.open) {
        connection = await connectPlain(await addresses(id), limit)
        this.#connections.set(id, connection)
      }
      limit.addEventListener('abort', cut, { once: true })
      const number = await readMarker(connection, stream, 'mark')
      return number === null ? null : sent.behindMs(number, clock.nowMs())
    } catch {
      this.#drop(id)
      return null
    } finally {
      limit.removeEventListener('abort', cut)
    }
  }

  #drop(id: string): void {
    this.#connections.get(id)?.destroy()
    this.#connections.delete(id)
  }
}

const timesMax = 4_096

/** When markers were sent. Bounded: when there are too many, only every second, fourth, … is kept, and stands for those after it. */
export class MarkerTimes {
  #times: { readonly number: number; readonly atMs: number }[] = []
  #every = 1
  #last = 0

  note(number: number, atMs: number): void {
    this.#last = number
    if (number % this.#every !== 0) return
    this.#times.push({ number, atMs })
    if (this.#times.length <= timesMax) return
    this.#every *= 2
    this.#times = this.#times.filter((one) => one.number % this.#every === 0)
  }

  /** Of who holds marker `number`, at most a little too much; null: older than all that is known. */
  behindMs(number: number, nowMs: number): number | null {
    const [first] = this.#times
    if (first === undefined || number + 1 < first.number) return null
    if (number >= this.#last) return 0
    // The last one noted that is not after the first that it lacks.
    let [low, high] = [0, this.#times.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#times[middle]?.number ?? Infinity) <= number + 1) low = middle
      else high = middle - 1
    }
    return Math.max(0, nowMs - (this.#times[low]?.atMs ?? 0))
  }
}
