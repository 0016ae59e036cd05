/**
 * A stream of the model of merges, which dies and begins again: the engine's own `TargetApplier` for each target, `TouchedKeys` and `TargetShare`; what is modelled is who feeds them. The tail brings group after group, and none
 * while a target is full (`tail-room.ts`); at a statement it waits for all to be applied, and asks the source for rows held back (docs/decisions/025); the copy reads a range between two markers, and again what was thrown away.
 */
import type { Clock } from '../../src/base/clock.ts'
import { Doing } from '../../src/move/doing.ts'
import type { TargetShare } from '../../src/move/exclusion.ts'
import { HeldRoom, type HeldRoomSteps } from '../../src/move/held-room.ts'
import { landingSize } from '../../src/move/landing.ts'
import type { Change, Stamp } from '../../src/move/pending.ts'
import { tailRoom } from '../../src/move/tail-room.ts'
import { TargetApplier } from '../../src/move/target-applier.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import { stampOf } from '../../src/move/testkit/samples.ts'
import { TouchedKeys } from '../../src/move/touched.ts'
import { changeOf, chunkOf, rowText, type FakeTarget, type ModelRow, type TestCoordinate } from './fake-target.ts'
import type { Random } from './random.ts'
import { land, readBetweenMarkers, throwAway, writeMarker, writeMarkers, type Copying } from './streams.copy.ts'
import {
  applierOptions,
  applierStart,
  Died,
  heldBefore,
  modelClock,
  modelReads,
  pause,
  type HeldBefore,
  type Stored,
} from './streams.lane.ts'
import type { Group, ModelSource } from './streams.source.ts'

export type ModelTarget = { readonly number: number; readonly table: FakeTarget; readonly share: TargetShare }

export type StreamsWorld = {
  readonly random: Random
  readonly targets: readonly ModelTarget[]
  readonly targetOf: (row: ModelRow) => number
  readonly sourceOf: (row: ModelRow) => number
  readonly nowMs: () => number
  readonly say: (line: string) => void
  readonly pendingBytesMax: number
  readonly oneLaneChangesMax: number
  readonly heldRoom: HeldRoomSteps
  readonly lanes: number
  /** A stream is behind its source by so much. */
  readonly lagMs: (source: number) => number
  /** Its tail stands still until then. */
  readonly standsUntilMs: (source: number) => number
  /** Ranges of keys that are copied. */
  readonly ranges: readonly (readonly number[])[]
  /** Between two reads of the copy, at most. */
  readonly copyMs: number
  /** When rows held back are kept on the target. */
  readonly keepsHeld: { readonly afterMs: number; readonly everyMs: number }
  /** Chunks are thrown away now and then, as for keys above their budget. */
  readonly throwsAway: boolean
  /** Between rounds a target without rows held back holds what its source held at X. */
  readonly onWhole: (stream: ModelStream, target: number, at: TestCoordinate) => void
}

type Life = Copying & {
  readonly stoodAt: readonly TestCoordinate[]
  readonly tail: Doing
  latest: Stamp
  read: number
}

export class ModelStream {
  readonly source: ModelSource
  /** What is stored of it on each target. */
  readonly stored: Stored[]
  copied = false
  failure: unknown = null
  readonly #world: StreamsWorld
  readonly #passed = new Set<Group>()
  #life: Life | null = null
  #leave: (() => void)[] = []
  #runs = 0

  constructor(source: ModelSource, world: StreamsWorld, copied: boolean) {
    this.source = source
    this.#world = world
    this.copied = copied
    const at = { marker: 0, groups: 0 }
    this.stored = world.targets.map(() => ({ at, intent: at, landed: new Set(), held: new Map() }))
  }

  get uid(): string {
    return `s${this.source.number}`
  }

  targetAt(number: number): TargetApplier | null {
    return this.#life?.targets[number] ?? null
  }

  /** Where its source stands, when its tables are to be copied: what is there already the copy brings. */
  start(): void {
    if (!this.copied) for (const stored of this.stored) stored.at = stored.intent = this.source.last
    this.begin()
  }

  die(): void {
    this.#world.say(`${this.#world.nowMs()} ${this.told()} dies`)
    this.begin()
  }

  begin(): void {
    this.#life?.ending.abort()
    this.#begin().catch((error: unknown) => (this.failure ??= error))
  }

