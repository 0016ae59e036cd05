/**
 * Waits until every live gate acts by a version of the routing record and has no transaction open on what is held, or time is up.
 * This spares clients errors; safety does not need it (PROTOCOLS 3, step 2).
 */
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { GateRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { recordsOf } from '../topology/typed.ts'

export type Acknowledgement = {
  readonly gates: number
  /** Gates that had not seen the version when time was up. */
  readonly silent: readonly string[]
  /** Transactions still open at the gates when time was up. */
  readonly open: number
}

export async function gatesAcknowledged(options: {
  store: Store
  keyspace: string
  version: number
  /** For seeing the version. */
  seenMs: number
  /** For open transactions to end, from the same start. */
  graceMs: number
  clock: Clock
  signal: AbortSignal
}): Promise<Acknowledgement> {
  const { store, keyspace, version, seenMs, graceMs, clock, signal } = options
  const startedMs = clock.monotonicMs()
  let last: Acknowledgement | null = null
  const atRest = (): boolean => {
    if (last === null) return false
    const afterMs = clock.monotonicMs() - startedMs
    return (last.silent.length === 0 || afterMs >= seenMs) && (last.open === 0 || afterMs >= graceMs)
  }
  const done = new AbortController()
  const watch = async (): Promise<void> => {
    for await (const snapshot of store.watch(keys.gates, AbortSignal.any([signal, done.signal]))) {
      const gates = recordsOf<GateRecord>(snapshot).map((record) => record.value)
      last = {
        gates: gates.length,
        silent: gates.filter((gate) => (gate.seen[keyspace] ?? 0) < version).map((gate) => gate.id),
        open: gates.reduce((sum, gate) => sum + (gate.open[keyspace] ?? 0), 0),
      }
      if (atRest()) return
    }
  }
  // Nothing in the topology changes when a limit passes.
  const limits = async (): Promise<void> => {
    for (const ms of [seenMs, graceMs].sort((a, b) => a - b)) {
      await clock.sleep(Math.max(0, startedMs + ms - clock.monotonicMs()) + 1, done.signal)
      if (atRest()) return
    }
  }
  const watching = watch()
  const limited = limits()
  try {
    await Promise.race([watching, limited])
  } finally {
    done.abort()
    await Promise.allSettled([watching, limited])
  }
  signal.throwIfAborted()
  return last ?? { gates: 0, silent: [], open: 0 }
}
