/**
 * The copy of all tables of a stream: a few readers, each taking table after table; chunks on their way to the targets; memory given back as they
 * land. Ends when every chunk of every table has landed on every target.
 *
 * Keys that the tail brings while a chunk is in flight are kept in memory (touched.ts); above their budget the oldest chunks are thrown away and their ranges read again, in smaller pieces
 * (PROTOCOLS 1.4): behind whatever brought so many keys, as their low markers are new.
 */
import type { Connection } from '../mysql/connection.ts'
import type { Chunk, SegmentPool } from './chunk.ts'
import { ChunkReader, type ChunkReaderOptions } from './chunk-reader.ts'
import { landedRange } from './landing-statements.ts'
import { landingSize, type LandingSize } from './landing.ts'
import type { CopyProgress } from './progress.ts'
import type { Fold, LandedRanges } from './landed-ranges.ts'
import { planScan, type ScanRange } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import type { TablePlan } from './table-plan.ts'
import type { TargetApplier } from './target-applier.ts'
import type { TouchedKeys } from './touched.ts'
import { Wakeup } from '../base/wakeup.ts'

export type CopierOptions = Omit<
  ChunkReaderOptions,
  'admit' | 'onRows' | 'onRead' | 'onBegin' | 'onDelivering' | 'onChunk' | 'ended' | 'rowsMax'
> & {
  tables: readonly SourceTable[]
  /** What landed in earlier runs; what lands in this one is added. */
  landed: LandedRanges
  appliers: readonly TargetApplier[]
  connect: () => Promise<Connection>
  /** Ends one of them: whoever looks after the stream's connections must not find it closed. */
  disconnect: (conn: Connection) => void
  readers: number
  pool: SegmentPool
  /** Read and not landed everywhere: what a kill would have read again, and its memory. */
  copyRowsMax: () => number
  chunksInFlight: number
  /** What the stream may have just now. */
  copyBytesMax: () => number
  touched: TouchedKeys<TablePlan>
  touchedBytesMax: () => number
  /** Shared with the tail: tables are taken out as they are done. */
  copying: Set<TablePlan>
  progress: CopyProgress
  throttle: (spent: { bytes: number; readMs: number }, signal: AbortSignal) => Promise<void>
}

type Again = { readonly table: SourceTable; readonly range: ScanRange; readonly rowsMax: number }

/** A range that was thrown away is read again in pieces of half the rows, but of no fewer than this. */
const againRowsMin = 100

export class Copier {
  readonly #options: CopierOptions
  readonly #bell = new Wakeup()
  /** Chunks read and not landed everywhere, by table; and tables whose scan has ended. */
  readonly #inFlight = new Map<TablePlan, number>()
  readonly #scanned = new Set<TablePlan>()
  /** Begun, and neither landed nor thrown away everywhere. */
  readonly #open = new Set<Chunk>()
  /** Ranges of chunks that were thrown away, and how many of a table are not read again yet. */
  readonly #again: Again[] = []
  readonly #againOf = new Map<TablePlan, number>()
  #failure: { error: unknown } | null = null
  #spent = { bytes: 0, readMs: 0 }
  /** In chunks that have not landed everywhere, wherever their parts stand. */
  #unlandedBytes = 0
  #unlandedRows = 0
  /** Of the last chunk: what the next may be expected to have. */
  #chunkBytes = 0
  rowsAgain = 0
  readonly landingSize: LandingSize
  #readers = 0
  /** Chunks whose high marker is on its way. */
  #delivering = 0
  /** Of them, those that may read no more before something has landed, or have read everything. */
  #atRest = 0

  constructor(options: CopierOptions) {
    this.#options = options
    this.landingSize = landingSize(options.appliers.length, options.chunksInFlight)
  }

  /** Nothing more may come before something has landed: targets land what they have, however little. Not while something is yet to be given to them. */
  get pressing(): boolean {
    return this.#atRest >= this.#readers && this.#delivering === 0
  }

  #rest(): void {
    this.#atRest++
    for (const applier of this.#options.appliers) applier.wake()
  }

