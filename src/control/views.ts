/** Topology records → what a person reads. Nothing is guessed: what no fresh report says is `unknown` or null (promise 6). */
import type { StreamTargetReport, StreamWait, TargetLag } from '../topology/target-report.ts'
import type { StreamView } from '../api/stream-schemas.ts'
import type { ActionView, GateView, KeyspaceView, ShardView, VdiffView, WorkflowView } from '../api/schemas.ts'
import { keys } from '../topology/keys.ts'
import type {
  GateRecord,
  GivenUpServer,
  GateStats,
  KeyspaceRecord,
  LeaderRecord,
  MoverRecord,
  RoutingRecord,
  ServerRecord,
  ShardRecord,
  StreamRecord,
  StreamReport,
  VSchemaRecord,
  VdiffRecord,
  VdiffReport,
} from '../topology/records.ts'
import { dualWriteSides, dualWriteView, nextOfDualWrite } from './dualwrite-view.ts'
import type { Snapshot } from '../topology/store.ts'
import type { ActionRecord, WorkflowRecord } from '../workflow/records.ts'
import { undoView } from './undo-view.ts'

/** A report older than this says nothing about now. */
export const reportFreshMs = 3000

export class TopologyView {
  readonly #snapshot: Snapshot
  readonly nowMs: number

  constructor(snapshot: Snapshot, nowMs: number) {
    this.#snapshot = snapshot
    this.nowMs = nowMs
  }

