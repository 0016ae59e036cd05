/**
 * A switch of shards that fleets fill (PROTOCOLS 4.17): which rows go from which old shard to which new ones, and the stop of the fleets before shards merge.
 *
 * Consumers sign in with client accounts, so the fence of step 7 closes to them as to any client. Their topology says, once it is decided, which shards
 * serve: they begin a session on those, fence their partitions there (rule 3) and find the `next` that was carried.
 *
 * Where two old shards meet in a new one (a merge, and every reverse of a split) they must stand at one offset vector. A fleet that is held writes what it
 * has read and stands alike on all shards, so fleets are held before clients are, and go on afterwards, however the switch ended; what was wanted before
 * stands in their record, so that a later leader finds it. Whether the shards do agree is looked at under the fence all the same: a fleet that somebody
 * started meanwhile, or that could not finish, gives the switch up.
 */
import { settled } from '../switch/settled.ts'
import {
  carrySince,
  floorsSql,
  forgetFleetRows,
  hasFleetRows,
  mergePositions,
  readFloors,
  readPositions,
  writePositions,
} from '../ingest/carry.ts'
import type { CarriedPosition, CarryTarget, Disagreement, OldPositions } from '../ingest/carry.ts'
import { ensureIngestTables } from '../ingest/tables.ts'
import { keyRangesEqual, keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import { sortKeyRanges } from '../keyspace/key-range-sets.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import type { CarriedRows, Carrier } from '../switch/carried.ts'
import type { ClaimPool } from '../switch/claim.ts'
import type { Preflight } from '../switch/effects.ts'
import type { SwitchPlan } from '../switch/plan.ts'
import { parseBranch } from '../topology/dualwrite-records.ts'
import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { pausedFleet, resumedFleet } from '../topology/fleet-pause.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRef } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { updateRecord } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { fleetsOf } from './branch-positions.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { openRunOn } from './dualwrite-record.ts'
import { fleetStands } from './fleets.ts'
import { connectServer } from './servers.ts'

type CarryWorld = { readonly store: Store; readonly clock: Clock; readonly log: Log; readonly leadership: Leadership }

export function fleetCarrier(world: CarryWorld): Carrier {
  return {
    of: (plan, timeoutMs) => new FleetCarry(world, plan, timeoutMs),
    async recover(keyspace) {
      const { keyspace: name, branch } = parseBranch(keyspace)
      for (const fleet of await fleetsOf(world.store, name, branch))
        if (fleet.paused?.by.startsWith(pausePrefix) === true) await resume(world, fleet.name, fleet.paused.by)
    },
  }
}

const pausePrefix = 'switch '

/** An old shard, and the new ones that its range meets. */
type Move = { readonly from: ShardRef; readonly to: readonly ShardRef[] }

/** In the order of their ranges: the first new shard that meets an old one goes on with its account. */
export function movesOf({ from, to }: Pick<SwitchPlan, 'from' | 'to'>): Move[] {
  const ordered = sortKeyRanges(to.shards.map((shard) => parseKeyRange(shard.shard))).flatMap((range) =>
    to.shards.filter((shard) => keyRangesEqual(parseKeyRange(shard.shard), range)),
  )
  return from.shards.map((shard) => ({
    from: shard,
    to: ordered.filter((target) => keyRangesIntersect(parseKeyRange(target.shard), parseKeyRange(shard.shard))),
  }))
}

class FleetCarry implements CarriedRows {
  readonly #world: CarryWorld
  readonly #plan: SwitchPlan
  readonly #timeoutMs: number
  readonly #pauser: string
  readonly #connections = new Map<string, Connection>()
  /** Null: not looked at, or none of the old shards is a fleet's. */
  #moves: Move[] | null = null
  /** What each old shard stood at when it was copied last. */
  readonly #copied = new Map<string, CarriedPosition[]>()
  #paused: string[] = []

  constructor(world: CarryWorld, plan: SwitchPlan, timeoutMs: number) {
    this.#world = world
    this.#plan = plan
    this.#timeoutMs = timeoutMs
    this.#pauser = `${pausePrefix}${plan.workflowUid}`
  }

  async preflight(): Promise<Preflight> {
    const { keyspace } = parseBranch(this.#plan.keyspace)
    const run = await openRunOn(this.#world.store, keyspace)
    if (run === null) return { blockers: [], notes: [] }
    return { blockers: [dualwriteErrors.openRun({ verb: 'a switch of shards', keyspace, name: run.name })], notes: [] }
  }

  async prepare(pool: ClaimPool, signal: AbortSignal): Promise<readonly string[]> {
    const moves = movesOf(this.#plan)
    const filled: boolean[] = []
    for (const { from } of moves) filled.push(await hasFleetRows(await this.#connection(from.serverId), from.uid))
    if (!filled.some(Boolean)) return []
    for (const id of this.#plan.to.serverIds) {
      const uids = this.#plan.to.shards.filter((shard) => shard.serverId === id).map((shard) => shard.uid)
      await pool.run(id, async ({ connection }) => {
        await ensureIngestTables(connection)
        await forgetFleetRows(connection, uids)
      })
    }
    for (const { from } of moves) await ensureIngestTables(await this.#connection(from.serverId))
    this.#moves = moves
    const notes: string[] = []
    if (this.#meetings().length > 0) {
      await this.#holdFleets(signal)
      if (this.#paused.length > 0)
        notes.push(`fleets held, so that shards that merge stand at one offset vector: ${this.#paused.join(', ')}`)
      this.#requireAgreement(await this.#positions())
    }
    const rows = await this.#copy(pool)
    notes.push(`rows that fleets keep on shards (marks, event ids, dead letters) copied ahead: ${rows}`)
    return notes
  }

  async freshen(pool: ClaimPool): Promise<void> {
    if (this.#moves !== null) await this.#copy(pool)
  }

  async carry(pool: ClaimPool, signal: AbortSignal): Promise<readonly string[]> {
    if (this.#moves === null) return []
    // A statement that hangs ends with the switch's time.
    const cut = (): void => [...this.#connections.values()].forEach((connection) => connection.destroy())
    signal.addEventListener('abort', cut, { once: true })
    try {
      const positions = await this.#positions()
      const merged = this.#requireAgreement(positions)
      const rows = await this.#copy(pool, positions)
      const floors = new Map<string, Awaited<ReturnType<typeof readFloors>>>()
      for (const { from } of this.#moves) floors.set(from.uid, await readFloors(await this.#connection(from.serverId), from.uid))
      await settled(
        [...merged].map(async ([target, own]) => {
          const raised = this.#sourcesOf(target).flatMap(({ from }) => floors.get(from.uid) ?? [])
          await pool.run(
            target.serverId,
            async ({ connection }) => {
              if (raised.length > 0) await connection.query(floorsSql(target.uid, raised)(connection))
              await writePositions(connection, target.uid, own)
            },
            signal,
          )
        }),
      )
      return [`positions of fleets carried to ${[...merged.keys()].map(({ shard }) => shard).join(', ')}, with ${rows} rows since`]
    } finally {
      signal.removeEventListener('abort', cut)
    }
  }

  async end(): Promise<void> {
    for (const fleet of this.#paused) await resume(this.#world, fleet, this.#pauser)
    this.#paused = []
    await Promise.all([...this.#connections.values()].map((connection) => connection.close().catch(() => undefined)))
    this.#connections.clear()
  }

  #sourcesOf(target: ShardRef): Move[] {
    return (this.#moves ?? []).filter(({ to }) => to.includes(target))
  }

  /** New shards in which several old ones meet. */
  #meetings(): ShardRef[] {
    return this.#plan.to.shards.filter((target) => this.#sourcesOf(target).length > 1)
  }

  async #positions(): Promise<Map<string, CarriedPosition[]>> {
    const read = await settled(
      (this.#moves ?? []).map(
        async ({ from }) => [from.uid, await readPositions(await this.#connection(from.serverId), from.uid)] as const,
      ),
    )
    return new Map(read)
  }

  #requireAgreement(positions: ReadonlyMap<string, CarriedPosition[]>): Map<ShardRef, CarriedPosition[]> {
    const out = new Map<ShardRef, CarriedPosition[]>()
    const all: { target: string; one: Disagreement }[] = []
    for (const target of this.#plan.to.shards) {
      const old = this.#sourcesOf(target).map(({ from, to }): OldPositions => {
        return { shard: from.shard, counts: to[0] === target, positions: positions.get(from.uid) ?? [] }
      })
      const { positions: own, disagreements } = mergePositions(old)
      out.set(target, own)
      all.push(...disagreements.map((one) => ({ target: target.shard, one })))
    }
    const [first] = all
    if (first === undefined) return out
    const { target, one } = first
    throw dualwriteErrors.positionsDiffer({
      target,
      partition: one.partition,
      topic: one.topicId,
      at: one.at.map(({ shard, next }) => `${shard} at ${next}`).join(', '),
    })
  }

  /** All that came since the last copy; positions are looked at before rows are. */
  async #copy(pool: ClaimPool, now?: ReadonlyMap<string, CarriedPosition[]>): Promise<number> {
    const before = now ?? (await this.#positions())
    const rows = await settled(
      (this.#moves ?? []).map(async ({ from, to }) => {
        const targets = to.map((target, i): CarryTarget => ({
          shardUid: target.uid,
          counts: i === 0,
          run: (sql) => pool.run(target.serverId, ({ connection }) => connection.query(sql(connection))),
        }))
        const carried = await carrySince(await this.#connection(from.serverId), from.uid, this.#copied.get(from.uid) ?? [], targets)
        this.#copied.set(from.uid, before.get(from.uid) ?? [])
        return carried
      }),
    )
    return rows.reduce((sum, one) => sum + one, 0)
  }

  async #holdFleets(signal: AbortSignal): Promise<void> {
    const { store, clock, leadership } = this.#world
    const { keyspace, branch } = parseBranch(this.#plan.keyspace)
    const fleets = await fleetsOf(store, keyspace, branch)
    const sinceMs = clock.nowMs()
    for (const { name } of fleets) {
      const result = await updateRecord<FleetRecord>(
        store,
        keys.fleet(name),
        (now) => (now === null || now.wanted !== 'running' ? null : pausedFleet(now, this.#pauser, { wanted: 'held' })),
        [leadership.fence],
      )
      if (result.ok && result.value?.paused?.by === this.#pauser) this.#paused.push(name)
    }
    const untilMs = clock.monotonicMs() + this.#timeoutMs
    for (const name of this.#paused) {
      while (!(await fleetStands({ store }, name, sinceMs))) {
        if (clock.monotonicMs() > untilMs) throw dualwriteErrors.fleetDoesNotStand({ fleet: name, waitedMs: this.#timeoutMs })
        await clock.sleep(50, signal)
      }
    }
    // A held fleet has still to write what it had read.
    for (;;) {
      try {
        this.#requireAgreement(await this.#positions())
        return
      } catch (error) {
        if (clock.monotonicMs() > untilMs || this.#paused.length === 0) throw error
        await clock.sleep(50, signal)
      }
    }
  }

  async #connection(serverId: string): Promise<Connection> {
    const known = this.#connections.get(serverId)
    if (known?.open === true) return known
    const made = await connectServer(this.#world.store, serverId, 'admin')
    this.#connections.set(serverId, made)
    return made
  }
}

async function resume({ store, log, leadership }: CarryWorld, fleet: string, by: string): Promise<void> {
  const result = await updateRecord<FleetRecord>(store, keys.fleet(fleet), (now) => (now?.paused?.by === by ? resumedFleet(now) : null), [
    leadership.fence,
  ])
  if (!result.ok) log.warn({ fleet }, 'a fleet that a switch held is left to the next leader')
}
