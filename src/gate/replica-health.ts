/**
 * Which replicas a gate may read from: those whose replication runs and that are known to be no further behind their primary than a limit.
 *
 * How far behind, without anybody's clock but ours and without a write: the primary's executed GTIDs are read as a *mark*, with the moment before
 * the question. A replica that has executed all of a mark lacks nothing that the primary had committed before that moment, so `now - moment` is no
 * less than its lag. A replica that does not run, does not answer, has no GTIDs, or has not yet been seen to hold any mark is unknown, and is
 * not read (promise 6); while the primary does not answer, no mark is made and its replicas grow old by themselves. What servers say of their own lag
 * (Seconds_Behind_Master) is not asked: it is 0 while a broken network keeps a replica from hearing anything.
 *
 * Where replica reads have moved before writes, the shard's primary is itself behind the serving side by its streams' lag, as the mover measured
 * it; that is added.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { StreamRecord, StreamReport } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import { replicaUid, type ReplicaView, type ShardView, type View } from './view.ts'

export type ReplicaHealthOptions = {
  readonly clock: Clock
  readonly log: Log
  readonly lagMaxMs: number
  readonly everyMs: number
  readonly connectTimeoutMs: number
  /** All streams with their reports; asked only while replica reads are on a side that does not serve. */
  readonly streams: () => Promise<readonly ReportedStream[]>
}

export type ReportedStream = { readonly stream: StreamRecord; readonly report: StreamReport | undefined }

type Mark = { readonly atMs: number; readonly position: string }

type Primary = { connection: Connection | null; marks: Mark[]; problem: string | null }

type Replica = {
  connection: Connection | null
  /** Everything committed on the primary before this moment is here; null: not known. */
  upToMs: number | null
  problem: string | null
}

type Group = { readonly shard: ShardView; readonly replicas: readonly ReplicaView[] }

const answerMs = 2_000
/** Marks kept of one primary, besides the newest. */
const marksMax = 32

export class ReplicaHealth {
  readonly #options: ReplicaHealthOptions
  readonly #primaries = new Map<string, Primary>()
  readonly #replicas = new Map<string, Replica>()
  /** By a shard's uid in a replica view: how far its primary is behind the serving side; null: unknown. Absent: it serves. */
  readonly #streamLag = new Map<string, { readonly behindSinceMs: number } | null>()
  readonly #stop = new AbortController()
  #view: View | null = null
  #loop: Promise<void> = Promise.resolve()
  #wake: (() => void) | null = null
  #round: Promise<void> | null = null

  constructor(options: ReplicaHealthOptions) {
    this.#options = options
  }

  start(): void {
    this.#loop = this.#run()
  }

  onView(view: View): void {
    this.#view = view
    this.#wake?.()
  }

  /** Why a replica may not be read just now, or null. */
  whyNot(shard: ShardView, replica: ReplicaView): string | null {
    const { clock, lagMaxMs } = this.#options
    const state = this.#replicas.get(keyOf(shard, replica))
    if (state === undefined) return 'not looked at yet'
    if (state.problem !== null) return state.problem
    const primary = this.#primaries.get(placeOf(shard))
    if (state.upToMs === null) return primary?.problem ?? 'how far it is behind is not known yet'
    let lagMs = clock.monotonicMs() - state.upToMs
    const stream = this.#streamLag.get(shard.uid)
    if (stream === null) return 'how far its shard is behind the serving side is unknown'
    if (stream !== undefined) lagMs += clock.monotonicMs() - stream.behindSinceMs
    if (lagMs <= lagMaxMs) return null
    const lag = `${seconds(lagMs)} behind (limit ${seconds(lagMaxMs)})`
    return primary?.problem == null ? lag : `${lag}; ${primary.problem}`
  }

  /** It refused a connection: not read again until it has been looked at. */
  failed(shard: ShardView, replica: ReplicaView, reason: string): void {
    const state = this.#replicas.get(keyOf(shard, replica))
    if (state !== undefined) state.problem = reason
  }

