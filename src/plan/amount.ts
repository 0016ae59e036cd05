/** Arithmetic over amounts that may be unbounded or unknown: what is computed from an unknown is unknown. */
import type { Amount } from './figures.ts'

export function calculate(amounts: readonly Amount[], formula: (...numbers: number[]) => number): Amount {
  if (amounts.includes('unknown')) return 'unknown'
  return fromNumber(formula(...amounts.map((amount) => (amount === 'unbounded' ? Infinity : Number(amount)))))
}

export function fromNumber(value: number): Amount {
  if (Number.isNaN(value)) return 'unknown'
  return value === Infinity ? 'unbounded' : value
}

/** `null` where it is unknown: an answer to `is it so` has three values. */
export function holds(amounts: readonly Amount[], condition: (...numbers: number[]) => boolean): boolean | null {
  if (amounts.includes('unknown')) return null
  return condition(...amounts.map((amount) => (amount === 'unbounded' ? Infinity : Number(amount))))
}
