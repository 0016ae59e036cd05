/**
 * Random model of a stream with one source (PROTOCOLS 1.2–1.5) over the engine's own tail consumer and appliers, without a server, in a time that only the model moves on: one to three targets, lanes, transactions that go in
 * parts, torn groups, chunks that come late, land together, are thrown away or meet a statement, keys that change to another spelling which the collation equates, rows and unique values that wander between targets and rows, deaths.
 *
 * However it is interleaved: whenever a target stands between two rounds, past its intent, it holds exactly the source's rows at X, of all keys that were copied or that the tail has brought; and all is applied some time after the
 * last write. But for one case, as in `landing.model.ts`: a row that a landing drops because the tail has read its key, though not applied it here yet, is missing until that is applied.
 */
import { mock } from 'node:test'
import { compareCoordinates } from '../../src/move/tables.ts'
import { equated, FakeTarget, otherSpelling, rowText, sameRow, type ModelEvent, type ModelRow, type TestCoordinate } from './fake-target.ts'
import { LoggedSource } from './one-source.source.ts'
import { OneSourceStream, shardKeys, targetsOfShardKeys, type OneSourceWorld, type OneTarget } from './one-source.stream.ts'
import { Random } from './random.ts'

const [keyCount, uniqueCount] = [6, 8]
/** Of the model's time, behind the last write. */
const patienceMs = 20_000

/** What is wrong, or null. */
export async function runOneSource(seed: number, say: (line: string) => void = () => undefined): Promise<string | null> {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    return await new OneSource(seed, say).run()
  } finally {
    mock.timers.reset()
  }
}

class OneSource {
  readonly #random: Random
  readonly #source: LoggedSource
  readonly #world: OneSourceWorld
  readonly #stream: OneSourceStream
  readonly #targetOf: readonly number[]
  /** Per target: rows that a landing dropped, until the place of the event that brings them. */
  readonly #owed: readonly Map<number, TestCoordinate>[]
  readonly #landed: readonly Set<number>[]
  readonly #tears: boolean
  #begin: TestCoordinate = { marker: 0, groups: 0 }
  #value = 0
  #nowMs = 0
  #wrong: string | null = null

  constructor(seed: number, say: (line: string) => void) {
    const random = new Random(seed)
    this.#random = random
    this.#source = new LoggedSource(say)
    const targets = random.pick([1, 2, 2, 3])
    const keysWait = random.chance(0.3)
    const partBytesMax = random.pick([1, 400, 1 << 20])
    // A torn transaction of which parts were applied stops the stream.
    this.#tears = partBytesMax === 1 << 20
    this.#targetOf = targetsOfShardKeys(targets)
    this.#owed = Array.from({ length: targets }, () => new Map<number, TestCoordinate>())
    this.#landed = Array.from({ length: targets }, () => new Set<number>())
    this.#world = {
      random,
      say,
      nowMs: () => this.#nowMs,
      source: this.#source,
      targets: Array.from({ length: targets }, (_, number) => {
        const stored = new KeptOnTarget(
          (path) => this.#hasLanded(number, path),
          (what) => (this.#wrong ??= `target ${number}: ${what}`),
        )
        return { number, table: new FakeTarget(!keysWait), stored }
      }),
      ranges: [[0, 1, 2], [3, 4], [5]],
      lanes: random.pick([1, 2, 3]),
      oneLaneChangesMax: random.pick([0, 1, 100]),
      pendingBytesMax: random.pick([1, 400, 1 << 20]),
      partBytesMax,
      copyMs: random.pick([0, 20, 100]),
      throwsAway: random.chance(0.3),
      pressing: random.pick([0, 0.05, 0.5]),
      onBoundary: (target, at, told) => this.#look(target, at, told),
    }
    this.#stream = new OneSourceStream(this.#world)
  }

