/**
 * `cfc` (concatenated fixed-width composite): a key made of components of fixed width. Without a hash the key is the
 * id; with one each component is hashed by itself and keeps at most its own width, so that rows that share
 * leading components stand together.
 */
import { keyspaceErrors } from '../errors.ts'
import type { KeyRange } from '../key-range.ts'
import type { KeyspaceId } from '../keyspace-id.ts'
import type { Vindex } from '../vindex.ts'
import { md5 } from './binary.ts'
import { prefixRange } from './multicol.ts'
import { badParam, bytesOf, onlyParams, onlyValue, type VindexSpec } from './params.ts'
import { xxh64 } from './xxhash.ts'

export interface CfcVindex extends Vindex {
  /** Where all keys that begin with `prefix` stand (`LIKE 'prefix%'`); a component that is not whole counts for nothing. */
  mapKeyPrefix(prefix: Uint8Array): KeyRange
}

export function createCfc(spec: VindexSpec): CfcVindex {
  onlyParams(spec, ['hash', 'offsets'])
  const { hash: hashName } = spec.params
  const digest = hashName === undefined || hashName === '' ? null : hashName === 'md5' ? md5 : hashName === 'xxhash64' ? xxh64 : undefined
  if (digest === undefined) throw badParam(spec, 'hash', 'must be md5 or xxhash64')
  const offsets = digest === null ? [] : readOffsets(spec)
  const last = offsets.at(-1) ?? 0

  const join = (key: Uint8Array, isPrefix: boolean): KeyspaceId => {
    if (digest === null) return key
    const parts: Uint8Array[] = []
    let begin = 0
    for (const end of offsets) {
      if (key.length < end) return Buffer.concat(parts)
      parts.push(part(digest, key.subarray(begin, end)))
      begin = end
    }
    // What follows the last offset is one more component, of whatever length the key gives it.
    if (key.length > begin && !isPrefix) parts.push(part(digest, key.subarray(begin)))
    return Buffer.concat(parts)
  }
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map(values) {
      const key = bytesOf(onlyValue(spec, values))
      if (key.length < last) throw keyspaceErrors.keyTooShort({ name: spec.name, need: last, got: key.length })
      return join(key, false)
    },
    mapKeyPrefix: (prefix) => prefixRange(join(prefix, true)),
  }
}

function part(digest: (bytes: Uint8Array) => Uint8Array, component: Uint8Array): Uint8Array {
  return digest(component).subarray(0, component.length)
}

function readOffsets(spec: VindexSpec): number[] {
  const text = spec.params['offsets']
  if (text === undefined || text === '') throw badParam(spec, 'offsets', 'is missing; a hash needs it')
  let offsets: unknown
  try {
    offsets = JSON.parse(text)
  } catch (error) {
    throw badParam(spec, 'offsets', 'is not JSON', error)
  }
  const rising = (values: readonly unknown[]): values is number[] =>
    values.every((value, i) => Number.isInteger(value) && (value as number) > (i === 0 ? 0 : (values[i - 1] as number)))
  if (!Array.isArray(offsets) || offsets.length === 0 || !rising(offsets))
    throw badParam(spec, 'offsets', 'must be rising positive integers in brackets, such as [2,4]')
  return offsets
}
