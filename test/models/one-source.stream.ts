/**
 * The stream of the model of one source (`one-source.model.ts`), which dies and begins again at what its targets have stored: the engine's own `TailConsumer`, `Router`, `TouchedKeys` and, for each target, `TargetApplier`.
 * What is modelled is who reads ranges between two markers, and what a run finds stored.
 */
import { positionText } from '../../src/binlog/position-text.ts'
import { TargetShare } from '../../src/move/exclusion.ts'
import { HiddenCascades } from '../../src/move/hidden-cascades.ts'
import { landingSize } from '../../src/move/landing.ts'
import type { Stamp } from '../../src/move/pending.ts'
import { Redone } from '../../src/move/redone.ts'
import { Router } from '../../src/move/router.ts'
import { RowEncoder } from '../../src/move/row-encoder.ts'
import { TailConsumer } from '../../src/move/tail-consumer.ts'
import type { TailConsumerOptions } from '../../src/move/tail-consumer-options.ts'
import { TargetApplier } from '../../src/move/target-applier.ts'
import { compareCoordinates } from '../../src/move/tables.ts'
import type { TablePlan } from '../../src/move/table-plan.ts'
import { stampOf } from '../../src/move/testkit/samples.ts'
import { TouchedKeys } from '../../src/move/touched.ts'
import { chunkOf, equated, modelTable, type FakeTarget, type TestCoordinate } from './fake-target.ts'
import { batchOf, LoggedTail, markerStream, type LoggedGroup, type LoggedSource } from './one-source.source.ts'
import type { Random } from './random.ts'
import { land, readBetweenMarkers, throwAway, writeMarker, writeMarkers, type Copying } from './streams.copy.ts'
import { applierOptions, applierStart, Died, modelClock, pause, type Stored } from './streams.lane.ts'

export type OneTarget = { readonly number: number; readonly table: FakeTarget; readonly stored: Stored }

export type OneSourceWorld = {
  readonly random: Random
  readonly nowMs: () => number
  readonly say: (line: string) => void
  readonly source: LoggedSource
  readonly targets: readonly OneTarget[]
  /** Ranges of keys that are copied. */
  readonly ranges: readonly (readonly number[])[]
  readonly lanes: number
  readonly oneLaneChangesMax: number
  readonly pendingBytesMax: number
  /** A transaction above it goes in parts. */
  readonly partBytesMax: number
  /** Between two reads of the copy, and until what was read is here, at most. */
  readonly copyMs: number
  readonly throwsAway: boolean
  /** How often nothing more is read before something has landed. */
  readonly pressing: number
  /** X has moved, or something has landed: between rounds, past its intent. */
  readonly onBoundary: (target: OneTarget, at: TestCoordinate, told: boolean) => void
}

const shardsOf: Record<number, readonly string[]> = { 1: ['-'], 2: ['-80', '80-'], 3: ['-55', '55-aa', 'aa-'] }
export const shardKeys = 8

/** By the engine's vindex and key ranges: the target of each shard key. */
export function targetsOfShardKeys(targets: number): readonly number[] {
  const rows = Array.from({ length: shardKeys }, (_, shardKey) => ['0', String(shardKey), '0', '0'])
  return [...new Router(shardsOf[targets] ?? []).route(new RowEncoder(modelTable, 'ordinal'), batchOf(rows))]
}

type Life = Copying & {
  readonly consumer: TailConsumer
  readonly tail: LoggedTail
  /** Behind a statement nothing lands that was read before it. */
  landingsOver: boolean
}

export class OneSourceStream {
  failure: unknown = null
  copied = false
  readonly #world: OneSourceWorld
  readonly #targetOf: readonly number[]
  /** Of the log: what was executed. */
  readonly #passed = new Set<LoggedGroup>()
  #life: Life | null = null
  #runs = 0

  constructor(world: OneSourceWorld) {
    this.#world = world
    this.#targetOf = targetsOfShardKeys(world.targets.length)
  }

