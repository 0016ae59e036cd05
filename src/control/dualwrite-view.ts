/** Branches, fleets and dual-write runs as the API shows them: from the topology alone; what is stale or missing is null, not zero. */
import type { BranchView, DualWriteView, FleetView } from '../api/dualwrite-schemas.ts'
import { readsOf, reportFreshMs } from '../change/dualwrite-figures.ts'
import { foreignText } from '../change/other-writers.ts'
import { notLookedAt } from '../change/writers-seen.ts'
import { dataOf, specOf } from '../change/dualwrite-spec.ts'
import type { DualWriteData } from '../change/dualwrite-spec.ts'
import { branchKeyspace, mainBranch, readSlots } from '../topology/dualwrite-records.ts'
import type { FleetRecord, FleetReport, GateReads, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord, RoutingRecord, ShardRecord } from '../topology/records.ts'
import { rungTitles } from '../verify/ladder/evidence.ts'
import type { Evidence } from '../verify/ladder/evidence.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import type { TopologyView } from './views.ts'

export function fleetViews(view: TopologyView): FleetView[] {
  return view.all<FleetRecord>(keys.fleets).map((fleet) => fleetView(view, fleet))
}

export function fleetView(view: TopologyView, fleet: FleetRecord): FleetView {
  const reports = view.all<FleetReport>(keys.fleetReportsOf(fleet.name))
  const fresh = reports
    .filter((report) => view.nowMs - report.atMs < reportFreshMs && report.generation === fleet.generation)
    .sort((a, b) => b.atMs - a.atMs)
  const sum = (of: (report: FleetReport) => number): number => reports.reduce((total, report) => total + of(report), 0)
  const partitions = Object.keys(fleet.startOffsets).map((partition) => {
    const told = fresh.flatMap((report) => report.partitions).find((one) => one.partition === Number(partition))
    return {
      partition: Number(partition),
      state: told?.state ?? 'unknown',
      lag: told?.lag ?? null,
      logStart: told?.logStart ?? null,
      highWatermark: told?.highWatermark ?? null,
      error: told?.error ?? null,
    }
  })
  const known = partitions.length > 0 && partitions.every((one) => one.lag !== null)
  const rowsIn = sum((report) => report.rowsIn)
  return {
    name: fleet.name,
    keyspace: fleet.keyspace,
    branch: fleet.branch,
    definition: fleet.definitionPath,
    definitionVersion: fleet.definitionVersion,
    definitionDigest: fleet.definitionDigest,
    topic: fleet.topicUrl,
    wanted: fleet.wanted,
    startOffsets: { ...fleet.startOffsets },
    lag: known ? String(partitions.reduce((total, one) => total + BigInt(one.lag ?? 0), 0n)) : null,
    recordsPerSecond: fresh.length === 0 ? null : fresh.reduce((total, report) => total + report.recordsPerSecond, 0),
    rowsPerSecond: fresh.length === 0 ? null : fresh.reduce((total, report) => total + report.rowsPerSecond, 0),
    mergedShare: rowsIn === 0 ? null : 1 - sum((report) => report.rowsOut) / rowsIn,
    poison: sum((report) => report.poison),
    late: sum((report) => report.late),
    written: null,
    expiry: fresh.find((report) => report.expiry !== undefined)?.expiry ?? null,
    consumers: reports.map((report) => ({ id: report.consumer, pid: report.pid, state: report.state, fresh: fresh.includes(report) })),
    partitions,
    error: fresh.find((report) => report.error !== null)?.error ?? null,
  }
}

export function branchViews(view: TopologyView, keyspace: string): BranchView[] {
  const rule = view.one<ReadRule>(keys.reads(keyspace))
  const records = view.all<KeyspaceRecord>(keys.keyspaces).filter((one) => one.name === keyspace || one.branchOf === keyspace)
  return records.map((record) => {
    const branch = record.branch ?? mainBranch
    const moved = rule === null || rule.to === null ? null : (rule.moved / readSlots) * 100
    return {
      keyspace,
      branch,
      shards: servingShards(view, keyspace, branch).map((shard) => ({ name: shard.name, server: shard.serverId, schema: shard.schema })),
      fleets: view
        .all<FleetRecord>(keys.fleets)
        .filter((fleet) => fleet.keyspace === keyspace && fleet.branch === branch)
        .map((fleet) => fleet.name),
      readsPercent: moved === null ? null : branch === rule?.to ? moved : branch === rule?.from ? 100 - moved : 0,
    }
  })
}

function servingShards(view: TopologyView, keyspace: string, branch: string): ShardRecord[] {
  const name = branchKeyspace(keyspace, branch)
  const shards = view.all<ShardRecord>(keys.shards(name))
  const routing = view.one<RoutingRecord>(keys.routing(name))
  return (routing?.components ?? []).flatMap((c) => c.serving.primary.flatMap((one) => shards.filter((shard) => shard.name === one)))
}

export function dualWriteSides(view: TopologyView, workflow: WorkflowRecord): { sources: string[]; targets: string[] } {
  const { toBranch } = specOf(workflow)
  const old = dataOf(workflow).oldShards ?? servingShards(view, workflow.keyspace, mainBranch)
  const fresh = servingShards(view, workflow.keyspace, workflow.ended && workflow.state === 'decommissioned' ? mainBranch : toBranch)
  return { sources: old.map((shard) => shard.name), targets: fresh.map((shard) => shard.name) }
}

