/** The parts of a stream's report that are measured (DESIGN promise 6: null until they are). */
import type { StreamTargetReport } from '../topology/target-report.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import type { LagMeter } from './lag.ts'
import type { Stamp } from './pending.ts'
import type { RateMeter } from './progress.ts'
import type { TargetApplier } from './target-applier.ts'

export const noCopy: StreamReport['copy'] = {
  rowsDone: 0,
  rowsEstimated: 0,
  bytesDone: 0,
  bytesEstimated: 0,
  rowsPerSecond: null,
  etaMs: null,
  sourceRowsRead: 0,
  tables: [],
}

/** Of a stream of which only the last report is known: what was done is done, its pace was of then. */
export function asItStood(copy: StreamReport['copy'] | null): StreamReport['copy'] {
  if (copy === null) return noCopy
  return { ...copy, rowsPerSecond: null, bytesPerSecond: null, etaMs: copy.etaMs === 0 ? 0 : null }
}

/** Whether nothing of the stream is at work on its targets any more: what made it fail says nothing of an ALTER, or of keys that are built. */
export function hasLeftTargets({ state, ended }: Pick<StreamReport, 'state' | 'ended'>): boolean {
  return state === 'stopped' || (state === 'failed' && ended === true)
}

/** A report of a stream that says nothing but its state. */
export function bareReport(
  { uid, generation, targets }: StreamRecord,
  { mover, atMs, state }: Pick<StreamReport, 'mover' | 'atMs' | 'state'>,
): StreamReport {
  return {
    v: 1,
    streamUid: uid,
    mover,
    generation,
    atMs,
    state,
    waiting: null,
    error: null,
    copy: noCopy,
    applied: { transactions: 0, rowChanges: 0, rowChangesPerSecond: null },
    targets: targets.map(({ shard }) => ({ shard, position: null, controlMarker: 0, lag: null })),
    headroom: null,
    resumed: null,
  }
}

/** What every target has applied. */
export function appliedView(appliers: readonly TargetApplier[], rate: RateMeter, lag: LagMeter | null): StreamReport['applied'] {
  const least = appliers.reduce<Stamp | null>((low, { applied }) => (low === null || applied.ordinal < low.ordinal ? applied : low), null)
  if (least === null) return { transactions: 0, rowChanges: 0, rowChangesPerSecond: null }
  const bytes = lag?.rates() ?? { applied: null, written: null }
  return {
    transactions: least.ordinal,
    rowChanges: least.rowChanges,
    rowChangesPerSecond: rate.rate(least.rowChanges),
    bytesPerSecond: bytes.applied,
    sourceBytesPerSecond: bytes.written,
  }
}

export function targetView(shard: string, applier: TargetApplier | null, lag: StreamTargetReport['lag']): StreamTargetReport {
  if (applier === null) return { shard, position: null, controlMarker: 0, lag: null }
  const { applied, controlMarker, rowsHeldBack, positionAgeMs } = applier
  return { shard, position: applied.position, controlMarker, lag, rowsHeldBack, positionAgeMs }
}

/**
 * How old what the furthest target still needs of the binlog is, at most; null until a group has come. By the source's own time of the last group applied there, or of the first that this run has to
 * apply: known from the first group on, also hours behind, where no marker of this run will come for long. The age of the last marker of this run, by our clock, bounds it where there is one.
 */
export function behindMs(
  appliers: readonly { readonly applied: Pick<Stamp, 'markerAtMs' | 'committedAtMs'> }[],
  beganAtMs: number | null,
  { nowMs, sourceNowMs }: { nowMs: number; sourceNowMs: number },
): number | null {
  let oldest: number | null = null
  for (const { applied } of appliers) {
    const committedAtMs = applied.committedAtMs ?? beganAtMs
    if (committedAtMs === null && applied.markerAtMs === null) return null
    const byGroup = committedAtMs === null ? Infinity : sourceNowMs - committedAtMs
    const byMarker = applied.markerAtMs === null ? Infinity : nowMs - applied.markerAtMs
    oldest = Math.max(oldest ?? 0, Math.min(byGroup, byMarker))
  }
  return oldest
}
