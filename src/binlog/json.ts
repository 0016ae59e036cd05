/**
 * MySQL's binary JSON (sql-common/json_binary.h) to the text that the server prints (json_dom.cc): `{"a": [1, 2.0]}`, keys in stored order.
 *
 *     doc    := type value                 type: 0/1 object small/large, 2/3 array, 4 literal, 5–8 int16/uint16/int32/uint32,
 *     object := count size key* entry* …         9/10 int64/uint64, 11 double, 12 string, 15 opaque
 *     array  := count size entry* …        count, size, offsets: 2 bytes when small, 4 when large
 *     key    := offset length(2)           entry := type (offset | inlined value)
 *
 * Behind the text stands a list of the values whose types it does not tell, where there are any (`json-types.ts`).
 *
 * Offsets count from the object's or array's first byte. Every read is checked against the document's end, and elements are counted
 * against its length: a damaged document throws, it can't run away.
 */
import type { Buffer } from 'node:buffer'
import { decimalBytes, decimalDecoder } from './decimal.ts'
import { doubleText } from './double-text.ts'
import { columnType } from './event-types.ts'
import { putI32, putI64, putPadded, putU32, putU64 } from './integer-text.ts'
import { BadValue, RowSink } from './row-sink.ts'

const depthMax = 128
/** What a server computes with: nine words of nine digits. A DECIMAL(65,30) in JSON has 66, its integer part in whole words (*tried*, 9.7.4). */
const decimalDigitsMax = 81
const hex = '0123456789abcdef'

/** Makes the sink's next cell the text of the document that is the next `length` bytes of its source. */
export function decodeJson(sink: RowSink, length: number): void {
  const at = sink.take(length)
  if (length === 0) {
    sink.ascii('null')
    return
  }
  const writer = new JsonWriter(sink, at, at + length)
  const type = writer.u8(at)
  writer.value(type, at + 1, 0)
  if (writer.listed) writer.list(type, at + 1)
  sink.text(writer.at)
}

/** As JSON_TYPE names them. */
const opaqueNames = new Map<number, string>([
  [columnType.newdecimal, 'DECIMAL'],
  [columnType.date, 'DATE'],
  [columnType.time, 'TIME'],
  [columnType.datetime, 'DATETIME'],
  [columnType.timestamp, 'TIMESTAMP'],
  [columnType.bit, 'BIT'],
  [columnType.geometry, 'GEOMETRY'],
  ...[
    columnType.varchar,
    columnType.tinyBlob,
    columnType.mediumBlob,
    columnType.longBlob,
    columnType.blob,
    columnType.varString,
    columnType.string,
  ].map((type) => [type, 'BLOB'] as const),
])

class JsonWriter {
  readonly #sink: RowSink
  readonly #source: Buffer
  readonly #start: number
  readonly #end: number
  /** Next byte to write in sink.out. */
  at: number
  /** A value came whose type text does not tell. */
  listed = false
  #elements = 0
  readonly #lists = { m: { count: 0, found: [] as string[] }, e: { count: 0, found: [] as string[] } }

  constructor(sink: RowSink, start: number, end: number) {
    this.#sink = sink
    this.#source = sink.source
    this.#start = start
    this.#end = end
    this.at = sink.textAt
  }

