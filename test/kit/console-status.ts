/** Statuses as control tells them, for tests of the page: a keyspace on its way from one shard to four. */
import type { StreamView } from '../../src/api/stream-schemas.ts'
import type { DualWriteView } from '../../src/api/dualwrite-schemas.ts'
import type { GateView, KeyspaceView, StatusView, WorkflowView } from '../../src/api/schemas.ts'

export const fourShards = ['-40', '40-80', '80-c0', 'c0-']
const startMs = 1_790_000_000_000

export function status(over: Partial<StatusView> = {}): StatusView {
  return {
    installation: 'test',
    version: '0.0.0',
    leader: { holder: 'control-1', token: 7 },
    keyspaces: [keyspace()],
    workflows: [workflow()],
    gates: [gate()],
    movers: [{ id: 'mover-1', pid: 4711, startedAtMs: startMs, rssBytes: 150 << 20 }],
    nowMs: startMs + 60_000,
    ...over,
  }
}

export function keyspace(component: Partial<KeyspaceView['routing']['components'][number]> = {}): KeyspaceView {
  const all = {
    range: '-',
    workflow: 'split',
    epoch: 0,
    phase: 'stable' as const,
    serving: ['-'],
    servingReplica: ['-'],
    other: fourShards,
    holdSinceMs: null,
    ...component,
  }
  return {
    name: 'app',
    sharded: true,
    transactionMode: 'multi',
    allowUnfenced: [],
    shards: ['-', ...fourShards].map((name, index) => ({
      keyspace: 'app',
      name,
      server: { id: `server-${index}`, flavour: 'mariadb', version: '10.11.19', host: '127.0.0.1', port: 3300 + index, provisioned: true },
      schema: `app_${index}`,
      serves: all.serving.includes(name),
      workflow: all.workflow,
      replicas: [],
      givenUp: [],
    })),
    routing: { version: 12, components: [all] },
    vschema: {},
  }
}

export function gate(over: Partial<GateView> = {}): GateView {
  return {
    id: 'gate-1',
    pid: 4712,
    address: '127.0.0.1:15306',
    sessions: 8,
    statementsPerSecond: 612,
    statements: 100_000,
    errors: 3,
    held: 0,
    slowestWriteMs: 41.5,
    scattered: 0,
    slow: 0,
    deadlocks: 0,
    refusedLogins: { total: 0, latest: [] },
    seen: {},
    fresh: true,
    ...over,
  }
}

export function stream(over: Partial<StreamView> = {}): StreamView {
  return {
    uid: 'stream-1',
    direction: 'forward',
    source: '-',
    targets: fourShards,
    wanted: 'running',
    state: 'copying',
    waiting: null,
    throttled: null,
    error: null,
    stateSinceMs: null,
    lanes: 4,
    retries: 0,
    chunksDone: 3,
    chunksLeft: 9,
    bytesPerSecond: null,
    rowChangesPerSecond: null,
    appliedBytesPerSecond: null,
    sourceBytesPerSecond: null,
    reportAgeMs: 120,
    rowsDone: 100_000,
    rowsEstimated: 400_000,
    rowsPerSecond: 50_000,
    etaMs: 6000,
    lag: null,
    rowChangesApplied: 321,
    rowsHeldBack: 0,
    positionAgeMs: 0,
    tables: [{ name: 'log', state: 'copying', rowsDone: 100_000, rowsEstimated: 400_000 }],
    headroom: null,
    resumed: null,
    ...over,
  }
}

/** One whose copy is done. */
export function followingStream(over: Partial<StreamView> = {}): StreamView {
  return stream({
    state: 'running',
    rowsDone: 400_000,
    rowsPerSecond: null,
    etaMs: null,
    lag: { transactions: 12, bytes: 3400, ageMs: 85, etaMs: 0 },
    tables: [{ name: 'log', state: 'done', rowsDone: 400_000, rowsEstimated: 400_000 }],
    ...over,
  })
}

