import type { StreamView } from '../../api/stream-schemas.ts'
import { bytes, count, duration, perSecond, percent, plural, unknown } from '../format.ts'
import { copyDone, copyShare } from '../ring-model.ts'
import { ErrorNote, WaitingNote } from './notes.tsx'
import { ScrollBox } from './scroll-box.tsx'

export function Streams({ streams, nowMs }: { streams: readonly StreamView[]; nowMs: number }) {
  const sorted = streams.toSorted((a, b) =>
    a.direction === b.direction ? (a.source < b.source ? -1 : 1) : a.direction === 'forward' ? -1 : 1,
  )
  return (
    <ScrollBox label="streams">
      <table class="streams">
        <caption>Streams</caption>
        <thead>
          <tr>
            <th scope="col">from → to</th>
            <th scope="col">state</th>
            <th scope="col">copied</th>
            <th scope="col">lag</th>
            <th scope="col">applied</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((stream) => (
            <Stream key={stream.uid} stream={stream} nowMs={nowMs} />
          ))}
        </tbody>
      </table>
    </ScrollBox>
  )
}

function Stream({ stream, nowMs }: { stream: StreamView; nowMs: number }) {
  // Resumed with nothing done twice is what always happens, and needs no line.
  const resumed = stream.resumed !== null && stream.resumed.rowsRedone + stream.resumed.transactionsRedone > 0 ? stream.resumed : null
  const throttled = stream.throttled !== null && stream.throttled.what !== stream.waiting?.what ? stream.throttled : null
  const held = stream.rowsHeldBack ?? 0
  return (
    <>
      <tr data-stream={stream.uid}>
        <th scope="row">
          <code>{stream.source}</code> →{' '}
          <code title={stream.targets.join(' ')}>
            {stream.targets.length > 4 ? plural(stream.targets.length, 'shard') : stream.targets.join(' ')}
          </code>
          {stream.direction === 'reverse' && <small class="tag">reverse</small>}
        </th>
        <td>
          <span class={`badge state-${stream.state}`}>{stream.state}</span>
          {stream.stateSinceMs !== null && stream.state !== 'unknown' && (
            <small> for {duration(Math.max(0, nowMs - stream.stateSinceMs))}</small>
          )}
          {stream.wanted === 'stopped' && stream.state !== 'stopped' && <small> to be stopped</small>}
          {(stream.reportAgeMs === null || stream.reportAgeMs >= 3000) && (
            <small> {stream.reportAgeMs === null ? 'no report yet' : `last report ${duration(stream.reportAgeMs)} ago`}</small>
          )}
        </td>
        <td data-field="copied">
          {copyText(stream)}
          <small>{chunksText(stream)}</small>
        </td>
        <td data-field="lag">{lagText(stream)}</td>
        <td data-field="applied">
          {stream.reportAgeMs === null ? unknown : plural(stream.rowChangesApplied, 'change')}
          <small>{appliedText(stream)}</small>
        </td>
      </tr>
      {(stream.error !== null || stream.waiting !== null || throttled !== null || resumed !== null || held > 0) && (
        <tr class="more">
          <td colSpan={5}>
            {stream.error !== null && <ErrorNote error={stream.error} />}
            {stream.waiting !== null && <WaitingNote waiting={stream.waiting} nowMs={nowMs} />}
            {throttled !== null && <WaitingNote waiting={throttled} nowMs={nowMs} who="its copy is held back by" />}
            {held > 0 && (
              <p class="muted" data-field="held">
                {plural(held, 'row')} held back by rows of other streams; position stored{' '}
                {stream.positionAgeMs === null ? 'at a time unknown' : `${duration(stream.positionAgeMs)} ago`}: from there on a crash
                begins again, and the binlog is needed
              </p>
            )}
            {resumed !== null && (
              <p class="muted">
                taken up again where it stood: {plural(resumed.rowsRedone, 'row')} and {plural(resumed.transactionsRedone, 'transaction')}{' '}
                done again
                {resumed.round !== null && `, of a round of ${count(resumed.round.transactions)}`}
              </p>
            )}
          </td>
        </tr>
      )}
    </>
  )
}

function copyText(stream: StreamView): string {
  if (stream.direction === 'reverse') return 'nothing to copy'
  if (copyDone(stream)) return `${count(stream.rowsDone)} rows`
  const share = copyShare([stream])
  if (share === null) return unknown
  return `${percent(share)}, ${perSecond(stream.rowsPerSecond)}, left ${duration(stream.etaMs)}`
}

/** Nothing once the copy is done: what it was is in the column's first line. */
function chunksText(stream: StreamView): string {
  if (stream.direction === 'reverse' || copyDone(stream)) return ''
  return `${bytes(stream.bytesPerSecond)}/s, chunks: ${count(stream.chunksDone)} done, ${count(stream.chunksLeft)} left`
}

function appliedText(stream: StreamView): string {
  const { rowChangesPerSecond, appliedBytesPerSecond, sourceBytesPerSecond, lanes, retries } = stream
  if (stream.reportAgeMs === null) return ''
  const rates = `${perSecond(rowChangesPerSecond)}, ${bytes(appliedBytesPerSecond)}/s of ${bytes(sourceBytesPerSecond)}/s written`
  return `${rates}; lanes: ${count(lanes)}, retries: ${count(retries)}`
}

function lagText({ lag }: StreamView): string {
  if (lag === null) return unknown
  const transactions = lag.transactions === null ? `${unknown} transactions` : plural(lag.transactions, 'transaction')
  const catchUp = lag.etaMs === 0 ? '' : `, caught up in ${duration(lag.etaMs)}`
  return `${duration(lag.ageMs)}, ${transactions}, ${bytes(lag.bytes)}${catchUp}`
}
