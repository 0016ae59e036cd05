/**
 * Keyspace ids: the bytes a row's shard key maps to. They compare bytewise from the left, and trailing zero bytes are
 * insignificant, of ids as of key range bounds: `80` and `8000` are the same point of the ring (so does Vitess).
 */
export type KeyspaceId = Uint8Array

/** -1, 0 or 1. Allocates nothing: this is on the path of every routed row. */
export function compareKeyspaceIds(a: Uint8Array, b: Uint8Array): -1 | 0 | 1 {
  const shared = a.length < b.length ? a.length : b.length
  for (let i = 0; i < shared; i++) {
    const x = a[i] as number
    const y = b[i] as number
    if (x !== y) return x < y ? -1 : 1
  }
  for (let i = shared; i < a.length; i++) if (a[i] !== 0) return 1
  for (let i = shared; i < b.length; i++) if (b[i] !== 0) return -1
  return 0
}

/** Without trailing zero bytes: the one form in which bounds are kept, so that equal points have equal bytes. */
export function normaliseKeyspaceId(id: Uint8Array): Uint8Array {
  let length = id.length
  while (length > 0 && id[length - 1] === 0) length--
  return length === id.length ? id : id.subarray(0, length)
}

/** The least point above every id that begins with `prefix`; `null` when there is none (all bytes 0xff, or empty). */
export function afterPrefix(prefix: Uint8Array): Uint8Array | null {
  const next = Uint8Array.from(prefix)
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] as number
    if (byte < 255) {
      next[i] = byte + 1
      return next
    }
    next[i] = 0
  }
  return null
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
