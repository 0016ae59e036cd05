/**
 * Rows of one key merged in memory, by the same rules by which the server's upsert merges them (upsert.ts). Why the result does not depend on how
 * records are cut into batches: every merge is commutative and associative (sums of exact numbers, least and greatest, first and last in a total
 * order, counts of a sketch's buckets), and merging a batch and then upserting it is the same as upserting its rows one by one.
 *
 * Rows are filtered by offset *before* they get here, never after: what is merged cannot be taken apart (PROTOCOLS 4.6).
 */
import { addInts, type Int } from './decimal.ts'
import type { Cell } from './codec.ts'
import { DDSketch } from './ddsketch.ts'
import type { MadeCell, MadeRow } from './made-row.ts'
import { compareVersions, type OrderVersion } from './order-version.ts'
import type { PlannedColumn, TablePlan } from './table-plan.ts'

export type MergedCell = Cell | DDSketch | OrderVersion
export type MergedRow = { readonly identity: string; readonly cells: MergedCell[] }

/** Rows of one table, each key once; rows of `row` tables as they are. */
export class MergedTable {
  readonly plan: TablePlan
  #rows = new Map<string, MergedRow>()
  #plain: MergedRow[] = []
  rowsIn = 0

  constructor(plan: TablePlan) {
    this.plan = plan
  }

  add(row: MadeRow): void {
    this.rowsIn++
    if (this.plan.definition.kind === 'row') {
      this.#plain.push({ identity: row.identity, cells: row.cells as Cell[] })
      return
    }
    const there = this.#rows.get(row.identity)
    if (there === undefined) this.#rows.set(row.identity, { identity: row.identity, cells: firstOf(this.plan, row.cells) })
    else mergeInto(this.plan, there.cells, row.cells)
  }

  /** In the order in which they are locked: by key (PROTOCOLS 4.8). */
  sorted(): MergedRow[] {
    const rows = this.plan.definition.kind === 'row' ? this.#plain : [...this.#rows.values()]
    return rows.sort((a, b) => (a.identity < b.identity ? -1 : a.identity > b.identity ? 1 : 0))
  }
}

function firstOf(plan: TablePlan, cells: readonly MadeCell[]): MergedCell[] {
  const out = cells.slice() as MergedCell[]
  for (const i of plan.sketches) out[i] = DDSketch.of(cells[i] as readonly number[], (plan.columns[i] as PlannedColumn).relativeError)
  return out
}

function mergeInto(plan: TablePlan, into: MergedCell[], cells: readonly MadeCell[]): void {
  const { columns } = plan
  const end = columns.length
  let later = false
  let earlier = false
  // Versions stand behind the columns that they decide on, and are looked at first.
  for (let i = end - 1; i >= plan.keyWidth; i--) {
    const { merge } = columns[i] as PlannedColumn
    if (merge === 'lastVersion') later = compareVersions(cells[i] as OrderVersion, into[i] as OrderVersion) > 0
    else if (merge === 'firstVersion') earlier = compareVersions(cells[i] as OrderVersion, into[i] as OrderVersion) < 0
    else break
  }
  for (let i = plan.keyWidth; i < end; i++) {
    switch ((columns[i] as PlannedColumn).merge) {
      case 'sum':
      case 'count':
        into[i] = addInts(into[i] as Int, cells[i] as Int)
        break
      case 'min':
        into[i] = least(into[i] as Cell, cells[i] as Cell, -1)
        break
      case 'max':
        into[i] = least(into[i] as Cell, cells[i] as Cell, 1)
        break
      case 'last':
      case 'lastVersion':
        if (later) into[i] = cells[i] as MergedCell
        break
      case 'first':
      case 'firstVersion':
        if (earlier) into[i] = cells[i] as MergedCell
        break
      case 'sketch':
        for (const value of cells[i] as readonly number[]) (into[i] as DDSketch).add(value)
        break
      case 'key':
      case 'value':
        break
    }
  }
}

/** NULL is nothing: any value goes before it. */
function least(a: Cell, b: Cell, sign: 1 | -1): Cell {
  if (a === null) return b
  if (b === null) return a
  const order = Buffer.isBuffer(a) ? Buffer.compare(a, b as Buffer) : a === b ? 0 : (a as Int) < (b as Int) ? -1 : 1
  return order * sign >= 0 ? a : b
}
