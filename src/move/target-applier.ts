// long: rounds and landings take turns under one invariant, which is kept or broken by all of it together
/**
 * The writer of one target: rounds and landings in turn (PROTOCOLS 1.4–1.6).
 *
 * Invariant: between rounds the target holds, for each key copied or touched, exactly the source's row at `applied`. It is kept because
 * - a round applies everything up to a group's end, and nothing lands while one runs: landings and rounds exclude each other;
 * - a chunk lands only past its high marker, without the keys touched since its low one;
 * - `applied` moves without a round only over groups that change nothing here;
 * - a round in several transactions stores first where it goes to (its intent); below the intent nothing lands, also after a restart.
 *
 * Where several sources write to the target (1.6; docs/decisions/008) rows that collide with another stream's are held back: `#held`. Between rounds each key that has changed since X is on the target as it is at the end of the last
 * round, or it has no row of ours there and its newest row is held, or something newer waits in `pending`. So rounds go on without them, and when none is held after a round the target is where that round went to: only then X
 * moves, and it is stored. Until then the target is below its intent: nothing lands, no marker is reported, and after a crash all is done again from the position stored.
 * Where rows are held for some seconds they are kept on the target (`held-store.ts`), and X moves and is stored though they are: then the target has, at X, each key's row but theirs. Chunks land without them; but no marker
 * is reported, no statement passed and nobody told that a place has been reached (`whole`) before none is held.
 * - What is held has no row of ours on the target: all deletes of its round were committed before it was tried, and a statement that collides writes nothing.
 * - It is tried again when its time has come, by its own clock and never because something else has come; at once, under what is newer, when `pending` has something of its key.
 * - No round waits for it, so the tail always gets room: what frees the place of a row held back stands in this tail or in another's, and each comes to it.
 */
import { assert } from '../base/assert.ts'
import type { TargetApplierOptions, Waiting } from './applier-options.ts'
import { goesInOneTransaction, intentToStore, isPastHighMarker, standsAtBoundary } from './boundary.ts'
import type { Chunk } from './chunk.ts'
import { rowsThatCollide } from './colliding-rows.ts'
import { ChunkWaits } from './chunk-waits.ts'
import { Doing } from './doing.ts'
import { moveErrors } from './errors.ts'
import { nextLanding } from './landing.ts'
import { landingStatements, type LandingPart } from './landing-statements.ts'
import { HeldRoom } from './held-room.ts'
import { HeldStore } from './held-store.ts'
import { isCollision, type Lane } from './lane.ts'
import { Pending, type Change, type Round, type Stamp } from './pending.ts'
import { statementBytes, statementText, type StatementBytes } from '../mysql/statement.ts'
import { ownRows } from './own-rows.ts'
import { writeWhatPasses, type Passed } from './rows-that-pass.ts'
import { seenBy, seenSql } from './seen.ts'
import { settleAll } from './settle-all.ts'
import { roundStatements, type LaneStatements } from './statements.ts'
import { applierSql, compareCoordinates, type Coordinate, type RoundSize } from './tables.ts'
import { Wakeup } from '../base/wakeup.ts'

/** An idle target's position is stored this often, so that a restart reads little again. */
const idlePositionMs = 5_000

/** The source is asked about rows held back so often: most go by themselves. */
const givenUpEveryMs = 500

/** Of a collision that lasts so long both rows are named, and so often anew. */
const [namedAfterMs, namedEveryMs] = [500, 2_000]

/** Rows held back that are tried at once: what has come in the meantime is not to wait for thousands of them. */
const triedAtOnce = 1_000

/** Without a boundary for so long, the streams of the target line up (`exclusion.ts`). */
const lineUpAfterMs = 2_000

/** With rows held back for so long, and no position stored for so long, they are kept on the target, and it is. */
const keepsDefault = { afterMs: 3_000, everyMs: 1_000 }

/** An attempt at rows held back is made again no sooner than it has taken, but for this. */
const retryMsMax = 2_000

/** Of changes held back those that the source has given up by now. */
export type HeldRowsJudge = (held: readonly Change[]) => Promise<readonly Change[]>

/** The tail waits for us. */
type StandsStill = { readonly givenUp: HeldRowsJudge | null; lookedAtMs: number }

type Parts = 'none' | 'draining' | 'applying'

