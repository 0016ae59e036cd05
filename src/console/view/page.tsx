import { Keyspaces } from './keyspaces.tsx'
import { PageHeader, FeedNotice } from './page-header.tsx'
import { Processes } from './processes.tsx'
import { TokenForm } from './token-form.tsx'
import { Traffic } from './traffic.tsx'
import { useFeed } from './use-feed.ts'
import { Workflows } from './workflows.tsx'

export function Page() {
  const { status, history, feed, setToken } = useFeed()
  if (feed.kind === 'refused') return <TokenForm onToken={setToken} />
  return (
    <>
      <PageHeader status={status} feed={feed} />
      <FeedNotice feed={feed} />
      {status !== null && (
        // Old news is not passed off as new: it fades until there is news again.
        <main class={feed.kind === 'live' ? '' : 'stale'}>
          <Traffic history={history} status={status} />
          <div class="columns">
            <Keyspaces status={status} />
            <div>
              <Workflows status={status} />
              <Processes status={status} />
            </div>
          </div>
        </main>
      )}
    </>
  )
}
