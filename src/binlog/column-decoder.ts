/**
 * One function per column, chosen once per table map: reads the column's bytes from the sink's source and leaves the canonical cell
 * (`source.ts`). Row loops then do no dispatch on types.
 */
import { Buffer } from 'node:buffer'
import { decimalDecoder } from './decimal.ts'
import { doubleText } from './double-text.ts'
import { columnType } from './event-types.ts'
import { putI32, putI64, putU32, putU64 } from './integer-text.ts'
import { decodeJson } from './json.ts'
import { decompressColumn, inet4Text, inet6Text, uuidText } from './mariadb-types.ts'
import { BadValue, type RowSink } from './row-sink.ts'
import type { MappedColumn } from './table-map.ts'
import {
  datetimeDecoder,
  decodeDate,
  decodeDatetimeOld,
  decodeTimeOld,
  decodeTimestampOld,
  decodeYear,
  timeDecoder,
  timestampDecoder,
} from './temporal.ts'

export type ColumnDecoder = (sink: RowSink) => void

/** What the bytes alone don't tell, from metadata and definition. */
export type ColumnNature = {
  readonly unsigned: boolean
  /** Pad with zero bytes to this length (BINARY); 0: don't. */
  readonly binaryLength: number
  readonly mariadbText: 'uuid' | 'uuidOld' | 'inet4' | 'inet6' | null
}

/** The decoder, or null for a type that has none. */
export function columnDecoder(column: MappedColumn, nature: ColumnNature): ColumnDecoder | null {
  const { meta } = column
  const { unsigned } = nature
  switch (column.type) {
    case columnType.tiny:
      return unsigned ? decodeU8 : decodeI8
    case columnType.short:
      return unsigned ? decodeU16 : decodeI16
    case columnType.int24:
      return unsigned ? decodeU24 : decodeI24
    case columnType.long:
      return unsigned ? decodeU32 : decodeI32
    case columnType.longlong:
      return unsigned ? decodeU64 : decodeI64
    case columnType.float:
      return decodeFloat
    case columnType.double:
      return decodeDouble
    case columnType.newdecimal: {
      const precision = meta >> 8
      const scale = meta & 0xff
      return precision > 65 || scale > precision ? null : decimalDecoder(precision, scale)
    }
    case columnType.year:
      return decodeYear
    case columnType.date:
    case columnType.newdate:
      return decodeDate
    case columnType.time:
      return decodeTimeOld
    case columnType.datetime:
      return decodeDatetimeOld
    case columnType.timestamp:
      return decodeTimestampOld
    case columnType.time2:
      return meta > 6 ? null : timeDecoder(meta)
    case columnType.datetime2:
      return meta > 6 ? null : datetimeDecoder(meta)
    case columnType.timestamp2:
      return meta > 6 ? null : timestampDecoder(meta)
    case columnType.bit:
      return fixedDecoder((meta >> 8) + ((meta & 0xff) > 0 ? 1 : 0))
    case columnType.enum:
    case columnType.set:
      return indexDecoder(meta)
    case columnType.varchar:
    case columnType.varString:
      return meta > 255 ? decodeBytes2 : decodeBytes1
    case columnType.string:
      return stringDecoder(meta, nature)
    case columnType.blob:
    case columnType.tinyBlob:
    case columnType.mediumBlob:
    case columnType.longBlob:
    case columnType.geometry:
    case columnType.vector:
      return blobDecoder(meta)
    case columnType.json: {
      if (meta < 1 || meta > 4) return null
      return (sink) => decodeJson(sink, lengthPrefix(sink, meta))
    }
    case columnType.mariadbVarcharCompressed:
      return compressedDecoder(meta > 255 ? 2 : 1)
    case columnType.mariadbBlobCompressed:
      return meta < 1 || meta > 4 ? null : compressedDecoder(meta)
    default:
      return null
  }
}

function decodeI8(sink: RowSink): void {
  const value = sink.source[sink.take(1)] as number
  sink.reserve(4)
  sink.text(putI32(sink.out, sink.textAt, value < 128 ? value : value - 256))
}

function decodeU8(sink: RowSink): void {
  const value = sink.source[sink.take(1)] as number
  sink.reserve(4)
  sink.text(putU32(sink.out, sink.textAt, value))
}

function decodeU16(sink: RowSink): void {
  const at = sink.take(2)
  sink.reserve(8)
  sink.text(putU32(sink.out, sink.textAt, (sink.source[at] as number) | ((sink.source[at + 1] as number) << 8)))
}

function decodeI16(sink: RowSink): void {
  const at = sink.take(2)
  sink.reserve(8)
  const value = ((sink.source[at] as number) | ((sink.source[at + 1] as number) << 8)) << 16
  sink.text(putI32(sink.out, sink.textAt, value >> 16))
}

function u24(sink: RowSink): number {
  const at = sink.take(3)
  return (sink.source[at] as number) | ((sink.source[at + 1] as number) << 8) | ((sink.source[at + 2] as number) << 16)
}

