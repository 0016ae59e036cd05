/**
 * Who writes the old branch besides its fleets, for as long as a dual-write run needs that nobody does: the binlogs of its servers are read from where
 * `create` began to look until the old fleet stops, so that a job that runs once a night is found as well.
 *
 * Nothing is passed over: a position is kept only with what was found up to it, in one record; a leader that takes over reads on from there, and
 * reads again what the last one had found since. Where a server has thrown away what follows a position, that is said, and the look begins anew.
 *
 * What was found does not step reads back, which comparing decides. It makes what was shown before it count for nothing: rungs are
 * shown again, after the writer has stopped.
 */
import { currentPosition } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import { openTail } from '../binlog/tail.ts'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { addressesOf, connectPlain } from '../move/access.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { ForeignGroups } from './foreign-groups.ts'
import { foreignText, foreignWrites, watchSessions } from './other-writers.ts'
import type { ForeignWrites } from './other-writers.ts'

export type WritersAt = {
  /** Everything up to there was looked at, from `sinceMs` on. */
  readonly position: Position
  readonly sinceMs: number
}

export type WritersSeen = {
  readonly servers: { readonly [serverId: string]: WritersAt }
  readonly atMs: number
  /** By server, all that was found since `create`; `lastMs`: when the newest of it was. */
  readonly found: readonly (ForeignWrites & { readonly lastMs: number })[]
  /** Null: it looks. Else since when it can't, and why. */
  readonly trouble: { readonly sinceMs: number; readonly because: string } | null
}

export type WatchWorld = {
  readonly store: Store
  readonly clock: Clock
  readonly shards: readonly ShardRecord[]
  /** Tables that others may write: copied ones. */
  readonly free: readonly string[]
  readonly signal: AbortSignal
}

/** Found on one server since the last note, and how far it has looked. */
export type Note = { readonly server: string; readonly at: WritersAt; readonly found: ForeignWrites | null; readonly gap: string | null }

/** Pure: what is known after a note. */
export function noted(seen: WritersSeen | undefined, { server, at, found }: Note, nowMs: number): WritersSeen {
  const before = seen?.found ?? []
  const had = before.find((one) => one.server === server)
  const others = before.filter((one) => one.server !== server)
  const now = found === null ? had : { ...(had === undefined ? found : together(had, found)), lastMs: nowMs }
  return {
    servers: { ...seen?.servers, [server]: at },
    atMs: nowMs,
    found: now === undefined ? others : [...others, now],
    trouble: null,
  }
}

function together(a: ForeignWrites, b: ForeignWrites): ForeignWrites {
  const both = (x: readonly string[], y: readonly string[]): string[] => [...new Set([...x, ...y])].slice(0, 20)
  return {
    server: a.server,
    tables: both(a.tables, b.tables),
    transactions: a.transactions + b.transactions,
    first: a.first,
    alsoWrote: both(a.alsoWrote, b.alsoWrote),
    seen: both(a.seen, b.seen),
  }
}

/** Unknown for less is a connection that comes back. */
const troubleMs = 30_000

/**
 * Pure: why reads may not move yet on account of other writers; null: they may. What was found counts until every rung that compares was shown after it.
 *
 * @param shownMs when the oldest of the comparisons began; null: the run asks for none, and a minute without others has to do
 */
export function writersInTheWay(seen: WritersSeen | undefined, shownMs: number | null, nowMs: number): string | null {
  if (seen === undefined) return 'whether anybody besides the fleet writes the old branch is not looked at yet'
  if (seen.trouble !== null && nowMs - seen.trouble.sinceMs > troubleMs)
    return `whether anybody besides the fleet writes the old branch can not be seen: ${seen.trouble.because}`
  const since = seen.found.filter((one) => one.lastMs >= (shownMs ?? nowMs - 60_000))
  if (since.length === 0) return null
  return `others wrote the old branch after it was compared (${since.map(foreignText).join('; ')}): stop that writer, then validate again`
}

const noteEveryMs = 10_000
const foundEveryMs = 1_000
const sessionsForMs = 5_000

/** Where all servers of these shards stand. */
export async function positionsNow(world: Pick<WatchWorld, 'store' | 'clock' | 'shards'>, signal: AbortSignal): Promise<WritersSeen> {
  const servers = await Promise.all(
    serversOf(world.shards).map(
      async (id) => [id, { position: await nowAt(world.store, id, signal), sinceMs: world.clock.nowMs() }] as const,
    ),
  )
  return { servers: Object.fromEntries(servers), atMs: world.clock.nowMs(), found: [], trouble: null }
}

/** Until it is told to stop; rejects where a server can't be looked at. */
export async function watchWriters(world: WatchWorld, from: WritersSeen['servers'], note: (note: Note) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([world.signal, stop.signal])
  try {
    await Promise.all(serversOf(world.shards).map((id) => watchServer({ ...world, signal }, id, from[id] ?? null, note)))
  } finally {
    stop.abort(new Error('one of its servers can not be looked at'))
  }
}

async function watchServer(world: WatchWorld, server: string, from: WritersAt | null, note: (note: Note) => Promise<void>): Promise<void> {
  const { store, clock, signal } = world
  const schemas = world.shards.filter((shard) => shard.serverId === server).map((shard) => shard.schema)
  const address = await addressesOf(store)(server)
  const fresh = (): ForeignGroups => new ForeignGroups(schemas, world.free)
  let groups = fresh()
  const begin = async (): Promise<WritersAt> => ({ position: await nowAt(store, server, signal), sinceMs: clock.nowMs() })
  let at = from ?? (await begin())
  let toldAtMs: number | null = null
  const seen = new Set<string>()
  const tell = async (gap: string | null = null): Promise<void> => {
    await note({ server, at, found: groups.transactions === 0 ? null : foreignWrites(server, groups, seen), gap })
    groups = fresh()
    toldAtMs = clock.monotonicMs()
  }
  let looking: Promise<void> | null = null
  for (;;) {
    try {
      await using tail = await openTail({
        connect: address.connect,
        position: at.position,
        table: ForeignGroups.table,
        clock,
        signal,
        heartbeatMs: 1000,
      })
      let group: Position | null = null
      for (;;) {
        signal.throwIfAborted()
        const event = tail.tryNext() ?? (await tail.next())
        // Its next statement is caught in the act.
        if (groups.take(event)) looking ??= watchSessions(world, server, seen, until(sessionsForMs, signal)).finally(() => (looking = null))
        if ('position' in event) group = event.position
        else if (event.kind !== 'heartbeat') continue
        // The first says that it is looked at, though nothing be written.
        const due = toldAtMs === null || clock.monotonicMs() - toldAtMs >= (groups.transactions > 0 ? foundEveryMs : noteEveryMs)
        if (!due || (group === null && toldAtMs !== null)) continue
        if (group !== null) at = { ...at, position: group }
        await tell()
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!isSwError(error) || error.code !== 'SW-BINLOG-004') throw error
      at = await begin()
      await tell(error.message)
    }
  }
}

function serversOf(shards: readonly ShardRecord[]): string[] {
  return [...new Set(shards.map((shard) => shard.serverId))]
}

function until(ms: number, signal: AbortSignal): AbortSignal {
  return AbortSignal.any([AbortSignal.timeout(ms), signal])
}

async function nowAt(store: Store, server: string, signal: AbortSignal): Promise<Position> {
  const connection = await connectPlain(await addressesOf(store)(server), signal)
  try {
    return await currentPosition(connection)
  } finally {
    connection.destroy()
  }
}