  value(type: number, at: number, depth: number): void {
    if (depth > depthMax) throw new BadValue('JSON nested too deep')
    if (type === 6 || type === 8 || type === 10 || type === 15) this.listed = true
    switch (type) {
      case 0:
      case 1:
      case 2:
      case 3:
        this.#container(type < 2, type & 1, at, depth)
        return
      case 4:
        this.#literal(this.u8(at))
        return
      case 5:
        this.#room(8)
        this.at = putI32(this.#sink.out, this.at, this.#source.readInt16LE(this.#check(at, 2)))
        return
      case 6:
        this.#room(8)
        this.at = putU32(this.#sink.out, this.at, this.#source.readUInt16LE(this.#check(at, 2)))
        return
      case 7:
        this.#room(12)
        this.at = putI32(this.#sink.out, this.at, this.#source.readInt32LE(this.#check(at, 4)))
        return
      case 8:
        this.#room(12)
        this.at = putU32(this.#sink.out, this.at, this.#source.readUInt32LE(this.#check(at, 4)))
        return
      case 9:
      case 10: {
        this.#check(at, 8)
        this.#room(24)
        const put = type === 9 ? putI64 : putU64
        this.at = put(this.#sink.out, this.at, this.#source.readUInt32LE(at + 4), this.#source.readUInt32LE(at))
        return
      }
      case 11: {
        const text = doubleText(this.#source.readDoubleLE(this.#check(at, 8)))
        this.#ascii(/[.e]/.test(text) ? text : `${text}.0`)
        return
      }
      case 12: {
        const [from, length] = this.#varLength(at)
        this.#quoted(from, length)
        return
      }
      case 15: {
        const [from, length] = this.#varLength(at + 1)
        this.#opaque(this.u8(at), from, length)
        return
      }
      default:
        throw new BadValue(`JSON type ${type}`)
    }
  }

  #container(isObject: boolean, large: number, base: number, depth: number): void {
    const width = large === 1 ? 4 : 2
    const count = this.#offset(base, width)
    const size = this.#offset(base + width, width)
    this.#check(base, size)
    this.#elements += count
    if (this.#elements > this.#end - this.#start) throw new BadValue('JSON with more elements than bytes')
    const keys = base + 2 * width
    const entries = isObject ? keys + count * (width + 2) : keys
    this.#byte(isObject ? 123 : 91)
    for (let i = 0; i < count; i++) {
      if (i > 0) this.#ascii(', ')
      if (isObject) {
        const key = keys + i * (width + 2)
        this.#quoted(base + this.#offset(key, width), this.#offset(key + width, 2))
        this.#ascii(': ')
      }
      const entry = entries + i * (1 + width)
      const type = this.u8(entry)
      const inlined = type === 4 || type === 5 || type === 6 || (large === 1 && (type === 7 || type === 8))
      this.value(type, inlined ? entry + 1 : base + this.#offset(entry + 1, width), depth + 1)
    }
    this.#byte(isObject ? 125 : 93)
  }

  /** Writes the list of values whose types text does not tell. The document was checked when it was written. */
  list(type: number, at: number): void {
    const { m, e } = this.#lists
    if (type > 3) m.found.push(`"r ${this.#typeName(type, at)}"`)
    else this.#listEntries(type, at)
    this.#byte(0)
    this.#ascii(`[${[...m.found, ...e.found].join(', ')}]`)
    this.#byte(0)
  }

  #listEntries(container: number, base: number): void {
    const kind = container < 2 ? 'm' : 'e'
    const list = this.#lists[kind]
    const width = (container & 1) === 1 ? 4 : 2
    const count = this.#offset(base, width)
    const entries = base + 2 * width + (kind === 'm' ? count * (width + 2) : 0)
    for (let i = 0; i < count; i++) {
      const type = this.u8(entries + i * (1 + width))
      list.count++
      if (type === 15)
        list.found.push(`"${kind}${list.count} ${this.#typeName(type, base + this.#offset(entries + i * (1 + width) + 1, width))}"`)
      else if (type === 6 || type === 8 || type === 10) list.found.push(`"${kind}${list.count} ${this.#typeName(type, 0)}"`)
    }
    for (let i = 0; i < count; i++) {
      const entry = entries + i * (1 + width)
      const type = this.u8(entry)
      if (type < 4) this.#listEntries(type, base + this.#offset(entry + 1, width))
    }
  }

  /** Of an opaque value, which stands at `at`, or an unsigned integer. */
  #typeName(type: number, at: number): string {
    if (type !== 15) return 'UNSIGNED INTEGER'
    const name = opaqueNames.get(this.u8(at)) ?? 'OPAQUE'
    // Stored alone it has a byte for its kind before it.
    return name === 'DECIMAL' ? `${name} ${3 + this.#varLength(at + 1)[1]}` : name
  }

  #literal(value: number): void {
    if (value === 0) this.#ascii('null')
    else if (value === 1) this.#ascii('true')
    else if (value === 2) this.#ascii('false')
    else throw new BadValue(`JSON literal ${value}`)
  }

  #opaque(type: number, from: number, length: number): void {
    switch (type) {
      case columnType.newdecimal: {
        this.#check(from, 2)
        const precision = this.u8(from)
        const scale = this.u8(from + 1)
        if (scale > precision || precision > decimalDigitsMax || decimalBytes(precision, scale) !== length - 2)
          throw new BadValue('a DECIMAL in JSON')
        const inner = new RowSink()
        inner.spans = new Int32Array(2)
        inner.begin(this.#source, from + 2, from + length, 0, precision + 3)
        decimalDecoder(precision, scale)(inner)
        this.#ascii(inner.out.toString('latin1', inner.spans[0], inner.spans[1]))
        return
      }
      case columnType.date:
      case columnType.datetime:
      case columnType.timestamp:
      case columnType.time:
        if (length !== 8) throw new BadValue('a time in JSON')
        this.#temporal(type, this.#source.readBigInt64LE(this.#check(from, 8)))
        return
      default: {
        const base64 = this.#source.toString('base64', from, this.#check(from, length) + length)
        this.#ascii(`"base64:type${type}:`)
        // The server's encoder breaks lines after 76 characters, and its JSON writer escapes the breaks.
        for (let i = 0; i < base64.length; i += 76) {
          if (i > 0) this.#ascii('\\n')
          this.#ascii(base64.slice(i, i + 76))
        }
        this.#byte(34)
      }
    }
  }

  /** Packed as in the server's memory: 24 bits of microseconds below the time, below the date; negative as a whole. */
  #temporal(type: number, packed: bigint): void {
    this.#room(40)
    const { out } = this.#sink
    let at = this.at
    out[at++] = 34
    const magnitude = packed < 0n ? -packed : packed
    const micros = Number(magnitude & 0xffffffn)
    const whole = Number((magnitude >> 24n) & 0xffffffffffn)
    const time = whole % 0x20000
    if (type === columnType.time) {
      if (packed < 0n) out[at++] = 45
      const hour = Math.floor(whole / 4096) % 1024
      at = hour < 100 ? putPadded(out, at, hour, 2) : putU32(out, at, hour)
    } else {
      const day = Math.floor(whole / 0x20000)
      const yearMonth = Math.floor(day / 32)
      at = putPadded(out, at, Math.floor(yearMonth / 13) % 10_000, 4)
      out[at++] = 45
      at = putPadded(out, at, yearMonth % 13, 2)
      out[at++] = 45
      at = putPadded(out, at, day % 32, 2)
      if (type === columnType.date) {
        out[at++] = 34
        this.at = at
        return
      }
      out[at++] = 32
      at = putPadded(out, at, (time >>> 12) & 31, 2)
    }
    out[at++] = 58
    at = putPadded(out, at, (time >>> 6) & 63, 2)
    out[at++] = 58
    at = putPadded(out, at, time & 63, 2)
    out[at++] = 46
    at = putPadded(out, at, Math.min(micros, 999_999), 6)
    out[at++] = 34
    this.at = at
  }

  #quoted(from: number, length: number): void {
    this.#check(from, length)
    const source = this.#source
    const end = from + length
    this.#room(length + 2)
    this.#sink.out[this.at++] = 34
    let run = from
    for (let i = from; i < end; i++) {
      const byte = source[i] as number
      if (byte >= 32 && byte !== 34 && byte !== 92) continue
      this.#copy(run, i)
      run = i + 1
      this.#ascii(escapeOf(byte))
    }
    this.#copy(run, end)
    this.#byte(34)
  }

  #copy(from: number, to: number): void {
    if (to <= from) return
    this.#room(to - from)
    this.at += this.#source.copy(this.#sink.out, this.at, from, to)
  }

  u8(at: number): number {
    return this.#source[this.#check(at, 1)] as number
  }

  #offset(at: number, width: number): number {
    this.#check(at, width)
    return width === 2 ? this.#source.readUInt16LE(at) : this.#source.readUInt32LE(at)
  }

