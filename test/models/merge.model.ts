/**
 * Random model of several sources that feed one target (PROTOCOLS 1.6: a merge, an uneven move, every reverse of a split), with
 * what the first model of it left out: lanes, crashes and collisions within a round, chunks and their landing, unique keys that wait for the rows (1.12), shard
 * keys that change within a source, moves between sources that commit in either order.
 *
 * Rows and their unique values wander between two sources as an application moves them; each source's log has its own order and
 * the target's streams are not ordered with each other. A stream owns the rows whose shard key is in its source's range. At each
 * boundary of a stream past its intent, the target's rows that it owns must be its source's at that position, of all
 * keys that were copied or that its tail has brought; at the end the target must hold the union.
 */
import { Random } from './random.ts'

export type MergeRules = {
  /** Which rows a round deletes of its keys: those whose shard key is in any image of the key in the round; only in the first or the last; or by key alone. */
  deletes: 'any image' | 'first image' | 'last image' | 'key alone'
  /** Rows are inserted plainly, and 1062 means that another stream's row stands there; or they replace what stands. */
  inserts: 'plain' | 'replace'
  /** What landing does with rows that the tail left untouched since the low marker. */
  landing: 'own rows deleted, then plain' | 'plain' | 'replace' | 'ignore'
  /** After 1062 a round goes up to a fresh marker; without: to its intent again. */
  longer: boolean
  /** A round stores where it goes, is taken again at least that far, and chunks land past it only. */
  intent: boolean
  /**
   * A round in one lane is one transaction with its position. After 1062 it is taken again in steps, so that its deletes stay
   * though its inserts collide; without: as one transaction each time.
   */
  stepsAfterCollision: boolean
  /**
   * Unique keys that waited for the rows (PROTOCOLS 1.12), when two rows of one value stand against them: built again when all streams have passed markers committed
   * since; given up; or the rows that stand in the way removed, as ALTER IGNORE did.
   */
  rebuild: 'repeated' | 'once' | 'rows removed'
  /** The application keeps unique values unique across sources. Without, two rows may collide for good: that must end in waiting, both rows kept. */
  uniqueAcross: boolean
}

export const mergeRules: MergeRules = {
  deletes: 'any image',
  inserts: 'plain',
  landing: 'own rows deleted, then plain',
  longer: true,
  intent: true,
  stepsAfterCollision: true,
  rebuild: 'repeated',
  uniqueAcross: true,
}

type Row = { key: number; shardKey: number; unique: number; value: number }
type Event = { key: number; before: Row | null; after: Row | null }
type Chunk = { low: number; high: number; rows: readonly Row[] }
type Stream = {
  source: number
  log: Event[][]
  rows: Map<number, Row>
  position: number
  intent: number
  landed: Set<number>
  inRound: boolean
}
/** What a stream remembers of a collision; a crash forgets it. */
type Retry = { atLeast: number; inSteps: boolean }

const keyCount = 5
const uniqueCount = 4
const shardKeyCount = 4
const chunkKeys = [
  [0, 1, 2],
  [3, 4],
]
const stepsMax = 4_000

class Collision extends Error {}
const collision = new Collision()

const sourceOf = (shardKey: number): number => shardKey % 2

