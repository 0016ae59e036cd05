/** Expressions that are values known at execution without any server: literals, parameters, NULL, session functions. */
import type { Expr } from '../../sql/ast.ts'
import { integerValue } from '../../sql/value.ts'
import { sessionFunction, sessionVariable } from './functions.ts'
import type { Slot } from './plan.ts'

export function slotOf(expr: Expr): Slot | null {
  switch (expr.kind) {
    case 'literal':
      return { kind: 'literal', span: expr.span, negative: false }
    case 'parameter':
      return { kind: 'parameter', index: expr.index }
    case 'constant':
      return expr.value === 'null' ? { kind: 'null' } : { kind: 'constant', value: integerValue(expr.value === 'true' ? 1n : 0n) }
    case 'group':
      return slotOf(expr.inner)
    case 'unary': {
      const operand = expr.operator === '-' || expr.operator === '+' ? slotOf(expr.operand) : null
      if (operand?.kind !== 'literal') return null
      return expr.operator === '+' ? operand : { ...operand, negative: !operand.negative }
    }
    case 'call': {
      const ref = sessionFunction(expr)
      return ref === null ? null : { kind: 'session', ref }
    }
    case 'system-variable': {
      const ref = sessionVariable(expr)
      return ref === null ? null : { kind: 'session', ref }
    }
    case 'user-variable':
      return { kind: 'session', ref: { kind: 'user-variable', name: expr.name } }
    case 'default':
      return { kind: 'default' }
    default:
      return null
  }
}

/** The expression without the parentheses around it. */
export function bare(expr: Expr): Expr {
  let inner = expr
  while (inner.kind === 'group') inner = inner.inner
  return inner
}
