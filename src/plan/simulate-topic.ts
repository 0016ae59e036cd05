/**
 * A new branch filled from the topic. The state is one number beside the time: `at`, the event time up to which the fleet has written. It
 * reads w records a second, so `at` moves w / rate(at) seconds a second while it is behind, and with the time once it is not. Written
 * from `start` on, the branch covers the rows' retention when it has caught up and start ≤ now − Rd.
 */
import { assert } from '../base/assert.ts'
import type { FigureName, PlanInput } from './figures.ts'
import { pinDepthSeconds } from './formulas.ts'
import type { Load } from './load.ts'
import { replicateReady } from './ready.ts'
import type { Way } from './result.ts'
import type { Milestone, Scenario, SimulatedStep, Simulation } from './simulate.ts'
import { durationText } from './text.ts'

/** More turns than any scenario needs: a bug must not hold the process that asked. */
const turnsMax = 2_000_000

export function simulateTopic(x: {
  input: PlanInput
  way: Way
  filling: Way
  scenario: Scenario
  load: Load
  number: (name: FigureName) => number
}): Simulation {
  const { input, way, filling, scenario, load, number } = x
  const rd = number('storeRetentionSeconds')
  const w = number('fleetEventsPerSecond')
  const hold = number('holdSeconds')
  const pins = filling !== 'wait'
  const rk = pins ? number('topicRetentionSeconds') : Number.MAX_SAFE_INTEGER
  const depth = pins ? pinDepthSeconds({ storeRetentionSeconds: rd, topicRetentionSeconds: rk, marginSeconds: number('marginSeconds') }) : 0
  const raised = input.facts.retentionMayBeRaised.value === true
  const dimensionsAt = way === 'hybrid' ? replicateReady(input, input.figures.dimensionBytes.value).seconds : 0
  const start = -depth
  const bytesAnEvent = bytesPerEvent(input, number, rd)
  const dimensionBytes = way === 'hybrid' ? number('dimensionBytes') : 0
  const free = input.figures.targetFreeBytes.value

  const { stepSeconds, horizonSeconds } = scenario
  const milestones: Milestone[] = [
    { atSeconds: 0, text: pins ? `fleet pinned ${durationText(depth)} back` : 'fleet starts at the end of the topic' },
  ]
  const steps: SimulatedStep[] = []
  let t = 0
  let turns = 0
  let at = start
  let caughtUp = depth === 0
  let readySeconds: number | null = null
  let failed: string | null = null
  let rampedAt = Infinity
  let stoppedAt = Infinity
  let endAt = horizonSeconds
  let peakBacklog = load.events(at, t)
  let peakBytes = 0
  let notes: string[] = []
  let seen = 0
  if (caughtUp) milestones.push({ atSeconds: 0, text: 'nothing to catch up' })

  while (t < endAt - tiny(t) && failed === null) {
    const index = load.step(t + tiny(t))
    const stepEnd = (index + 1) * stepSeconds
    const stepStart = t
    const writtenBefore = load.events(start, at)
    // Within one step of the load: from event to event.
    while (t < stepEnd - tiny(t) && t < endAt - tiny(t) && failed === null) {
      assert(++turns < turnsMax, 'the simulation does not end')
      const outage = scenario.outages.find((o) => t >= o.atSeconds - tiny(t) && t < o.atSeconds + o.seconds - tiny(t))
      const edge = nextEdge(scenario.outages, t)
      const behind = at < t - tiny(t)
      const rate = load.rate(behind ? load.step(at + tiny(at)) : index)
      const speed = outage !== undefined ? 0 : behind ? (rate === 0 ? Infinity : w / rate) : rate <= w ? 1 : w / rate
      if (speed === Infinity) {
        at = Math.min(t, (load.step(at + tiny(at)) + 1) * stepSeconds)
        continue
      }
      let span = Math.min(stepEnd, endAt, edge) - t
      if (behind && speed > 0) span = Math.min(span, ((load.step(at + tiny(at)) + 1) * stepSeconds - at) / speed)
      if (behind && speed > 1) span = Math.min(span, (t - at) / (speed - 1))
      if (!raised && speed < 1) span = Math.min(span, Math.max(0, at - (t - rk)) / (1 - speed) + 1e-6)
      const covered = start + rd
      if (t < covered) span = Math.min(span, covered - t)
      if (typeof dimensionsAt === 'number' && t < dimensionsAt) span = Math.min(span, dimensionsAt - t)
      t += span
      at = Math.min(t, at + span * speed)
      if (at >= t - tiny(t)) at = t
      if (!raised && t - rk > at) failed = `at ${durationText(t)} the topic no longer held what the fleet had still to read`
      if (at === t && !caughtUp) {
        caughtUp = true
        milestones.push({ atSeconds: t, text: 'backlog read' })
      } else if (at < t && caughtUp && t - at > 60 && readySeconds === null) caughtUp = false
      const dimensions = typeof dimensionsAt === 'number' && t >= dimensionsAt - tiny(t)
      if (readySeconds === null && at === t && t >= covered - tiny(t) && dimensions) {
        readySeconds = t
        rampedAt = t + scenario.rampSeconds
        stoppedAt = rampedAt + hold
        endAt = Math.min(horizonSeconds, stoppedAt + Math.min(rk, rd))
        milestones.push({ atSeconds: t, text: 'ready: the whole window is on the new branch' })
        milestones.push({ atSeconds: rampedAt, text: 'readers are on the new branch' })
        milestones.push({ atSeconds: stoppedAt, text: 'the old fleet stops' })
        milestones.push({ atSeconds: endAt, text: 'the old rows go' })
      }
    }
    const backlog = load.events(at, t)
    peakBacklog = Math.max(peakBacklog, backlog)
    const oldBytes = dimensionBytes + bytesAnEvent * load.events(Math.min(t, stoppedAt) - rd, Math.min(t, stoppedAt))
    const dimensionShare = typeof dimensionsAt !== 'number' ? 0 : dimensionsAt === 0 ? 1 : Math.min(1, t / dimensionsAt)
    const newBytes = dimensionBytes * dimensionShare + bytesAnEvent * load.events(Math.max(start, t - rd), at)
    peakBytes = Math.max(peakBytes, oldBytes + newBytes)
    if (typeof free === 'number' && newBytes > free) failed = `at ${durationText(t)} the targets' disks were full`
    while (seen < milestones.length) {
      const milestone = milestones[seen] as Milestone
      if (milestone.atSeconds > t) break
      if (!notes.includes(milestone.text)) notes.push(milestone.text)
      seen++
    }
    steps.push({
      step: index,
      phase: phaseAt(t, { caughtUp, readySeconds, rampedAt, stoppedAt }),
      eventsPerSecond: load.rate(index),
      donePerSecond: t === stepStart ? 0 : (load.events(start, at) - writtenBefore) / (t - stepStart),
      backlog,
      lagSeconds: t - at,
      coverage: rd === 0 ? 1 : Math.max(0, Math.min(1, (at - Math.max(start, t - rd)) / rd)),
      oldBytes: t >= endAt ? 0 : oldBytes,
      newBytes,
      notes,
    })
    notes = []
  }
  if (readySeconds === null && failed === null) failed = `not ready within ${durationText(horizonSeconds)}`
  if (failed !== null) milestones.push({ atSeconds: t, text: failed })
  return {
    way,
    stepSeconds,
    steps,
    readySeconds,
    endSeconds: t,
    failed,
    milestones: milestones.filter((m) => m.atSeconds <= t),
    peakBacklog,
    peakBytes,
  }
}

function bytesPerEvent(input: PlanInput, number: (name: FigureName) => number, rd: number): number {
  const r = number('eventsPerSecond')
  return r === 0 || rd === 0 || typeof input.figures.steadyStateBytes.value !== 'number'
    ? 0
    : input.figures.steadyStateBytes.value / (rd * r)
}

function nextEdge(outages: Scenario['outages'], t: number): number {
  let next = Infinity
  for (const { atSeconds, seconds } of outages)
    for (const edge of [atSeconds, atSeconds + seconds]) if (edge > t + tiny(t)) next = Math.min(next, edge)
  return next
}

function phaseAt(t: number, x: { caughtUp: boolean; readySeconds: number | null; rampedAt: number; stoppedAt: number }): string {
  if (x.readySeconds === null) return x.caughtUp ? 'filling' : 'catching up'
  if (t <= x.rampedAt) return 'ramping'
  return t <= x.stoppedAt ? 'holding' : 'decommissioning'
}

/** Far below a millisecond, far above what adding such numbers loses. */
function tiny(t: number): number {
  return 1e-9 * Math.max(1, Math.abs(t))
}
