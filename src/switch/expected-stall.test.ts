import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expectedStallMs, expectedStallText } from './expected-stall.ts'

const quiet = { serverMs: 0.3, topologyMs: 0.1, openTransactions: 0, behindMs: 0 }
const limits = { graceMs: 500, limitMs: 5_000 }

test('the expected stall grows with round trips, with what is open and with what is behind', () => {
  const least = expectedStallMs(quiet, 500)
  assert.ok(least > 20 && least < 60, `${least} ms`)
  assert.equal(expectedStallMs({ ...quiet, openTransactions: 3 }, 500), least + 500)
  assert.equal(expectedStallMs({ ...quiet, behindMs: 90 }, 500), least + 90)
  assert.ok(expectedStallMs({ ...quiet, serverMs: 5 }, 500) > least + 150)
})

test('promises 6, 7: it says what it is made of and what bounds it; unknown is said to be unknown', () => {
  assert.equal(
    expectedStallText({ ...quiet, openTransactions: 1, behindMs: null }, limits),
    'expected stall: about 530 ms now (1 transaction is open, which may take up to 500 ms of it; how far streams are behind is unknown; a round trip takes 0.3 ms to the servers, 0.1 ms to the topology), 5000 ms at most',
  )
  assert.match(expectedStallText(quiet, limits), /no transaction is open; streams are 0 ms behind/)
})
