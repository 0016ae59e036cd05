/** Landing and rounds keep the invariant of PROTOCOLS 1.4; each rule is needed: without it the model finds a wrong row. */
import { test } from 'node:test'
import { landingRules, runLanding, type LandingRules } from './landing.model.ts'
import { assertAllRight, assertFound } from './seeds.ts'

const model = (change: Partial<LandingRules>) => (seed: number) => runLanding(seed, { ...landingRules, ...change })

test('the rule as designed is right', () => assertAllRight(model({}), 6_000))
test('the rule as designed is right without a second unique key', () => assertAllRight(model({ uniqueKey: false }), 2_000))
test('going back to the least position of all targets is right too, as intents stay', () =>
  assertAllRight(model({ ownPosition: false }), 2_000))

for (const rule of ['dropToApplied', 'markerProves', 'intent'] as const) {
  test(`without ${rule} a wrong row is found`, () => void assertFound(model({ [rule]: false }), 500))
}
test('without intents, least positions lose the invariant', () => void assertFound(model({ ownPosition: false, intent: false }), 500))
