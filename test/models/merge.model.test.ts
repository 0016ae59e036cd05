/** Several sources into one target (PROTOCOLS 1.6): the rules as refined here are right; each is needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runMerge } from './merge.model.ts'
import { mergeRules, type MergeRules } from './merge.rules.ts'
import { assertAllRight, assertFound, type Run } from './seeds.ts'

const model =
  (change: Partial<MergeRules>): Run =>
  (seed, trace) =>
    runMerge(seed, { ...mergeRules, ...change }, trace)

test('the rules are right: splits reversed and merges copied, one lane and several, crashes and collisions anywhere', () =>
  assertAllRight(model({}), 3_000))
test('rows that collide for good wait, both kept; those that collide for a while end right', () =>
  assertAllRight(model({ uniqueAcross: false }), 150))

const without: [string, Partial<MergeRules>, RegExp][] = [
  ["deletes by key alone remove another stream's row", { deletes: 'key alone' }, /instead of/],
  ['deletes that match the first image only leave what a crashed round inserted', { deletes: 'first image' }, /instead of|stuck/],
  ['deletes that match the last image only leave what stood before the shard key changed', { deletes: 'last image' }, /instead of|stuck/],
  ["REPLACE in rounds removes another stream's row", { inserts: 'replace' }, /instead of/],
  ["REPLACE in landing removes another stream's row", { landing: 'replace' }, /instead of/],
  ['INSERT IGNORE in landing drops a row', { landing: 'ignore' }, /instead of/],
  ['a round taken again no longer than before meets the same collision for ever', { longer: false }, /stuck/],
  ['a unique key that waited for the rows and is tried once never stands', { rebuild: 'once', keysWait: 'each' }, /without the unique key/],
  ['a unique key built over rows that it removes loses them', { rebuild: 'rows removed', keysWait: 'each' }, /instead of/],
  ['without intents a crashed round passes for a boundary', { intent: false }, /instead of/],
]
for (const [name, change, what] of without) test(name, () => assert.match(assertFound(model(change), 5_000), what))

/** Two things that section 1.6 left open, found by this model. */
test('landing by plain INSERT alone waits for ever on its own row, which the tail brought before the chunk was read', () => {
  assert.match(assertFound(model({ landing: 'plain' }), 500), /stuck/)
})
test('rounds that are one transaction each time, deletes undone by the collision, wait on each other for ever', () => {
  assert.match(assertFound(model({ stepsAfterCollision: false }), 5_000), /stuck/)
})
