/**
 * What is still to be copied of a table, and which rows about it may be put together, from the ranges that have landed. Pure.
 *
 * A chunk is a range (lo, hi] of the key in the source's order, which only the source can compare. So each has a *path*: texts whose byte order is the
 * order of the ranges. A scan counts upwards (0000000001, 0000000002, …); what a crash left open between two landed chunks is counted below the first of
 * them (…0000000005.0000000000.0000000001), hence stays between them, however often that happens.
 *
 * A stored range stands for all paths from `first` to `path`: a chunk that landed for one, adjacent ranges that were put together for many (`foldable`). Every target's ranges are
 * read for themselves: each begins and ends at a *cut*, whose place in the order is its path, and between two neighbouring cuts of all targets a target has either everything or nothing.
 *
 * Why folding is right, wherever a crash comes. (1) Folding replaces ranges of one target, each of which begins where the one before it ends, by one from the first's beginning to the last's
 * end: what stands on that target about itself says the same keys before and after, and both statements are in one guarded transaction with a landing. (2) Nothing is ever concluded from one target about another, so
 * that it does not matter which of them have folded, how far, or whether one has lost its last landings. (3) New paths are given strictly between two neighbouring cuts of
 * *all* targets, hence in the order of the keys to every path that is hidden in a folded range too. Only ranges that all targets have are folded: so a chunk that some lack keeps its own path and
 * its number of rows, by which it is read again whole, and counted.
 */
import { assert } from '../base/assert.ts'

type Bound = readonly string[] | null

/** The paths from `first` to `path`, which are equal for a chunk. */
export type LandedRange = { first: string; path: string; lo: Bound; hi: Bound; target: number; rows: number }

export type ScanRange = {
  /** Stored as one, with this path: it landed on some targets before, or is read again. Read in pieces: what it holds now may be more than then. Null: read as chunks of our choice. */
  readonly exactPath: string | null
  readonly lo: Bound
  readonly hi: Bound
  /** Targets that do not have it yet. */
  readonly targets: readonly number[]
  /** Paths for its chunks, each once, in order. */
  readonly nextPath: () => string
}

/** What has landed of a table. `rows`, `bytes`: of all targets together; `chunkRows`: of them, those of the `chunks` that all targets have. */
export type LandedSum = {
  readonly rows: number
  readonly bytes: number
  readonly chunks: number
  readonly chunkRows: number
  readonly complete: boolean
}

export type ScanPlan = { ranges: ScanRange[]; complete: boolean; rowsLanded: number; rowsAgain: number }

const digits = 10

export function planScan(landed: readonly LandedRange[], targetCount: number): ScanPlan {
  const all = Array.from({ length: targetCount }, (_, i) => i)
  const { cuts, segments, of } = cutUp(landed, targetCount)
  const chunkRows = new Map<string, number>()
  for (const { first, path, rows } of of.flat().map(({ range }) => range))
    if (first === path) chunkRows.set(path, (chunkRows.get(path) ?? 0) + rows)
  const ranges: ScanRange[] = []
  let rowsAgain = 0
  const [begin] = cuts
  if (begin === undefined) ranges.push(gap(null, null, null, null, all))
  else if (begin.bound !== null) ranges.push(gap(null, begin.path, null, begin.bound, all))
  for (const { from, to, missing } of segments) {
    if (missing.length === 0) continue
    if (from.path === to.path) {
      const { path } = from
      rowsAgain += chunkRows.get(path) ?? 0
      ranges.push({ exactPath: path, lo: from.bound, hi: to.bound, targets: missing, nextPath: () => path })
    } else ranges.push(gap(from.path, to.path, from.bound, to.bound, missing))
  }
  const end = cuts.at(-1)
  if (end !== undefined && end.bound !== null) ranges.push(gap(end.path, null, end.bound, null, all))
  return { ranges, complete: ranges.length === 0, rowsLanded: landed.reduce((sum, { rows }) => sum + rows, 0), rowsAgain }
}

/** `chunks` of a range: how many were put together in it. */
export function landedSum(
  landed: readonly (LandedRange & { readonly bytes: number; readonly chunks: number })[],
  targetCount: number,
): LandedSum {
  const { segments, of, cuts } = cutUp(landed, targetCount)
  const isWhole = wholeRanges(segments, cuts.length)
  let chunks = 0
  let chunkRows = 0
  for (const [target, ranges] of of.entries())
    for (const { range, from, to } of ranges) {
      if (!isWhole(from, to)) continue
      chunkRows += range.rows
      // Each stands on every target.
      if (target === 0) chunks += range.chunks
    }
  const { rowsLanded, complete } = planScan(landed, targetCount)
  return {
    rows: rowsLanded,
    bytes: landed.reduce((sum, { bytes }) => sum + bytes, 0),
    chunks,
    chunkRows,
    complete,
  }
}

