/**
 * Beside each segment: where batches begin, about every 64 KiB, and the newest timestamp before them. It only saves
 * reading: entries that do not check are passed over, a missing index means reading the segment from its start. A closed
 * segment's last entry points at its end.
 *
 * Entry: u64 offset · u32 position · u32 crc32 of the other twenty bytes · f64 newest timestamp before (-Infinity: none).
 */
import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { indexFile } from './folder.ts'

export const indexEveryBytes = 64 << 10
const entryBytes = 24

export type IndexEntry = { readonly offset: bigint; readonly position: number; readonly newestBeforeMs: number }

export function encodeEntry(entry: IndexEntry): Buffer {
  const bytes = Buffer.alloc(entryBytes)
  bytes.writeBigUInt64LE(entry.offset, 0)
  bytes.writeUInt32LE(entry.position, 8)
  bytes.writeDoubleLE(entry.newestBeforeMs, 16)
  bytes.writeUInt32LE(check(bytes), 12)
  return bytes
}

/** Entries that speak of the first `bytes` of the segment, up to the first one that does not check. */
export async function readIndex(dir: string, partition: number, base: bigint, bytes: number): Promise<IndexEntry[]> {
  let file: Buffer
  try {
    file = await readFile(indexFile(dir, partition, base))
  } catch {
    return []
  }
  const entries: IndexEntry[] = []
  for (let at = 0; at + entryBytes <= file.length; at += entryBytes) {
    const raw = file.subarray(at, at + entryBytes)
    const entry = { offset: raw.readBigUInt64LE(0), position: raw.readUInt32LE(8), newestBeforeMs: raw.readDoubleLE(16) }
    const last = entries.at(-1)
    const ascends = last === undefined ? entry.offset >= base : entry.position > last.position && entry.offset > last.offset
    if (raw.readUInt32LE(12) !== check(raw) || !ascends || entry.position > bytes) break
    entries.push(entry)
  }
  return entries
}

function check(bytes: Buffer): number {
  return crc32(bytes.subarray(16), crc32(bytes.subarray(0, 12)))
}
