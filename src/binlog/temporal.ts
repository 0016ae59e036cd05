/**
 * DATE, TIME, DATETIME, TIMESTAMP and YEAR as stored (sql/field.cc, my_time.cc), printed as the server prints them. Values are not
 * validated: zero and impossible dates are data. Fractions are 0–3 bytes, big-endian, in hundredths, ten-thousandths or millionths.
 */
import { putPadded, putU32 } from './integer-text.ts'
import { BadValue, type RowSink } from './row-sink.ts'

const fractionBytes = [0, 1, 1, 2, 2, 3, 3] as const
const fractionDigitsStored = [0, 2, 2, 4, 4, 6, 6] as const

function checkDecimals(decimals: number): void {
  if (decimals > 6) throw new BadValue(`${decimals} fractional digits`)
}

function putFraction(out: Buffer, at: number, stored: number, decimals: number): number {
  if (decimals === 0) return at
  out[at] = 46
  const digits = fractionDigitsStored[decimals] as number
  const limit = 10 ** digits - 1
  const value = Math.min(stored, limit)
  return putPadded(out, at + 1, digits === decimals ? value : Math.floor(value / 10), decimals)
}

function putDate(out: Buffer, at: number, year: number, month: number, day: number): number {
  at = putPadded(out, at, year, 4)
  out[at++] = 45
  at = putPadded(out, at, month, 2)
  out[at++] = 45
  return putPadded(out, at, day, 2)
}

function putTime(out: Buffer, at: number, hour: number, minute: number, second: number): number {
  at = hour < 100 ? putPadded(out, at, hour, 2) : putU32(out, at, hour)
  out[at++] = 58
  at = putPadded(out, at, minute, 2)
  out[at++] = 58
  return putPadded(out, at, second, 2)
}

export function decodeYear(sink: RowSink): void {
  const value = sink.source[sink.take(1)] as number
  sink.reserve(4)
  sink.text(putPadded(sink.out, sink.textAt, value === 0 ? 0 : 1900 + value, 4))
}

export function decodeDate(sink: RowSink): void {
  const at = sink.take(3)
  const { source } = sink
  const value = (source[at] as number) | ((source[at + 1] as number) << 8) | ((source[at + 2] as number) << 16)
  sink.reserve(12)
  sink.text(putDate(sink.out, sink.textAt, value >>> 9, (value >>> 5) & 15, value & 31))
}

/** TIME before 5.6: ±HHMMSS as a signed 24-bit little-endian number. */
export function decodeTimeOld(sink: RowSink): void {
  const value = sink.source.readIntLE(sink.take(3), 3)
  sink.reserve(16)
  let at = sink.textAt
  if (value < 0) sink.out[at++] = 45
  const time = Math.abs(value)
  sink.text(putTime(sink.out, at, Math.floor(time / 10_000), Math.floor(time / 100) % 100, time % 100))
}

/** DATETIME before 5.6: YYYYMMDDhhmmss as a 64-bit little-endian number. */
export function decodeDatetimeOld(sink: RowSink): void {
  const at = sink.take(8)
  const value = sink.source.readUInt32LE(at + 4) * 4_294_967_296 + sink.source.readUInt32LE(at)
  if (value > 99_991_231_235_959) throw new BadValue('a DATETIME beyond the year 9999')
  const date = Math.floor(value / 1_000_000)
  const time = value - date * 1_000_000
  sink.reserve(20)
  let end = putDate(sink.out, sink.textAt, Math.floor(date / 10_000), Math.floor(date / 100) % 100, date % 100)
  sink.out[end++] = 32
  sink.text(putTime(sink.out, end, Math.floor(time / 10_000), Math.floor(time / 100) % 100, time % 100))
}

export function decodeTimestampOld(sink: RowSink): void {
  const seconds = sink.source.readUInt32LE(sink.take(4))
  sink.reserve(32)
  sink.text(putUtc(sink.out, sink.textAt, seconds))
}

export function timestampDecoder(decimals: number): (sink: RowSink) => void {
  checkDecimals(decimals)
  const extra = fractionBytes[decimals] as number
  return (sink) => {
    const at = sink.take(4 + extra)
    const { source } = sink
    const seconds = source.readUInt32BE(at)
    const fraction = extra === 0 ? 0 : source.readUIntBE(at + 4, extra)
    sink.reserve(32)
    // A second of 0 is the zero date: MariaDB and MySQL both refuse the epoch itself.
    sink.text(putFraction(sink.out, putUtc(sink.out, sink.textAt, seconds), fraction, decimals))
  }
}

export function datetimeDecoder(decimals: number): (sink: RowSink) => void {
  checkDecimals(decimals)
  const extra = fractionBytes[decimals] as number
  return (sink) => {
    const at = sink.take(5 + extra)
    const { source } = sink
    // 1 bit sign (always set), 17 bits year*13+month, 5 day | 5 hour, 6 minute, 6 second.
    const high = source.readUInt16BE(at) & 0x7fff
    const low = source.readUIntBE(at + 2, 3)
    const yearMonth = (high << 2) | (low >>> 22)
    const year = Math.floor(yearMonth / 13)
    if (year > 9999) throw new BadValue('a DATETIME beyond the year 9999')
    sink.reserve(40)
    let end = putDate(sink.out, sink.textAt, year, yearMonth % 13, (low >>> 17) & 31)
    sink.out[end++] = 32
    end = putTime(sink.out, end, (low >>> 12) & 31, (low >>> 6) & 63, low & 63)
    const fraction = extra === 0 ? 0 : source.readUIntBE(at + 5, extra)
    sink.text(putFraction(sink.out, end, fraction, decimals))
  }
}

export function timeDecoder(decimals: number): (sink: RowSink) => void {
  checkDecimals(decimals)
  const extra = fractionBytes[decimals] as number
  const scale = 2 ** (8 * extra)
  const offset = 0x800000 * scale
  return (sink) => {
    // Whole and fraction are one number, offset so that it sorts; a negative time is negative as a whole.
    const packed = sink.source.readUIntBE(sink.take(3 + extra), 3 + extra) - offset
    const magnitude = Math.abs(packed)
    const whole = Math.floor(magnitude / scale)
    sink.reserve(24)
    let end = sink.textAt
    if (packed < 0) sink.out[end++] = 45
    end = putTime(sink.out, end, (whole >>> 12) & 0x3ff, (whole >>> 6) & 63, whole & 63)
    sink.text(putFraction(sink.out, end, magnitude - whole * scale, decimals))
  }
}

/** Days since 1970-01-01 to a civil date (H. Hinnant's algorithm), for 32-bit Unix seconds. */
function putUtc(out: Buffer, at: number, seconds: number): number {
  if (seconds === 0) {
    at = putDate(out, at, 0, 0, 0)
    out[at++] = 32
    return putTime(out, at, 0, 0, 0)
  }
  const days = Math.floor(seconds / 86_400)
  const time = seconds - days * 86_400
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  at = putDate(out, at, year, month, day)
  out[at++] = 32
  return putTime(out, at, Math.floor(time / 3600), Math.floor(time / 60) % 60, time % 60)
}
