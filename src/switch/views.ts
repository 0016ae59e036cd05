/**
 * Views follow the side that serves (PROTOCOLS 1.11). `create` makes them on the targets; one that is made or altered afterwards is nothing that a stream carries, so the
 * switch makes it, before clients are held, and `check` lists it. On a side that does not serve nobody but we makes views: what it has otherwise is replaced.
 */
import type { Connection } from '../mysql/connection.ts'
import { putViews, viewNames, viewsApart, type Sides, type ViewApart } from '../move/views.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteQualified } from '../sql/quote.ts'
import type { ShardRef } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import type { ClaimPool } from './claim.ts'
import type { SwitchLimits } from './context.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'
import { connectAs, readServerAccess } from './server-access.ts'

type Apart = { readonly from: ShardRef; readonly to: ShardRef; readonly views: readonly ViewApart[] }

/** For `check` and a dry run. What cannot be reached is told elsewhere. */
export async function viewNotes(store: Store, plan: SwitchPlan): Promise<string[]> {
  const lines: string[] = []
  await eachPair(store, plan, async ({ from, to, views }) => {
    const said = views.flatMap(({ view, stands }) =>
      stands === 'unknown' ? [] : [`${view}${stands === 'missing' ? ' (missing)' : ' (another)'}`],
    )
    if (said.length > 0)
      lines.push(`views of ${from.shard} are not on ${to.shard} as they are there; the switch makes them: ${said.join(', ')}`)
  }).catch(() => undefined)
  return lines
}

/**
 * What is made is told. So is what cannot be made where queries of it fail already on the side that serves, and on a way back, which nothing of the kind may delay (promise 5).
 * @param except views that may stay as they are
 * @throws viewNotMade
 */
export async function makeViews(
  store: Store,
  pool: Pick<ClaimPool, 'run'>,
  plan: SwitchPlan,
  { replicas }: Pick<SwitchLimits, 'replicas'>,
  except: readonly string[],
): Promise<string[]> {
  const lines: string[] = []
  await eachPair(store, plan, async ({ from, to, views }, sides) => {
    const wanted = views.filter(({ view }) => !except.includes(view))
    if (wanted.length === 0) return
    // Sessions of their own, since how they read SQL is changed; no stale controller comes here.
    const failed = await pool.run(to.serverId, () =>
      putViews(
        sides,
        wanted.map(({ view }) => view),
      ),
    )
    for (const { view, reason } of failed) {
      const fails = await whyItFails(sides.source, view)
      if (fails === null && replicas !== 'told') throw switchErrors.viewNotMade({ view, shard: to.shard, source: from.shard, reason })
      lines.push(
        `the view ${view} of ${from.shard} is not made on ${to.shard}: ${fails === null ? reason : `queries of it fail there too: ${fails}`}`,
      )
    }
    const said = wanted
      .filter(({ view, stands }) => stands !== 'unknown' && !failed.some((one) => one.view === view))
      .map(({ view }) => view)
    if (said.length > 0) lines.push(`views made on ${to.shard}: ${said.join(', ')}`)
  })
  return lines
}

/** A query of it, on its own server; null: it is answered, or would be if nobody stood in its way. */
async function whyItFails({ conn, schema }: Sides['source'], view: string): Promise<string | null> {
  try {
    await conn.query(`SELECT 1 FROM ${quoteQualified(schema, view)} LIMIT 0`)
    return null
  } catch (error) {
    if (!isServerError(error)) throw error
    return error.kind === 'other' ? error.serverMessage : null
  }
}

/** A transaction that has read a view, or a backup, holds up whoever alters it for as long as it lives. */
const session = { sessionSql: ['SET SESSION lock_wait_timeout = 3'] }

/** Each target with the sources' views: where several sources have one of a name, the first one's. */
async function eachPair(store: Store, plan: SwitchPlan, work: (apart: Apart, sides: Sides) => Promise<void>): Promise<void> {
  await using open = new AsyncDisposableStack()
  const seen = new Set<string>()
  const sources: { readonly from: ShardRef; readonly conn: Connection; readonly own: readonly string[] }[] = []
  for (const from of plan.from.shards) {
    const conn = open.use(await connectAs(await readServerAccess(store, from.serverId), 'admin', session))
    const own = (await viewNames(conn, from.schema)).filter((name) => !seen.has(name))
    for (const name of own) seen.add(name)
    if (own.length > 0) sources.push({ from, conn, own })
  }
  // Most have none, and then no target is to be asked.
  if (sources.length === 0) return
  for (const to of plan.to.shards) {
    await using target = await connectAs(await readServerAccess(store, to.serverId), 'admin', session)
    for (const { from, conn, own } of sources) {
      const sides = { source: { conn, schema: from.schema }, target: { conn: target, schema: to.schema } }
      const views = await viewsApart(sides, own)
      if (views.length > 0) await work({ from, to, views }, sides)
    }
  }
}
