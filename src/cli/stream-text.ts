/** What is told of a stream, for people: its state and since when, what it waits for and what ends that, rates, lag. What is not known says so, and is never zero. */
import type { StreamView } from '../api/stream-schemas.ts'
import { bytes, count, duration, percent } from './text.ts'

/** One line: for what is printed again and again. */
export function streamLine(stream: StreamView, nowMs: number): string {
  const { error, waiting } = stream
  if (error !== null) return `${head(stream, nowMs)}: ${error.code} ${error.what}`
  const held = waiting === null ? '' : `, waits for ${waiting.what}`
  return `${head(stream, nowMs)}, ${stream.state === 'copying' ? copied(stream) : lagText(stream)}${held}`
}

/** All of it: for `status` and `show`. */
export function streamLines(stream: StreamView, nowMs: number): string[] {
  const { error, state, waiting, throttled } = stream
  const rests = state === 'stopped' || state === 'failed'
  return [
    `${head(stream, nowMs)}${state === 'copying' || state === 'unknown' ? `, ${copied(stream)}` : ''}`,
    ...(error === null ? [] : [`  ${error.code} ${error.what}`, `  ${error.fix}`]),
    ...(waiting === null || rests ? [] : [`  waits for ${waitText(waiting, nowMs)}`]),
    ...(throttled === null || rests || throttled.what === waiting?.what ? [] : [`  copy held back: ${waitText(throttled, nowMs)}`]),
    ...(rests ? [] : [`  ${lagText(stream)}`, ...heldText(stream), `  ${figures(stream)}`]),
  ]
}

function waitText({ what, sinceMs, ends }: NonNullable<StreamView['waiting']>, nowMs: number): string {
  return `${what}; for ${duration(Math.max(0, nowMs - sinceMs))}; ends: ${ends}`
}

function head({ direction, source, targets, state, stateSinceMs, reportAgeMs, wanted }: StreamView, nowMs: number): string {
  const who = `${direction === 'reverse' ? 'reverse ' : ''}${source} → ${targets.join(',')}`
  const since = state === 'unknown' || stateSinceMs === null ? '' : ` for ${duration(Math.max(0, nowMs - stateSinceMs))}`
  const heard = state !== 'unknown' ? '' : reportAgeMs === null ? ' (no mover has reported)' : ` (last report ${duration(reportAgeMs)} ago)`
  const asked = wanted === 'stopped' && state !== 'stopped' ? ', to be stopped' : ''
  return `${who}: ${state}${since}${heard}${asked}`
}

function copied(stream: StreamView): string {
  const { rowsDone, rowsEstimated, rowsPerSecond, etaMs, tables } = stream
  const share = percent(
    rowsDone,
    rowsEstimated,
    tables.every(({ state }) => state === 'done'),
  )
  return `copied ${count(rowsDone)} of ~${count(rowsEstimated)} rows (${share}), ${known(rowsPerSecond)} rows/s, ETA ${duration(etaMs)}`
}

/** Each part by itself. */
function lagText({ lag }: StreamView): string {
  if (lag === null) return 'lag unknown'
  const catchUp = lag.etaMs === 0 ? '' : `, caught up in ${duration(lag.etaMs)}`
  const { transactions } = lag
  return `lag ${duration(lag.ageMs)}, ${known(transactions)} ${transactions === 1 ? 'transaction' : 'transactions'}, ${size(lag.bytes)}${catchUp}`
}

/** Only where it is so: it costs a crash, and binlog. */
function heldText({ rowsHeldBack, positionAgeMs }: StreamView): string[] {
  if (rowsHeldBack === null || rowsHeldBack === 0) return []
  return [
    `  ${count(rowsHeldBack)} ${rowsHeldBack === 1 ? 'row' : 'rows'} held back by rows of other streams; position stored ${positionAgeMs === null ? 'at a time unknown' : `${duration(positionAgeMs)} ago`}: from there on a crash begins again, and the binlog is needed`,
  ]
}

function figures(stream: StreamView): string {
  const copy =
    stream.state === 'running'
      ? []
      : [`copies ${size(stream.bytesPerSecond)}/s, chunks ${known(stream.chunksDone)} done, ${known(stream.chunksLeft)} left`]
  return [
    ...copy,
    `applies ${known(stream.rowChangesPerSecond)} row changes/s, ${size(stream.appliedBytesPerSecond)}/s of ${size(stream.sourceBytesPerSecond)}/s written, ${count(stream.rowChangesApplied)} in all`,
    `lanes ${known(stream.lanes)}, retries ${known(stream.retries)}`,
  ].join('; ')
}

function known(n: number | null): string {
  return n === null ? 'unknown' : count(Math.round(n))
}

function size(n: number | null): string {
  return n === null ? 'unknown bytes' : bytes(n)
}
