/** Whether reads may move to the branch: every rung that the run asks for was shown, under the plan and the definition that stand now. */
import { rungs, withEarlier } from '../verify/ladder/evidence.ts'
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'
import { readSlots } from '../topology/dualwrite-records.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { listRecords, put, readRecord } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { isFilled } from './dualwrite-coverage.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { changeRun, pairsOf } from './dualwrite-record.ts'
import type { Desk } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import { writersInTheWay } from './writers-seen.ts'

export async function evidenceOf(store: Store, workflowUid: string): Promise<Map<Rung, Evidence>> {
  const all = (await listRecords<Evidence>(store, keys.evidenceOf(workflowUid))).map((record) => record.value)
  return new Map(all.map((evidence) => [evidence.rung, evidence]))
}

/** Beside what the rung said before: a verdict that was overturned stays to be read. */
export async function keepEvidence({ store, leadership }: Desk, evidence: Evidence): Promise<void> {
  const key = keys.evidence(evidence.workflowUid, evidence.rung)
  const before = await readRecord<Evidence>(store, key)
  await store.commit([leadership.fence], [put(key, withEarlier(evidence, before?.value ?? null))])
}

/**
 * Of the last comparison before the old side is stopped: what the run asks for and rows can show, and L0 to L2 whatever it asks for. Capacity and latency say nothing
 * about rows, and nobody reads the old side any more. Pure.
 */
export function lastRungs(asked: readonly Rung[]): Rung[] {
  return rungs.filter((rung) => ['L0', 'L1', 'L2'].includes(rung) || (rung === 'L3' && asked.includes(rung)))
}

/** Coverage and dimension tables are looked at once a second: what was found longer ago is not known any more (promise 6). */
const staleMs = 15_000

/** What reads of the old branch take: as it was watched before any moved, else as L5 measured it; null: not known. */
export function baselineOf(workflow: WorkflowRecord, evidence: ReadonlyMap<Rung, Evidence>): number | null {
  const measured = evidence.get('L5')?.numbers['p95OldMs']
  return dataOf(workflow).baselineP95Ms ?? (typeof measured === 'number' ? measured : null)
}

/** Rungs that see what somebody else wrote on one side. */
const comparing: ReadonlySet<Rung> = new Set<Rung>(['L1', 'L2', 'L3'])

/** Null: ready. Else what is missing, all of it. Pure. */
export function whyNotReady(workflow: WorkflowRecord, evidence: ReadonlyMap<Rung, Evidence>, nowMs: number): string | null {
  const { rungs: asked, bootstrap, allow } = specOf(workflow)
  const { coverage, dimensions, planVersion, definitionDigest, writers } = dataOf(workflow)
  const missing: string[] = []
  const old = (what: string, atMs: number): string | null =>
    nowMs - atMs <= staleMs ? null : `${what} was last looked at ${Math.round((nowMs - atMs) / 1000)} s ago`
  const stale = [
    coverage === undefined ? null : old('how full the branch is', coverage.atMs),
    bootstrap !== 'hybrid' || dimensions === undefined ? null : old('whether dimension tables are in step', dimensions.atMs),
  ]
  missing.push(...stale.filter((one) => one !== null))
  if (coverage === undefined || !isFilled(coverage))
    missing.push(`the branch is not filled (${coverage?.percent ?? 'unknown'} %: ${coverage?.because ?? 'not measured yet'})`)
  if (bootstrap === 'hybrid' && dimensions?.state !== 'following')
    missing.push(
      `dimension tables ${dimensions?.landedAtMs === undefined ? 'have not landed' : 'are not known to be in step'} (${dimensions === undefined ? 'their copy has not begun' : dimensions.because})`,
    )
  for (const rung of asked) {
    const shown = evidence.get(rung)
    if (shown === undefined) missing.push(`${rung} was not shown`)
    else if (shown.planVersion !== planVersion)
      missing.push(`${rung} was shown under plan version ${shown.planVersion}, and ${planVersion} stands`)
    else if (shown.definitionDigest !== definitionDigest) missing.push(`${rung} was shown for another definition`)
    else if (shown.verdict !== 'pass') missing.push(`${rung} ${shown.verdict === 'fail' ? 'failed' : 'is unknown'}: ${shown.because}`)
  }
  const others = allow.includes('writers') ? null : writersInTheWay(writers, comparedAt(asked, evidence), nowMs)
  if (others !== null) missing.push(others)
  return missing.length === 0 ? null : missing.join('; ')
}

/** When the oldest comparison began that counts; null: the run asks for none, and none was shown. Those that are missing are named anyway. */
function comparedAt(wanted: readonly Rung[], evidence: ReadonlyMap<Rung, Evidence>): number | null {
  const asked = wanted.filter((rung) => comparing.has(rung))
  if (asked.length > 0) return Math.min(...asked.map((rung) => evidence.get(rung)?.atMs ?? Infinity))
  const shown = [...evidence.values()].filter(({ rung, verdict }) => comparing.has(rung) && verdict === 'pass')
  return shown.length === 0 ? null : Math.max(...shown.map(({ atMs }) => atMs))
}

/** The definitions as they are on disk are those of the fleets. SW-DUALWRITE-009. */
export async function requireSameDefinitions(world: DualWriteWorld, workflow: WorkflowRecord): Promise<void> {
  for (const pair of await pairsOf(world.store, workflow)) {
    for (const fleet of [pair.old, pair.new]) {
      const { digest } = await world.loadDefinition(fleet.definitionPath)
      if (digest !== fleet.definitionDigest)
        throw dualwriteErrors.otherDefinition({ path: fleet.definitionPath, now: digest, fleet: fleet.name, was: fleet.definitionDigest })
    }
    if (pair.old.definitionDigest !== pair.new.definitionDigest)
      throw dualwriteErrors.otherDefinition({
        path: pair.old.definitionPath,
        now: pair.old.definitionDigest,
        fleet: pair.new.name,
        was: pair.new.definitionDigest,
      })
  }
}

/** The state that the read rule and the evidence say, for the states in which reads may be anywhere. */
export async function settleState(world: Pick<DualWriteWorld, 'store'>, desk: Desk, run: WorkflowRecord): Promise<void> {
  const rule = await readRecord<ReadRule>(world.store, keys.reads(run.keyspace))
  const evidence = await evidenceOf(world.store, run.uid)
  if (rule === null || rule.value.workflow !== run.uid) return
  const { moved, overrides } = rule.value
  await changeRun(desk, run, (now) => {
    if (!['validating', 'ready', 'ramping', 'switched'].includes(now.state)) return null
    const onNew = moved > 0 || Object.values(overrides).some((one) => one.branch !== rule.value.from)
    const ready = whyNotReady(now, evidence, desk.clock.nowMs()) === null
    const state = moved === readSlots ? 'switched' : onNew ? 'ramping' : ready ? 'ready' : 'validating'
    if (state === now.state) return null
    return { state, ...(state === 'switched' ? { data: { switchedAtMs: desk.clock.nowMs() } } : {}), journal: `it is ${state}` }
  })
}
