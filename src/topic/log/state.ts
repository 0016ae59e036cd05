/**
 * `state`: how far each partition goes, written after the bytes it speaks of are on disk, so what readers see through it is
 * durable. One small file for the whole topic, overwritten in place: readers watch it, and one change wakes them for all
 * partitions. It is a hint and no authority: a crash of the machine may leave an older or torn one, and the next
 * producer finds the true end by reading the segments (recover.ts).
 *
 * Retention writes the new start here *before* it deletes segments, so nobody is sent to a segment that is gone.
 */
import { readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

const magic = 0x53544c31 // "1LTS"
const headBytes = 24
const rowBytes = 48

export type PartitionState = {
  /** First offset held. */
  start: bigint
  /** Next offset to be written. */
  end: bigint
  /** Base offset of the segment that is written to; -1n: none yet. */
  segment: bigint
  /** Bytes of it that count. */
  bytes: number
  /** Newest timestamp in it; -Infinity: none. */
  newestMs: number
  /** When it was begun. */
  openedMs: number
}

export const emptyPartition: Readonly<PartitionState> = { start: 0n, end: 0n, segment: -1n, bytes: 0, newestMs: -Infinity, openedMs: 0 }

export type LogState = {
  /** Changes whenever another producer takes over, or the end was found anew. */
  readonly session: bigint
  /** Grows with every write by one session. */
  readonly sequence: bigint
  readonly partitions: readonly Readonly<PartitionState>[]
}

export const stateFile = (dir: string): string => join(dir, 'state')

/** null: missing, torn, or being written this very moment. */
export function readState(dir: string): LogState | null {
  try {
    return decodeState(readFileSync(stateFile(dir)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

export function decodeState(bytes: Buffer): LogState | null {
  if (bytes.length < headBytes + 4 || bytes.readUInt32LE(0) !== magic) return null
  const count = bytes.readUInt32LE(4)
  const length = headBytes + count * rowBytes
  if (bytes.length < length + 4 || bytes.readUInt32LE(length) !== crc32(bytes.subarray(0, length))) return null
  const partitions: PartitionState[] = []
  for (let at = headBytes; at < length; at += rowBytes) {
    partitions.push({
      start: bytes.readBigUInt64LE(at),
      end: bytes.readBigUInt64LE(at + 8),
      segment: bytes.readBigInt64LE(at + 16),
      bytes: Number(bytes.readBigUInt64LE(at + 24)),
      newestMs: bytes.readDoubleLE(at + 32),
      openedMs: bytes.readDoubleLE(at + 40),
    })
  }
  return { session: bytes.readBigUInt64LE(8), sequence: bytes.readBigUInt64LE(16), partitions }
}

/** One write call: other processes see the old bytes or the new, or a mixture that the check sum refuses. */
export function writeState(fd: number, state: LogState): void {
  const bytes = encodeState(state)
  writeSync(fd, bytes, 0, bytes.length, 0)
}

export function encodeState(state: LogState): Buffer {
  const length = headBytes + state.partitions.length * rowBytes
  const bytes = Buffer.allocUnsafe(length + 4)
  bytes.writeUInt32LE(magic, 0)
  bytes.writeUInt32LE(state.partitions.length, 4)
  bytes.writeBigUInt64LE(state.session, 8)
  bytes.writeBigUInt64LE(state.sequence, 16)
  let at = headBytes
  for (const row of state.partitions) {
    bytes.writeBigUInt64LE(row.start, at)
    bytes.writeBigUInt64LE(row.end, at + 8)
    bytes.writeBigInt64LE(row.segment, at + 16)
    bytes.writeBigUInt64LE(BigInt(row.bytes), at + 24)
    bytes.writeDoubleLE(row.newestMs, at + 32)
    bytes.writeDoubleLE(row.openedMs, at + 40)
    at += rowBytes
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(0, length)), length)
  return bytes
}