/** What is wrong, or `null`. 'stuck' when the streams never drain. */
export function runMerge(seed: number, rules: MergeRules, trace?: (line: string) => void): string | null {
  const random = new Random(seed)
  const say = trace ?? (() => {})
  const withCopy = random.chance(0.6)
  /** The target's unique key stands; before that, only its primary key tells of another stream's row. */
  let uniqueBuilt = !withCopy || random.chance(0.5)
  const laneCount = random.pick([1, 1, 2, 3])
  const streams: Stream[] = [0, 1].map((source) => ({
    source,
    log: [],
    rows: new Map(),
    position: 0,
    intent: 0,
    landed: new Set(),
    inRound: false,
  }))
  const target = new Map<number, Row>()
  let value = 0

  // ---- the application ----
  const commit = (stream: Stream, events: Event[]): void => {
    for (const { key, after } of events) {
      if (after === null) stream.rows.delete(key)
      else stream.rows.set(key, after)
    }
    stream.log.push(events)
    say(`source ${stream.source} at ${stream.log.length}: ${events.map(showEvent).join('; ')}`)
  }
  const homeOf = (key: number): Stream | undefined => streams.find(({ rows }) => rows.has(key))
  const freeUnique = (asker: Stream): number | undefined => {
    const seen = rules.uniqueAcross ? streams : [asker]
    const used = new Set(seen.flatMap(({ rows }) => [...rows.values()].map(({ unique }) => unique)))
    const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
    return free.length === 0 ? undefined : random.pick(free)
  }
  const shardKeyOf = (source: number): number => source + 2 * random.below(shardKeyCount / 2)
  const write = (): void => {
    const key = random.below(keyCount)
    const home = homeOf(key)
    if (home === undefined) {
      const stream = random.pick(streams)
      const unique = freeUnique(stream)
      if (unique !== undefined)
        commit(stream, [{ key, before: null, after: { key, shardKey: shardKeyOf(stream.source), unique, value: ++value } }])
      return
    }
    const before = home.rows.get(key) as Row
    const action = random.unit()
    if (action < 0.25) return commit(home, [{ key, before, after: null }])
    if (action < 0.5) {
      const unique = random.chance(0.5) ? before.unique : (freeUnique(home) ?? before.unique)
      const shardKey = random.chance(0.5) ? before.shardKey : shardKeyOf(home.source)
      return commit(home, [{ key, before, after: { key, shardKey, unique, value: ++value } }])
    }
    if (action < 0.65) {
      // Two rows of one source swap their unique values in one transaction.
      const other = random.pick([...home.rows.values()])
      if (other.key === key) return
      return commit(home, [
        { key, before, after: { ...before, unique: other.unique, value: ++value } },
        { key: other.key, before: other, after: { ...other, unique: before.unique, value: ++value } },
      ])
    }
    // The row moves to the other source; two transactions, of which either may commit first.
    const away = streams[1 - home.source] as Stream
    if (!rules.uniqueAcross && [...away.rows.values()].some(({ unique }) => unique === before.unique)) return
    const moved = { key, shardKey: shardKeyOf(away.source), unique: before.unique, value: ++value }
    const parts = [() => commit(home, [{ key, before, after: null }]), () => commit(away, [{ key, before: null, after: moved }])]
    for (const part of random.chance(0.8) ? parts : parts.reverse()) part()
  }

  // ---- the target ----
  const collide = (one: Row, other: Row): boolean => one.key === other.key || (uniqueBuilt && one.unique === other.unique)
  /** One statement's worth of inserts in an open transaction: undone by the caller on a collision. */
  const insert = (into: Map<number, Row>, row: Row): void => {
    const standing = [...into.values()].filter((other) => collide(row, other))
    if (standing.length > 0 && rules.inserts === 'plain') {
      say(`  1062: ${showRow(row)} against ${standing.map(showRow).join(' and ')}`)
      throw collision
    }
    for (const { key } of standing) into.delete(key)
    into.set(row.key, row)
  }
  const replaceTarget = (rows: ReadonlyMap<number, Row>): void => {
    target.clear()
    for (const [key, row] of rows) target.set(key, row)
  }

  function* round(stream: Stream, retry: Retry): Generator<void> {
    const least = Math.max(stream.position + 1, rules.intent ? stream.intent : 0, retry.atLeast)
    const upTo = random.between(least, rules.longer || retry.atLeast === 0 ? stream.log.length + 1 : least + 1)
    stream.inRound = true
    const wanted = new Map<number, { final: Row | null; shardKeys: Set<number>; first: Row | null }>()
    for (const { key, before, after } of stream.log.slice(stream.position, upTo).flat()) {
      const one = wanted.get(key) ?? { final: null, shardKeys: new Set<number>(), first: before }
      for (const image of [before, after]) if (image !== null) one.shardKeys.add(image.shardKey)
      one.final = after
      wanted.set(key, one)
    }
    const erase = (from: Map<number, Row>, key: number): void => {
      const row = from.get(key)
      const { shardKeys, first, final } = wanted.get(key) as { final: Row | null; shardKeys: Set<number>; first: Row | null }
      if (row === undefined) return
      const matches = {
        'any image': () => shardKeys.has(row.shardKey),
        'first image': () => row.shardKey === (first ?? final)?.shardKey,
        'last image': () => row.shardKey === (final ?? first)?.shardKey,
        'key alone': () => true,
      }[rules.deletes]()
      if (matches) from.delete(key)
    }
    const keys = [...wanted.keys()]
    say(`stream ${stream.source}: round ${stream.position} to ${upTo}, keys ${keys.join(',')}`)
    if (rules.intent) stream.intent = Math.max(stream.intent, upTo)
    if (laneCount === 1 && !retry.inSteps) {
      // One transaction: deletes, inserts, position.
      const rows = new Map(target)
      for (const key of keys) erase(rows, key)
      for (const key of keys) insertFinal(rows, key)
      replaceTarget(rows)
      stream.position = upTo
    } else {
      for (const apply of [erase, insertFinal]) {
        for (const lane of random.shuffle(Array.from({ length: laneCount }, (_, i) => i))) {
          const rows = new Map(target)
          for (const key of keys) if (key % laneCount === lane) apply(rows, key)
          replaceTarget(rows)
          yield
        }
      }
      stream.position = upTo
    }
    if (!rules.intent) stream.intent = upTo
    stream.inRound = false
    say(`stream ${stream.source} stands at ${upTo}`)

    function insertFinal(into: Map<number, Row>, key: number): void {
      const final = wanted.get(key)?.final ?? null
      if (final !== null) insert(into, final)
    }
  }

  const land = (stream: Stream, id: number, { low, rows }: Chunk): void => {
    const touched = new Set(
      stream.log
        .slice(low, stream.position)
        .flat()
        .map(({ key }) => key),
    )
    const after = new Map(target)
    for (const row of rows.filter(({ key }) => !touched.has(key))) {
      const standing = [...after.values()].filter((other) => collide(row, other))
      if (rules.landing === 'own rows deleted, then plain') {
        const own = after.get(row.key)
        if (own?.shardKey === row.shardKey) after.delete(row.key)
      } else if (rules.landing === 'replace') {
        for (const { key } of standing) after.delete(key)
      } else if (rules.landing === 'ignore' && standing.length > 0) {
        continue
      }
      if ([...after.values()].some((other) => collide(row, other))) {
        say(`  1062: chunk ${id} of source ${stream.source} waits`)
        return
      }
      after.set(row.key, row)
    }
    replaceTarget(after)
    stream.landed.add(id)
    say(`chunk ${id} of source ${stream.source} landed at ${stream.position}`)
  }

  /** Where each stream must have come to before the unique key is tried again. */
  let tryAgainAt = [0, 0]
  const rebuild = (): void => {
    if (uniqueBuilt || streams.some(({ landed, inRound }) => inRound || landed.size < chunkKeys.length)) return
    if (streams.some(({ position, intent }, i) => tryAgainAt[i]! > 0 && (position < intent || position < tryAgainAt[i]!))) return
    const rows = [...target.values()]
    const doubled = rows.filter((row, i) => rows.slice(0, i).some(({ unique }) => unique === row.unique))
    if (doubled.length === 0 || rules.rebuild === 'rows removed') {
      for (const { key } of doubled) target.delete(key)
      uniqueBuilt = true
      say('the unique key stands')
      return
    }
    say(`the unique key meets ${doubled.map(showRow).join(' ')}`)
    tryAgainAt = streams.map(({ log }) => (rules.rebuild === 'once' ? Infinity : log.push([])))
  }

  /** One life of a stream: until a crash throws it away. */
  function* session(stream: Stream): Generator<void> {
    const inFlight = new Map<number, Chunk>()
    let retry: Retry = { atLeast: 0, inSteps: false }
    stream.inRound = false
    for (;;) {
      yield
      const todo = chunkKeys.map((_, id) => id).filter((id) => !stream.landed.has(id) && !inFlight.has(id))
      if (todo.length > 0 && random.chance(0.3)) {
        const id = random.pick(todo)
        stream.log.push([])
        const low = stream.log.length
        yield
        const rows = [...stream.rows.values()].filter(({ key }) => (chunkKeys[id] as number[]).includes(key))
        yield
        stream.log.push([])
        inFlight.set(id, { low, high: stream.log.length, rows })
        say(`chunk ${id} of source ${stream.source} read between ${low} and ${stream.log.length}: ${rows.map(showRow).join(' ')}`)
      }
      for (const [id, chunk] of inFlight) {
        if (stream.position < chunk.high || stream.position < stream.intent || random.chance(0.4)) continue
        land(stream, id, chunk)
        if (stream.landed.has(id)) inFlight.delete(id)
      }
      if (stream.position === stream.log.length) continue
      try {
        yield* round(stream, retry)
        retry = { atLeast: 0, inSteps: false }
      } catch (error) {
        if (error !== collision) throw error
        // As after a crash: the position stays. The marker is committed now, after all that any stream has applied.
        stream.inRound = false
        if (rules.longer) stream.log.push([])
        retry = { atLeast: rules.longer ? stream.log.length : Math.max(stream.intent, retry.atLeast), inSteps: rules.stepsAfterCollision }
      }
    }
  }

  const differs = (stream: Stream): string | null => {
    if (stream.inRound || (rules.intent && stream.position < stream.intent)) return null
    const known = withCopy ? new Set([...stream.landed].flatMap((id) => chunkKeys[id] as number[])) : null
    const want = new Map<number, Row>()
    for (const [position, events] of stream.log.slice(0, stream.position).entries()) {
      for (const { key, after } of events) {
        if (position >= start[stream.source]!) known?.add(key)
        if (after === null) want.delete(key)
        else want.set(key, after)
      }
    }
    const expected = [...want.values()].filter(({ key }) => known === null || known.has(key))
    const owned = [...target.values()].filter(({ shardKey }) => sourceOf(shardKey) === stream.source)
    const same = expected.length === owned.length && owned.every((row) => want.get(row.key) === row)
    return same
      ? null
      : `stream ${stream.source} at ${stream.position}: ${owned.map(showRow).join(' ')} instead of ${expected.map(showRow).join(' ')}`
  }

  // ---- the run ----
  for (let left = random.between(4, 12); left > 0; left--) write()
  const start = streams.map(({ log }) => log.length)
  for (const stream of streams) {
    stream.position = stream.intent = stream.log.length
    if (withCopy) continue
    // The reverse of a split: the target had every row when the streams began.
    stream.landed = new Set(chunkKeys.map((_, id) => id))
    for (const [key, row] of stream.rows) target.set(key, row)
  }
  const sessions = streams.map(session)
  let writes = random.between(4, 20)
  let crashes = random.below(4)
  for (let step = 0; step < stepsMax; step++) {
    const i = random.below(2)
    if (writes > 0 && random.chance(0.25)) {
      writes--
      write()
    } else if (crashes > 0 && random.chance(0.02)) {
      crashes--
      sessions[i] = session(streams[i] as Stream)
      say(`stream ${i} crashes at ${streams[i]!.position} of intent ${streams[i]!.intent}`)
    } else {
      ;(sessions[i] as Generator<void>).next()
      rebuild()
      const wrong = differs(streams[i] as Stream)
      if (wrong !== null) return wrong
    }
    if (
      writes === 0 &&
      uniqueBuilt &&
      streams.every(({ position, log, landed }) => position === log.length && landed.size === chunkKeys.length)
    ) {
      const union = streams.flatMap(({ rows }) => [...rows.values()])
      const same = union.length === target.size && union.every((row) => target.get(row.key) === row)
      return same ? null : `at the end: ${[...target.values()].map(showRow).join(' ')} instead of ${union.map(showRow).join(' ')}`
    }
  }
  const rows = streams.flatMap((stream) => [...stream.rows.values()])
  const collides = rows.some((row) => rows.some((other) => other !== row && (other.unique === row.unique || other.key === row.key)))
  if (!rules.uniqueAcross && collides) return null
  const streamsAt = streams.map(({ position, log, landed }) => `${position}/${log.length}, ${landed.size} chunks`).join(' and ')
  return `stuck at ${streamsAt}${uniqueBuilt ? '' : ', without the unique key'}`
}

function showRow({ key, shardKey, unique, value }: Row): string {
  return `k${key}(s${shardKey} u${unique} v${value})`
}

function showEvent({ key, before, after }: Event): string {
  return before === null ? `+${showRow(after as Row)}` : after === null ? `-k${key}` : `${showRow(before)}→${showRow(after)}`
}
