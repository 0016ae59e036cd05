/**
 * One leader of the control processes. Each acquisition takes a larger token, in the commit that takes the lead, so tokens order
 * the leaders whatever their clocks say (PROTOCOLS 3: the token fences the routing record and the servers).
 */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { keys } from './keys.ts'
import { keepLease } from './kept-lease.ts'
import type { LeaderRecord, LeaderToken } from './records.ts'
import type { Condition, Store } from './store.ts'
import { put, readRecord } from './typed.ts'

export interface Leadership extends AsyncDisposable {
  readonly token: number
  /** Aborts when the lead is lost or may be. */
  readonly lost: AbortSignal
  valid(): boolean
  /** Holds only while this leader's lease does: goes with every commit that only a leader may make. */
  condition(): Condition
  release(): Promise<void>
}

export type LeadershipOptions = { holder: string; address: string; ttlMs: number; clock: Clock; signal: AbortSignal }

/** Waits until it leads. Rejects when the signal aborts or the store fails for good. */
export async function acquireLeadership(store: Store, options: LeadershipOptions): Promise<Leadership> {
  for (;;) {
    await leaderAbsent(store, options.signal)
    options.signal.throwIfAborted()
    const leadership = await tryAcquire(store, options)
    if (leadership !== null) return leadership
  }
}

async function leaderAbsent(store: Store, signal: AbortSignal): Promise<void> {
  for await (const snapshot of store.watch(keys.leader, signal)) {
    if (!snapshot.entries.has(keys.leader)) return
  }
}

async function tryAcquire(store: Store, options: LeadershipOptions): Promise<Leadership | null> {
  const lease = await keepLease(store, options)
  try {
    const last = await readRecord<LeaderToken>(store, keys.leaderToken)
    const token = (last?.value.token ?? 0) + 1
    const record: LeaderRecord = { v: 1, holder: options.holder, token, address: options.address }
    let version: number | null = null
    try {
      const result = await store.commit(
        [
          { key: keys.leader, version: 0 },
          { key: keys.leaderToken, version: last?.version ?? 0 },
        ],
        [put(keys.leader, record, lease.id), put<LeaderToken>(keys.leaderToken, { v: 1, token })],
      )
      if (result.ok) version = result.revision
    } catch (error) {
      if (!isSwError(error) || error.class !== 'unknown') throw error
      const now = await readRecord<LeaderRecord>(store, keys.leader)
      if (now?.value.holder === options.holder && now.value.token === token) version = now.version
    }
    if (version === null) {
      await lease.release()
      return null
    }
    const leaderVersion = version
    return {
      token,
      lost: lease.lost,
      valid: () => lease.valid(),
      condition: () => ({ key: keys.leader, version: leaderVersion }),
      release: () => lease.release(),
      [Symbol.asyncDispose]: () => lease.release(),
    }
  } catch (error) {
    await lease.release()
    throw error
  }
}
