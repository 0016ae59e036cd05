/** What a segment says about time: its newest timestamp, and the first offset at or after an instant. */
import { open } from 'node:fs/promises'
import { segmentFile, segmentsOf } from './folder.ts'
import { BatchReader } from './format.ts'
import { readIndex } from './index-file.ts'
import { batchesOf } from './scan.ts'
import type { PartitionState } from './state.ts'

/** Newest timestamp of a closed segment: from its index's last entry, else by reading it. -Infinity: empty. */
export async function newestOf(dir: string, partition: number, base: bigint): Promise<number> {
  const handle = await open(segmentFile(dir, partition, base), 'r')
  try {
    const { size } = await handle.stat()
    const last = (await readIndex(dir, partition, base, size)).at(-1)
    if (last?.position === size) return last.newestBeforeMs
    let newestMs = -Infinity
    for await (const { header } of batchesOf(handle, { position: 0, offset: base }, size)) newestMs = Math.max(newestMs, header.newestMs)
    return newestMs
  } finally {
    await handle.close()
  }
}

/** First offset at or after `state.start` whose record's timestamp is at or after `timestampMs`, else the end. */
export async function offsetAtTime(dir: string, partition: number, state: PartitionState, timestampMs: number): Promise<bigint> {
  const bases = (await segmentsOf(dir, partition)).filter((base) => base <= state.segment)
  for (const [at, base] of bases.entries()) {
    const next = bases[at + 1]
    if (next !== undefined && next <= state.start) continue
    const handle = await open(segmentFile(dir, partition, base), 'r')
    try {
      const size = base === state.segment ? state.bytes : (await handle.stat()).size
      const index = await readIndex(dir, partition, base, size)
      const from = index.findLast((entry) => entry.newestBeforeMs < timestampMs)
      const begin = from === undefined ? { position: 0, offset: base } : { position: from.position, offset: from.offset }
      for await (const { header, bytes, at: where } of batchesOf(handle, begin, size)) {
        if (header.newestMs < timestampMs) continue
        const reader = new BatchReader(bytes, where, header, partition)
        while (!reader.done) {
          const record = reader.next()
          if (record.offset >= state.start && record.timestampMs >= timestampMs) return record.offset
        }
      }
    } finally {
      await handle.close()
    }
  }
  return state.end
}
