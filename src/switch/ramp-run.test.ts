/** What reads wait for in a step of the ramp, and what is done before they do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { runRamp } from './ramp-run.ts'
import type { RampEffects, RampOutcome } from './ramp-run.ts'
import type { ShardVectors } from './ramp.ts'

const limits = { holdMs: 100, nearMs: 300, gatesMs: 200, reachMs: 500 }

/** Passes by sleeping alone. */
function sleepingClock(): Clock {
  let ms = 0
  return {
    nowMs: () => ms,
    monotonicMs: () => ms,
    async sleep(by) {
      ms += by
    },
  }
}
const at = (next: number): ShardVectors => new Map([['-', new Map([['t/0', BigInt(next)]])]])

/** The left side stands at 50; the other applies one in 10 ms and stood at 30 when the step began. Gates take 20 ms. */
async function step(o: { held: boolean }): Promise<{ outcome: RampOutcome; order: string[] }> {
  const clock = sleepingClock()
  const order: string[] = []
  const startMs = clock.monotonicMs()
  const has = (): number => 30 + Math.floor((clock.monotonicMs() - startMs) / 10)
  const signal = new AbortController().signal
  const effects: RampEffects = {
    async hold() {
      order.push('hold')
      return o.held
    },
    async near(withinMs) {
      order.push('near')
      const untilMs = clock.monotonicMs() + withinMs
      while (has() < 50 && clock.monotonicMs() < untilMs) await clock.sleep(5, signal)
    },
    async close() {
      order.push('close')
      return null
    },
    async silentGates() {
      await clock.sleep(20, signal)
      return []
    },
    measure: async () => at(50),
    positions: async () => at(has()),
    settle: async () => true,
    release: async () => undefined,
  }
  return { outcome: await runRamp(effects, limits, clock, signal), order }
}

test('the other side catches up with a fleet that stands before reads wait, who then wait for gates alone', async () => {
  const { outcome, order } = await step({ held: true })
  assert.deepEqual(order, ['hold', 'near', 'close'])
  assert.equal(outcome.outcome, 'moved')
  assert.deepEqual(outcome.parts, { gates: 20, measure: 0, reach: 0, settle: 0 })
  assert.equal(outcome.stallMs, 20)
})

test('a fleet that was not held is not waited for: reads wait until the other side is there, and the step says so', async () => {
  const { outcome, order } = await step({ held: false })
  assert.deepEqual(order, ['hold', 'close'])
  assert.equal(outcome.outcome, 'moved')
  assert.equal(outcome.parts?.gates, 20)
  assert.ok((outcome.parts?.reach ?? 0) >= 170, JSON.stringify(outcome))
})
