/** Whether reads may move to the branch: every rung that the run asks for was shown, under the plan and the definition that stand now. */
import type { Evidence, Rung } from '../verify/ladder/evidence.ts'
import { keys } from '../topology/keys.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { isFilled } from './dualwrite-coverage.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { pairsOf } from './dualwrite-record.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'

export async function evidenceOf(store: Store, workflowUid: string): Promise<Map<Rung, Evidence>> {
  const all = (await listRecords<Evidence>(store, keys.evidenceOf(workflowUid))).map((record) => record.value)
  return new Map(all.map((evidence) => [evidence.rung, evidence]))
}

/** Null: ready. Else what is missing, all of it. Pure. */
export function whyNotReady(workflow: WorkflowRecord, evidence: ReadonlyMap<Rung, Evidence>): string | null {
  const { rungs, bootstrap } = specOf(workflow)
  const { coverage, dimensions, planVersion, definitionDigest } = dataOf(workflow)
  const missing: string[] = []
  if (coverage === undefined || !isFilled(coverage))
    missing.push(`the branch is not filled (${coverage?.percent ?? 'unknown'} %: ${coverage?.because ?? 'not measured yet'})`)
  if (bootstrap === 'hybrid' && dimensions?.state !== 'following')
    missing.push(
      `dimension tables ${dimensions?.landedAtMs === undefined ? 'have not landed' : 'are not known to be in step'} (${dimensions === undefined ? 'their copy has not begun' : dimensions.because})`,
    )
  for (const rung of rungs) {
    const shown = evidence.get(rung)
    if (shown === undefined) missing.push(`${rung} was not shown`)
    else if (shown.planVersion !== planVersion)
      missing.push(`${rung} was shown under plan version ${shown.planVersion}, and ${planVersion} stands`)
    else if (shown.definitionDigest !== definitionDigest) missing.push(`${rung} was shown for another definition`)
    else if (shown.verdict !== 'pass') missing.push(`${rung} ${shown.verdict === 'fail' ? 'failed' : 'is unknown'}: ${shown.because}`)
  }
  return missing.length === 0 ? null : missing.join('; ')
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
