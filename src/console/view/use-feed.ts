import { useEffect, useState } from 'preact/hooks'
import type { StatusView } from '../../api/schemas.ts'
import { followFeed } from '../feed.ts'
import type { FeedState } from '../feed.ts'
import { emptyHistory, withStatus } from '../history.ts'
import type { History } from '../history.ts'

const tokenKey = 'shardwright-token'

export type News = {
  readonly status: StatusView | null
  readonly history: History
  readonly feed: FeedState
  readonly setToken: (token: string) => void
}

/** The newest status and the minutes before it, for as long as the page is open. The token stays in this tab only. */
export function useFeed(): News {
  const [token, keepToken] = useState<string | null>(() => sessionStorage.getItem(tokenKey))
  const [feed, setFeed] = useState<FeedState>({ kind: 'connecting' })
  const [seen, setSeen] = useState<{ status: StatusView | null; history: History }>({ status: null, history: emptyHistory })
  useEffect(() => {
    const gone = new AbortController()
    void followFeed({
      url: '/api/v1/events',
      token,
      signal: gone.signal,
      onState: (state) => setFeed((had) => (had.kind === 'live' && state.kind === 'live' ? had : state)),
      onStatus: (status) =>
        setSeen((had) => {
          // Another installation may answer at the same address after this one ended: its minutes are its own.
          const same = had.status === null || had.status.installation === status.installation
          return { status, history: withStatus(same ? had.history : emptyHistory, status) }
        }),
    })
    return () => gone.abort()
  }, [token])
  const setToken = (given: string): void => {
    sessionStorage.setItem(tokenKey, given)
    keepToken(given)
  }
  return { ...seen, feed, setToken }
}
