/**
 * `hash`: DES of the 64-bit key under a key of zeros. A bijection of 64-bit integers: no two keys share an id, and the
 * key can be had back. OpenSSL 3 has no single DES any more; triple DES with three equal keys is the same function.
 *
 * One cipher lives for the whole process: in ECB mode without padding it keeps nothing between blocks, and making one costs
 * 22 µs. Measured (Node 24, parsing included): 0.45 µs a key in batches of 256 and more, 1.4 µs one by one.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { assert } from '../../base/assert.ts'
import { keyspaceErrors } from '../errors.ts'
import { toHex, type KeyspaceId } from '../keyspace-id.ts'
import type { Vindex, VindexValueType } from '../vindex.ts'
import { isSigned, writeInteger } from './integers.ts'
import { onlyParams, onlyValue, type VindexSpec } from './params.ts'

const zeroKey = Buffer.alloc(24)
const encrypt = createCipheriv('des-ede3-ecb', zeroKey, null).setAutoPadding(false)
const decrypt = createDecipheriv('des-ede3-ecb', zeroKey, null).setAutoPadding(false)
const block = Buffer.alloc(8)

/** The `hash` of an integer in decimal text, or `null` when it is none. */
export function hashInteger(text: Uint8Array, signed: boolean): KeyspaceId | null {
  return writeInteger(text, signed, block, 0) ? encryptBlocks(block) : null
}

function encryptBlocks(blocks: Buffer): Buffer {
  const out = encrypt.update(blocks)
  assert(out.length === blocks.length, 'the cipher kept blocks back')
  return out
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
    unmap(id) {
      if (id.length !== 8) throw keyspaceErrors.notReversible({ name: spec.name, hex: toHex(id) })
      return { type: 'UINT64', bytes: Buffer.from(decrypt.update(id).readBigUInt64BE(0).toString()) }
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
  if (used === 0) return ids
  const out = encryptBlocks(blocks.subarray(0, used))
  let at = 0
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === null) continue
    ids[i] = new Uint8Array(out.buffer, out.byteOffset + at, 8)
    at += 8
  }
  return ids
}
