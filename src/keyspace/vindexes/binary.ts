/** `binary`: the value's bytes are the keyspace id. `binary_md5`: their MD5. `null`: one zero byte for everything. */
import { hash } from 'node:crypto'
import { keyRange, wholeKeyRange } from '../key-range.ts'
import { compareKeyspaceIds, normaliseKeyspaceId, type KeyspaceId } from '../keyspace-id.ts'
import type { Vindex } from '../vindex.ts'
import { bytesOf, onlyParams, onlyValue, type VindexSpec } from './params.ts'

const nothing: Uint8Array = new Uint8Array(0)

export function md5(bytes: Uint8Array): Buffer {
  return hash('md5', bytes, 'buffer')
}

export function createBinary(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  return {
    name: spec.name,
    type: spec.type,
    cost: 0,
    unique: true,
    columns: 1,
    map: (values) => bytesOf(onlyValue(spec, values)),
    mapMany: (_, column) => column.map((bytes) => bytes ?? nothing),
    mapBetween(low, high) {
      const start = low === null ? nothing : bytesOf(low)
      if (high === null) return keyRange(start, nothing)
      const top = bytesOf(high)
      if (compareKeyspaceIds(start, top) > 0) return null
      // No id lies directly above another; one more byte of 1 is above `high` however many zeros follow it.
      return keyRange(start, Buffer.concat([normaliseKeyspaceId(top), Buffer.of(1)]))
    },
  }
}

export function createBinaryMd5(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map: (values) => md5(bytesOf(onlyValue(spec, values))),
    mapMany: (_, column) => column.map((bytes) => md5(bytes ?? nothing)),
  }
}

export function createNull(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  const zero: KeyspaceId = Buffer.of(0)
  return {
    name: spec.name,
    type: spec.type,
    cost: 100,
    unique: true,
    columns: 1,
    map: (values) => (onlyValue(spec, values), zero),
    mapMany: (_, column) => column.map(() => zero),
    mapBetween: () => wholeKeyRange,
  }
}
