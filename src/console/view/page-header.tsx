import { useEffect, useState } from 'preact/hooks'
import type { StatusView } from '../../api/schemas.ts'
import type { FeedState } from '../feed.ts'
import { duration } from '../format.ts'

export function PageHeader({ status, feed }: { status: StatusView | null; feed: FeedState }) {
  return (
    <header class="page-header">
      <h1>Shardwright</h1>
      <span class={`live live-${feed.kind}`} role="status">
        {feed.kind === 'live' ? 'live' : feed.kind === 'lost' ? 'no news' : 'connecting'}
      </span>
      {status !== null && (
        <dl class="facts">
          <div>
            <dt>version</dt>
            <dd>{status.version}</dd>
          </div>
          <div>
            <dt>leader</dt>
            <dd title="The control process that runs the workflows, and its token">
              {status.leader === null ? 'none: workflows wait for one' : `${status.leader.holder} · ${status.leader.token}`}
            </dd>
          </div>
          <div class="wide-only">
            <dt>installation</dt>
            <dd>{status.installation}</dd>
          </div>
        </dl>
      )}
    </header>
  )
}

export function FeedNotice({ feed }: { feed: FeedState }) {
  const nowMs = useNow(feed.kind === 'lost')
  if (feed.kind === 'connecting') return <p class="notice">Waiting for the first answer from control.</p>
  if (feed.kind !== 'lost') return null
  return (
    <p class="notice notice-bad" role="alert">
      No news from control for {duration(Math.max(0, nowMs - feed.sinceMs))} ({feed.why}). What stands below is as of then and unknown now.
      The page asks again every second; <code>shardwright up</code> starts control again when it ended.
    </p>
  )
}

function useNow(ticking: boolean): number {
  const [nowMs, setNowMs] = useState(() => Date.now())
  useEffect(() => {
    if (!ticking) return
    const timer = window.setInterval(() => setNowMs(Date.now()), 1000)
    return () => window.clearInterval(timer)
  }, [ticking])
  return nowMs
}
