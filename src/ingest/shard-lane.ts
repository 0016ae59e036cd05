// long: the lane's loop and all its ways out of trouble, which have to be read together
/**
 * The writer of some partitions to one shard: takes what the reader brings, in batches that grow with the backlog, one transaction at a time.
 *
 * Where trouble ends (PROTOCOLS 4.5): whatever was refused, rolled back or not answered, the lane rolls back, fences its partitions again and goes on from
 * the `next` that it reads under the fence. Records kept in memory are filtered by it when the next batch is built; if `next` lies before what memory
 * has, the shard went back, and the reader is told to read again from there. A deadlock, where the server has said that nothing stands, is sent again whole.
 *
 * Behind a backlog the next batch is made while the server is at work on this one, for the positions that this one leaves. It is sent only if this one is
 * committed: any trouble, and any change of who has a partition, puts it back into the queue. Should that ever be missed, its own compare-and-set refuses it.
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isConnectionLost, isServerError, type ServerError } from '../mysql/errors.ts'
import type { Chunk, Item, Range } from './batch.ts'
import type { IngestFailpoints } from './crash-points.ts'
import { resolve, stillDue } from './decide.ts'
import { LaneQueue } from './lane-queue.ts'
import { Overtaken, Refused, ShardSession, type FencedPosition, type PreparedWrite } from './shard-session.ts'
import { Wakeup } from '../base/wakeup.ts'
import type { PositionKey } from './position-sql.ts'

export type LaneConfig = {
  /** A batch waits for this many records, up to `lingerMs`; behind a backlog it takes up to `batchRecordsMax`. */
  readonly batchRecords: number
  readonly batchRecordsMax: number
  readonly lingerMs: number
  /** Positions move over offsets without rows this often. */
  readonly lazyMs: number
  /** Idle sessions are pinged this often: the server ends them after the lease. */
  readonly pingMs: number
  readonly repeatsMax: number
}

export type LaneOptions = {
  readonly shard: string
  readonly schema: string
  readonly key: PositionKey
  readonly tables: () => readonly string[]
  /** A session as PROTOCOLS 4.8 wants it. */
  readonly connect: (signal: AbortSignal) => Promise<Connection>
  /** Asked after connecting: does the topology say that this epoch still holds the partition? */
  readonly leaseStands: (partition: number, epoch: bigint) => Promise<boolean>
  readonly config: LaneConfig
  readonly clock: Clock
  readonly failpoints: IngestFailpoints
  /** The shard needs offsets from `next` on again. */
  readonly onWentBack: (partition: number, next: bigint, leaderEpoch: number) => void
  /** Somebody newer has the partition. */
  readonly onLost: (partition: number, epoch: bigint) => void
  /** The server has no partition for a row. True: there are more now. */
  readonly onNoPartition: () => Promise<boolean>
  /** This record is refused by the server, alone in its batch. True: it goes on as a dead letter. */
  readonly onPoison: (item: Item, error: Error) => boolean
  readonly onTrouble: (error: unknown) => void
  readonly onWritten: () => void
  /** Nothing is written to this shard just now, as if it were down. */
  readonly isHeld: () => boolean
}

type Slot = {
  readonly partition: number
  readonly epoch: bigint
  readonly start: bigint
  next: bigint
  leaderEpoch: number
  lazyTo: bigint
  lazyEpoch: number
}

/** What is due of records taken from the queue, and how far positions go over offsets without rows. */
type Drawn = {
  readonly ranges: readonly Range[]
  readonly passed: readonly Range[]
}

export type LaneStatistics = {
  transactions: number
  statements: number
  rowsIn: number
  rowsOut: number
  lateRows: number
  deadRecords: number
  repeats: number
  /** From a transaction's first statement to the answer of its COMMIT, in all. */
  openMs: number
}

export class ShardLane {
  readonly #options: LaneOptions
  readonly #slots = new Map<number, Slot>()
  readonly #queue = new LaneQueue()
  readonly #bell = new Wakeup()
  readonly #idle = new Wakeup()
  /** The batch after the one that is on its way. */
  #ahead: (Drawn & { readonly prepared: PreparedWrite | null }) | null = null
  /** Bytes of the batch that is being written. */
  #onItsWay = 0
  #session: ShardSession | null = null
  #turn: Promise<void> = Promise.resolve()
  #flushing = false
  #busy = false
  #lazyAtMs = -Infinity
  #usedAtMs = 0
  /** After a refusal that only some records cause: halved until the one is alone. */
  #limit: number
  readonly statistics: LaneStatistics = {
    transactions: 0,
    statements: 0,
    rowsIn: 0,
    rowsOut: 0,
    lateRows: 0,
    deadRecords: 0,
    repeats: 0,
    openMs: 0,
  }

