/**
 * The record of a comparison: what is shown of it, and the cursors by which another mover goes on.
 *
 * A cursor goes with the definition by which the table was compared up to it. Where the table has become another, whoever goes on takes back what was found of it, repaired or not, and it is compared from its beginning.
 */
import type { Clock } from '../base/clock.ts'
import { etaMs, RateMeter, rowsLeft } from '../move/progress.ts'
import type { ErrorView, VdiffGroup, VdiffReport, VdiffTable, VdiffUnit } from '../topology/records.ts'
import { addTally, differences, newTally, type Tally } from './tally.ts'

type TableState = {
  name: string
  state: VdiffTable['state']
  tally: Tally
  estimated: number
  units: Set<string>
  last: VdiffTable['last']
}
type GroupState = VdiffGroup & { tables: Set<string> }

export type VdiffShape = { readonly continuous: boolean; readonly restricted: boolean }

/** Where a continuous comparison begins its next pass: nothing compared yet, and of each table what this pass found. */
export function nextPass(report: VdiffReport, nowMs: number): VdiffReport {
  const pass = report.pass ?? { number: 1, startedAtMs: report.startedAtMs }
  return {
    ...report,
    pass: { ...pass, number: pass.number + 1, startedAtMs: nowMs },
    cursors: {},
    // By what the pass before had compared: what it found holds for no other definition.
    units: Object.fromEntries(Object.entries(report.units ?? {}).map(([unit, { definition }]) => [unit, { definition, rows: 0 }])),
    waiting: null,
    groups: (report.groups ?? []).map(({ name }) => ({ name, rowsCompared: 0, rowsEstimated: 0, found: 0 })),
    tables: report.tables.map((table) => {
      const { repaired: _, orphans: __, ...empty } = newTally()
      const last = { startedAtMs: pass.startedAtMs, rowsCompared: table.rowsCompared, found: differences(table) }
      return { ...empty, name: table.name, state: 'pending', last }
    }),
  }
}

/** The key of what is kept of one group's table. */
export function unitOf(table: string, group: string): string {
  return `${table}@${group}`
}

export class VdiffProgress {
  readonly #clock: Clock
  readonly #uid: string
  readonly #startedAtMs: number
  readonly #rate: RateMeter
  readonly #tables = new Map<string, TableState>()
  /** By table and group: compared up to here; null: whole. */
  readonly #cursors: Record<string, string[] | null>
  readonly #units: Record<string, VdiffUnit>
  #state: VdiffReport['state'] = 'running'
  #endedAtMs: number | null = null
  #error: ErrorView | null = null
  #repaired: number
  readonly #shape: VdiffShape
  readonly #groups = new Map<string, GroupState>()
  #pass: NonNullable<VdiffReport['pass']>
  #why: string | null = null
  waiting: string | null = null
  /** The side that served when it began. */
  serves: string | null

