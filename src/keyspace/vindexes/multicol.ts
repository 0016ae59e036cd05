/**
 * `multicol`: each column by a vindex of its own, of each result the first bytes, one after the other: at most 8 in all.
 * A result shorter than its share is filled with zeros when another column follows.
 */
import { isSwError } from '../../base/errors.ts'
import { keyRange, wholeKeyRange, type KeyRange } from '../key-range.ts'
import { afterPrefix, type KeyspaceId } from '../keyspace-id.ts'
import type { Vindex, VindexValue } from '../vindex.ts'
import { badParam, requireColumns, type VindexSpec } from './params.ts'

const idBytes = 8
const nothing: Uint8Array = new Uint8Array(0)

/** The range of all ids that begin with `prefix`. */
export function prefixRange(prefix: Uint8Array): KeyRange {
  return prefix.length === 0 ? wholeKeyRange : keyRange(prefix, afterPrefix(prefix) ?? nothing)
}

export function createMulticol(spec: VindexSpec, createColumn: (spec: VindexSpec) => Vindex): Vindex {
  const { column_count: countText, column_bytes: bytesText, column_vindex: vindexText, ...columnParams } = spec.params
  const count = Number(countText)
  if (countText === undefined || !/^\d+$/.test(countText) || count < 1 || count > 8)
    throw badParam(spec, 'column_count', 'must be a number from 1 to 8')
  const shares = columnShares(spec, count, bytesText)
  const types = (vindexText ?? '').split(',').map((type) => type.trim())
  if (types.length > count) throw badParam(spec, 'column_vindex', `names ${types.length} vindexes for ${count} columns`)
  const vindexes = shares.map((_, i) => {
    const type = types[i] || 'hash'
    const vindex = createColumn({ name: type, type, params: columnParams, files: spec.files })
    if (vindex.columns !== 1 || type === 'cfc' || type === 'null')
      throw badParam(spec, 'column_vindex', `names ${type}, which is no plain function of one column`)
    return vindex
  })

  const join = (values: readonly VindexValue[]): KeyspaceId | null => {
    const id = Buffer.alloc(idBytes)
    let begin = 0
    let length = 0
    for (const [i, value] of values.entries()) {
      const part = mapOrNone(vindexes[i] as Vindex, value)
      if (part === null) return null
      const share = shares[i] as number
      id.set(part.subarray(0, share), begin)
      length = begin + Math.min(part.length, share)
      begin += share
    }
    return id.subarray(0, length)
  }
  return {
    name: spec.name,
    type: spec.type,
    cost: vindexes.reduce((sum, vindex) => sum + vindex.cost, 0),
    unique: true,
    columns: count,
    map(values) {
      requireColumns(spec, count, values)
      return join(values)
    },
    mapPrefix(values) {
      const prefix = join(values.slice(0, count))
      return prefix === null ? null : prefixRange(prefix)
    },
  }
}

/** A column that its vindex refuses makes the row unroutable here, as in Vitess; it is no error of the statement. */
function mapOrNone(vindex: Vindex, value: VindexValue): KeyspaceId | null {
  try {
    return vindex.map([value])
  } catch (error) {
    if (isSwError(error)) return null
    throw error
  }
}

/** How many bytes each column gets: those given, and the others an even part of what is left, rounded up from the left. */
function columnShares(spec: VindexSpec, count: number, text: string | undefined): number[] {
  const given = text === undefined ? [] : text.split(',')
  if (given.length > count) throw badParam(spec, 'column_bytes', `gives ${given.length} numbers for ${count} columns`)
  const shares = Array.from({ length: count }, (_, i) => {
    const share = given[i] ?? ''
    if (share === '') return null
    if (!/^\d+$/.test(share)) throw badParam(spec, 'column_bytes', `has ${JSON.stringify(share)}, which is no number`)
    return Number(share)
  })
  let left = idBytes - shares.reduce<number>((sum, share) => sum + (share ?? 0), 0)
  let open = shares.filter((share) => share === null).length
  if (open > left) throw badParam(spec, 'column_bytes', `leaves no byte for some column (${idBytes} in all)`)
  return shares.map((share) => {
    if (share !== null) return share
    const part = Math.ceil(left / open)
    left -= part
    open--
    return part
  })
}