function decodeU24(sink: RowSink): void {
  const value = u24(sink)
  sink.reserve(8)
  sink.text(putU32(sink.out, sink.textAt, value))
}

function decodeI24(sink: RowSink): void {
  const value = (u24(sink) << 8) >> 8
  sink.reserve(12)
  sink.text(putI32(sink.out, sink.textAt, value))
}

function i32At(source: Buffer, at: number): number {
  return (
    (source[at] as number) | ((source[at + 1] as number) << 8) | ((source[at + 2] as number) << 16) | ((source[at + 3] as number) << 24)
  )
}

function decodeU32(sink: RowSink): void {
  const value = i32At(sink.source, sink.take(4)) >>> 0
  sink.reserve(12)
  sink.text(putU32(sink.out, sink.textAt, value))
}

function decodeI32(sink: RowSink): void {
  const value = i32At(sink.source, sink.take(4))
  sink.reserve(12)
  sink.text(putI32(sink.out, sink.textAt, value))
}

function decodeU64(sink: RowSink): void {
  const at = sink.take(8)
  sink.reserve(24)
  sink.text(putU64(sink.out, sink.textAt, i32At(sink.source, at + 4) >>> 0, i32At(sink.source, at) >>> 0))
}

function decodeI64(sink: RowSink): void {
  const at = sink.take(8)
  sink.reserve(24)
  sink.text(putI64(sink.out, sink.textAt, i32At(sink.source, at + 4) >>> 0, i32At(sink.source, at) >>> 0))
}

function decodeFloat(sink: RowSink): void {
  sink.ascii(doubleText(sink.source.readFloatLE(sink.take(4))))
}

function decodeDouble(sink: RowSink): void {
  sink.ascii(doubleText(sink.source.readDoubleLE(sink.take(8))))
}

function fixedDecoder(length: number): ColumnDecoder {
  return (sink) => sink.raw(length)
}

/** ENUM's index and SET's bits: 1–8 bytes, little-endian, unsigned. */
function indexDecoder(bytes: number): ColumnDecoder | null {
  if (bytes === 1) return decodeU8
  if (bytes === 2) return decodeU16
  if (bytes < 1 || bytes > 8) return null
  return (sink) => {
    const at = sink.take(bytes)
    let low = 0
    let high = 0
    for (let i = bytes - 1; i >= 4; i--) high = high * 256 + (sink.source[at + i] as number)
    for (let i = Math.min(bytes, 4) - 1; i >= 0; i--) low = low * 256 + (sink.source[at + i] as number)
    sink.reserve(24)
    sink.text(putU64(sink.out, sink.textAt, high, low))
  }
}

function lengthPrefix(sink: RowSink, bytes: number): number {
  return sink.source.readUIntLE(sink.take(bytes), bytes)
}

function decodeBytes1(sink: RowSink): void {
  sink.raw(sink.source[sink.take(1)] as number)
}

function decodeBytes2(sink: RowSink): void {
  const at = sink.take(2)
  sink.raw((sink.source[at] as number) | ((sink.source[at + 1] as number) << 8))
}

function blobDecoder(prefixBytes: number): ColumnDecoder | null {
  if (prefixBytes === 1) return decodeBytes1
  if (prefixBytes === 2) return decodeBytes2
  if (prefixBytes < 1 || prefixBytes > 4) return null
  return (sink) => sink.raw(lengthPrefix(sink, prefixBytes))
}

function stringDecoder(length: number, nature: ColumnNature): ColumnDecoder {
  const prefixBytes = length > 255 ? 2 : 1
  const { binaryLength, mariadbText } = nature
  if (mariadbText !== null) {
    const textOf = {
      uuid: (bytes: Buffer) => uuidText(bytes, false),
      uuidOld: (bytes: Buffer) => uuidText(bytes, true),
      inet4: inet4Text,
      inet6: inet6Text,
    }[mariadbText]
    return (sink) => sink.ascii(textOf(padded(sink, lengthPrefix(sink, prefixBytes), length)))
  }
  if (binaryLength === 0) return prefixBytes === 1 ? decodeBytes1 : decodeBytes2
  return (sink) => {
    const stored = lengthPrefix(sink, prefixBytes)
    // The binlog trims trailing zero bytes of BINARY(n); SELECT shows them, and they are part of a key.
    if (stored === binaryLength) sink.raw(stored)
    else sink.bytes(padded(sink, stored, binaryLength))
  }
}

function padded(sink: RowSink, stored: number, length: number): Buffer {
  if (stored > length) throw new BadValue(`${stored} bytes in a column of ${length}`)
  const at = sink.take(stored)
  const bytes = Buffer.alloc(length)
  sink.source.copy(bytes, 0, at, at + stored)
  return bytes
}

function compressedDecoder(prefixBytes: number): ColumnDecoder {
  return (sink) => {
    const length = lengthPrefix(sink, prefixBytes)
    const at = sink.take(length)
    sink.bytes(decompressColumn(sink.source.subarray(at, at + length)))
  }
}
