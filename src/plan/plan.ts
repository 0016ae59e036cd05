/** The plan: every way with its time, cost, peaks and reasons, and which one to take (PROTOCOLS 5, decision table). Pure. */
import { calculate } from './amount.ts'
import type { Amount, PlanInput } from './figures.ts'
import { abortPoints } from './abort-points.ts'
import { fillingWay, pinReady, readyOf } from './ready.ts'
import { reasonsFor, targetDiskBytes } from './reasons.ts'
import type { Cost, Fits, Peak, PlanResult, Reason, Way, WayPlan } from './result.ts'
import { ways } from './result.ts'
import { day, durationText } from './text.ts'

export function plan(input: PlanInput): PlanResult {
  const all = ways.map((way) => planWay(input, way))
  return { input, ways: all, advice: advise(input, all) }
}

export function planWay(input: PlanInput, way: Way): WayPlan {
  const ready = readyOf(input, way)
  const reasons = reasonsFor(input, way)
  return {
    way,
    fits: fitsBy(reasons),
    reasons,
    readySeconds: ready.seconds,
    readyBecause: ready.because,
    phases: [
      ...ready.phases,
      { name: way === 'replicate' ? 'switch' : 'ramp', seconds: way === 'replicate' ? 1 : 'unknown' },
      { name: 'hold', seconds: input.figures.holdSeconds.value },
    ],
    cost: costOf(input, way, ready.seconds),
    peak: peakOf(input, way),
    abortPoints: abortPoints(way),
  }
}

export function fitsBy(reasons: readonly Reason[]): Fits {
  const has = (weight: Reason['weight']): boolean => reasons.some((reason) => reason.weight === weight)
  if (has('blocks')) return 'unfit'
  if (has('lacks')) return 'unknown'
  return has('strains') ? 'borderline' : 'fits'
}

function costOf(input: PlanInput, way: Way, ready: Amount): Cost {
  const f = input.figures
  const topic = way !== 'replicate'
  const bytes = targetDiskBytes(input, way)
  const hours = calculate([ready, f.holdSeconds.value], (t, hold) => (t + hold) / 3600)
  const shardHours = calculate([hours], (h) => h * input.shardsWanted)
  const consumerHours = topic ? calculate([hours, f.consumers.value], (h, consumers) => h * consumers) : 0
  return {
    consumers: topic ? 2 : 1,
    storage: 2,
    writes: 2,
    reads: 1,
    topicFetches: topic ? 2 : 1,
    extraBytes: bytes,
    shardHours,
    consumerHours,
    total: calculate(
      [shardHours, f.shardHourCost.value, consumerHours, f.consumerHourCost.value],
      (shards, shardCost, consumers, consumerCost) => shards * shardCost + consumers * consumerCost,
    ),
  }
}

function peakOf(input: PlanInput, way: Way): Peak {
  const f = input.figures
  const [r, w] = [f.eventsPerSecond.value, f.fleetEventsPerSecond.value]
  const n = input.shardsWanted
  const copies = way === 'replicate' || way === 'hybrid'
  const read = copies ? calculate([f.readBytesPerSecond.value, f.targetWriteBytesPerSecond.value], (rr, wt) => Math.min(rr, n * wt)) : 0
  const pins = way === 'pin' || way === 'pin+wait' || (way === 'hybrid' && fillingWay(input) !== 'wait' && pinReady(input).catchUp !== 0)
  const fetch = pins ? w : r
  const written =
    way === 'replicate' ? calculate([read], (all) => all / n) : calculate([fetch, f.eventBytes.value], (e, size) => (e * size) / n)
  return {
    sourceReadBytesPerSecond: read,
    targetWriteBytesPerSecond: written,
    topicFetchEventsPerSecond: way === 'replicate' ? r : calculate([r, fetch], (own, second) => own + second),
    topicFetchTimes: way === 'replicate' ? 1 : calculate([r, fetch], (own, second) => (own === 0 ? 1 : (own + second) / own)),
    sourceExtraDiskBytes:
      way === 'replicate'
        ? calculate([f.binlogBytesPerSecond.value, f.binlogRetentionSeconds.value], (b, rb) => (b === 0 ? 0 : b * rb))
        : 0,
    targetDiskBytes: targetDiskBytes(input, way),
    writePauseMs: way === 'replicate' ? 250 : 0,
  }
}

/** Rows up to about two weeks: dual-write; beyond that replicate where it fits, since two sets of shards stand for as long. */
const twoWeeks = 14 * day

function advise(input: PlanInput, all: readonly WayPlan[]): PlanResult['advice'] {
  const of = (way: Way): WayPlan => all.find((one) => one.way === way) as WayPlan
  const replicate = of('replicate')
  const dimensions = input.facts.dimensionTables.value
  const filling = fillingWay(input)
  const topic = of(dimensions !== 'unknown' && dimensions.length > 0 ? 'hybrid' : filling)
  const short = typeof topic.readySeconds === 'number' && topic.readySeconds <= twoWeeks
  const take = (chosen: WayPlan, because: string): PlanResult['advice'] => ({
    way: chosen.way,
    because: [because, ...chosen.reasons.filter((reason) => reason.weight === 'strains').map((reason) => `${reason.text}: ${reason.fix}`)],
  })
  if (topic.fits === 'fits' && short)
    return take(
      topic,
      `all rows come from the topic and it is ready in ${durationText(topic.readySeconds)}: production feels nothing, and no write pauses`,
    )
  if (replicate.fits === 'fits')
    return take(
      replicate,
      topic.fits === 'fits' || topic.fits === 'borderline'
        ? `ready in ${durationText(replicate.readySeconds)} instead of ${durationText(topic.readySeconds)} with two sets of shards`
        : `${topic.way} does not do: ${topic.reasons.find((reason) => reason.weight === (topic.fits === 'unfit' ? 'blocks' : 'lacks'))?.text ?? ''}`,
    )
  if (topic.fits === 'fits') return take(topic, `replicate does not do: ${firstAgainst(replicate)}`)
  for (const one of [replicate, topic])
    if (one.fits === 'borderline')
      return take(
        one,
        `borderline; ${one === replicate ? topic.way : 'replicate'} does not do: ${firstAgainst(one === replicate ? topic : replicate)}`,
      )
  return { way: null, because: [replicate, topic].map((one) => `${one.way}: ${firstAgainst(one)}`) }
}

function firstAgainst(one: WayPlan): string {
  const order: readonly Reason['weight'][] = ['blocks', 'lacks', 'strains']
  for (const weight of order) {
    const reason = one.reasons.find((candidate) => candidate.weight === weight)
    if (reason !== undefined) return `${reason.text} (${reason.fix})`
  }
  return `ready in ${durationText(one.readySeconds)}`
}
