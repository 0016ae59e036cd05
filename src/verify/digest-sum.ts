/**
 * The sum modulo 2^64 of digests that a server gives one after another in a cell, 16 hex digits each. Taken here, since a server spends as much on making a number of each digest and adding it as on
 * the hash itself (500,000 rows, CPU: MariaDB 0.51 s so, 0.38 s as a cell; MySQL 0.60 and 0.47), and this process 0.03 µs a row.
 */
const digestLength = 16
/** Sums of so many 32-bit numbers are exact. */
const exactDigests = 1 << 20
export const sumMask = (1n << 64n) - 1n

const valueOf = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x61 ? byte - 0x57 : byte >= 0x41 ? byte - 0x37 : byte - 0x30))

/** Null when the cell does not hold so many digests: a server cuts what is longer than the session allows. */
export function sumOfDigests(cell: Buffer | null, rows: number): bigint | null {
  if ((cell?.length ?? 0) !== rows * digestLength) return null
  if (cell === null) return 0n
  let sum = 0n
  for (let from = 0; from < cell.length; from += exactDigests * digestLength) {
    const end = Math.min(cell.length, from + exactDigests * digestLength)
    let high = 0
    let low = 0
    for (let at = from; at < end; at += digestLength) {
      high += word(cell, at)
      low += word(cell, at + 8)
    }
    sum += (BigInt(high) << 32n) + BigInt(low)
  }
  return sum & sumMask
}

function word(hex: Buffer, at: number): number {
  let value = 0
  for (let i = at; i < at + 8; i++) value = (value << 4) | (valueOf[hex[i] as number] as number)
  return value >>> 0
}
