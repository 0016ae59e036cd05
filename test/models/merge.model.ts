/**
 * Random model of several sources that feed one target (PROTOCOLS 1.6: a merge, an uneven move, every reverse of a split), with
 * what the first model of it left out: lanes, crashes and collisions within a round, chunks and their landing, unique keys that wait for the rows (1.12), shard
 * keys that change within a source, moves between sources that commit in either order.
 *
 * What it tries is the engine's own: `Pending` with `putBack`, `roundStatements`, `TouchedKeys`, `boundary.ts`, segments and landing statements, over a target that
 * executes what is printed (`fake-target.ts`).
 *
 * Rows and their unique values wander between two sources as an application moves them; each source's log has its own order and
 * the target's streams are not ordered with each other. A stream owns the rows whose shard key is in its source's range. At each
 * boundary of a stream past its intent, the target's rows that it owns must be its source's at that position, of all
 * keys that were copied or that its tail has brought; at the end the target must hold the union.
 */
import { goesInOneTransaction, intentToStore, isPastHighMarker, standsAtBoundary } from '../../src/move/boundary.ts'
import type { Chunk } from '../../src/move/chunk.ts'
import { Pending, type Change, type Round } from '../../src/move/pending.ts'
import { roundStatements, type LaneStatements, type WriteMode } from '../../src/move/statements.ts'
import type { TablePlan } from '../../src/move/table-plan.ts'
import { TouchedKeys } from '../../src/move/touched.ts'
import {
  addEvent,
  changed,
  chunkOf,
  Collision,
  FakeTarget,
  landing,
  modelTable,
  sameRow,
  stampAt,
  type ModelEvent as Event,
  type ModelRow as Row,
  type TestCoordinate,
} from './fake-target.ts'
import type { MergeRules } from './merge.rules.ts'
import { Random } from './random.ts'

type Group = { readonly events: readonly Event[]; readonly marker: number | null; readonly at: TestCoordinate }
type Stream = {
  source: number
  log: Group[]
  markers: number
  rows: Map<number, Row>
  position: number
  intent: number
  landed: Set<number>
  inRound: boolean
}
/** What a stream remembers of a collision; a crash forgets it. */
type Retry = { atLeast: number; inSteps: boolean; held: { round: Round; upTo: number } | null }

const keyCount = 5
const uniqueCount = 4
const shardKeyCount = 4
const chunkKeys = [
  [0, 1, 2],
  [3, 4],
]
const stepsMax = 2_000

const sourceOf = (shardKey: number): number => shardKey % 2

