/** What is measured of streams, for Prometheus: of each what `show` says in numbers. What is unknown has no sample (promise 6). */
import { Gauge, type Registry } from 'prom-client'
import type { WorkflowView } from '../api/schemas.ts'
import type { StreamView } from '../api/stream-schemas.ts'

const labelNames = ['keyspace', 'workflow', 'source', 'direction']

type Figure = { readonly name: string; readonly help: string; readonly of: (stream: StreamView) => number | null }

const seconds = (ms: number | null | undefined): number | null => (ms == null ? null : ms / 1000)

/** Names begin with `shardwright_stream_`. */
export const streamFigures: readonly Figure[] = [
  { name: 'lag_seconds', help: 'age of the last marker that came through', of: ({ lag }) => seconds(lag?.ageMs) },
  {
    name: 'lag_transactions',
    help: 'transactions committed on the source and not yet applied, also those that no mover has read',
    of: ({ lag }) => lag?.transactions ?? null,
  },
  { name: 'lag_bytes', help: "bytes of the source's binlog not yet applied", of: ({ lag }) => lag?.bytes ?? null },
  {
    name: 'catch_up_eta_seconds',
    help: 'until it is up with the source, at the rates of now; 0: it is',
    of: ({ lag }) => seconds(lag?.etaMs),
  },
  { name: 'copied_rows', help: 'rows copied', of: ({ rowsDone }) => rowsDone },
  { name: 'copy_rows_estimated', help: 'rows to be copied, by estimate', of: ({ rowsEstimated }) => rowsEstimated },
  { name: 'copied_rows_per_second', help: 'rows copied a second', of: ({ rowsPerSecond }) => rowsPerSecond },
  { name: 'copied_bytes_per_second', help: 'bytes copied a second', of: ({ bytesPerSecond }) => bytesPerSecond },
  { name: 'copy_eta_seconds', help: 'time left of the copy at the rate of now', of: ({ etaMs }) => seconds(etaMs) },
  { name: 'chunks_done', help: 'chunks of the copy that have landed', of: ({ chunksDone }) => chunksDone },
  { name: 'chunks_left', help: 'chunks left, by the rows left', of: ({ chunksLeft }) => chunksLeft },
  { name: 'applied_row_changes', help: 'row changes applied', of: ({ rowChangesApplied }) => rowChangesApplied },
  { name: 'applied_row_changes_per_second', help: 'row changes applied a second', of: ({ rowChangesPerSecond }) => rowChangesPerSecond },
  {
    name: 'applied_bytes_per_second',
    help: 'bytes of binlog applied a second, by the slowest target',
    of: ({ appliedBytesPerSecond }) => appliedBytesPerSecond,
  },
  {
    name: 'source_bytes_per_second',
    help: 'bytes a second that the source writes to its binlog',
    of: ({ sourceBytesPerSecond }) => sourceBytesPerSecond,
  },
  { name: 'rows_held_back', help: "rows that wait because another stream's stand in their place", of: ({ rowsHeldBack }) => rowsHeldBack },
  {
    name: 'position_age_seconds',
    help: 'for how long what was read since the stored position is not stored; 0: nothing is',
    of: ({ positionAgeMs }) => seconds(positionAgeMs),
  },
  { name: 'lanes', help: 'parallel writers', of: ({ lanes }) => lanes },
  { name: 'retries', help: 'transactions and runs done again', of: ({ retries }) => retries },
  {
    name: 'binlog_headroom_seconds',
    help: 'how long the binlog that a stream needs is kept at least',
    of: ({ headroom }) => seconds(headroom?.leftMs),
  },
]

/** Waits by their kind, of which there are few: what is waited for, by name, is in `reshard show`. */
export class StreamMetrics {
  readonly #figures: readonly (Figure & { readonly gauge: Gauge })[]
  readonly #state: Gauge
  readonly #stateFor: Gauge
  readonly #waiting: Gauge
  readonly #waitingFor: Gauge
  readonly #throttled: Gauge

  constructor(registry: Registry) {
    const gauge = (name: string, help: string, more: string[] = []): Gauge =>
      new Gauge({ name: `shardwright_stream_${name}`, help, labelNames: [...labelNames, ...more], registers: [registry] })
    this.#figures = streamFigures.map((figure) => ({ ...figure, gauge: gauge(figure.name, figure.help) }))
    this.#state = gauge('state', '1 for the state that it is in', ['state'])
    this.#stateFor = gauge('state_seconds', 'how long it has been in its state')
    this.#waiting = gauge('waiting', '1 for the kind of thing that it waits for; none: it does not wait', ['reason'])
    this.#waitingFor = gauge('waiting_seconds', 'how long it has been waiting for that', ['reason'])
    this.#throttled = gauge('throttled', '1 for the kind of thing that holds its copy back; none: nothing does', ['reason'])
  }

  set(workflows: readonly WorkflowView[], nowMs: number): void {
    for (const { gauge } of this.#figures) gauge.reset()
    for (const gauge of [this.#state, this.#stateFor, this.#waiting, this.#waitingFor, this.#throttled]) gauge.reset()
    for (const { keyspace, name: workflow, streams } of workflows)
      for (const stream of streams) this.#one(stream, { keyspace, workflow, source: stream.source, direction: stream.direction }, nowMs)
  }

  #one(stream: StreamView, labels: Record<string, string>, nowMs: number): void {
    const { state, stateSinceMs, waiting, throttled, reportAgeMs } = stream
    this.#state.set({ ...labels, state }, 1)
    if (reportAgeMs === null) return
    if (state !== 'unknown' && stateSinceMs !== null) this.#stateFor.set(labels, Math.max(0, nowMs - stateSinceMs) / 1000)
    this.#waiting.set({ ...labels, reason: waiting?.reason ?? 'none' }, waiting === null ? 0 : 1)
    if (waiting !== null) this.#waitingFor.set({ ...labels, reason: waiting.reason }, Math.max(0, nowMs - waiting.sinceMs) / 1000)
    if (state !== 'unknown') this.#throttled.set({ ...labels, reason: throttled?.reason ?? 'none' }, throttled === null ? 0 : 1)
    for (const { gauge, of } of this.#figures) {
      const value = of(stream)
      if (value !== null) gauge.set(labels, value)
    }
  }
}
