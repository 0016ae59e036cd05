/**
 * The family of vindexes whose ids stand in a table. They are known here (their parameters are checked, their cost and uniqueness
 * known) but can't be computed: the gate reads and maintains their tables.
 */
import { badParam, onlyParams, type VindexSpec } from './params.ts'

export type LookupDefinition = {
  readonly kind: 'lookup'
  readonly name: string
  readonly type: string
  readonly cost: number
  readonly unique: boolean
  readonly params: Readonly<Record<string, string>>
  /** Table, columns it is found by, column that holds the keyspace id. */
  readonly table: string
  readonly from: readonly string[]
  readonly to: string
  /** The vindex whose ids the table holds in another form: `hash` for `lookup_hash` (it holds the number, not the id). */
  readonly idForm: 'keyspace id' | 'hash'
}

const common = ['table', 'from', 'to', 'ignore_nulls', 'batch_lookup', 'read_lock', 'write_only']
const withAutocommit = [...common, 'autocommit', 'multi_shard_autocommit', 'no_verify']

const family: Readonly<Record<string, { unique: boolean; params: readonly string[]; idForm: LookupDefinition['idForm'] }>> = {
  lookup: { unique: false, params: withAutocommit, idForm: 'keyspace id' },
  lookup_unique: { unique: true, params: withAutocommit, idForm: 'keyspace id' },
  lookup_hash: { unique: false, params: withAutocommit, idForm: 'hash' },
  lookup_hash_unique: { unique: true, params: withAutocommit, idForm: 'hash' },
  lookup_unicodeloosemd5_hash: { unique: false, params: withAutocommit, idForm: 'hash' },
  lookup_unicodeloosemd5_hash_unique: { unique: true, params: withAutocommit, idForm: 'hash' },
  consistent_lookup: { unique: false, params: common, idForm: 'keyspace id' },
  consistent_lookup_unique: { unique: true, params: common, idForm: 'keyspace id' },
  lookup_cost: { unique: false, params: [...withAutocommit, 'cost'], idForm: 'keyspace id' },
}

export const lookupTypes: readonly string[] = Object.keys(family)

export function isLookupType(type: string): boolean {
  return Object.hasOwn(family, type)
}

/** Reads the definition of a lookup vindex. SW-KEYSPACE-011 for parameters that are missing or unknown. */
export function defineLookup(spec: VindexSpec): LookupDefinition {
  const member = family[spec.type]
  if (member === undefined) throw badParam(spec, 'type', 'is no lookup')
  onlyParams(spec, member.params)
  const need = (param: string): string => {
    const text = spec.params[param]
    if (text === undefined || text.trim() === '') throw badParam(spec, param, 'is missing')
    return text.trim()
  }
  const cost = spec.type === 'lookup_cost' ? Number(spec.params['cost'] ?? 5) : member.unique ? 10 : 20
  if (!Number.isInteger(cost)) throw badParam(spec, 'cost', 'must be a whole number')
  return {
    kind: 'lookup',
    name: spec.name,
    type: spec.type,
    cost,
    unique: member.unique,
    params: spec.params,
    table: need('table'),
    from: need('from')
      .split(',')
      .map((column) => column.trim()),
    to: need('to'),
    idForm: member.idForm,
  }
}
