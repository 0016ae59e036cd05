/**
 * Random model of copy, tail and landing (PROTOCOLS 1.4, 1.5): one source, two targets, lanes, unique values that wander
 * between rows, keys that change to another spelling which the collation equates, crashes anywhere. What it tries is the engine's own: `TouchedKeys`, `Pending`, `roundStatements`, `compareCoordinates`, `nextLanding`,
 * what may be done where a target stands (`boundary.ts`), segments and landing statements, over targets that execute what is printed (`fake-target.ts`). The model is only the world around them: the source's log, what
 * of it is visible, who is called when, deaths.
 *
 * A source transaction's place in the log is its position. Its row may become visible later than its event (group commit), but
 * never after a marker that follows it was acknowledged. At every boundary of a target past its intent, its rows must be
 * exactly the source's at that position, of all keys that were copied or that the tail has brought. But for one case, which the engine's `TouchedKeys` allows and a model of
 * the rule alone had not: a row that a landing drops because the tail has read its key, though not applied it here yet, is missing until that is applied (from the
 * stored position, after a crash too).
 *
 * At a death the source may be lost too, and another have its log but for the end: the stream goes on there if it has all that was read for what shows on a target.
 */
import { goesInOneTransaction, intentToStore, isPastHighMarker, standsAtBoundary } from '../../src/move/boundary.ts'
import type { Chunk } from '../../src/move/chunk.ts'
import { landingSize, nextLanding } from '../../src/move/landing.ts'
import { Pending, type Round, type Stamp } from '../../src/move/pending.ts'
import { roundStatements } from '../../src/move/statements.ts'
import type { TablePlan } from '../../src/move/table-plan.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import { TouchedKeys } from '../../src/move/touched.ts'
import {
  addEvent,
  chunkOf,
  equated,
  FakeTarget,
  landing,
  modelTable,
  otherSpelling,
  sameRow,
  stampAt,
  type ModelEvent,
  type ModelRow,
  type TestCoordinate,
} from './fake-target.ts'
import { Random } from './random.ts'

export type LandingRules = {
  /** Rows whose key the tail touched up to where the target stands are dropped; without: only up to the high marker. */
  dropToApplied: boolean
  /** Keys count as touched for the chunks whose low marker stands before them; without: only for those that begin later. */
  touchedSinceLow: boolean
  /** Both images of a change are touched, and taken from where they stood; without: the last only. */
  bothImages: boolean
  /** Once a marker is acknowledged, all before it is visible. Without: as with MySQL's binlog_order_commits=OFF. */
  markerProves: boolean
  /** A chunk lands where its high marker was applied; without: when it was read. */
  landsPastHigh: boolean
  /** A round stores where it goes before its first effect. */
  intent: boolean
  /** A round has the last image of each key; without: the first. */
  lastImage: boolean
  /** A round's deletes all come before its upserts; without: lane by lane. */
  deletesFirst: boolean
  /** After a crash each target goes on from its own position; without: all from the least. */
  ownPosition: boolean
  /** A stream goes on only on a source that has what was read for rows on a target; without: what its stored positions name. */
  sourceHasRead: boolean
  /** The table has a unique key beside its primary one. */
  uniqueKey: boolean
}

export const landingRules: LandingRules = {
  dropToApplied: true,
  touchedSinceLow: true,
  bothImages: true,
  markerProves: true,
  landsPastHigh: true,
  intent: true,
  lastImage: true,
  deletesFirst: true,
  ownPosition: true,
  sourceHasRead: true,
  uniqueKey: true,
}

type Group = { readonly events: readonly ModelEvent[]; readonly marker: number | null; readonly at: TestCoordinate }
type Target = {
  readonly server: FakeTarget
  position: number
  /** What was read for what shows there: stored with each intent and landing (`seen.ts`). */
  seen: number
  intent: TestCoordinate
  readonly landed: Set<number>
  readonly owed: Map<number, number>
}
type InFlight = { readonly chunk: Chunk; readonly high: number; atHigh: Set<string> | null }

