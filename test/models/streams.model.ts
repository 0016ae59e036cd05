/**
 * Random model of the waits of a merge (docs/movement-rules.md, "Who waits for whom"): two streams with the engine's own `TargetApplier` each, over one target without a server, in a time that only the
 * model moves on. Rows and unique values wander between the sources, most transactions go in parts, little may wait, streams die and begin again at what they had stored.
 *
 * However it is interleaved, all is applied some time after the last write, and the target holds the union. What is modelled is who feeds the applier: the tail, which brings group after group, and
 * brings none while the target is full (`tail-room.ts`).
 */
import { mock } from 'node:test'
import type { Clock } from '../../src/base/clock.ts'
import { Wakeup } from '../../src/base/wakeup.ts'
import { Doing } from '../../src/move/doing.ts'
import { noFailpoints } from '../../src/move/crash-points.ts'
import { TargetShare } from '../../src/move/exclusion.ts'
import { HeldRoom, type HeldRoomSteps } from '../../src/move/held-room.ts'
import { landingSize } from '../../src/move/landing.ts'
import type { Collided, Lane } from '../../src/move/lane.ts'
import type { Stamp } from '../../src/move/pending.ts'
import { tailRoom } from '../../src/move/tail-room.ts'
import { TargetApplier } from '../../src/move/target-applier.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import { stampOf } from '../../src/move/testkit/samples.ts'
import { TouchedKeys } from '../../src/move/touched.ts'
import { ServerError } from '../../src/mysql/errors.ts'
import { changeOf, Collision, FakeTarget, rowText, sameRow, type ModelEvent, type ModelRow, type TestCoordinate } from './fake-target.ts'
import { Random } from './random.ts'

type Group = { readonly events: readonly ModelEvent[]; readonly inParts: boolean; readonly at: TestCoordinate; readonly atMs: number }
type Source = {
  readonly number: number
  readonly rows: Map<number, ModelRow>
  readonly log: Group[]
  /** What its stream has stored on the target. */
  stored: { at: TestCoordinate; intent: TestCoordinate }
  readonly written: Wakeup
  life: Life | null
}
type Life = { readonly target: TargetApplier; readonly ending: AbortController; latest: Stamp; read: number; failure: unknown }

const [keyCount, uniqueCount] = [6, 4]
/** Of the model's time, behind the last write: pauses are 300 ms at most, and there may be one a row. */
const patienceMs = 60_000

