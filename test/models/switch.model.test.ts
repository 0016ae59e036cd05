/** The switch of PROTOCOLS 3 keeps its promises; each of its rules is needed: without it the model finds one broken. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assertAllRight, assertFound, type Run } from './seeds.ts'
import { runSwitch } from './switch.model.ts'
import { switchRules, type SwitchOptions, type SwitchRule } from './switch.world.ts'

const model =
  (without: readonly SwitchRule[], options: SwitchOptions = {}): Run =>
  (seed, trace) =>
    runSwitch(seed, without, options, trace).broken

test('the ten steps keep promises 1, 2, 5 and 9 whatever stops, wakes up late or gets no answer', () => assertAllRight(model([]), 12_000))
test('they do without session locks too', () => assertAllRight(model([], { sessionLocks: false }), 3_000))
test('they move user triggers with every switch', () => assertAllRight(model([], { triggers: true }), 3_000))
test('and when opening unlocks the accounts first', () => assertAllRight(model([], { unlockFirst: true }), 3_000))

test('the model does switch: a run that never does proves nothing', () => {
  let switches = 0
  for (let seed = 1; seed <= 300; seed++) switches += runSwitch(seed, []).switches
  assert.ok(switches > 60, `${switches} switches in 300 runs`)
  let moved = 0
  for (let seed = 1; seed <= 300; seed++) moved += runSwitch(seed, [], { triggers: true }).switches
  assert.ok(moved > 60, `${moved} switches with triggers in 300 runs`)
})

// The order of closing and the second marker are found once in 1,300 to 2,000 runs.
for (const rule of Object.keys(switchRules) as SwitchRule[]) {
  test(`without ${rule} a promise is broken (${switchRules[rule]})`, () => assert.match(assertFound(model([rule]), 20_000), /^[1-6] /))
}
