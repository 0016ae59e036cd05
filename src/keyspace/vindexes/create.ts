import { keyspaceErrors } from '../errors.ts'
import { didYouMean } from '../did-you-mean.ts'
import type { Vindex, VindexFiles, VindexParams } from '../vindex.ts'
import { createBinary, createBinaryMd5, createNull } from './binary.ts'
import { createCfc } from './cfc.ts'
import { createHash } from './hash.ts'
import { isLookupType, lookupTypes } from './lookup.ts'
import { createMulticol } from './multicol.ts'
import { createNumeric, createReverseBits } from './numeric.ts'
import { createNumericStaticMap } from './numeric-static-map.ts'
import type { VindexSpec } from './params.ts'
import { createRegionExperimental, createRegionJson } from './region.ts'
import { createUnicodeLooseMd5, createUnicodeLooseXxhash } from './unicode-loose.ts'
import { createXxhashVindex } from './xxhash.ts'

const constructors: Readonly<Record<string, (spec: VindexSpec) => Vindex>> = {
  hash: createHash,
  xxhash: createXxhashVindex,
  binary: createBinary,
  binary_md5: createBinaryMd5,
  numeric: createNumeric,
  reverse_bits: createReverseBits,
  null: createNull,
  numeric_static_map: (spec) => createNumericStaticMap(spec, create),
  multicol: (spec) => createMulticol(spec, create),
  region_experimental: createRegionExperimental,
  region_json: createRegionJson,
  cfc: createCfc,
  unicode_loose_md5: createUnicodeLooseMd5,
  unicode_loose_xxhash: createUnicodeLooseXxhash,
}

export const functionalVindexTypes: readonly string[] = Object.keys(constructors)

export function isVindexType(type: string): boolean {
  return Object.hasOwn(constructors, type) || isLookupType(type)
}

/**
 * A functional vindex of Vitess's `type`. `files` reads the files that `json_path` and `region_map` name; without it such
 * parameters are refused. SW-KEYSPACE-010 (type), 011 (parameters), 012 (a lookup: it has no function).
 */
export function createVindex(type: string, name: string, params: VindexParams = {}, files: VindexFiles | null = null): Vindex {
  return create({ name, type, params, files })
}

function create(spec: VindexSpec): Vindex {
  const { name, type } = spec
  const make = Object.hasOwn(constructors, type) ? constructors[type] : undefined
  if (make !== undefined) return make(spec)
  if (isLookupType(type)) throw keyspaceErrors.lookupNotFunctional({ name, type })
  const known = [...functionalVindexTypes, ...lookupTypes]
  throw keyspaceErrors.unknownVindexType({ name, type: JSON.stringify(type), hint: didYouMean(type, known), known: known.join(', ') })
}
