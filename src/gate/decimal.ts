/** Exact decimals as bigint and scale: sums and averages over shards never pass through floating point. Pure. */
export type Decimal = { readonly unscaled: bigint; readonly scale: number }

/** Reads `-12.50`, `7`, `.5`, and `1.5e3` as some servers print. */
export function parseDecimal(text: string): Decimal {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (match === null) throw new Error(`"${text}" is no number`)
  const fraction = match[3] ?? ''
  const digits = `${match[2] ?? ''}${fraction}`
  const exponent = Number(match[4] ?? 0)
  let unscaled = BigInt(digits === '' ? '0' : digits)
  let scale = fraction.length - exponent
  if (scale < 0) {
    unscaled *= 10n ** BigInt(-scale)
    scale = 0
  }
  return { unscaled: match[1] === '-' ? -unscaled : unscaled, scale }
}

export function addDecimals(a: Decimal, b: Decimal): Decimal {
  if (a.scale === b.scale) return { unscaled: a.unscaled + b.unscaled, scale: a.scale }
  const scale = Math.max(a.scale, b.scale)
  return { unscaled: atScale(a, scale) + atScale(b, scale), scale }
}

export function compareDecimals(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale)
  const x = atScale(a, scale)
  const y = atScale(b, scale)
  return x < y ? -1 : x > y ? 1 : 0
}

/** a / count with `scale` digits, rounded half away from zero, as servers do. */
export function divideDecimal(a: Decimal, count: bigint, scale: number): Decimal {
  const more = Math.max(0, scale - a.scale)
  const less = Math.max(0, a.scale - scale)
  const numerator = a.unscaled * 10n ** BigInt(more)
  const denominator = count * 10n ** BigInt(less)
  const negative = numerator < 0n !== denominator < 0n
  const n = numerator < 0n ? -numerator : numerator
  const d = denominator < 0n ? -denominator : denominator
  const rounded = (n * 2n + d) / (d * 2n)
  return { unscaled: negative ? -rounded : rounded, scale }
}

export function printDecimal({ unscaled, scale }: Decimal): string {
  const negative = unscaled < 0n
  const digits = String(negative ? -unscaled : unscaled).padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return negative ? `-${text}` : text
}

/** More or fewer digits behind the point; fewer rounds half away from zero. */
export function withScale(a: Decimal, scale: number): Decimal {
  return scale >= a.scale ? { unscaled: atScale(a, scale), scale } : divideDecimal(a, 1n, scale)
}

function atScale(a: Decimal, scale: number): bigint {
  return scale === a.scale ? a.unscaled : a.unscaled * 10n ** BigInt(scale - a.scale)
}