export class TargetApplier {
  readonly options: TargetApplierOptions
  readonly pending = new Pending()
  /** Newest rows of keys that collided, in the order in which they are tried. */
  readonly #held = new Pending()
  readonly #heldRoom: HeldRoom
  readonly #heldStore: HeldStore
  readonly #keeps: { readonly afterMs: number; readonly everyMs: number }
  /** Where the target stood when this run began. */
  readonly #stoodAt: Coordinate
  #collision: Waiting | null = null
  #named: { readonly rows: string | null; readonly atMs: number } | null = null
  /** Where the earlier run was going to: up to there the target may have later rows of ours. */
  readonly #redoTo: Coordinate
  /** X: everything up to here is applied. */
  applied: Stamp
  /** While another stream has the target alone. */
  excluded: Waiting | null = null
  /** 1062s met, for messages and tests. */
  collisions = 0
  #intent: Coordinate
  /** Stored with it: what was read for it. */
  #seen: string | null = null
  /** Where the last round went to: with rows held back X stays behind it. */
  #roundEnd: Stamp
  #stored: Stamp
  #storedAtMs: number
  #chunks: Chunk[] = []
  #landing = 0
  #roundRunning = false
  #roundBytes = 0
  /** Of rows held back that are being tried. */
  #triedBytes = 0
  /** Rows held back before the round that is running. */
  #heldBefore = 0
  #turn: 'round' | 'land' = 'round'
  readonly #doing: Doing
  #wake = new Wakeup()
  #space = new Wakeup()
  #signal: AbortSignal | null = null
  #failure: { error: unknown } | null = null
  /** A transaction in parts: `draining` before it, until all that was read is written or held back, `applying` until its end. */
  #parts: Parts = 'none'
  #collisionsInRow = 0
  /** Rows held back are not tried again before: the tail goes on meanwhile. */
  #retryAtMs = 0
  /** Since when some row or other has been held back. */
  #heldSinceMs: number | null = null
  #liningUp = false
  /** A part is on its way. */
  #partRunning = false
  /** Parts were written since the position was stored. */
  #partsUnstored = false
  #reached = 0
  /** The tail stops behind this marker. */
  #standAt: number | null = null
  #standsStill: StandsStill | null = null
  readonly #chunkWaits: ChunkWaits

