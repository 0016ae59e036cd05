/**
 * A tenant by what the application calls it: its shard key's value, mapped as its rows are. A keyspace's tables may be sharded by different
 * vindexes; then one value has several keyspace ids, and moving one of them would move some of the tenant's tables only: refused.
 */
import { toHex } from '../keyspace/keyspace-id.ts'
import type { VindexValue } from '../keyspace/vindex.ts'
import { resolveVschema, type ResolvedVschema } from '../keyspace/vschema-resolve.ts'
import { readVschema } from '../keyspace/vschema.ts'
import { keys } from '../topology/keys.ts'
import type { VSchemaRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { readRecord } from '../topology/typed.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'

/** The tenant's keyspace id, in hex. SW-DUALWRITE-020 when the value has none, or several. */
export async function tenantKeyspaceId(store: Store, keyspace: string, tenant: string): Promise<string> {
  const record = await readRecord<VSchemaRecord>(store, keys.vschema(keyspace))
  const ids = keyspaceIdsOf(resolveVschema(readVschema(record?.value.vschema ?? {})), tenant)
  const [id, ...others] = ids.keys()
  if (id === undefined || others.length > 0) {
    const told = [...ids].map(([hex, tables]) => `${hex} (${tables.join(', ')})`).join('; ')
    throw dualwriteErrors.tenantUnclear({ tenant, keyspace, ids: ids.size === 0 ? 'none' : told })
  }
  return id
}

/** Tables by the keyspace id, in hex, that they give a shard key of one column with this value. */
export function keyspaceIdsOf(vschema: ResolvedVschema, tenant: string): Map<string, string[]> {
  // An integer's text and a string of the same digits map alike, but where a vindex takes integers only.
  const value: VindexValue = { type: /^-?\d{1,20}$/.test(tenant) ? 'INT64' : 'VARCHAR', bytes: Buffer.from(tenant) }
  const ids = new Map<string, string[]>()
  for (const table of vschema.tables.values()) {
    if (table.kind !== 'sharded' || table.primaryVindex.columns.length !== 1) continue
    const id = table.primaryVindex.vindex.map([value])
    if (id === null) continue
    const hex = toHex(id)
    ids.set(hex, [...(ids.get(hex) ?? []), table.name])
  }
  return ids
}
