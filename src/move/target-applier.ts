// long: rounds and landings take turns under one invariant, which is kept or broken by all of it together
/**
 * The writer of one target: rounds and landings in turn (PROTOCOLS 1.4–1.6).
 *
 * Invariant: between rounds the target holds, for each key copied or touched, exactly the source's row at `applied`. It is kept because
 * - a round applies everything up to a group's end, and nothing lands while one runs: landings and rounds exclude each other;
 * - a chunk lands only past its high marker, without the keys touched since its low one;
 * - `applied` moves without a round only over groups that change nothing here;
 * - a round in several transactions stores first where it goes to (its intent); below the intent nothing lands, also after a restart.
 */
import { assert } from '../base/assert.ts'
import { isServerError } from '../mysql/errors.ts'
import type { TargetApplierOptions, Waiting } from './applier-options.ts'
import type { Chunk } from './chunk.ts'
import { Doing } from './doing.ts'
import { moveErrors } from './errors.ts'
import { nextLanding } from './landing.ts'
import { landingStatements, type LandingPart } from './landing-statements.ts'
import type { Lane } from './lane.ts'
import { Pending, type Change, type Round, type Stamp } from './pending.ts'
import { ownRows } from './own-rows.ts'
import { settleAll } from './settle-all.ts'
import { roundStatements, type LaneStatements } from './statements.ts'
import { applierSql, compareCoordinates, type Coordinate } from './tables.ts'
import { Wakeup } from '../base/wakeup.ts'

/** An idle target's position is stored this often, so that a restart reads little again. */
const idlePositionMs = 5_000

/** The source is asked about rows held back so often: most go by themselves. */
const givenUpEveryMs = 500

/** Of changes held back those that the source has given up by now. */
export type HeldRowsJudge = (held: readonly Change[]) => Promise<readonly Change[]>

/** The tail waits for us. */
type StandsStill = { readonly givenUp: HeldRowsJudge | null; lookedAtMs: number }

type Parts = 'none' | 'draining' | 'held' | 'applying'

export class TargetApplier {
  readonly options: TargetApplierOptions
  readonly pending = new Pending()
  /** X: everything up to here is applied. */
  applied: Stamp
  waiting: Waiting | null = null
  /** While another stream has the target alone. */
  excluded: Waiting | null = null
  /** 1062s met, for messages and tests. */
  collisions = 0
  #intent: Coordinate
  #stored: Stamp
  #storedAtMs: number
  #chunks: Chunk[] = []
  #landing = 0
  #roundRunning = false
  #roundBytes = 0
  #turn: 'round' | 'land' = 'round'
  readonly #doing: Doing
  #wake = new Wakeup()
  #space = new Wakeup()
  #failure: { error: unknown } | null = null
  /** After a collision: the marker that the next round must reach to. */
  #extendTo: number | null = null
  /** A transaction in parts: `draining` before it, `held` when only rows that collide are left, `applying` until its end. */
  #parts: Parts = 'none'
  #collisionsInRow = 0
  /** Rows held back, alone in `pending`, are not tried again before: each attempt is some transactions of both lanes, and the tail goes on meanwhile. */
  #retryAtMs = 0
  /** `pending` as it was left with nothing but rows held back. */
  #heldVersion = -1
  #standsStill: StandsStill | null = null
  /** Chunks that met another stream's row wait for a marker. */
  readonly #chunkWaits = new Map<Chunk, number>()

  constructor(options: TargetApplierOptions, start: { applied: Stamp; intent: Coordinate }) {
    this.options = options
    this.#doing = new Doing(options.clock)
    this.applied = start.applied
    this.#stored = start.applied
    this.#storedAtMs = options.clock.monotonicMs()
    this.#intent = start.intent
  }

