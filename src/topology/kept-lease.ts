/**
 * A lease that is renewed until released. `lost` aborts when it is gone, or when it may be gone: `ttlMs` after the last renewal
 * that succeeded *began*, since a store that does not answer tells nothing. A process that was paused runs its timers late, so
 * whoever is about to do something that only the holder may do asks `valid()`, which reads the clock.
 */
import type { Clock } from '../base/clock.ts'
import { topologyErrors } from './errors.ts'
import type { Lease, Store } from './store.ts'
import { isSwError } from '../base/errors.ts'

export interface KeptLease extends AsyncDisposable {
  readonly id: string
  readonly lost: AbortSignal
  valid(): boolean
  release(): Promise<void>
}

export async function keepLease(store: Store, options: { ttlMs: number; clock: Clock }): Promise<KeptLease> {
  const { ttlMs, clock } = options
  const lost = new AbortController()
  const released = new AbortController()
  let validUntilMs = clock.monotonicMs() + ttlMs
  const lease: Lease = await store.grantLease(ttlMs)
  const lose = (cause?: unknown): void => {
    if (!lost.signal.aborted) lost.abort(topologyErrors.leaseGone({ lease: lease.id }, cause))
  }
  const valid = (): boolean => {
    if (!released.signal.aborted && clock.monotonicMs() >= validUntilMs) lose()
    return !lost.signal.aborted && !released.signal.aborted
  }
  const stop = AbortSignal.any([lost.signal, released.signal])

  const renewing = async (): Promise<void> => {
    let pauseMs = ttlMs / 3
    while (!stop.aborted) {
      await clock.sleep(pauseMs, stop)
      const began = clock.monotonicMs()
      try {
        await lease.renew()
        if (began + ttlMs > validUntilMs) validUntilMs = began + ttlMs
        pauseMs = ttlMs / 3
      } catch (error) {
        if (isSwError(error, 'SW-TOPOLOGY-003')) return lose(error)
        pauseMs = ttlMs / 20
      }
    }
  }
  const guarding = async (): Promise<void> => {
    while (valid()) await clock.sleep(Math.max(1, validUntilMs - clock.monotonicMs()), stop)
  }
  // Both end by `stop`; a sleep that it cuts rejects, which says nothing.
  renewing().catch(() => undefined)
  guarding().catch(() => undefined)

  const release = async (): Promise<void> => {
    if (released.signal.aborted) return
    released.abort()
    await lease.revoke().catch(() => undefined)
  }
  return { id: lease.id, lost: lost.signal, valid, release, [Symbol.asyncDispose]: release }
}
