/**
 * Random model of copy, tail and landing (PROTOCOLS 1.4, 1.5): one source, two targets, lanes, unique values that wander
 * between rows, crashes anywhere.
 *
 * A source transaction's place in the log is its position. Its row may become visible later than its event (group commit), but
 * never after a marker that follows it was acknowledged. At every boundary of a target past its intent, its rows must be
 * exactly the source's at that position, of all keys that were copied or that the tail has brought.
 */
import { Random } from './random.ts'

export type LandingRules = {
  /** Rows whose key the tail touched up to where the target stands are dropped; without: only up to the high marker. */
  dropToApplied: boolean
  /** Once a marker is acknowledged, all before it is visible. Without: as with MySQL's binlog_order_commits=OFF. */
  markerProves: boolean
  /** A round stores where it goes before its first effect. */
  intent: boolean
  /** After a crash each target goes on from its own position; without: all from the least. */
  ownPosition: boolean
  /** The table has a unique key beside its primary one. */
  uniqueKey: boolean
}

export const landingRules: LandingRules = { dropToApplied: true, markerProves: true, intent: true, ownPosition: true, uniqueKey: true }

type Row = { unique: number; shard: number; value: number }
type Event = { key: number; before: Row | null; after: Row | null }
type Target = { rows: Map<number, Row>; position: number; intent: number; landed: Set<number> }
type Chunk = { low: number; high: number; rows: Map<number, Row> }

const keyCount = 6
const uniqueCount = 7
const targetCount = 2
const laneCount = 2
const logMax = 40
const chunkKeys = [
  [0, 1],
  [2, 3],
  [4, 5],
]

class Crash extends Error {}
const crash = new Crash()

