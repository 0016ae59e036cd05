/**
 * How long a login waits before it is judged, so that passwords can't be tried fast. Counted by user and address; an attempt counts from when it begins,
 * so many at once wait as many after another do. Nobody is locked out: whoever knows the password gets in after a pause of a few seconds at most. Pure.
 */
export class Logins {
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
}

/** A pool of an application that starts with a hundred connections at once has the right password; each success counts anew. */
const freeAttempts = 20
const firstPauseMs = 200
/** Below the time that a handshake may take. */
const pauseMaxMs = 5_000
const forgetMs = 60_000
const keptMax = 10_000

function keyOf(user: string, address: string): string {
  return `${address} ${user}`
}
