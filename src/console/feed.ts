/**
 * Where the page gets its news: the whole status, twice a second, for as long as the page is open. It is read by fetch, not by
 * EventSource, because only fetch can carry a token and tell why it was refused.
 */
import type { StatusView } from '../api/schemas.ts'
import { FeedParser } from './feed-parser.ts'

export type FeedState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** No news: what the page shows is as of `sinceMs`, and unknown now. */
  | { readonly kind: 'lost'; readonly sinceMs: number; readonly why: string }
  | { readonly kind: 'refused' }

export type FeedOptions = {
  readonly url: string
  readonly token: string | null
  readonly onStatus: (status: StatusView) => void
  readonly onState: (state: FeedState) => void
  readonly signal: AbortSignal
}

/** Silence for this long counts as lost: news comes every half second. */
export const silenceMaxMs = 3000
const retryMs = 1000

/** Follows the feed, again and again, until the signal; ends by itself only when refused for want of a token. */
export async function followFeed(options: FeedOptions): Promise<void> {
  let newsAtMs = Date.now()
  options.onState({ kind: 'connecting' })
  while (!options.signal.aborted) {
    let why = 'control ended the connection'
    try {
      const refused = await readOnce(options, () => (newsAtMs = Date.now()))
      if (refused) return options.onState({ kind: 'refused' })
    } catch (error) {
      why = error instanceof Error ? error.message : String(error)
    }
    if (options.signal.aborted) return
    options.onState({ kind: 'lost', sinceMs: newsAtMs, why })
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}

async function readOnce(options: FeedOptions, onNews: () => void): Promise<boolean> {
  const silent = new AbortController()
  let timer = 0
  const stillHere = (): void => {
    window.clearTimeout(timer)
    timer = window.setTimeout(() => silent.abort(new Error(`nothing heard for ${silenceMaxMs / 1000} s`)), silenceMaxMs)
  }
  stillHere()
  try {
    const headers: Record<string, string> = options.token === null ? {} : { authorization: `Bearer ${options.token}` }
    const response = await fetch(options.url, { headers, cache: 'no-store', signal: AbortSignal.any([options.signal, silent.signal]) })
    if (response.status === 401) return true
    if (!response.ok || response.body === null) throw new Error(`control answered ${response.status}`)
    const parser = new FeedParser()
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return false
      const newest = parser.push(value).at(-1)
      if (newest === undefined) continue
      stillHere()
      onNews()
      options.onState({ kind: 'live' })
      options.onStatus(JSON.parse(newest) as StatusView)
    }
  } finally {
    window.clearTimeout(timer)
  }
}