  /** Seven bits a byte, lowest first, at most five bytes. */
  #varLength(at: number): [from: number, length: number] {
    let length = 0
    for (let i = 0; i < 5; i++) {
      const byte = this.u8(at + i)
      length += (byte & 127) * 2 ** (7 * i)
      if (byte < 128) return [at + i + 1, length]
    }
    throw new BadValue('a JSON length of more than five bytes')
  }

  #check(at: number, length: number): number {
    if (at < this.#start || length < 0 || at + length > this.#end) throw new BadValue('JSON that points beyond its end')
    return at
  }

  #room(bytes: number): void {
    this.#sink.reserve(this.at - this.#sink.textAt + bytes)
  }

  #byte(byte: number): void {
    this.#room(1)
    this.#sink.out[this.at++] = byte
  }

  #ascii(text: string): void {
    this.#room(text.length)
    this.at += this.#sink.out.write(text, this.at, 'latin1')
  }
}

function escapeOf(byte: number): string {
  switch (byte) {
    case 8:
      return '\\b'
    case 9:
      return '\\t'
    case 10:
      return '\\n'
    case 12:
      return '\\f'
    case 13:
      return '\\r'
    case 34:
      return '\\"'
    case 92:
      return '\\\\'
    default:
      return `\\u00${hex[byte >> 4]}${hex[byte & 15]}`
  }
}
