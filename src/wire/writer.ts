/**
 * Builds payloads or runs of frames in one growing buffer. `beginFrame`/`endFrame` leave room for the header and fill it in
 * after, splitting what is above 16 MiB − 1 (see frames.ts), so that many packets go out as one write.
 */
import { FRAME_BYTES_MAX } from './frames.ts'

export class Writer {
  #data: Buffer
  #pos = 0
  #frameStart = -1

  constructor(bytes = 256) {
    this.#data = Buffer.allocUnsafe(bytes)
  }

  get length(): number {
    return this.#pos
  }

  /** What was written, without copying; the writer must not be used after, unless `reset`, which starts a new buffer. */
  take(): Buffer {
    return this.#data.subarray(0, this.#pos)
  }

  reset(bytes = 256): void {
    this.#data = Buffer.allocUnsafe(bytes)
    this.#pos = 0
    this.#frameStart = -1
  }

  #room(bytes: number): number {
    const at = this.#pos
    const needed = at + bytes
    if (needed > this.#data.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#data.length * 2))
      this.#data.copy(larger, 0, 0, at)
      this.#data = larger
    }
    this.#pos = needed
    return at
  }

  u8(value: number): this {
    const at = this.#room(1)
    this.#data[at] = value
    return this
  }

  u16(value: number): this {
    const at = this.#room(2)
    this.#data.writeUInt16LE(value, at)
    return this
  }

  u24(value: number): this {
    const at = this.#room(3)
    this.#data.writeUIntLE(value, at, 3)
    return this
  }

  u32(value: number): this {
    const at = this.#room(4)
    this.#data.writeUInt32LE(value >>> 0, at)
    return this
  }

  u64(value: bigint): this {
    const at = this.#room(8)
    this.#data.writeBigUInt64LE(BigInt.asUintN(64, value), at)
    return this
  }

  f32(value: number): this {
    const at = this.#room(4)
    this.#data.writeFloatLE(value, at)
    return this
  }

  f64(value: number): this {
    const at = this.#room(8)
    this.#data.writeDoubleLE(value, at)
    return this
  }

  zeros(count: number): this {
    const at = this.#room(count)
    this.#data.fill(0, at, at + count)
    return this
  }

  bytes(value: Uint8Array): this {
    const at = this.#room(value.length)
    this.#data.set(value, at)
    return this
  }

  /** Bytes [start, end) of another buffer. */
  slice(source: Buffer, start: number, end: number): this {
    const at = this.#room(end - start)
    source.copy(this.#data, at, start, end)
    return this
  }

  text(value: string): this {
    const length = Buffer.byteLength(value)
    const at = this.#room(length)
    this.#data.write(value, at, length, 'utf8')
    return this
  }

  nulText(value: string): this {
    return this.text(value).u8(0)
  }

  lenenc(value: number | bigint): this {
    if (value < 0xfb) return this.u8(Number(value))
    if (value < 0x10000) return this.u8(0xfc).u16(Number(value))
    if (value < 0x1000000) return this.u8(0xfd).u24(Number(value))
    return this.u8(0xfe).u64(BigInt(value))
  }

  lenencBytes(value: Uint8Array): this {
    return this.lenenc(value.length).bytes(value)
  }

  lenencText(value: string): this {
    return this.lenenc(Buffer.byteLength(value)).text(value)
  }

  /** Sets a byte or-wise at an offset already written: NULL bitmaps. */
  orAt(at: number, bits: number): void {
    this.#data[at] = (this.#data[at] as number) | bits
  }

  /** The same and-wise. */
  andAt(at: number, bits: number): void {
    this.#data[at] = (this.#data[at] as number) & bits
  }

  beginFrame(): this {
    this.#frameStart = this.#room(4)
    return this
  }

  /** Closes the frame begun last; returns the next sequence id. */
  endFrame(sequence: number): number {
    const start = this.#frameStart
    let length = this.#pos - start - 4
    if (length < FRAME_BYTES_MAX) {
      this.#data.writeUInt32LE((length | (sequence << 24)) >>> 0, start)
      this.#frameStart = -1
      return (sequence + 1) & 0xff
    }
    // Rare: one more header after every 16 MiB − 1 bytes, the last frame being shorter (perhaps empty).
    const payload = Buffer.from(this.#data.subarray(start + 4, this.#pos))
    this.#pos = start
    let offset = 0
    for (;;) {
      length = Math.min(FRAME_BYTES_MAX, payload.length - offset)
      this.u24(length)
        .u8(sequence)
        .bytes(payload.subarray(offset, offset + length))
      sequence = (sequence + 1) & 0xff
      offset += length
      if (length < FRAME_BYTES_MAX) break
    }
    this.#frameStart = -1
    return sequence
  }
}
