/**
 * What is still to be copied of a table, from the chunks that have landed. Pure.
 *
 * Chunks are consecutive ranges (lo, hi] of the key in the source's order, which only the source can compare. So each chunk has a *path*: texts
 * whose byte order is the order of the ranges. A scan counts upwards (0000000001, 0000000002, …); what a crash left open between two
 * landed chunks is counted below the first of them (…0000000005.0000000000.0000000001), hence stays between them, however often that happens.
 */
import { assert } from '../base/assert.ts'

export type LandedChunk = { path: string; lo: readonly string[] | null; hi: readonly string[] | null; target: number; rows: number }

export type ScanRange = {
  /** Stored as one, with this path: it landed on some targets before, or is read again. Read in pieces: what it holds now may be more than then. Null: read as chunks of our choice. */
  readonly exactPath: string | null
  readonly lo: readonly string[] | null
  readonly hi: readonly string[] | null
  /** Targets that do not have it yet. */
  readonly targets: readonly number[]
  /** Paths for its chunks, each once, in order. */
  readonly nextPath: () => string
}

export type ScanPlan = { ranges: ScanRange[]; complete: boolean; rowsLanded: number; rowsAgain: number }

const digits = 10

export function planScan(landed: readonly LandedChunk[], targetCount: number): ScanPlan {
  const all = Array.from({ length: targetCount }, (_, i) => i)
  const byPath = new Map<string, { lo: readonly string[] | null; hi: readonly string[] | null; on: Set<number>; rows: number }>()
  for (const chunk of landed) {
    const known = byPath.get(chunk.path)
    if (known === undefined) byPath.set(chunk.path, { lo: chunk.lo, hi: chunk.hi, on: new Set([chunk.target]), rows: chunk.rows })
    else {
      known.on.add(chunk.target)
      known.rows += chunk.rows
    }
  }
  const ranges: ScanRange[] = []
  let before: { path: string; hi: readonly string[] | null } | null = null
  let rowsLanded = 0
  let rowsAgain = 0
  for (const path of [...byPath.keys()].sort(compareBytes)) {
    const chunk = byPath.get(path)
    assert(chunk !== undefined, 'a path of the map')
    const from: readonly string[] | null = before === null ? null : before.hi
    assert(before === null || before.hi !== null, 'nothing comes after the last chunk')
    if (!sameBound(from, chunk.lo)) ranges.push(gap(before?.path ?? null, path, from, chunk.lo, all))
    rowsLanded += chunk.rows
    const missing = all.filter((target) => !chunk.on.has(target))
    if (missing.length > 0) {
      rowsAgain += chunk.rows
      ranges.push({ exactPath: path, lo: chunk.lo, hi: chunk.hi, targets: missing, nextPath: () => path })
    }
    before = { path, hi: chunk.hi }
  }
  if (before === null || before.hi !== null) ranges.push(gap(before?.path ?? null, null, before?.hi ?? null, null, all))
  return { ranges, complete: ranges.length === 0, rowsLanded, rowsAgain }
}

function gap(
  after: string | null,
  until: string | null,
  lo: readonly string[] | null,
  hi: readonly string[] | null,
  targets: readonly number[],
): ScanRange {
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

function sameBound(a: readonly string[] | null, b: readonly string[] | null): boolean {
  if (a === null || b === null) return a === b
  return a.length === b.length && a.every((literal, i) => literal === b[i])
}
