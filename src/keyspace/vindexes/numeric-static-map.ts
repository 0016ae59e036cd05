/**
 * `numeric_static_map`: a table of numbers, given as JSON or in a file, from key to keyspace id; what it lacks goes
 * to a fallback vindex, or stands for itself. Values that are no unsigned integer can't be routed, fallback or not.
 */
import type { KeyspaceId } from '../keyspace-id.ts'
import type { Vindex } from '../vindex.ts'
import { uint64Bytes, unsignedBytes } from './integers.ts'
import { badParam, onlyParams, onlyValue, parseUint64Map, readParamFile, type VindexSpec } from './params.ts'

export function createNumericStaticMap(spec: VindexSpec, createFallback: (spec: VindexSpec) => Vindex): Vindex {
  onlyParams(spec, ['json', 'json_path', 'fallback_type'])
  const { json, json_path: path, fallback_type: fallbackType } = spec.params
  if ((json === undefined) === (path === undefined)) throw badParam(spec, 'json', 'or json_path must be given, and not both')
  const table = new Map<bigint, KeyspaceId>()
  const param = json === undefined ? 'json_path' : 'json'
  for (const [key, value] of parseUint64Map(spec, param, json ?? readParamFile(spec, param))) {
    const number = unsignedBytes(Buffer.from(key))
    if (number === null) throw badParam(spec, param, `has the key ${JSON.stringify(key)}, which is no unsigned integer`)
    table.set(number.readBigUInt64BE(0), uint64Bytes(value))
  }
  const fallback =
    fallbackType === undefined ? null : createFallback({ name: `${spec.name}_hash`, type: fallbackType, params: {}, files: spec.files })
  if (fallback !== null && fallback.columns !== 1)
    throw badParam(spec, 'fallback_type', `names ${fallbackType}, which takes several columns`)
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 1,
    map(values) {
      const value = onlyValue(spec, values)
      const number = value.type === 'NULL' ? null : unsignedBytes(value.bytes)
      if (number === null) return null
      return table.get(number.readBigUInt64BE(0)) ?? (fallback === null ? number : fallback.map(values))
    },
  }
}