  one<T>(key: string): T | null {
    return (this.#snapshot.entries.get(key)?.value ?? null) as T | null
  }

  version(key: string): number {
    return this.#snapshot.entries.get(key)?.version ?? 0
  }

  all<T>(prefix: string): T[] {
    return [...this.#snapshot.entries.values()].filter((entry) => entry.key.startsWith(prefix)).map((entry) => entry.value as unknown as T)
  }

  leader(): LeaderRecord | null {
    return this.one(keys.leader)
  }

  movers(): MoverRecord[] {
    return this.all(keys.movers)
  }

  keyspaces(): KeyspaceView[] {
    return this.all<KeyspaceRecord>(keys.keyspaces).map((keyspace) => this.keyspace(keyspace))
  }

  keyspace(keyspace: KeyspaceRecord): KeyspaceView {
    const routing = this.one<RoutingRecord>(keys.routing(keyspace.name))
    const vschema = this.one<VSchemaRecord>(keys.vschema(keyspace.name))
    return {
      name: keyspace.name,
      sharded: keyspace.sharded,
      transactionMode: keyspace.transactionMode,
      allowUnfenced: keyspace.allowUnfenced,
      shards: this.shards(keyspace.name),
      routing: {
        version: this.version(keys.routing(keyspace.name)),
        components: (routing?.components ?? []).map((c) => ({
          range: c.range,
          workflow: c.workflow,
          epoch: c.epoch,
          phase: c.phase,
          serving: c.serving.primary,
          servingReplica: c.serving.replica,
          other: c.other,
          holdSinceMs: c.hold?.sinceMs ?? null,
        })),
      },
      vschema: (vschema?.vschema ?? {}) as Record<string, unknown>,
    }
  }

  shards(keyspace: string): ShardView[] {
    const givenUp = this.all<GivenUpServer>(keys.allGivenUp)
    const routing = this.one<RoutingRecord>(keys.routing(keyspace))
    return this.all<ShardRecord>(keys.shards(keyspace)).map((shard) => {
      const server = this.one<ServerRecord>(keys.server(shard.serverId))
      const component = routing?.components.find((c) => c.serving.primary.includes(shard.name) || c.other.includes(shard.name))
      return {
        keyspace,
        name: shard.name,
        server: {
          id: shard.serverId,
          flavour: server?.flavour ?? 'mariadb',
          version: server?.version ?? 'unknown',
          host: server?.host ?? '',
          port: server?.port ?? 0,
          provisioned: server?.provisioned ?? false,
        },
        schema: shard.schema,
        serves: component?.serving.primary.includes(shard.name) ?? false,
        workflow: component?.workflow ?? null,
        replicas: [...(shard.replicas ?? [])],
        givenUp: givenUp
          .filter((one) => one.keyspace === keyspace && one.shard === shard.name)
          .map(({ serverId, closed }) => ({ server: serverId, closed })),
      }
    })
  }

  gates(): GateView[] {
    return this.all<GateRecord>(keys.gates).map((gate) => {
      const stats = this.one<GateStats>(keys.gateStats(gate.id))
      const fresh = stats !== null && this.nowMs - stats.atMs < reportFreshMs
      return {
        id: gate.id,
        pid: gate.pid,
        address: `${gate.host}:${gate.port}`,
        sessions: stats?.sessions ?? 0,
        statements: stats?.statements ?? 0,
        statementsPerSecond: stats?.statementsPerSecond ?? 0,
        errors: stats?.errors ?? 0,
        held: stats?.held ?? 0,
        slowestWriteMs: stats?.slowestWriteMs ?? 0,
        seen: gate.seen,
        fresh,
        scattered: stats?.scattered ?? 0,
        slow: stats?.slow ?? 0,
        deadlocks: stats?.deadlocks ?? 0,
        refusedLogins: stats?.refusedLogins ?? { total: 0, latest: [] },
      }
    })
  }

  workflows(): WorkflowView[] {
    return this.all<WorkflowRecord>(keys.workflows).map((workflow) => this.workflow(workflow))
  }

  workflow(workflow: WorkflowRecord): WorkflowView {
    if (workflow.kind === 'dualwrite') return this.#dualwrite(workflow)
    const spec = workflow.spec as { sourceShards?: string[]; targetShards?: string[] }
    const sources = spec.sourceShards ?? []
    const targets = spec.targetShards ?? []
    const routing = this.one<RoutingRecord>(keys.routing(workflow.keyspace))
    const own = (routing?.components ?? []).filter((c) => c.workflow === workflow.name)
    const serving = new Set(own.flatMap((c) => c.serving.primary))
    const side = workflow.ended && workflow.state === 'complete' ? 'target' : sideOf(serving, sources, targets)
    const streams = this.all<StreamRecord>(keys.streamsOf(workflow.uid)).map((stream) => this.stream(stream))
    const action = this.lastAction(workflow.uid)
    return {
      keyspace: workflow.keyspace,
      name: workflow.name,
      uid: workflow.uid,
      kind: workflow.kind,
      state: stateOf(workflow, side, streams),
      createdAtMs: workflow.createdAtMs,
      sourceShards: sources,
      targetShards: targets,
      serving: side,
      streams,
      vdiff: this.vdiffs(workflow.uid)[0] ?? null,
      action,
      journal: workflow.journal,
      next: action?.state === 'pending' || action?.state === 'running' ? [] : nextOf(workflow, side, streams),
      undo: undoView(workflow, side, streams),
      dualwrite: null,
    }
  }

  #dualwrite(workflow: WorkflowRecord): WorkflowView {
    const dualwrite = dualWriteView(this, workflow)
    const { sources, targets } = dualWriteSides(this, workflow)
    const action = this.lastAction(workflow.uid)
    const { readsPercent } = dualwrite
    return {
      keyspace: workflow.keyspace,
      name: workflow.name,
      uid: workflow.uid,
      kind: workflow.kind,
      state: workflow.state as WorkflowView['state'],
      createdAtMs: workflow.createdAtMs,
      sourceShards: sources,
      targetShards: targets,
      serving: readsPercent >= 100 ? 'target' : readsPercent > 0 ? 'mixed' : 'source',
      streams: this.all<StreamRecord>(keys.streamsOf(workflow.uid)).map((stream) => this.stream(stream)),
      vdiff: null,
      action,
      journal: workflow.journal,
      next: action?.state === 'pending' || action?.state === 'running' ? [] : nextOfDualWrite(workflow, readsPercent),
      undo: null,
      dualwrite,
    }
  }

  stream(stream: StreamRecord): StreamView {
    const report = this.one<StreamReport>(keys.report(stream.workflowUid, stream.uid))
    const current = report !== null && report.generation === stream.generation ? report : null
    const ageMs = current === null ? null : this.nowMs - current.atMs
    const fresh = ageMs !== null && ageMs < reportFreshMs
    const ended = current?.state === 'failed' || current?.state === 'stopped'
    const lags =
      current === null || !fresh
        ? [null]
        : current.targets.map((t) => (t.lag !== null && this.nowMs - t.lag.atMs < reportFreshMs ? t.lag : null))
    /** Of all targets; unknown of one is unknown. */
    const most = (of: (lag: TargetLag) => number | null | undefined): number | null => {
      const all = lags.map((lag) => (lag === null ? null : (of(lag) ?? null)))
      return all.length === 0 || all.includes(null) ? null : Math.max(...all.map((value) => value ?? 0))
    }
    return {
      uid: stream.uid,
      direction: stream.direction,
      source: stream.source.shard,
      targets: stream.targets.map((t) => t.shard),
      wanted: stream.wanted,
      state: current === null ? 'unknown' : fresh || ended ? current.state : 'unknown',
      waiting: fresh || ended ? waitView(current?.waiting) : this.#noMover(current),
      throttled: fresh ? waitView(current?.throttled) : null,
      error: current?.error ?? null,
      stateSinceMs: current?.stateSinceMs ?? null,
      lanes: fresh ? (current?.lanes ?? null) : null,
      retries: current?.retries ?? null,
      chunksDone: current?.copy.chunksDone ?? null,
      chunksLeft: fresh ? (current?.copy.chunksLeft ?? null) : null,
      bytesPerSecond: fresh ? (current?.copy.bytesPerSecond ?? null) : null,
      rowChangesPerSecond: fresh ? (current?.applied.rowChangesPerSecond ?? null) : null,
      appliedBytesPerSecond: fresh ? (current?.applied.bytesPerSecond ?? null) : null,
      sourceBytesPerSecond: fresh ? (current?.applied.sourceBytesPerSecond ?? null) : null,
      reportAgeMs: ageMs,
      rowsDone: current?.copy.rowsDone ?? 0,
      rowsEstimated: current?.copy.rowsEstimated ?? 0,
      rowsPerSecond: fresh ? (current?.copy.rowsPerSecond ?? null) : null,
      etaMs: fresh ? (current?.copy.etaMs ?? null) : null,
      lag:
        lags.length === 0 || lags.includes(null)
          ? null
          : {
              transactions: most((lag) => lag.transactions),
              bytes: most((lag) => lag.bytes),
              ageMs: most((lag) => lag.markerAgeMs),
              etaMs: most((lag) => lag.etaMs),
            },
      rowChangesApplied: current?.applied.rowChanges ?? 0,
      rowsHeldBack: ofTargets(
        fresh ? current : null,
        (t) => t.rowsHeldBack,
        (rows) => rows.reduce((sum, n) => sum + n, 0),
      ),
      positionAgeMs: ofTargets(
        fresh ? current : null,
        (t) => t.positionAgeMs,
        (ages) => Math.max(...ages),
      ),
      tables: current?.copy.tables ?? [],
      headroom: fresh ? (current?.headroom ?? null) : null,
      resumed: current?.resumed == null ? null : { changesRedone: null, round: null, ...current.resumed },
    }
  }

  /** A report that is old says what was waited for then. Now it is a mover. */
  #noMover(last: StreamReport | null): StreamView['waiting'] {
    if (last === null) return null
    return { what: 'a mover that reports', sinceMs: last.atMs, ends: 'one runs and has taken the stream', reason: 'mover' }
  }