export function runLanding(seed: number, rules: LandingRules): string | null {
  const random = new Random(seed)
  const log: Event[][] = []
  const source = new Map<number, Row>()
  const visible = new Map<number, Row>()
  let pending: Event[][] = []
  const targets: Target[] = Array.from({ length: targetCount }, () => ({ rows: new Map(), position: 0, intent: 0, landed: new Set() }))
  let crashesLeft = random.below(5)

  const makeVisible = (): void => {
    for (const events of pending) for (const { key, after } of events) assign(visible, key, after)
    pending = []
  }
  const write = (): void => {
    const events: Event[] = []
    for (let left = random.pick([1, 1, 2, 3]); left > 0; left--) {
      const key = random.below(keyCount)
      const before = source.get(key) ?? null
      let after: Row | null = null
      if (before === null || !random.chance(0.3)) {
        const used = new Set([...source].filter(([other]) => other !== key).map(([, row]) => row.unique))
        const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
        after = { unique: random.pick(free), shard: random.below(targetCount), value: random.below(1000) }
      }
      events.push({ key, before, after })
      assign(source, key, after)
    }
    log.push(events)
    pending.push(events)
    if (random.chance(0.5)) makeVisible()
  }
  const marker = (): number => {
    log.push([])
    if (rules.markerProves) makeVisible()
    return log.length
  }
  const crashPoint = (): void => {
    if (crashesLeft > 0 && random.chance(0.02)) {
      crashesLeft--
      throw crash
    }
  }
  const put = (target: Target, key: number, row: Row): void => {
    // REPLACE: whoever holds the unique value goes.
    if (rules.uniqueKey)
      for (const [other, { unique }] of target.rows) if (unique === row.unique && other !== key) target.rows.delete(other)
    target.rows.set(key, row)
  }

  const round = (target: Target, shard: number, upTo: number): void => {
    if (rules.intent) target.intent = Math.max(target.intent, upTo)
    const final = new Map<number, Row | null>()
    for (const { key, before, after } of log.slice(target.position, upTo).flat()) {
      if (before?.shard === shard) final.set(key, null)
      if (after?.shard === shard) final.set(key, after)
    }
    const keys = [...final.keys()]
    for (const phase of [keys.filter((key) => final.get(key) === null), keys.filter((key) => final.get(key) !== null)]) {
      for (const lane of random.shuffle(Array.from({ length: laneCount }, (_, i) => i))) {
        for (const key of phase) {
          if (key % laneCount !== lane) continue
          const row = final.get(key) ?? null
          if (row === null) target.rows.delete(key)
          else put(target, key, row)
        }
        crashPoint()
      }
    }
    target.position = upTo
    if (!rules.intent) target.intent = upTo
  }
  const land = (target: Target, shard: number, id: number, { low, high, rows }: Chunk): void => {
    const touched = new Set(
      log
        .slice(low, rules.dropToApplied ? target.position : high)
        .flat()
        .map(({ key }) => key),
    )
    for (const [key, row] of rows) if (!touched.has(key) && row.shard === shard) put(target, key, row)
    target.landed.add(id)
  }
  const differs = (target: Target, shard: number, start: number): string | null => {
    const want = new Map<number, Row>()
    const known = new Set([...target.landed].flatMap((id) => chunkKeys[id] as number[]))
    for (let position = 0; position < target.position; position++) {
      for (const { key, after } of log[position] as Event[]) {
        assign(want, key, after)
        if (position >= start) known.add(key)
      }
    }
    for (const [key, row] of want) if (!known.has(key) || row.shard !== shard) want.delete(key)
    const same = want.size === target.rows.size && [...want].every(([key, row]) => target.rows.get(key) === row)
    return same ? null : `target ${shard} at ${target.position} has ${show(target.rows)} and should have ${show(want)}`
  }

  const session = (start: number): string | null => {
    const inFlight = new Map<number, Chunk>()
    const hasLanded = (id: number): boolean => targets.every((target) => target.landed.has(id))
    let read = Math.min(...targets.map((target) => target.position))
    for (;;) {
      crashPoint()
      if (random.chance(0.5) && log.length < logMax) write()
      if (random.chance(0.3)) makeVisible()
      const todo = chunkKeys.map((_, id) => id).filter((id) => !inFlight.has(id) && !hasLanded(id))
      if (todo.length > 0 && random.chance(0.4)) {
        const id = random.pick(todo)
        const low = marker()
        for (let left = random.below(3); left > 0; left--) write()
        const rows = new Map([...visible].filter(([key]) => (chunkKeys[id] as number[]).includes(key)))
        for (let left = random.below(3); left > 0; left--) write()
        inFlight.set(id, { low, high: marker(), rows })
      }
      read = Math.min(log.length, read + random.below(4))
      for (const [shard, target] of targets.entries()) {
        if (target.position < read && random.chance(0.6)) round(target, shard, random.between(target.position + 1, read + 1))
        if (target.position < target.intent) continue
        for (const [id, chunk] of inFlight) {
          if (!target.landed.has(id) && target.position >= chunk.high && random.chance(0.6)) land(target, shard, id, chunk)
        }
        const wrong = differs(target, shard, start)
        if (wrong !== null) return wrong
      }
      for (const id of inFlight.keys()) if (hasLanded(id)) inFlight.delete(id)
      const drained = targets.every((target) => target.position === log.length && target.landed.size === chunkKeys.length)
      if (log.length >= logMax && inFlight.size === 0 && drained) return null
    }
  }

  for (let left = random.between(4, 12); left > 0; left--) write()
  makeVisible()
  const start = log.length
  for (const target of targets) target.position = target.intent = start
  for (let attempt = 0; attempt < 8; attempt++) {
    try {
      return session(start)
    } catch (error) {
      if (error !== crash) throw error
      const least = Math.min(...targets.map((target) => target.position))
      if (!rules.ownPosition) for (const target of targets) target.position = least
    }
  }
  return 'never ends'
}

function assign(rows: Map<number, Row>, key: number, row: Row | null): void {
  if (row === null) rows.delete(key)
  else rows.set(key, row)
}

function show(rows: ReadonlyMap<number, Row>): string {
  return JSON.stringify([...rows].sort(([a], [b]) => a - b).map(([key, { unique, value }]) => `${key}:u${unique}=${value}`))
}
