/**
 * One table of one group, from the cursor on: chunks are compared by a few workers, keys that may differ are settled beside them, and the
 * cursor moves over a chunk when all its keys are settled. What is reported is what the cursor has passed, so a mover that takes over
 * counts nothing twice and leaves nothing out.
 *
 * Two keys that the key's collation equates (`a` on a source, `A` on a target) come as two candidates and are one place, which the first of them that is settled
 * tells of. Where both are in one batch the server sees to that; else the other is let go with it. It is known by then: both are of one span,
 * since a span's bounds are compared by that collation, and a span's candidates are queued together.
 */
import type { Clock } from '../base/clock.ts'
import type { Comparison } from './comparison.ts'
import { verifyErrors } from './errors.ts'
import { paceOf, type Pace } from './pace.ts'
import { compareSpan, type Bound, type KeySpan } from './ranges.ts'
import type { MarkersByServer, Reports } from './reports.ts'
import type { Sessions } from './sessions.ts'
import { settle, type Mode, type Outcome, type Repair } from './settle.ts'
import { addFinding, newTally, type Tally } from './tally.ts'

const chunkBytes = 8 << 20
const chunkRowsMax = 16_384
const batchKeysMax = 100
/** Candidates kept and chunks under way: beyond, the workers wait for the settling. */
const waitingKeysMax = 5_000
const chunksAheadMax = 32
/** A little patience, so that candidates of several chunks are settled together. */
const gatherMs = 30
const holdMs = 1_000
const patienceMs = 300_000

type ChunkState = { span: KeySpan; tally: Tally; compared: boolean; unsettled: number }
/** `lockedSinceMs`: when it was first met locked by itself, if it has been ever since. */
type Candidate = LockedSince & { key: string; chunk: ChunkState; mode: Mode }
type LockedSince = { mode: Mode; lockedSinceMs: number | null }

/** For how long a key has been locked whenever it was asked for alone. Time in which it waited in the queue behind others, or for the targets to catch up, is no lock. */
export function lockedForMs(candidate: LockedSince, outcome: Outcome['kind'], nowMs: number): number {
  if (outcome !== 'locked' || candidate.mode !== 'alone') candidate.lockedSinceMs = null
  else candidate.lockedSinceMs ??= nowMs
  return candidate.lockedSinceMs === null ? 0 : nowMs - candidate.lockedSinceMs
}

export type TableRunOptions = {
  comparison: Comparison
  sessions: Sessions
  reports: Reports
  clock: Clock
  signal: AbortSignal
  workers: number
  /** The part of the time in which a worker reads; it rests for the other. */
  duty: number
  /** The sources know SKIP LOCKED; else keys are settled one by one. */
  skipsLocked: boolean
  /** Start behind this key; null: at the beginning. */
  from: Bound
  repair: Repair | null
  stillServing: () => Promise<void>
  /** Waits while a switch is under way: no lock is taken then and no chunk begun. */
  mayLock: () => Promise<void>
  /** Throws when the table is not what it was when this was planned. Asked before it counts as done. */
  asPlanned: () => Promise<void>
  /** A chunk is done: what was found in it, and the new cursor (null: the table is done). */
  onChunk: (tally: Tally, cursor: Bound) => void
  onWaiting: (what: string | null) => void
}

export class TableRun {
  readonly #options: TableRunOptions
  readonly #chunks: ChunkState[] = []
  readonly #queue: Candidate[] = []
  readonly #pace: Pace
  readonly #batchMax: number
  readonly #firstMode: Mode
  #next: Bound
  #scanEnded = false
  #last: Tally | null = null
  #bounding: Promise<unknown> = Promise.resolve()
  #bells: (() => void)[] = []
  #failure: { error: unknown } | null = null
  /** Since when no settling came through in time. */
  #behindSinceMs: number | null = null

  constructor(options: TableRunOptions) {
    this.#options = options
    this.#next = options.from
    this.#firstMode = options.skipsLocked ? 'many' : 'alone'
    options.signal.addEventListener('abort', () => this.#ring(), { once: true })
    // Repair holds the rows of a batch in memory.
    this.#batchMax =
      options.repair === null
        ? batchKeysMax
        : Math.max(1, Math.min(batchKeysMax, Math.floor(chunkBytes / options.comparison.averageRowBytes)))
    this.#pace = paceOf(
      options.sessions,
      options.comparison,
      Math.max(256, Math.floor(Math.min(chunkRowsMax, chunkBytes / options.comparison.averageRowBytes))),
    )
  }