/** Whether all targets have what lies between two cuts. */
function wholeRanges(
  segments: readonly { readonly at: number; readonly missing: readonly number[] }[],
  cuts: number,
): (from: number, to: number) => boolean {
  const wanting = Array.from({ length: cuts }, () => 0)
  for (const { at, missing } of segments) if (missing.length > 0) wanting[at + 1] = 1
  for (let at = 1; at < cuts; at++) wanting[at] = (wanting[at] ?? 0) + (wanting[at - 1] ?? 0)
  return (from, to) => wanting[to] === wanting[from]
}

/** Of one target: ranges in their order, each beginning where the one before it ends, that all targets have. `rowsMax` at most in one; at least two. */
export function foldable<Range extends LandedRange>(
  landed: readonly Range[],
  targetCount: number,
  target: number,
  rowsMax: number,
): Range[][] {
  const { cuts, segments, of } = cutUp(landed, targetCount)
  const isWhole = wholeRanges(segments, cuts.length)
  const runs: Range[][] = []
  let run: Range[] = []
  for (const { range, from, to } of of[target] ?? []) {
    const whole = isWhole(from, to)
    const before = run.at(-1)
    if (before === undefined || !whole || run.length >= rowsMax || range.lo === null || !sameBound(before.hi, range.lo)) run = []
    if (!whole) continue
    if (run.length === 0) runs.push(run)
    run.push(range)
  }
  return runs.filter(({ length }) => length > 1)
}

/** Before or after a path; `bound` null: where the table begins, where it ends. */
type Cut = { readonly path: string; readonly after: boolean; readonly bound: Bound }

type Segments<Range> = {
  /** In their order. */
  readonly cuts: readonly Cut[]
  /** Between the cut at `at` and the next, unless they are one and the same in keys; `missing`: targets that do not have it. */
  readonly segments: readonly { readonly at: number; readonly from: Cut; readonly to: Cut; readonly missing: readonly number[] }[]
  /** By target, in their order: which cuts each lies between. */
  readonly of: readonly (readonly { readonly range: Range; readonly from: number; readonly to: number }[])[]
}

function cutUp<Range extends LandedRange>(landed: readonly Range[], targetCount: number): Segments<Range> {
  const byPlace = new Map<string, Cut>()
  for (const { first, path, lo, hi } of landed) {
    for (const cut of [
      { path: first, after: false, bound: lo },
      { path, after: true, bound: hi },
    ]) {
      const known = byPlace.get(placeOf(cut))
      assert(known === undefined || sameBound(known.bound, cut.bound), 'a path stands for one range on all targets')
      byPlace.set(placeOf(cut), cut)
    }
  }
  const cuts = [...byPlace.values()].sort((a, b) => compareBytes(a.path, b.path) || Number(a.after) - Number(b.after))
  const indexOf = new Map(cuts.map((cut, i) => [placeOf(cut), i]))
  const of = Array.from({ length: targetCount }, (_, target) =>
    landed
      .filter((range) => range.target === target)
      .map((range) => ({
        range,
        from: indexOf.get(placeOf({ path: range.first, after: false })) ?? 0,
        to: indexOf.get(placeOf({ path: range.path, after: true })) ?? 0,
      }))
      .sort((a, b) => a.from - b.from),
  )
  const reached = of.map(() => ({ next: 0, to: 0 }))
  const segments: Segments<Range>['segments'][number][] = []
  for (const [at, from] of cuts.entries()) {
    const to = cuts[at + 1]
    if (to === undefined) break
    const missing: number[] = []
    for (const [target, has] of reached.entries()) {
      const ranges = of[target] ?? []
      for (let next = ranges[has.next]; next !== undefined && next.from <= at; next = ranges[has.next]) {
        assert(next.from >= has.to, 'ranges of one target do not meet')
        has.to = next.to
        has.next++
      }
      if (has.to <= at) missing.push(target)
    }
    if ((from.after === to.after || from.bound !== null) && sameBound(from.bound, to.bound)) continue
    assert(from.bound !== null || !from.after, 'nothing comes after the last range')
    segments.push({ at, from, to, missing })
  }
  return { cuts, segments, of }
}

function placeOf({ path, after }: Pick<Cut, 'path' | 'after'>): string {
  return path + (after ? '+' : '-')
}

/** `after`, `until`: paths of the cuts that it lies between; what is given comes behind every path of the former, and before the latter. */
function gap(after: string | null, until: string | null, lo: Bound, hi: Bound, targets: readonly number[]): ScanRange {
  let prefix: string
  let count: number
  if (until === null) {
    // Open end: count on at the top.
    prefix = ''
    count = after === null ? 0 : Number(after.slice(0, digits))
  } else {
    prefix = after === null ? zero : `${after}.${zero}`
    while (until.startsWith(`${prefix}.`)) prefix = `${prefix}.${zero}`
    prefix += '.'
    count = 0
  }
  return { exactPath: null, lo, hi, targets, nextPath: () => prefix + String(++count).padStart(digits, '0') }
}

const zero = '0'.repeat(digits)

function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function sameBound(a: Bound, b: Bound): boolean {
  if (a === null || b === null) return a === b
  return a.length === b.length && a.every((literal, i) => literal === b[i])
}
