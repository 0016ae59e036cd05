/**
 * `hash`: DES of the 64-bit key under a key of zeros. A bijection of 64-bit integers: no two keys share an id, and the
 * key can be had back (by the same function: `des-zero.ts`). Measured (Node 24, parsing and an id of its own included): 0.3 µs a key.
 */
import { keyspaceErrors } from '../errors.ts'
import { toHex, type KeyspaceId } from '../keyspace-id.ts'
import type { Vindex, VindexValueType } from '../vindex.ts'
import { desZeroKey } from './des-zero.ts'
import { isSigned, writeInteger } from './integers.ts'
import { onlyParams, onlyValue, type VindexSpec } from './params.ts'

/** The `hash` of an integer in decimal text, or `null` when it is none. */
export function hashInteger(text: Uint8Array, signed: boolean): KeyspaceId | null {
  const block = Buffer.allocUnsafe(8)
  if (!writeInteger(text, signed, block, 0)) return null
  desZeroKey(block)
  return block
}

export function createHash(spec: VindexSpec): Vindex {
  onlyParams(spec, [])
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map(values) {
      const { type, bytes } = onlyValue(spec, values)
      return type === 'NULL' ? null : hashInteger(bytes, isSigned(type))
    },
    mapMany(type, column) {
      return mapMany(type, column)
    },
    mapTexts({ data, spans, first, step }, type, count) {
      if (type === 'NULL') return null
      const signed = isSigned(type)
      const ids = Buffer.allocUnsafe(count * 8)
      for (let i = 0, at = first; i < count; i++, at += step) {
        const start = spans[at] as number
        if (start < 0 || !writeInteger(data, signed, ids, i * 8, start, spans[at + 1] as number)) return null
      }
      desZeroKey(ids)
      return ids
    },
    unmap(id) {
      if (id.length !== 8) throw keyspaceErrors.notReversible({ name: spec.name, hex: toHex(id) })
      const block = Buffer.from(id)
      desZeroKey(block)
      return { type: 'UINT64', bytes: Buffer.from(block.readBigUInt64BE(0).toString()) }
    },
  }
}

function mapMany(type: VindexValueType, column: readonly (Uint8Array | null)[]): (KeyspaceId | null)[] {
  const signed = isSigned(type)
  const blocks = Buffer.allocUnsafe(column.length * 8)
  const ids = new Array<KeyspaceId | null>(column.length)
  let used = 0
  for (let i = 0; i < column.length; i++) {
    const text = column[i]
    const at = text === null || text === undefined || type === 'NULL' || !writeInteger(text, signed, blocks, used) ? -1 : used
    if (at === -1) ids[i] = null
    else used += 8
  }
  const out = blocks.subarray(0, used)
  desZeroKey(out)
  let at = 0
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === null) continue
    ids[i] = new Uint8Array(out.buffer, out.byteOffset + at, 8)
    at += 8
  }
  return ids
}
