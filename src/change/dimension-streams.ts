/**
 * The streams of a hybrid dual-write run (PROTOCOLS 4.13): dimension tables of the old shards to the new branch, copied and kept in step until the end.
 *
 * - The pass starts once every old shard is past the new fleet's start vector. What a record before the start did then stands in the rows that are copied; what
 *   one from the start on does, the new fleet reads itself. Before that a row could be copied without a record that neither brings.
 * - The run is not ready before the pass has landed on every target, and no longer when a stream has stopped.
 * - A step towards the new branch also waits for a marker on each old server, written after the last acknowledgement: what others than fleets wrote there is on
 *   the new branch before a tenant is served from it, as H says of what fleets wrote (4.15).
 * - At the end writes of these tables change sides: gates hold them, a marker is drained, the streams end, and only then routing names the new shards.
 */
import { bumpControlMarker } from '../binlog/control-schema.ts'
import { keyRangesIntersect, parseKeyRange } from '../keyspace/key-range.ts'
import { ensureMoveTables, forgetStreams } from '../move/tables.ts'
import { behindOf } from '../switch/ramp.ts'
import type { ShardVectors, Vector } from '../switch/ramp.ts'
import { settled } from '../switch/settled.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord, ShardRef, StreamRecord, StreamReport } from '../topology/records.ts'
import type { Put, Store } from '../topology/store.ts'
import { absent, listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import { workflowErrors } from '../workflow/errors.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { BranchPositions, fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { reportFreshMs } from './dualwrite-figures.ts'
import { changeRun } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { Dimensions } from './dualwrite-spec.ts'
import { retentionOwed } from './binlog-retention.ts'
import { withServer } from './servers.ts'

export async function dimensionStreams(store: Store, run: Pick<WorkflowRecord, 'uid'>): Promise<StreamRecord[]> {
  return (await listRecords<StreamRecord>(store, keys.streamsOf(run.uid))).map((record) => record.value)
}

/** Begins the pass when its time has come; afterwards notes how far it is. Repeatable. `positionsOf`: where the old shards stand. */
export async function tendDimensions(
  desk: Desk,
  run: WorkflowRecord,
  positionsOf: (store: Store, run: WorkflowRecord) => Promise<ShardVectors> = oldPositions,
): Promise<void> {
  const { store, clock } = desk
  const { dimensionTables = [], dimensions, dimensionsEndedAtMs } = dataOf(run)
  if (dimensionTables.length === 0 || dimensionsEndedAtMs !== undefined) return
  const streams = await dimensionStreams(store, run)
  const atMs = clock.nowMs()
  if (streams.length === 0) {
    const behind = await behindTheStart(store, run, await positionsOf(store, run))
    if (behind !== null) return note(desk, run, { atMs, state: 'waiting', because: behind, rowsDone: 0, rowsEstimated: 0 })
    if (!(await begin(desk, run))) return
    return note(desk, run, { atMs, state: 'copying', because: 'every old shard is past the new start', rowsDone: 0, rowsEstimated: 0 })
  }
  const reports = (await listRecords<StreamReport>(store, keys.reportsOf(run.uid))).map((record) => record.value)
  const now = judgeStreams(streams, reports, atMs)
  // Landed once is landed: targets keep it, and a stream that begins again goes on from there.
  const landedAtMs = dimensions?.landedAtMs ?? (now.state === 'following' ? atMs : undefined)
  await note(desk, run, { ...now, atMs, ...(landedAtMs === undefined ? {} : { landedAtMs }) })
}

/** Pure: what their reports say of all streams together; what is not known is not there (promise 6). */
export function judgeStreams(
  streams: readonly StreamRecord[],
  reports: readonly StreamReport[],
  nowMs: number,
): Pick<Dimensions, 'state' | 'because' | 'rowsDone' | 'rowsEstimated'> {
  const known = streams.map((stream) => ({
    stream,
    report: reports.find((one) => one.streamUid === stream.uid && one.generation === stream.generation) ?? null,
  }))
  const rows = {
    rowsDone: known.reduce((sum, { report }) => sum + (report?.copy.rowsDone ?? 0), 0),
    rowsEstimated: known.reduce((sum, { report }) => sum + (report?.copy.rowsEstimated ?? 0), 0),
  }
  for (const { stream, report } of known)
    if (report?.state === 'failed' || report?.state === 'stopped')
      return {
        state: 'failed',
        because: `the stream of ${stream.source.shard} has ${report.state}${report.error === null ? '' : `: ${report.error.code} ${report.error.what}; ${report.error.fix}`}`,
        ...rows,
      }
  const silent = known.filter(({ report }) => report === null || nowMs - report.atMs > reportFreshMs)
  if (silent.length > 0)
    return { state: 'unknown', because: `no mover reports of ${silent.map(({ stream }) => stream.source.shard).join(', ')}`, ...rows }
  const copying = known.filter(({ report }) => report?.state !== 'running')
  if (copying.length === 0) return { state: 'following', because: 'copied, and kept in step', ...rows }
  const [{ report, stream } = { report: null, stream: null }] = copying
  return {
    state: 'copying',
    because: report?.waiting == null ? `the pass over ${stream?.source.shard} is under way` : `waits for ${report.waiting.what}`,
    ...rows,
  }
}

/** Null: every old shard is at or past where the new fleets began (PROTOCOLS 4.13). */
async function behindTheStart(store: Store, run: WorkflowRecord, at: ShardVectors): Promise<string | null> {
  const fresh = await fleetsOf(store, run.keyspace, specOf(run).toBranch)
  if (fresh.length === 0) return 'the second fleet'
  const starts = new Map<string, bigint>()
  for (const { topicId, startOffsets } of fresh)
    for (const [partition, offset] of Object.entries(startOffsets)) starts.set(`${topicId}/${partition}`, BigInt(offset))
  const shards = await branchShards({ store }, run.keyspace, 'main')
  const behind = behindOf(new Map(shards.map(({ name }) => [name, starts])), at)
  return behind === null ? null : `old shards to be past the new start: ${behind}`
}

async function oldPositions(store: Store, run: WorkflowRecord): Promise<ShardVectors> {
  const shards = await branchShards({ store }, run.keyspace, 'main')
  await using positions = new BranchPositions(store, shards, await fleetsOf(store, run.keyspace, 'main'))
  return (await positions.read()).at
}

/** One stream a source, in one commit with the run as it stands: their uids follow from it, and a run that is being cancelled begins none. */
async function begin(desk: Desk, run: WorkflowRecord): Promise<boolean> {
  const { store, leadership } = desk
  const standing = await readRecord<WorkflowRecord>(store, keys.workflow(run.keyspace, run.name))
  if (standing === null || standing.value.uid !== run.uid || standing.value.ended || standing.value.state === 'cancelling') return false
  const { dimensionTables = [] } = dataOf(run)
  const old = await branchShards({ store }, run.keyspace, 'main')
  const fresh = await branchShards({ store }, run.keyspace, specOf(run).toBranch)
  const references = dimensionTables.some(({ reference }) => reference)
  const ref = ({ name, uid, serverId, schema }: ShardRecord): ShardRef => ({ shard: name, uid, serverId, schema })
  const streams = old.map((source, index): StreamRecord => ({
    v: 1,
    uid: `${run.uid}-${index}`,
    workflowUid: run.uid,
    workflow: run.name,
    keyspace: run.keyspace,
    direction: 'forward',
    wanted: 'running',
    generation: 1,
    source: ref(source),
    targets: fresh
      .filter((target) => (index === 0 && references) || keyRangesIntersect(parseKeyRange(target.name), parseKeyRange(source.name)))
      .map(ref),
    tables: [...dimensionTables],
    movesReference: index === 0,
    copy: 'full',
    // The branch's tables stand with all their keys, and a fleet writes them.
    options: { onDdl: 'stop', deferSecondaryKeys: false, stopAfterCopy: false, copyBytesPerSecondMax: null, failpoints: {} },
  }))
  const placed = streams.map((stream) => ({ key: keys.stream(run.uid, stream.uid), stream }))
  const result = await store.commit(
    [...placed.map(({ key }) => absent(key)), { key: standing.key, version: standing.version }, leadership.fence],
    placed.map(({ key, stream }) => put(key, stream)),
  )
  if (!result.ok && result.conflicts.includes(leadership.fence.key)) throw workflowErrors.notLeader()
  return result.ok
}

async function note(desk: Desk, run: WorkflowRecord, dimensions: Dimensions): Promise<void> {
  const before = dataOf(run).dimensions
  await changeRun(desk, run, (now) => ({
    data: { dimensions },
    ...(before?.state === dimensions.state || dataOf(now).dimensions?.state === dimensions.state
      ? {}
      : { journal: `dimension tables: ${dimensions.state}: ${dimensions.because}` }),
  }))
}

/** Streams that failed or were stopped are taken up again. Returns the shards whose streams begin anew. */
export async function restartStreams(desk: Desk, run: WorkflowRecord): Promise<string[]> {
  const { store, leadership } = desk
  const again: string[] = []
  const reports = (await listRecords<StreamReport>(store, keys.reportsOf(run.uid))).map((record) => record.value)
  for (const stream of await dimensionStreams(store, run)) {
    const report = reports.find((one) => one.streamUid === stream.uid)
    if (stream.wanted === 'running' && report?.state !== 'failed' && report?.state !== 'stopped') continue
    await updateRecord<StreamRecord>(
      store,
      keys.stream(run.uid, stream.uid),
      (now) => (now === null ? null : { ...now, wanted: 'running', generation: now.generation + 1 }),
      [leadership.fence],
    )
    again.push(stream.source.shard)
  }
  return again
}

/** Markers on every old server that a stream reads: what each new shard must have applied, beside offsets. */
export async function placeDimensionMarkers(store: Store, streams: readonly StreamRecord[]): Promise<ShardVectors> {
  const servers = [...new Set(streams.map(({ source }) => source.serverId))]
  const markers = new Map(
    await settled(servers.map(async (id) => [id, BigInt(await withServer(store, id, 'admin', bumpControlMarker))] as const)),
  )
  return byTarget(streams, ({ source }) => markers.get(source.serverId) ?? 0n)
}

/** How far each new shard has come, in the same terms. */
export async function dimensionPositions(store: Store, run: WorkflowRecord, streams: readonly StreamRecord[]): Promise<ShardVectors> {
  const reports = (await listRecords<StreamReport>(store, keys.reportsOf(run.uid))).map((record) => record.value)
  return byTarget(streams, (stream, shard) => {
    const report = reports.find((one) => one.streamUid === stream.uid)
    return BigInt(report?.targets.find((target) => target.shard === shard)?.controlMarker ?? 0)
  })
}

function byTarget(streams: readonly StreamRecord[], of: (stream: StreamRecord, shard: string) => bigint): ShardVectors {
  const out = new Map<string, Map<string, bigint>>()
  for (const stream of streams)
    for (const { shard } of stream.targets) {
      const own = out.get(shard) ?? new Map<string, bigint>()
      out.set(shard, own.set(`the binlog of ${stream.source.shard}`, of(stream, shard)))
    }
  return out
}

/** Entries of both, by shard. */
export function joinVectors(a: ShardVectors, b: ShardVectors): Map<string, Vector> {
  const out = new Map(a)
  for (const [shard, vector] of b) {
    const own = out.get(shard)
    if (own !== undefined) out.set(shard, new Map([...own, ...vector]))
  }
  return out
}

/** Records first, by which movers stop; then their rows, after which a mover that still writes keeps nothing (1.7). Repeatable. */
/** `targets`: as far as a new shard is concerned, where none of theirs is accepted any more; the rest is `all`'s. */
export async function endStreams(
  desk: Desk,
  run: WorkflowRecord,
  shards: readonly ShardRecord[],
  where: 'targets' | 'all' = 'all',
): Promise<void> {
  const { store, leadership } = desk
  const { dimensionTables = [], dimensions } = dataOf(run)
  const streams = await dimensionStreams(store, run)
  if (dimensionTables.length === 0 || (streams.length === 0 && (dimensions === undefined || dimensions.state === 'waiting'))) return
  const puts: Put[] = streams.flatMap(({ uid }) => [
    { key: keys.stream(run.uid, uid), value: undefined },
    { key: keys.report(run.uid, uid), value: undefined },
  ])
  // The leader puts it back when nobody else reads there (`removals.ts`).
  puts.push(...retentionOwed(streams.map(({ source }) => source.serverId)))
  for (const prefix of [keys.vdiffsOf(run.uid), keys.vdiffReportsOf(run.uid)])
    for (const key of (await store.list(prefix)).entries.keys()) puts.push({ key, value: undefined })
  const result = await store.commit([leadership.fence], [...puts, { key: keys.pace(run.uid), value: undefined }])
  if (!result.ok) throw workflowErrors.notLeader()
  // Not from the streams alone: an attempt before this one may have removed their records and died.
  const servers = new Set([
    ...shards.map(({ serverId }) => serverId),
    ...streams.flatMap((stream) => (where === 'all' ? [stream.source, ...stream.targets] : stream.targets)).map(({ serverId }) => serverId),
  ])
  await settled(
    [...servers].map(async (id) => {
      // With a server of ours that is gone all went that stood there.
      if ((await store.get(keys.server(id))) === null) return
      await withServer(store, id, 'admin', async (connection) => {
        await ensureMoveTables(connection)
        await forgetStreams(connection, run.uid)
      })
    }),
  )
}