  /** Begins, or dies and begins again. */
  begin(): void {
    this.#life?.ending.abort()
    this.#world.say(`${this.#world.nowMs()} run ${++this.#runs} begins${this.#life === null ? '' : `: ${this.told()}`}`)
    const life = this.#begin()
    this.#life = life
    const { signal } = life.ending
    const tasks = [...life.targets.map((target) => target.run(signal)), life.consumer.run(life.tail.asTail(signal), signal)]
    tasks.push(writeMarkers(this.#world.source, signal))
    if (!this.copied) tasks.push(this.#copy(life))
    for (const task of tasks)
      task.catch((error: unknown) => {
        if (!signal.aborted && !(error instanceof Died)) this.failure ??= error
      })
  }

  end(): void {
    this.#life?.ending.abort()
  }

  /** Up to where the log was given to the engine: keys of the group in hand may be known already. */
  get given(): number {
    return this.#life?.tail.next ?? 0
  }

  /** X, of the run that is on. */
  appliedAt(number: number): TestCoordinate {
    return this.#life?.targets[number]?.applied ?? { marker: 0, groups: 0 }
  }

  get isUp(): boolean {
    const { source } = this.#world
    const last = source.log.findLast(({ kind }) => kind === 'rows' || kind === 'statement')
    if (this.#life === null || !this.copied) return false
    return this.#life.targets.every((one) => one.whole && (last === undefined || compareCoordinates(one.applied, last.at) >= 0))
  }

  told(): string {
    const landed = this.copied ? 'copied' : this.#world.targets.map(({ stored }) => [...stored.landed].join()).join(' and ')
    const appliers = this.#life?.targets.map((target) => JSON.stringify(target.standing()))
    return `landed ${landed}; the tail was given ${this.given} of ${this.#world.source.log.length}; ${appliers?.join('; ')}`
  }

  #begin(): Life {
    const { random, source, targets, pendingBytesMax, partBytesMax } = this.#world
    const from = targets.map(({ stored }) => stored.at).reduce((least, at) => (compareCoordinates(at, least) < 0 ? at : least))
    const index = source.log.findLastIndex(({ at, kind }) => kind !== 'torn' && compareCoordinates(at, from) <= 0) + 1
    const start = stampOf({
      ordinal: 0,
      ...from,
      position: positionText('mariadb', { file: 'f', offset: index }, index === 0 ? '' : `0-1-${index}`),
    })
    const ending = new AbortController()
    const { signal } = ending
    const clock = modelClock(this.#world)
    const touched = new TouchedKeys<TablePlan>()
    const life = (): Life => made
    const appliers = targets.map((target) => this.#applier(target, start, signal, life))
    const statement = async (): Promise<'pass' | 'restart'> => this.#atStatement(made, source.log[made.tail.next - 1] as LoggedGroup)
    const tail = new LoggedTail(source, index, () => random.chance(0.5), () => pause(random, signal)) // prettier-ignore
    const options: TailConsumerOptions = {
      sourceName: 'source',
      planOf: (schema, name) => (schema === 's' && name === 'm' ? modelTable : null),
      workflowUid: 'w',
      oppositeDirection: 'reverse',
      router: new Router(shardsOf[targets.length] ?? []),
      targets: appliers,
      stoodAt: targets.map(({ stored }) => ({ place: stored.at, within: null })),
      redone: new Redone([], () => undefined),
      severalSources: targets.map(() => false),
      touched,
      onTouched: () => undefined,
      xaProof: 'marker',
      copying: new Set(this.copied ? [] : [modelTable]),
      xa: { torn: () => Promise.resolve() } as unknown as TailConsumerOptions['xa'],
      beforeFirstMarker: null,
      clock,
      sourceNowMs: () => 0,
      markerStream,
      onQuery: statement,
      announced: { abandonGroup: () => undefined, any: false } as unknown as TailConsumerOptions['announced'],
      hiddenCascades: new HiddenCascades('s', []),
      onStamp: () => undefined,
      partBytesMax: () => partBytesMax,
      heldBytesMax: () => 2 * pendingBytesMax * targets.length,
    }
    const consumer = new TailConsumer(options, start)
    const made: Life = { ending, targets: appliers, consumer, tail, touched, open: new Set(), landingsOver: false }
    return made
  }

  #applier(target: OneTarget, start: Stamp, signal: AbortSignal, life: () => Life): TargetApplier {
    const { random, source, targets, onBoundary, say, nowMs, pressing } = this.#world
    const { number, stored } = target
    return new TargetApplier(
      {
        ...applierOptions(this.#world, target, () => life().touched, signal),
        streamUid: 'f',
        mode: 'one-source',
        latest: () => life().consumer.latest,
        writeMarker: () => writeMarker(source, random, signal),
        read: () => life().consumer.read,
        sourcePosition: () => Promise.resolve(life().consumer.read),
        onApplied: (applier) => {
          if (!signal.aborted && applier.whole) onBoundary(target, applier.applied, true)
        },
        onLanded: (chunk, applier) => {
          chunk.remaining--
          say(`${nowMs()} target ${number}: range ${chunk.completes?.path} landed at ${applier.applied.marker}/${applier.applied.groups}`)
          if (life().landingsOver) this.failure ??= new Error('a chunk that was read before a statement landed behind it')
          else if (!signal.aborted) onBoundary(target, applier.applied, false)
        },
        landings: () => ({ size: landingSize(targets.length), pressing: random.chance(pressing) }),
        exclusion: new TargetShare(new Set()),
      },
      applierStart(start, stored),
    )
  }

  /** All before it is applied, and nothing lands any more; then the run begins again, behind it (`stream-ddl.ts`). */
  async #atStatement(life: Life, group: LoggedGroup): Promise<'pass' | 'restart'> {
    const { random } = this.#world
    const { signal } = life.ending
    if (this.#passed.has(group)) return 'pass'
    await life.consumer.drain(signal)
    await Promise.all(life.targets.map((target) => target.holdLandings(signal)))
    life.landingsOver = true
    // It is executed meanwhile.
    await new Promise((resolve) => setTimeout(resolve, random.pick([0, 20, 200])))
    if (signal.aborted) throw new Died()
    this.#passed.add(group)
    this.begin()
    throw new Died()
  }

  // ---- the copy ----

  async #copy(life: Life): Promise<void> {
    const { ranges, targets, random, throwsAway } = this.#world
    const { signal } = life.ending
    const lacking = (path: number): number[] => targets.filter(({ stored }) => !stored.landed.has(path)).map(({ number }) => number)
    const reading = new Set<number>()
    const reader = async (): Promise<void> => {
      for (;;) {
        const todo = ranges.map((_, path) => path).filter((path) => !reading.has(path) && lacking(path).length > 0)
        if (todo.length === 0) return
        const path = random.pick(todo)
        reading.add(path)
        await this.#read(life, path, lacking(path))
        reading.delete(path)
      }
    }
    if (throwsAway) void throwAway(life, random, { everyMs: 40, chance: 0.2 })
    await Promise.all(Array.from({ length: random.pick([1, 2, 3]) }, reader))
    if (signal.aborted) throw new Died()
    // Unique keys that waited for the rows (1.12).
    for (const { table } of targets) table.uniqueKey = true
    this.copied = true
  }

  async #read(life: Life, path: number, lacking: readonly number[]): Promise<void> {
    const { ranges, targets, nowMs, random, copyMs, source } = this.#world
    const late = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, random.below(1 + copyMs)))
    await late()
    const { rows, generation, highMarker } = await readBetweenMarkers(life, random, source, () =>
      [...source.visible.values()].filter(({ key }) => ranges[path]?.includes(equated(key))),
    )
    // Its rows may take their time.
    if (random.chance(0.3)) await late()
    if (life.ending.signal.aborted) throw new Died()
    const chunk = chunkOf(rows, {
      mode: 'one-source',
      targets: targets.length,
      targetOf: ({ shardKey }) => this.#targetOf[shardKey] as number,
      generation,
      highMarker,
      readAtMs: nowMs(),
      path: String(path),
    })
    await land(life, random, chunk, lacking)
  }
}
