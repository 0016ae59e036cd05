/**
 * Sets of key ranges: whether they cover one range without overlap, which sources and targets belong together, and
 * which shards may switch by themselves.
 *
 * A *component* (PROTOCOLS 3) is a minimal group of sources and targets that cover exactly the same key range. Any such
 * group begins and ends at a bound that both sides have; cutting at *every* common bound therefore gives the minimal
 * ones, and each source and target falls into exactly one of them.
 */
import { assert } from '../base/assert.ts'
import { keyspaceErrors } from './errors.ts'
import {
  compareEnds,
  compareKeyRanges,
  compareStartToEnd,
  isWholeKeyRange,
  keyRangeIntersection,
  keyRangesEqual,
  parseKeyRange,
  printKeyRange,
  type KeyRange,
} from './key-range.ts'
import { compareKeyspaceIds } from './keyspace-id.ts'

export type Component = {
  /** What sources and targets cover alike. */
  readonly range: KeyRange
  readonly sources: readonly KeyRange[]
  readonly targets: readonly KeyRange[]
}

export type Side = 'source' | 'target'

export function sortKeyRanges(ranges: readonly KeyRange[]): KeyRange[] {
  return [...ranges].sort(compareKeyRanges)
}

/** Canonical texts, in order, separated by commas. */
export function printKeyRanges(ranges: readonly KeyRange[]): string {
  return sortKeyRanges(ranges).map(printKeyRange).join(',')
}

/** Reads `-40,40-80`, in any order, spaces allowed. SW-KEYSPACE-001 as `parseKeyRange`. */
export function parseKeyRanges(text: string): KeyRange[] {
  return text.split(',').map((part) => parseKeyRange(part.trim()))
}

/** Reads shard limits: `-40-80-` is `-40`, `40-80`, `80-`; `0` is `-`. SW-KEYSPACE-001 or 002. */
export function parseShardingSpec(spec: string): KeyRange[] {
  const text = JSON.stringify(spec)
  const limits = spec === '0' ? ['', ''] : spec.split('-')
  if (limits.length < 2) throw keyspaceErrors.badShardingSpec({ text, reason: 'it has one limit only' })
  if (limits.slice(1, -1).includes('')) throw keyspaceErrors.badShardingSpec({ text, reason: 'an empty limit stands in the middle' })
  return limits.slice(1).map((end, i) => parseKeyRange(`${limits[i]}-${end}`))
}

/** The one range that `ranges` cover without overlap or gap. SW-KEYSPACE-004, 005 or 006. */
export function coveredRange(ranges: readonly KeyRange[], side: Side | 'keyspace'): KeyRange {
  const sorted = sortKeyRanges(ranges)
  const first = sorted[0]
  if (first === undefined) throw keyspaceErrors.noShards({ side })
  let last = first
  for (const next of sorted.slice(1)) {
    const overlap = keyRangeIntersection(last, next)
    if (overlap !== null) {
      throw keyspaceErrors.rangesOverlap({ side, first: printKeyRange(last), second: printKeyRange(next), overlap: printKeyRange(overlap) })
    }
    if (compareKeyspaceIds(last.end, next.start) !== 0) {
      throw keyspaceErrors.rangesGap({ side, missing: printKeyRange({ start: last.end, end: next.start }) })
    }
    last = next
  }
  return { start: first.start, end: last.end }
}

/** Whether `ranges` are the shards of a whole keyspace: no overlap, nothing missing. Throws what is wrong (005, 006). */
export function requireWholeCoverage(ranges: readonly KeyRange[]): void {
  const covered = coveredRange(ranges, 'keyspace')
  if (!isWholeKeyRange(covered)) {
    throw keyspaceErrors.rangesGap({
      side: 'keyspace',
      missing: differenceOf({ start: empty, end: empty }, covered).map(printKeyRange).join(' and '),
    })
  }
}

/**
 * Checks that a reshard from `sources` to `targets` makes sense and says which of them belong together.
 * Refused: no shards (004), overlaps (005), gaps (006), different coverage (007), a range on both sides (008).
 */