  vdiffs(workflowUid: string): VdiffView[] {
    return this.all<VdiffRecord>(keys.vdiffsOf(workflowUid))
      .toSorted((a, b) => b.requestedAtMs - a.requestedAtMs)
      .map((vdiff) => {
        const report = this.one<VdiffReport>(keys.vdiffReport(workflowUid, vdiff.uid))
        return {
          uid: vdiff.uid,
          state: report?.state ?? 'pending',
          startedAtMs: report?.startedAtMs ?? null,
          endedAtMs: report?.endedAtMs ?? null,
          rowsCompared: report?.rowsCompared ?? 0,
          rowsEstimated: report?.rowsEstimated ?? 0,
          rowsPerSecond: report?.rowsPerSecond ?? null,
          etaMs: report?.etaMs ?? null,
          repairedRows: report?.repairedRows ?? 0,
          error: report?.error ?? null,
          waiting: report?.waiting ?? null,
          pass: report?.pass?.number ?? null,
          why: report?.why ?? null,
          groups: report?.groups ?? [],
          tables: report?.tables ?? [],
        }
      })
  }

  lastAction(workflowUid: string): ActionView | null {
    const last = this.all<ActionRecord>(keys.actionsOf(workflowUid)).toSorted((a, b) => b.requestedAtMs - a.requestedAtMs)[0]
    return last === undefined ? null : actionView(last)
  }
}

