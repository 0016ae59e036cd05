/** The record of a comparison: what is shown of it, and the cursors by which another mover goes on. */
import type { Clock } from '../base/clock.ts'
import { RateMeter } from '../move/progress.ts'
import type { ErrorView, VdiffReport, VdiffTable } from '../topology/records.ts'
import { addTally, differences, newTally, type Tally } from './tally.ts'

type TableState = { name: string; state: VdiffTable['state']; tally: Tally; estimated: number; units: Set<string> }

export class VdiffProgress {
  readonly #clock: Clock
  readonly #uid: string
  readonly #startedAtMs: number
  readonly #rate: RateMeter
  readonly #tables = new Map<string, TableState>()
  /** By table and group: compared up to here; null: whole. */
  readonly #cursors: Record<string, string[] | null>
  #state: VdiffReport['state'] = 'running'
  #endedAtMs: number | null = null
  #error: ErrorView | null = null
  #repaired: number
  waiting: string | null = null

  constructor(clock: Clock, uid: string, earlier: VdiffReport | null) {
    this.#clock = clock
    this.#uid = uid
    this.#rate = new RateMeter(clock)
    this.#startedAtMs = earlier?.startedAtMs ?? clock.nowMs()
    this.#repaired = earlier?.repairedRows ?? 0
    this.#cursors = { ...earlier?.cursors }
    for (const table of earlier?.tables ?? []) {
      const { name, state, ...counts } = table
      this.#tables.set(name, {
        name,
        state,
        tally: { ...counts, samples: [...counts.samples], repaired: 0 },
        estimated: 0,
        units: new Set(),
      })
    }
  }

  /** Declares a table of a group before anything of it runs. */
  expect(table: string, group: string, rowsEstimated: number): void {
    const state = this.#tables.get(table) ?? { name: table, state: 'pending', tally: newTally(), estimated: 0, units: new Set<string>() }
    this.#tables.set(table, state)
    state.estimated += rowsEstimated
    if (this.cursor(table, group) !== 'done') state.units.add(group)
  }

  cursor(table: string, group: string): 'start' | 'done' | readonly string[] {
    const cursor = this.#cursors[`${table}@${group}`]
    return cursor === undefined ? 'start' : (cursor ?? 'done')
  }

  begin(table: string): void {
    const state = this.#tables.get(table)
    if (state?.state === 'pending') state.state = 'running'
  }

  passed(table: string, group: string, tally: Tally, cursor: readonly string[] | null): void {
    const state = this.#tables.get(table)
    if (state === undefined) return
    addTally(state.tally, tally)
    this.#repaired += tally.repaired
    this.#cursors[`${table}@${group}`] = cursor === null ? null : [...cursor]
    if (cursor !== null) return
    state.units.delete(group)
    if (state.units.size === 0) state.state = 'done'
  }

  /** All tables are done: what was found decides. */
  complete(): void {
    const found = [...this.#tables.values()].reduce((sum, { tally }) => sum + differences(tally), 0)
    this.#end(found > this.#repaired ? 'different' : 'clean')
  }

  fail(error: ErrorView): void {
    this.#error = error
    this.#end('failed')
  }

  stop(): void {
    this.#end('stopped')
  }

  #end(state: VdiffReport['state']): void {
    this.#state = state
    this.#endedAtMs = this.#clock.nowMs()
    this.waiting = null
  }

  get ended(): boolean {
    return this.#endedAtMs !== null
  }

  report(): VdiffReport {
    const tables = [...this.#tables.values()]
    const rowsCompared = tables.reduce((sum, { tally }) => sum + tally.rowsCompared, 0)
    // An estimate that was too low grows with what was found; a table that is done is as large as it is.
    const rowsEstimated = tables.reduce(
      (sum, { tally, estimated, state }) => sum + (state === 'done' ? tally.rowsCompared : Math.max(estimated, tally.rowsCompared)),
      0,
    )
    const rate = this.ended ? this.#overall(rowsCompared) : this.#rate.rate(rowsCompared)
    const left = rowsEstimated - rowsCompared
    return {
      v: 1,
      uid: this.#uid,
      atMs: this.#clock.nowMs(),
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
      state: this.#state,
      error: this.#error,
      rowsCompared,
      rowsEstimated,
      rowsPerSecond: rate,
      etaMs: this.ended || left === 0 ? 0 : rate === null || rate === 0 ? null : Math.round((left * 1000) / rate),
      tables: tables.map(({ name, state, tally: { repaired: _, ...counts } }) => ({
        name,
        state,
        ...counts,
        samples: [...counts.samples],
      })),
      repairedRows: this.#repaired,
      cursors: { ...this.#cursors },
      waiting: this.waiting,
    }
  }

  #overall(rows: number): number | null {
    const tookMs = (this.#endedAtMs ?? 0) - this.#startedAtMs
    return tookMs <= 0 ? null : Math.round((rows * 1000) / tookMs)
  }
}
