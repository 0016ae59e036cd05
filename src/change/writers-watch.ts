/**
 * Who writes the old branch besides its fleets, for as long as a dual-write run needs that nobody does: the binlogs of its servers are read from where
 * `create` began to look until the old fleet stops, so that a job that runs once a night is found as well.
 *
 * Nothing is passed over: a position is kept only with what was found up to it, in one record; a leader that takes over reads on from there, and
 * reads again what the last one had found since. Where a server has thrown away what follows a position, or it can't be read, that is said,
 * and the look begins anew: what was compared before counts no more (writers-seen.ts).
 *
 * What was found does not step reads back, which comparing decides.
 */
import { currentPosition } from '../binlog/position.ts'
import type { Position } from '../binlog/source.ts'
import { openTail } from '../binlog/tail.ts'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { addressesOf, connectPlain } from '../move/access.ts'
import type { Connection } from '../mysql/connection.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { ForeignGroups } from './foreign-groups.ts'
import { foreignWrites, watchSessions } from './other-writers.ts'
import { nothingSeen } from './writers-seen.ts'
import type { Note, WritersAt, WritersSeen } from './writers-seen.ts'

export type WatchWorld = {
  readonly store: Store
  readonly clock: Clock
  readonly shards: readonly ShardRecord[]
  /** Tables that others may write: copied ones. */
  readonly free: readonly string[]
  /** Somebody may write, by name: it is counted, and nobody is looked for. */
  readonly allowed: boolean
  readonly signal: AbortSignal
}

const noteEveryMs = 10_000
const foundEveryMs = 1_000
/** Sessions are listed often for a moment, and seldom so: the list is production's. */
const sessionsForMs = 5_000
const sessionsEveryMs = 60_000
const heartbeatMs = 1_000
const againMs = 3_000

export function serversOf(shards: readonly ShardRecord[]): string[] {
  return [...new Set(shards.map((shard) => shard.serverId))]
}

/** Where all servers of these shards stand. One that can't say is left out, and so is not looked at. */
export async function positionsNow(world: Pick<WatchWorld, 'store' | 'clock' | 'shards'>, signal: AbortSignal): Promise<WritersSeen> {
  const wanted = serversOf(world.shards)
  const found = await Promise.all(wanted.map(async (id) => [id, await begin(world, id, signal).catch(() => null)] as const))
  signal.throwIfAborted()
  return { ...nothingSeen, wanted, servers: Object.fromEntries(found.flatMap(([id, at]) => (at === null ? [] : [[id, at]]))) }
}

/** Until it is told to stop; rejects where a server can't be looked at, when nothing of it is under way any more. */
export async function watchWriters(world: WatchWorld, from: WritersSeen['servers'], note: (note: Note) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const signal = AbortSignal.any([world.signal, stop.signal])
  const ended = await Promise.allSettled(
    serversOf(world.shards).map((id) =>
      watchServer({ ...world, signal }, id, from[id] ?? null, note).finally(() =>
        stop.abort(new Error('another server can not be looked at')),
      ),
    ),
  )
  world.signal.throwIfAborted()
  const why = ended.flatMap((one) => (one.status === 'rejected' && one.reason !== stop.signal.reason ? [one.reason as unknown] : []))
  throw why[0]
}

async function watchServer(world: WatchWorld, server: string, from: WritersAt | null, note: (note: Note) => Promise<void>): Promise<void> {
  const { clock, signal } = world
  let at = from
  let gap: string | null = null
  for (;;) {
    if (at === null) {
      at = await begin(world, server, signal)
      await note({ server, at, found: null, gap })
      gap = null
    }
    const look = new ServerLook(world, server, at, note)
    try {
      await look.run()
    } catch (error) {
      signal.throwIfAborted()
      // What is there can't be read, now or later; but a server that refuses at once what it gave a moment ago refuses everything.
      const unreadable = isSwError(error) && error.code.startsWith('SW-BINLOG-') && error.class === 'fatal' && error.code !== refused
      if (!unreadable || (at.sinceMs !== from?.sinceMs && !look.hasSeen)) throw error
      gap = error.message
      at = null
      await clock.sleep(againMs, signal)
    } finally {
      await look.ended
    }
  }
}

/** The account may not, or there are no binlogs. */
const refused = 'SW-BINLOG-003'

