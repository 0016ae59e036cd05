import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { storeConformance } from './conformance.ts'
import { MemoryStore } from './memory.ts'

storeConformance('memory', async () => {
  const store = new MemoryStore()
  return { a: store, b: store, close: () => store[Symbol.asyncDispose]() }
})

test('what ends nothing any more waits for nothing: leases given back, renewed, or of a store that is closed', async () => {
  let waiting = 0
  const sleep: Clock['sleep'] = (ms, signal) => (waiting++, systemClock.sleep(ms, signal).finally(() => waiting--))
  const store = new MemoryStore({ ...systemClock, sleep })
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const lease = await store.grantLease(60_000)
  await lease.renew()
  await turn()
  assert.equal(waiting, 1)
  await lease.revoke()
  await turn()
  assert.equal(waiting, 0)
  await store.grantLease(60_000)
  await store[Symbol.asyncDispose]()
  await turn()
  assert.equal(waiting, 0)
})