  /** @param start `held`: what an earlier run has kept; `stoodAt`: where it had stored that it stands, if that is ahead of `applied` */
  constructor(
    options: TargetApplierOptions,
    start: {
      applied: Stamp
      intent: Coordinate
      stoodAt?: Coordinate
      held?: { readonly store: HeldStore; readonly rows: readonly Change[] }
    },
    heldRoom?: HeldRoom,
  ) {
    this.options = options
    this.#doing = new Doing(options.clock)
    this.#chunkWaits = new ChunkWaits(options.clock, options.shard)
    this.applied = start.applied
    this.#roundEnd = start.applied
    this.#stored = start.applied
    this.#storedAtMs = options.clock.monotonicMs()
    this.#intent = start.intent
    this.#redoTo = start.intent
    this.#stoodAt = start.stoodAt ?? start.applied
    this.#keeps = options.keepsHeld ?? keepsDefault
    this.#heldStore = start.held?.store ?? new HeldStore(options)
    if (start.held !== undefined && start.held.rows.length > 0) {
      for (const change of start.held.rows) this.#held.add(change)
      this.#collisionsInRow = 1
      this.#heldSinceMs = options.clock.monotonicMs() - this.#keeps.afterMs
      this.#collision = {
        what: `a row of another source on ${options.shard} that a row of this stream's collided with before it began again`,
        sinceMs: options.clock.nowMs(),
        ends: 'it is tried again',
        reason: 'collision',
      }
    }
    // Beside what waits and what is being applied.
    this.#heldRoom = heldRoom ?? new HeldRoom(options.clock, () => options.pendingBytesMax() / 2)
  }

  get consistent(): boolean {
    return standsAtBoundary(this.applied, this.#intent)
  }

  /**
   * It stands at a boundary, and lacks no row: what a marker that comes through says. Not before the position behind a transaction in parts is stored: whoever is told may let clients write here, and a run that begins
   * before the parts would write them once more, over what these wrote.
   */
  get whole(): boolean {
    return this.consistent && this.rowsHeldBack === 0 && !this.#partsUnstored
  }

  /** The greatest control marker at which it was whole in this run: what was reached stays so, also when a row is held back a moment later. */
  get controlMarker(): number {
    if (this.whole) this.#reached = Math.max(this.#reached, this.applied.controlMarker)
    return this.#reached
  }

  /** The ordinal of the position that is stored. */
  get storedOrdinal(): number {
    return this.#stored.ordinal
  }

  /** Everything read so far is applied and nothing is on its way. Not within a transaction in parts: what is being written of it may be a row held back that is kept, and X does not have yet. */
  get drained(): boolean {
    return this.pending.count === 0 && this.#held.count === 0 && !this.#roundRunning && this.#landing === 0 && this.#parts !== 'applying'
  }

  wake(): void {
    this.#wake.ring()
  }

  /** True while the tail must not bring more. Never for long because of rows held back: what they wait for may be this tail's to bring. */
  get full(): boolean {
    if (this.#tailStands) return true
    if (this.pending.bytes > this.options.pendingBytesMax()) return true
    // Up to where it stood nothing more is held back, and nothing is tried, so nobody would ring.
    return !this.#isBehindStart && this.#heldRoom.isFull(this.#heldBackBytes)
  }

  get #tailStands(): boolean {
    return this.#standAt !== null && this.options.latest().marker >= this.#standAt
  }

  /** The tail has not come again to where the target stood when this run began: what was kept is of there. */
  get #isBehindStart(): boolean {
    return compareCoordinates(this.options.latest(), this.#stoodAt) < 0
  }

  /** Of changes that wait and of those that are being applied; rows held back have a room of their own. */
  get heldBytes(): number {
    return this.pending.bytes + this.#roundBytes
  }

  get #heldBackBytes(): number {
    return this.#held.bytes + this.#triedBytes
  }

  get rowsHeldBack(): number {
    return this.#roundRunning ? Math.max(this.#heldBefore, this.#held.count) : this.#held.count
  }

  /** For how long what was read since the stored position is not stored. */
  get positionAgeMs(): number {
    if (this.#stored.ordinal >= this.options.latest().ordinal) return 0
    return Math.max(0, Math.round(this.options.clock.monotonicMs() - this.#storedAtMs))
  }

  get waiting(): Waiting | null {
    if (this.#collision === null) return this.#chunkWaits.waiting
    if (!this.#heldRoom.wasFull) return this.#collision
    const { what, ...rest } = this.#collision
    return { what: `${what}; ${this.#held.count} such rows take the memory that they may, so its source is read slowly`, ...rest }
  }

  /** Resolves when `full` may have changed. */
  async space(signal: AbortSignal): Promise<void> {
    await this.#space.wait(signal)
  }

  addChunk(chunk: Chunk): void {
    this.#chunks.push(chunk)
    this.wake()
  }

  /** Takes a chunk back that waits to land here; false: it does not, or is just landing. */
  withdraw(chunk: Chunk): boolean {
    if (!this.#chunks.includes(chunk)) return false
    this.#take([chunk])
    this.#chunkWaits.ended(chunk, 'taken back')
    return true
  }

  get chunksWaiting(): number {
    return this.#chunks.length
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    while (!signal.aborted) {
      if (this.#failure !== null) throw this.#failure.error
      if (this.pending.count === 0 && this.#held.count === 0) this.#advance()
      // Also below the intent of an earlier run, as rounds do: the next parts wait for it.
      if (this.#partsUnstored && this.#parts !== 'applying' && this.#landing === 0 && this.pending.count === 0 && this.#held.count === 0) {
        await this.#storePosition()
        this.options.onApplied(this)
        continue
      }
      // Looked at once a turn: time passes between two looks, and one that finds it too early must be followed by the limit that ends the wait.
      const retryInMs = this.#retryInMs
      const mayRound = this.#mayRound(retryInMs)
      if (mayRound && (this.#turn === 'round' || (this.#landing === 0 && this.#nextLanding().length === 0))) {
        if (this.#landing > 0) {
          this.#doing.begin('waits for landings, before a round')
          await this.#wake.wait(signal)
          continue
        }
        this.#doing.begin('a round')
        await this.options.beforeRound()
        if (signal.aborted) break
        // Of rows held back alone: a transaction in parts may have begun meanwhile, which takes them along.
        if (!this.#mayRound(0)) continue
        await this.#round()
        this.#turn = 'land'
        continue
      }
      const started = this.#startLandings()
      if (mayRound) this.#turn = 'round'
      if (started || (mayRound && this.#landing === 0)) continue
      if (this.#landing === 0 && this.pending.count === 0 && this.#positionIsOld()) {
        await this.#storePosition()
        continue
      }
      // Chunks that wait for more land when their time is over, and rows held back are tried when theirs is, though nobody rings.
      const limits = [
        ...(this.#landing === 0 && this.#landable().length > 0 ? [20] : []),
        ...(this.#held.count > 0 && retryInMs > 0 ? [retryInMs] : []),
        ...(this.#chunkWaits.lookAgainMs === null ? [] : [this.#chunkWaits.lookAgainMs]),
      ]
      this.#doing.begin(limits.length === 0 ? 'waits to be rung for' : 'waits for a time, or to be rung for')
      await this.#wake.wait(signal, limits.length === 0 ? undefined : Math.min(...limits))
    }
  }

  /** What it is at. No values of rows. */
  standing(): object {
    const place = ({ marker, groups }: Coordinate): string => `${marker}/${groups}`
    const { lanes, latest, clock } = this.options
    return {
      doing: this.#doing.told,
      read: place(latest()),
      applied: place(this.applied),
      intent: place(this.#intent),
      changes: this.pending.count,
      bytes: this.pending.bytes,
      // As was found when it was asked last: to ask is to take a step (`held-room.ts`).
      full: this.#tailStands || this.pending.bytes > this.options.pendingBytesMax() || this.#heldRoom.wasFull,
      heldBack: this.#held.count,
      heldBackBytes: this.#held.bytes,
      collisionsInRow: this.#collisionsInRow,
      retryInMs: this.#retryInMs,
      parts: this.#parts,
      tailStandsStill: this.#standsStill !== null,
      standAt: this.#standAt,
      landing: this.#landing,
      chunks: this.#chunks.length,
      lanesBusyMs: lanes.map(({ busySinceMs }) => (busySinceMs === null ? null : Math.round(clock.monotonicMs() - busySinceMs))),
    }
  }

  /** Waits until the target stands at a boundary at or past a marker of the source. */
  async passed(marker: number, signal: AbortSignal): Promise<void> {
    // Also between transactions in parts that follow one another without a pause: until the first part is written, whose intent comes before it, the target stands at a boundary.
    while (!signal.aborted && !(this.whole && this.applied.marker >= marker)) await this.#space.wait(signal, 20)
  }

  /** Resolves when the tail has come to a marker of the source. */
  async hasRead(marker: number, until: AbortSignal): Promise<void> {
    while (!until.aborted && this.options.latest().marker < marker) await this.#space.wait(until, 20)
  }

  /** The tail stops behind a marker of the source until the signal. Resolves as `passed`. */
  async standAt(marker: number, until: AbortSignal): Promise<void> {
    const goOn = (): void => {
      this.#standAt = null
      this.#space.ring()
    }
    if (until.aborted) return
    this.#standAt = marker
    until.addEventListener('abort', goOn, { once: true })
    await this.passed(marker, until)
  }

  /**
   * Waits until everything read is applied, rows held back too. The tail brings nothing meanwhile: they are tried again, and left out once `givenUp` says that an event behind this place brings
   * what they are now (`held-rows.ts`).
   */
  async drain(signal: AbortSignal, givenUp: HeldRowsJudge | null = null): Promise<void> {
    this.#standsStill = { givenUp, lookedAtMs: this.options.clock.monotonicMs() }
    this.wake()
    try {
      while (!signal.aborted && (!this.drained || this.applied.ordinal < this.options.latest().ordinal)) {
        if (this.#failure !== null) throw this.#failure.error
        await this.#space.wait(signal, 20)
      }
    } finally {
      this.#standsStill = null
    }
  }

  /** Before a transaction that goes in parts: everything read is applied, or held back and goes with the parts and with rounds behind them; until then the target is not consistent. */
  async beginParts(signal: AbortSignal): Promise<void> {
    if (!this.#readIsWritten) {
      this.#parts = 'draining'
      this.wake()
      while (!signal.aborted && !this.#readIsWritten) {
        if (this.#failure !== null) throw this.#failure.error
        await this.#space.wait(signal, 20)
      }
    }
    this.#parts = 'applying'
  }

  get #readIsWritten(): boolean {
    if (this.pending.count > 0 || this.#roundRunning || this.#landing > 0) return false
    return this.#held.count > 0 || (this.applied.ordinal >= this.options.latest().ordinal && !this.#partsUnstored)
  }

  /** A part of a transaction that is too large for one round: applied under the intent of its end (PROTOCOLS 1.5). Resolves when there is room for more. */
  async applyPart(changes: readonly Change[], end: Coordinate, signal: AbortSignal): Promise<void> {
    assert(this.#parts === 'applying' && !this.#roundRunning && this.#landing === 0, 'parts have begun')
    await this.#setIntent(end, { transactions: 1, changes: null }, this.options.read())
    // What is held back goes with it when its time has come, or when the part has something newer of it.
    for (const change of changes) this.pending.add(change)
    await this.#writePart()
    await this.options.failpoints.hit('part.afterSome')
    while (!signal.aborted && this.#heldRoom.isFull(this.#heldBackBytes)) {
      await this.options.clock.sleep(Math.min(50, Math.max(1, this.#retryInMs)), signal).catch(() => undefined)
      if (!signal.aborted && this.#retryInMs === 0) await this.#writePart()
    }
  }

  async #writePart(): Promise<void> {
    const round = this.#takeRound(this.applied)
    this.#roundBytes = Math.max(0, round.bytes - this.#triedBytes)
    this.#partRunning = true
    if (round.count > 0) this.#partsUnstored = true
    try {
      await this.#shared(() => this.#write(round))
    } finally {
      this.#partRunning = false
      this.#roundBytes = 0
      this.#triedBytes = 0
      this.#space.ring()
    }
    if (this.#held.count === 0) this.#noneHeld()
  }

  endParts(): void {
    this.#parts = 'none'
    this.wake()
  }

  /** 0: rows held back may be tried now. */
  get #retryInMs(): number {
    return Math.max(0, Math.ceil(this.#retryAtMs - this.options.clock.monotonicMs()))
  }

  /** Waits until nothing is on its way, after `run` was told to stop. */
  async settle(): Promise<void> {
    const never = new AbortController().signal
    while (this.#roundRunning || this.#partRunning || this.#landing > 0) await this.#space.wait(never, 20)
  }

  /** Stores where the target stands: before the stream stops, and at a statement on its tables. Also below the intent, as rounds do: it is read again from here up to it. Never behind where an earlier run had stored that it stands. */
  async storePositionNow(): Promise<void> {
    if (compareCoordinates(this.applied, this.#stoodAt) < 0) return
    if (this.drained && (this.#stored.ordinal < this.applied.ordinal || this.#heldStore.keeps)) await this.#storePosition()
  }

  /** X moves over groups that change nothing here. Never while a round is on its way; landings do not mind. */
  #advance(): void {
    if (this.#parts === 'applying') return
    const latest = this.options.latest()
    if (latest.ordinal <= this.applied.ordinal) return
    this.applied = latest
    this.options.onApplied(this)
  }

  #mayRound(retryInMs: number): boolean {
    if (this.#parts === 'applying') return false
    const early = this.#isBehindStart && this.#standsStill === null
    return this.pending.count > 0 || (this.#parts === 'none' && !early && this.#held.count > 0 && retryInMs === 0)
  }

  /** All that waits, with rows held back whose time has come or of whose keys it has something newer. */
  #takeRound(stamp: Stamp): Round {
    if (this.#held.count === 0) return this.pending.take(stamp)
    const again = new Set(this.#retryInMs === 0 ? this.#held.first(triedAtOnce) : [])
    for (const change of this.pending.all()) {
      const older = this.#held.of(change)
      if (older !== undefined) again.add(older)
    }
    const bytes = this.#held.bytes
    for (const change of again) this.#held.drop(change)
    this.#triedBytes = bytes - this.#held.bytes
    this.pending.putBack(roundOf([...again], stamp))
    return this.pending.take(stamp)
  }

  async #round(): Promise<void> {
    const { options } = this
    this.#heldBefore = this.#held.count
    const round = this.#takeRound(options.latest())
    this.#roundRunning = true
    this.#roundBytes = Math.max(0, round.bytes - this.#triedBytes)
    this.#space.ring()
    try {
      await this.#shared(() => this.#applyOrHold(round))
      this.#roundEnd = round.stamp
      if (this.#held.count > 0) {
        // PROTOCOLS 1.6: the round counts as crashed. X and the position stay.
        await options.failpoints.hit('held.tried')
        if (this.#standsStill !== null) await this.#leaveOutGivenUp(this.#standsStill)
        else this.#lineUp()
        if (this.#mayKeep(round.stamp)) await this.#keep(round.stamp)
        return
      }
      this.applied = round.stamp
      this.#stored = round.stamp
      this.#storedAtMs = options.clock.monotonicMs()
      this.#noneHeld()
    } finally {
      this.#roundRunning = false
      this.#roundBytes = 0
      this.#triedBytes = 0
      this.#space.ring()
    }
    this.options.onApplied(this)
  }

  /** Not before what an earlier run had begun is done again, nor while it is asked what need not be applied. */
  #mayKeep(stamp: Stamp): boolean {
    const nowMs = this.options.clock.monotonicMs()
    if (this.#held.count === 0 || this.#standsStill !== null || compareCoordinates(stamp, this.#intent) < 0) return false
    const { afterMs, everyMs } = this.#keeps
    if (this.#heldSinceMs === null || nowMs - this.#heldSinceMs < afterMs) return false
    // Chunks land in the moment behind it.
    if (nowMs - this.#storedAtMs < (this.#chunks.length > 0 ? everyMs / 5 : everyMs)) return false
    return stamp.ordinal > this.#stored.ordinal && this.#heldStore.mayKeep(this.#held)
  }

  /** X moves though rows are held back. First they are kept, then the position is stored. */
  async #keep(stamp: Stamp): Promise<void> {
    const { lanes, failpoints } = this.options
    const [first] = lanes
    assert(first !== undefined, 'a target has a lane')
    await this.#shared(async () => {
      await this.#heldStore.keep(this.#held, first)
      await failpoints.hit('held.kept')
      await this.#writePosition(stamp)
      await failpoints.hit('held.stored')
    })
    this.applied = stamp
    this.#stored = stamp
    this.#storedAtMs = this.options.clock.monotonicMs()
    this.options.onApplied(this)
  }

  /** With what was kept and is not held any more. */
  async #writePosition(
    stamp: Stamp,
    before: readonly StatementBytes[] = [],
    beforeCommit?: () => Promise<void> | undefined,
  ): Promise<void> {
    const { lanes, streamUid, targetUid } = this.options
    const { statements, done } = this.#heldStore.remove(this.#held)
    await lanes[0]?.transaction([...before, ...statements, applierSql.position(streamUid, targetUid, stamp)], beforeCommit)
    this.#partsUnstored = false
    done()
  }

  /** Not where an earlier run is done again: what stands in the way may be this tail's to take away. */
  #lineUp(): void {
    const { clock, exclusion, latest } = this.options
    const signal = this.#signal
    if (this.#liningUp || signal === null || exclusion.lineUp === undefined || compareCoordinates(latest(), this.#redoTo) < 0) return
    if (this.#heldSinceMs === null || clock.monotonicMs() - this.#heldSinceMs < lineUpAfterMs) return
    this.#liningUp = true
    void exclusion.lineUp(clock, signal).finally(() => (this.#liningUp = false))
  }

  /** Of rows held back while the tail stands still those that the source has given up. */
  async #leaveOutGivenUp(still: StandsStill): Promise<void> {
    const { clock, lanes, writeMarker, sourcePosition, failpoints } = this.options
    if (still.givenUp === null || clock.monotonicMs() - still.lookedAtMs < givenUpEveryMs) return
    const gone = await still.givenUp(this.#held.rows())
    still.lookedAtMs = clock.monotonicMs()
    if (gone.length === 0) return
    // First the intent: from now on the target lacks them, until the tail has brought what they are.
    const marker = await writeMarker()
    // The source was asked, and was further than the tail is: in a row of its own, which what is read until then does not write over.
    await lanes[0]?.transaction([seenSql(this.options, seenBy.leftOut, await sourcePosition())])
    await this.#setIntent({ marker, groups: 0 }, null, this.options.read())
    await failpoints.hit('held.leftOut')
    for (const change of gone) this.#held.drop(change)
    if (this.#held.count === 0) this.#noneHeld()
  }

  #noneHeld(): void {
    this.#collisionsInRow = 0
    this.#retryAtMs = 0
    this.#collision = null
    this.#named = null
    this.#heldSinceMs = null
    this.#heldRoom.reset()
  }

  async #nameRows({ refused, why }: Passed, lane: Lane): Promise<void> {
    const { schema, source, exclusion, clock } = this.options
    const [first] = refused
    const nowMs = clock.monotonicMs()
    if (
      source === undefined ||
      first === undefined ||
      why === null ||
      this.#heldSinceMs === null ||
      nowMs - this.#heldSinceMs < namedAfterMs
    )
      return
    if (this.#named !== null && nowMs - this.#named.atMs < namedEveryMs) return
    this.#named = { rows: this.#named?.rows ?? null, atMs: nowMs }
    const rows = await rowsThatCollide(lane, { schema, source, sources: exclusion.sources?.() ?? [source] }, first, why)
    this.#named = { rows, atMs: nowMs }
  }

  /** Rows of a round that collide with another stream's. */
  #holdBack({ refused, why }: Passed, stamp: Stamp, tookMs: number): void {
    if (refused.length === 0) return
    const { clock, shard, latest } = this.options
    this.collisions++
    this.#collisionsInRow++
    this.#heldSinceMs ??= clock.monotonicMs()
    this.#held.putBack(roundOf(refused, stamp))
    // Not sooner because something else has come and collided.
    if (this.#retryInMs === 0)
      this.#retryAtMs = clock.monotonicMs() + Math.min(retryMsMax, Math.max(pauseMs(this.#collisionsInRow), tookMs))
    const redone = compareCoordinates(latest(), this.#redoTo) < 0
    this.#collision = {
      what: `a row of ${redone ? 'a later time or of ' : ''}another source on ${shard} that this stream's row collides with${this.#named?.rows == null ? '' : `, ${this.#named.rows}`}: ${why?.message}`,
      sinceMs: this.#collision?.sinceMs ?? clock.nowMs(),
      ends: redone
        ? 'this stream, which does again what an earlier run had begun, comes to where that one was, and the other streams apply their own changes'
        : 'the streams come to the change that takes one of the two away; if it lasts, two sources hold the same unique value',
      reason: 'collision',
    }
  }

  async #applyOrHold(round: Round): Promise<void> {
    const { failpoints, mode, schema, oneLaneChangesMax } = this.options
    if (goesInOneTransaction(round.count, { oneLaneChangesMax, collisionsInRow: this.#collisionsInRow })) {
      const [only] = this.#checked(roundStatements(round, mode, schema, 1))
      assert(only !== undefined, 'one lane')
      try {
        await this.#writePosition(round.stamp, [...only.deletes, ...only.upserts], () => failpoints.hit('round.beforePosition'))
        await failpoints.hit('round.afterPosition')
        return
      } catch (error) {
        if (!isCollision(error) || mode !== 'several-sources') throw error
      }
    }
    await this.#setIntent(round.stamp, this.#sizeOf(round), round.stamp.position)
    await this.#write(round)
    if (this.#held.count > 0) return
    await failpoints.hit('round.beforePosition')
    await this.#writePosition(round.stamp)
    await failpoints.hit('round.afterPosition')
  }

  /** All lanes' deletes, committed, then all lanes' upserts; where several sources write, those that pass. */
  async #write(round: Round): Promise<void> {
    const { lanes, failpoints, mode, schema, clock } = this.options
    const sinceMs = clock.monotonicMs()
    const statements = this.#checked(roundStatements(round, mode, schema, lanes.length))
    await Promise.all(
      lanes.map((lane, i) => {
        const deletes = statements[i]?.deletes ?? []
        return deletes.length === 0 ? undefined : lane.transaction(deletes)
      }),
    )
    await failpoints.hit('round.afterDeletes')
    await settleAll(
      lanes.map(async (lane, i) => {
        const { upserts, rows } = statements[i] ?? { upserts: [], rows: [] }
        if (upserts.length === 0) return
        if (mode === 'several-sources') {
          const passed = await writeWhatPasses(lane, { upserts, rows }, schema)
          await this.#nameRows(passed, lane)
          this.#holdBack(passed, round.stamp, clock.monotonicMs() - sinceMs)
          await failpoints.hit('round.afterSomeLanes')
          return
        }
        // A few statements a transaction: locks and undo stay small, and nothing depends on a lane being one transaction.
        for (let at = 0; at < upserts.length; at += 8) await lane.transaction(upserts.slice(at, at + 8))
        await failpoints.hit('round.afterSomeLanes')
      }),
    )
  }

  /** A statement that the server would answer by closing the connection is refused here, by name. */
  #checked(lanes: LaneStatements[]): LaneStatements[] {
    const { packetMax, shard } = this.options
    for (const { upserts } of lanes) {
      const large = upserts.find((statement) => statementBytes(statement) + 1 > packetMax)
      if (large !== undefined)
        throw moveErrors.rowTooLarge({ table: statementText(large, 60), bytes: statementBytes(large), target: shard, max: packetMax })
    }
    return lanes
  }

  /** Beside the other streams that write to the target, when nobody has it alone. */
  #shared<T>(work: () => Promise<T>): Promise<T> {
    const { exclusion, clock } = this.options
    if (exclusion.busy)
      this.excluded ??= {
        what: 'another stream, for which a statement is executed or keys are built on the target',
        sinceMs: clock.nowMs(),
        ends: 'that is done',
      }
    return exclusion.shared(() => {
      this.excluded = null
      return work()
    })
  }

  /** What of the tail it has, with what has nothing for this target. */
  #sizeOf({ stamp }: Round): RoundSize {
    const from = this.#roundEnd.ordinal > this.applied.ordinal ? this.#roundEnd : this.applied
    return { transactions: stamp.ordinal - from.ordinal, changes: stamp.rowChanges - from.rowChanges }
  }

  /** Before the first effect of what goes to a place, with what was read for it. What is redone after a crash is told beside the round's size (`redone.ts`). */
  async #setIntent(to: Coordinate, round: RoundSize | null, read: string): Promise<void> {
    const { lanes, streamUid, targetUid, failpoints } = this.options
    const further = intentToStore(to, this.#intent)
    const statements = further === null ? [] : [applierSql.intent(streamUid, targetUid, further, round)]
    // Also below the intent of an earlier run: another server may have the groups in another order.
    if (read !== this.#seen) statements.push(seenSql(this.options, 0, read))
    if (statements.length > 0) await lanes[0]?.transaction(statements)
    this.#intent = further ?? this.#intent
    this.#seen = read
    await failpoints.hit('round.afterIntent')
  }

  #positionIsOld(): boolean {
    if (!this.consistent || this.#stored.ordinal === this.applied.ordinal) return false
    return this.options.clock.monotonicMs() - this.#storedAtMs >= idlePositionMs
  }

  async #storePosition(): Promise<void> {
    const stamp = this.applied
    await this.#shared(() => this.#writePosition(stamp))
    this.#stored = stamp
    this.#storedAtMs = this.options.clock.monotonicMs()
  }

  /** Chunks that may land now. */
  #landable(): Chunk[] {
    if (!this.consistent || this.#landingsHeld) return []
    return this.#chunks.filter((chunk) => isPastHighMarker(chunk, this.applied) && this.#chunkWaits.mayLand(chunk))
  }

  /** What lands next. With several sources each chunk by itself: one that collides waits (`chunk-waits.ts`). */
  #nextLanding(): Chunk[] {
    const landable = this.#landable()
    const { number, mode, landings, clock } = this.options
    if (mode === 'several-sources' || landable.length === 0) return landable.slice(0, 1)
    const { size, pressing } = landings()
    // What has come and may not land yet will in a moment, when the tail has met its marker: together they are one landing.
    const all = landable.length === this.#chunks.length
    return nextLanding(landable, {
      size,
      pressing: pressing && all,
      target: number,
      landing: this.#landing > 0,
      nowMs: clock.monotonicMs(),
    })
  }

  #take(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
  }

  #busyLanes = new Set<Lane>()
  #landingsHeld = false

  /** From now on nothing lands; resolves when nothing is on its way. */
  async holdLandings(signal: AbortSignal): Promise<void> {
    this.#landingsHeld = true
    while (this.#landing > 0 && !signal.aborted) await this.#space.wait(signal, 20)
  }

  #startLandings(): boolean {
    let started = false
    if (this.#parts === 'applying') return false
    for (const lane of this.options.lanes) {
      if (this.#busyLanes.has(lane)) continue
      const chunks = this.#nextLanding()
      if (chunks.length === 0) break
      this.#take(chunks)
      started = true
      this.#landing++
      this.#busyLanes.add(lane)
      this.#shared(() => this.#land(chunks, lane))
        .catch((error: unknown) => {
          this.#failure ??= { error }
        })
        .finally(() => {
          this.#landing--
          this.#busyLanes.delete(lane)
          this.wake()
          this.#space.ring()
        })
    }
    return started
  }

  async #land(chunks: readonly Chunk[], lane: Lane): Promise<void> {
    const { options } = this
    const parts: LandingPart[] = []
    const landing: Chunk[] = []
    for (const chunk of chunks) {
      const part = chunk.parts[options.number]
      // While it waited for whoever writes alone its keys passed their budget: nobody knows any more which of its rows the tail has brought (1.4), so it is read again.
      if (chunk.generation === null) {
        this.#chunkWaits.ended(chunk, 'taken back')
        options.onThrownAway(chunk, this)
        continue
      }
      landing.push(chunk)
      const sets = options.touched.setsSince(chunk.table, chunk.generation)
      if (part !== null && part !== undefined) parts.push({ chunk, part, drop: this.#dropped(chunk, sets) })
    }
    const [first] = parts
    if (first !== undefined) {
      try {
        await this.#landParts(parts, lane)
      } catch (error) {
        if (!isCollision(error) || options.mode !== 'several-sources') throw error
        this.collisions++
        assert(parts.length === 1, 'with several sources each chunk lands by itself')
        if (!(await this.#landOthers(first, lane))) {
          if (first.chunk.generation === null) {
            this.#chunkWaits.ended(first.chunk, 'taken back')
            options.onThrownAway(first.chunk, this)
            return
          }
          this.#chunkWaits.collided(first.chunk, error.message)
          this.#chunks.push(first.chunk)
          return
        }
      }
    }
    for (const chunk of landing) {
      this.#chunkWaits.ended(chunk, 'landed')
      options.onLanded(chunk, this)
    }
  }

  /** Keys that the tail has brought since the low marker, and those of rows held back: they come by themselves. */
  #dropped({ table }: Chunk, sets: readonly ReadonlySet<string>[]): LandingPart['drop'] {
    if (sets.length === 0 && this.#held.count === 0) return null
    return (key) => sets.some((set) => set.has(key)) || this.#held.has(table, key)
  }

  /** Without rows of ours that the tail brought before the low marker: at X they are what the chunk has. False: another stream's row stands there. */
  async #landOthers({ chunk, part, drop }: LandingPart, lane: Lane): Promise<boolean> {
    const own = await ownRows(lane, chunk, part, this.options.schema)
    if (own.size === 0) return false
    try {
      await this.#landParts([{ chunk, part, drop: (key) => own.has(key) || drop?.(key) === true }], lane)
      return true
    } catch (error) {
      if (!isCollision(error)) throw error
      return false
    }
  }

  async #landParts(parts: readonly LandingPart[], lane: Lane): Promise<void> {
    const { failpoints, lanes, read } = this.options
    const fold = this.options.fold(this)
    let committed = false
    let dropped = false
    const noting = ({ drop, ...part }: LandingPart): LandingPart => ({
      ...part,
      drop: drop === null ? null : (key) => drop(key) && (dropped = true),
    })
    try {
      const statements = [...landingStatements(parts.map(noting), this.options), ...(fold?.statements ?? [])]
      // What the tail has brought of these rows may be in no position yet (`seen.ts`). Asked behind them: it goes on meanwhile.
      const seen = dropped ? read() : this.#stored.position
      if (seen !== this.#stored.position) statements.unshift(seenSql(this.options, lanes.indexOf(lane), seen))
      await lane.transaction(statements, () => failpoints.hit('copy.beforeLandCommit'))
      committed = true
    } finally {
      fold?.end(committed)
    }
    await failpoints.hit('copy.landedOnSomeTargets')
  }
}

function pauseMs(collisionsInRow: number): number {
  return Math.min(200, 2 ** Math.min(collisionsInRow, 8))
}

function roundOf(changes: readonly Change[], stamp: Stamp): Round {
  const pending = new Pending()
  for (const change of changes) pending.add(change)
  return pending.take(stamp)
}
