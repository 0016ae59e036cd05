/**
 * The end of a completed run, when its hold is over: the branch becomes the keyspace's own shards, and the old side is removed. In steps, each
 * of which gates have acknowledged before the next, so that no read is ever sent to what is gone:
 *
 *   0. of a hybrid run: clients' writes of the copied tables change sides (`dimension-handover.ts`)
 *   1. routing of the keyspace names the branch's shards (the read rule still sends reads there by the branch's name)
 *   2. the read rule is taken back: the keyspace itself serves
 *   3. the fleet is renamed: stopped, then made anew under the keyspace's name with its positions and epochs
 *   4. the branch's records go, then the old shards' places
 *
 * Nothing is removed while anything reads it: servers are asked again before the point of no return, where a reader still has the way back open, and before step 4's last,
 * which may be days later when a controller died.
 * Every step looks at the records and does what is missing: it may be begun again at any point.
 */
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord, PartitionEpoch, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { mainOnlyRule } from '../topology/read-rule.ts'
import type { RoutingRecord, ShardRecord } from '../topology/records.ts'
import { initialRouting } from '../topology/routing.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import { gatesAcknowledged } from '../switch/acknowledge.ts'
import { endTheirsInDoubt } from '../switch/in-doubt.ts'
import { workflowErrors } from '../workflow/errors.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { removeShardPlaces } from './removals.ts'
import { handOverDimensions } from './dimension-handover.ts'
import type { Decide } from './dimension-handover.ts'
import { endStreams } from './dimension-streams.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeRun, commitRule } from './dualwrite-record.ts'
import { putRetentionBack } from './dualwrite-retention.ts'
import type { Desk } from './dualwrite-record.ts'
import { nobodyReads } from './dualwrite-quiet.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { fleetName, fleetReports, setFleet } from './fleets.ts'
import { openOldSide } from './old-side-fence.ts'
import type { FencedDesk } from './old-side-fence.ts'

const gatesMs = 10_000

export async function finishRun(world: DualWriteWorld, desk: FencedDesk, run: WorkflowRecord): Promise<void> {
  const { keyspace } = run
  const { toBranch } = specOf(run)
  // What an attempt before this one has closed serves until it is decided.
  await openOldSide(desk, run, 'serves')
  const { dimensionTables, dimensionsEndedAtMs } = dataOf(run)
  const copied = dimensionTables !== undefined && dimensionsEndedAtMs === undefined
  if (dataOf(run).removalBeganAtMs === undefined || copied) {
    // Of a hybrid run clients still write copied tables there, through gates.
    if (
      !(await nobodyReads(
        world,
        desk,
        run,
        (dimensionTables ?? []).map((one) => one.name),
      ))
    )
      return
    const decide: Decide = async (also, journal) => {
      // In one commit with what a rollback changes: either it was sooner, or it is refused.
      const begun = await changeRun(desk, run, (now) => {
        const { removeAtMs = Infinity, removalBeganAtMs } = dataOf(now)
        const nowMs = desk.clock.nowMs()
        if (now.state !== 'holding' || (removalBeganAtMs === undefined && nowMs < removeAtMs)) return null
        return { data: { removalBeganAtMs: nowMs, removalStopped: null, ...also }, journal }
      })
      return begun.state === 'holding' && dataOf(begun).removalBeganAtMs !== undefined
    }
    const noWayBack = 'the old side is being removed: there is no way back from here'
    if (!(await (copied ? handOverDimensions(desk, run, decide) : decide({}, noWayBack)))) return
  }
  const { oldShards = [] } = dataOf(run)
  // Streams may not write the new shards any more; what they left on the old ones is nobody's hurry.
  await endStreams(desk, run, await branchShards(world, keyspace, toBranch).catch(() => []), 'targets')
  await promoteShards(world, desk, run)
  await takeRuleBack(desk, run)
  const { oldFleets = [], newBranchId } = dataOf(run)
  for (const fleet of await fleetsOf(world.store, keyspace, 'main')) {
    if (newBranchId !== undefined && oldFleets.includes(fleet.name) && fleet.branchId !== newBranchId) await forget(desk, fleet)
  }
  for (const fleet of await fleetsOf(world.store, keyspace, toBranch)) await renameFleet(desk, fleet)
  await removeBranch(desk, branchKeyspace(keyspace, toBranch))
  await endStreams(desk, run, oldShards, 'all')
  if (!(await nobodyReads(world, desk, run, []))) return
  await endTheirsInDoubt({ ...desk, log: world.log }, oldShards, desk.leadership.signal)
  const lines = await removeShardPlaces(world, oldShards)
  await openOldSide(desk, run, 'left')
  await putRetentionBack({ workflow: run }, async (line) => world.log.info({ run: run.name }, line))
  await changeRun(desk, run, (now) =>
    now.state === 'holding'
      ? {
          state: 'decommissioned',
          ended: true,
          journal: `the old side is gone: ${lines.join('; ') || 'its servers are left as they were'}`,
        }
      : null,
  )
}

