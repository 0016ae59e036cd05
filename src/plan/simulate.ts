/**
 * `plan --simulate`: what a change would look like hour by hour, with writes that grow, days and nights, and outages, which the closed
 * formulas leave out. Discrete events: the state moves in straight lines from one event (an hour begins, the backlog is gone, the window is
 * full, an outage begins) to the next, whose instant is solved for, not stepped towards. With a constant load it gives what the
 * formulas give (simulate.test.ts holds them together).
 */
import { planErrors } from './errors.ts'
import type { Figure, FigureName, PlanInput } from './figures.ts'
import { Load } from './load.ts'
import type { LoadShape } from './load.ts'
import { fillingWay } from './ready.ts'
import type { Way } from './result.ts'
import { simulateCopy } from './simulate-copy.ts'
import { simulateTopic } from './simulate-topic.ts'
import { hour } from './text.ts'

export type Scenario = Omit<LoadShape, 'eventsPerSecond'> & {
  /** When the new fleet (or the mover) stands still. */
  readonly outages: readonly { readonly atSeconds: number; readonly seconds: number }[]
  /** Validation and dwell times of the ramp. */
  readonly rampSeconds: number
  /** It is given up then. */
  readonly horizonSeconds: number
}

export const scenarioDefaults: Scenario = {
  growthTimes: 1,
  growthSeconds: 0,
  dailySwing: 0,
  stepSeconds: hour,
  outages: [],
  rampSeconds: 6 * hour,
  horizonSeconds: 400 * 24 * hour,
}

export type SimulatedStep = {
  /** Begins at this many steps from the start. */
  readonly step: number
  readonly phase: string
  readonly eventsPerSecond: number
  /** What the second reader (fleet, or tail) got through, in the units of its backlog a second. */
  readonly donePerSecond: number
  /** At the end of the step: records not yet written on the new side (topic ways) or binlog bytes not yet applied (replicate). */
  readonly backlog: number
  readonly lagSeconds: number
  /** Share of what the new side needs that it has. */
  readonly coverage: number
  readonly oldBytes: number
  readonly newBytes: number
  readonly notes: readonly string[]
}

export type Milestone = { readonly atSeconds: number; readonly text: string }

export type Simulation = {
  readonly way: Way
  readonly stepSeconds: number
  readonly steps: readonly SimulatedStep[]
  /** Null: it never was. */
  readonly readySeconds: number | null
  readonly endSeconds: number
  readonly failed: string | null
  readonly milestones: readonly Milestone[]
  readonly peakBacklog: number
  readonly peakBytes: number
}

/** @throws SW-PLAN-003 when a figure that the way needs is not a number */
export function simulate(input: PlanInput, way: Way, scenario: Scenario): Simulation {
  const number = (name: FigureName): number => {
    const { value } = input.figures[name] as Figure
    if (typeof value === 'number') return value
    // What is kept for ever is never in the way.
    if (value === 'unbounded' && name === 'topicRetentionSeconds') return Number.MAX_SAFE_INTEGER
    throw planErrors.notSimulable({ way, missing: name, state: value, name })
  }
  const load = new Load({ ...scenario, eventsPerSecond: number('eventsPerSecond') })
  if (way === 'replicate') return simulateCopy({ input, scenario, load, number })
  return simulateTopic({ input, way, filling: way === 'hybrid' ? fillingWay(input) : way, scenario, load, number })
}

/** The same keyspace with `shards` shards, each as each is now: everything that grows with the number of shards grows with it. */
export function scaledTo(input: PlanInput, shards: number): PlanInput {
  const times = shards / input.shardsNow
  if (times === 1) return input
  const scaled: readonly FigureName[] = [
    'sourceBytes',
    'dimensionBytes',
    'readBytesPerSecond',
    'binlogBytesPerSecond',
    'applyBytesPerSecond',
    'eventsPerSecond',
    'fleetEventsPerSecond',
    'steadyStateBytes',
    'targetFreeBytes',
    'sourceFreeBytes',
    'consumers',
  ]
  const figures = { ...input.figures }
  for (const name of scaled) {
    const figure = input.figures[name]
    if (typeof figure.value === 'number')
      figures[name] = {
        value: figure.value * times,
        source: 'assumed',
        note: `${input.shardsNow} shards' taken ${times} times; ${figure.note}`,
      }
  }
  return { ...input, figures, shardsNow: shards }
}
