import type { GateStats } from '../topology/records.ts'

type RefusedLogins = NonNullable<GateStats['refusedLogins']>

/**
 * How long a login waits before it is judged, so that passwords can't be tried fast. Counted by user and address; an attempt counts from when it begins,
 * so many at once wait as many after another do. Nobody is locked out: whoever knows the password gets in after a pause of a few seconds at most. Pure.
 */
export class Logins {
  #refusals = 0
  readonly #latest = new Map<string, RefusedLogins['latest'][number]>()
  readonly #attempts = new Map<string, { count: number; lastMs: number }>()

  /** Counts the attempt. */
  pauseMs(user: string, address: string, nowMs: number): number {
    const key = keyOf(user, address)
    const known = this.#attempts.get(key)
    const count = known === undefined || nowMs - known.lastMs > forgetMs ? 1 : known.count + 1
    // Newest last: what is dropped for want of room is the oldest.
    this.#attempts.delete(key)
    this.#attempts.set(key, { count, lastMs: nowMs })
    if (this.#attempts.size > keptMax) {
      const [oldest] = this.#attempts.keys()
      if (oldest !== undefined) this.#attempts.delete(oldest)
    }
    return count <= freeAttempts ? 0 : Math.min(pauseMaxMs, firstPauseMs * 2 ** Math.min(count - freeAttempts - 1, 10))
  }

  succeeded(user: string, address: string): void {
    this.#attempts.delete(keyOf(user, address))
  }

  /** Those that were refused since the start, and the latest by user and address. */
  refused(user: string, address: string, atMs: number): void {
    this.#refusals++
    const key = keyOf(user, address)
    const count = (this.#latest.get(key)?.count ?? 0) + 1
    this.#latest.delete(key)
    this.#latest.set(key, { user: user.slice(0, nameMax), address, count, lastAtMs: atMs })
    if (this.#latest.size > toldMax) this.#latest.delete(this.#latest.keys().next().value as string)
  }

  get refusals(): RefusedLogins {
    return { total: this.#refusals, latest: [...this.#latest.values()].reverse() }
  }
}

/** A pool of an application that starts with a hundred connections at once has the right password; each success counts anew. */
const freeAttempts = 20
const firstPauseMs = 200
/** Below the time that a handshake may take. */
const pauseMaxMs = 5_000
const forgetMs = 60_000
const keptMax = 10_000
/** Of those refused so many are told; the log has all. */
const toldMax = 10
const nameMax = 80

function keyOf(user: string, address: string): string {
  return `${address} ${user}`
}
