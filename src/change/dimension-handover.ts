/**
 * The end of a hybrid run's streams: until here clients wrote the copied tables on the old side, from here on they write the new one.
 *
 *     gates hold writes and say that none is on its way ─► marker on every old server, drained ─► noted ─► streams end ─► routing names the new shards
 *
 * No write is lost: what was acknowledged stood on an old server before its gate acknowledged the hold, so before the marker. None is undone: no stream runs any
 * more when the first write reaches a new shard, so no older image follows it. Gates let their statements go to whatever routing names next: the new shards
 * (the caller's next step), or the old ones where this could not be done and the hold is lifted; after `dimensionsEndedAtMs` only the former.
 *
 * Whoever writes the old servers past the gates is not held. The run does not come here with such sessions (`complete` lists them and stops).
 */
import { drained } from '../switch/markers.ts'
import type { Markers } from '../switch/markers.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { settled } from '../switch/settled.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dimensionStreams, endStreams } from './dimension-streams.ts'
import { branchShards } from './branches.ts'
import { changeRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import { withServer } from './servers.ts'
import { holdAllWrites, letAllWritesGo } from './write-hold.ts'

/** Below what a gate lets its clients wait. */
const drainMs = 5_000

/** Repeatable. @throws what kept the streams from draining; clients write on, on the old side */
export async function handOverDimensions(desk: Desk, run: WorkflowRecord): Promise<void> {
  const { dimensionTables = [], dimensionsEndedAtMs, oldShards = [] } = dataOf(run)
  if (dimensionTables.length === 0) return
  if (dimensionsEndedAtMs === undefined) {
    // Nobody is kept waiting for streams that are far behind, or for a mover that is away.
    await drain(desk, run)
    await holdAllWrites(desk, run.keyspace)
    try {
      await drain(desk, run)
      await changeRun(desk, run, () => ({
        data: { dimensionsEndedAtMs: desk.clock.nowMs() },
        journal: 'dimension tables: drained while gates held writes; clients write the new side from here on',
      }))
    } catch (error) {
      await letAllWritesGo(desk, run.keyspace)
      throw error
    }
  }
  const fresh = await branchShards(desk, run.keyspace, specOf(run).toBranch).catch(() => [])
  await endStreams(desk, run, [...oldShards, ...fresh])
}

async function drain(desk: Desk, run: WorkflowRecord): Promise<void> {
  const { store, clock, leadership } = desk
  const streams = await dimensionStreams(store, run)
  const servers = [...new Set((await branchShards(desk, run.keyspace, 'main')).map(({ serverId }) => serverId))]
  const markers: Markers = new Map(
    await settled(servers.map(async (id) => [id, await withServer(store, id, 'admin', bumpControlMarker)] as const)),
  )
  await drained({
    store,
    workflowUid: run.uid,
    streams,
    markers,
    timeoutMs: drainMs,
    clock,
    signal: leadership.signal,
    late: 'notDrained',
  })
}
