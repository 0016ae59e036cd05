/**
 * A double as both servers print it (`my_gcvt` in strings/dtoa.c): the shortest digits that read back the same, plain when the decimal
 * point lies within 15 places and the text has room, else `1.5e20`, `1e-7`: no plus sign, no padding of the exponent.
 */
const decimalPointMax = 15

export function doubleText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  const exponential = value.toExponential()
  const negative = exponential.charCodeAt(0) === 45
  const mark = exponential.indexOf('e')
  const exponent = Number(exponential.slice(mark + 1))
  const digits = exponential.slice(negative ? 1 : 0, mark).replace('.', '')
  const sign = negative ? '-' : ''
  // Digits are 0.ddd × 10^point.
  const point = exponent + 1
  if (point < -decimalPointMax + 1 || point > decimalPointMax) {
    const mantissa = digits.length === 1 ? digits : `${digits.slice(0, 1)}.${digits.slice(1)}`
    return `${sign}${mantissa}e${exponent}`
  }
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (digits.length <= point) return sign + digits + '0'.repeat(point - digits.length)
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}
