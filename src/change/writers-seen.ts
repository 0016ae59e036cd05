/**
 * What is known of other writers of the old branch, as a dual-write run keeps it, and what follows from it. Pure.
 *
 * Unknown is not "nobody" (promise 6): a server counts as looked at up to an instant only when everything that it had logged by then was read, and an
 * instant that lies back by more than moments lets nothing proceed.
 */
import type { Position } from '../binlog/source.ts'
import { foreignText } from './other-writers.ts'
import type { ForeignWrites } from './other-writers.ts'

export type WritersAt = {
  /** Everything from `sinceMs` up to there was looked at. */
  readonly position: Position
  readonly sinceMs: number
  /** By then, everything that the server had logged was. Unix ms by our clock. */
  readonly lookedAtMs: number
}

export type WritersSeen = {
  /** Servers that have to be looked at. */
  readonly wanted: readonly string[]
  readonly servers: { readonly [serverId: string]: WritersAt }
  /** The widest bucket: what was written into an open one is compared only when it has closed. */
  readonly settleMs: number
  /** By server, all that was found; `lastMs`: when the newest of it was. */
  readonly found: readonly (ForeignWrites & { readonly lastMs: number })[]
  /** The last failure to look. */
  readonly trouble: { readonly atMs: number; readonly because: string } | null
}

/** Found on one server since the last note, and how far it has looked. */
export type Note = { readonly server: string; readonly at: WritersAt; readonly found: ForeignWrites | null; readonly gap: string | null }

export const nothingSeen: WritersSeen = { wanted: [], servers: {}, settleMs: 0, found: [], trouble: null }

const kept = 20
/** A connection may be lost and come back. */
const staleMs = 30_000

export function noted(seen: WritersSeen, { server, at, found }: Note, nowMs: number): WritersSeen {
  const had = seen.found.find((one) => one.server === server)
  const others = seen.found.filter((one) => one.server !== server)
  const now = found === null ? had : { ...(had === undefined ? found : together(had, found)), lastMs: nowMs }
  return { ...seen, servers: { ...seen.servers, [server]: at }, found: now === undefined ? others : [...others, now] }
}

function together(a: ForeignWrites, b: ForeignWrites): ForeignWrites {
  const both = (x: readonly string[], y: readonly string[]): string[] => [...new Set([...y, ...x])].slice(0, kept)
  return {
    server: a.server,
    tables: both(a.tables, b.tables),
    transactions: a.transactions + b.transactions,
    first: a.first,
    alsoWrote: both(a.alsoWrote, b.alsoWrote),
    seen: both(a.seen, b.seen),
  }
}

/** Servers that were not looked at up to now. */
export function notLookedAt({ wanted, servers }: WritersSeen, nowMs: number): string[] {
  return wanted.filter((id) => nowMs - (servers[id]?.lookedAtMs ?? -Infinity) > staleMs)
}

/**
 * Why reads may not move on account of other writers; null: they may. What was found, and what could not be seen, counts until the branches were
 * compared after it, with the bucket closed that it may have gone into.
 *
 * @param shownMs when the oldest of the comparisons that count began; null: none was shown
 */
export function writersInTheWay(seen: WritersSeen | undefined, shownMs: number | null, nowMs: number): string | null {
  if (seen === undefined || seen.wanted.length === 0) return 'whether anybody besides the fleet writes the old branch is not looked at yet'
  const stale = notLookedAt(seen, nowMs)
  if (stale.length > 0)
    return `whether anybody besides the fleet writes ${stale.join(', ')} can not be seen${seen.trouble === null ? '' : `: ${seen.trouble.because}`}`
  const compare = 'validate again (L1, L2)'
  const unseen = seen.wanted.find((id) => shownMs !== null && (seen.servers[id]?.sinceMs ?? Infinity) > shownMs)
  if (unseen !== undefined) return `who wrote ${unseen} was not seen all the while since it was compared: ${compare}`
  const since = seen.found.filter(({ lastMs }) => shownMs === null || lastMs + seen.settleMs > shownMs)
  if (since.length === 0) return null
  const closesInMs = Math.max(...since.map(({ lastMs }) => lastMs)) + seen.settleMs - nowMs
  const when = closesInMs > 0 ? `, in ${Math.ceil(closesInMs / 1000)} s, when what it may have gone into is closed,` : ''
  return `others wrote the old branch after it was compared (${since.map(foreignText).join('; ')}): stop that writer, then${when} ${compare}`
}
