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

/** Counts by bucket: two lists side by side, by index. Most sketches have a handful. */
type Side = { readonly indexes: number[]; readonly counts: number[] }

type Scale = { readonly gamma: number; readonly perLog: number }

const scales = new Map<number, Scale>()

function scaleOf(relativeError: number): Scale {
  let scale = scales.get(relativeError)
  if (scale === undefined) {
    const gamma = (1 + relativeError) / (1 - relativeError)
    scales.set(relativeError, (scale = { gamma, perLog: 1 / Math.log(gamma) }))
  }
  return scale
}

export class DDSketch {
  readonly relativeError: number
  readonly #scale: Scale
  #zeros = 0
  #positive: Side | null = null
  #negative: Side | null = null

  constructor(relativeError = 0.01) {
    this.relativeError = relativeError
    this.#scale = scaleOf(relativeError)
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
    const index = Math.ceil(Math.log(Math.min(size, largest)) * this.#scale.perLog)
    addTo(value > 0 ? (this.#positive ??= emptySide()) : (this.#negative ??= emptySide()), index, count)
  }

  merge(other: DDSketch): void {
    if (other.relativeError !== this.relativeError)
      throw ingestErrors.sketchUnreadable({ reason: `its relative error is ${other.relativeError}, not ${this.relativeError}` })
    this.#zeros += other.#zeros
    this.#positive = merged(this.#positive, other.#positive)
    this.#negative = merged(this.#negative, other.#negative)
  }

  get count(): number {
    let sum = this.#zeros
    for (const side of [this.#positive, this.#negative]) for (const count of side?.counts ?? []) sum += count
    return sum
  }

  /** The value at `q` of 0 … 1, within the relative error; null when there is none. */
  quantile(q: number): number | null {
    const total = this.count
    if (total === 0) return null
    let rank = Math.max(0, Math.ceil(q * total) - 1)
    const { indexes: below, counts: ofBelow } = this.#negative ?? emptySide()
    for (let i = below.length - 1; i >= 0; i--) {
      const count = ofBelow[i] as number
      if (rank < count) return -this.#middle(below[i] as number)
      rank -= count
    }
    if (rank < this.#zeros) return 0
    rank -= this.#zeros
    const { indexes, counts } = this.#positive ?? emptySide()
    for (let i = 0; i < indexes.length; i++) {
      const count = counts[i] as number
      if (rank < count) return this.#middle(indexes[i] as number)
      rank -= count
    }
    return null
  }

  #middle(index: number): number {
    return (2 * this.#scale.gamma ** index) / (this.#scale.gamma + 1)
  }

  encode(): Buffer {
    const end = this.#write()
    return Buffer.from(scratch.subarray(0, end))
  }

  /** `encode` as hexadecimal digits. */
  hex(): string {
    const end = this.#write()
    return scratch.toString('hex', 0, end)
  }

  /** Into `scratch`, which may be another buffer afterwards; returns where it ends. */
  #write(): number {
    scratch[0] = version
    scratch.writeDoubleLE(this.relativeError, 1)
    let at = putVarint(9, this.#zeros)
    for (const side of [this.#positive, this.#negative]) {
      const { indexes, counts } = side ?? noSide
      if (at + varintMax > scratch.length) grow()
      at = putVarint(at, indexes.length)
      let last = 0
      for (let i = 0; i < indexes.length; i++) {
        if (at + 2 * varintMax > scratch.length) grow()
        const index = indexes[i] as number
        at = putVarint(at, i > 0 ? index - last : index >= 0 ? index * 2 : -index * 2 - 1)
        at = putVarint(at, counts[i] as number)
        last = index
      }
    }
    return at
  }

  /** @throws SW-INGEST-017 */
  static decode(bytes: Buffer): DDSketch {
    if (bytes.length < 12 || bytes[0] !== version)
      throw ingestErrors.sketchUnreadable({ reason: `it begins with ${bytes.toString('hex', 0, 4)}` })
    const sketch = new DDSketch(bytes.readDoubleLE(1))
    const read = new VarintReader(bytes, 9)
    sketch.#zeros = read.next()
    sketch.#positive = sideOf(read)
    sketch.#negative = sideOf(read)
    if (!read.ended) throw ingestErrors.sketchUnreadable({ reason: 'bytes follow its end' })
    return sketch
  }
}

function emptySide(): Side {
  return { indexes: [], counts: [] }
}

const noSide = emptySide()

function addTo({ indexes, counts }: Side, index: number, count: number): void {
  let low = 0
  for (let high = indexes.length; low < high;) {
    const middle = (low + high) >> 1
    if ((indexes[middle] as number) < index) low = middle + 1
    else high = middle
  }
  if (indexes[low] === index) counts[low] = (counts[low] as number) + count
  else {
    indexes.splice(low, 0, index)
    counts.splice(low, 0, count)
  }
}

function merged(a: Side | null, b: Side | null): Side | null {
  if (b === null) return a
  const side = emptySide()
  const { indexes, counts } = a ?? noSide
  let i = 0
  for (let j = 0; j < b.indexes.length || i < indexes.length;) {
    const mine = indexes[i] ?? Infinity
    const theirs = b.indexes[j] ?? Infinity
    side.indexes.push(Math.min(mine, theirs))
    side.counts.push((mine <= theirs ? (counts[i++] as number) : 0) + (theirs <= mine ? (b.counts[j++] as number) : 0))
  }
  return side
}

function sideOf(read: VarintReader): Side | null {
  const buckets = read.next()
  if (buckets === 0) return null
  const side = emptySide()
  let index = 0
  for (let i = 0; i < buckets; i++) {
    const step = read.next()
    if (i > 0 && step === 0) throw ingestErrors.sketchUnreadable({ reason: 'a bucket stands twice' })
    index = i > 0 ? index + step : step % 2 === 0 ? step / 2 : -(step + 1) / 2
    side.indexes.push(index)
    side.counts.push(read.next())
  }
  return side
}

const varintMax = 8
let scratch = Buffer.alloc(4096)

function grow(): void {
  scratch = Buffer.concat([scratch], 2 * scratch.length)
}

function putVarint(from: number, value: number): number {
  let at = from
  let rest = value
  while (rest >= 128) {
    scratch[at++] = (rest % 128) + 128
    rest = Math.floor(rest / 128)
  }
  scratch[at++] = rest
  return at
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
