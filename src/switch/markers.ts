/**
 * Draining: a control marker is written on each source, and a side has drained when every stream of those sources reports for every
 * target that the marker was applied (PROTOCOLS 3, steps 5 and 8). The topology is watched, nothing is polled.
 */
import { isSwError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import { keys } from '../topology/keys.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { Snapshot, Store } from '../topology/store.ts'
import { parseRecord } from '../topology/typed.ts'
import type { ClaimPool } from './claim.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { switchErrors } from './errors.ts'
import { settled } from './settled.ts'

/** Marker number by server. */
export type Markers = ReadonlyMap<string, number>

export async function placeMarkers(pool: ClaimPool, serverIds: readonly string[], signal?: AbortSignal): Promise<Markers> {
  return new Map(
    await settled(
      serverIds.map(async (id) => [id, await pool.run(id, ({ connection }) => bumpControlMarker(connection), signal)] as const),
    ),
  )
}

export type DrainOptions = {
  store: Store
  workflowUid: string
  streams: readonly StreamRecord[]
  markers: Markers
  timeoutMs: number
  clock: Clock
  signal: AbortSignal
  /** Which error says that time is up. */
  late: 'notDrained' | 'reverseNotProven'
}

/** SW-SWITCH-008 (or 032) when time is up, 009 when a stream failed or stopped. */
export async function drained(options: DrainOptions): Promise<void> {
  const { store, workflowUid, streams, markers, timeoutMs, clock, signal, late } = options
  const timer = new AbortController()
  const timeUp = clock.sleep(timeoutMs, timer.signal).then(
    () => timer.abort(),
    () => undefined,
  )
  let behind = ['no report yet']
  try {
    for await (const snapshot of store.watch(keys.reportsOf(workflowUid), AbortSignal.any([signal, timer.signal]))) {
      behind = streamsBehind(snapshot, workflowUid, streams, markers)
      if (behind.length === 0) return
    }
  } catch (error) {
    if (!isSwError(error) && timer.signal.aborted) throw lateError()
    throw error
  } finally {
    timer.abort()
    await timeUp
  }
  signal.throwIfAborted()
  throw lateError()

  function lateError(): Error {
    return switchErrors[late]({ streams: behind.join(', '), waitedMs: timeoutMs })
  }
}

function streamsBehind(snapshot: Snapshot, workflowUid: string, streams: readonly StreamRecord[], markers: Markers): string[] {
  const behind: string[] = []
  for (const stream of streams) {
    const marker = markers.get(stream.source.serverId)
    if (marker === undefined) continue
    const entry = snapshot.entries.get(keys.report(workflowUid, stream.uid))
    const report = entry === undefined ? null : parseRecord<StreamReport>(entry).value
    if (report !== null && (report.state === 'failed' || report.state === 'stopped')) {
      throw switchErrors.streamFailed({
        source: stream.source.shard,
        state: report.state,
        reason: report.error?.what ?? 'no error was reported',
      })
    }
    for (const target of stream.targets) {
      const applied = report?.targets.find((t) => t.shard === target.shard)?.controlMarker ?? 0
      if (applied >= marker) continue
      const waits = report?.waiting == null ? '' : `, waits for ${report.waiting.what}`
      behind.push(`${stream.source.shard} → ${target.shard} (marker ${applied} of ${marker}${waits})`)
    }
  }
  return behind
}
