/**
 * Types that MariaDB writes to the binlog as plain bytes and prints as text, and its compressed columns. Nothing in the binlog tells them
 * from BINARY(n): the column's definition does.
 */
import type { Buffer } from 'node:buffer'
import { inflateRawSync, inflateSync } from 'node:zlib'
import { BadValue } from './row-sink.ts'

export const uuidBytes = 16

/**
 * UUIDs of versions 1–5 are stored with their parts reversed (so that times sort), others as they are; the stored bytes tell
 * which: variant bit in byte 6 and a version in byte 8 (sql_type_uuid.h). Columns of before 10.11.5 (type `uuid` marked old) always reverse.
 */
export function uuidText(stored: Buffer, alwaysReversed: boolean): string {
  const reversed = alwaysReversed || ((stored[6] as number) >= 0x80 && (-(stored[8] as number) & 0x80) !== 0)
  const hex = stored.toString('hex')
  if (!reversed) {
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
  return `${hex.slice(24)}-${hex.slice(20, 24)}-${hex.slice(16, 20)}-${hex.slice(12, 16)}-${hex.slice(0, 12)}`
}

export function inet4Text(stored: Buffer): string {
  return `${stored[0]}.${stored[1]}.${stored[2]}.${stored[3]}`
}

/** As the server's Inet6::to_string: the longest run of zero words (the first of equals, two or more) as `::`; IPv4 forms dotted. */
export function inet6Text(stored: Buffer): string {
  const words: number[] = []
  for (let i = 0; i < 8; i++) words.push(stored.readUInt16BE(2 * i))
  let gapAt = -1
  let gapLength = 0
  for (let i = 0; i < 8;) {
    let j = i
    while (j < 8 && words[j] === 0) j++
    if (j - i > gapLength) {
      gapAt = i
      gapLength = j - i
    }
    i = j === i ? i + 1 : j
  }
  const dotted =
    gapAt === 0 && (gapLength === 6 || (gapLength === 5 && words[5] === 0xffff))
      ? `${stored[12]}.${stored[13]}.${stored[14]}.${stored[15]}`
      : null
  let text = ''
  for (let i = 0; i < 8;) {
    if (gapLength > 0 && i === gapAt) {
      text += '::'
      i += gapLength
      continue
    }
    if (dotted !== null && i === 6) return text + (text.endsWith(':') ? '' : ':') + dotted
    if (text !== '' && !text.endsWith(':')) text += ':'
    text += (words[i] as number).toString(16)
    i++
  }
  return text
}

/**
 * A COMPRESSED column's stored bytes (sql/field_comp.cc): empty; 0x00 and the plain bytes; or a header byte 0x80 | raw-deflate bit 0x08 |
 * length bytes, the plain length big-endian, and the zlib stream.
 */
export function decompressColumn(stored: Buffer): Buffer {
  if (stored.length === 0) return stored
  const header = stored[0] as number
  if (header === 0) return stored.subarray(1)
  const lengthBytes = header & 7
  if ((header & 0xf0) !== 0x80 || lengthBytes < 1 || lengthBytes > 4 || stored.length < 1 + lengthBytes) {
    throw new BadValue(`a compressed value with header ${header}`)
  }
  const plainBytes = stored.readUIntBE(1, lengthBytes)
  return inflateExactly(stored.subarray(1 + lengthBytes), plainBytes, (header & 8) !== 0)
}

export function inflateExactly(compressed: Buffer, plainBytes: number, raw: boolean): Buffer {
  let plain: Buffer
  try {
    // One byte more than promised: a longer stream is found out without being unpacked.
    const options = { maxOutputLength: plainBytes + 1 }
    plain = raw ? inflateRawSync(compressed, options) : inflateSync(compressed, options)
  } catch (error) {
    throw new BadValue(`zlib: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (plain.length !== plainBytes) throw new BadValue(`${plain.length} bytes unpacked where ${plainBytes} were promised`)
  return plain
}
