/**
 * Replicate: copy, keys, drain, switch, hold. The state is what has been copied and how many binlog bytes have not been applied. The binlog
 * grows with the load; while the copy runs, `lagShare` of it waits (1: nothing is applied meanwhile).
 */
import { assert } from '../base/assert.ts'
import type { FigureName, PlanInput } from './figures.ts'
import type { Load } from './load.ts'
import type { Milestone, Scenario, SimulatedStep, Simulation } from './simulate.ts'
import { durationText } from './text.ts'

type Phase = 'copying' | 'keys' | 'draining' | 'following' | 'holding'

/** More turns than any scenario needs: a bug must not hold the process that asked. */
const turnsMax = 2_000_000

export function simulateCopy(x: { input: PlanInput; scenario: Scenario; load: Load; number: (name: FigureName) => number }): Simulation {
  const { input, scenario, load, number } = x
  const s = number('sourceBytes')
  const bloat = number('bloat')
  const a = number('applyBytesPerSecond')
  const share = number('lagShare')
  const rb = number('binlogRetentionSeconds')
  const hold = number('holdSeconds')
  const keys = number('keySeconds')
  const copySpeed = Math.min(number('readBytesPerSecond'), input.shardsWanted * number('targetWriteBytesPerSecond')) * number('copyDuty')
  const r = number('eventsPerSecond')
  const b0 = number('binlogBytesPerSecond')
  const logged = (step: number): number => (r === 0 ? b0 : (b0 * load.rate(step)) / r)

  const { stepSeconds, horizonSeconds } = scenario
  const milestones: Milestone[] = [{ atSeconds: 0, text: 'copy begins' }]
  const steps: SimulatedStep[] = []
  let t = 0
  let turns = 0
  let copied = 0
  let backlog = 0
  let phase: Phase = 'copying'
  let phaseEnds = Infinity
  let readySeconds: number | null = null
  let endAt = horizonSeconds
  let failed: string | null = null
  let peakBacklog = 0
  let peakBytes = 0
  let notes: string[] = []
  const tiny = (): number => 1e-9 * Math.max(1, t)
  const reach = (next: Phase, text: string, seconds: number): void => {
    phase = next
    phaseEnds = t + seconds
    milestones.push({ atSeconds: t, text })
    notes.push(text)
  }

  const is = (wanted: Phase): boolean => phase === wanted
  // Fails when a step is not gone through: each step of the outer loop ends at a later time.
  while (t < endAt - tiny() && failed === null) {
    const index = load.step(t + tiny())
    const stepEnd = Math.min((index + 1) * stepSeconds, horizonSeconds)
    const b = logged(index)
    const stepStart = t
    let done = 0
    while (t < stepEnd - tiny() && t < endAt - tiny()) {
      assert(++turns < turnsMax, 'the simulation does not end')
      const stopped = scenario.outages.some((o) => t >= o.atSeconds - tiny() && t < o.atSeconds + o.seconds - tiny())
      const moving = is('copying') || is('keys')
      const grows = stopped ? b : moving ? b * share : backlog > 0 || b > a ? b - a : 0
      let span = Math.min(stepEnd, endAt, edgeAfter(scenario.outages, t + tiny())) - t
      if (is('copying') && !stopped) span = Math.min(span, copySpeed === 0 ? Infinity : (s - copied) / copySpeed)
      else if (!is('copying')) span = Math.min(span, Math.max(0, phaseEnds - t))
      if (!moving && grows < 0) span = Math.min(span, backlog / -grows)
      if (is('copying') && !stopped) copied = Math.min(s, copied + copySpeed * span)
      const before = backlog
      backlog = Math.max(0, backlog + grows * span)
      done += b * span - (backlog - before)
      t += span
      if (backlog <= 1e-9 * Math.max(1, b * stepSeconds)) backlog = 0
      if (is('copying') && s - copied <= 1e-9 * Math.max(1, s)) reach('keys', 'all rows copied', keys)
      if (is('keys') && t >= phaseEnds - tiny()) reach('draining', 'secondary keys built', Infinity)
      if (is('draining') && backlog === 0 && a > b && !stopped) {
        readySeconds = t
        reach('following', 'ready: the targets follow', scenario.rampSeconds)
      }
      if (is('following') && t >= phaseEnds - tiny()) {
        reach('holding', 'switched, in one pause of under a second', hold)
        endAt = Math.min(horizonSeconds, t + hold)
      }
    }
    // The oldest byte not applied is about as old as it takes to log that many; the binlogs must reach back so far.
    const lag = b === 0 ? 0 : backlog / b
    if (lag > rb) failed = `at ${durationText(t)} the sources had dropped binlogs that were not yet applied`
    peakBacklog = Math.max(peakBacklog, backlog)
    const newBytes = copied * (1 + bloat)
    peakBytes = Math.max(peakBytes, s + newBytes)
    steps.push({
      step: index,
      phase: phaseName(phase),
      eventsPerSecond: load.rate(index),
      donePerSecond: t === stepStart ? 0 : Math.max(0, done) / (t - stepStart),
      backlog,
      lagSeconds: lag,
      coverage: s === 0 ? 1 : copied / s,
      oldBytes: s,
      newBytes,
      notes,
    })
    notes = []
  }
  if (readySeconds === null && failed === null) failed = `not ready within ${durationText(horizonSeconds)}`
  milestones.push({ atSeconds: t, text: failed ?? 'complete: the old shards go' })
  return { way: 'replicate', stepSeconds, steps, readySeconds, endSeconds: t, failed, milestones, peakBacklog, peakBytes }
}

function phaseName(phase: Phase): string {
  return phase === 'keys' ? 'building keys' : phase
}

function edgeAfter(outages: Scenario['outages'], t: number): number {
  let next = Infinity
  for (const { atSeconds, seconds } of outages)
    for (const edge of [atSeconds, atSeconds + seconds]) if (edge > t) next = Math.min(next, edge)
  return next
}
