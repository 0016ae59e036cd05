/**
 * The copy of all tables of a stream: a few readers, each taking table after table; chunks on their way to the targets; memory given back as they
 * land. Ends when every chunk of every table has landed on every target.
 */
import type { Connection } from '../mysql/connection.ts'
import type { Chunk, SegmentPool } from './chunk.ts'
import { ChunkReader, type ChunkReaderOptions } from './chunk-reader.ts'
import { landingSize, type LandingSize } from './landing.ts'
import type { CopyProgress } from './progress.ts'
import { planScan, type LandedChunk } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import type { TablePlan } from './table-plan.ts'
import type { TargetApplier } from './target-applier.ts'
import type { TouchedKeys } from './touched.ts'
import { Wakeup } from '../base/wakeup.ts'

export type CopierOptions = Omit<ChunkReaderOptions, 'admit' | 'onRows' | 'onRead' | 'onChunk'> & {
  tables: readonly SourceTable[]
  /** What landed in earlier runs, by table. */
  landed: ReadonlyMap<string, readonly LandedChunk[]>
  appliers: readonly TargetApplier[]
  connect: () => Promise<Connection>
  /** Ends one of them: whoever looks after the stream's connections must not find it closed. */
  disconnect: (conn: Connection) => void
  readers: number
  pool: SegmentPool
  /** Read and not landed everywhere: what a kill would have read again, and its memory. */
  copyRowsMax: number
  copyBytesMax: number
  touched: TouchedKeys<TablePlan>
  touchedBytesMax: number
  /** Shared with the tail: tables are taken out as they are done. */
  copying: Set<TablePlan>
  progress: CopyProgress
  throttle: (spent: { bytes: number; readMs: number }, signal: AbortSignal) => Promise<void>
}

export class Copier {
  readonly #options: CopierOptions
  readonly #bell = new Wakeup()
  /** Chunks read and not landed everywhere, by table; and tables whose scan has ended. */
  readonly #inFlight = new Map<TablePlan, number>()
  readonly #scanned = new Set<TablePlan>()
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
  /** Of them, those that may read no more before something has landed, or have read everything. */
  #atRest = 0

  constructor(options: CopierOptions) {
    this.#options = options
    this.landingSize = landingSize(options.appliers.length)
  }

  /** Nothing more may come before something has landed: targets land what they have, however little. */
  get pressing(): boolean {
    return this.#atRest >= this.#readers
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
  }

  /** Called by a target when a chunk has landed there. */
  landed(chunk: Chunk, applier: TargetApplier): void {
    const { pool, touched, progress } = this.#options
    const part = chunk.parts[applier.options.number]
    if (part !== null && part !== undefined) {
      for (const segment of part.segments) pool.giveBack(segment)
      progress.landed(chunk.table.name, part.rows, part.bytes)
      chunk.parts[applier.options.number] = null
    }
    chunk.remaining--
    if (chunk.remaining === 0) {
      progress.chunk(chunk.rows)
      touched.release(chunk.generation)
      this.#unlandedBytes -= chunk.rowBytes
      this.#unlandedRows -= chunk.rows
      this.#inFlight.set(chunk.table, (this.#inFlight.get(chunk.table) ?? 1) - 1)
      this.#tableMaybeDone(chunk.table)
    }
    this.#bell.ring()
  }

  async #reader(queue: SourceTable[], signal: AbortSignal): Promise<void> {
    const conn = await this.#options.connect()
    try {
      for (let table = queue.shift(); table !== undefined && !signal.aborted; table = queue.shift()) await this.#table(conn, table, signal)
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
    const scan = planScan(this.#options.landed.get(plan.name) ?? [], this.#options.appliers.length)
    this.#options.progress.start(plan.name, scan.rowsLanded)
    this.rowsAgain += scan.rowsAgain
    const reader = new ChunkReader(
      {
        ...this.#options,
        admit: (admitSignal) => this.#admit(admitSignal),
        onRows: (_, rows, bytes) => {
          this.#options.progress.read(rows)
          this.#spent.bytes += bytes
          this.#unlandedBytes += bytes
          this.#unlandedRows += rows
        },
        onRead: (ms) => {
          this.#spent.readMs += ms
        },
        onChunk: (chunk, targets) => {
          this.#chunkBytes = chunk.rowBytes
          for (const target of targets) this.#options.appliers[target]?.addChunk(chunk)
        },
      },
      conn,
      plan,
      table.keyName,
      table.averageRowBytes,
    )
    for (const range of scan.ranges) {
      await reader.read(range, signal, (work) => {
        this.#inFlight.set(plan, (this.#inFlight.get(plan) ?? 0) + 1)
        work.catch((error: unknown) => this.#fail(error))
      })
      if (signal.aborted) return
    }
    this.#scanned.add(plan)
    this.#tableMaybeDone(plan)
  }

  async #admit(signal: AbortSignal): Promise<void> {
    const { pool, copyRowsMax, copyBytesMax, touched, touchedBytesMax, throttle } = this.#options
    const spent = this.#spent
    this.#spent = { bytes: 0, readMs: 0 }
    await throttle(spent, signal)
    // By what the next chunk will be: of rows of 15 MiB two at a time would be twice what they need.
    const isTooMuch = (): boolean =>
      this.#unlandedRows > copyRowsMax ||
      this.#unlandedBytes + this.#chunkBytes > copyBytesMax ||
      pool.outstandingBytes > copyBytesMax ||
      touched.bytes > touchedBytesMax
    const mayNot = (): boolean => this.#anyInFlight() && isTooMuch()
    while (!signal.aborted && mayNot()) {
      if (this.#failure !== null) throw this.#failure.error
      this.#rest()
      await this.#bell.wait(signal)
      this.#atRest--
    }
    if (this.#failure !== null) throw this.#failure.error
  }

  #anyInFlight(): boolean {
    for (const count of this.#inFlight.values()) if (count > 0) return true
    return false
  }

  #tableMaybeDone(table: TablePlan): void {
    if (!this.#scanned.has(table) || (this.#inFlight.get(table) ?? 0) > 0) return
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