export function workflow(over: Partial<WorkflowView> = {}): WorkflowView {
  return {
    keyspace: 'app',
    name: 'split',
    uid: 'w1',
    kind: 'reshard',
    state: 'copying',
    createdAtMs: startMs,
    sourceShards: ['-'],
    targetShards: fourShards,
    serving: 'source',
    streams: [stream()],
    vdiff: null,
    action: null,
    journal: [{ atMs: startMs, text: 'created' }],
    undo: null,
    next: [
      'shardwright reshard --workflow split --target-keyspace app show',
      'shardwright reshard --workflow split --target-keyspace app cancel',
    ],
    dualwrite: null,
    ...over,
  }
}

/** After the switch: the four serve, the one follows. */
export function switchedStatus(over: Partial<StatusView> = {}): StatusView {
  const back = fourShards.map((source, index) =>
    followingStream({ uid: `back-${index}`, direction: 'reverse', source, targets: ['-'], rowsDone: 0, rowsEstimated: 0, tables: [] }),
  )
  const action: WorkflowView['action'] = {
    id: 'action-1',
    verb: 'switchtraffic',
    state: 'done',
    requestedAtMs: startMs + 1000,
    startedAtMs: startMs + 1010,
    endedAtMs: startMs + 1500,
    waiting: null,
    steps: [],
    text: ['app.split: switched'],
    result: {
      outcome: 'switched',
      stallMs: 89,
      steps: [{ name: 'drain', startMs: 10, ms: 12.5 }],
      holds: { gates: 1, held: 9, failed: 0, longestMs: 77, medianMs: 61 },
    },
    error: null,
    errors: [],
  }
  return status({
    keyspaces: [keyspace({ serving: fourShards, servingReplica: fourShards, other: ['-'], epoch: 1 })],
    workflows: [
      workflow({
        state: 'switched',
        serving: 'target',
        streams: [followingStream(), ...back],
        action,
        vdiff: {
          uid: 'v1',
          state: 'clean',
          startedAtMs: startMs,
          endedAtMs: startMs + 1800,
          rowsCompared: 400_321,
          rowsEstimated: 400_321,
          rowsPerSecond: null,
          etaMs: null,
          repairedRows: 0,
          error: null,
          waiting: null,
          pass: null,
          why: null,
          groups: [],
          tables: [],
        },
        next: ['shardwright reshard --workflow split --target-keyspace app complete'],
      }),
    ],
    ...over,
  })
}

/** A dual-write run on its way to eight shards. */
export function dualWriteStatus(
  state: WorkflowView['state'],
  run: Partial<DualWriteView> = {},
  over: Partial<WorkflowView> = {},
): StatusView {
  const dualwrite: DualWriteView = {
    toBranch: 'wide',
    bootstrap: 'hybrid',
    planVersion: 1,
    definitionDigest: 'd',
    coverage: { atMs: startMs, percent: 100, readyAtMs: startMs, because: 'the whole window is there', lag: '12', tables: [] },
    dimensions: null,
    ready: false,
    readsPercent: 0,
    closing: null,
    tenants: [],
    reads: { old: { reads: 900, errors: 0, p95Ms: 4 }, new: { reads: 0, errors: 0, p95Ms: 0 }, baselineP95Ms: 4 },
    auto: null,
    ramp: [],
    watch: null,
    evidence: [],
    writers: { sinceMs: startMs, lookedAtMs: startMs, fresh: true, transactions: 0, found: [], lastMs: null, trouble: null },
    headroom: null,
    horizon: { atMs: startMs, kind: 'open', untilMs: null, because: 'the old fleet runs' },
    removeAtMs: null,
    removalStopped: null,
    fleets: [],
    ...run,
  }
  const next = [`shardwright DualWrite show --keyspace app --workflow grow`]
  return status({ workflows: [workflow({ name: 'grow', kind: 'dualwrite', state, streams: [], next, dualwrite, ...over })] })
}