const keyCount = 6
const uniqueCount = 7
const targetCount = 2
const laneCount = 2
const logMax = 40
const oneLaneChangesMax = 1
const chunkKeys = [
  [0, 1],
  [2, 3],
  [4, 5],
]

class Crash extends Error {}
const crash = new Crash()

/** What a target's round is made of when the rule is taken out: the first image that came stays. */
class FirstImages extends Pending {
  readonly #had = new Set<string>()
  override add(change: Parameters<Pending['add']>[0]): void {
    if (!this.#had.has(change.key)) super.add(change)
    this.#had.add(change.key)
  }
  override take(stamp: Stamp): Round {
    this.#had.clear()
    return super.take(stamp)
  }
}

export function runLanding(seed: number, rules: LandingRules): string | null {
  const random = new Random(seed)
  const log: Group[] = []
  const source = new Map<number, ModelRow>()
  const visible = new Map<number, ModelRow>()
  let unseen: (readonly ModelEvent[])[] = []
  const targets: Target[] = []
  let crashesLeft = random.below(5)
  let markers = 0
  const none: TestCoordinate = { marker: 0, groups: 0 }
  const placeOf = (position: number): TestCoordinate => log[position - 1]?.at ?? none

  // ---- the source ----
  const commit = (events: readonly ModelEvent[], marker: number | null): void => {
    const before = placeOf(log.length)
    log.push({ events, marker, at: marker === null ? { marker: before.marker, groups: before.groups + 1 } : { marker, groups: 0 } })
  }
  const makeVisible = (): void => {
    for (const events of unseen) for (const { key, after } of events) assign(visible, key, after)
    unseen = []
  }
  const write = (): void => {
    const events: ModelEvent[] = []
    for (let left = random.pick([1, 1, 2, 3]); left > 0; left--) {
      const slot = random.below(keyCount)
      const before = source.get(slot) ?? null
      const key = before?.key ?? slot
      let after: ModelRow | null = null
      if (before !== null && random.chance(0.15)) {
        const respelled = { ...before, key: otherSpelling(key), value: random.below(1000) }
        events.push({ key, before, after: null }, { key: respelled.key, before: null, after: respelled })
        assign(source, key, respelled)
        continue
      }
      if (before === null || !random.chance(0.3)) {
        const used = new Set([...source].filter(([other]) => other !== equated(key)).map(([, row]) => row.unique))
        const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
        after = { key, unique: random.pick(free), shardKey: random.below(targetCount), value: random.below(1000) }
      }
      events.push({ key, before, after })
      assign(source, key, after)
    }
    commit(events, null)
    unseen.push(events)
    if (random.chance(0.5)) makeVisible()
  }
  const marker = (): number => {
    commit([], ++markers)
    if (rules.markerProves) makeVisible()
    return markers
  }
  /** Another server is the source, which has only so much of the log. It is refused where it lacks too much: then one is that has all. */
  const failover = (has: number): void => {
    if (targets.some(({ position, seen }) => has < (rules.sourceHasRead ? Math.max(position, seen) : position))) return
    log.length = has
    unseen = []
    for (const rows of [source, visible]) {
      rows.clear()
      for (const { events } of log) for (const { key, after } of events) assign(rows, key, after)
    }
    markers = log.findLast(({ marker }) => marker !== null)?.marker ?? 0
  }

  // ---- the targets ----
  const crashPoint = (): void => {
    if (crashesLeft > 0 && random.chance(0.02)) {
      crashesLeft--
      throw crash
    }
  }
  const round = ({ server, ...target }: Target, taken: Round, store: (change: Partial<Target>) => void): void => {
    const inOne = goesInOneTransaction(taken.count, { oneLaneChangesMax, collisionsInRow: 0 })
    const lanes = roundStatements(taken, 'one-source', 't', inOne ? 1 : laneCount)
    const position = taken.stamp.ordinal
    if (lanes.length === 1) {
      server.transaction(lanes.flatMap(({ deletes, upserts }) => [...deletes, ...upserts]))
      store({ position })
      return
    }
    const intent = intentToStore(taken.stamp, target.intent)
    if (rules.intent && intent !== null) store({ intent })
    store({ seen: Math.max(target.seen, position) })
    const order = (): number[] => random.shuffle(lanes.map((_, i) => i))
    const parts = ['deletes', 'upserts'] as const
    const steps = rules.deletesFirst
      ? parts.flatMap((part) => order().map((lane) => [lane, part] as const))
      : order().flatMap((lane) => parts.toReversed().map((part) => [lane, part] as const))
    for (const [lane, part] of steps) {
      server.transaction(lanes[lane]?.[part] ?? [])
      crashPoint()
    }
    store({ position })
  }
  const differs = ({ server, position, landed, owed }: Target, shard: number, start: number): string | null => {
    const want = new Map<number, ModelRow>()
    const known = new Set([...landed].flatMap((id) => chunkKeys[id] as number[]))
    for (const [i, { events }] of log.slice(0, position).entries()) {
      for (const { key, after } of events) {
        assign(want, key, after)
        if (i >= start) known.add(equated(key))
      }
    }
    for (const [key, row] of want) if (!known.has(key) || row.shardKey !== shard) want.delete(key)
    for (const [key, comesAt] of owed) if (comesAt > position && !server.rows.has(key)) want.delete(key)
    const same = want.size === server.rows.size && [...want].every(([key, row]) => sameRow(server.rows.get(key), row))
    return same ? null : `target ${shard} at ${position} has ${show(server.rows)} and should have ${show(want)}`
  }

  /** One run of the stream: what it remembers is lost with it. */
  const session = (start: number): string | null => {
    const touched = new TouchedKeys<TablePlan>()
    const pending = targets.map(() => (rules.lastImage ? new Pending() : new FirstImages()))
    const stood = targets.map(({ position }) => placeOf(position))
    const applied = targets.map(({ position }) => position)
    const inFlight = new Map<number, InFlight>()
    const hasLanded = (id: number): boolean => targets.every((target) => target.landed.has(id))
    let read = Math.min(...applied)
    let nowMs = 0
    const dropsOf = ({ chunk, atHigh }: InFlight): ((key: string) => boolean) => {
      if (!rules.dropToApplied && atHigh !== null) return (key) => atHigh.has(key)
      const sets = touched.setsSince(modelTable, (chunk.generation ?? 0) + (rules.touchedSinceLow ? 0 : 1))
      return (key) => sets.some((set) => set.has(key))
    }
    const readGroup = (): void => {
      const { events, marker, at } = log[read++] as Group
      if (marker !== null) touched.met(marker)
      for (const event of events) touched.add(modelTable, String(event.key))
      for (const event of events) {
        for (const [shard, changes] of pending.entries()) {
          if (compareCoordinates(at, stood[shard] ?? none) <= 0) continue
          const seen = rules.bothImages || event.after === null ? event : { ...event, before: null }
          addEvent(changes, seen, (row) => row.shardKey === shard, 'one-source')
        }
      }
      for (const one of inFlight.values())
        if (one.high === marker) one.atHigh = new Set(touched.setsSince(modelTable, one.chunk.generation ?? 0).flatMap((set) => [...set]))
    }
    for (;;) {
      crashPoint()
      nowMs += random.below(60)
      if (random.chance(0.5) && log.length < logMax) write()
      if (random.chance(0.3)) makeVisible()
      const todo = chunkKeys.map((_, id) => id).filter((id) => !inFlight.has(id) && !hasLanded(id))
      if (todo.length > 0 && random.chance(0.4)) {
        const id = random.pick(todo)
        const generation = touched.begin(markers + 1)
        marker()
        for (let left = random.below(3); left > 0; left--) write()
        const rows = [...visible.values()].filter(({ key }) => (chunkKeys[id] as number[]).includes(equated(key)))
        for (let left = random.below(3); left > 0; left--) write()
        const high = marker()
        const highMarker = rules.landsPastHigh ? high : 0
        const targetOf = (row: ModelRow): number => row.shardKey
        const chunk = chunkOf(rows, {
          mode: 'one-source',
          targets: targetCount,
          targetOf,
          generation,
          highMarker,
          readAtMs: nowMs,
          path: String(id),
        })
        inFlight.set(id, { chunk, high, atHigh: null })
      }
      for (let left = random.below(4); left > 0 && read < log.length; left--) readGroup()
      for (const [shard, target] of targets.entries()) {
        const changes = pending[shard] as Pending
        if (read > (applied[shard] ?? 0) && random.chance(0.6)) {
          const stamp = stampAt(placeOf(read), read)
          if (changes.count > 0) round(target, changes.take(stamp), (change) => Object.assign(target, change))
          applied[shard] = read
          target.position = read
        }
        const at = placeOf(target.position)
        if (!standsAtBoundary(at, target.intent)) continue
        const wrong = differs(target, shard, start)
        if (wrong !== null) return wrong
        const mine = [...inFlight].filter(([id, { chunk }]) => !target.landed.has(id) && isPastHighMarker(chunk, at))
        const state = { size: landingSize(targetCount), target: shard, landing: false, pressing: random.chance(0.5), nowMs }
        const together = nextLanding(
          mine.map(([, { chunk }]) => chunk),
          state,
        )
        if (together.length === 0) continue
        const landed = mine.filter(([, { chunk }]) => together.includes(chunk))
        target.server.transaction(landed.flatMap(([, one]) => landing(one.chunk, shard, 'one-source', dropsOf(one))))
        target.seen = Math.max(target.seen, read)
        for (const [id, one] of landed) {
          target.landed.add(id)
          for (const key of chunkKeys[id] as number[]) {
            const comes = log.slice(0, read).findLastIndex(({ events }) => events.some((event) => equated(event.key) === key))
            if (comes >= target.position && [key, otherSpelling(key)].some((spelled) => dropsOf(one)(String(spelled))))
              target.owed.set(key, comes + 1)
          }
        }
        const after = differs(target, shard, start)
        if (after !== null) return after
      }
      for (const [id, { chunk }] of inFlight) {
        if (!hasLanded(id)) continue
        inFlight.delete(id)
        touched.release(chunk.generation ?? 0)
      }
      const drained = targets.every((target) => target.position === log.length && target.landed.size === chunkKeys.length)
      if (log.length >= logMax && inFlight.size === 0 && drained) return null
    }
  }

  for (let left = random.between(4, 12); left > 0; left--) write()
  makeVisible()
  const start = log.length
  for (let shard = 0; shard < targetCount; shard++)
    targets.push({
      server: new FakeTarget(rules.uniqueKey),
      position: start,
      seen: start,
      intent: placeOf(start),
      landed: new Set(),
      owed: new Map(),
    })
  for (let attempt = 0; attempt < 8; attempt++) {
    try {
      return session(start)
    } catch (error) {
      if (error !== crash) throw error
      const least = Math.min(...targets.map((target) => target.position))
      if (!rules.ownPosition) for (const target of targets) target.position = least
      if (random.chance(0.3)) failover(random.between(start, log.length))
    }
  }
  return 'never ends'
}

function assign(rows: Map<number, ModelRow>, key: number, row: ModelRow | null): void {
  if (row === null) rows.delete(equated(key))
  else rows.set(equated(key), row)
}

function show(rows: ReadonlyMap<number, ModelRow>): string {
  return JSON.stringify([...rows].sort(([a], [b]) => a - b).map(([key, { unique, value }]) => `${key}:u${unique}=${value}`))
}
