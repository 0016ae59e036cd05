/**
 * Random model of the waits of a merge (docs/movement-rules.md, "Who waits for whom"): two or three streams with the engine's own `TargetApplier` each, over one or two targets without a server, in a time that only the
 * model moves on. Rows and unique values wander between the sources and the targets, most transactions go in parts, little may wait, tables are copied in ranges whose chunks meet others' rows, statements are met at which
 * all must be applied, streams line up, die and begin again at what they had stored.
 *
 * However it is interleaved: whenever a target says that it stands at a boundary, with no row held back, it holds what its source held there, for each range that has landed; and all is applied some time after the last write,
 * when the targets hold the union. What is modelled is the application, the servers, and who feeds the appliers (`streams.stream.ts`).
 */
import { mock } from 'node:test'
import { TargetShare } from '../../src/move/exclusion.ts'
import { FakeTarget, rowText, sameRow, type ModelEvent, type ModelRow, type TestCoordinate } from './fake-target.ts'
import { Random } from './random.ts'
import { ModelSource } from './streams.source.ts'
import { ModelStream, type StreamsWorld } from './streams.stream.ts'

const [keyCount, uniqueCount] = [6, 4]
/** Of the model's time, behind the last write: pauses of rows held back are 2 s at most, as are those of chunks, and streams line up for 16 s at most. */
const patienceMs = 120_000

/** What is wrong, or null. */
export async function runStreams(seed: number, say: (line: string) => void = () => undefined): Promise<string | null> {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    const streams = new Streams(seed, say)
    try {
      return await streams.run()
    } finally {
      // Also where something is wrong: nobody runs on in the time of the next.
      streams.end()
    }
  } finally {
    mock.timers.reset()
  }
}

/**
 * Rows go from source to source all the time, forty a second, and the second stream is half a second behind the first: at any time some ten rows of the first collide with what the second has yet to take away.
 * Returns how long each target was without coming to a boundary, at most.
 */
export async function boundariesApart(seed: number): Promise<number[]> {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    return await new Streams(seed, () => undefined, { keys: 60, lagMs: 500 }).wander(20_000)
  } finally {
    mock.timers.reset()
  }
}

class Streams {
  readonly #random: Random
  readonly #sources: readonly ModelSource[]
  readonly #streams: readonly ModelStream[]
  readonly #world: StreamsWorld
  readonly #size: { readonly keys: number; readonly lagMs: number } | null
  #value = 0
  #nowMs = 0
  #wrong: string | null = null
  /** Tails of sources that are held up. */
  readonly #standsUntilMs = new Map<number, number>()

  /** @param size of a table whose rows wander, with time for the streams to be apart */
  constructor(seed: number, say: (line: string) => void, size: { readonly keys: number; readonly lagMs: number } | null = null) {
    const random = new Random(seed)
    this.#random = random
    this.#size = size
    const nowMs = (): number => this.#nowMs
    const [sources, targets, copies] = size === null ? [random.pick([2, 2, 3]), random.pick([1, 1, 2]), random.chance(0.6)] : [2, 1, false]
    this.#sources = Array.from({ length: sources }, (_, number) => new ModelSource(number, nowMs, say))
    const expected = new Set(copies ? this.#sources.map(({ number }) => `s${number}`) : [])
    const small = random.pick([1, 400, 1 << 20])
    this.#world = {
      random,
      nowMs,
      say,
      targets: Array.from({ length: targets }, (_, number) => ({
        number,
        table: size === null ? new FakeTarget(!copies) : new FakeTarget(true, (key) => key),
        share: new TargetShare(expected),
      })),
      sourceOf: ({ shardKey }) => shardKey % sources,
      targetOf: ({ shardKey }) => Math.floor(shardKey / sources) % targets,
      pendingBytesMax: size === null ? random.pick([1, 400, 1 << 20]) : 1 << 20,
      oneLaneChangesMax: random.pick([0, 2, 100]),
      heldRoom: { patienceMs: 300, patienceMsMax: 300, stepBytes: size === null ? small : 1 << 20 },
      lanes: random.pick([1, 2]),
      lagMs: (source) => (source !== 1 ? 0 : (size?.lagMs ?? 0)),
      standsUntilMs: (source) => this.#standsUntilMs.get(source) ?? 0,
      ranges: [[0, 1, 2], [3, 4], [5]],
      keepsHeld: random.pick([
        { afterMs: 0, everyMs: 0 },
        { afterMs: 20, everyMs: 10 },
        { afterMs: 5_000, everyMs: 1_000 },
      ]),
      copyMs: random.pick([0, 60, 400]),
      throwsAway: random.chance(0.3),
      onWhole: (stream, target, at) => this.#look(stream, target, at),
    }
    this.#streams = this.#sources.map((source) => new ModelStream(source, this.#world, !copies))
  }

