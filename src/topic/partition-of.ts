/**
 * The partition of a key, as Kafka's Java client computes it (murmur2 with seed 0x9747b28c, sign bit cleared), so that a
 * topic filled by several kinds of producers keeps one partition per key.
 */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}

/** 32-bit MurmurHash2 by Austin Appleby (public domain), little endian blocks. */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995
  const length = bytes.length
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  let hash = 0x9747b28c ^ length
  const whole = length & ~3
  for (let at = 0; at < whole; at += 4) {
    let k = Math.imul(view.getInt32(at, true), m)
    k ^= k >>> 24
    hash = Math.imul(hash, m) ^ Math.imul(k, m)
  }
  const rest = length & 3
  if (rest > 0) {
    if (rest === 3) hash ^= view.getUint8(whole + 2) << 16
    if (rest >= 2) hash ^= view.getUint8(whole + 1) << 8
    hash ^= view.getUint8(whole)
    hash = Math.imul(hash, m)
  }
  hash ^= hash >>> 13
  hash = Math.imul(hash, m)
  return hash ^ (hash >>> 15)
}