/** What it waits for is told (promise 7), once; it is tried again. */
export async function whyNotYet(desk: Desk, run: WorkflowRecord, error: unknown): Promise<never> {
  const because = error instanceof Error ? error.message : String(error)
  if (!desk.leadership.signal.aborted)
    await changeRun(desk, run, (now) =>
      now.state !== 'holding' || dataOf(now).removalStopped === because
        ? null
        : { data: { removalStopped: because }, journal: `the old side is not removed yet: ${because}; it is tried again` },
    )
  throw error
}

async function promoteShards(world: DualWriteWorld, desk: Desk, run: WorkflowRecord): Promise<void> {
  const { store, leadership } = desk
  const { keyspace } = run
  const { toBranch } = specOf(run)
  const branch = branchKeyspace(keyspace, toBranch)
  for (;;) {
    const routing = await readRecord<RoutingRecord>(store, keys.routing(keyspace))
    if (routing === null || (await store.get(keys.keyspace(branch))) === null) return
    const fresh = await branchShards(world, keyspace, toBranch)
    const own = await listRecords<ShardRecord>(store, keys.shards(keyspace))
    const there = new Set(own.map((record) => record.value.uid))
    if (!fresh.every((shard) => there.has(shard.uid))) {
      const names = fresh.map((shard) => shard.name)
      const result = await store.commit(
        [{ key: routing.key, version: routing.version }, leadership.fence],
        [
          ...own.filter((record) => !names.includes(record.value.name)).map((record) => ({ key: record.key, value: undefined })),
          ...fresh.map((shard) => put<ShardRecord>(keys.shard(keyspace, shard.name), { ...shard, keyspace })),
          put(routing.key, initialRouting(names, routing.value.token)),
        ],
      )
      if (!result.ok) {
        leadership.signal.throwIfAborted()
        if (result.conflicts.includes(leadership.fence.key)) throw workflowErrors.notLeader()
        continue
      }
    }
    const version = (await store.get(keys.routing(keyspace)))?.version ?? 0
    return requireGates(desk, keyspace, keyspace, version)
  }
}

async function takeRuleBack(desk: Desk, run: WorkflowRecord): Promise<void> {
  for (;;) {
    const rule = await readRecord<ReadRule>(desk.store, keys.reads(run.keyspace))
    if (rule === null) return
    if (rule.value.workflow !== run.uid) {
      if (rule.value.to === null) await requireGates(desk, run.keyspace, keys.reads(run.keyspace), rule.version)
      return
    }
    const version = await commitRule(desk, run.keyspace, rule.version, mainOnlyRule())
    if (version !== null) return requireGates(desk, run.keyspace, keys.reads(run.keyspace), version)
  }
}

async function requireGates(desk: Desk, keyspace: string, key: string, version: number): Promise<void> {
  const { store, clock, leadership } = desk
  const { silent } = await gatesAcknowledged({
    store,
    keyspace: key,
    version,
    seenMs: gatesMs,
    graceMs: 0,
    clock,
    signal: leadership.signal,
  })
  if (silent.length > 0) throw dualwriteErrors.noGates({ keyspace, reason: silent.join(', ') })
}

async function forget(desk: Desk, fleet: FleetRecord): Promise<void> {
  const epochs = await desk.store.list(keys.partitionEpochsOf(fleet.name))
  await desk.store.commit(
    [desk.leadership.fence],
    [keys.fleet(fleet.name), ...epochs.entries.keys()].map((key) => ({ key, value: undefined })),
  )
}

/** Consumers know their fleet by its name: they end, and others begin with the same positions and greater epochs. */
async function renameFleet(desk: Desk, fleet: FleetRecord): Promise<void> {
  const { store, leadership } = desk
  await setFleet(desk, fleet.name, 'stopped', [leadership.fence])
  const running = (await fleetReports(desk, fleet.name)).filter((report) => report.state !== 'stopped')
  const leases = await store.list(keys.partitionLeasesOf(fleet.name))
  if (running.length > 0 || leases.entries.size > 0)
    throw dualwriteErrors.fleetRunning({ fleet: fleet.name, consumers: running.map((report) => report.consumer).join(', ') })
  const current = await readRecord<FleetRecord>(store, keys.fleet(fleet.name))
  if (current === null) return
  const name = fleetName(fleet.keyspace, 'main', fleet.name.split('+')[1])
  const epochs = await listRecords<PartitionEpoch>(store, keys.partitionEpochsOf(fleet.name))
  await store.commit(
    [{ key: current.key, version: current.version }, leadership.fence],
    [
      { key: current.key, value: undefined },
      put<FleetRecord>(keys.fleet(name), {
        ...current.value,
        name,
        branch: 'main',
        wanted: 'running',
        generation: current.value.generation + 1,
        madeBy: null,
      }),
      ...epochs.flatMap((epoch) => [
        { key: epoch.key, value: undefined },
        put(keys.partitionEpoch(name, Number(epoch.key.split('/').at(-1))), epoch.value),
      ]),
    ],
  )
}

async function removeBranch(desk: Desk, name: string): Promise<void> {
  const shards = await listRecords<ShardRecord>(desk.store, keys.shards(name))
  await desk.store.commit(
    [desk.leadership.fence],
    [keys.keyspace(name), keys.routing(name), ...shards.map((shard) => shard.key)].map((key) => ({ key, value: undefined })),
  )
}
