/** Walks a segment's batches by their headers, with or without checking their sums. Reads in chunks; memory is bounded by one batch. */
import type { FileHandle } from 'node:fs/promises'
import { batchBytesMax, headerAt, headerBytes, isWhole, type BatchHeader } from './format.ts'

export const chunkBytes = 256 << 10

export type Found = { readonly header: BatchHeader; readonly position: number; readonly bytes: Buffer; readonly at: number }

/** Batches from `position` up to `limit` bytes. Ends at the first that is cut off, does not check or is out of order; `stoppedAt` tells where. */
export async function* batchesOf(
  handle: FileHandle,
  from: { position: number; offset: bigint | null },
  limit: number,
): AsyncGenerator<Found, number, undefined> {
  let position = from.position
  let offset = from.offset
  let chunk: Buffer = Buffer.alloc(0)
  let chunkAt = position
  while (position < limit) {
    let at = position - chunkAt
    let header = headerAt(chunk, at)
    if (header === null || at + header.length > chunk.length) {
      const want = Math.min(limit - position, Math.max(chunkBytes, header?.length ?? 0))
      if (want < headerBytes) return position
      chunk = await readExactly(handle, position, want)
      chunkAt = position
      at = 0
      header = headerAt(chunk, 0)
      if (header !== null && header.length > chunk.length && position + header.length <= limit && header.length <= batchBytesMax)
        chunk = await readExactly(handle, position, header.length)
    }
    if (header === null || !isWhole(chunk, at, header) || (offset !== null && header.base !== offset)) return position
    yield { header, position, bytes: chunk, at }
    position += header.length
    offset = header.base + BigInt(header.count)
  }
  return position
}

/** As many bytes as there are, up to `length`. Always into memory of its own: records are views into it. */
export async function readExactly(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let got = 0
  while (got < length) {
    const { bytesRead } = await handle.read(bytes, got, length - got, position + got)
    if (bytesRead === 0) return bytes.subarray(0, got)
    got += bytesRead
  }
  return bytes
}
