/** Restarts of gates: asked for here, done by whoever started the gate (main/gate-restarts.ts). They meet in the topology. */
import type { GateRestartView } from '../api/gate-schemas.ts'
import { apiErrors } from '../api/errors.ts'
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { GateRecord, GateRestart } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, put, readRecord, recordsOf, unchanged, updateRecord } from '../topology/typed.ts'
import { controlErrors } from './errors.ts'

const takenWithinMs = 5_000
/** Beside the time of its transactions: one that takes longer is no reason not to begin another. */
const lostAfterMs = 30_000
/** What came of one can be read for so long. */
const keptMs = 24 * 3600 * 1000

export async function listGateRestarts(store: Store): Promise<GateRestartView[]> {
  return (await listRecords<GateRestart>(store, keys.gateRestarts)).map(({ value }) => viewOf(value))
}

/** Resolves when it was taken on. One that was asked for before is that one, unless it failed. Errors: SW-API-003, SW-CONTROL-007, SW-CONTROL-008. */
export async function restartGate(
  store: Store,
  clock: Clock,
  gate: string,
  actor: string,
  withinMs = takenWithinMs,
): Promise<GateRestartView> {
  const nowMs = clock.nowMs()
  for (const old of await listRecords<GateRestart>(store, keys.gateRestarts))
    if (isOver(old.value) && nowMs - old.value.sinceMs > keptMs) await store.commit([unchanged(old)], [{ key: old.key, value: undefined }])
  const key = keys.gateRestart(gate)
  const known = await readRecord<GateRestart>(store, key)
  if (known !== null && known.value.state !== 'failed') return taken(store, clock, gate, withinMs)
  if ((await readRecord<GateRecord>(store, keys.gate(gate))) === null)
    throw apiErrors.notFound({ kind: 'gate', name: gate, list: 'shardwright gate status' })
  const wanted: GateRestart = { v: 1, gate, actor, askedAtMs: nowMs, state: 'wanted', sinceMs: nowMs, next: null, drainMs: null, drained: null, problem: null } // prettier-ignore
  await store.commit([{ key, version: known?.version ?? 0 }], [put<GateRestart>(key, wanted)])
  return taken(store, clock, gate, withinMs)
}

async function taken(store: Store, clock: Clock, gate: string, withinMs: number): Promise<GateRestartView> {
  const key = keys.gateRestart(gate)
  const signal = AbortSignal.timeout(withinMs)
  for await (const snapshot of store.watch(key, signal)) {
    const record = recordsOf<GateRestart>(snapshot).find((one) => one.key === key)
    if (record !== undefined && record.value.state !== 'wanted') return viewOf(record.value)
  }
  // Nobody may take it on any more, after whoever asked was told so.
  const problem = 'nobody that started it answered'
  const withdrawn = await updateRecord<GateRestart>(store, key, (now) =>
    now?.state === 'wanted' ? { ...now, state: 'failed', problem } : null,
  )
  if (withdrawn.value !== null && withdrawn.value.problem !== problem) return viewOf(withdrawn.value)
  const other = (await listRecords<GateRestart>(store, keys.gateRestarts)).find(
    ({ value }) => !isOver(value) && value.state !== 'wanted' && clock.nowMs() - value.sinceMs < (value.drainMs ?? 0) + lostAfterMs,
  )
  if (other !== undefined) throw controlErrors.gateRestartBusy({ gate, other: other.value.gate })
  throw controlErrors.gateNotOurs({ gate, seconds: withinMs / 1000 })
}

function isOver({ state }: GateRestart): boolean {
  return state === 'done' || state === 'failed'
}

function viewOf({ v: _, ...restart }: GateRestart): GateRestartView {
  return restart
}
