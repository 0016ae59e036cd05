/** Numbers of a stream for its report: counted here, shaped there. Rates are over the last few seconds. */
import type { Clock } from '../base/clock.ts'
import type { StreamReport } from '../topology/records.ts'
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
  rowsDone: number
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
  bytesDone = 0

  constructor(clock: Clock, tables: readonly SourceTable[]) {
    this.#rate = new RateMeter(clock)
    this.#byteRate = new RateMeter(clock)
    for (const { plan, rowsEstimated, bytesEstimated } of tables) {
      this.#tables.set(plan.name, { name: plan.name, state: 'pending', rowsDone: 0, rowsEstimated, bytesEstimated })
    }
  }

  start(name: string, rowsLanded: number): void {
    const table = this.#tables.get(name)
    if (table === undefined) return
    table.state = 'copying'
    table.rowsDone += rowsLanded
  }

  read(rows: number): void {
    this.sourceRowsRead += rows
  }

  get work(): CopyWork {
    return { rowsRead: this.sourceRowsRead + this.rowsRedone, rowsRedone: this.rowsRedone }
  }

  landed(name: string, rows: number, bytes: number): void {
    const table = this.#tables.get(name)
    if (table !== undefined) table.rowsDone += rows
    this.bytesDone += bytes
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
    table.rowsEstimated = table.rowsDone
  }

  view(): StreamReport['copy'] {
    const tables = [...this.#tables.values()]
    const rowsDone = sum(tables, (table) => table.rowsDone)
    const rowsEstimated = sum(tables, (table) => Math.max(table.rowsEstimated, table.rowsDone))
    const bytesEstimated = sum(tables, (table) => table.bytesEstimated)
    const rowsPerSecond = this.#rate.rate(rowsDone)
    const left = rowsEstimated - rowsDone
    return {
      rowsDone,
      rowsEstimated,
      bytesDone: this.bytesDone,
      bytesEstimated,
      rowsPerSecond,
      etaMs: left === 0 ? 0 : rowsPerSecond === null || rowsPerSecond === 0 ? null : Math.round((left * 1000) / rowsPerSecond),
      bytesPerSecond: this.#byteRate.rate(this.bytesDone),
      chunksDone: this.#chunks,
      chunksLeft: left <= 0 ? 0 : this.#chunkRows === 0 ? null : Math.ceil((left * this.#chunks) / this.#chunkRows),
      sourceRowsRead: this.sourceRowsRead,
      tables: tables.map(({ name, state, rowsDone: done, rowsEstimated: estimated }) => ({
        name,
        state,
        rowsDone: done,
        rowsEstimated: estimated,
      })),
    }
  }
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
