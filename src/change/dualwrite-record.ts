/** A dual-write run's own record, changed under the leader's fence by verbs and by the watch alike. */
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Condition, Json, Put, Store } from '../topology/store.ts'
import { listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import type { Versioned } from '../topology/typed.ts'
import { auditPut } from '../workflow/audit.ts'
import type { AuditEntry } from '../workflow/audit.ts'
import { controllerName } from '../workflow/context.ts'
import type { Leadership } from '../workflow/context.ts'
import { workflowErrors } from '../workflow/errors.ts'
import { withJournal } from '../workflow/records.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteData, DualWriteSpec, DualWriteState } from './dualwrite-spec.ts'

export type Desk = { readonly store: Store; readonly clock: Clock; readonly leadership: Leadership }

export type Change = {
  readonly data?: Partial<DualWriteData>
  readonly state?: DualWriteState
  readonly ended?: boolean
  readonly journal?: string
  readonly spec?: DualWriteSpec
  /** For the log, beside the journal's text. */
  readonly log?: { readonly kind?: AuditEntry['kind']; readonly inputs?: Json; readonly ms?: number | null }
}

/** `change` is worked out from the record as it stands; null leaves it. SW-WORKFLOW-005 when another leads. */
export async function changeRun(
  desk: Desk,
  workflow: WorkflowRecord,
  change: (now: WorkflowRecord) => Change | null,
): Promise<WorkflowRecord> {
  const key = keys.workflow(workflow.keyspace, workflow.name)
  // The log gets what the journal gets, in the same commit.
  const log: Put[] = []
  const result = await updateRecord<WorkflowRecord>(
    desk.store,
    key,
    (now) => {
      if (now === null || now.uid !== workflow.uid) return null
      log.length = 0
      const wanted = change(now)
      if (wanted === null) return null
      const next: WorkflowRecord = {
        ...now,
        state: wanted.state ?? now.state,
        ended: wanted.ended ?? now.ended,
        ...(wanted.spec === undefined ? {} : { spec: wanted.spec as unknown as Json }),
        data: { ...(now.data as object), ...wanted.data } as unknown as Json,
      }
      if (wanted.journal === undefined) return next
      const atMs = desk.clock.nowMs()
      const { ms = null, inputs = null, kind = 'note' } = wanted.log ?? {}
      const actor = controllerName(desk.leadership)
      log.push(
        auditPut(now.keyspace, now.name, { atMs, actor, kind, verb: null, action: null, what: wanted.journal, inputs, outcome: '', ms }),
      )
      return withJournal(next, atMs, wanted.journal)
    },
    [desk.leadership.fence],
    log,
  )
  if (!result.ok) throw workflowErrors.notLeader()
  if (result.value === null) throw workflowErrors.gone({ key })
  return result.value
}

export async function freshRun(store: Store, workflow: WorkflowRecord): Promise<WorkflowRecord> {
  const now = await readRecord<WorkflowRecord>(store, keys.workflow(workflow.keyspace, workflow.name))
  if (now === null || now.value.uid !== workflow.uid) throw workflowErrors.notFound({ keyspace: workflow.keyspace, name: workflow.name })
  return now.value
}

export async function readRule(store: Store, workflow: WorkflowRecord): Promise<Versioned<ReadRule>> {
  const rule = await readRecord<ReadRule>(store, keys.reads(workflow.keyspace))
  if (rule === null || rule.value.workflow !== workflow.uid)
    throw dualwriteErrors.wrongState({
      verb: 'this',
      keyspace: workflow.keyspace,
      name: workflow.name,
      state: 'not the run that moves these reads',
      fix: `shardwright DualWrite show --keyspace ${workflow.keyspace} --workflow ${workflow.name}`,
    })
  return rule
}

/**
 * One compare-and-set of the read rule under the leader's fence. An answer that was lost is read back: a rule is never twice the same, as
 * closing and opening take turns, so finding what was to be written there means that it was.
 */
export async function commitRule(
  desk: Desk,
  keyspace: string,
  version: number,
  rule: ReadRule,
  also: readonly Condition[] = [],
): Promise<number | null> {
  const key = keys.reads(keyspace)
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await desk.store.commit([{ key, version }, desk.leadership.fence, ...also], [put(key, rule)])
      return result.ok ? result.revision : null
    } catch (error) {
      if (!isSwError(error) || error.class !== 'unknown' || attempt > 20) throw error
      const now = await readRecord<ReadRule>(desk.store, key)
      if (now !== null && now.version !== version) return JSON.stringify(now.value) === JSON.stringify(rule) ? now.version : null
    }
  }
}

export type FleetPair = { readonly old: FleetRecord; readonly new: FleetRecord }

export async function pairsOf(store: Store, workflow: WorkflowRecord): Promise<FleetPair[]> {
  const { toBranch } = specOf(workflow)
  const old = await fleetsOf(store, workflow.keyspace, 'main')
  const fresh = await fleetsOf(store, workflow.keyspace, toBranch)
  return fresh.flatMap((one) => {
    const pair = old.find((other) => other.topicId === one.topicId)
    return pair === undefined ? [] : [{ old: pair, new: one }]
  })
}

/** Of all fleets of the run, both sides: what evidence counts under. */
export function digestOfPairs(pairs: readonly FleetPair[]): string {
  return [...new Set(pairs.flatMap((pair) => [pair.old.definitionDigest, pair.new.definitionDigest]))].toSorted().join('+')
}

/**
 * What readiness is judged by, besides the definition: shards of both sides, topics, how the branch is filled. When it is another one than was
 * noted, the plan has a new version, and nothing that was shown under the older one counts (lore: readiness of an older plan).
 */
export async function refreshPlan(desk: Desk, workflow: WorkflowRecord): Promise<WorkflowRecord> {
  const { store } = desk
  const { toBranch, bootstrap } = specOf(workflow)
  const pairs = await pairsOf(store, workflow)
  const placesOf = async (branch: string): Promise<string[]> =>
    (await branchShards({ store }, workflow.keyspace, branch)).map((shard) => `${shard.name} ${shard.uid}`)
  const fleets = pairs.map(({ old, new: fresh }) => [old.topicId, old.branchId, fresh.branchId, fresh.startOffsets])
  const planText = JSON.stringify([bootstrap, await placesOf('main'), await placesOf(toBranch), fleets])
  const definitionDigest = digestOfPairs(pairs)
  const data = dataOf(workflow)
  if (data.planText === planText && data.definitionDigest === definitionDigest) return workflow
  return changeRun(desk, workflow, (now) => {
    const had = dataOf(now)
    if (had.planText === planText && had.definitionDigest === definitionDigest) return null
    const version = (had.planVersion ?? 0) + 1
    const data: DualWriteData = { planText, definitionDigest, planVersion: version }
    if (had.planText === undefined) return { data }
    return {
      data: { ...data, ready: null },
      ...(now.state === 'ready' ? { state: 'validating' as const } : {}),
      journal: `plan version ${version}: shards, topics or definition are others than before; what was shown under version ${version - 1} does not count`,
    }
  })
}

export async function openRunOn(store: Store, keyspace: string): Promise<WorkflowRecord | null> {
  const all = await listRecords<WorkflowRecord>(store, keys.workflowsOf(keyspace))
  return all.map((record) => record.value).find((one) => one.kind === 'dualwrite' && !one.ended) ?? null
}

export function sideName(workflow: WorkflowRecord, branch: string): string {
  return branchKeyspace(workflow.keyspace, branch)
}
