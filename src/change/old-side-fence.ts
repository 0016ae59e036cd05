/**
 * The old side of a hybrid run, closed by its servers themselves while copied tables change sides (promise 2): gates that hold spare clients errors, but one
 * that is cut off from the topology, or stands still, may hold a transaction or a statement that it sends later, and clients that pass the gates are
 * held by nobody. Under the fence neither is acknowledged: what the marker behind it does not cover was never written.
 *
 * Noted in the run before it is laid. Until the change is decided (`dimensionsEndedAtMs`) the old side serves writes, so whoever finds the note
 * without that opens the servers again; afterwards they stay closed until the run has ended.
 */
import { closeServer, openServer, prepareFence, removeFence } from '../switch/fence.ts'
import type { ClaimPool } from '../switch/claim.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, ShardRecord } from '../topology/records.ts'
import { listRecords, readRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { changeRun, freshRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf } from './dualwrite-spec.ts'

export type FencedDesk = Desk & { readonly pool: ClaimPool }

/** A server that holds other shards too is closed by its schemas alone. @throws what the fence throws; some may be closed then */
export async function closeOldSide(desk: FencedDesk, run: WorkflowRecord, shards: readonly ShardRecord[]): Promise<void> {
  const { store, clock, pool } = desk
  const servers = [...new Set(shards.map(({ serverId }) => serverId))]
  const schemasOn = (id: string): string[] => shards.filter(({ serverId }) => serverId === id).map(({ schema }) => schema)
  await changeRun(desk, run, () => ({ data: { oldClosed: servers.map((server) => ({ server, schemas: schemasOn(server) })) } }))
  const own = new Set(shards.map(({ uid }) => uid))
  const all = (await listRecords<ShardRecord>(store, keys.allShards)).map((record) => record.value)
  const allowUnfenced = (await readRecord<KeyspaceRecord>(store, keys.keyspace(run.keyspace)))?.value.allowUnfenced ?? []
  await Promise.all(
    servers.map(async (id) => {
      const schemas = schemasOn(id)
      const shared = all.some(({ serverId, uid }) => serverId === id && !own.has(uid))
      await pool.run(id, async (server) => {
        await prepareFence(server, schemas, clock, shared ? 'triggers' : null)
        await closeServer(server, { allowUnfenced, schemas }, clock)
      })
    }),
  )
}

/** Repeatable; nothing where nothing was closed. `which`: the side goes on serving, or servers of others are left as they were. */
export async function openOldSide(desk: FencedDesk, run: WorkflowRecord, which: 'serves' | 'left'): Promise<void> {
  const { oldClosed = [], dimensionsEndedAtMs } = dataOf(await freshRun(desk.store, run))
  if (oldClosed.length === 0 || (which === 'serves' && dimensionsEndedAtMs !== undefined)) return
  for (const { server: id, schemas } of oldClosed) {
    // Removed with all that stood on it.
    if ((await desk.store.get(keys.server(id))) === null) continue
    await desk.pool.run(id, async (server) => {
      // Of others on the server what is closed stays closed.
      await openServer(server, undefined, schemas)
      await removeFence(server, schemas)
    })
  }
  await changeRun(desk, run, () => ({ data: { oldClosed: [] } }))
}
