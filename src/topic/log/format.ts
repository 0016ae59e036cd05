/**
 * Bytes of a log segment: batches one after the other, each
 *
 *   u32 length of the whole batch · u32 crc32 of all that follows · u64 base offset · u32 records · u32 epoch · f64 newest timestamp
 *   then records: u32 key length + 1 (0: null) · u32 value length + 1 · f64 timestamp · u16 headers
 *                 (u32 name length · u32 value length · name · value)* · key · value
 *
 * little endian. Offsets in a batch are consecutive. The check sum covers everything but the length, and a wrong length
 * makes it cover wrong bytes: a torn or zeroed tail is never taken for a batch.
 */
import { crc32 } from 'node:zlib'
import type { RecordToSend, TopicHeader, TopicRecord } from '../topic.ts'

export const headerBytes = 32
const recordBytes = 18
export const batchBytesMax = 64 << 20

export type BatchHeader = {
  readonly length: number
  readonly crc: number
  readonly base: bigint
  readonly count: number
  readonly epoch: number
  readonly newestMs: number
}

/** What `record` takes in a batch. */
export function sizeOf(record: RecordToSend): number {
  let bytes = recordBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of record.headers ?? []) bytes += 8 + name.length + value.length
  return bytes
}

export function encodeBatch(base: bigint, epoch: number, records: readonly RecordToSend[], nowMs: number): Buffer {
  let length = headerBytes
  for (const record of records) length += sizeOf(record)
  const bytes = Buffer.allocUnsafe(length)
  let at = headerBytes
  let newestMs = -Infinity
  for (const record of records) {
    const timestampMs = record.timestampMs ?? nowMs
    newestMs = Math.max(newestMs, timestampMs)
    at = bytes.writeUInt32LE(record.key === null ? 0 : record.key.length + 1, at)
    at = bytes.writeUInt32LE(record.value === null ? 0 : record.value.length + 1, at)
    at = bytes.writeDoubleLE(timestampMs, at)
    const headers = record.headers ?? []
    at = bytes.writeUInt16LE(headers.length, at)
    for (const [name, value] of headers) {
      at = bytes.writeUInt32LE(name.length, at)
      at = bytes.writeUInt32LE(value.length, at)
      at += name.copy(bytes, at)
      at += value.copy(bytes, at)
    }
    if (record.key !== null) at += record.key.copy(bytes, at)
    if (record.value !== null) at += record.value.copy(bytes, at)
  }
  bytes.writeUInt32LE(length, 0)
  bytes.writeBigUInt64LE(base, 8)
  bytes.writeUInt32LE(records.length, 16)
  bytes.writeUInt32LE(epoch, 20)
  bytes.writeDoubleLE(newestMs, 24)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

/** The header at `at`, or null when there are too few bytes or the length cannot be one. */
export function headerAt(bytes: Buffer, at: number): BatchHeader | null {
  if (at + headerBytes > bytes.length) return null
  const length = bytes.readUInt32LE(at)
  if (length <= headerBytes || length > batchBytesMax) return null
  return {
    length,
    crc: bytes.readUInt32LE(at + 4),
    base: bytes.readBigUInt64LE(at + 8),
    count: bytes.readUInt32LE(at + 16),
    epoch: bytes.readUInt32LE(at + 20),
    newestMs: bytes.readDoubleLE(at + 24),
  }
}

/** Whether the whole batch at `at` is as it was written. */
export function isWhole(bytes: Buffer, at: number, header: BatchHeader): boolean {
  return at + header.length <= bytes.length && crc32(bytes.subarray(at + 8, at + header.length)) === header.crc
}

/** Reads a batch's records one after the other; can stop anywhere and go on. Keys and values are views into `bytes`. */
export class BatchReader {
  readonly header: BatchHeader
  readonly #bytes: Buffer
  readonly #partition: number
  #at: number
  #n = 0

  constructor(bytes: Buffer, at: number, header: BatchHeader, partition: number) {
    this.header = header
    this.#bytes = bytes
    this.#partition = partition
    this.#at = at + headerBytes
  }

  get nextOffset(): bigint {
    return this.header.base + BigInt(this.#n)
  }

  get done(): boolean {
    return this.#n === this.header.count
  }

  /** Key, value and header bytes of the next record, as `bytesMax` counts them. */
  get nextBytes(): number {
    const keys = this.#bytes.readUInt32LE(this.#at)
    const values = this.#bytes.readUInt32LE(this.#at + 4)
    let bytes = Math.max(0, keys - 1) + Math.max(0, values - 1)
    let at = this.#at + recordBytes
    for (let left = this.#bytes.readUInt16LE(this.#at + 16); left > 0; left--) {
      const size = this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4)
      bytes += size
      at += 8 + size
    }
    return bytes
  }

  skip(): void {
    this.#at += recordBytes + this.nextBytes + 8 * this.#bytes.readUInt16LE(this.#at + 16)
    this.#n++
  }

  next(): TopicRecord {
    const bytes = this.#bytes
    const keys = bytes.readUInt32LE(this.#at)
    const values = bytes.readUInt32LE(this.#at + 4)
    const timestampMs = bytes.readDoubleLE(this.#at + 8)
    const headerCount = bytes.readUInt16LE(this.#at + 16)
    let at = this.#at + recordBytes
    const headers: TopicHeader[] = []
    for (let n = 0; n < headerCount; n++) {
      const names = bytes.readUInt32LE(at)
      const size = bytes.readUInt32LE(at + 4)
      at += 8
      headers.push([bytes.subarray(at, at + names), bytes.subarray(at + names, at + names + size)])
      at += names + size
    }
    const key = keys === 0 ? null : bytes.subarray(at, at + keys - 1)
    at += Math.max(0, keys - 1)
    const value = values === 0 ? null : bytes.subarray(at, at + values - 1)
    this.#at = at + Math.max(0, values - 1)
    const offset = this.header.base + BigInt(this.#n++)
    if (headerCount === 0) return { partition: this.#partition, offset, timestampMs, key, value }
    return { partition: this.#partition, offset, timestampMs, key, value, headers }
  }
}
