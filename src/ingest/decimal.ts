/**
 * Exact numbers: a value with `scale` digits behind the point is the bigint of all its digits. Sums of them do not depend on the order or on how
 * batches are cut, which sums of doubles do.
 */

/** @returns null when the text is no decimal, or has more than `scale` digits behind the point that are not zero */
export function parseDecimal(text: string, scale: number): bigint | null {
  const match = decimal.exec(text)
  if (match === null) return null
  const [, sign = '', whole = '', fraction = ''] = match
  const digits = fraction.replace(/0+$/, '')
  if (digits.length > scale || whole + fraction === '') return null
  const value = BigInt(whole + digits.padEnd(scale, '0'))
  return sign === '-' ? -value : value
}

const decimal = /^([+-]?)(\d*)(?:\.(\d*))?$/

export function printDecimal(value: bigint, scale: number): string {
  if (scale === 0) return String(value)
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const at = digits.length - scale
  return `${value < 0n ? '-' : ''}${digits.slice(0, at)}.${digits.slice(at)}`
}

/** An integer as a number while that is exact, else as a bigint. */
export type Int = number | bigint

export function addInts(a: Int, b: Int): Int {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return BigInt(a) + BigInt(b)
}
