import type { Buffer } from 'node:buffer'
import { Truncated } from './row-sink.ts'

/** Reads an event's fields in order; never beyond `end` (throws Truncated). For everything but row images. */
export class ByteReader {
  readonly buffer: Buffer
  position: number
  readonly end: number

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  get left(): number {
    return this.end - this.position
  }

  skip(bytes: number): number {
    const at = this.position
    if (bytes < 0 || at + bytes > this.end) throw new Truncated(`${bytes} bytes wanted, ${this.end - at} left`)
    this.position = at + bytes
    return at
  }

  u8(): number {
    return this.buffer.readUInt8(this.skip(1))
  }

  u16(): number {
    return this.buffer.readUInt16LE(this.skip(2))
  }

  u32(): number {
    return this.buffer.readUInt32LE(this.skip(4))
  }

  u48(): number {
    return this.buffer.readUIntLE(this.skip(6), 6)
  }

  u64(): bigint {
    return this.buffer.readBigUInt64LE(this.skip(8))
  }

  i64(): bigint {
    return this.buffer.readBigInt64LE(this.skip(8))
  }

  bytes(length: number): Buffer {
    const at = this.skip(length)
    return this.buffer.subarray(at, at + length)
  }

  /** Length-encoded integer below 2^53. */
  lenenc(): number {
    const first = this.u8()
    if (first < 251) return first
    if (first === 252) return this.u16()
    if (first === 253) return this.buffer.readUIntLE(this.skip(3), 3)
    if (first !== 254) throw new Truncated(`not a length: ${first}`)
    const value = this.u64()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Truncated(`a length of ${value}`)
    return Number(value)
  }

  rest(): Buffer {
    return this.bytes(this.left)
  }
}
