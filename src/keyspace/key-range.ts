/**
 * Key ranges `[start, end)` of keyspace ids and their algebra. Bounds are kept without trailing zero bytes
 * (`-80` = `-8000`), an empty start is the least id, an empty end lies above every id. Source of the format: Vitess's
 * shard names; `0` is another name of the whole keyspace `-`.
 *
 * A KeyRange made by `parseKeyRange` or `keyRange` is never empty: start < end.
 */
import { keyspaceErrors } from './errors.ts'
import { compareKeyspaceIds, normaliseKeyspaceId, toHex } from './keyspace-id.ts'

export type KeyRange = { readonly start: Uint8Array; readonly end: Uint8Array }

const shardNamePattern = /^(0|([0-9a-fA-F]{2})*-([0-9a-fA-F]{2})*)$/
const nothing: Uint8Array = new Uint8Array(0)

export const wholeKeyRange: KeyRange = { start: nothing, end: nothing }

/** Whether `text` has the form of a key range. Its bounds may still be the wrong way round. */
export function isKeyRangeText(text: string): boolean {
  return shardNamePattern.test(text)
}

/** Reads `-40`, `40-80`, `c0-`, `-` or `0`, hexadecimal in any case. SW-KEYSPACE-001 when it is no range or an empty one. */
export function parseKeyRange(text: string): KeyRange {
  if (!isKeyRangeText(text)) {
    throw keyspaceErrors.badKeyRange({ text: JSON.stringify(text), reason: 'it does not have the form start-end' })
  }
  if (text === '0') return wholeKeyRange
  const dash = text.indexOf('-')
  const end = text.slice(dash + 1)
  // An end of zeros reads as "before everything" to a person and as "after everything" to Vitess.
  if (end !== '' && /^0*$/.test(end)) {
    throw keyspaceErrors.badKeyRange({
      text: JSON.stringify(text),
      reason: 'nothing lies below zero; leave the end empty for "to the top"',
    })
  }
  return keyRange(Buffer.from(text.slice(0, dash), 'hex'), Buffer.from(end, 'hex'))
}

/** The range between two bounds, normalised. SW-KEYSPACE-001 when it would be empty. */
export function keyRange(start: Uint8Array, end: Uint8Array): KeyRange {
  const range = { start: normaliseKeyspaceId(start), end: normaliseKeyspaceId(end) }
  if (range.end.length > 0 && compareKeyspaceIds(range.start, range.end) >= 0) {
    throw keyspaceErrors.badKeyRange({ text: JSON.stringify(printKeyRange(range)), reason: 'its start is not below its end' })
  }
  return range
}

/** The canonical text: lower case, no trailing zero bytes. Equal ranges have equal texts. */
export function printKeyRange(range: KeyRange): string {
  return `${toHex(range.start)}-${toHex(range.end)}`
}

export function isWholeKeyRange(range: KeyRange): boolean {
  return range.start.length === 0 && range.end.length === 0
}

export function keyRangeContains(range: KeyRange, id: Uint8Array): boolean {
  return compareKeyspaceIds(id, range.start) >= 0 && (range.end.length === 0 || compareKeyspaceIds(id, range.end) < 0)
}

export function keyRangeContainsRange(outer: KeyRange, inner: KeyRange): boolean {
  return compareKeyspaceIds(inner.start, outer.start) >= 0 && compareEnds(inner.end, outer.end) <= 0
}

export function keyRangesIntersect(a: KeyRange, b: KeyRange): boolean {
  return compareStartToEnd(a.start, b.end) < 0 && compareStartToEnd(b.start, a.end) < 0
}

/** What both hold, or `null`. */
export function keyRangeIntersection(a: KeyRange, b: KeyRange): KeyRange | null {
  if (!keyRangesIntersect(a, b)) return null
  return {
    start: compareKeyspaceIds(a.start, b.start) >= 0 ? a.start : b.start,
    end: compareEnds(a.end, b.end) <= 0 ? a.end : b.end,
  }
}

/** Order by start, then by end. */
export function compareKeyRanges(a: KeyRange, b: KeyRange): number {
  return compareKeyspaceIds(a.start, b.start) || compareEnds(a.end, b.end)
}

export function keyRangesEqual(a: KeyRange, b: KeyRange): boolean {
  return compareKeyRanges(a, b) === 0
}

/** Whether `b` begins exactly where `a` ends. */
export function keyRangesContiguous(a: KeyRange, b: KeyRange): boolean {
  return a.end.length > 0 && compareKeyspaceIds(a.end, b.start) === 0
}

/** The union of two ranges of which one begins where the other ends, in either order; otherwise `null`. */
export function unionOfAdjacent(a: KeyRange, b: KeyRange): KeyRange | null {
  if (keyRangesContiguous(a, b)) return { start: a.start, end: b.end }
  if (keyRangesContiguous(b, a)) return { start: b.start, end: a.end }
  return null
}

/** Compares two ends: the empty one lies above all others. */
export function compareEnds(a: Uint8Array, b: Uint8Array): number {
  if (a.length === 0 || b.length === 0) return a.length === b.length ? 0 : a.length === 0 ? 1 : -1
  return compareKeyspaceIds(a, b)
}

/** Compares a start with an end: an empty end lies above every start. */
export function compareStartToEnd(start: Uint8Array, end: Uint8Array): number {
  return end.length === 0 ? -1 : compareKeyspaceIds(start, end)
}