  /** After the round that is under way, or a new one: for a replica that was never looked at. */
  async looked(): Promise<void> {
    await (this.#round ?? this.#look())
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wake?.()
    await this.#loop
    for (const one of [...this.#primaries.values(), ...this.#replicas.values()]) one.connection?.destroy()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#look()
      if (signal.aborted) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.#options.everyMs)
        timer.unref()
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = null
    }
  }

  #look(): Promise<void> {
    this.#round ??= this.#lookAtAll().finally(() => {
      this.#round = null
    })
    return this.#round
  }

  async #lookAtAll(): Promise<void> {
    const groups: Group[] = []
    const away: ShardView[] = []
    for (const keyspace of this.#view?.keyspaces.values() ?? []) {
      if (keyspace.role !== 'replica') continue
      const serving = new Set(this.#view?.keyspaces.get(keyspace.record.name)?.shards.map((shard) => shard.name))
      for (const shard of keyspace.shards) {
        if (shard.replicas === null || shard.replicas.length === 0) continue
        groups.push({ shard, replicas: shard.replicas })
        if (!serving.has(shard.name)) away.push(shard)
      }
    }
    this.#forget(groups)
    await Promise.all([this.#readStreams(away), ...groups.map((group) => this.#lookAt(group, away.includes(group.shard)))])
  }

  /** What no view names any more. */
  #forget(groups: readonly Group[]): void {
    const primaries = new Set(groups.map(({ shard }) => placeOf(shard)))
    const replicas = new Set(groups.flatMap(({ shard, replicas }) => replicas.map((replica) => keyOf(shard, replica))))
    for (const [known, wanted] of [
      [this.#primaries, primaries],
      [this.#replicas, replicas],
    ] as const) {
      for (const [key, one] of known) {
        if (wanted.has(key)) continue
        one.connection?.destroy()
        known.delete(key)
      }
    }
  }

  async #lookAt({ shard, replicas }: Group, away: boolean): Promise<void> {
    const place = placeOf(shard)
    let primary = this.#primaries.get(place)
    if (primary === undefined) this.#primaries.set(place, (primary = { connection: null, marks: [], problem: null }))
    const account = away ? (replicas[0] as ReplicaView).measuring : shard.account
    const newest = await this.#mark(primary, { server: shard.server, account })
    await Promise.all(replicas.map((replica) => this.#ask(shard, replica, primary, newest)))
  }

  async #mark(primary: Primary, at: Pick<ShardView, 'server' | 'account'>): Promise<Mark | null> {
    const atMs = this.#options.clock.monotonicMs()
    try {
      const position = await this.#within(primary, at, (connection) => flavourOf(connection).executedPosition(connection))
      primary.problem = position === '' ? `its primary ${at.server.id} logs no GTIDs` : null
      if (position === '') return null
      const last = primary.marks.at(-1)
      const mark = { atMs, position }
      if (last === undefined || atMs - last.atMs >= this.#options.lagMaxMs / (marksMax / 2)) {
        primary.marks.push(mark)
        if (primary.marks.length > marksMax) primary.marks.shift()
      }
      return mark
    } catch (error) {
      primary.problem = `its primary ${at.server.id} does not answer: ${(error as Error).message}`
      return null
    }
  }

  async #ask(shard: ShardView, replica: ReplicaView, primary: Primary, newest: Mark | null): Promise<void> {
    const key = keyOf(shard, replica)
    let state = this.#replicas.get(key)
    if (state === undefined) this.#replicas.set(key, (state = { connection: null, upToMs: null, problem: null }))
    const before = state
    const known = before.upToMs
    const marks = [
      ...primary.marks.filter((mark) => mark !== newest && (known === null || mark.atMs > known)),
      ...(newest === null ? [] : [newest]),
    ]
    try {
      const found = await this.#within(before, replica, (connection) =>
        flavourOf(connection).replication(
          connection,
          marks.map((mark) => mark.position),
        ),
      )
      const held = marks.findLast((_, i) => found.has[i] === true)
      if (held !== undefined) before.upToMs = held.atMs
      before.problem = found.runs ? null : 'its replication does not run'
    } catch (error) {
      before.problem = `it does not answer: ${(error as Error).message}`
    }
  }

  async #within<T>(
    of: { connection: Connection | null },
    { server, account }: Pick<ShardView, 'server' | 'account'>,
    act: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const cut = AbortSignal.timeout(answerMs)
    const drop = (): void => {
      of.connection?.destroy()
      of.connection = null
    }
    cut.addEventListener('abort', drop, { once: true })
    try {
      if (of.connection === null || !of.connection.open)
        of.connection = await connect({
          ...placeOfServer(server),
          user: account.user,
          password: account.password,
          connectTimeoutMs: Math.min(answerMs, this.#options.connectTimeoutMs),
          attributes: { program_name: 'shardwright gate' },
        })
      return await act(of.connection)
    } catch (error) {
      drop()
      throw error
    } finally {
      cut.removeEventListener('abort', drop)
    }
  }

  async #readStreams(away: readonly ShardView[]): Promise<void> {
    if (away.length === 0) return this.#streamLag.clear()
    const { clock, streams } = this.#options
    const all = await streams().catch(() => null)
    this.#streamLag.clear()
    for (const shard of away) this.#streamLag.set(shard.uid, all === null ? null : behind(all, shard, clock))
  }
}

/** The furthest of the streams that bring a shard its rows; null: there is none, or one does not say. */
function behind(all: readonly ReportedStream[], shard: ShardView, clock: Clock): { behindSinceMs: number } | null {
  let worstMs = -1
  for (const { stream, report } of all) {
    const target = stream.targets.find((one) => replicaUid(one.uid) === shard.uid)
    if (target === undefined) continue
    const lag = report?.targets.find((one) => one.shard === target.shard)?.lag ?? null
    if (report?.state !== 'running' || lag === null || lag.markerAgeMs === null) return null
    worstMs = Math.max(worstMs, lag.markerAgeMs + Math.max(0, clock.nowMs() - lag.atMs))
  }
  return worstMs < 0 ? null : { behindSinceMs: clock.monotonicMs() - worstMs }
}

function placeOf({ server }: Pick<ShardView, 'server'>): string {
  return `${server.id} ${server.host}:${server.port}`
}

function keyOf(shard: ShardView, replica: ReplicaView): string {
  return `${placeOf(shard)} ${placeOf(replica)}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}
