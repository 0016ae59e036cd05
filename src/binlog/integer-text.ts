/**
 * Integers as decimal text, written into a buffer without allocating. All functions write at `at` and return where they ended;
 * the caller has made room. 64-bit values come as two 32-bit halves: BigInt costs an allocation a value on the hottest path.
 */
import type { Buffer } from 'node:buffer'

const tens = new Uint8Array(100)
const ones = new Uint8Array(100)
for (let i = 0; i < 100; i++) {
  tens[i] = 48 + Math.floor(i / 10)
  ones[i] = 48 + (i % 10)
}

function digitsOf(value: number): number {
  if (value < 100_000) return value < 100 ? (value < 10 ? 1 : 2) : value < 1_000 ? 3 : value < 10_000 ? 4 : 5
  return value < 10_000_000 ? (value < 1_000_000 ? 6 : 7) : value < 100_000_000 ? 8 : value < 1_000_000_000 ? 9 : 10
}

/** `digits` digits of `value`, zero padded; value < 10^digits ≤ 10^9. */
export function putPadded(out: Buffer, at: number, value: number, digits: number): number {
  let i = at + digits
  while (i - at >= 2) {
    const quotient = Math.floor(value / 100)
    const rest = value - quotient * 100
    out[--i] = ones[rest] as number
    out[--i] = tens[rest] as number
    value = quotient
  }
  if (i > at) out[--i] = 48 + (value % 10)
  return at + digits
}

/** value < 2^32 */
export function putU32(out: Buffer, at: number, value: number): number {
  return putPadded(out, at, value, digitsOf(value))
}

/** -2^31 ≤ value < 2^31 */
export function putI32(out: Buffer, at: number, value: number): number {
  if (value >= 0) return putPadded(out, at, value, digitsOf(value))
  out[at] = 45
  return putPadded(out, at + 1, -value, digitsOf(-value))
}

/** high * 2^32 + low, both unsigned 32-bit. */
export function putU64(out: Buffer, at: number, high: number, low: number): number {
  if (high === 0) return putU32(out, at, low)
  // Long division by 10^9 over 16-bit limbs: every intermediate stays below 2^53.
  let rest = high >>> 16
  rest = rest * 65536 + (high & 0xffff)
  let quotient = Math.floor(rest / 1e9)
  rest -= quotient * 1e9
  rest = rest * 65536 + (low >>> 16)
  let limb = Math.floor(rest / 1e9)
  rest -= limb * 1e9
  quotient = quotient * 65536 + limb
  rest = rest * 65536 + (low & 0xffff)
  limb = Math.floor(rest / 1e9)
  rest -= limb * 1e9
  quotient = quotient * 65536 + limb
  if (quotient >= 1e9) {
    const top = Math.floor(quotient / 1e9)
    at = putU32(out, at, top)
    at = putPadded(out, at, quotient - top * 1e9, 9)
  } else {
    at = putU32(out, at, quotient)
  }
  return putPadded(out, at, rest, 9)
}

/** Two's complement. */
export function putI64(out: Buffer, at: number, high: number, low: number): number {
  if (high < 0x80000000) return putU64(out, at, high, low)
  out[at] = 45
  const negatedLow = (~low + 1) >>> 0
  const negatedHigh = (~high + (negatedLow === 0 ? 1 : 0)) >>> 0
  return putU64(out, at + 1, negatedHigh, negatedLow)
}
