/** BETWEEN and comparisons, as bounds of what stands in them. Bounds are held inclusive: a row more asked for costs nothing but time. Of what type all of a BETWEEN is compared is its two bounds' matter together: who knows one only knows nothing. */
import type { Expr } from '../../sql/ast.ts'

export type Bounds = { readonly operand: Expr; readonly low: Expr | null; readonly high: Expr | null }

export function boundsOf(expr: Expr): Bounds[] {
  if (expr.kind === 'other' && expr.construct.toUpperCase() === 'BETWEEN') {
    const [operand, low, high] = expr.children
    return operand === undefined ? [] : [{ operand, low: low ?? null, high: high ?? null }]
  }
  if (expr.kind !== 'binary') return []
  const { operator, left, right } = expr
  const above = { operand: left, low: right, high: null }
  const below = { operand: left, low: null, high: right }
  if (operator === '>' || operator === '>=') return [above, { operand: right, low: null, high: left }]
  if (operator === '<' || operator === '<=') return [below, { operand: right, low: left, high: null }]
  return []
}
