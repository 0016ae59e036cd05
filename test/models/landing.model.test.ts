/**
 * Landing and rounds, as the engine has them, keep the invariant of PROTOCOLS 1.4; each rule is needed: without it the model finds a wrong row. (The engine's own lines are taken
 * out one by one by `npm run mutations`: rows of docs/movement-rules.md that name this file.)
 */
import { test } from 'node:test'
import { landingRules, runLanding, type LandingRules } from './landing.model.ts'
import { assertAllRight, assertFound } from './seeds.ts'

const model = (change: Partial<LandingRules>) => (seed: number) => runLanding(seed, { ...landingRules, ...change })

test('the rule as designed is right', () => assertAllRight(model({}), 3_000))
test('the rule as designed is right without a second unique key', () => assertAllRight(model({ uniqueKey: false }), 1_000))
/** The model of the rule alone had an intent for every round, and found this right. */
test('going back to the least position of all targets is wrong: a round in one transaction stores no intent', () =>
  void assertFound(model({ ownPosition: false }), 1_000))

for (const rule of [
  'dropToApplied',
  'touchedSinceLow',
  'bothImages',
  'markerProves',
  'landsPastHigh',
  'intent',
  'lastImage',
  'deletesFirst',
  'sourceHasRead',
] as const) {
  test(`without ${rule} a wrong row is found`, () => void assertFound(model({ [rule]: false }), 1_000))
}
test('without intents, least positions lose the invariant', () => void assertFound(model({ ownPosition: false, intent: false }), 500))
