import type { FleetRecord } from '../topology/dualwrite-records.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, readRecord } from '../topology/typed.ts'

/** `opening`: other shards are to serve, and their servers are still closed. */
export type BuiltOn = { readonly text: string; readonly opening: boolean }

/**
 * Everything a session cannot follow while it runs, as one text. Which server a shard is on belongs to it: a session's lanes connect to the one that they began with,
 * and when another has become the primary they would ask the given-up one for ever.
 */
export async function builtOn(store: Store, fleet: FleetRecord): Promise<BuiltOn> {
  const name = branchKeyspace(fleet.keyspace, fleet.branch)
  const [routing, shards] = [
    await readRecord<RoutingRecord>(store, keys.routing(name)),
    await listRecords<ShardRecord>(store, keys.shards(name)),
  ]
  const components = routing?.value.components ?? []
  const serving = components.map(({ serving: { primary }, epoch }) => ({ primary, epoch }))
  const names = new Set(components.flatMap((component) => component.serving.primary))
  const places = shards.filter(({ value }) => names.has(value.name)).map(({ value: { uid, serverId, schema } }) => [uid, serverId, schema])
  const {
    wanted: _wanted,
    holdAt: _holdAt,
    paused: _paused,
    purgeHeldUntilMs: _purge,
    floorHeldUntilMs: _floor,
    // Lanes ask for it before each write; a session that ended for it would be measured too (L6).
    heldShard: _shard,
    consumers: _consumers,
    ...rest
  } = fleet
  return { text: JSON.stringify([rest, serving, places]), opening: components.some(({ phase }) => phase === 'opening') }
}