/** One tail, from a position on. */
class ServerLook {
  readonly #world: WatchWorld
  readonly #server: string
  readonly #schemas: readonly string[]
  readonly #note: (note: Note) => Promise<void>
  readonly #seen = new Set<string>()
  #groups: ForeignGroups
  #at: WritersAt
  #toldAtMs: number | null = null
  #sessionsAtMs = -Infinity
  #sessions: Promise<void> = Promise.resolve()
  hasSeen = false

  constructor(world: WatchWorld, server: string, at: WritersAt, note: (note: Note) => Promise<void>) {
    this.#world = world
    this.#server = server
    this.#at = at
    this.#note = note
    this.#schemas = world.shards.filter((shard) => shard.serverId === server).map((shard) => shard.schema)
    this.#groups = this.#fresh()
  }

  get ended(): Promise<void> {
    return this.#sessions
  }

  async run(): Promise<never> {
    const { store, clock, signal } = this.#world
    const { connect } = await addressesOf(store)(this.#server)
    const aheadMs = await this.#clockAhead()
    const { position } = this.#at
    await using tail = await openTail({ connect, position, table: ForeignGroups.table, clock, signal, heartbeatMs })
    let committedAtMs = 0
    let lastMs = clock.monotonicMs()
    for (;;) {
      signal.throwIfAborted()
      const event = tail.tryNext() ?? (await tail.next())
      const sinceMs = clock.monotonicMs() - lastMs
      lastMs = clock.monotonicMs()
      this.hasSeen = true
      if (this.#groups.take(event)) this.#lookAtSessions()
      if (event.kind === 'begin') committedAtMs = event.committedAtMs - aheadMs
      // One that comes at once says what is skipped, not that there is nothing more.
      else if (event.kind === 'heartbeat') this.#looked(this.#at.position, sinceMs > heartbeatMs / 2 ? clock.nowMs() : 0)
      else if ('position' in event) this.#looked(event.position, Math.min(clock.nowMs(), committedAtMs))
      else continue
      if (event.kind !== 'begin') await this.#tellInTime()
    }
  }

  #looked(position: Position, atMs: number): void {
    this.#at = { ...this.#at, position, lookedAtMs: Math.max(this.#at.lookedAtMs, atMs) }
  }

  async #tellInTime(): Promise<void> {
    const { clock, allowed } = this.#world
    const dueMs = this.#groups.transactions > 0 && !allowed ? foundEveryMs : noteEveryMs
    if (this.#toldAtMs !== null && clock.monotonicMs() - this.#toldAtMs < dueMs) return
    const found = this.#groups.transactions === 0 ? null : foreignWrites(this.#server, this.#groups, this.#seen)
    await this.#note({ server: this.#server, at: this.#at, found, gap: null })
    this.#groups = this.#fresh()
    this.#seen.clear()
    this.#toldAtMs = clock.monotonicMs()
  }

  #fresh(): ForeignGroups {
    return new ForeignGroups(this.#schemas, this.#world.free)
  }

  /** Its next statement is caught in the act. */
  #lookAtSessions(): void {
    const { clock, signal, allowed } = this.#world
    if (allowed || clock.monotonicMs() - this.#sessionsAtMs < sessionsEveryMs) return
    this.#sessionsAtMs = clock.monotonicMs()
    const time = AbortSignal.any([AbortSignal.timeout(sessionsForMs), signal])
    this.#sessions = watchSessions(this.#world, this.#server, this.#seen, time).catch(() => undefined)
  }

  /** Milliseconds that the server's clock is before ours. */
  #clockAhead(): Promise<number> {
    const { store, clock, signal } = this.#world
    return onServer(
      store,
      this.#server,
      async (connection) => Number(await connection.value('SELECT UNIX_TIMESTAMP(NOW(3)) * 1000')) - clock.nowMs(),
      signal,
    )
  }
}

async function begin({ store, clock }: Pick<WatchWorld, 'store' | 'clock'>, server: string, signal: AbortSignal): Promise<WritersAt> {
  const position = await onServer(store, server, currentPosition, signal)
  return { position, sinceMs: clock.nowMs(), lookedAtMs: clock.nowMs() }
}

async function onServer<T>(store: Store, server: string, work: (connection: Connection) => Promise<T>, signal: AbortSignal): Promise<T> {
  const connection = await connectPlain(await addressesOf(store)(server), signal)
  try {
    return await work(connection)
  } finally {
    connection.destroy()
  }
}