export function planReshard(sources: readonly KeyRange[], targets: readonly KeyRange[]): Component[] {
  const from = coveredRange(sources, 'source')
  const to = coveredRange(targets, 'target')
  for (const source of sortKeyRanges(sources)) {
    if (targets.some((target) => keyRangesEqual(source, target))) throw keyspaceErrors.sameRange({ range: printKeyRange(source) })
  }
  if (!keyRangesEqual(from, to)) {
    const parts = [
      ...differenceOf(from, to).map((range) => `${printKeyRange(range)} has no target`),
      ...differenceOf(to, from).map((range) => `${printKeyRange(range)} has no source`),
    ]
    throw keyspaceErrors.rangesDiffer({ sources: printKeyRange(from), targets: printKeyRange(to), difference: parts.join(', ') })
  }
  return components(sources, targets)
}

/** The components of two sets that cover the same ranges without overlap. Gaps between components are allowed. */
export function components(sources: readonly KeyRange[], targets: readonly KeyRange[]): Component[] {
  const left = sortKeyRanges(sources)
  const right = sortKeyRanges(targets)
  const found: Component[] = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    const group = { sources: [] as KeyRange[], targets: [] as KeyRange[] }
    let source = left[i]
    let target = right[j]
    assert(source !== undefined && target !== undefined, 'sources and targets cover different ranges')
    assert(compareKeyspaceIds(source.start, target.start) === 0, 'sources and targets begin apart')
    const start = source.start
    group.sources.push(source)
    group.targets.push(target)
    for (let order = compareEnds(source.end, target.end); order !== 0; order = compareEnds(source.end, target.end)) {
      if (order < 0) {
        const next: KeyRange | undefined = left[++i]
        assert(next !== undefined && compareKeyspaceIds(source.end, next.start) === 0, 'the sources leave a gap')
        group.sources.push((source = next))
      } else {
        const next: KeyRange | undefined = right[++j]
        assert(next !== undefined && compareKeyspaceIds(target.end, next.start) === 0, 'the targets leave a gap')
        group.targets.push((target = next))
      }
    }
    found.push({ range: { start, end: source.end }, ...group })
    i++
    j++
  }
  return found
}

/**
 * The components that `chosen` (shards of either side) make up. Naming one side of a component is naming it, but then
 * all of that side. SW-KEYSPACE-009 with the smallest set that would do when `chosen` cuts a component.
 */
export function chooseComponents(all: readonly Component[], chosen: readonly KeyRange[]): Component[] {
  const isChosen = (range: KeyRange): boolean => chosen.some((other) => keyRangesEqual(range, other))
  const touched = all.filter(({ sources, targets }) => sources.some(isChosen) || targets.some(isChosen))
  const known = touched.flatMap(({ sources, targets }) => [...sources, ...targets])
  const unknown = chosen.filter((range) => !known.some((other) => keyRangesEqual(range, other)))
  const cut = touched.some(({ sources, targets }) => !sources.every(isChosen) && !targets.every(isChosen))
  const half = touched.some(({ sources, targets }) => partly(sources, isChosen) || partly(targets, isChosen))
  if (unknown.length > 0 || cut || half || touched.length === 0) {
    const meant = all.filter((component) => chosen.some((range) => keyRangeIntersection(range, component.range) !== null))
    throw keyspaceErrors.partialComponent({
      chosen: printKeyRanges(chosen),
      smallest:
        meant.map(({ sources, targets }) => `${printKeyRanges(sources)} → ${printKeyRanges(targets)}`).join(' and ') ||
        'none: they are not part of this workflow',
    })
  }
  return touched
}

function partly(ranges: readonly KeyRange[], isChosen: (range: KeyRange) => boolean): boolean {
  return ranges.some(isChosen) && !ranges.every(isChosen)
}

const empty: Uint8Array = new Uint8Array(0)

/** What `a` holds and `b` does not: at most one piece below and one above. */
export function differenceOf(a: KeyRange, b: KeyRange): KeyRange[] {
  if (keyRangeIntersection(a, b) === null) return [a]
  const pieces: KeyRange[] = []
  if (compareKeyspaceIds(a.start, b.start) < 0) pieces.push({ start: a.start, end: b.start })
  if (b.end.length > 0 && compareStartToEnd(b.end, a.end) < 0) pieces.push({ start: b.end, end: a.end })
  return pieces
}
