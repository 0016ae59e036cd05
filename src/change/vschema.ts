import { printVschema, readVschema } from '../keyspace/vschema.ts'
import { resolveVschema } from '../keyspace/vschema-resolve.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, VSchemaRecord } from '../topology/records.ts'
import type { Json } from '../topology/store.ts'
import { put, readRecord } from '../topology/typed.ts'
import { changeErrors } from './errors.ts'
import type { World } from './servers.ts'

/** Checks a vschema whole and replaces the keyspace's by it; gates see it by their watch. Errors: SW-KEYSPACE-nnn. */
export async function applyVSchema(
  world: World,
  keyspace: string,
  given: Record<string, unknown>,
  dryRun: boolean,
): Promise<Record<string, unknown>> {
  return changeVSchema(world, keyspace, () => given, dryRun)
}

/** As `applyVSchema`, from what stands there: worked out again when somebody else changed it meanwhile. */
export async function changeVSchema(
  world: World,
  keyspace: string,
  change: (current: Record<string, unknown>) => Record<string, unknown>,
  dryRun = false,
): Promise<Record<string, unknown>> {
  const current = await readRecord<VSchemaRecord>(world.store, keys.vschema(keyspace))
  const vschema = readVschema(change((current?.value.vschema ?? {}) as Record<string, unknown>))
  const resolved = resolveVschema(vschema)
  const record = await readRecord<KeyspaceRecord>(world.store, keys.keyspace(keyspace))
  if (record === null) throw changeErrors.noKeyspace({ keyspace })
  const printed = JSON.parse(printVschema(vschema)) as Record<string, unknown>
  if (dryRun) return printed
  const result = await world.store.commit(
    [
      { key: record.key, version: record.version },
      { key: keys.vschema(keyspace), version: current?.version ?? 0 },
    ],
    [
      { key: keys.vschema(keyspace), value: { v: 1, vschema: printed } as Json },
      put<KeyspaceRecord>(record.key, { ...record.value, sharded: resolved.sharded }),
    ],
  )
  return result.ok ? printed : changeVSchema(world, keyspace, change, dryRun)
}
