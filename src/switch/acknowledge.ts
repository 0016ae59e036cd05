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
  const { store, keyspace, version, clock, signal } = options
  const startedMs = clock.monotonicMs()
  let last: Acknowledgement = { gates: 0, silent: [], open: 0 }
  const done = new AbortController()
  // Wakes the loop when either limit passes without any change in the topology.
  const over = new Promise<void>((resolve) => {
    const wait = async (): Promise<void> => {
      await clock.sleep(Math.min(options.seenMs, options.graceMs), done.signal)
      if (last.silent.length === 0 && options.graceMs > options.seenMs) await clock.sleep(options.graceMs - options.seenMs, done.signal)
      else if (last.silent.length > 0 && options.seenMs > options.graceMs) await clock.sleep(options.seenMs - options.graceMs, done.signal)
    }
    wait().then(resolve, () => resolve())
  })
  const stop = AbortSignal.any([signal, done.signal])
  const watching = (async () => {
    for await (const snapshot of store.watch(keys.gates, stop)) {
      const gates = recordsOf<GateRecord>(snapshot).map((record) => record.value)
      const silent = gates.filter((gate) => (gate.seen[keyspace] ?? 0) < version)
      const open = gates.reduce((sum, gate) => sum + (gate.open[keyspace] ?? 0), 0)
      last = { gates: gates.length, silent: silent.map((gate) => gate.id), open }
      const afterMs = clock.monotonicMs() - startedMs
      const seen = silent.length === 0 || afterMs >= options.seenMs
      if (seen && (open === 0 || afterMs >= options.graceMs)) return
    }
  })()
  try {
    await Promise.race([watching, over])
  } finally {
    done.abort()
    await watching.catch(() => undefined)
  }
  signal.throwIfAborted()
  return last
}
