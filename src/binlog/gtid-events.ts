/**
 * What opens a group.
 *
 *     MySQL 33/34: flags (1) sid (16) gno (8) | lt type (1 = 2) last committed (8) sequence (8) | commit time (7, µs; top bit: original follows (7)) |
 *                  group length (lenenc) | server versions …
 *     MySQL 42 (tagged): a mysql::serialization message: version, size, last field id, then (field id, value)*, in variable-length integers
 *     MariaDB 162: sequence (8) domain (4) flags (1) | [group commit id (8)] | [xid: format (4) lengths (1 + 1) bytes] | extra flags …
 */
import { Buffer } from 'node:buffer'
import { ByteReader } from './byte-reader.ts'
import { BadValue } from './row-sink.ts'
import { xidText } from './xid.ts'

export type MysqlGtidEvent = {
  readonly sid: string
  readonly number: number
  readonly committedAtMs: number | null
  readonly groupBytes: number | null
}

export function parseMysqlGtid(body: Buffer): MysqlGtidEvent {
  const reader = new ByteReader(body)
  reader.skip(1)
  const sid = uuidOf(reader.bytes(16))
  const number = safe(reader.u64())
  let committedAtMs: number | null = null
  let groupBytes: number | null = null
  if (reader.left >= 17 && reader.u8() === 2) {
    reader.skip(16)
    if (reader.left >= 7) {
      const low = reader.u48()
      const top = reader.u8()
      committedAtMs = (low + (top & 0x7f) * 2 ** 48) / 1000
      if ((top & 0x80) !== 0) reader.skip(7)
      if (reader.left > 0) groupBytes = reader.lenenc()
    }
  }
  return { sid, number, committedAtMs, groupBytes }
}

const taggedField = {
  flags: 0,
  uuid: 1,
  number: 2,
  tag: 3,
  lastCommitted: 4,
  sequence: 5,
  commitTime: 6,
  originalCommitTime: 7,
  groupBytes: 8,
} as const

export function parseMysqlGtidTagged(body: Buffer): MysqlGtidEvent {
  const reader = new ByteReader(body)
  const version = varUnsigned(reader)
  if (version !== 1n) throw new BadValue(`serialization version ${version} of a tagged GTID`)
  const end = safe(varUnsigned(reader))
  varUnsigned(reader)
  if (end > body.length) throw new BadValue('a tagged GTID longer than its event')
  let uuid = ''
  let tag = ''
  let number = 0
  let committedAtMs: number | null = null
  let groupBytes: number | null = null
  while (reader.position < end) {
    const field = safe(varUnsigned(reader))
    if (field > taggedField.groupBytes) break
    switch (field) {
      case taggedField.uuid: {
        const bytes = Buffer.alloc(16)
        for (let i = 0; i < 16; i++) bytes[i] = safe(varUnsigned(reader))
        uuid = uuidOf(bytes)
        break
      }
      case taggedField.number:
        number = safe(varSigned(reader))
        break
      case taggedField.tag:
        tag = reader.bytes(safe(varUnsigned(reader))).toString('latin1')
        break
      case taggedField.commitTime:
        committedAtMs = safe(varUnsigned(reader)) / 1000
        break
      case taggedField.groupBytes:
        groupBytes = safe(varUnsigned(reader))
        break
      case taggedField.lastCommitted:
      case taggedField.sequence:
        varSigned(reader)
        break
      default:
        varUnsigned(reader)
    }
  }
  if (uuid === '' || number < 1) throw new BadValue('a tagged GTID without its number')
  return { sid: tag === '' ? uuid : `${uuid}:${tag}`, number, committedAtMs, groupBytes }
}

export const mariadbGtidFlag = { standalone: 1, groupCommitId: 2, transactional: 4, preparedXa: 64, completedXa: 128 } as const

export type MariadbGtidEvent = { readonly domain: number; readonly sequence: bigint; readonly flags: number; readonly xid: string | null }

export function parseMariadbGtidEvent(body: Buffer): MariadbGtidEvent {
  const reader = new ByteReader(body)
  const sequence = reader.u64()
  const domain = reader.u32()
  const flags = reader.u8()
  if ((flags & mariadbGtidFlag.groupCommitId) !== 0) reader.skip(8)
  let xid: string | null = null
  if ((flags & (mariadbGtidFlag.preparedXa | mariadbGtidFlag.completedXa)) !== 0) {
    const formatId = reader.u32() | 0
    const gtridBytes = reader.u8()
    const bqualBytes = reader.u8()
    xid = xidText(reader.bytes(gtridBytes), reader.bytes(bqualBytes), formatId)
  }
  return { domain, sequence, flags, xid }
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadValue(`a number beyond 2^53: ${value}`)
  return Number(value)
}

/** mysql::serialization: as many low one bits as there are further bytes, a zero bit, then the value, little-endian. */
function varUnsigned(reader: ByteReader): bigint {
  const first = reader.u8()
  let extra = 0
  while (extra < 8 && (first & (1 << extra)) !== 0) extra++
  if (extra === 8) return reader.u64()
  let value = BigInt(first >> (extra + 1))
  for (let i = 0; i < extra; i++) value |= BigInt(reader.u8()) << BigInt(8 * i + 7 - extra)
  return value
}

/** The sign is the lowest bit; a negative number is complemented. */
function varSigned(reader: ByteReader): bigint {
  const value = varUnsigned(reader)
  return (value & 1n) === 0n ? value >> 1n : ~(value >> 1n)
}
