import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileSpan, text, type PlanEdit } from './text.ts'
import type { Piece } from './plan.ts'

const edit = (from: number, to: number, content: string): PlanEdit => ({ span: { from, to }, pieces: [text(content)] })
const shown = (pieces: readonly Piece[]): string =>
  pieces
    .map((piece) => (piece.kind === 'span' ? `[${piece.span.from},${piece.span.to})` : piece.kind === 'text' ? piece.text : '?'))
    .join(' ')

test('edits stand in their order, empty ones before what begins there; a larger one takes those inside of it along', () => {
  const edits = [
    edit(7, 8, 'h'),
    edit(2, 6, 'cut'),
    edit(3, 4, 'within'),
    edit(4, 4, 'inserted within'),
    edit(6, 6, 'behind'),
    edit(2, 2, 'before'),
  ]
  assert.equal(shown(compileSpan({ from: 0, to: 9 }, edits)), '[0,2) before cut behind [6,7) h [8,9)')
  assert.equal(shown(compileSpan({ from: 6, to: 8 }, edits)), 'behind [6,7) h')
  edits.push(edit(0, 1, 'a'))
  assert.equal(shown(compileSpan({ from: 0, to: 3 }, edits)), 'a [1,2) before [2,3)', 'a list that has grown')
})

test('which edits count: as by looking at each pair', () => {
  const covers = (outer: PlanEdit, inner: PlanEdit): boolean => {
    const [a, b] = [outer.span, inner.span]
    if (b.from === b.to) return a.from < b.from && b.from < a.to
    return a.from <= b.from && b.to <= a.to && a.to - a.from > b.to - b.from
  }
  const spans = fc.uniqueArray(fc.tuple(fc.nat(12), fc.nat(6)), { maxLength: 12, selector: ([from, length]) => `${from} ${length}` })
  fc.assert(
    fc.property(spans, (list) => {
      const edits = list.map(([from, length], i) => edit(from, from + length, `e${i}`))
      const wanted = edits
        .filter((one) => !edits.some((other) => covers(other, one)))
        .toSorted((a, b) => a.span.from - b.span.from || a.span.to - b.span.to)
      const overlap = wanted.some(({ span }, i) => i > 0 && span.from < (wanted[i - 1]?.span.to ?? 0))
      if (overlap) assert.throws(() => compileSpan({ from: 0, to: 20 }, edits), /overlap/)
      else
        assert.deepEqual(
          compileSpan({ from: 0, to: 20 }, edits).flatMap((piece) => (piece.kind === 'text' ? [piece.text] : [])),
          wanted.flatMap(({ pieces }) => pieces.map((piece) => (piece.kind === 'text' ? piece.text : ''))),
        )
    }),
  )
})

test('time grows with the edits and the spans, not with their product', () => {
  const count = 100_000
  const edits = Array.from({ length: count }, (_, i) => edit(i * 4 + 1, i * 4 + 2, 'x'))
  const startedMs = performance.now()
  for (let i = 0; i < count; i++) compileSpan({ from: i * 4, to: i * 4 + 4 }, edits)
  assert.ok(performance.now() - startedMs < 10_000, 'by pairs it would be 10 000 000 000 comparisons')
})