  constructor(clock: Clock, uid: string, earlier: VdiffReport | null, shape: VdiffShape) {
    this.#clock = clock
    this.#shape = shape
    this.serves = earlier?.serves ?? null
    this.#pass = earlier?.pass ?? { number: 1, startedAtMs: earlier?.startedAtMs ?? clock.nowMs() }
    for (const group of earlier?.groups ?? []) this.#groups.set(group.name, { ...group, rowsEstimated: 0, tables: new Set() })
    this.#uid = uid
    this.#rate = new RateMeter(clock)
    this.#startedAtMs = earlier?.startedAtMs ?? clock.nowMs()
    this.#repaired = earlier?.repairedRows ?? 0
    this.#cursors = { ...earlier?.cursors }
    this.#units = { ...earlier?.units }
    for (const table of earlier?.tables ?? []) {
      const { name, state, last, ...counts } = table
      this.#tables.set(name, {
        name,
        state,
        tally: { ...counts, orphans: counts.orphans ?? 0, samples: [...counts.samples], repaired: 0 },
        estimated: 0,
        units: new Set(),
        last,
      })
    }
  }

  /** Declares a table of a group before anything of it runs. What was compared of it by another definition is taken back. `shards`: the group's targets. */
  expect(table: string, group: string, rowsEstimated: number, definition = '', shards: readonly string[] = []): void {
    if ((this.#units[unitOf(table, group)]?.definition ?? definition) !== definition) this.forget(table, group, shards)
    this.#units[unitOf(table, group)] ??= { definition, rows: 0 }
    const state = this.#tables.get(table) ?? {
      name: table,
      state: 'pending',
      tally: newTally(),
      estimated: 0,
      units: new Set<string>(),
      last: undefined,
    }
    this.#tables.set(table, state)
    state.estimated += rowsEstimated
    const whole = this.#groups.get(group) ?? { name: group, rowsCompared: 0, rowsEstimated: 0, found: 0, tables: new Set<string>() }
    this.#groups.set(group, whole)
    whole.rowsEstimated += rowsEstimated
    if (this.cursor(table, group) === 'done') return
    state.units.add(group)
    whole.tables.add(table)
  }

  cursor(table: string, group: string): 'start' | 'done' | readonly string[] {
    const cursor = this.#cursors[unitOf(table, group)]
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
    const whole = this.#groups.get(group)
    if (whole !== undefined) {
      whole.rowsCompared += tally.rowsCompared
      whole.found += differences(tally)
      if (cursor === null) whole.tables.delete(table)
    }
    this.#cursors[unitOf(table, group)] = cursor === null ? null : [...cursor]
    this.#counted(unitOf(table, group), tally)
    if (cursor !== null) return
    state.units.delete(group)
    if (state.units.size === 0) state.state = 'done'
  }

  #counted(name: string, tally: Tally): void {
    const unit = this.#units[name]
    if (unit === undefined) return
    const [missing, extra, misplaced, different, orphans, repaired] = unit.found ?? [0, 0, 0, 0, 0, 0]
    const found: VdiffUnit['found'] = [
      missing + tally.missing,
      extra + tally.extra,
      misplaced + tally.misplaced,
      different + tally.different,
      orphans + tally.orphans,
      repaired + tally.repaired,
    ]
    this.#units[name] = { ...unit, rows: unit.rows + tally.rowsCompared, ...(found.some((count) => count > 0) ? { found } : {}) }
  }

  /** Nothing of it counts as compared, or found, any more, nor as compared by the pass before. A difference that one had found is one until it is compared again. */
  forget(table: string, group: string, shards: readonly string[]): void {
    const name = unitOf(table, group)
    const { rows = 0, found = [0, 0, 0, 0, 0, 0] } = this.#units[name] ?? {}
    delete this.#cursors[name]
    delete this.#units[name]
    const [missing, extra, misplaced, different, orphans, repaired] = found
    this.#repaired -= repaired
    const whole = this.#groups.get(group)
    if (whole !== undefined) {
      whole.rowsCompared -= rows
      whole.found -= missing + extra + misplaced + different + orphans
    }
    const state = this.#tables.get(table)
    if (state === undefined) return
    if (state.last?.found === 0) state.last = undefined
    const { tally } = state
    tally.rowsCompared -= rows
    tally.missing -= missing
    tally.extra -= extra
    tally.misplaced -= misplaced
    tally.different -= different
    tally.orphans -= orphans
    tally.samples = tally.samples.filter(({ shard }) => !shards.includes(shard))
    if (state.state === 'done') state.state = 'running'
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

  stop(why: string): void {
    this.#why = why
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
    const left = rowsLeft(rowsEstimated - rowsCompared, this.ended || (tables.length > 0 && tables.every(({ state }) => state === 'done')))
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
      etaMs: etaMs(left, rate),
      tables: tables.map(({ name, state, last, tally: { repaired: _, orphans, ...counts } }) => ({
        name,
        state,
        ...counts,
        ...(orphans === 0 ? {} : { orphans }),
        samples: [...counts.samples],
        ...(last === undefined ? {} : { last }),
      })),
      repairedRows: this.#repaired,
      cursors: { ...this.#cursors },
      units: { ...this.#units },
      waiting: this.waiting,
      serves: this.serves,
      groups: [...this.#groups.values()].map(({ tables: left, ...group }) => ({
        ...group,
        rowsEstimated: left.size === 0 ? group.rowsCompared : Math.max(group.rowsEstimated, group.rowsCompared),
      })),
      ...(this.#shape.restricted ? { restricted: true } : {}),
      ...(this.#shape.continuous ? { pass: this.#pass } : {}),
      ...(this.#why === null ? {} : { why: this.#why }),
    }
  }

  #overall(rows: number): number | null {
    const tookMs = (this.#endedAtMs ?? 0) - this.#startedAtMs
    return tookMs <= 0 ? null : Math.round((rows * 1000) / tookMs)
  }
}
