/** A dual-write run that stands in a topology of its own, with both fleets, a rule that has moved a quarter, and nobody behind any address. */
import type { ClaimPool } from '../../switch/claim.ts'
import type { Position } from '../../binlog/source.ts'
import { nothingSeen } from '../writers-seen.ts'
import assert from 'node:assert/strict'
import { systemClock } from '../../base/clock.ts'
import type { FleetRecord } from '../../topology/dualwrite-records.ts'
import { keys } from '../../topology/keys.ts'
import { MemoryStore } from '../../topology/memory.ts'
import { initialReadRule } from '../../topology/read-rule.ts'
import type { ShardRecord } from '../../topology/records.ts'
import { initialRouting } from '../../topology/routing.ts'
import { put } from '../../topology/typed.ts'
import type { Evidence, Rung } from '../../verify/ladder/evidence.ts'
import type { WorkflowRecord } from '../../workflow/records.ts'
import type { Desk } from '../dualwrite-record.ts'

export const evidence = (rung: Rung, planVersion: number, digest = 'd1'): Evidence => ({
  v: 1,
  rung,
  workflowUid: 'u',
  atMs: 0,
  tookMs: 1,
  definitionDigest: digest,
  planVersion,
  verdict: 'pass',
  because: 'equal',
  numbers: {},
  findings: [],
})

export const fleet = (name: string, branch: string, digest: string): FleetRecord => ({
  v: 1,
  name,
  keyspace: 'insights',
  branch,
  branchId: branch,
  definitionPath: 'd.ts',
  definitionDigest: digest,
  definitionVersion: 1,
  topicUrl: 'log:///t',
  topicId: 't',
  startOffsets: { '0': '0' },
  wanted: 'running',
  generation: 1,
  batchRecordsMax: 1,
  writers: 1,
  consumers: 1,
  holdAt: null,
  madeBy: null,
  purgeHeldUntilMs: 0,
})

export async function standing(): Promise<{ store: MemoryStore; desk: Desk; run: WorkflowRecord }> {
  const store = new MemoryStore()
  const run: WorkflowRecord = {
    v: 1,
    uid: 'u',
    keyspace: 'insights',
    name: 'grow',
    kind: 'dualwrite',
    state: 'ready',
    ended: false,
    spec: { toBranch: 'wide', bootstrap: 'pin', rungs: ['L0', 'L1'], allow: [] },
    data: {
      coverage: { atMs: 5, percent: 100, readyAtMs: 5, because: '', lag: '0', tables: [] },
      writers: { ...nothingSeen, wanted: ['s'], servers: { s: { position: '' as Position, sinceMs: -1, lookedAtMs: 5 } } },
    },
    createdAtMs: 0,
    journal: [],
  }
  const shard = (keyspace: string, name: string): ShardRecord => ({
    v: 1,
    keyspace,
    name,
    uid: `${keyspace}/${name}`,
    serverId: 's',
    schema: 'x',
    madeBy: null,
    provisioned: false,
  })
  const result = await store.commit(
    [],
    [
      { key: keys.leader, value: { v: 1 } },
      put(keys.workflow('insights', 'grow'), run),
      put(keys.routing('insights'), initialRouting(['-'])),
      put(keys.shard('insights', '-'), shard('insights', '-')),
      put(keys.routing('insights@wide'), initialRouting(['-80', '80-'])),
      ...['-80', '80-'].map((name) => put(keys.shard('insights@wide', name), shard('insights@wide', name))),
      put(keys.fleet('insights'), fleet('insights', 'main', 'd1')),
      put(keys.fleet('insights@wide'), fleet('insights@wide', 'wide', 'd1')),
      put(keys.reads('insights'), { ...initialReadRule('wide', 'u', []), moved: 2500 }),
    ],
  )
  assert.ok(result.ok)
  const leadership = { token: 1, fence: { key: keys.leader, version: result.revision }, signal: new AbortController().signal }
  return { store, run, desk: { store, clock: systemClock, leadership } }
}

/** Of a run in which no server is to be closed or opened. */
export const noPool = {
  run: () => Promise.reject(new Error('no server is to be closed or opened')),
} as unknown as ClaimPool
