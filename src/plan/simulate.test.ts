/** The simulator against the closed formulas (constant load), and against what they leave out. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { PlanInput } from './figures.ts'
import { Load } from './load.ts'
import { planWay } from './plan.ts'
import type { Way } from './result.ts'
import { scaledTo, scenarioDefaults, simulate } from './simulate.ts'
import type { Simulation } from './simulate.ts'
import { sample } from './testkit/sample.ts'
import { day, hour } from './text.ts'

const close = (a: number, b: number, share = 1e-6): void =>
  assert.ok(Math.abs(a - b) <= 1e-3 + share * Math.max(Math.abs(a), Math.abs(b)), `${a} is not ${b}`)
const formula = (input: PlanInput, way: Way): number => planWay(input, way).readySeconds as number
const run = (input: PlanInput, way: Way, more: Partial<typeof scenarioDefaults> = {}): Simulation =>
  simulate(input, way, { ...scenarioDefaults, ...more })

describe('a constant load gives what the formulas give', () => {
  for (const way of ['replicate', 'wait', 'pin', 'pin+wait'] as const)
    test(`${way}, worked example`, () => {
      const input = sample({ topicRetentionSeconds: way === 'pin' ? 9 * day : 3 * day })
      close(run(input, way).readySeconds ?? 0, formula(input, way))
    })
  test('any figures: dual-write', () => {
    const input = fc.record({
      storeRetentionSeconds: fc.integer({ min: 600, max: 100 * day }),
      topicRetentionSeconds: fc.integer({ min: 600, max: 100 * day }),
      marginSeconds: fc.integer({ min: 0, max: day }),
      eventsPerSecond: fc.integer({ min: 1, max: 100_000 }),
    })
    fc.assert(
      fc.property(
        input,
        fc.double({ min: 1.05, max: 20, noNaN: true }),
        fc.constantFrom<Way>('wait', 'pin', 'pin+wait'),
        (figures, times, way) => {
          const plan = sample({ ...figures, fleetEventsPerSecond: figures.eventsPerSecond * times, targetFreeBytes: 'unknown' })
          const simulated = run(plan, way, { horizonSeconds: 40_000 * day, stepSeconds: day })
          assert.equal(simulated.failed, null)
          close(simulated.readySeconds ?? 0, formula(plan, way))
        },
      ),
      { numRuns: 60 },
    )
  })
  test('any figures: replicate', () => {
    const input = fc.record({
      sourceBytes: fc.integer({ min: 1, max: 1e13 }),
      readBytesPerSecond: fc.integer({ min: 1e6, max: 1e9 }),
      targetWriteBytesPerSecond: fc.integer({ min: 1e6, max: 1e8 }),
      copyDuty: fc.double({ min: 0.1, max: 1, noNaN: true }),
      keySeconds: fc.integer({ min: 0, max: day }),
      binlogBytesPerSecond: fc.integer({ min: 1, max: 1e7 }),
      lagShare: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    fc.assert(
      fc.property(input, fc.double({ min: 1.1, max: 20, noNaN: true }), (figures, times) => {
        const plan = sample({ ...figures, applyBytesPerSecond: figures.binlogBytesPerSecond * times, binlogRetentionSeconds: 1e9 })
        const simulated = run(plan, 'replicate', { horizonSeconds: 40_000 * day, stepSeconds: day })
        close(simulated.readySeconds ?? 0, formula(plan, 'replicate'), 1e-5)
      }),
      { numRuns: 60 },
    )
  })
})

describe('what the formulas leave out', () => {
  test('writes that grow to three times stop a fleet of twice: it falls behind again and is never ready', () => {
    const input = sample({ fleetEventsPerSecond: 20_000 })
    const simulated = run(input, 'wait', { growthTimes: 3, growthSeconds: 4 * day, horizonSeconds: 30 * day })
    assert.equal(simulated.readySeconds, null)
    assert.match(simulated.failed ?? '', /not ready within 30 d/)
    assert.ok(simulated.steps.at(-1)!.lagSeconds > day)
  })
  test('writes that grow make pin later than its formula, not earlier', () => {
    const input = sample({ topicRetentionSeconds: 9 * day })
    const grown = run(input, 'pin', { growthTimes: 2, growthSeconds: 8 * day }).readySeconds ?? 0
    assert.ok(grown > formula(input, 'pin') + hour)
  })
  test('an outage longer than the margin loses the oldest records, unless the retention may be raised', () => {
    const outages = [{ atSeconds: hour, seconds: 12 * hour }]
    const fixed = sample({ marginSeconds: 2 * hour }, { retentionMayBeRaised: { value: false, source: 'given', note: '' } })
    assert.match(run(fixed, 'pin+wait', { outages }).failed ?? '', /no longer held/)
    assert.equal(run(sample({ marginSeconds: 2 * hour }), 'pin+wait', { outages }).failed, null)
  })
  test('days and nights: the mean stays, so the window fills when it would', () => {
    const input = sample()
    close(run(input, 'wait', { dailySwing: 0.4 }).readySeconds ?? 0, 8 * day)
  })
  test('128 → 256 shards: the same times, as each shard stays what it is; 32 times the hours', () => {
    const input = { ...sample(), shardsWanted: 256 }
    const big = scaledTo(input, 128)
    close(run(big, 'wait').readySeconds ?? 0, 8 * day)
    assert.equal(big.figures.sourceBytes.value, 400e9 * 32)
    assert.equal(planWay(big, 'wait').cost.shardHours, planWay(sample(), 'wait').cost.shardHours === 'unknown' ? 0 : 15 * 24 * 256)
    close(formula(big, 'replicate'), formula(sample(), 'replicate'))
  })
  test('90 days: one step an hour, the window full on day 90, and two sets of rows at its peak', () => {
    const simulated = run(sample({ storeRetentionSeconds: 90 * day }), 'wait')
    close(simulated.readySeconds ?? 0, 90 * day)
    assert.ok(simulated.steps.length > 90 * 24)
    close(simulated.peakBytes, 1e12)
    close(simulated.steps[45 * 24 - 1]!.coverage, 0.5)
  })
})

test('nothing is read twice or left out: what was read and what is behind is what was written', () => {
  const input = sample({ topicRetentionSeconds: 9 * day })
  const simulated = run(input, 'pin', {
    growthTimes: 3,
    growthSeconds: 8 * day,
    dailySwing: 0.3,
    outages: [{ atSeconds: 3 * hour, seconds: hour }],
    horizonSeconds: 20 * day,
  })
  const load = new Load({ eventsPerSecond: 10_000, growthTimes: 3, growthSeconds: 8 * day, dailySwing: 0.3, stepSeconds: hour })
  let read = 0
  for (const step of simulated.steps) {
    read += step.donePerSecond * hour
    const end = (step.step + 1) * hour
    if (end > simulated.endSeconds) break
    close(read + step.backlog, load.events(-8 * day, end), 1e-6)
    assert.ok(step.coverage >= 0 && step.coverage <= 1)
  }
})
