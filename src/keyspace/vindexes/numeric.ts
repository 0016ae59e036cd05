/** `numeric`: an unsigned integer, 8 bytes big-endian. `reverse_bits`: the same with its 64 bits the other way round. */
import { keyspaceErrors } from '../errors.ts'
import { keyRange } from '../key-range.ts'
import { afterPrefix, compareKeyspaceIds, toHex } from '../keyspace-id.ts'
import type { Vindex, VindexValue } from '../vindex.ts'
import { unsignedBytes } from './integers.ts'
import { onlyParams, onlyValue, type VindexSpec } from './params.ts'

const nothing: Uint8Array = new Uint8Array(0)

export function createNumeric(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  return {
    name: spec.name,
    type: spec.type,
    cost: 0,
    unique: true,
    columns: 1,
    map: (values) => mapNumeric(onlyValue(spec, values)),
    mapMany: (type, column) => column.map((bytes) => (bytes === null || type === 'NULL' ? null : unsignedBytes(bytes))),
    mapBetween(low, high) {
      const start = low === null ? nothing : mapNumeric(low)
      const top = high === null ? null : mapNumeric(high)
      if (start === null || (high !== null && top === null)) return null
      if (top === null) return keyRange(start, nothing)
      if (compareKeyspaceIds(start, top) > 0) return null
      return keyRange(start, afterPrefix(top) ?? nothing)
    },
  }
}

function mapNumeric(value: VindexValue): Buffer | null {
  return value.type === 'NULL' ? null : unsignedBytes(value.bytes)
}

const reversedBytes = Uint8Array.from({ length: 256 }, (_, byte) => {
  let reversed = 0
  for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) reversed |= 0x80 >> bit
  return reversed
})

export function createReverseBits(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map: (values) => reverseBits(mapNumeric(onlyValue(spec, values))),
    mapMany: (type, column) => column.map((bytes) => (bytes === null || type === 'NULL' ? null : reverseBits(unsignedBytes(bytes)))),
    unmap(id) {
      if (id.length !== 8) throw keyspaceErrors.notReversible({ name: spec.name, hex: toHex(id) })
      const number = reverseBits(Buffer.from(id)) as Buffer
      return { type: 'UINT64', bytes: Buffer.from(number.readBigUInt64BE(0).toString()) }
    },
  }
}

/** Reverses 64 bits in place. */
function reverseBits(bytes: Buffer | null): Buffer | null {
  if (bytes === null) return null
  bytes.reverse()
  for (let i = 0; i < bytes.length; i++) bytes[i] = reversedBytes[bytes[i] as number] as number
  return bytes
}
