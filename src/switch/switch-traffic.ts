/** The verbs `switchtraffic` and `reversetraffic`: one switch of a workflow's components to the side that does not serve. */
import { noSwitchFailpoint } from './crash-points.ts'
import type { SwitchContext, SwitchLimits } from './context.ts'
import { defaultSwitchLimits } from './context.ts'
import { DryEffects } from './effects.dry.ts'
import { RealEffects } from './effects.real.ts'
import { switchErrors } from './errors.ts'
import { planSwitch } from './plan.ts'
import type { SwitchReport } from './report.ts'
import { runSwitch } from './switch.ts'
import type { SwitchStepName } from './steps.ts'

export type SwitchRequest = {
  readonly keyspace: string
  readonly workflow: string
  /** Whole components, by shards of either side; null: all of the workflow. */
  readonly shards: readonly string[] | null
  /** The shard names that are to serve, of the whole workflow; what serves them already is not switched. */
  readonly to: readonly string[]
  readonly dryRun: boolean
  readonly limits?: Partial<SwitchLimits>
  /** Tables whose differences, found by the last vdiff, do not stop it. */
  readonly allowDifferences?: readonly string[]
  /** Printed as the way back. */
  readonly undo: string
  readonly onStep?: (name: SwitchStepName) => void
}

/**
 * Never throws for what a user can mend: the report's `outcome` and `blockers` say it. SW-SWITCH-011 when that side serves already.
 * Throws when the lead is lost (the successor goes on) or the topology fails.
 */
export async function switchTraffic(context: SwitchContext, request: SwitchRequest): Promise<SwitchReport> {
  const limits: SwitchLimits = { ...defaultSwitchLimits, ...request.limits }
  const whole = await planSwitch(context.store, request)
  const wanted = new Set(request.to)
  const toGo = whole.components.filter((component) => !component.serving.primary.every((shard) => wanted.has(shard)))
  if (toGo.length === 0) throw switchErrors.nothingToSwitch({ reason: `${request.to.join(', ')} serve already` })
  const plan =
    toGo.length === whole.components.length
      ? whole
      : await planSwitch(context.store, { ...request, shards: toGo.flatMap((component) => component.serving.primary) })
  const dry = request.dryRun ? new DryEffects(context, plan, limits, request.allowDifferences) : null
  const report = await runSwitch({
    plan,
    effects: dry ?? new RealEffects(context, plan, limits, request.allowDifferences),
    dryRun: request.dryRun,
    clock: context.clock,
    log: context.log,
    signal: context.leadership.signal,
    limitMs: limits.limitMs,
    failpoint: dry === null ? context.failpoint : noSwitchFailpoint,
    undo: request.undo,
    ...(request.onStep === undefined ? {} : { onStep: request.onStep }),
  })
  // What it took to say it is nothing that anybody will wait for.
  return dry === null ? report : { ...report, stallMs: null, steps: [], notes: [...report.notes, ...dry.lines] }
}
