/** Numbers of a stream for its report: counted here, shaped there. Rates are over the last few seconds. */
import type { Clock } from '../base/clock.ts'
import type { StreamReport } from '../topology/records.ts'
import type { LandedSum } from './scan.ts'
import type { SourceTable } from './source-tables.ts'
import type { CopyWork } from './tables.ts'

export class RateMeter {
  readonly #clock: Clock
  #samples: { atMs: number; total: number }[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Units a second over the last five seconds; null until a second has passed. */
  rate(total: number): number | null {
    const atMs = this.#clock.monotonicMs()
    const last = this.#samples[this.#samples.length - 1]
    if (last === undefined || atMs - last.atMs >= 200) this.#samples.push({ atMs, total })
    while (this.#samples.length > 1 && atMs - (this.#samples[0]?.atMs ?? 0) > 5_000) this.#samples.shift()
    const first = this.#samples[0]
    if (first === undefined || atMs - first.atMs < 300) return null
    return Math.round(((total - first.total) * 1000) / (atMs - first.atMs))
  }
}

type TableProgress = {
  name: string
  state: 'pending' | 'copying' | 'done'
  /** On how many targets each of its rows lands: on all, if it is a reference table. */
  readonly copies: number
  /** On all targets together, as recorded there: what a kill does not take away. */
  rowsLanded: number
  bytesLanded: number
  rowsEstimated: number
  bytesEstimated: number
}

export class CopyProgress {
  readonly #tables = new Map<string, TableProgress>()
  readonly #rate: RateMeter
  readonly #byteRate: RateMeter
  #chunks = 0
  #chunkRows = 0
  /** Each once: less than was read where runs ended. */
  sourceRowsRead = 0
  rowsRedone = 0

  constructor(clock: Clock, tables: readonly SourceTable[], targetCount: number) {
    this.#rate = new RateMeter(clock)
    this.#byteRate = new RateMeter(clock)
    for (const { plan, rowsEstimated, bytesEstimated } of tables) {
      const copies = plan.reference ? Math.max(1, targetCount) : 1
      this.#tables.set(plan.name, {
        name: plan.name,
        state: 'pending',
        copies,
        rowsLanded: 0,
        bytesLanded: 0,
        rowsEstimated,
        bytesEstimated,
      })
    }
  }

  /** What earlier runs landed, before anything of this one is told: figures that began at nothing again would fall. */
  landedBefore(name: string, { rows, bytes, chunks, chunkRows, complete }: LandedSum): void {
    const table = this.#tables.get(name)
    if (table === undefined) return
    this.landed(name, rows, bytes)
    this.#chunks += chunks
    this.#chunkRows += chunkRows / table.copies
    if (complete) this.done(name)
    else if (rows > 0) this.start(name)
  }

  start(name: string): void {
    const table = this.#tables.get(name)
    if (table?.state === 'pending') table.state = 'copying'
  }

  read(rows: number): void {
    this.sourceRowsRead += rows
  }

  get work(): CopyWork {
    return { rowsRead: this.sourceRowsRead + this.rowsRedone, rowsRedone: this.rowsRedone }
  }

  /** A range has been recorded on a target. Not a piece of one: a kill would have it read again. */
  landed(name: string, rows: number, bytes: number): void {
    const table = this.#tables.get(name)
    if (table === undefined) return
    table.rowsLanded += rows
    table.bytesLanded += bytes
  }

  /** A chunk has landed on all its targets. */
  chunk(rows: number): void {
    this.#chunks++
    this.#chunkRows += rows
  }

  done(name: string): void {
    const table = this.#tables.get(name)
    if (table === undefined) return
    table.state = 'done'
    table.rowsEstimated = rowsDoneOf(table)
  }

  view(): StreamReport['copy'] {
    const tables = [...this.#tables.values()]
    const rowsDone = sum(tables, rowsDoneOf)
    const rowsEstimated = sum(tables, (table) => Math.max(table.rowsEstimated, rowsDoneOf(table)))
    const bytesDone = Math.round(sum(tables, ({ bytesLanded, copies }) => bytesLanded / copies))
    const bytesEstimated = sum(tables, (table) => table.bytesEstimated)
    const rowsPerSecond = this.#rate.rate(rowsDone)
    const left = rowsLeft(
      rowsEstimated - rowsDone,
      tables.every(({ state }) => state === 'done'),
    )
    return {
      rowsDone,
      rowsEstimated,
      bytesDone,
      bytesEstimated,
      rowsPerSecond,
      etaMs: etaMs(left, rowsPerSecond),
      bytesPerSecond: this.#byteRate.rate(bytesDone),
      chunksDone: this.#chunks,
      chunksLeft: left === 0 ? 0 : left === null || this.#chunkRows === 0 ? null : Math.ceil((left * this.#chunks) / this.#chunkRows),
      sourceRowsRead: this.sourceRowsRead,
      tables: tables.map((table) => ({
        name: table.name,
        state: table.state,
        rowsDone: rowsDoneOf(table),
        rowsEstimated: table.rowsEstimated,
      })),
    }
  }
}

/** By an estimate, which may be too low: null, unknown, where it says none and something is left (promise 6). */
export function rowsLeft(estimatedLeft: number, done: boolean): number | null {
  if (done) return 0
  return estimatedLeft > 0 ? estimatedLeft : null
}

export function etaMs(left: number | null, perSecond: number | null): number | null {
  if (left === 0) return 0
  return left === null || perSecond === null || perSecond === 0 ? null : Math.round((left * 1000) / perSecond)
}

/** As they are counted on the source: each once. */
function rowsDoneOf({ rowsLanded, copies }: TableProgress): number {
  return Math.round(rowsLanded / copies)
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
