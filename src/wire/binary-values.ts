/**
 * Values of the binary protocol ⇄ the text protocol's bytes. Integers little-endian by the width of their type; float and
 * double IEEE 754; dates 1 length (0, 4, 7, 11) · 2 year · 1 month · 1 day · 1 hour · 1 minute · 1 second · 4 microseconds;
 * times 1 length (0, 8, 12) · 1 negative · 4 days · 1 hour · 1 minute · 1 second · 4 microseconds; all else lenenc bytes.
 *
 * Doubles get the shortest digits that read back as the same number; a FLOAT likewise among floats (the server's own text has 6 digits).
 */
import { columnFlag, columnType } from './column-types.ts'
import { wireErrors } from './errors.ts'
import { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export type ValueType = { type: number; flags: number; decimals: number; length: number }

/** Reads one non-NULL value and gives its text. */
export function readBinaryAsText(r: Reader, column: ValueType): Buffer {
  const unsigned = (column.flags & columnFlag.unsigned) !== 0
  switch (column.type) {
    case columnType.tiny:
      return integerText(unsigned ? r.u8() : (r.u8() << 24) >> 24, column)
    case columnType.short:
      return integerText(unsigned ? r.u16() : (r.u16() << 16) >> 16, column)
    case columnType.year:
      return Buffer.from(String(r.u16()).padStart(4, '0'), 'latin1')
    case columnType.int24:
    case columnType.long:
      return integerText(unsigned ? r.u32() : r.u32() | 0, column)
    case columnType.longlong: {
      const value = r.u64()
      return integerText(unsigned ? value : BigInt.asIntN(64, value), column)
    }
    case columnType.float:
      return doubleText(shortestFloat(r.bytes(4).readFloatLE(0)), column)
    case columnType.double:
      return doubleText(String(r.bytes(8).readDoubleLE(0)), column)
    case columnType.date:
    case columnType.newdate:
    case columnType.datetime:
    case columnType.timestamp:
      return Buffer.from(readDate(r, column.type === columnType.date, column.decimals), 'latin1')
    case columnType.time:
      return Buffer.from(readTime(r, column.decimals), 'latin1')
    case columnType.null:
      return Buffer.alloc(0)
    default:
      return r.lenencBytes()
  }
}

/** How many bytes a non-NULL value at `pos` takes, of a row that ends at `end`; it may reach past that. */
export function valueBytes(data: Buffer, pos: number, end: number, type: number): number {
  switch (type) {
    case columnType.tiny:
      return 1
    case columnType.short:
    case columnType.year:
      return 2
    case columnType.int24:
    case columnType.long:
    case columnType.float:
      return 4
    case columnType.longlong:
    case columnType.double:
      return 8
    case columnType.date:
    case columnType.newdate:
    case columnType.datetime:
    case columnType.timestamp:
    case columnType.time:
      return 1 + (data[pos] as number)
    case columnType.null:
      return 0
    default: {
      const first = data[pos] as number
      // Nearly all of them: without a reader for each.
      if (first < 0xfb) return 1 + first
      const r = new Reader(data, pos, end)
      const length = r.lenenc()
      return r.pos - pos + length
    }
  }
}

/** Writes a non-NULL value, given in the text protocol's bytes, as the binary protocol has it for its type. */
export function writeTextAsBinary(w: Writer, column: ValueType, text: Buffer): void {
  switch (column.type) {
    case columnType.tiny:
      w.u8(Number(text.toString('latin1')) & 0xff)
      return
    case columnType.short:
    case columnType.year:
      w.u16(Number(text.toString('latin1')) & 0xffff)
      return
    case columnType.int24:
    case columnType.long:
      w.u32(Number(text.toString('latin1')))
      return
    case columnType.longlong:
      w.u64(BigInt(text.toString('latin1')))
      return
    case columnType.float:
      w.f32(Number(text.toString('latin1')))
      return
    case columnType.double:
      w.f64(Number(text.toString('latin1')))
      return
    case columnType.date:
    case columnType.newdate:
    case columnType.datetime:
    case columnType.timestamp:
      writeDate(w, text.toString('latin1'))
      return
    case columnType.time:
      writeTime(w, text.toString('latin1'))
      return
    default:
      w.lenencBytes(text)
  }
}

function integerText(value: number | bigint, column: ValueType): Buffer {
  const text = String(value)
  const padded = (column.flags & columnFlag.zerofill) !== 0 ? text.padStart(column.length, '0') : text
  return Buffer.from(padded, 'latin1')
}

function doubleText(text: string, column: ValueType): Buffer {
  // 31 (NOT_FIXED_DEC) and above: as many digits as it takes. Below, the text protocol shows no more; of an average or a sum there may be, and whoever executes gets them.
  if (column.decimals < 31) {
    const fixed = Number(text).toFixed(column.decimals)
    if (Number(fixed) === Number(text)) text = fixed
  }
  return Buffer.from(text.replace('e+', 'e'), 'latin1')
}

export function shortestFloat(value: number): string {
  for (let digits = 6; digits < 10; digits++) {
    const text = String(Number(value.toPrecision(digits)))
    if (Math.fround(Number(text)) === value) return text
  }
  return String(value)
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}

function fraction(micros: number, decimals: number): string {
  const digits = decimals <= 6 ? decimals : micros > 0 ? 6 : 0
  return digits === 0 ? '' : `.${pad(micros, 6).slice(0, digits)}`
}

export function readDate(r: Reader, dateOnly: boolean, decimals: number): string {
  const length = r.u8()
  let year = 0
  let month = 0
  let day = 0
  let hour = 0
  let minute = 0
  let second = 0
  let micros = 0
  if (length >= 4) {
    year = r.u16()
    month = r.u8()
    day = r.u8()
  }
  if (length >= 7) {
    hour = r.u8()
    minute = r.u8()
    second = r.u8()
  }
  if (length >= 11) micros = r.u32()
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`
  return dateOnly ? date : `${date} ${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${fraction(micros, decimals)}`
}

export function readTime(r: Reader, decimals: number): string {
  const length = r.u8()
  if (length === 0) return `00:00:00${fraction(0, decimals)}`
  const negative = r.u8() === 1
  const days = r.u32()
  const hours = days * 24 + r.u8()
  const minute = r.u8()
  const second = r.u8()
  const micros = length >= 12 ? r.u32() : 0
  return `${negative ? '-' : ''}${pad(hours, 2)}:${pad(minute, 2)}:${pad(second, 2)}${fraction(micros, decimals)}`
}

function micros(digits: string | undefined): number {
  return digits === undefined ? 0 : Number(digits.slice(0, 6).padEnd(6, '0'))
}

function writeDate(w: Writer, text: string): void {
  const match = /^(\d+)-(\d+)-(\d+)(?:[ T](\d+):(\d+):(\d+)(?:\.(\d+))?)?$/.exec(text)
  if (match === null) throw wireErrors.malformed({ detail: `"${text}" is no date` })
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const us = micros(match[7])
  const length = us > 0 ? 11 : hour + minute + second > 0 ? 7 : year + month + day > 0 ? 4 : 0
  w.u8(length)
  if (length >= 4) w.u16(year).u8(month).u8(day)
  if (length >= 7) w.u8(hour).u8(minute).u8(second)
  if (length === 11) w.u32(us)
}

function writeTime(w: Writer, text: string): void {
  const match = /^(-?)(\d+):(\d+):(\d+)(?:\.(\d+))?$/.exec(text)
  if (match === null) throw wireErrors.malformed({ detail: `"${text}" is no time` })
  const hours = Number(match[2])
  const minute = Number(match[3])
  const second = Number(match[4])
  const us = micros(match[5])
  if (hours + minute + second + us === 0) {
    w.u8(0)
    return
  }
  w.u8(us > 0 ? 12 : 8)
    .u8(match[1] === '-' ? 1 : 0)
    .u32(Math.floor(hours / 24))
    .u8(hours % 24)
    .u8(minute)
    .u8(second)
  if (us > 0) w.u32(us)
}
