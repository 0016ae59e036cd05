/**
 * The end of a hybrid run's streams: until here clients wrote the copied tables on the old side, from here on they write the new one.
 *
 *     gates hold writes and say that none is on its way ─► the old servers are closed ─► marker on each of them, drained ─► decided ─► streams end
 *     ─► routing names the new shards
 *
 * No write is lost: an old server acknowledges none behind its fence, whoever sends it, and what it acknowledged before stands before the marker. None is
 * undone: no stream may write a new shard any more when the first client does, so no older image follows it. Gates let their statements go to whatever
 * routing names next: the new shards (the caller's next step), or the old ones where this could not be done, the servers are opened and the hold is
 * lifted; after the decision only the former.
 *
 * The decision is one commit with the point of no return: until then `rollback` finds an old side that has everything.
 */
import { drained } from '../switch/markers.ts'
import type { Markers } from '../switch/markers.ts'
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { settled } from '../switch/settled.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dimensionStreams } from './dimension-streams.ts'
import { branchShards } from './branches.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf } from './dualwrite-spec.ts'
import type { DualWriteData } from './dualwrite-spec.ts'
import { closeOldSide, openOldSide } from './old-side-fence.ts'
import type { FencedDesk } from './old-side-fence.ts'
import { withServer } from './servers.ts'
import { holdAllWrites, letAllWritesGo } from './write-hold.ts'

/** Below what a gate lets its clients wait. */
const drainMs = 5_000

/** The commit that decides; false: a rollback was sooner. */
export type Decide = (also: Partial<DualWriteData>, journal: string) => Promise<boolean>

/** Whether it is decided. @throws SW-DUALWRITE-026 and what kept the streams from draining; clients write on, on the old side */
export async function handOverDimensions(desk: FencedDesk, run: WorkflowRecord, decide: Decide): Promise<boolean> {
  const { dimensions } = dataOf(run)
  if (dimensions?.state === 'failed')
    throw dualwriteErrors.dimensionsFailed({ keyspace: run.keyspace, name: run.name, reason: dimensions.because })
  const shards = await branchShards(desk, run.keyspace, 'main')
  // Nobody is kept waiting for streams that are far behind, or for a mover that is away.
  await drain(desk, run)
  await holdAllWrites(desk, run.keyspace)
  let decided = false
  try {
    await closeOldSide(desk, run, shards)
    await drain(desk, run)
    decided = await decide(
      { dimensionsEndedAtMs: desk.clock.nowMs() },
      'dimension tables: drained while the old servers were closed; clients write the new side from here on',
    )
  } finally {
    if (!decided && !desk.leadership.signal.aborted) {
      await openOldSide(desk, run, 'serves')
      await letAllWritesGo(desk, run.keyspace)
    }
  }
  return decided
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
