import { printVschema, readVschema } from '../keyspace/vschema.ts'
import type { Vschema } from '../keyspace/vschema.ts'
import { resolveVschema } from '../keyspace/vschema-resolve.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingRecord, VSchemaRecord } from '../topology/records.ts'
import type { Json } from '../topology/store.ts'
import { put, readRecord } from '../topology/typed.ts'
import { openRunOn } from './dualwrite-record.ts'
import { changeErrors } from './errors.ts'
import type { World } from './servers.ts'

/** Checks a vschema whole and replaces the keyspace's by it; gates see it by their watch. Errors: SW-KEYSPACE-nnn, SW-CHANGE-038, -039. */
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
  const open = await openRunOn(world.store, keyspace)
  if (open !== null) throw changeErrors.vschemaFrozen({ keyspace, workflow: open.name })
  const printed = JSON.parse(printVschema(vschema)) as Record<string, unknown>
  const routing = await readRecord<RoutingRecord>(world.store, keys.routing(keyspace))
  if (routing !== null) requireChangeable(keyspace, routing.value, readVschema(current?.value.vschema ?? {}), vschema)
  if (dryRun) return printed
  const result = await world.store.commit(
    [
      { key: record.key, version: record.version },
      // With what the refusal was judged by: a workflow that claims shards in between makes this commit fail.
      { key: keys.routing(keyspace), version: routing?.version ?? 0 },
      { key: keys.vschema(keyspace), version: current?.version ?? 0 },
    ],
    [
      { key: keys.vschema(keyspace), value: { v: 1, vschema: printed } as Json },
      put<KeyspaceRecord>(record.key, { ...record.value, sharded: resolved.sharded }),
    ],
  )
  return result.ok ? printed : changeVSchema(world, keyspace, change, dryRun)
}

/**
 * Where rows stand must be where everybody looks for them. While a workflow holds shards its streams route by the vschema that it was planned
 * with, so nothing may change; over several shards a table that is there may not change what places its rows: MoveTables does that.
 */
function requireChangeable(keyspace: string, routing: RoutingRecord, before: Vschema, after: Vschema): void {
  const attached = routing.components.find((component) => component.workflow !== null)
  if (attached !== undefined) {
    if (printVschema(before) !== printVschema(after)) throw changeErrors.vschemaFrozen({ keyspace, workflow: attached.workflow })
    return
  }
  if (routing.components.flatMap((component) => component.serving.primary).length < 2) return
  for (const table of Object.keys(before.tables ?? {})) {
    if (placementOf(before, table) !== placementOf(after, table)) throw changeErrors.placementChanged({ keyspace, table })
  }
}

/** What decides on which shard a table's rows stand, as comparable text. */
function placementOf(vschema: Vschema, table: string): string {
  const definition = vschema.tables?.[table]
  const primary = definition?.column_vindexes?.[0]
  const vindex = primary === undefined ? undefined : vschema.vindexes?.[primary.name]
  const columns = primary?.columns ?? (primary?.column === undefined ? [] : [primary.column])
  const named = columns.map((column) => column.toLowerCase())
  return JSON.stringify([
    definition === undefined,
    definition?.type ?? '',
    definition?.pinned ?? null,
    named,
    vindex?.type ?? null,
    vindex?.params ?? {},
  ])
}