export function dualWriteView(view: TopologyView, workflow: WorkflowRecord): DualWriteView {
  const spec = specOf(workflow)
  const data = dataOf(workflow)
  const standing = view.one<ReadRule>(keys.reads(workflow.keyspace))
  const rule = standing?.workflow === workflow.uid ? standing : null
  const gates = view.all<GateReads>(keys.allGateReads)
  const { planVersion = 0, definitionDigest = '' } = data
  const percent = (slots: number): number => (slots / readSlots) * 100
  return {
    toBranch: spec.toBranch,
    bootstrap: spec.bootstrap,
    planVersion,
    definitionDigest,
    coverage: data.coverage === undefined ? null : { ...data.coverage, tables: [...data.coverage.tables] },
    dimensions: dimensionsView(data),
    ready:
      data.ready !== undefined &&
      data.ready !== null &&
      data.ready.planVersion === planVersion &&
      data.ready.definitionDigest === definitionDigest,
    readsPercent: rule === null ? (workflow.state === 'decommissioned' ? 100 : 0) : percent(rule.moved),
    closing:
      rule?.closing == null
        ? null
        : { fromPercent: percent(rule.closing.lo), toPercent: percent(rule.closing.hi), toward: rule.closing.toward },
    tenants: Object.entries(rule?.overrides ?? {}).map(([keyspaceId, override]) => ({ keyspaceId, branch: override.branch })),
    reads: {
      old: readsOf(gates, workflow.keyspace, view.nowMs),
      new: readsOf(gates, branchKeyspace(workflow.keyspace, spec.toBranch), view.nowMs),
      baselineP95Ms: data.baselineP95Ms ?? null,
    },
    auto: data.auto === undefined ? null : { state: data.auto.state, nextStepAtMs: data.auto.nextStepAtMs, why: data.auto.why },
    ramp: (data.ramp ?? []).map((entry) => ({ ...entry, parts: entry.parts ?? null })),
    watch: data.lastWatch ?? null,
    evidence: view
      .all<Evidence>(keys.evidenceOf(workflow.uid))
      .toSorted((a, b) => (a.rung < b.rung ? -1 : 1))
      .map((evidence) => ({
        rung: evidence.rung,
        title: rungTitles[evidence.rung],
        atMs: evidence.atMs,
        tookMs: evidence.tookMs,
        verdict: evidence.verdict,
        counts: evidence.planVersion === planVersion && evidence.definitionDigest === definitionDigest,
        because: evidence.because,
        numbers: { ...evidence.numbers },
        findings: [...evidence.findings],
        earlier: [...(evidence.earlier ?? [])],
      })),
    writers: writersView(data, view.nowMs),
    headroom: data.headroom ?? null,
    horizon: data.horizon ?? null,
    removeAtMs: workflow.state === 'holding' ? (data.removeAtMs ?? null) : null,
    removalStopped: workflow.state === 'holding' ? (data.removalStopped ?? null) : null,
    fleets: fleetViews(view).filter((fleet) => fleet.keyspace === workflow.keyspace),
  }
}

function writersView({ writers }: DualWriteData, nowMs: number): DualWriteView['writers'] {
  if (writers === undefined) return null
  const { wanted, servers, found, trouble } = writers
  const looks = wanted.map((id) => servers[id] ?? null)
  const known = looks.length > 0 && !looks.includes(null)
  return {
    sinceMs: known ? Math.max(...looks.map((at) => at?.sinceMs ?? 0)) : null,
    lookedAtMs: known ? Math.min(...looks.map((at) => at?.lookedAtMs ?? 0)) : null,
    fresh: known && notLookedAt(writers, nowMs).length === 0,
    transactions: found.reduce((sum, one) => sum + one.transactions, 0),
    found: found.map(foreignText),
    lastMs: found.length === 0 ? null : Math.max(...found.map((one) => one.lastMs)),
    trouble: trouble === null ? null : trouble.because,
  }
}

function dimensionsView({ dimensionTables, dimensions, dimensionsEndedAtMs }: DualWriteData): DualWriteView['dimensions'] {
  if (dimensionTables === undefined) return null
  return {
    state: dimensionsEndedAtMs !== undefined ? 'ended' : (dimensions?.state ?? 'waiting'),
    because: dimensionsEndedAtMs !== undefined ? 'clients write the new side' : (dimensions?.because ?? 'not looked at yet'),
    rowsDone: dimensions?.rowsDone ?? 0,
    rowsEstimated: dimensions?.rowsEstimated ?? 0,
    landedAtMs: dimensions?.landedAtMs ?? null,
    tables: dimensionTables.map(({ name, merge }) => ({ table: name, merged: merge !== undefined })),
  }
}

export function nextOfDualWrite(workflow: WorkflowRecord, readsPercent: number): string[] {
  if (workflow.ended) return []
  const verb = (name: string): string => `shardwright DualWrite ${name} --keyspace ${workflow.keyspace} --workflow ${workflow.name}`
  if (dataOf(workflow).dimensions?.state === 'failed' && workflow.state !== 'cancelling') return [verb('start'), verb('rollback')]
  switch (workflow.state) {
    case 'failed':
    case 'cancelling':
      return [verb('cancel --yes')]
    case 'validating':
      return [verb('validate'), verb('cancel --yes')]
    case 'ready':
      return [verb('ramp --auto'), verb('ramp --percent 1'), verb('cancel --yes')]
    case 'ramping':
      return [verb('ramp --auto'), verb('rollback')]
    case 'switched':
      return [verb('complete --yes'), verb('rollback')]
    case 'holding':
      return [verb('rollback'), verb('show')]
    default:
      return readsPercent > 0 ? [verb('rollback')] : [verb('show'), verb('cancel --yes')]
  }
}
