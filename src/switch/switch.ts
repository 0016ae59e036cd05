/**
 * The switch: the order of its steps (PROTOCOLS 3). Reverse is the same with the sides swapped.
 *
 * Before the commit that holds clients everything is done that can be. From it to the deciding commit any failure gives up, by the other
 * outcome of the same compare-and-set, *before* a lock or fence is lifted. After the deciding commit there is only forward. When the lead is
 * lost nothing more is done at all: the successor reads the record and goes on from there.
 */
import type { Clock } from '../base/clock.ts'
import { isSwError, SwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { ErrorView } from '../topology/records.ts'
import { ControllerDied } from './crash-points.ts'
import { settled } from './settled.ts'
import type { SwitchFailpoint } from './crash-points.ts'
import type { SwitchEffects } from './effects.ts'
import { switchErrors } from './errors.ts'
import type { SwitchPlan } from './plan.ts'
import type { SwitchStepName } from './steps.ts'
import type { SwitchReport, SwitchStep } from './report.ts'
import type { KilledSession } from './sessions.ts'

export type RunSwitchOptions = {
  plan: Pick<SwitchPlan, 'keyspace' | 'workflow' | 'from' | 'to'> & Partial<Pick<SwitchPlan, 'triggers'>>
  effects: SwitchEffects
  dryRun: boolean
  clock: Clock
  log: Log
  /** The lead. */
  signal: AbortSignal
  /** From the hold to the deciding commit: past it the switch is given up. */
  limitMs: number
  failpoint: SwitchFailpoint
  undo: string
  onStep?: (name: SwitchStepName) => void
}

export async function runSwitch(options: RunSwitchOptions): Promise<SwitchReport> {
  const { plan, effects, clock, log, signal, failpoint } = options
  const startedMs = clock.monotonicMs()
  const startedAtMs = clock.nowMs()
  const steps: SwitchStep[] = []
  const killed: KilledSession[] = []
  const notes: string[] = []
  let current = ''
  let holdSetMs: number | null = null
  let holdOffMs: number | null = null
  let died = false

  async function step<T>(name: SwitchStepName, work: () => Promise<T>, until: AbortSignal = signal): Promise<T> {
    until.throwIfAborted()
    current = name
    options.onStep?.(name)
    const beganMs = clock.monotonicMs()
    try {
      return await work()
    } finally {
      steps.push({ name, startMs: beganMs - (holdSetMs ?? startedMs), ms: clock.monotonicMs() - beganMs })
    }
  }
  const report = (outcome: SwitchReport['outcome'], more: Partial<SwitchReport> = {}): SwitchReport => ({
    keyspace: plan.keyspace,
    workflow: plan.workflow,
    outcome,
    from: plan.from.shards.map((shard) => shard.shard),
    to: plan.to.shards.map((shard) => shard.shard),
    startedAtMs,
    stallMs: holdSetMs === null || holdOffMs === null ? null : holdOffMs - holdSetMs,
    steps,
    holds: null,
    killed,
    notes: [...new Set(notes)],
    blockers: [],
    error: null,
    undo: null,
    ...more,
  })

  try {
    const preflight = await step('preflight', () => effects.preflight())
    notes.push(...preflight.notes)
    if (preflight.blockers.length > 0) return report('refused', { blockers: preflight.blockers.map(errorView) })
    notes.push(...(await step('prepare', () => effects.prepare())))
    await failpoint('prepared')

    const limit = new AbortController()
    const held = AbortSignal.any([signal, limit.signal])
    const stopTimer = new AbortController()
    let given: unknown = null
    holdSetMs = clock.monotonicMs()
    try {
      await step('hold writes at the gates', () => effects.hold())
      clock.sleep(options.limitMs, stopTimer.signal).then(
        () => limit.abort(switchErrors.timeUp({ limitMs: options.limitMs, step: current })),
        () => undefined,
      )
      await within(held, tillProven(held), () => effects.dropSessions())
      stopTimer.abort()
      // No limit on this one: what it decided must be known before anything else.
      await step('decide: switched', () => effects.decide('switched'))
    } catch (error) {
      given = error
    } finally {
      stopTimer.abort()
    }
    if (given !== null) {
      if (signal.aborted || given instanceof ControllerDied || !mayGiveUp(given)) throw given
      log.warn({ keyspace: plan.keyspace, error: String(given), step: current }, 'giving the switch up')
      await step('decide: back', () => effects.decide('back'))
    }
    await failpoint('decided')
    const ended = await step(given === null ? 'open the new side' : 'open the old side again', () => effects.finish())
    holdOffMs = clock.monotonicMs()
    killed.push(...ended)
    await failpoint('stable')
    const holds = await effects.holds()
    if (given !== null) return report('given up', { error: errorView(given), holds })
    return report(options.dryRun ? 'dry run' : 'switched', { holds, undo: options.undo })
  } catch (error) {
    died = error instanceof ControllerDied
    throw error
  } finally {
    if (!died) await effects.close()
  }

  async function tillProven(held: AbortSignal): Promise<void> {
    await failpoint('held')
    // The new side's fences are looked at while the gates come to rest.
    const [seen] = await settled([
      step('gates acknowledge', () => effects.gatesAcknowledge(), held),
      step('the new side is closed', () => effects.requireClosed(), held),
    ])
    if (seen.silent.length > 0) notes.push(`gates that did not acknowledge in time: ${seen.silent.join(', ')}`)
    if (seen.open > 0) notes.push(`transactions still open at the gates when the grace was over: ${seen.open}`)
    await failpoint('acknowledged')
    killed.push(...(await step('lock the tables', () => effects.lockTables(held), held)))
    await failpoint('tablesLocked')
    const [, raised] = await settled([step('drain', () => effects.drain(held), held), step('ids', () => effects.raiseIds(), held)])
    notes.push(...raised.map((text) => `ids raised: ${text}`))
    await failpoint('drained')
    killed.push(...(await step('close the old side', () => effects.closeServing(), held)))
    await failpoint('closed')
    await step('release the table locks', () => effects.releaseTableLocks(), held)
    await failpoint('locksReleased')
    const moves = plan.triggers === 'at-switch'
    if (moves) await step('drop triggers of the old side', () => effects.dropObjects(), held)
    const [, , carried] = await settled([
      step('drain under the fence', () => effects.drain(held), held),
      step('prove the way back', () => effects.proveWayBack(held), held),
      step('carry rows of shards', () => carry(held), held),
    ])
    notes.push(...carried)
    if (moves) notes.push(...(await step('make triggers and events', () => effects.makeObjects(), held)))
    await failpoint('wayBackProven')
    held.throwIfAborted()
  }

  async function carry(held: AbortSignal): Promise<readonly string[]> {
    const rows = await effects.carryRows(held)
    await failpoint('rowsCarried')
    return rows
  }
}

/**
 * Work that is cut when the signal aborts, even where a statement hangs: `cut` ends its sessions, and then it is waited for. Nothing of it
 * runs on beside what is done next (a fence still being laid while the server is opened again would leave it closed).
 */
async function within(signal: AbortSignal, work: Promise<void>, cut: () => Promise<void>): Promise<void> {
  work.catch(() => undefined)
  const over = new AbortController()
  const aborted = new Promise<'aborted'>((resolve) => {
    if (signal.aborted) resolve('aborted')
    else signal.addEventListener('abort', () => resolve('aborted'), { signal: over.signal })
  })
  try {
    if ((await Promise.race([work, aborted])) !== 'aborted') return
    await cut()
    await work.catch(() => undefined)
    throw signal.reason
  } finally {
    over.abort()
  }
}

/** Not when somebody else has decided, or leads: what they decided holds. */
function mayGiveUp(error: unknown): boolean {
  return !isSwError(error, 'SW-SWITCH-001') && !isSwError(error, 'SW-SWITCH-010') && !isSwError(error, 'SW-TOPOLOGY-007')
}

export function errorView(error: unknown): ErrorView {
  if (error instanceof SwError) return { code: error.code, what: error.message, why: error.why, fix: error.fix }
  return {
    code: 'SW-SWITCH-000',
    what: error instanceof Error ? error.message : String(error),
    why: 'An error that was not foreseen.',
    fix: 'See the log; report it.',
  }
}