/** What is wrong, or null. */
export async function runStreams(seed: number, say: (line: string) => void = () => undefined): Promise<string | null> {
  mock.timers.enable({ apis: ['setTimeout'] })
  try {
    return await new Streams(seed, say).run()
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
  readonly #say: (line: string) => void
  readonly #table: FakeTarget
  readonly #sources = [0, 1].map((number): Source => {
    const at = { marker: 0, groups: 0 }
    return { number, rows: new Map(), log: [], stored: { at, intent: at }, written: new Wakeup(), life: null }
  })
  readonly #pendingBytesMax: number
  readonly #oneLaneChangesMax: number
  readonly #heldRoom: HeldRoomSteps
  readonly #lanes: number
  readonly #share = new TargetShare(new Set())
  readonly #size: { readonly keys: number; readonly lagMs: number } | null
  #value = 0
  #nowMs = 0

  /** @param size of a table whose rows wander, with time for the streams to be apart */
  constructor(seed: number, say: (line: string) => void, size: { readonly keys: number; readonly lagMs: number } | null = null) {
    this.#size = size
    this.#table = size === null ? new FakeTarget() : new FakeTarget(true, (key) => key)
    this.#random = new Random(seed)
    this.#say = say
    this.#pendingBytesMax = this.#random.pick([1, 400, 1 << 20])
    this.#oneLaneChangesMax = this.#random.pick([0, 2, 100])
    this.#heldRoom = { patienceMs: 300, patienceMsMax: 300, stepBytes: this.#random.pick([1, 400, 1 << 20]) }
    this.#lanes = this.#random.pick([1, 2])
    if (size !== null) [this.#pendingBytesMax, this.#heldRoom] = [1 << 20, { ...this.#heldRoom, stepBytes: 1 << 20 }]
  }

  async wander(forMs: number): Promise<number[]> {
    const [random, sources] = [this.#random, this.#sources]
    for (const source of sources) this.#begin(source)
    for (let key = 0; key < (this.#size?.keys ?? 0); key++) {
      const source = sources[key % 2] as Source
      this.#commit(source, [this.#change(source, key, { key, shardKey: this.#shardKey(source), unique: key, value: ++this.#value })])
    }
    const seen = sources.map(() => ({ marker: 0, atMs: 0, apartMs: 0 }))
    while (this.#nowMs < forMs) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const { life } of sources) if (life !== null && life.failure !== null) throw life.failure
      if (random.chance(0.04)) {
        const source = random.pick(sources)
        if (source.rows.size > 0) this.#move(source, random.pick([...source.rows.values()]))
      }
      if (this.#nowMs % 300 === 0) for (const source of sources) this.#marker(source)
      for (const [i, at] of seen.entries()) {
        const target = sources[i]?.life?.target
        if (target?.consistent === true && target.applied.marker > at.marker) [at.marker, at.atMs] = [target.applied.marker, this.#nowMs]
        at.apartMs = Math.max(at.apartMs, this.#nowMs - at.atMs)
      }
      this.#nowMs++
      mock.timers.tick(1)
    }
    for (const { life } of sources) life?.ending.abort()
    return seen.map(({ apartMs }) => apartMs)
  }

  #move(source: Source, row: ModelRow): void {
    const other = this.#sources[1 - source.number] as Source
    this.#commit(source, [this.#change(source, row.key, null)])
    const comes = {
      ...row,
      shardKey: this.#shardKey(other),
      unique: this.#size !== null ? row.unique : (this.#freeUnique() ?? row.unique),
      value: ++this.#value,
    }
    this.#commit(other, [this.#change(other, row.key, comes)])
  }

  async run(): Promise<string | null> {
    const random = this.#random
    for (const source of this.#sources) this.#begin(source)
    let [writes, deaths] = [random.between(20, 80), random.below(3)]
    for (let sinceMs = 0; sinceMs < patienceMs;) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const { life } of this.#sources) if (life !== null && life.failure !== null) throw life.failure
      if (writes > 0 && random.chance(0.15)) writes -= this.#write()
      else if (deaths > 0 && random.chance(0.01)) deaths -= this.#die(random.pick(this.#sources))
      else if (writes <= 0) {
        if (this.#sources.every((source) => this.#isUp(source))) return this.#difference()
        sinceMs++
      }
      this.#nowMs++
      mock.timers.tick(1)
    }
    return `stands still: ${this.#sources.map((source) => this.#told(source)).join('; ')}`
  }

  // ---- the application ----

  /** One transaction, or two where a row goes to the other source. */
  #write(): number {
    const random = this.#random
    const source = random.pick(this.#sources)
    const other = this.#sources[1 - source.number] as Source
    const row = random.pick([...source.rows.values(), null])
    if (row !== null && random.chance(0.4)) {
      this.#move(source, row)
      return 1
    }
    const events: ModelEvent[] = []
    for (let n = random.between(1, 5); n > 0; n--) {
      const key = random.below(keyCount)
      const was = source.rows.get(key) ?? null
      if (other.rows.has(key)) continue
      const unique = random.chance(0.4) && was !== null ? was.unique : this.#freeUnique()
      const is = unique === null || (was !== null && random.chance(0.3)) ? null : unique
      if (is === null && was === null) continue
      events.push(
        this.#change(source, key, is === null ? null : { key, shardKey: this.#shardKey(source), unique: is, value: ++this.#value }),
      )
    }
    if (events.length > 0) this.#commit(source, events)
    return 1
  }

  #change({ rows }: Source, key: number, after: ModelRow | null): ModelEvent {
    const before = rows.get(key) ?? null
    if (after === null) rows.delete(key)
    else rows.set(key, after)
    return { key, before, after }
  }

  #freeUnique(): number | null {
    const used = new Set(this.#sources.flatMap(({ rows }) => [...rows.values()].map(({ unique }) => unique)))
    const free = Array.from({ length: uniqueCount }, (_, unique) => unique).filter((unique) => !used.has(unique))
    return free.length === 0 ? null : this.#random.pick(free)
  }

  #shardKey({ number }: Source): number {
    return number + 2 * this.#random.below(2)
  }

  #commit(source: Source, events: readonly ModelEvent[]): void {
    const { marker, groups } = source.log.at(-1)?.at ?? { marker: 0, groups: 0 }
    source.log.push({ events, inParts: this.#random.chance(0.7), at: { marker, groups: groups + 1 }, atMs: this.#nowMs })
    const shown = events.map(({ key, after }) => (after === null ? `-${key}` : rowText(after)))
    this.#say(`${this.#nowMs} source ${source.number} at ${marker}/${groups + 1}: ${shown.join(' ')}`)
    source.written.ring()
  }

  #marker(source: Source): number {
    const marker = (source.log.at(-1)?.at.marker ?? 0) + 1
    source.log.push({ events: [], inParts: false, at: { marker, groups: 0 }, atMs: this.#nowMs })
    source.written.ring()
    return marker
  }

  // ---- the streams ----

  #die(source: Source): number {
    this.#say(`${this.#nowMs} stream ${source.number} dies at ${this.#told(source)}`)
    source.life?.ending.abort()
    this.#begin(source)
    return 1
  }

  #begin(source: Source): void {
    const { at, intent } = source.stored
    const start = stampOf({ ordinal: 0, ...at })
    const read = source.log.findIndex((group) => compareCoordinates(group.at, at) > 0)
    const ending = new AbortController()
    const lanes = Array.from({ length: this.#lanes }, () => this.#lane(source, ending.signal))
    const target = new TargetApplier(
      {
        number: 0,
        streamUid: `s${source.number}`,
        targetUid: 't',
        workflowUid: 'w',
        shard: '-',
        schema: 't',
        mode: 'several-sources',
        lanes,
        touched: new TouchedKeys(),
        clock: this.#clock(),
        failpoints: noFailpoints,
        latest: () => life.latest,
        writeMarker: async () => {
          await this.#pause()
          return this.#marker(source)
        },
        onApplied: () => undefined,
        onLanded: () => undefined,
        onThrownAway: () => undefined,
        work: () => ({ rowsRead: 0, rowsRedone: 0 }),
        fold: () => null,
        landings: () => ({ size: landingSize(1), pressing: false }),
        beforeRound: () => this.#pause(),
        exclusion: this.#size === null ? { shared: (work) => work(), busy: false } : this.#share,
        pendingBytesMax: () => this.#pendingBytesMax,
        oneLaneChangesMax: this.#oneLaneChangesMax,
        packetMax: 1 << 20,
        bulkLoad: false,
      },
      { applied: start, intent },
      new HeldRoom(this.#clock(), () => 0, this.#heldRoom),
    )
    const life: Life = { target, ending, latest: start, read: read === -1 ? source.log.length : read, failure: null }
    source.life = life
    const standAtMarker = async (until: AbortSignal): Promise<void> => {
      await this.#pause()
      await target.standAt(this.#marker(source), until)
    }
    this.#share.join(`s${source.number}`, { passMarker: () => Promise.resolve(), standAtMarker, onWaiting: () => undefined })
    for (const task of [target.run(ending.signal), this.#tail(source, life)]) task.catch((error: unknown) => (life.failure ??= error))
  }

  async #tail({ number, log, written }: Source, life: Life): Promise<void> {
    const { target, ending } = life
    const { signal } = ending
    const own = ({ shardKey }: ModelRow): boolean => shardKey % 2 === number
    while (!signal.aborted) {
      const group = log[life.read]
      if (group === undefined) {
        await written.wait(signal)
        continue
      }
      await this.#pause()
      if (this.#size !== null && number === 1)
        while (this.#nowMs < group.atMs + this.#size.lagMs && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1))
      const changes = group.events.map((event) => changeOf(event, own, 'several-sources')).filter((change) => change !== null)
      if (group.inParts) {
        await target.beginParts(signal)
        while (changes.length > 1 && !signal.aborted) await target.applyPart(changes.splice(0, 1), group.at, signal)
      }
      if (signal.aborted) return
      for (const change of changes) target.pending.add(change)
      life.read++
      life.latest = stampOf({ ordinal: life.latest.ordinal + 1, ...group.at })
      if (group.inParts) target.endParts()
      target.wake()
      await tailRoom([target], () => 2 * this.#pendingBytesMax, signal, new Doing(this.#clock()))
    }
  }

  /** Each transaction takes its time, and none ends that the dead had begun. */
  #lane(source: Source, signal: AbortSignal): Lane {
    const transaction = async (statements: readonly (string | Buffer)[]): Promise<void> => {
      await this.#pause()
      if (signal.aborted) await new Promise(() => undefined)
      const texts = statements.map(String)
      try {
        this.#table.transaction(texts.filter((text) => !text.includes('_shardwright')).map((text) => Buffer.from(text)))
      } catch (error) {
        if (error instanceof Collision) throw new ServerError(1062, '23000', error.message)
        throw error
      }
      for (const text of texts) {
        const [, what, marker, groups] = /(at|intent)_marker = (\d+), (?:at|intent)_groups = (\d+)/.exec(text) ?? []
        if (what === 'at' || what === 'intent')
          source.stored = { ...source.stored, [what]: { marker: Number(marker), groups: Number(groups) } }
      }
      await this.#pause()
    }
    const attempt = async (statements: readonly Buffer[]): Promise<Collided> => {
      await this.#pause()
      if (signal.aborted) await new Promise(() => undefined)
      const collided = this.#table.attempt(statements)
      await this.#pause()
      return new Map([...collided].map(([place, { message }]) => [place, new ServerError(1062, '23000', message)]))
    }
    return { transaction, attempt, busySinceMs: null } as unknown as Lane
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, this.#random.below(3)))
  }

  /** Something passes between two looks at it. */
  #clock(): Clock {
    let lateMs = 0
    const nowMs = (): number => this.#nowMs + (lateMs += this.#random.chance(0.2) ? this.#random.unit() : 0)
    return { nowMs, monotonicMs: nowMs, sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) }
  }

  #isUp({ life, log }: Source): boolean {
    return life !== null && life.read === log.length && life.target.drained && life.target.applied.ordinal === life.latest.ordinal
  }

  #difference(): string | null {
    const want = this.#sources.flatMap(({ rows }) => [...rows.values()])
    const have = [...this.#table.rows.values()]
    const same = want.length === have.length && want.every((row) => have.some((other) => sameRow(row, other)))
    return same ? null : `${have.map(rowText).join(' ')} instead of ${want.map(rowText).join(' ')}`
  }

  #told({ number, log, life }: Source): string {
    if (life === null) return `stream ${number} does not run`
    return `stream ${number} has read ${life.read} of ${log.length}, waits for ${life.target.waiting?.what}, ${JSON.stringify(life.target.standing())}`
  }
}
