import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SwError } from './errors.ts'

test('what happened, why and what to do have the values at hand; a place without one stays as it is', () => {
  const spec = { number: 1, class: 'user', what: '{a} of {b}', why: 'as {a} is', fix: 'not {a}, {c}' } as const
  const { what, why, fix } = new SwError('SW-X-001', spec, { a: 'one', b: 2 }).toJSON()
  assert.deepEqual([what, why, fix], ['one of 2', 'as one is', 'not one, {c}'])
})
