import { keyspaceErrors } from '../errors.ts'
import type { VindexFiles, VindexParams, VindexValue } from '../vindex.ts'

/** What a vindex is made from. */
export type VindexSpec = { readonly name: string; readonly type: string; readonly params: VindexParams; readonly files: VindexFiles | null }

export function badParam(spec: VindexSpec, param: string, reason: string, cause?: unknown): Error {
  return keyspaceErrors.badVindexParam({ name: spec.name, type: spec.type, param, reason }, cause)
}

/** Refuses parameters that this vindex does not read: a misspelt one must not be dropped in silence. */
export function onlyParams(spec: VindexSpec, known: readonly string[]): void {
  for (const param of Object.keys(spec.params)) {
    if (!known.includes(param))
      throw badParam(spec, param, known.length === 0 ? 'is unknown (it takes none)' : `is unknown (it takes ${known.join(', ')})`)
  }
}

export function readParamFile(spec: VindexSpec, param: string): string {
  const path = spec.params[param]
  if (path === undefined || path === '') throw badParam(spec, param, 'is missing')
  if (spec.files === null) throw badParam(spec, param, `names a file (${path}), which is not read here`)
  try {
    return spec.files.readText(path)
  } catch (error) {
    throw badParam(spec, param, `names a file that can not be read: ${path}`, error)
  }
}

/** A JSON object of unsigned 64-bit integers, read exactly: `JSON.parse` alone would round those above 2^53. */
export function parseUint64Map(spec: VindexSpec, param: string, text: string): Map<string, bigint> {
  type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown
  const exact: Reviver = (_, value, context) =>
    typeof value === 'number' && /^\d+$/.test(context.source ?? '') ? BigInt(context.source as string) : value
  let parsed: unknown
  try {
    parsed = JSON.parse(text, exact as Parameters<typeof JSON.parse>[1])
  } catch (error) {
    throw badParam(spec, param, 'is not JSON', error)
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw badParam(spec, param, 'is not a JSON object')
  return new Map(
    Object.entries(parsed).map(([key, value]) => {
      if (typeof value !== 'bigint' || value >= 1n << 64n)
        throw badParam(spec, param, `maps ${JSON.stringify(key)} to something else than an unsigned 64-bit integer`)
      return [key, value]
    }),
  )
}

export function requireColumns(spec: VindexSpec, need: number, values: readonly VindexValue[]): void {
  if (values.length !== need) throw keyspaceErrors.wrongColumnCount({ name: spec.name, type: spec.type, need, got: values.length })
}

/** The one value of a single-column vindex. */
export function onlyValue(spec: VindexSpec, values: readonly VindexValue[]): VindexValue {
  const value = values[0]
  if (value === undefined || values.length !== 1) {
    throw keyspaceErrors.wrongColumnCount({ name: spec.name, type: spec.type, need: 1, got: values.length })
  }
  return value
}

const nothing: Uint8Array = new Uint8Array(0)

/** The bytes that text-like vindexes work on: NULL counts as the empty string. */
export function bytesOf(value: VindexValue): Uint8Array {
  return value.type === 'NULL' ? nothing : value.bytes
}
