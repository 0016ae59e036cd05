/** BETWEEN and comparisons, as bounds of what stands in them. Bounds are held inclusive: a row more asked for costs nothing but time. Of what type all of a BETWEEN is compared is its two bounds' matter together: who knows one only knows nothing. */
import type { Expr } from '../../sql/ast.ts'
import type { Slot } from './plan.ts'
import { bare, slotOf } from './slots.ts'

export type Bounds = { readonly operand: Expr; readonly low: Slot | null; readonly high: Slot | null }

export function boundsOf(expr: Expr): Bounds[] {
  if (expr.kind === 'other' && expr.construct.toUpperCase() === 'BETWEEN') {
    const [operand, from, to] = expr.children
    const [low, high] = [boundOf(from), boundOf(to)]
    return operand === undefined || low === null || high === null ? [] : [{ operand, low, high }]
  }
  if (expr.kind !== 'binary') return []
  const { operator, left, right } = expr
  const [ofLeft, ofRight] = [boundOf(left), boundOf(right)]
  if (operator === '>' || operator === '>=')
    return [
      { operand: left, low: ofRight, high: null },
      { operand: right, low: null, high: ofLeft },
    ]
  if (operator === '<' || operator === '<=')
    return [
      { operand: left, low: null, high: ofRight },
      { operand: right, low: ofLeft, high: null },
    ]
  return []
}

function boundOf(expr: Expr | undefined): Slot | null {
  return expr === undefined ? null : slotOf(bare(expr))
}