  async run(): Promise<string | null> {
    const random = this.#random
    for (let left = random.between(4, 12); left > 0; left--) this.#write()
    this.#source.makeVisible()
    this.#begin = this.#source.last
    for (const { stored } of this.#world.targets) stored.at = stored.intent = this.#begin
    this.#stream.begin()
    try {
      return await this.#live()
    } finally {
      this.#stream.end()
    }
  }

  async #live(): Promise<string | null> {
    const random = this.#random
    const often = random.pick([0.4, 0.2, 0.05])
    let [writes, deaths, statements] = [random.between(20, 60), random.below(5), random.pick([0, 1, 2, 3])]
    for (let sinceMs = 0; sinceMs < patienceMs;) {
      await this.#tick()
      if (this.#wrong !== null) return this.#wrong
      if (random.chance(0.2)) this.#source.makeVisible()
      if (writes > 0 && random.chance(often)) {
        this.#write()
        writes--
      } else if (statements > 0 && random.chance(0.02)) {
        this.#source.statement()
        statements--
      } else if (deaths > 0 && random.chance(0.02)) {
        deaths--
        this.#stream.begin()
      } else if (writes === 0) {
        if (deaths === 0 && this.#stream.isUp) {
          for (const target of this.#world.targets) this.#look(target, this.#source.last, false)
          return this.#wrong
        }
        sinceMs++
      }
    }
    return `stands still: ${this.#stream.told()}`
  }

  async #tick(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (this.#stream.failure !== null) throw this.#stream.failure
    this.#nowMs++
    mock.timers.tick(1)
  }

  // ---- the application ----

  #write(): void {
    const random = this.#random
    const rows = new Map(this.#source.rows)
    const events: ModelEvent[] = []
    const put = (key: number, before: ModelRow | null, after: ModelRow | null): void => {
      events.push({ key, before, after })
      if (after === null) rows.delete(equated(key))
      else rows.set(equated(key), after)
    }
    const [one, other] = random.shuffle([...rows.values()])
    if (one !== undefined && other !== undefined && random.chance(0.1)) {
      // Two rows swap their unique values in one transaction.
      put(one.key, one, { ...one, unique: other.unique, value: ++this.#value })
      put(other.key, other, { ...other, unique: one.unique, value: ++this.#value })
    }
    for (let left = random.pick([1, 1, 2, 4]); left > 0; left--) {
      const slot = random.below(keyCount)
      const before = rows.get(slot) ?? null
      const key = before?.key ?? random.pick([slot, otherSpelling(slot)])
      if (before !== null && random.chance(0.15)) {
        // One event of two keys, as an UPDATE of the key is; the engine makes a delete and an upsert of it.
        const after = { ...before, key: otherSpelling(key), value: ++this.#value }
        put(after.key, before, after)
      } else if (before !== null && random.chance(0.3)) {
        put(key, before, null)
      } else {
        const used = new Set([...rows].filter(([one]) => one !== slot).map(([, { unique }]) => unique))
        const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
        const shardKey = before !== null && random.chance(0.6) ? before.shardKey : random.below(shardKeys)
        put(key, before, { key, shardKey, unique: random.pick(free), value: ++this.#value })
      }
    }
    if (this.#tears && random.chance(0.3)) {
      this.#source.torn(random.chance(0.5) ? events : events.slice(0, 1))
      if (random.chance(0.7)) return
    }
    this.#source.commit(events)
    if (random.chance(0.5)) this.#source.makeVisible()
  }

  // ---- what must hold ----

  #isOf({ before, after }: ModelEvent, target: number): boolean {
    return [before, after].some((row) => row !== null && this.#targetOf[row.shardKey] === target)
  }

  /** In the moment of its commit: what it dropped comes with the next event of the key. */
  #hasLanded(number: number, path: number): void {
    const stored = this.#world.targets[number]?.stored
    if (stored === undefined || this.#landed[number]?.has(path) !== false) return
    this.#landed[number].add(path)
    const at = this.#stream.appliedAt(number)
    for (const key of this.#world.ranges[path] ?? []) {
      const comes = this.#source.log
        .slice(0, this.#stream.given)
        .find(
          (group) => group.kind === 'rows' && compareCoordinates(group.at, at) > 0 && group.events.some((event) => keysOf(event).has(key)),
        )
      if (comes !== undefined) this.#owed[number]?.set(key, comes.at)
    }
  }

  /** @param told it was told that the target is whole there: a run that begins again then begins behind all that was written */
  #look({ number, table, stored }: OneTarget, at: TestCoordinate, told: boolean): void {
    const { rows, came } = this.#source.stateAt(at, this.#begin)
    if (told && compareCoordinates(stored.at, at) < 0) {
      const again = this.#source.log.find(
        (group) =>
          group.kind === 'rows' && compareCoordinates(group.at, stored.at) > 0 && group.events.some((event) => this.#isOf(event, number)),
      )
      if (again !== undefined && compareCoordinates(again.at, at) <= 0)
        this.#wrong ??= `${this.#nowMs} target ${number} says that it is whole at ${at.marker}/${at.groups}, and its position is stored before ${again.at.marker}/${again.at.groups}`
    }
    const landed = this.#landed[number] ?? new Set()
    for (let key = 0; key < keyCount; key++) {
      const known = came.has(key) || this.#world.ranges.some((range, path) => landed.has(path) && range.includes(key))
      const source = rows.get(key)
      const want = known && source !== undefined && this.#targetOf[source.shardKey] === number ? source : undefined
      const have = table.rows.get(key)
      if (sameRow(want, have)) continue
      const owed = this.#owed[number]?.get(key)
      if (have === undefined && owed !== undefined && compareCoordinates(owed, at) > 0) continue
      const [has, should] = [have, want].map((row) => (row === undefined ? 'nothing' : rowText(row)))
      this.#wrong ??= `${this.#nowMs} target ${number} at ${at.marker}/${at.groups} has of key ${key} ${has} instead of ${should}; ${this.#stream.told()}`
      return
    }
  }
}

/** What a target keeps of the stream: it tells of each range when the transaction that lands it commits, and of a position that moves back. */
class KeptOnTarget {
  readonly held = new Map<string, string>()
  readonly landed: Set<number>
  intent: TestCoordinate = { marker: 0, groups: 0 }
  readonly #wrong: (what: string) => void
  #at: TestCoordinate = { marker: 0, groups: 0 }

  constructor(landed: (path: number) => void, wrong: (what: string) => void) {
    this.landed = new LandedRanges(landed)
    this.#wrong = wrong
  }

  get at(): TestCoordinate {
    return this.#at
  }

  set at(to: TestCoordinate) {
    if (compareCoordinates(to, this.#at) < 0)
      this.#wrong(`its position goes back from ${this.#at.marker}/${this.#at.groups} to ${to.marker}/${to.groups}`)
    this.#at = to
  }
}

const keysOf = ({ before, after }: ModelEvent): ReadonlySet<number> =>
  new Set([before, after].flatMap((row) => (row === null ? [] : [equated(row.key)])))

class LandedRanges extends Set<number> {
  readonly #tell: (path: number) => void

  constructor(tell: (path: number) => void) {
    super()
    this.#tell = tell
  }

  override add(path: number): this {
    super.add(path)
    this.#tell(path)
    return this
  }
}
