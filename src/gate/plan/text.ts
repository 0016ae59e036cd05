/** Edits of a statement, compiled into pieces that hold for every statement with the same key. */
import { assert } from '../../base/assert.ts'
import type { Span } from '../../sql/ast.ts'
import type { Piece, Text } from './plan.ts'

/** Replaces these tokens by the pieces; an empty span inserts before token `from`. */
export type PlanEdit = { readonly span: Span; readonly pieces: readonly Piece[] }

/** The tokens of `span` with those edits that lie inside of it. */
export function compileSpan(span: Span, edits: readonly PlanEdit[]): Piece[] {
  const inside = edits
    .filter((edit) => edit.span.from >= span.from && edit.span.to <= span.to && !edits.some((other) => covers(other, edit)))
    .toSorted((a, b) => a.span.from - b.span.from || a.span.to - b.span.to)
  const pieces: Piece[] = []
  let at = span.from
  for (const edit of inside) {
    assert(edit.span.from >= at, 'edits of a plan overlap')
    if (edit.span.from > at) pieces.push({ kind: 'span', span: { from: at, to: edit.span.from } })
    pieces.push(...edit.pieces)
    at = edit.span.to
  }
  if (at < span.to) pieces.push({ kind: 'span', span: { from: at, to: span.to } })
  return pieces
}

/** Whether `outer` replaces what `inner` is in the middle of: a clause that is cut out takes the edits inside of it along. */
function covers(outer: PlanEdit, inner: PlanEdit): boolean {
  const [a, b] = [outer.span, inner.span]
  if (b.from === b.to) return a.from < b.from && b.from < a.to
  return a.from <= b.from && b.to <= a.to && a.to - a.from > b.to - b.from
}

/** The whole statement; null when nothing is changed: then the client's own packet can be passed on. */
export function compileText(count: number, edits: readonly PlanEdit[]): Text {
  return edits.length === 0 ? null : compileSpan({ from: 0, to: count }, edits)
}

export function text(content: string): Piece {
  return { kind: 'text', text: content }
}