/** What is wrong, or `null`. 'stuck' when the streams never drain. */
export function runMerge(seed: number, rules: MergeRules, trace?: (line: string) => void): string | null {
  const random = new Random(seed)
  const say = trace ?? (() => {})
  const withCopy = random.chance(0.6) || rules.keysWait === 'each'
  /** Before its unique key stands, only its primary key tells of another stream's row. */
  const target = new FakeTarget(!withCopy || (random.chance(0.5) && rules.keysWait === 'some'))
  const laneCount = random.pick([1, 1, 2, 3])
  const streams: Stream[] = [0, 1].map((source) => ({
    source,
    log: [],
    markers: 0,
    rows: new Map(),
    position: 0,
    intent: 0,
    landed: new Set(),
    inRound: false,
  }))
  let value = 0

  const placeOf = ({ log }: Stream, position: number): TestCoordinate => log[position - 1]?.at ?? { marker: 0, groups: 0 }
  const marker = (stream: Stream): number => {
    stream.log.push({ events: [], marker: ++stream.markers, at: { marker: stream.markers, groups: 0 } })
    return stream.log.length
  }
  const consistent = (stream: Stream): boolean => standsAtBoundary(placeOf(stream, stream.position), placeOf(stream, stream.intent))

  // ---- the application ----
  const commit = (stream: Stream, events: Event[]): void => {
    for (const { key, after } of events) {
      if (after === null) stream.rows.delete(key)
      else stream.rows.set(key, after)
    }
    stream.log.push({
      events,
      marker: null,
      at: { ...placeOf(stream, stream.log.length), groups: placeOf(stream, stream.log.length).groups + 1 },
    })
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
  const owns =
    (stream: Stream) =>
    ({ shardKey }: Row): boolean =>
      sourceOf(shardKey) === stream.source
  const statementsOf = (round: Round, events: readonly Event[], lanes: number): LaneStatements[] => {
    const images = (change: Change): readonly string[] | null => {
      const ofKey = events.filter(({ key }) => String(key) === change.key)
      const [first, final] = [ofKey[0]?.before ?? null, ofKey.at(-1)?.after ?? null]
      if (rules.deletes === 'any image') return change.images
      const row = rules.deletes === 'first image' ? (first ?? final) : (final ?? first)
      return row === null ? change.images : [String(row.shardKey)]
    }
    const print = (change: (change: Change) => Change, mode: WriteMode): LaneStatements[] =>
      roundStatements(changed(round, change), mode, 't', lanes)
    const printed = print((change) => ({ ...change, images: images(change) }), 'several-sources')
    const alone = rules.deletes === 'key alone' ? print((change) => ({ ...change, row: null }), 'one-source') : printed
    const replaced = rules.inserts === 'replace' ? print((change) => change, 'one-source') : printed
    return printed.map((_, lane) => ({ deletes: alone[lane]?.deletes ?? [], upserts: replaced[lane]?.upserts ?? [], rows: [] }))
  }

  function* round(stream: Stream, retry: Retry, read: (upTo: number) => void): Generator<void> {
    const least = Math.max(stream.position + 1, retry.atLeast)
    const upTo = random.between(least, rules.longer || retry.atLeast === 0 ? stream.log.length + 1 : least + 1)
    read(upTo)
    stream.inRound = true
    const pending = new Pending()
    const since = retry.held?.upTo ?? stream.position
    for (const event of stream.log.slice(since, upTo).flatMap(({ events }) => events))
      addEvent(pending, event, owns(stream), 'several-sources')
    if (retry.held !== null) pending.putBack(retry.held.round)
    const taken = pending.take(stampAt(placeOf(stream, upTo), upTo))
    retry.held = { round: taken, upTo }
    const events = stream.log.slice(stream.position, upTo).flatMap((group) => group.events)
    say(`stream ${stream.source}: round ${stream.position} to ${upTo}, ${taken.count} keys`)
    if (
      goesInOneTransaction(taken.count, { oneLaneChangesMax: laneCount === 1 ? taken.count : -1, collisionsInRow: retry.inSteps ? 1 : 0 })
    ) {
      // One transaction: deletes, inserts, position.
      target.transaction(statementsOf(taken, events, 1).flatMap(({ deletes, upserts }) => [...deletes, ...upserts]))
    } else {
      if (rules.intent && intentToStore(taken.stamp, placeOf(stream, stream.intent)) !== null) stream.intent = upTo
      const lanes = statementsOf(taken, events, laneCount)
      for (const part of ['deletes', 'upserts'] as const) {
        for (const lane of random.shuffle(lanes)) {
          target.transaction(lane[part])
          yield
        }
      }
    }
    stream.position = upTo
    if (!rules.intent) stream.intent = upTo
    stream.inRound = false
    say(`stream ${stream.source} stands at ${upTo}`)
  }

  const land = (stream: Stream, id: number, chunk: Chunk, touched: TouchedKeys<TablePlan>): void => {
    const sets = touched.setsSince(modelTable, chunk.generation ?? 0)
    const drop = (key: string): boolean => sets.some((set) => set.has(key))
    const mode = rules.landing === 'replace' ? 'one-source' : 'several-sources'
    try {
      landWithout(chunk, mode, drop)
    } catch (error) {
      if (!(error instanceof Collision)) throw error
      say(`  ${error.message}: chunk ${id} of source ${stream.source}`)
      if (!landAgain(chunk, drop)) return
    }
    stream.landed.add(id)
    say(`chunk ${id} of source ${stream.source} landed at ${stream.position}`)
  }
  const landWithout = (chunk: Chunk, mode: 'one-source' | 'several-sources', drop: (key: string) => boolean): void =>
    target.transaction(landing(chunk, 0, mode, drop))
  const landAgain = (chunk: Chunk, drop: (key: string) => boolean): boolean => {
    const rows = rowsOf(chunk)
    const without = {
      'plain, own rows left out': ({ key, shardKey }: Row) => target.rows.get(key)?.shardKey === shardKey,
      ignore: (row: Row) =>
        [...target.rows.values()].some(({ key, unique }) => key === row.key || (target.uniqueKey && unique === row.unique)),
      plain: null,
      replace: null,
    }[rules.landing]
    if (without === null) return false
    const left = new Set(rows.filter(without).map(({ key }) => String(key)))
    try {
      landWithout(chunk, 'several-sources', (key) => left.has(key) || drop(key))
      return true
    } catch (error) {
      if (!(error instanceof Collision)) throw error
      return false
    }
  }

  /** Where each stream must have come to before the unique key is tried again. */
  let tryAgainAt = [0, 0]
  const rebuild = (): void => {
    if (target.uniqueKey || streams.some(({ landed, inRound }) => inRound || landed.size < chunkKeys.length)) return
    if (streams.some((stream, i) => tryAgainAt[i]! > 0 && (!consistent(stream) || stream.position < tryAgainAt[i]!))) return
    const rows = [...target.rows.values()]
    const doubled = rows.filter((row, i) => rows.slice(0, i).some(({ unique }) => unique === row.unique))
    if (doubled.length === 0 || rules.rebuild === 'rows removed') {
      for (const { key } of doubled) target.rows.delete(key)
      target.uniqueKey = true
      say('the unique key stands')
      return
    }
    say(`the unique key meets ${doubled.map(showRow).join(' ')}`)
    tryAgainAt = streams.map((stream) => (rules.rebuild === 'once' ? Infinity : marker(stream)))
  }

  /** One life of a stream: until a crash throws it away. */
  function* session(stream: Stream): Generator<void> {
    const inFlight = new Map<number, Chunk>()
    const touched = new TouchedKeys<TablePlan>()
    let retry: Retry = { atLeast: 0, inSteps: false, held: null }
    let readTo = stream.position
    const read = (upTo: number): void => {
      for (; readTo < upTo; readTo++) {
        const { events, marker } = stream.log[readTo] as Group
        if (marker !== null) touched.met(marker)
        for (const { key } of events) touched.add(modelTable, String(key))
      }
    }
    stream.inRound = false
    for (;;) {
      yield
      const todo = chunkKeys.map((_, id) => id).filter((id) => !stream.landed.has(id) && !inFlight.has(id))
      if (todo.length > 0 && random.chance(0.3)) {
        const id = random.pick(todo)
        const generation = touched.begin(stream.markers + 1)
        marker(stream)
        yield
        const rows = [...stream.rows.values()].filter(({ key }) => (chunkKeys[id] as number[]).includes(key))
        yield
        marker(stream)
        const mode = rules.landing === 'replace' ? 'one-source' : 'several-sources'
        const of = { mode, targets: 1, targetOf: () => 0, generation, highMarker: stream.markers, readAtMs: 0, path: String(id) } as const
        inFlight.set(id, chunkOf(rows, of))
        say(`chunk ${id} of source ${stream.source} read: ${rows.map(showRow).join(' ')}`)
      }
      for (const [id, chunk] of inFlight) {
        if (!isPastHighMarker(chunk, placeOf(stream, stream.position)) || !consistent(stream) || random.chance(0.4)) continue
        land(stream, id, chunk, touched)
        if (stream.landed.has(id) && inFlight.delete(id)) touched.release(chunk.generation ?? 0)
      }
      if (stream.position === stream.log.length) continue
      try {
        yield* round(stream, retry, read)
        retry = { atLeast: 0, inSteps: false, held: null }
      } catch (error) {
        if (!(error instanceof Collision)) throw error
        // As after a crash: the position stays. The marker is committed now, after all that any stream has applied.
        say(`  ${error.message}: stream ${stream.source}`)
        stream.inRound = false
        const { held } = retry
        if (rules.intent) stream.intent = Math.max(stream.intent, held?.upTo ?? 0)
        if (rules.longer) marker(stream)
        const atLeast = rules.longer ? stream.log.length : Math.max(stream.intent, retry.atLeast)
        retry = { atLeast, inSteps: rules.stepsAfterCollision, held }
      }
    }
  }

  const differs = (stream: Stream): string | null => {
    if (stream.inRound || (rules.intent && !consistent(stream))) return null
    const known = withCopy ? new Set([...stream.landed].flatMap((id) => chunkKeys[id] as number[])) : null
    const want = new Map<number, Row>()
    for (const [position, { events }] of stream.log.slice(0, stream.position).entries()) {
      for (const { key, after } of events) {
        if (position >= start[stream.source]!) known?.add(key)
        if (after === null) want.delete(key)
        else want.set(key, after)
      }
    }
    const expected = [...want.values()].filter(({ key }) => known === null || known.has(key))
    const owned = [...target.rows.values()].filter(owns(stream))
    const same = expected.length === owned.length && owned.every((row) => sameRow(want.get(row.key), row))
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
    for (const [key, row] of stream.rows) target.rows.set(key, row)
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
      target.uniqueKey &&
      streams.every(({ position, log, landed }) => position === log.length && landed.size === chunkKeys.length)
    ) {
      const union = streams.flatMap(({ rows }) => [...rows.values()])
      const same = union.length === target.rows.size && union.every((row) => sameRow(target.rows.get(row.key), row))
      return same ? null : `at the end: ${[...target.rows.values()].map(showRow).join(' ')} instead of ${union.map(showRow).join(' ')}`
    }
  }
  const rows = streams.flatMap((stream) => [...stream.rows.values()])
  const collides = rows.some((row) => rows.some((other) => other !== row && (other.unique === row.unique || other.key === row.key)))
  if (!rules.uniqueAcross && collides) return null
  const streamsAt = streams.map(({ position, log, landed }) => `${position}/${log.length}, ${landed.size} chunks`).join(' and ')
  return `stuck at ${streamsAt}${target.uniqueKey ? '' : ', without the unique key'}`
}

function showRow({ key, shardKey, unique, value }: Row): string {
  return `k${key}(s${shardKey} u${unique} v${value})`
}

function showEvent({ key, before, after }: Event): string {
  return before === null ? `+${showRow(after as Row)}` : after === null ? `-k${key}` : `${showRow(before)}→${showRow(after)}`
}

function rowsOf(chunk: Chunk): Row[] {
  return (chunk.parts[0]?.segments ?? []).flatMap((segment) =>
    Array.from({ length: segment.rows }, (_, i) => {
      const [key = 0, shardKey = 0, unique = 0, value = 0] = segment.rowLiteral(i).split(',').map(Number)
      return { key, shardKey, unique, value }
    }),
  )
}
