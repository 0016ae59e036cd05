import { wireErrors } from './errors.ts'

/**
 * A cursor over one payload. The primitives of the protocol: fixed little-endian integers, length-encoded integers and
 * strings (0–250 in one byte, 0xfc + 2, 0xfd + 3, 0xfe + 8; 0xfb is NULL in text rows), NUL-terminated strings, and the rest.
 * Reading past the end throws `SW-WIRE-001`.
 */
export class Reader {
  readonly data: Buffer
  pos: number
  readonly end: number

  constructor(data: Buffer, start = 0, end = data.length) {
    this.data = data
    this.pos = start
    this.end = end
  }

  get left(): number {
    return this.end - this.pos
  }

  #take(bytes: number): number {
    const at = this.pos
    if (bytes > this.end - at) throw wireErrors.malformed({ detail: `${bytes} bytes wanted at ${at}, ${this.end - at} left` })
    this.pos = at + bytes
    return at
  }

  u8(): number {
    return this.data[this.#take(1)] as number
  }

  peek(): number {
    return this.pos < this.end ? (this.data[this.pos] as number) : -1
  }

  u16(): number {
    return this.data.readUInt16LE(this.#take(2))
  }

  u24(): number {
    return this.data.readUIntLE(this.#take(3), 3)
  }

  u32(): number {
    return this.data.readUInt32LE(this.#take(4))
  }

  u64(): bigint {
    return this.data.readBigUInt64LE(this.#take(8))
  }

  skip(bytes: number): void {
    this.#take(bytes)
  }

  bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.data.subarray(at, at + length)
  }

  rest(): Buffer {
    return this.bytes(this.left)
  }

  /** NUL-terminated; the last string of a payload may lack its NUL. */
  nulBytes(): Buffer {
    const nul = this.data.indexOf(0, this.pos)
    if (nul === -1 || nul >= this.end) return this.rest()
    const out = this.data.subarray(this.pos, nul)
    this.pos = nul + 1
    return out
  }

  nulText(): string {
    return this.nulBytes().toString('utf8')
  }

  /** Length-encoded integer that must be below 2^53: lengths and counts. */
  lenenc(): number {
    const first = this.u8()
    if (first < 0xfb) return first
    if (first === 0xfc) return this.u16()
    if (first === 0xfd) return this.u24()
    if (first === 0xfe) {
      const value = this.u64()
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wireErrors.malformed({ detail: `length ${value}` })
      return Number(value)
    }
    throw wireErrors.malformed({ detail: `length-encoded integer begins with 0x${first.toString(16)}` })
  }

  lenencBigint(): bigint {
    if (this.peek() === 0xfe) {
      this.pos++
      return this.u64()
    }
    return BigInt(this.lenenc())
  }

  lenencBytes(): Buffer {
    return this.bytes(this.lenenc())
  }

  lenencText(): string {
    const length = this.lenenc()
    const at = this.#take(length)
    return this.data.toString('utf8', at, at + length)
  }
}
