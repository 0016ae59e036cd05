/** What a hold did to clients, as the gates report it. */
import { keys } from '../topology/keys.ts'
import type { GateRecord } from '../topology/records.ts'
import { recordsOf } from '../topology/typed.ts'
import type { SwitchContext } from './context.ts'
import type { GateHolds } from './report.ts'

/** Waits until every gate has told of a hold at or after `version` of the record, or `limitMs`; null: none has. */
export async function gateHolds(
  { store, clock, leadership }: Pick<SwitchContext, 'store' | 'clock' | 'leadership'>,
  { keyspace, version, limitMs }: { readonly keyspace: string; readonly version: number; readonly limitMs: number },
): Promise<GateHolds | null> {
  const stop = new AbortController()
  const limit = clock.sleep(limitMs, stop.signal).then(
    () => stop.abort(),
    () => undefined,
  )
  let reports: GateRecord['lastHold'][string][] = []
  let gates = 0
  for await (const snapshot of store.watch(keys.gates, AbortSignal.any([stop.signal, leadership.signal]))) {
    const records = recordsOf<GateRecord>(snapshot).map((record) => record.value)
    gates = records.length
    reports = records.flatMap((gate) => {
      const last = gate.lastHold[keyspace]
      return last !== undefined && last.version >= version ? [last] : []
    })
    if (reports.length === gates) break
  }
  stop.abort()
  await limit
  if (reports.length === 0) return null
  const held = reports.reduce((sum, report) => sum + report.held, 0)
  return {
    gates,
    held,
    failed: reports.reduce((sum, report) => sum + report.failed, 0),
    longestMs: Math.max(...reports.map((report) => report.longestMs)),
    // Of several gates: their medians, weighted by what each held.
    medianMs: held === 0 ? 0 : reports.reduce((sum, report) => sum + report.medianMs * report.held, 0) / held,
  }
}