  async run(): Promise<void> {
    const workers = Array.from({ length: this.#options.workers }, () => this.#worker())
    const tasks = [...workers, this.#settler()]
    for (const task of tasks) {
      task.catch((error: unknown) => {
        this.#failure ??= { error }
        this.#ring()
      })
    }
    await Promise.allSettled(tasks)
    if (this.#failure !== null) throw this.#failure.error
    await this.#options.asPlanned()
    if (this.#last !== null) this.#options.onChunk(this.#last, null)
  }

  async #worker(): Promise<void> {
    const { sessions, comparison, clock, duty, signal } = this.#options
    for (let chunk = await this.#take(); chunk !== null; chunk = await this.#take()) {
      const own = chunk
      const startedMs = clock.monotonicMs()
      own.tally.rowsCompared = await compareSpan(sessions, comparison, own.span, async (keys) => {
        while (this.#queue.length > waitingKeysMax) await this.#bell()
        for (const key of keys) {
          own.unsettled++
          this.#queue.push({ key, chunk: own, mode: this.#firstMode, lockedSinceMs: null })
        }
        this.#ring()
      })
      own.compared = true
      this.#pace.observed(own.tally.rowsCompared)
      this.#advance()
      if (duty < 1) await clock.sleep((clock.monotonicMs() - startedMs) * (1 / duty - 1), signal)
    }
  }

  /** The next chunk, one after another: each begins where the one before ends. */
  async #take(): Promise<ChunkState | null> {
    while (this.#chunks.length >= chunksAheadMax) await this.#bell()
    const taken = this.#bounding.then(() => this.#bound())
    this.#bounding = taken.catch(() => undefined)
    return taken
  }

  async #bound(): Promise<ChunkState | null> {
    this.#check()
    if (this.#scanEnded) return null
    await this.#options.mayLock()
    const lo = this.#next
    const hi = await this.#pace.next(lo)
    const chunk: ChunkState = { span: { lo, hi }, tally: newTally(), compared: false, unsettled: 0 }
    this.#chunks.push(chunk)
    this.#next = hi
    this.#scanEnded = hi === null
    return chunk
  }

  #advance(): void {
    for (let first = this.#chunks[0]; first !== undefined && first.compared && first.unsettled === 0; first = this.#chunks[0]) {
      this.#chunks.shift()
      if (first.span.hi === null) this.#last = first.tally
      else this.#options.onChunk(first.tally, first.span.hi)
    }
    this.#ring()
  }

  async #settler(): Promise<void> {
    const { clock, signal } = this.#options
    while (!(this.#scanEnded && this.#chunks.length === 0)) {
      this.#check()
      if (this.#queue.length === 0) {
        await this.#bell()
        continue
      }
      if (this.#queue.length < batchKeysMax && !this.#allCompared()) await clock.sleep(gatherMs, signal)
      await this.#settleSome()
    }
  }

  #allCompared(): boolean {
    return this.#scanEnded && this.#chunks.every(({ compared }) => compared)
  }

  async #settleSome(): Promise<void> {
    const { comparison, clock, onWaiting } = this.#options
    const batch = this.#takeBatch()
    const first = batch[0]
    if (first === undefined) return
    await this.#options.mayLock()
    const result = await settle(
      { ...this.#options, holdMs },
      batch.map(({ key }) => key),
      first.mode,
    )
    if (result.kind === 'behind') {
      this.#queue.unshift(...batch)
      await this.#catchUp(result.markers)
      return
    }
    this.#behindSinceMs = null
    onWaiting(null)
    for (const [i, outcome] of result.outcomes.entries()) {
      const candidate = batch[i] as Candidate
      const waitedMs = Math.round(lockedForMs(candidate, outcome.kind, clock.monotonicMs()))
      const { key } = candidate
      if (waitedMs > patienceMs)
        throw verifyErrors.rowLocked({
          key,
          table: comparison.plan.name,
          source: comparison.sources.map(({ ref }) => ref.shard).join(','),
          waitedMs,
        })
      if (outcome.kind === 'locked' && first.mode === 'alone')
        onWaiting(`row ${key} of ${comparison.plan.name}, locked by a transaction on the source`)
      this.#outcome(candidate, outcome)
    }
    this.#advance()
  }

  /** Keys of one mode: the easy ones first. */
  #takeBatch(): Candidate[] {
    for (const mode of ['many', 'gaps', 'alone'] as const) {
      const max = mode === 'alone' ? 1 : this.#batchMax
      const batch: Candidate[] = []
      for (let i = 0; i < this.#queue.length && batch.length < max; i++) {
        const candidate = this.#queue[i]
        if (candidate?.mode === mode) batch.push(candidate)
      }
      if (batch.length === 0) continue
      const taken = new Set(batch)
      const rest = this.#queue.filter((candidate) => !taken.has(candidate))
      this.#queue.length = 0
      this.#queue.push(...rest)
      return batch
    }
    return []
  }

  #outcome(candidate: Candidate, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'settled':
        for (const finding of outcome.findings)
          addFinding(
            candidate.chunk.tally,
            finding,
            this.#options.comparison.targets.map(({ ref }) => ref),
          )
        candidate.chunk.tally.repaired += outcome.repaired
        candidate.chunk.unsettled--
        if (outcome.keys.size > 1 || !outcome.keys.has(candidate.key)) this.#letGo(outcome.keys)
        return
      case 'absent':
        candidate.mode = this.#firstMode === 'alone' ? 'alone' : 'gaps'
        this.#queue.push(candidate)
        return
      case 'locked':
        candidate.mode = 'alone'
        this.#queue.push(candidate)
    }
  }

  /** Candidates of a place that is settled: it has been told of. */
  #letGo(keys: ReadonlySet<string>): void {
    const rest = this.#queue.filter((candidate) => {
      if (!keys.has(candidate.key)) return true
      candidate.chunk.unsettled--
      return false
    })
    this.#queue.splice(0, Infinity, ...rest)
  }

  /** Waits without locks until the targets have come to the marker that they did not reach in time. */
  async #catchUp(markers: MarkersByServer): Promise<void> {
    const { reports, comparison, clock, onWaiting } = this.#options
    const nowMs = clock.monotonicMs()
    this.#behindSinceMs ??= nowMs
    const leftMs = this.#behindSinceMs + patienceMs - nowMs
    onWaiting(`the targets to come within ${holdMs} ms of their source`)
    const targets = new Set(comparison.targets.map(({ ref }) => ref.uid))
    if (!(await reports.applied(comparison.group.streams, targets, markers, leftMs))) {
      throw verifyErrors.tooFarBehind({ source: comparison.group.name, limitMs: holdMs, waitedMs: patienceMs })
    }
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error
    this.#options.signal.throwIfAborted()
  }

  /** Resolves when something has changed. */
  async #bell(): Promise<void> {
    this.#check()
    await new Promise<void>((resolve) => this.#bells.push(resolve))
    this.#check()
  }

  #ring(): void {
    for (const wake of this.#bells.splice(0)) wake()
  }
}
