import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MarkerTimes } from './replica-lag.ts'

test('promise 6: a replica lags by the age of the first marker that it lacks; what is older than all known is unknown', () => {
  const times = new MarkerTimes()
  assert.equal(times.behindMs(5, 1_000), null, 'nothing is known')
  for (let number = 10; number <= 20; number++) times.note(number, number * 100)
  assert.equal(times.behindMs(8, 5_000), null)
  assert.equal(times.behindMs(9, 5_000), 4_000, 'it lacks 10')
  assert.equal(times.behindMs(14, 5_000), 3_500)
  assert.equal(times.behindMs(20, 5_000), 0)
  assert.equal(times.behindMs(21, 5_000), 0)
})

test('promise 8: bounded, and what is forgotten never makes a lag smaller', () => {
  const times = new MarkerTimes()
  const last = 50_000
  for (let number = 1; number <= last; number++) times.note(number, number)
  for (const number of [100, 777, 30_000, last - 1]) {
    const exact = last - (number + 1)
    const told = times.behindMs(number, last) ?? Infinity
    assert(told >= exact && told <= exact + 100, `${number}: ${told} for ${exact}`)
  }
  assert.equal(times.behindMs(0, last), null)
  assert.equal(times.behindMs(last, last + 5), 0)
})
