/** What reads wait for in a step of the ramp, and what is done before they do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../base/clock.ts'
import { runRamp } from './ramp-run.ts'
import type { RampEffects, RampOutcome } from './ramp-run.ts'
import type { ShardVectors } from './ramp.ts'

const limits = { holdMs: 100, nearMs: 300, refuseBehind: true, gatesMs: 200, reachMs: 500 }

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
async function step(o: { held: boolean; perMs?: number; refuseBehind?: boolean }): Promise<{ outcome: RampOutcome; order: string[] }> {
  const clock = sleepingClock()
  const order: string[] = []
  const startMs = clock.monotonicMs()
  const has = (): number => 30 + Math.floor((clock.monotonicMs() - startMs) * (o.perMs ?? 0.1))
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
      return has() < 50 ? `it is at ${has()}` : null
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
  return { outcome: await runRamp(effects, { ...limits, refuseBehind: o.refuseBehind ?? true }, clock, signal), order }
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

test('a side that does not catch up: nothing is closed, and the step says what is missing; who steps back by itself waits for it all the same', async () => {
  const slow = await step({ held: true, perMs: 0.02 })
  assert.deepEqual([slow.order, slow.outcome.outcome, slow.outcome.stallMs], [['hold', 'near'], 'refused', null])
  assert.match(slow.outcome.reason ?? '', /does not catch up: it is at 36/)
  const back = await step({ held: true, perMs: 0.03, refuseBehind: false })
  assert.deepEqual([back.order, back.outcome.outcome], [['hold', 'near', 'close'], 'moved'])
})
