/** Edits of a statement, compiled into pieces that hold for every statement with the same key. */
import { assert } from '../../base/assert.ts'
import type { Span } from '../../sql/ast.ts'
import type { Piece, Text } from './plan.ts'

/** Replaces these tokens by the pieces; an empty span inserts before token `from`. */
export type PlanEdit = { readonly span: Span; readonly pieces: readonly Piece[] }

/** The tokens of `span` with those edits that lie inside of it. Many spans may be compiled with one list: rows of an INSERT each are. */
export function compileSpan(span: Span, edits: readonly PlanEdit[]): Piece[] {
  const all = arranged(edits)
  const pieces: Piece[] = []
  let at = span.from
  for (let i = firstFrom(all, span.from); i < all.length; i++) {
    const edit = all[i] as PlanEdit
    if (edit.span.from > span.to) break
    if (edit.span.to > span.to) continue
    assert(edit.span.from >= at, 'edits of a plan overlap')
    if (edit.span.from > at) pieces.push({ kind: 'span', span: { from: at, to: edit.span.from } })
    pieces.push(...edit.pieces)
    at = edit.span.to
  }
  if (at < span.to) pieces.push({ kind: 'span', span: { from: at, to: span.to } })
  return pieces
}

const known = new WeakMap<readonly PlanEdit[], { readonly count: number; readonly arranged: readonly PlanEdit[] }>()

/** In their order, without those that another replaces: a clause that is cut out takes the edits inside of it along. Once for each list, which may only have grown since. */
function arranged(edits: readonly PlanEdit[]): readonly PlanEdit[] {
  const found = known.get(edits)
  if (found?.count === edits.length) return found.arranged
  // The larger first of those that begin alike, so that what covers an edit comes before it.
  const largestFirst = edits.toSorted((a, b) => a.span.from - b.span.from || b.span.to - a.span.to)
  const kept: PlanEdit[] = []
  // Where the furthest ends of those that begin before the place at hand; of those at it, but for the span at hand; and the span at hand.
  let before = 0
  let alike = 0
  let from = -1
  let to = -1
  for (const edit of largestFirst) {
    const { span } = edit
    if (span.from !== from) {
      before = Math.max(before, alike, to)
      alike = 0
    } else if (span.to !== to) alike = Math.max(alike, to)
    from = span.from
    to = span.to
    const covered = span.from === span.to ? before > span.from : Math.max(before, alike) >= span.to
    if (!covered) kept.push(edit)
  }
  const result = kept.toSorted((a, b) => a.span.from - b.span.from || a.span.to - b.span.to)
  known.set(edits, { count: edits.length, arranged: result })
  return result
}

/** The first that begins at or behind a token. */
function firstFrom(edits: readonly PlanEdit[], from: number): number {
  let low = 0
  let high = edits.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((edits[middle] as PlanEdit).span.from < from) low = middle + 1
    else high = middle
  }
  return low
}

/** The whole statement; null when nothing is changed: then the client's own packet can be passed on. */
export function compileText(count: number, edits: readonly PlanEdit[]): Text {
  return edits.length === 0 ? null : compileSpan({ from: 0, to: count }, edits)
}

export function text(content: string): Piece {
  return { kind: 'text', text: content }
}
