/**
 * `unicode_loose_md5` and `unicode_loose_xxhash`: a hash of text in which case, accents and trailing blanks don't count. Not
 * the collation of any server: strings that one of them calls equal may stand on different shards, and the other way round.
 */
import { isUtf8 } from 'node:buffer'
import { primaryWeights } from '../collation/primary-weights.ts'
import { collationTable } from '../collation/table.ts'
import { keyspaceErrors } from '../errors.ts'
import { toHex, type KeyspaceId } from '../keyspace-id.ts'
import type { Vindex } from '../vindex.ts'
import { md5 } from './binary.ts'
import { bytesOf, onlyParams, onlyValue, type VindexSpec } from './params.ts'
import { xxh64 } from './xxhash.ts'

const blank = 0x20
const nothing: Uint8Array = new Uint8Array(0)

export function createUnicodeLooseMd5(spec: VindexSpec): Vindex {
  return create(spec, md5)
}

export function createUnicodeLooseXxhash(spec: VindexSpec): Vindex {
  return create(spec, xxh64)
}

function create(spec: VindexSpec, digest: (bytes: Uint8Array) => Buffer): Vindex {
  onlyParams(spec, [])
  collationTable()
  const mapText = (text: Uint8Array): KeyspaceId => {
    if (!isUtf8(text)) throw keyspaceErrors.invalidUtf8({ name: spec.name, hex: toHex(text.subarray(0, 64)) })
    let length = text.length
    while (length > 0 && text[length - 1] === blank) length--
    return digest(primaryWeights(text.subarray(0, length)))
  }
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map: (values) => mapText(bytesOf(onlyValue(spec, values))),
    mapMany: (_, column) => column.map((text) => mapText(text ?? nothing)),
  }
}