/** Of all targets; unknown of one is unknown. */
function ofTargets(
  report: StreamReport | null,
  of: (target: StreamTargetReport) => number | undefined,
  together: (values: readonly number[]) => number,
): number | null {
  const values = report?.targets.map(of) ?? []
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 || known.length < values.length ? null : together(known)
}

function waitView(wait: StreamWait | null | undefined): StreamView['waiting'] {
  return wait == null ? null : { ...wait, reason: wait.reason ?? 'other' }
}

export function actionView(action: ActionRecord): ActionView {
  const { v: _v, args: _args, steps, ...rest } = action
  return {
    ...rest,
    steps: steps.map((step) => ({ name: step.name, ms: step.ms, ...(step.note === undefined ? {} : { note: step.note }) })),
  }
}

function sideOf(serving: ReadonlySet<string>, sources: readonly string[], targets: readonly string[]): WorkflowView['serving'] {
  const onTarget = targets.some((shard) => serving.has(shard))
  const onSource = sources.some((shard) => serving.has(shard))
  return onTarget && onSource ? 'mixed' : onTarget ? 'target' : 'source'
}

function stateOf(workflow: WorkflowRecord, side: WorkflowView['serving'], streams: readonly StreamView[]): WorkflowView['state'] {
  const state = workflow.state as WorkflowView['state']
  if (state !== 'running') return state
  if (side !== 'source') return 'switched'
  if (streams.some((stream) => stream.state === 'failed')) return 'failed'
  if (streams.some((stream) => stream.direction === 'forward' && (stream.state === 'copying' || stream.state === 'starting')))
    return 'copying'
  if (streams.every((stream) => stream.wanted === 'stopped')) return 'stopped'
  return 'running'
}

/** The commands that make sense now: what a person would look up. */
function nextOf(workflow: WorkflowRecord, side: WorkflowView['serving'], streams: readonly StreamView[]): string[] {
  if (workflow.ended) return []
  const base = `shardwright reshard --workflow ${workflow.name} --target-keyspace ${workflow.keyspace}`
  if (workflow.state === 'failed' || workflow.state === 'cancelling') return [`${base} cancel`]
  if (workflow.state === 'completing') return [`${base} complete`]
  if (streams.some((stream) => stream.state === 'failed'))
    return [`${base} show`, `${base} start`, `${base} ${side === 'source' ? 'cancel' : 'complete'}`]
  if (side === 'source') {
    return streams.length > 0 && streams.every((stream) => stream.state === 'running')
      ? [`${base} vdiff`, `${base} switchtraffic`, `${base} cancel`]
      : [`${base} show`, `${base} cancel`]
  }
  return [`${base} reversetraffic`, `${base} complete`]
}