  async run(signal: AbortSignal): Promise<void> {
    const queue = [...this.#options.tables]
    this.#readers = Math.min(this.#options.readers, queue.length)
    const readers = Array.from({ length: this.#readers }, () => this.#reader(queue, signal))
    await Promise.all(readers)
    while (!signal.aborted && this.#options.copying.size > 0) {
      if (this.#failure !== null) throw this.#failure.error
      await this.#bell.wait(signal)
    }
    if (this.#failure !== null) throw this.#failure.error
    this.#options.pool.end()
  }

  /** Called by a target when a chunk has landed there. */
  landed(chunk: Chunk, applier: TargetApplier): void {
    const { pool, progress } = this.#options
    const part = chunk.parts[applier.options.number]
    if (part !== null && part !== undefined) {
      for (const segment of part.segments) pool.giveBack(segment)
      const range = landedRange(chunk, part, applier.options.number, progress.work)
      if (range !== null) {
        this.#options.landed.add({ ...range, target: applier.options.number })
        progress.landed(range.table, range.rows, range.bytes)
      }
      chunk.parts[applier.options.number] = null
    }
    // Counted as what a later run finds of it: of pieces the last, and what was thrown away when it has been read again.
    if (chunk.remaining === 1 && chunk.thrownAway.length === 0 && chunk.completes !== null) progress.chunk(chunk.rows)
    this.#waitsLess(chunk)
  }

  fold(applier: TargetApplier): Fold | null {
    return this.#options.landed.take(applier.options.number)
  }

  /** A target has landed it, or it was thrown away for one. */
  #waitsLess(chunk: Chunk): void {
    chunk.remaining--
    if (chunk.remaining === 0) {
      this.#open.delete(chunk)
      if (chunk.generation !== null) this.#options.touched.release(chunk.generation)
      this.#unlandedBytes -= chunk.rowBytes
      this.#unlandedRows -= chunk.rows
      this.#readAgain(chunk)
      this.#inFlight.set(chunk.table, (this.#inFlight.get(chunk.table) ?? 1) - 1)
      this.#tableMaybeDone(chunk.table)
    }
    this.#bell.ring()
  }

  /** The tail has brought keys. */
  keysTouched(): void {
    const { touched } = this.#options
    const touchedBytesMax = this.#options.touchedBytesMax()
    if (touched.unprovenBytes > touchedBytesMax) {
      touched.dropUnproven()
      this.#throwAway(() => true)
    } else if (touched.sinceMarkersBytes > touchedBytesMax) this.#throwAway(() => touched.sinceMarkersBytes > touchedBytesMax / 2)
  }

  /** The oldest first, for as long as `more` says. One that is read just now is not put to any target when it comes. */
  #throwAway(more: () => boolean): void {
    const { touched } = this.#options
    for (const chunk of this.#open) {
      if (!more()) return
      if (chunk.generation === null) continue
      touched.release(chunk.generation)
      chunk.generation = null
      for (const applier of this.#options.appliers) if (applier.withdraw(chunk)) this.thrownAway(chunk, applier)
    }
  }

  /** A chunk will not land on a target. */
  thrownAway(chunk: Chunk, applier: TargetApplier): void {
    const { number } = applier.options
    for (const segment of chunk.parts[number]?.segments ?? []) this.#options.pool.giveBack(segment)
    chunk.parts[number] = null
    chunk.thrownAway.push(number)
    this.#waitsLess(chunk)
  }

  /** Pieces of a range are read again by who reads them. */
  #readAgain({ table, completes, thrownAway, rows, piece }: Chunk): void {
    const source = this.#options.tables.find(({ plan }) => plan === table)
    if (thrownAway.length === 0 || piece || completes === null || source === undefined) return
    const { path, lo, hi } = completes
    const range: ScanRange = { exactPath: path, lo, hi, targets: [...thrownAway], nextPath: () => path }
    this.#again.push({ table: source, range, rowsMax: Math.max(againRowsMin, Math.ceil(rows / 2)) })
    this.#againOf.set(table, (this.#againOf.get(table) ?? 0) + 1)
  }

  /** Where a chunk was thrown away, once it waits for no target. */
  async #ended(chunk: Chunk, signal: AbortSignal): Promise<readonly number[]> {
    while (!signal.aborted && chunk.remaining > 0) {
      await this.#wait(signal)
    }
    return chunk.thrownAway
  }

  async #reader(queue: SourceTable[], signal: AbortSignal): Promise<void> {
    const conn = await this.#options.connect()
    try {
      while (!signal.aborted) {
        const again = this.#again.shift()
        const table = again?.table ?? queue.shift()
        if (again !== undefined) await this.#rangeAgain(conn, again, signal)
        else if (table !== undefined) await this.#table(conn, table, signal)
        else if (this.#open.size > 0) await this.#wait(signal)
        else break
      }
    } catch (error) {
      this.#fail(error)
      throw error
    } finally {
      this.#rest()
      this.#options.disconnect(conn)
    }
  }

  async #table(conn: Connection, table: SourceTable, signal: AbortSignal): Promise<void> {
    const { plan } = table
    const scan = planScan(this.#options.landed.of(plan.name), this.#options.appliers.length)
    this.#options.progress.start(plan.name)
    this.rowsAgain += scan.rowsAgain
    const reader = this.#chunkReader(conn, table, Number.MAX_SAFE_INTEGER)
    for (const range of scan.ranges) {
      await this.#readRange(reader, plan, range, signal)
      if (signal.aborted) return
    }
    this.#scanned.add(plan)
    this.#tableMaybeDone(plan)
  }

  async #rangeAgain(conn: Connection, { table, range, rowsMax }: Again, signal: AbortSignal): Promise<void> {
    await this.#readRange(this.#chunkReader(conn, table, rowsMax), table.plan, range, signal)
    if (signal.aborted) return
    this.#againOf.set(table.plan, (this.#againOf.get(table.plan) ?? 1) - 1)
    this.#tableMaybeDone(table.plan)
  }

  async #readRange(reader: ChunkReader, plan: TablePlan, range: ScanRange, signal: AbortSignal): Promise<void> {
    await reader.read(range, signal, (work) => {
      this.#inFlight.set(plan, (this.#inFlight.get(plan) ?? 0) + 1)
      work.catch((error: unknown) => this.#fail(error))
    })
  }

  #chunkReader(conn: Connection, table: SourceTable, rowsMax: number): ChunkReader {
    return new ChunkReader(
      {
        ...this.#options,
        rowsMax,
        admit: (admitSignal) => this.#admit(admitSignal),
        onBegin: (chunk) => {
          this.#open.add(chunk)
          // Admitted before, and its rows are read from here on.
          if (this.#options.touched.mustProve) this.#throwAway(() => true)
        },
        ended: (chunk, endedSignal) => this.#ended(chunk, endedSignal),
        onRows: (_, rows, bytes) => {
          this.#options.progress.read(rows)
          this.#spent.bytes += bytes
          this.#unlandedBytes += bytes
          this.#unlandedRows += rows
        },
        onRead: (ms) => {
          this.#spent.readMs += ms
        },
        onDelivering: () => void this.#delivering++,
        onChunk: (chunk, targets) => {
          this.#delivering--
          this.#chunkBytes = chunk.rowBytes
          for (const target of targets) {
            const applier = this.#options.appliers[target]
            if (applier === undefined) continue
            if (chunk.generation === null) this.thrownAway(chunk, applier)
            else applier.addChunk(chunk)
          }
        },
      },
      conn,
      table.plan,
      table.keyName,
      table.averageRowBytes,
    )
  }

  async #admit(signal: AbortSignal): Promise<void> {
    const { pool, copyRowsMax, copyBytesMax, touched, touchedBytesMax, throttle } = this.#options
    const spent = this.#spent
    this.#spent = { bytes: 0, readMs: 0 }
    await throttle(spent, signal)
    // By what the next chunk will be: of rows of 15 MiB two at a time would be twice what they need.
    const isTooMuch = (): boolean =>
      this.#unlandedRows > copyRowsMax() ||
      this.#unlandedBytes + this.#chunkBytes > copyBytesMax() ||
      pool.outstandingBytes > copyBytesMax() ||
      touched.bytes > touchedBytesMax()
    const mayNot = (): boolean => this.#anyInFlight() && isTooMuch()
    while (!signal.aborted && (touched.mustProve || mayNot())) {
      // Nobody rings when it is proven.
      await this.#wait(signal, touched.mustProve ? 100 : undefined)
    }
    if (this.#failure !== null) throw this.#failure.error
  }

  /** Until something has landed, been thrown away, or failed. */
  async #wait(signal: AbortSignal, limitMs?: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure.error
    this.#rest()
    await this.#bell.wait(signal, limitMs)
    this.#atRest--
  }

  #anyInFlight(): boolean {
    for (const count of this.#inFlight.values()) if (count > 0) return true
    return false
  }

  #tableMaybeDone(table: TablePlan): void {
    if (!this.#scanned.has(table) || (this.#inFlight.get(table) ?? 0) > 0 || (this.#againOf.get(table) ?? 0) > 0) return
    this.#options.copying.delete(table)
    this.#options.touched.forget(table)
    this.#options.progress.done(table.name)
    this.#bell.ring()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#bell.ring()
  }
}