  end(): void {
    for (const stream of this.#streams) stream.end()
  }

  async wander(forMs: number): Promise<number[]> {
    const [random, sources] = [this.#random, this.#sources]
    for (const stream of this.#streams) stream.start()
    for (let key = 0; key < (this.#size?.keys ?? 0); key++) {
      const source = sources[key % 2]!
      this.#commit(source, [source.change(key, { key, shardKey: this.#shardKey(source), unique: key, value: ++this.#value })])
    }
    const seen = sources.map(() => ({ marker: 0, atMs: 0, apartMs: 0 }))
    while (this.#nowMs < forMs) {
      await this.#tick()
      if (random.chance(0.04)) {
        const source = random.pick(sources)
        if (source.rows.size > 0) this.#move(source, random.pick([...source.rows.values()]))
      }
      for (const [i, at] of seen.entries()) {
        const target = this.#streams[i]?.targetAt(0)
        if (target?.consistent === true && target.rowsHeldBack === 0 && target.applied.marker > at.marker)
          [at.marker, at.atMs] = [target.applied.marker, this.#nowMs]
        at.apartMs = Math.max(at.apartMs, this.#nowMs - at.atMs)
      }
    }
    for (const stream of this.#streams) stream.end()
    return seen.map(({ apartMs }) => apartMs)
  }

  async run(): Promise<string | null> {
    const random = this.#random
    const often = random.pick([0.15, 0.15, 0.02])
    let [writes, deaths, statements] = [random.between(20, 80), random.below(6), random.pick([0, 1, 2, 3])]
    if (!this.#streams[0]!.copied) for (let n = random.below(12); n > 0; n--) this.#write()
    // Some are begun later than others.
    const late = new Set(this.#streams.filter(() => random.chance(0.4)))
    for (const stream of this.#streams) if (!late.has(stream)) stream.start()
    for (let sinceMs = 0; sinceMs < patienceMs;) {
      await this.#tick()
      if (this.#wrong !== null) return this.#wrong
      if (writes > 0 && random.chance(often)) {
        this.#write()
        writes--
      } else if (statements > 0 && random.chance(0.03)) {
        // With another one ahead nobody can tell by its values that the source has given a row up (docs/decisions/025): such a stream may wait for ever, and says so.
        const stream = random.pick(this.#streams)
        if (!stream.hasStatementAhead) stream.source.statement()
        statements--
      } else if (writes > 0 && random.chance(0.03)) {
        this.#standsUntilMs.set(random.below(this.#sources.length), this.#nowMs + random.pick([30, 300, 300, 3_500]))
      } else if (late.size > 0 && (writes <= 0 || random.chance(0.004))) {
        const stream = random.pick([...late])
        late.delete(stream)
        stream.start()
      } else if (deaths > 0 && random.chance(0.06)) {
        // Rather one that has kept rows which are held back.
        const keeping = this.#streams.filter(({ stored }) => stored.some(({ held }) => held.size > 0))
        const stream = random.pick(keeping.length > 0 ? keeping : this.#streams)
        if (late.has(stream) || (keeping.length === 0 && random.chance(0.85))) continue
        stream.die()
        deaths--
      } else if (writes <= 0) {
        if (this.#streams.every((stream) => stream.isUp)) {
          return this.#difference()
        }
        sinceMs++
      }
    }
    return `stands still: ${this.#streams.map((stream) => stream.told()).join('\n  ')}`
  }

  async #tick(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    for (const { failure } of this.#streams) if (failure !== null) throw failure
    this.#nowMs++
    mock.timers.tick(1)
  }

  // ---- the application ----

  /** One transaction, or two where a row goes to the other source. */
  #write(): void {
    const random = this.#random
    const source = random.pick(this.#sources)
    const row = random.pick([...source.rows.values(), null])
    if (row !== null && random.chance(0.4)) {
      this.#move(source, row)
      return
    }
    const events: ModelEvent[] = []
    for (let n = random.between(1, 5); n > 0; n--) {
      const key = random.below(keyCount)
      const was = source.rows.get(key) ?? null
      if (this.#sources.some((other) => other !== source && other.rows.has(key))) continue
      const unique = random.chance(0.4) && was !== null ? was.unique : this.#freeUnique()
      const is = unique === null || (was !== null && random.chance(0.3)) ? null : unique
      if (is === null && was === null) continue
      events.push(source.change(key, is === null ? null : { key, shardKey: this.#shardKey(source), unique: is, value: ++this.#value }))
    }
    if (events.length > 0) this.#commit(source, events)
  }

  #move(source: ModelSource, row: ModelRow): void {
    const other = this.#random.pick(this.#sources.filter((one) => one !== source))
    this.#commit(source, [source.change(row.key, null)])
    const comes = {
      ...row,
      shardKey: this.#shardKey(other),
      unique: this.#size !== null ? row.unique : (this.#freeUnique() ?? row.unique),
      value: ++this.#value,
    }
    this.#commit(other, [other.change(row.key, comes)])
  }

  #freeUnique(): number | null {
    const used = new Set(this.#sources.flatMap(({ rows }) => [...rows.values()].map(({ unique }) => unique)))
    const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
    return free.length === 0 ? null : this.#random.pick(free)
  }

  #shardKey({ number }: ModelSource): number {
    return number + this.#sources.length * this.#random.below(4)
  }

  #commit(source: ModelSource, events: readonly ModelEvent[]): void {
    source.commit(events, this.#random.chance(0.7))
  }

  // ---- what must hold ----

  /** At a boundary. */
  #look(stream: ModelStream, target: number, at: TestCoordinate): void {
    const { ranges, targets, sourceOf, targetOf } = this.#world
    const rows = stream.source.stateAt(at)
    const keys = stream.copied
      ? new Set([...rows.keys(), ...targets[target]!.table.rows.keys()])
      : [...stream.stored[target]!.landed].flatMap((range) => ranges[range] ?? [])
    for (const key of keys) {
      const source = rows.get(key)
      const want = source !== undefined && targetOf(source) === target ? source : undefined
      const there = targets[target]!.table.rows.get(key)
      const have = there !== undefined && sourceOf(there) === stream.source.number ? there : undefined
      if (sameRow(want, have)) continue
      const place = `${this.#nowMs} target ${target} says that it has what source ${stream.source.number} had at ${at.marker}/${at.groups}`
      this.#wrong ??= `${place}: of key ${key} it has ${there === undefined ? 'nothing' : rowText(there)} instead of ${want === undefined ? 'nothing' : rowText(want)}; ${stream.told()}`
      return
    }
  }

  #difference(): string | null {
    for (const { number, table } of this.#world.targets) {
      const want = this.#sources.flatMap(({ rows }) => [...rows.values()]).filter((row) => this.#world.targetOf(row) === number)
      const have = [...table.rows.values()]
      if (want.length === have.length && want.every((row) => have.some((other) => sameRow(row, other)))) continue
      return `${have.map(rowText).join(' ')} instead of ${want.map(rowText).join(' ')}`
    }
    return null
  }
}