  async #begin(): Promise<void> {
    for (const leave of this.#leave.splice(0)) leave()
    const { source, stored } = this
    const { random, targets } = this.#world
    this.#runs++
    const from = stored.reduce((least, { at }) => (compareCoordinates(at, least) < 0 ? at : least), stored[0]!.at)
    const start = stampOf({ ordinal: 0, ...from })
    const read = source.log.findIndex((group) => compareCoordinates(group.at, from) > 0)
    const ending = new AbortController()
    const held = await Promise.all(stored.map((one) => heldBefore(this.uid, one)))
    const life: Life = {
      targets: targets.map((target, i) => this.#applier(target, { applied: start, held: held[i]! }, ending.signal, () => life)),
      stoodAt: stored.map(({ at }) => at),
      touched: new TouchedKeys(),
      ending,
      open: new Set(),
      tail: new Doing(this.#clock()),
      latest: start,
      read: read === -1 ? source.log.length : read,
    }
    this.#life = life
    for (const { number, share } of targets) {
      const target = life.targets[number]!
      const passMarker = async (): Promise<void> => target.passed(await this.#marker(ending.signal), ending.signal)
      const standAtMarker = async (until: AbortSignal): Promise<void> => target.standAt(await this.#marker(ending.signal), until)
      const readMarker = async (until: AbortSignal): Promise<void> => target.hasRead(await this.#marker(ending.signal), until)
      if (this.copied) share.alreadyCopied(this.uid)
      this.#leave.push(share.join(this.uid, { passMarker, standAtMarker, readMarker, onWaiting: () => undefined }))
    }
    const tasks = [...life.targets.map((target) => target.run(ending.signal)), this.#tail(life), writeMarkers(this.source, ending.signal)]
    if (!this.copied) tasks.push(this.#copy(life, random.pick([1, 2])))
    for (const task of tasks)
      task.catch((error: unknown) => {
        if (!ending.signal.aborted && !(error instanceof Died)) this.failure ??= error
      })
  }

  end(): void {
    this.#life?.ending.abort()
  }

  get hasStatementAhead(): boolean {
    return this.source.log.some((group) => group.kind === 'statement' && !this.#passed.has(group))
  }

  /** All that its source has written is applied, and known to be. */
  get isUp(): boolean {
    const life = this.#life
    const last = this.source.log.findLast(({ kind }) => kind !== 'marker')
    if (life === null || !this.copied) return false
    return life.targets.every((target) => target.whole && (last === undefined || compareCoordinates(target.applied, last.at) >= 0))
  }

  told(): string {
    const life = this.#life
    const waits = life?.targets.map((target) => `${target.waiting?.what} ${JSON.stringify(target.standing())}`)
    return `stream ${this.source.number} (run ${this.#runs}, ${this.copied ? 'copied' : `landed ${this.stored.map(({ landed }) => [...landed].join()).join(' and ')}`}) has read ${life?.read} of ${this.source.log.length}, ${JSON.stringify(life?.tail.told)}; ${waits?.join('; ')}`
  }

  #own(row: ModelRow): boolean {
    return this.#world.sourceOf(row) === this.source.number
  }

  // ---- the tail ----

  async #tail(life: Life): Promise<void> {
    const { log, written, number } = this.source
    const { pendingBytesMax, nowMs, lagMs, standsUntilMs, targetOf } = this.#world
    const { targets, stoodAt, touched } = life
    const { signal } = life.ending
    while (!signal.aborted) {
      const group = log[life.read]
      life.tail.begin(group === undefined ? 'waits for the source' : 'reads')
      if (group === undefined) {
        await written.wait(signal)
        continue
      }
      await this.#pause(signal)
      while (nowMs() < Math.max(group.atMs + lagMs(number), standsUntilMs(number))) await this.#pause(signal)
      if (group.kind === 'statement' && !this.#passed.has(group)) {
        life.tail.begin('a statement')
        await this.#atStatement(life, group)
        return
      }
      const has = (target: number): boolean => compareCoordinates(group.at, stoodAt[target] ?? group.at) <= 0
      const changes = targets.map((_, target): Change[] =>
        has(target)
          ? []
          : group.events
              .map((event) => changeOf(event, (row) => this.#own(row) && targetOf(row) === target, 'several-sources'))
              .filter((change) => change !== null),
      )
      const touch = (some: readonly Change[]): void => {
        if (!this.copied) for (const { table, key } of some) touched.add(table, key)
      }
      if (group.inParts) {
        life.tail.begin('parts')
        await Promise.all(targets.map((target) => target.beginParts(signal)))
        while (changes.some((one) => one.length > 1) && !signal.aborted) {
          const parts = changes.map((one) => (one.length > 1 ? one.splice(0, 1) : []))
          parts.forEach(touch)
          await Promise.all(targets.map(async (target, i) => parts[i]!.length > 0 && target.applyPart(parts[i]!, group.at, signal)))
        }
      }
      if (signal.aborted) return
      if (group.kind === 'marker') touched.met(group.at.marker)
      for (const [i, target] of targets.entries()) {
        touch(changes[i]!)
        for (const change of changes[i]!) target.pending.add(change)
      }
      life.read++
      life.latest = stampOf({ ordinal: life.latest.ordinal + 1, ...group.at })
      for (const target of targets) {
        if (group.inParts) target.endParts()
        target.wake()
      }
      await tailRoom(targets, () => 2 * pendingBytesMax * targets.length, signal, life.tail)
    }
  }

  /** All before it is applied, or given up by the source; then the run begins again, behind it (`stream-ddl.ts`). */
  async #atStatement({ targets, ending: { signal } }: Life, group: Group): Promise<void> {
    const { log, rows } = this.source
    const givenUp = async (held: readonly Change[]): Promise<readonly Change[]> => {
      await this.#pause(signal)
      const another = log.some((one) => one.kind === 'statement' && compareCoordinates(one.at, group.at) > 0)
      const gone = held.filter(({ key, row }) => {
        const now = rows.get(Number(key))
        return now === undefined || (!another && rowText(now) !== row)
      })
      if (gone.length > 0)
        this.#world.say(`${this.#world.nowMs()} stream ${this.source.number} leaves out ${gone.map(({ row }) => row).join(' ')}`)
      await this.#pause(signal)
      return gone
    }
    await Promise.all(
      targets.map(async (target) => {
        await target.drain(signal, givenUp)
        await target.storePositionNow()
      }),
    )
    if (signal.aborted) return
    await Promise.all(targets.map((target) => target.holdLandings(signal)))
    if (signal.aborted) return
    // Behind it they would be read by another definition.
    if (this.stored.some(({ held }) => held.size > 0)) throw new Error('rows stay kept behind a statement')
    this.#passed.add(group)
    this.begin()
  }

  #marker(signal: AbortSignal): Promise<number> {
    return writeMarker(this.source, this.#world.random, signal)
  }

  // ---- the copy ----

  async #copy(life: Life, readers: number): Promise<void> {
    const { ranges, targets, throwsAway, random } = this.#world
    const { signal } = life.ending
    const lacking = (path: number): number[] =>
      targets.map(({ number }) => number).filter((number) => !this.stored[number]!.landed.has(path))
    const reading = new Set<number>()
    const reader = async (): Promise<void> => {
      for (;;) {
        const path = ranges.findIndex((_, range) => !reading.has(range) && lacking(range).length > 0)
        if (path === -1) return
        reading.add(path)
        await this.#read(life, path, lacking(path))
        reading.delete(path)
      }
    }
    if (throwsAway) void throwAway(life, random, { everyMs: 200, chance: 0.1 })
    await Promise.all(Array.from({ length: readers }, reader))
    for (const { share, table } of targets) {
      const rebuild = async (): Promise<string | null> => {
        await this.#pause(signal)
        const values = [...table.rows.values()].map(({ unique }) => unique)
        if (new Set(values).size < values.length) return 'two rows of one value'
        table.uniqueKey = true
        return null
      }
      await share.copied(this.uid, rebuild, this.#clock(), signal)
    }
    if (signal.aborted) throw new Died()
    this.copied = true
  }

  async #read(life: Life, path: number, lacking: readonly number[]): Promise<void> {
    const { ranges, targets, targetOf, nowMs, random, copyMs } = this.#world
    await new Promise((resolve) => setTimeout(resolve, random.below(1 + copyMs)))
    const { rows, generation, highMarker } = await readBetweenMarkers(life, random, this.source, () =>
      ranges[path]!.map((key) => this.source.rows.get(key)).filter((row) => row !== undefined),
    )
    const chunk = chunkOf(rows, {
      mode: 'several-sources',
      targets: targets.length,
      targetOf,
      generation,
      highMarker,
      readAtMs: nowMs(),
      path: String(path),
    })
    await land(life, random, chunk, lacking)
  }

  // ---- a target ----

  #applier(
    { number, share, table }: ModelTarget,
    { applied, held }: { applied: Stamp; held: HeldBefore },
    signal: AbortSignal,
    life: () => Life,
  ): TargetApplier {
    const { random, heldRoom, keepsHeld, onWhole } = this.#world
    const stored = this.stored[number]!
    return new TargetApplier(
      {
        ...applierOptions(this.#world, { number, stored, table }, () => life().touched, signal),
        streamUid: this.uid,
        mode: 'several-sources',
        latest: () => life().latest,
        writeMarker: () => writeMarker(this.source, random, signal),
        ...modelReads(() => life().latest),
        onApplied: (target) => {
          if (!signal.aborted && target.whole) onWhole(this, number, target.applied)
        },
        onLanded: (chunk) => void chunk.remaining--,
        landings: () => ({ size: landingSize(1), pressing: false }),
        exclusion: share,
        keepsHeld,
      },
      { ...applierStart(applied, stored), held },
      new HeldRoom(this.#clock(), () => 0, heldRoom),
    )
  }

  #pause(signal: AbortSignal): Promise<void> {
    return pause(this.#world.random, signal)
  }

  #clock(): Clock {
    return modelClock(this.#world)
  }
}
