/** `plan`: measured by change/, judged and simulated by plan/, which is pure. */
import type { PlanRequest, PlanView } from '../api/plan-schemas.ts'
import { measurePlan } from '../change/plan-measure.ts'
import type { World } from '../change/servers.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { assume } from '../plan/assume.ts'
import type { PlanInput } from '../plan/figures.ts'
import { picture } from '../plan/picture.ts'
import { plan } from '../plan/plan.ts'
import { planLines, table } from '../plan/report.ts'
import type { PlanResult, Way } from '../plan/result.ts'
import { coarseness, simulationRows, tableHead } from '../plan/simulation-table.ts'
import { scaledTo, scenarioDefaults, simulate } from '../plan/simulate.ts'
import type { Scenario, Simulation } from '../plan/simulate.ts'
import { durationText, hour } from '../plan/text.ts'

export async function planKeyspace(world: World, keyspace: string, request: PlanRequest): Promise<PlanView> {
  const found = await measurePlan({
    store: world.store,
    clock: world.clock,
    log: world.log,
    loadDefinition,
    keyspace,
    shardsWanted: request.toShards,
    definition: request.definition,
    topic: request.topic,
    sampleMs: request.sampleMs,
    signal: AbortSignal.timeout(request.sampleMs + 60_000),
  })
  return viewOf(found, request)
}

/** Pure. */
export function viewOf(found: PlanInput, request: PlanRequest): PlanView {
  const input = assume(request.fromShards === undefined ? found : scaledTo(found, request.fromShards), request.assume)
  const result = plan(input)
  const simulations = request.simulate === undefined ? [] : simulateWays(result, request.simulate)
  const title = `${input.keyspace}, ${input.shardsNow} → ${input.shardsWanted} shards${request.simulate !== undefined && request.simulate.growTimes !== 1 ? `, writes grow to ${request.simulate.growTimes} times` : ''}`
  const views = simulations.map((one) => ({
    ...one,
    steps: one.steps.map((step) => ({ ...step, notes: [...step.notes] })),
    milestones: [...one.milestones],
    table: [[...tableHead], ...simulationRows(one, request.simulate?.everySeconds ?? coarseness(one))],
  }))
  return {
    keyspace: input.keyspace,
    shardsNow: input.shardsNow,
    shardsWanted: input.shardsWanted,
    advice: { way: result.advice.way, because: [...result.advice.because] },
    ways: result.ways.map((way) => ({ ...way })),
    figures: { ...input.figures },
    facts: { ...input.facts },
    simulations: views,
    svg: simulations.length === 0 ? null : picture(title, simulations),
    text: [...planLines(result), ...views.flatMap((one) => ['', ...simulationLines(one)])],
  }
}

function simulationLines(view: PlanView['simulations'][number]): string[] {
  const [head = [], ...rows] = view.table
  const end = view.failed ?? `ready after ${durationText(view.readySeconds ?? 'unknown')}, all over after ${durationText(view.endSeconds)}`
  return [`simulation of ${view.way}: ${end}`, ...table(head, rows)]
}

function simulateWays(result: PlanResult, wanted: NonNullable<PlanRequest['simulate']>): Simulation[] {
  const asked = wanted.ways
  const chosen: readonly Way[] =
    asked ?? result.ways.filter((one) => one.fits !== 'unfit' && typeof one.readySeconds === 'number').map((one) => one.way)
  return chosen.map((way) => {
    const ready = result.ways.find((one) => one.way === way)?.readySeconds
    const seconds = typeof ready === 'number' ? ready : 0
    // What takes weeks is looked at by the hour, what takes seconds (a demonstration) by parts of it.
    const step = wanted.stepSeconds ?? (seconds >= 24 * hour || seconds === 0 ? hour : Math.max(seconds / 48, 0.001))
    const hold = result.input.figures.holdSeconds.value
    const span = seconds + (typeof hold === 'number' ? hold : 0)
    const scenario: Scenario = {
      growthTimes: wanted.growTimes,
      growthSeconds: wanted.growSeconds ?? Math.max(seconds, step),
      dailySwing: wanted.dailySwing,
      stepSeconds: Math.max(step, (span * 4) / 20_000),
      outages: wanted.outages,
      rampSeconds: wanted.rampSeconds ?? Math.min(scenarioDefaults.rampSeconds, Math.max(step, seconds / 4)),
      horizonSeconds: Math.max(span * 4, 48 * step),
    }
    return simulate(result.input, way, scenario)
  })
}
