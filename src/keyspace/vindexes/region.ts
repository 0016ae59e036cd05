/**
 * A region's number in front of the hash of an id. `region_experimental` takes (region number, id) and can route by the
 * region alone; `region_json` takes (id, country text) and finds the number in a file.
 */
import type { KeyspaceId } from '../keyspace-id.ts'
import type { Vindex, VindexValue } from '../vindex.ts'
import { hashInteger } from './hash.ts'
import { unsignedBytes } from './integers.ts'
import { prefixRange } from './multicol.ts'
import { badParam, onlyParams, parseUint64Map, readParamFile, requireColumns, type VindexSpec } from './params.ts'

function regionBytes(spec: VindexSpec): 1 | 2 {
  const text = spec.params['region_bytes']
  if (text !== '1' && text !== '2') throw badParam(spec, 'region_bytes', 'must be 1 or 2')
  return text === '1' ? 1 : 2
}

/** The last one or two bytes of the region's number; `null` when there is no number. */
function regionPrefix(number: Buffer | null, bytes: 1 | 2): Buffer | null {
  return number === null ? null : number.subarray(8 - bytes)
}

function join(prefix: Uint8Array | null, id: VindexValue): KeyspaceId | null {
  const hashed = prefix === null || id.type === 'NULL' ? null : hashInteger(id.bytes, false)
  return prefix === null || hashed === null ? null : Buffer.concat([prefix, hashed])
}

function numberOf(value: VindexValue): Buffer | null {
  return value.type === 'NULL' ? null : unsignedBytes(value.bytes)
}

export function createRegionExperimental(spec: VindexSpec): Vindex {
  onlyParams(spec, ['region_bytes'])
  const bytes = regionBytes(spec)
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 2,
    map(values) {
      requireColumns(spec, 2, values)
      const [region, id] = values as readonly [VindexValue, VindexValue]
      return join(regionPrefix(numberOf(region), bytes), id)
    },
    mapPrefix(values) {
      requireColumns(spec, 1, values)
      const prefix = regionPrefix(numberOf(values[0] as VindexValue), bytes)
      return prefix === null ? null : prefixRange(prefix)
    },
  }
}

export function createRegionJson(spec: VindexSpec): Vindex {
  onlyParams(spec, ['region_bytes', 'region_map'])
  const bytes = regionBytes(spec)
  const regions = new Map<string, Buffer>()
  for (const [country, region] of parseUint64Map(spec, 'region_map', readParamFile(spec, 'region_map'))) {
    const number = Buffer.alloc(8)
    number.writeBigUInt64BE(region)
    regions.set(country, number.subarray(8 - bytes))
  }
  return {
    name: spec.name,
    type: spec.type,
    cost: 1,
    unique: true,
    columns: 2,
    map(values) {
      requireColumns(spec, 2, values)
      const [id, country] = values as readonly [VindexValue, VindexValue]
      const name = country.type === 'NULL' ? '' : Buffer.from(country.bytes).toString()
      return join(regions.get(name) ?? null, id)
    },
  }
}
