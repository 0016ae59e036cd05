/** Carries out one step of the ramp: `ramp.ts` decides, the effects are the caller's. */
import { unreachable } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { nextRamp, rampStart } from './ramp.ts'
import type { RampDecision, RampEffect, RampEvent, RampLimits, ShardVectors } from './ramp.ts'

export type RampEffects = {
  /** Stops the fleet of the side that is left, for as long as the step takes; false: it did not stand still in time. */
  hold(withinMs: number): Promise<boolean>
  /** Null when the answering side has reached where that fleet stands; what it lacks, when it has not in time. */
  near(withinMs: number): Promise<string | null>
  /** Commits `closing`. A text: why not. */
  close(): Promise<string | null>
  /** Gates that did not acknowledge what `close` committed. */
  silentGates(withinMs: number): Promise<readonly string[]>
  /** H, as each answering shard has to reach it: read after the acknowledgements. */
  measure(): Promise<ShardVectors>
  positions(): Promise<ShardVectors>
  /** Compare-and-set on what `close` committed. */
  settle(way: 'toward' | 'back'): Promise<boolean>
  /** The fleet goes on, however the step ended. */
  release(): Promise<void>
}

export type RampOutcome = {
  readonly outcome: 'moved' | 'back' | 'lost' | 'refused'
  readonly reason: string | null
  /** From closing to the outcome: how long reads of the step's tenants waited. */
  readonly stallMs: number | null
  readonly held: boolean
  /** Of those milliseconds, what each part took; null where `stallMs` is. */
  readonly parts: StallParts | null
}

/** Gates to acknowledge, H to be taken, the answering side to reach it, the outcome to be committed; milliseconds. */
export type StallParts = { readonly gates: number; readonly measure: number; readonly reach: number; readonly settle: number }

const partOf: { readonly [effect in RampEffect]?: keyof StallParts } = {
  close: 'gates',
  'await gates': 'gates',
  measure: 'measure',
  look: 'reach',
  open: 'settle',
  back: 'settle',
}

const lookEveryMs = 15

export async function runRamp(effects: RampEffects, limits: RampLimits, clock: Clock, signal: AbortSignal): Promise<RampOutcome> {
  let decision: RampDecision = rampStart
  let closedAtMs: number | null = null
  let held = false
  let looks = 0
  const parts: Record<keyof StallParts, number> = { gates: 0, measure: 0, reach: 0, settle: 0 }
  try {
    while (decision.effect !== 'none') {
      let event: RampEvent
      const sinceMs = clock.monotonicMs()
      const part = partOf[decision.effect]
      try {
        if (decision.effect === 'look' && looks++ > 0) await clock.sleep(lookEveryMs, signal)
        if (decision.effect === 'close') closedAtMs = clock.monotonicMs()
        event = await carryOut(decision.effect, effects, limits, clock)
        if (event.kind === 'held') held = event.held
      } catch (error) {
        // A controller that no longer leads changes nothing: the next one finds the step and gives it up.
        if (signal.aborted) throw error
        event = { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
      }
      if (part !== undefined) parts[part] += Math.round(clock.monotonicMs() - sinceMs)
      decision = nextRamp(decision.state, event, limits)
    }
  } finally {
    await effects.release()
  }
  const { state } = decision
  if (state.kind !== 'ended') throw new Error(`a step ended as ${state.kind}`)
  const stallMs = closedAtMs === null || state.outcome === 'refused' ? null : Math.round(clock.monotonicMs() - closedAtMs)
  return { outcome: state.outcome, reason: state.reason, stallMs, held, parts: stallMs === null ? null : parts }
}

async function carryOut(effect: RampEffect, effects: RampEffects, limits: RampLimits, clock: Clock): Promise<RampEvent> {
  switch (effect) {
    case 'hold': {
      const held = await effects.hold(limits.holdMs)
      // Where it stands is what H will be: caught up with before anybody waits for it.
      return { kind: 'held', held, behind: held ? await effects.near(limits.nearMs) : null }
    }
    case 'close': {
      const reason = await effects.close()
      return reason === null ? { kind: 'closed' } : { kind: 'close refused', reason }
    }
    case 'await gates':
      return { kind: 'acknowledged', silent: await effects.silentGates(limits.gatesMs) }
    case 'measure':
      return { kind: 'measured', needed: await effects.measure(), nowMs: clock.monotonicMs() }
    case 'look':
      return { kind: 'positions', at: await effects.positions(), nowMs: clock.monotonicMs() }
    case 'open':
      return { kind: 'settled', done: await effects.settle('toward') }
    case 'back':
      return { kind: 'settled', done: await effects.settle('back') }
    case 'none':
      throw new Error('nothing is to be done')
    default:
      return unreachable(effect)
  }
}