  get consistent(): boolean {
    return compareCoordinates(this.applied, this.#intent) >= 0
  }

  /** The ordinal of the position that is stored. */
  get storedOrdinal(): number {
    return this.#stored.ordinal
  }

  /** Everything read so far is applied and nothing is on its way. */
  get drained(): boolean {
    return this.pending.count === 0 && !this.#roundRunning && this.#landing === 0
  }

  wake(): void {
    this.#wake.ring()
  }

  /** True while the tail must not bring more. A round that has to be extended is never starved of what it waits for. */
  get full(): boolean {
    return this.pending.bytes > this.options.pendingBytesMax() && this.#extendTo === null
  }

  /** A round waits for what the tail has yet to bring. */
  get extending(): boolean {
    return this.#extendTo !== null
  }

  /** Of changes that wait and of those that are being applied. */
  get heldBytes(): number {
    return this.pending.bytes + this.#roundBytes
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
    return true
  }

  get chunksWaiting(): number {
    return this.#chunks.length
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#failure !== null) throw this.#failure.error
      if (this.pending.count === 0) this.#advance()
      // Looked at once a turn: time passes between two looks, and one that finds it too early must be followed by the limit that ends the wait.
      const retryInMs = this.#retryInMs
      const mayRound = this.pending.count > 0 && this.#extended(retryInMs)
      if (mayRound && (this.#turn === 'round' || (this.#landing === 0 && this.#nextLanding().length === 0))) {
        if (this.#landing > 0) {
          this.#doing.begin('waits for landings, before a round')
          await this.#wake.wait(signal)
          continue
        }
        this.#doing.begin('a round')
        await this.options.beforeRound()
        if (signal.aborted) break
        await this.#round()
        this.#turn = 'land'
        continue
      }
      const started = this.#startLandings()
      if (this.pending.count > 0) this.#turn = 'round'
      if (started || (mayRound && this.#landing === 0)) continue
      if (this.#landing === 0 && this.pending.count === 0 && this.#positionIsOld()) {
        await this.#storePosition()
        continue
      }
      // Chunks that wait for more land when their time is over, and rows held back are tried when theirs is, though nobody rings.
      const limits = [
        ...(this.#landing === 0 && this.#landable().length > 0 ? [20] : []),
        ...(this.pending.count > 0 && retryInMs > 0 ? [retryInMs] : []),
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
      full: this.full,
      onlyHeld: this.#onlyHeld,
      collisionsInRow: this.#collisionsInRow,
      retryInMs: this.#retryInMs,
      extendTo: this.#extendTo,
      parts: this.#parts,
      tailStandsStill: this.#standsStill !== null,
      landing: this.#landing,
      chunks: this.#chunks.length,
      lanesBusyMs: lanes.map(({ busySinceMs }) => (busySinceMs === null ? null : Math.round(clock.monotonicMs() - busySinceMs))),
    }
  }

  /** Waits until the target stands at a boundary at or past a marker of the source. */
  async passed(marker: number, signal: AbortSignal): Promise<void> {
    // Also between transactions in parts that follow one another without a pause: until the first part is written, whose intent comes before it, the target stands at a boundary.
    while (!signal.aborted && !(this.consistent && this.applied.marker >= marker)) await this.#space.wait(signal, 20)
  }

  /**
   * Waits until everything read is applied. The tail brings nothing meanwhile, so a round is not extended to a marker that it would have to bring (1.6): rows held back are tried
   * again, and left out once `givenUp` says that an event behind this place brings what they are now (`held-rows.ts`).
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

  /**
   * Before a transaction that goes in parts: everything read is applied, but for rows that collide with another stream's. What would free their
   * place may stand in this very transaction or behind it, so a round can't be extended to it (1.6): they are held back and go with the parts, and with
   * the first round behind them; until then the target is not consistent.
   */
  async beginParts(signal: AbortSignal): Promise<void> {
    if (this.#heldRest && !this.#roundRunning && this.#landing === 0) {
      this.#parts = 'applying'
      return
    }
    this.#parts = 'draining'
    this.wake()
    while (!signal.aborted && !(this.#partsState() === 'held' && !this.#roundRunning && this.#landing === 0)) {
      if (this.#failure !== null) throw this.#failure.error
      if (this.drained && this.applied.ordinal >= this.options.latest().ordinal) break
      await this.#space.wait(signal, 20)
    }
    this.#parts = 'applying'
  }

  /** A part of a transaction that is too large for one round: applied under the intent of its end (PROTOCOLS 1.5). */
  async applyPart(changes: readonly Change[], end: Coordinate): Promise<void> {
    assert(this.#parts === 'applying' && !this.#roundRunning && this.#landing === 0, 'parts have begun')
    await this.#setIntent(end)
    // What is held back goes with it when its time has come, or when the part has something newer of it.
    const apart = this.#heldRest
    const part = apart ? new Pending() : this.pending
    for (const change of changes) {
      const older = apart ? this.pending.of(change) : undefined
      if (older !== undefined) {
        this.pending.drop(older)
        part.add(older)
      }
      part.add(change)
    }
    const round = part.take(this.applied)
    await this.#shared(async () => {
      try {
        await this.#write(round)
      } catch (error) {
        if (!isCollision(error) || this.options.mode !== 'several-sources') throw error
        this.#noteCollision(error)
        await this.#hold(round)
      }
    })
    this.#heldVersion = this.pending.version
    if (this.pending.count === 0) this.#noneHeld()
    await this.options.failpoints.hit('part.afterSome')
  }

  /** Others change it while somebody waits. */
  #partsState(): Parts {
    return this.#parts
  }

  endParts(): void {
    this.#parts = 'none'
    this.wake()
  }

  /** Writes all of a round but for rows that collide with another stream's, which go back to `pending`; returns how many. */
  async #hold(round: Round): Promise<number> {
    const { mode, lanes, schema } = this.options
    const first = lanes[0]
    assert(first !== undefined, 'a target has a lane')
    const held: Change[] = []
    const put = async (changes: readonly Change[]): Promise<void> => {
      try {
        for (const { upserts } of roundStatements(roundOf(changes, round.stamp), mode, schema, 1)) await first.transaction(upserts)
      } catch (error) {
        if (!isCollision(error)) throw error
        const [only] = changes
        if (changes.length === 1 && only !== undefined) {
          held.push(only)
          return
        }
        const half = Math.ceil(changes.length / 2)
        await put(changes.slice(0, half))
        await put(changes.slice(half))
      }
    }
    const changes = [...round.changes.values()].flatMap((keys) => [...keys.values()])
    // All deletes first, here too: keys of other bytes may be equal to the target. Again, since lanes may have written before one collided.
    for (const { deletes } of roundStatements(round, mode, schema, 1)) if (deletes.length > 0) await first.transaction(deletes)
    const rows = changes.filter(({ row }) => row !== null)
    if (rows.length > 0) await put(rows)
    const alone = this.pending.count === 0
    this.pending.putBack(roundOf(held, round.stamp))
    if (held.length > 0) this.#retryAtMs = this.options.clock.monotonicMs() + pauseMs(this.#collisionsInRow)
    this.#heldVersion = alone ? this.pending.version : -1
    return held.length
  }

  /** Nothing has come since rows were held back. */
  get #onlyHeld(): boolean {
    return this.pending.count > 0 && this.pending.version === this.#heldVersion
  }

  /** 0: they may be tried now. */
  get #retryInMs(): number {
    return Math.max(0, Math.ceil(this.#retryAtMs - this.options.clock.monotonicMs()))
  }

  /** Rows held back are all that waits, and their time has not come. */
  get #heldRest(): boolean {
    return this.#onlyHeld && this.#retryInMs > 0
  }

  /** Waits until nothing is on its way, after `run` was told to stop. */
  async settle(): Promise<void> {
    const never = new AbortController().signal
    while (this.#roundRunning || this.#landing > 0) await this.#space.wait(never, 20)
  }

  /** Stores where the target stands: before the stream stops, and at a statement on its tables. Also below the intent, as rounds do: it is read again from here up to it. */
  async storePositionNow(): Promise<void> {
    if (this.drained && this.#stored.ordinal < this.applied.ordinal) await this.#storePosition()
  }

  /** X moves over groups that change nothing here. Never while a round is on its way; landings do not mind. */
  #advance(): void {
    if (this.#parts === 'held' || this.#parts === 'applying') return
    const latest = this.options.latest()
    if (latest.ordinal <= this.applied.ordinal) return
    this.applied = latest
    this.options.onApplied(this)
  }

  #extended(retryInMs: number): boolean {
    if (this.#parts !== 'none') return this.#parts === 'draining'
    if (this.#standsStill !== null) return true
    return (this.#extendTo === null || this.options.latest().marker >= this.#extendTo) && retryInMs === 0
  }

  async #round(): Promise<void> {
    const { options } = this
    const round = this.pending.take(options.latest())
    this.#roundRunning = true
    this.#roundBytes = round.bytes
    this.#space.ring()
    try {
      if ((await this.#shared(() => this.#applyOrHold(round))) === 'held') {
        if (this.#parts === 'draining') this.#parts = 'held'
        else if (this.#standsStill === null) await this.#extend()
        else await this.#tryAgain(this.#standsStill)
        return
      }
      this.applied = round.stamp
      this.#stored = round.stamp
      this.#storedAtMs = options.clock.monotonicMs()
      this.#noneHeld()
    } finally {
      this.#roundRunning = false
      this.#roundBytes = 0
      this.#space.ring()
    }
    options.onApplied(this)
  }

  /**
   * PROTOCOLS 1.6: with rows held back the round counts as crashed (X and the position stay), and is taken again, longer, up to a marker committed
   * after now. What passed need not be written again (docs/decisions/008).
   */
  async #extend(): Promise<void> {
    this.#extendTo = await this.options.writeMarker()
  }

  /** Rows held back while the tail stands still: after a pause, and without those that the source has given up. */
  async #tryAgain(still: StandsStill): Promise<void> {
    const { clock, writeMarker } = this.options
    await clock.sleep(pauseMs(this.#collisionsInRow))
    if (still.givenUp === null || clock.monotonicMs() - still.lookedAtMs < givenUpEveryMs) return
    const gone = await still.givenUp(this.pending.rows())
    still.lookedAtMs = clock.monotonicMs()
    if (gone.length === 0) return
    // First the intent: from now on the target lacks them, until the tail has brought what they are.
    await this.#setIntent({ marker: await writeMarker(), groups: 0 })
    for (const change of gone) this.pending.drop(change)
    if (this.pending.count === 0) this.#noneHeld()
  }

  #noneHeld(): void {
    this.#extendTo = null
    this.#collisionsInRow = 0
    this.#retryAtMs = 0
    this.waiting = null
  }

  async #applyOrHold(round: Round): Promise<'applied' | 'held'> {
    try {
      await this.#apply(round)
      return 'applied'
    } catch (error) {
      if (!isCollision(error) || this.options.mode !== 'several-sources') throw error
      this.#noteCollision(error)
    }
    await this.#setIntent(round.stamp)
    if ((await this.#hold(round)) > 0) return 'held'
    await this.options.lanes[0]?.transaction([this.#positionSql(round.stamp)])
    return 'applied'
  }

  #noteCollision(error: Error): void {
    this.collisions++
    this.#collisionsInRow++
    this.waiting ??= {
      what: `a row of another source on ${this.options.shard} that this stream's row collides with: ${error.message}`,
      sinceMs: this.options.clock.nowMs(),
      ends: 'the other stream applies its own change; if it lasts, two sources hold the same unique value',
      reason: 'collision',
    }
  }

  async #apply(round: Round): Promise<void> {
    const { lanes, failpoints, mode, schema } = this.options
    const first = lanes[0]
    assert(first !== undefined, 'a target has a lane')
    // Not again in one transaction after a collision: its 1062 would undo its own deletes, which another stream may be waiting for as this
    // one waits for that one's, for ever (test/models/merge.model.ts finds it).
    if (round.count <= this.options.oneLaneChangesMax && this.#collisionsInRow === 0) {
      const [only] = this.#checked(roundStatements(round, mode, schema, 1))
      assert(only !== undefined, 'one lane')
      await first.transaction([...only.deletes, ...only.upserts, this.#positionSql(round.stamp)], () =>
        failpoints.hit('round.beforePosition'),
      )
      await failpoints.hit('round.afterPosition')
      return
    }
    await this.#setIntent(round.stamp)
    await this.#write(round)
    await failpoints.hit('round.beforePosition')
    await first.transaction([this.#positionSql(round.stamp)])
    await failpoints.hit('round.afterPosition')
  }

  /** All lanes' deletes, committed, then all lanes' upserts. */
  async #write(round: Round): Promise<void> {
    const { lanes, failpoints, mode, schema } = this.options
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
        const upserts = statements[i]?.upserts ?? []
        if (upserts.length === 0) return
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
      const large = upserts.find((statement) => statement.length + 1 > packetMax)
      if (large !== undefined)
        throw moveErrors.rowTooLarge({ table: large.toString('latin1', 0, 60), bytes: large.length, target: shard, max: packetMax })
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

  async #setIntent(to: Coordinate): Promise<void> {
    const { lanes, streamUid, targetUid, failpoints } = this.options
    if (compareCoordinates(to, this.#intent) > 0) {
      await lanes[0]?.transaction([applierSql.intent(streamUid, targetUid, to)])
      this.#intent = { marker: to.marker, groups: to.groups }
    }
    await failpoints.hit('round.afterIntent')
  }

  #positionSql(stamp: Stamp): string {
    return applierSql.position(this.options.streamUid, this.options.targetUid, stamp)
  }

  #positionIsOld(): boolean {
    if (!this.consistent || this.#stored.ordinal === this.applied.ordinal) return false
    return this.options.clock.monotonicMs() - this.#storedAtMs >= idlePositionMs
  }

  async #storePosition(): Promise<void> {
    const stamp = this.applied
    await this.#shared(async () => this.options.lanes[0]?.transaction([this.#positionSql(stamp)]))
    this.#stored = stamp
    this.#storedAtMs = this.options.clock.monotonicMs()
  }

  /** Chunks that may land now. */
  #landable(): Chunk[] {
    if (!this.consistent || this.#landingsHeld) return []
    const { marker } = this.applied
    return this.#chunks.filter((chunk) => chunk.highMarker <= marker && (this.#chunkWaits.get(chunk) ?? 0) <= marker)
  }

  /** What lands next. With several sources each chunk by itself: one that collides waits for its own marker. */
  #nextLanding(): Chunk[] {
    const landable = this.#landable()
    const { number, mode, landings, clock } = this.options
    if (mode === 'several-sources' || landable.length === 0) return landable.slice(0, 1)
    return nextLanding(landable, { ...landings(), target: number, landing: this.#landing > 0, nowMs: clock.monotonicMs() })
  }

  #take(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
      this.#chunkWaits.delete(chunk)
    }
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
    if (this.#parts === 'held' || this.#parts === 'applying') return false
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
        options.onThrownAway(chunk, this)
        continue
      }
      landing.push(chunk)
      const sets = options.touched.setsSince(chunk.table, chunk.generation)
      if (part !== null && part !== undefined)
        parts.push({ chunk, part, drop: sets.length === 0 ? null : (key) => sets.some((set) => set.has(key)) })
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
          const marker = await options.writeMarker()
          if (first.chunk.generation === null) {
            options.onThrownAway(first.chunk, this)
            return
          }
          this.#chunkWaits.set(first.chunk, marker)
          this.#chunks.push(first.chunk)
          return
        }
      }
    }
    for (const chunk of landing) options.onLanded(chunk, this)
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
    const { failpoints } = this.options
    const fold = this.options.fold(this)
    let committed = false
    try {
      const statements = [...landingStatements(parts, this.options), ...(fold?.statements ?? [])]
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

function isCollision(error: unknown): error is Error {
  return isServerError(error) && error.kind === 'duplicate'
}
