/**
 * DDSketch (Masson, Rim, Lee, VLDB 2019): quantiles within a relative error, mergeable exactly.
 *
 * A value falls into the bucket ⌈log_γ x⌉ with γ = (1 + α)/(1 − α); a bucket's middle is within α of every value in it. Merging adds counts of
 * equal buckets: commutative, associative, and exact. So that it stays so, nothing here depends on order: there is no collapsing of buckets when
 * there are many; instead the range is fixed (values below 1e-9 in size count as zero, those above 1e18 as 1e18), which bounds a sketch at 3,110
 * buckets a side for α = 0.01. No sum, minimum or maximum is kept: a sum of doubles would depend on order.
 *
 * The bytes are canonical: equal contents give equal bytes, however they were merged. So digests of two branches can be compared by the server.
 *
 *     sketch  = version(1) α(float64 LE) zeros(varint) positive negative
 *     side    = buckets(varint) { step(varint: index − previous; the first zigzag) count(varint) }, by index
 */
import { ingestErrors } from './errors.ts'

const version = 1
const smallest = 1e-9
const largest = 1e18

export class DDSketch {
  readonly relativeError: number
  readonly #scale: number
  readonly #gamma: number
  #zeros = 0
  #positive = new Map<number, number>()
  #negative = new Map<number, number>()

  constructor(relativeError = 0.01) {
    this.relativeError = relativeError
    this.#gamma = (1 + relativeError) / (1 - relativeError)
    this.#scale = 1 / Math.log(this.#gamma)
  }

  static of(values: number | readonly number[], relativeError?: number): DDSketch {
    const sketch = new DDSketch(relativeError)
    if (typeof values === 'number') sketch.add(values)
    else for (const value of values) sketch.add(value)
    return sketch
  }

  add(value: number, count = 1): void {
    if (!Number.isFinite(value)) throw ingestErrors.sketchUnreadable({ reason: `${value} is no number to sketch` })
    const size = Math.abs(value)
    if (size < smallest) {
      this.#zeros += count
      return
    }
    const index = Math.ceil(Math.log(Math.min(size, largest)) * this.#scale)
    const side = value > 0 ? this.#positive : this.#negative
    side.set(index, (side.get(index) ?? 0) + count)
  }

  merge(other: DDSketch): void {
    if (other.relativeError !== this.relativeError)
      throw ingestErrors.sketchUnreadable({ reason: `its relative error is ${other.relativeError}, not ${this.relativeError}` })
    this.#zeros += other.#zeros
    for (const [index, count] of other.#positive) this.#positive.set(index, (this.#positive.get(index) ?? 0) + count)
    for (const [index, count] of other.#negative) this.#negative.set(index, (this.#negative.get(index) ?? 0) + count)
  }

  get count(): number {
    let sum = this.#zeros
    for (const count of this.#positive.values()) sum += count
    for (const count of this.#negative.values()) sum += count
    return sum
  }

  /** The value at `q` of 0 … 1, within the relative error; null when there is none. */
  quantile(q: number): number | null {
    const total = this.count
    if (total === 0) return null
    let rank = Math.max(0, Math.ceil(q * total) - 1)
    for (const [index, count] of sorted(this.#negative).reverse()) {
      if (rank < count) return -this.#middle(index)
      rank -= count
    }
    if (rank < this.#zeros) return 0
    rank -= this.#zeros
    for (const [index, count] of sorted(this.#positive)) {
      if (rank < count) return this.#middle(index)
      rank -= count
    }
    return null
  }

  #middle(index: number): number {
    return (2 * this.#gamma ** index) / (this.#gamma + 1)
  }

  encode(): Buffer {
    const bytes: number[] = []
    putVarint(bytes, this.#zeros)
    for (const side of [this.#positive, this.#negative]) {
      putVarint(bytes, side.size)
      let last: number | null = null
      for (const [index, count] of sorted(side)) {
        putVarint(bytes, last === null ? (index >= 0 ? index * 2 : -index * 2 - 1) : index - last)
        putVarint(bytes, count)
        last = index
      }
    }
    const head = Buffer.alloc(9)
    head[0] = version
    head.writeDoubleLE(this.relativeError, 1)
    return Buffer.concat([head, Buffer.from(bytes)])
  }

  /** @throws SW-INGEST-017 */
  static decode(bytes: Buffer): DDSketch {
    if (bytes.length < 12 || bytes[0] !== version)
      throw ingestErrors.sketchUnreadable({ reason: `it begins with ${bytes.toString('hex', 0, 4)}` })
    const sketch = new DDSketch(bytes.readDoubleLE(1))
    const read = new VarintReader(bytes, 9)
    sketch.#zeros = read.next()
    for (const side of [sketch.#positive, sketch.#negative]) {
      const buckets = read.next()
      let index = 0
      for (let i = 0; i < buckets; i++) {
        const step = read.next()
        index = i === 0 ? (step % 2 === 0 ? step / 2 : -(step + 1) / 2) : index + step
        side.set(index, read.next())
      }
    }
    if (!read.ended) throw ingestErrors.sketchUnreadable({ reason: 'bytes follow its end' })
    return sketch
  }
}

function sorted(side: ReadonlyMap<number, number>): [number, number][] {
  return [...side].sort(([a], [b]) => a - b)
}

function putVarint(bytes: number[], value: number): void {
  let rest = value
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
}

class VarintReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length
  }

  next(): number {
    let value = 0
    for (let power = 1; ; power *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined || power > 2 ** 50) throw ingestErrors.sketchUnreadable({ reason: 'it is cut off' })
      value += (byte & 127) * power
      if (byte < 128) return value
    }
  }
}