  constructor(options: LaneOptions) {
    this.#options = options
    this.#limit = options.config.batchRecordsMax
  }

  get queuedBytes(): number {
    return this.#queue.bytes + this.#onItsWay + bytesOf(this.#ahead?.ranges ?? [])
  }

  /** All that was pushed is written, and positions stand at its end; or the shard is held. */
  get resting(): boolean {
    return !this.#busy && (this.#options.isHeld() || (!this.#hasQueued && !this.#lazy()))
  }

  /** It could write more than it has. One without partitions wants nothing. */
  get hungry(): boolean {
    const { batchRecords, batchRecordsMax } = this.#options.config
    return this.#slots.size > 0 && this.#queue.records < 2 * Math.max(batchRecords, batchRecordsMax)
  }

  /** What this shard will take next, of partitions that are fenced here. */
  next(partition: number): bigint | null {
    return this.#slots.get(partition)?.next ?? null
  }

  position(partition: number): { next: bigint; leaderEpoch: number } | null {
    const slot = this.#slots.get(partition)
    return slot === undefined ? null : { next: slot.next, leaderEpoch: slot.leaderEpoch }
  }

  /**
   * Rule 3. Null: somebody newer has it. Throws when the shard cannot be reached: nothing is built for it then.
   */
  async fence(partition: number, epoch: bigint, start: bigint, signal: AbortSignal): Promise<{ next: bigint; leaderEpoch: number } | null> {
    return this.#alone(async () => {
      this.#discardAhead()
      const session = await this.#connected(signal)
      const fenced = (await this.#guarded(() => session.fence([{ partition, epoch, start }]))).get(partition)
      assert(fenced !== undefined, 'a fence answers for its partition')
      if (fenced.answer === 'newer holder') return null
      const { next, leaderEpoch } = fenced
      this.#slots.set(partition, { partition, epoch, start, next, leaderEpoch, lazyTo: next, lazyEpoch: leaderEpoch })
      return { next, leaderEpoch }
    })
  }

  /** Nothing more is written of it once this resolves. */
  async forget(partition: number): Promise<void> {
    await this.#alone(async () => {
      this.#discardAhead()
      this.#slots.delete(partition)
      this.#queue.drop(partition)
    })
    this.#idle.ring()
  }

  push(chunk: Chunk): void {
    this.#queue.push(chunk)
    this.#bell.ring()
  }

  /** Resolves when all that was pushed is written and positions stand at its end. False: the signal came first. */
  async drain(signal: AbortSignal): Promise<boolean> {
    this.#flushing = true
    this.#bell.ring()
    try {
      while (!signal.aborted) {
        if (this.resting) return true
        await this.#idle.wait(signal, 50)
      }
      return false
    } finally {
      this.#flushing = false
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    try {
      while (!signal.aborted) {
        await this.#wait(signal)
        if (signal.aborted) break
        this.#busy = true
        await this.#alone(() => this.#step(signal))
        this.#busy = false
        this.#idle.ring()
      }
    } finally {
      this.#session?.connection.destroy()
      this.#session = null
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const { clock, config } = this.#options
    const held = this.#options.isHeld()
    if (!held && this.#hasQueued) return this.#writeSome(signal)
    if (!held && this.#lazyDue()) return this.#advance(signal)
    if (this.#session !== null && clock.monotonicMs() - this.#usedAtMs >= config.pingMs) {
      this.#usedAtMs = clock.monotonicMs()
      await this.#session.connection.ping().catch(() => this.#disconnect())
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const { clock, config } = this.#options
    const began = clock.monotonicMs()
    while (!signal.aborted) {
      const { records, length } = this.#queue
      if (this.#options.isHeld()) {
        if (clock.monotonicMs() - began >= config.pingMs) return
        await this.#bell.wait(signal, Math.min(config.lazyMs, config.pingMs))
        continue
      }
      if (this.#ahead !== null || records >= config.batchRecords || (length > 0 && (this.#flushing || records === 0))) return
      if (length > 0 && clock.monotonicMs() - this.#queue.sinceMs >= config.lingerMs) return
      if (length === 0 && (this.#lazyDue() || clock.monotonicMs() - began >= config.pingMs)) return
      await this.#bell.wait(signal, length > 0 ? config.lingerMs : Math.min(config.lazyMs, config.pingMs))
    }
  }

  get #hasQueued(): boolean {
    return this.#queue.length > 0 || this.#ahead !== null
  }

  async #writeSome(signal: AbortSignal): Promise<void> {
    const { ranges, passed, prepared } = this.#ahead ?? { ...this.#draw((slot) => slot.next), prepared: null }
    this.#ahead = null
    for (const { partition, to, leaderEpoch } of passed) {
      const slot = this.#slots.get(partition)
      if (slot !== undefined && to > slot.lazyTo) [slot.lazyTo, slot.lazyEpoch] = [to, leaderEpoch]
    }
    this.#onItsWay = bytesOf(ranges)
    if (ranges.length > 0) await this.#write(ranges, signal, prepared)
    this.#onItsWay = 0
    if (this.#flushing && !this.#hasQueued) await this.#advance(signal)
  }

  /** Takes a batch from the queue, for positions as `nextOf` says. */
  #draw(nextOf: (slot: Slot) => bigint): Drawn {
    const ranges: Range[] = []
    const passed: Range[] = []
    for (const [partition, { to, leaderEpoch, items, bytes }] of this.#queue.take(this.#limit)) {
      const slot = this.#slots.get(partition)
      if (slot === undefined) continue
      const from = nextOf(slot)
      if (to <= from) continue
      const due = items.filter(({ record }) => record.offset >= from)
      const list = due.length > 0 ? ranges : passed
      list.push({ partition, from, to, leaderEpoch, items: due, bytes })
    }
    if (this.#lazyDue(passed)) {
      this.#lazyAtMs = this.#options.clock.monotonicMs()
      ranges.push(...this.#passedRanges(nextOf, ranges, passed))
    }
    return { ranges, passed }
  }

  /**
   * What positions move over besides the ranges that are written. It goes along with them when it is due: behind a backlog that lasts the queue is never empty, and
   * the topic would forget offsets that a shard without rows of theirs has not passed (PROTOCOLS 4.6).
   */
  #passedRanges(nextOf: (slot: Slot) => bigint, written: readonly Range[], passed: readonly Range[]): Range[] {
    const out: Range[] = []
    for (const slot of this.#slots.values()) {
      const { partition, lazyTo, lazyEpoch } = slot
      if (written.some((range) => range.partition === partition)) continue
      const now = passed.find((range) => range.partition === partition)
      const [to, leaderEpoch] = now !== undefined && now.to > lazyTo ? [now.to, now.leaderEpoch] : [lazyTo, lazyEpoch]
      const from = nextOf(slot)
      if (to > from) out.push({ partition, from, to, leaderEpoch, items: [] })
    }
    return out
  }

  /** While `current` is on its way. */
  #makeAhead(session: ShardSession, current: readonly Range[]): void {
    if (this.#ahead !== null || this.#flushing || this.#queue.records < this.#options.config.batchRecords) return
    const ends = new Map(current.map(({ partition, to }) => [partition, to]))
    const drawn = this.#draw(({ partition, next }) => ends.get(partition) ?? next)
    // What cannot be made is tried, and refused, when its turn comes.
    this.#ahead = { ...drawn, prepared: null }
    if (drawn.ranges.length === 0) return
    try {
      this.#ahead = { ...drawn, prepared: session.prepare(drawn.ranges, this.#epochOf) }
    } catch {
      // Kept as it was drawn.
    }
  }

  #discardAhead(): void {
    if (this.#ahead === null) return
    const { ranges, passed } = this.#ahead
    this.#ahead = null
    this.#queue.putBack([...ranges, ...passed])
  }

  readonly #epochOf = (partition: number): bigint => this.#slots.get(partition)?.epoch ?? 0n

  /** Positions over offsets without rows: lazily, but long before the topic forgets them. */
  async #advance(signal: AbortSignal): Promise<void> {
    this.#lazyAtMs = this.#options.clock.monotonicMs()
    const ranges = this.#passedRanges((slot) => slot.next, [], [])
    if (ranges.length > 0) await this.#write(ranges, signal)
  }

  #lazy(): boolean {
    for (const slot of this.#slots.values()) if (slot.lazyTo > slot.next) return true
    return false
  }

  /** @param more drawn just now */
  #lazyDue(more: readonly Range[] = []): boolean {
    return (
      (more.length > 0 || this.#lazy()) &&
      (this.#flushing || this.#options.clock.monotonicMs() - this.#lazyAtMs >= this.#options.config.lazyMs)
    )
  }

  async #write(ranges: readonly Range[], signal: AbortSignal, prepared: PreparedWrite | null = null): Promise<void> {
    const { clock, config } = this.#options
    let made = prepared
    let nothingWasMissing = false
    for (let attempt = 0; !signal.aborted; attempt++) {
      // A partition may have been lost or resolved while an earlier attempt failed. One that stands within its range was moved there by an older
      // holder, on a server that never saw our fence: the rest of the range is still to be written, by offsets, when the next batch is built.
      const nextOf = ({ partition }: Range): bigint | undefined => this.#slots.get(partition)?.next
      if (ranges.some((range) => nextOf(range) !== range.from)) {
        this.#queue.putBack(ranges.filter((range) => stillDue(range, nextOf(range))))
        return
      }
      try {
        const before = this.#session
        const session = await this.#connected(signal)
        if (session !== before) {
          // What was made before believes what is not known of this server, and who has the partitions was asked anew.
          made = null
          if (ranges.some((range) => nextOf(range) !== range.from)) continue
        }
        const sentMs = clock.monotonicMs()
        const written = await session.write(made ?? session.prepare(ranges, this.#epochOf), () => this.#makeAhead(session, ranges))
        this.#usedAtMs = clock.monotonicMs()
        this.statistics.openMs += this.#usedAtMs - sentMs
        for (const { partition, to, leaderEpoch } of ranges) this.#moved(partition, to, leaderEpoch)
        this.#count(written)
        this.#limit = Math.min(config.batchRecordsMax, this.#limit * 2)
        this.#options.onWritten()
        return
      } catch (error) {
        if (signal.aborted) return
        made = null
        this.#discardAhead()
        this.statistics.repeats++
        const kind = kindOf(error)
        if (kind === 'repeat' && attempt < config.repeatsMax) {
          await clock.sleep(Math.min(200, attempt * 5), signal).catch(() => undefined)
          continue
        }
        if (kind === 'no partition') {
          // Another may have made it just now: it is the record's own trouble only if it is refused again though nothing was missing.
          const nothingToMake = await this.#nothingToMake()
          if (!(nothingToMake && nothingWasMissing)) {
            nothingWasMissing = nothingToMake
            continue
          }
        }
        if (kind === 'data' || kind === 'no partition') {
          this.#split(ranges, error as ServerError)
          return
        }
        if (kind !== 'refused') {
          this.#options.onTrouble(error)
          await clock.sleep(Math.min(1000, 20 * 2 ** Math.min(attempt, 6)), signal).catch(() => undefined)
        }
        await this.#resolve(ranges, signal)
      }
    }
  }

  /** Partitions by time: true when there are all that are due. Waits where they can not be made now. */
  async #nothingToMake(): Promise<boolean> {
    const { clock, onNoPartition, onTrouble } = this.#options
    try {
      return !(await onNoPartition())
    } catch (error) {
      onTrouble(error)
      await clock.sleep(200)
      return false
    }
  }

  /** What the server refuses for its contents: fewer records next time, until the one that it refuses stands alone. */
  #split(ranges: readonly Range[], error: ServerError): void {
    const records = ranges.reduce((sum, { items }) => sum + items.length, 0)
    const only = ranges.find(({ items }) => items.length > 0)?.items[0]
    this.#queue.putBack(ranges)
    if (records > 1 || only === undefined) {
      this.#limit = Math.max(1, Math.floor(records / 2))
      return
    }
    if (this.#options.onPoison(only, error)) {
      only.dead = error.serverMessage
      only.rows = []
    }
    // Else its partition stops; `forget` takes it from here. Others whose positions were to move along go on.
    else this.#queue.drop(only.record.partition)
  }

  /** Rule 5: fence again, believe what it says. */
  async #resolve(ranges: readonly Range[], signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const session = await this.#connected(signal)
        const mine = ranges.flatMap(({ partition }) => this.#slots.get(partition) ?? [])
        const fenced = await this.#guarded(() => session.fence(mine))
        for (const range of ranges) {
          const answer = fenced.get(range.partition)
          if (answer !== undefined) this.#believe(range.partition, answer, range)
        }
        return
      } catch (error) {
        this.#options.onTrouble(error)
        await this.#options.clock.sleep(Math.min(1000, 20 * 2 ** Math.min(attempt, 6)), signal).catch(() => undefined)
      }
    }
  }

  #believe(partition: number, fenced: FencedPosition, range: Range | null): void {
    const slot = this.#slots.get(partition)
    if (slot === undefined) return
    if (fenced.answer === 'newer holder') {
      this.#slots.delete(partition)
      this.#queue.drop(partition)
      this.#options.onLost(partition, fenced.epoch)
      return
    }
    if (resolve(slot.next, range?.to ?? slot.next, fenced.next) === 'went back') {
      this.#queue.drop(partition)
      slot.next = slot.lazyTo = fenced.next
      slot.leaderEpoch = slot.lazyEpoch = fenced.leaderEpoch
      this.#options.onWentBack(partition, fenced.next, fenced.leaderEpoch)
      return
    }
    if (fenced.next > slot.next) this.#moved(partition, fenced.next, fenced.leaderEpoch)
  }

  #moved(partition: number, to: bigint, leaderEpoch: number): void {
    const slot = this.#slots.get(partition)
    if (slot === undefined) return
    slot.next = to
    slot.leaderEpoch = leaderEpoch
    if (slot.lazyTo < to) [slot.lazyTo, slot.lazyEpoch] = [to, leaderEpoch]
  }

  /**
   * A session. A new one believes nothing of before: the server may be another by now, one that never saw our fence. So, in this order: connect, ask the
   * topology for the lease, fence every partition of the lane.
   */
  async #connected(signal: AbortSignal): Promise<ShardSession> {
    if (this.#session?.connection.open === true) return this.#session
    this.#disconnect()
    const { connect, schema, key, failpoints, tables, leaseStands } = this.#options
    const connection = await connect(signal)
    try {
      const session = new ShardSession({ connection, schema, key, failpoints })
      await this.#guarded(() => session.begin(tables()))
      for (const slot of this.#slots.values()) {
        if (await leaseStands(slot.partition, slot.epoch)) continue
        this.#slots.delete(slot.partition)
        this.#queue.drop(slot.partition)
        this.#options.onLost(slot.partition, slot.epoch)
      }
      if (this.#slots.size > 0) {
        const fenced = await this.#guarded(() => session.fence([...this.#slots.values()]))
        for (const [partition, answer] of fenced) this.#believe(partition, answer, null)
      }
      this.#session = session
      this.#usedAtMs = this.#options.clock.monotonicMs()
      return session
    } catch (error) {
      connection.destroy()
      throw error
    }
  }

  #disconnect(): void {
    this.#session?.connection.destroy()
    this.#session = null
  }

  /** Deadlocks of the fence itself, and of what prepares a session, are taken again. */
  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (kindOf(error) !== 'repeat' || attempt >= this.#options.config.repeatsMax) throw error
        await this.#options.clock.sleep(attempt * 5)
      }
    }
  }

  #count(written: { statements: number; rowsIn: number; rowsOut: number; lateRows: number; deadRecords: number }): void {
    const s = this.statistics
    s.transactions++
    s.statements += written.statements
    s.rowsIn += written.rowsIn
    s.rowsOut += written.rowsOut
    s.lateRows += written.lateRows
    s.deadRecords += written.deadRecords
  }

  /** One at a time on the connection. */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#turn
    let end = (): void => undefined
    this.#turn = new Promise((done) => {
      end = done
    })
    await before
    try {
      return await work()
    } finally {
      end()
    }
  }
}

function bytesOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { bytes = 0 }) => sum + bytes, 0)
}

type Kind = 'repeat' | 'refused' | 'data' | 'no partition' | 'trouble'

function kindOf(error: unknown): Kind {
  if (error instanceof Refused) return 'refused'
  if (error instanceof Overtaken) return 'repeat'
  if (isConnectionLost(error) || !isServerError(error)) return 'trouble'
  switch (error.kind) {
    case 'deadlock':
    case 'lockWait':
      return 'repeat'
    case 'duplicate':
      return 'data'
    case 'other':
      if (error.errno === 1526) return 'no partition'
      // Data errors have SQLSTATE classes 22 (data) and 23 (integrity); a missing table or column is nothing that a record causes.
      return /^2[23]/.test(error.sqlState) || dataErrors.has(error.errno) ? 'data' : 'trouble'
    case 'readOnly':
    case 'accountLocked':
    case 'interrupted':
    case 'killed':
    case 'tooManyConnections':
    case 'access':
      return 'trouble'
  }
}

/** Values that a column cannot hold, whatever their SQLSTATE: 1264 range, 1265 truncated, 1292 bad value, 1366 bad character, 1406 too long, 1690 sum out of range. */
const dataErrors: ReadonlySet<number> = new Set([1048, 1264, 1265, 1292, 1366, 1406, 1690, 3819, 4025])
