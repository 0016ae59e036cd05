/** Sessions of a comparison: who waits for one when it is stopped. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { ServerAddress } from '../move/access.ts'
import { Sessions } from './sessions.ts'

test('promise 7: whoever waits for a session when the comparison is stopped learns of it, also where more wait than hold one', async () => {
  const stop = new AbortController()
  let fail = (_: Error): void => undefined
  const address = new Promise<ServerAddress>((_, reject) => (fail = reject))
  await using sessions = new Sessions({ addresses: () => address, clock: systemClock, perServerMax: 1, signal: stop.signal })
  const readers = Array.from({ length: 4 }, () => sessions.reader('s', async () => undefined))
  const ended = Promise.allSettled(readers)
  // One holds the only session there may be, three wait for it.
  await new Promise((resolve) => setImmediate(resolve))
  stop.abort()
  fail(new Error('stopped'))
  const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), 2_000).unref())
  const settled = await Promise.race([ended, late])
  assert.deepEqual(
    settled?.map(({ status }) => status),
    Array.from({ length: 4 }, () => 'rejected'),
  )
})
