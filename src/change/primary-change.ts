/**
 * Changes of primaries that did not come to their end: the controller died, or a server did not answer. What a change is about to do is recorded before it is
 * done (`primary-changes/…`), so whoever leads settles it without being asked (promise 9): by the shard's record alone. It names the new
 * server: that one is opened and replicates no more. It names the old one still: that is opened again, the replica gets its replication and its readers
 * back, and the streams that were stopped run. Either way gates let go of the writes that they held.
 *
 * In the keyspace's turn, so never beside a change that is under way; on servers through claims, so a controller that was paused in the middle and wakes
 * up has lost its sessions, and its commits their condition.
 */
import { openForReads, openServer } from '../switch/fence.ts'
import type { ClaimPool } from '../switch/claim.ts'
import type { KeyspaceTurns } from '../switch/turns.ts'
import { keys } from '../topology/keys.ts'
import type { PrimaryChange, RoutingRecord, ShardRecord, StreamRecord } from '../topology/records.ts'
import { componentOfShard, servesPrimary } from '../topology/routing.ts'
import type { Condition, Store } from '../topology/store.ts'
import { listRecords, put, readRecord, unchanged, updateRecord } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { whileLeading } from '../workflow/while-leading.ts'
import { endReplication, startReplicating } from './replication.ts'
import type { World } from './servers.ts'
import { letWritesGo } from './write-hold.ts'

type Needs = Pick<World, 'store' | 'clock' | 'log'>

export async function streamsOf(store: Store, shardUid: string): Promise<Versioned<StreamRecord>[]> {
  const all = await listRecords<StreamRecord>(store, keys.streams)
  return all.filter(({ value }) => value.source.uid === shardUid || value.targets.some((target) => target.uid === shardUid))
}

/** Records it, with the streams that run now and those that an attempt before stopped. `change` is null when it could not be recorded. */
export async function beginPrimaryChange(
  store: Store,
  fence: Condition,
  shardUid: string,
  begun: PrimaryChange,
): Promise<{ change: PrimaryChange | null; before: PrimaryChange | null }> {
  const key = keys.primaryChange(begun.keyspace, begun.shard)
  const before = await readRecord<PrimaryChange>(store, key)
  const running = (await streamsOf(store, shardUid)).filter(({ value }) => value.wanted === 'running').map(({ value }) => value.uid)
  const earlier = before !== null && before.value.from === begun.from ? before.value : null
  const change: PrimaryChange = {
    ...begun,
    ran: [...new Set([...(earlier?.ran ?? []), ...running])],
    // What an attempt before has closed is still to be opened.
    oldIsDown: begun.oldIsDown && earlier?.oldIsDown !== false,
    taken: earlier?.taken === true && earlier.to === begun.to,
  }
  const result = await store.commit([{ key, version: before?.version ?? 0 }, fence], [put(key, change)])
  return { change: result.ok ? change : null, before: before?.value ?? null }
}

/** Repeatable. Leaves it for later while the shard is being switched. */
export async function settlePrimaryChange(
  { store, clock, log }: Needs,
  pool: ClaimPool,
  leadership: Leadership,
  key: string,
): Promise<void> {
  const { fence } = leadership
  const change = await readRecord<PrimaryChange>(store, key)
  if (change === null) return
  const { keyspace, shard: name, from, to, oldIsDown, ran, taken } = change.value
  const [shard, routing] = [
    await readRecord<ShardRecord>(store, keys.shard(keyspace, name)),
    await readRecord<RoutingRecord>(store, keys.routing(keyspace)),
  ]
  if (shard !== null && routing !== null) {
    const component = componentOfShard(routing.value, name)
    if (component !== undefined && component.phase !== 'stable') return
    const serves = servesPrimary(routing.value, name)
    if (shard.value.serverId === to) {
      if (serves) await pool.run(to, (server) => openServer(server))
      await pool.run(to, ({ connection }) => endReplication(connection))
    } else if (shard.value.serverId === from) {
      if (serves && !oldIsDown) await pool.run(from, (server) => openServer(server))
      if (taken) await giveBack({ store, clock, log }, pool, to)
      await startStreams(store, fence, shard.value.uid, new Set(ran))
    }
    await letWritesGo({ store, clock, leadership }, keyspace, name)
  }
  await store.commit([unchanged(change), fence], [{ key, value: undefined }])
}

/** A replica stays one. One that cannot be reached must not keep the primary's streams from running: it is told. */
export async function giveBack({ log }: Needs, pool: ClaimPool, serverId: string): Promise<void> {
  try {
    await pool.run(serverId, async (server) => {
      await openForReads(server)
      await startReplicating(server.connection)
    })
    await pool.release(serverId)
  } catch (error) {
    log.warn({ server: serverId, error: String(error) }, 'a replica could not be given back its replication: START REPLICA there')
  }
}

async function startStreams(store: Store, fence: Condition, shardUid: string, ran: ReadonlySet<string>): Promise<void> {
  for (const stream of (await streamsOf(store, shardUid)).filter((one) => ran.has(one.value.uid)))
    await updateRecord<StreamRecord>(
      store,
      stream.key,
      (now) => (now === null || now.wanted === 'running' ? null : { ...now, wanted: 'running', generation: now.generation + 1 }),
      [fence],
    )
}

/** While this leader leads: what an earlier one left, and what could not be settled at once. */
export async function watchPrimaryChanges(
  world: Needs,
  pool: ClaimPool,
  turns: Pick<KeyspaceTurns, 'idle' | 'run'>,
  leadership: Leadership,
  everyMs: number,
): Promise<void> {
  const { store, clock, log } = world
  const failing = 'changes of primaries could not be looked at; trying again'
  await whileLeading({ clock, log, leadership, everyMs, begins: 'at once', failing }, async () => {
    for (const { key, value } of await listRecords<PrimaryChange>(store, keys.primaryChanges)) {
      if (!turns.idle(value.keyspace)) continue
      await turns
        .run(value.keyspace, () => settlePrimaryChange(world, pool, leadership, key))
        .catch((error: unknown) => {
          if (!leadership.signal.aborted)
            log.warn({ key, error: String(error) }, 'a change of a primary cannot be settled yet; trying again')
        })
    }
  })
}
