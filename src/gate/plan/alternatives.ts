/** What columns are equal to where a condition holds. Pure. */
import type { Expr } from '../../sql/ast.ts'
import type { Slot } from './plan.ts'
import type { BoundColumn, Scope } from './scope.ts'
import { bare, slotOf } from './slots.ts'

/** Column → what it may be equal to, when a condition holds. */
export type Alternatives = Map<string, { bound: BoundColumn; slots: readonly Slot[] }>

export function alternativesOf(given: Expr, scope: Scope): Alternatives {
  const expr = bare(given)
  const found: Alternatives = new Map()
  const add = (column: Expr, slots: readonly (Slot | null)[]): void => {
    const inner = bare(column)
    const bound = inner.kind === 'column' ? scope.resolve(inner) : null
    if (bound === null || slots.some((slot) => slot === null || slot.kind === 'default')) return
    const key = columnKey(bound)
    const there = found.get(key)
    if (there === undefined || there.slots.length > slots.length) found.set(key, { bound, slots: slots as Slot[] })
  }
  switch (expr.kind) {
    case 'binary': {
      if (expr.operator !== '=' && expr.operator !== '<=>') break
      const [left, right] = [bare(expr.left), bare(expr.right)]
      if (left.kind === 'row' && right.kind === 'row') {
        if (expr.operator === '=') left.items.forEach((item, i) => right.items[i] && add(item, [slotOf(right.items[i])]))
        break
      }
      // NULL <=> NULL holds: only what can't be NULL routes.
      if (expr.operator === '<=>' && left.kind !== 'literal' && right.kind !== 'literal') break
      add(left, [slotOf(right)])
      add(right, [slotOf(left)])
      break
    }
    case 'in': {
      if (expr.not) break
      const operand = bare(expr.operand)
      if (operand.kind !== 'row') add(operand, expr.list.map(slotOf))
      else {
        const rows = expr.list.map(bare)
        operand.items.forEach((item, i) =>
          add(
            item,
            rows.map((row) => (row.kind === 'row' && row.items[i] ? slotOf(row.items[i]) : null)),
          ),
        )
      }
      break
    }
    case 'and':
      for (const item of expr.items) {
        for (const [key, value] of alternativesOf(item, scope)) {
          const there = found.get(key)
          if (there === undefined || there.slots.length > value.slots.length) found.set(key, value)
        }
      }
      break
    case 'or': {
      const branches = expr.items.map((item) => alternativesOf(item, scope))
      for (const [key, { bound }] of branches[0] ?? []) {
        const slots = branches.map((branch) => branch.get(key)?.slots)
        if (slots.every((list) => list !== undefined)) found.set(key, { bound, slots: slots.flat() })
      }
      break
    }
    default:
  }
  return found
}

export function columnKey(bound: BoundColumn): string {
  return bound.table.id + '.' + bound.column.name.toLowerCase()
}
