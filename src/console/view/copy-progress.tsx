import type { StreamView } from '../../api/stream-schemas.ts'
import type { WorkflowView } from '../../api/schemas.ts'
import { count, duration, perSecond, percent } from '../format.ts'
import { copyDone, copyShare } from '../ring-model.ts'
import { ProgressBar } from './progress-bar.tsx'

/** The copy of all streams together, until it is done. */
export function CopyProgress({ workflow }: { workflow: WorkflowView }) {
  const streams = workflow.streams.filter((stream) => stream.direction === 'forward')
  if (streams.length === 0 || workflow.serving !== 'source' || streams.every(copyDone)) return null
  const share = copyShare(streams)
  const open = streams.filter((stream) => !copyDone(stream))
  return (
    <div class="progress" data-progress="copy">
      <ProgressBar label="rows copied" share={share} />
      <p>
        <strong>{percent(share)}</strong> copied: {count(total(streams, (stream) => stream.rowsDone))} of about{' '}
        {count(total(streams, (stream) => stream.rowsEstimated))} rows
        <span>rate {perSecond(total(open, (stream) => stream.rowsPerSecond))}</span>
        <span>time left {duration(slowest(open))}</span>
      </p>
    </div>
  )
}

/** null as soon as one part is unknown: a sum of some is not the sum. */
function total(streams: readonly StreamView[], of: (stream: StreamView) => number | null): number | null {
  return streams.reduce<number | null>((sum, stream) => {
    const value = stream.reportAgeMs === null ? null : of(stream)
    return sum === null || value === null ? null : sum + value
  }, 0)
}

function slowest(streams: readonly StreamView[]): number | null {
  const etas = streams.map((stream) => stream.etaMs)
  return etas.some((eta) => eta === null) ? null : Math.max(...etas.map((eta) => eta ?? 0))
}
