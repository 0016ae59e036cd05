import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertEachRight, seedCount } from './seeds.ts'
import { runSwitchCode } from './switch.code.ts'

test('3: the switch’s own code keeps promises 1, 2, 5 and 9 whatever stops, wakes up late or gets no answer', async () => {
  const usual = 100
  let switches = 0
  await assertEachRight(async (seed, say) => {
    const result = await runSwitchCode(seed, say)
    switches += result.switches
    return result.broken
  }, usual)
  assert.ok(switches * 5 > seedCount(usual), `${switches} switches in ${seedCount(usual)} runs: those that never switch prove nothing`)
})
