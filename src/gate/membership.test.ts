/** The gate's lease: what is asked while a new one is taken waits until the topology was read under it. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { Entry } from '../topology/store.ts'
import { Membership } from './membership.ts'

/** Holds up, or fails, what is read of slots. */
class Slow extends MemoryStore {
  slots: () => Promise<void> = async () => {}

  override async get(key: string): Promise<Entry | null> {
    if (key.startsWith('gate-threads/')) await this.slots()
    return await super.get(key)
  }
}

async function joined(t: TestContext): Promise<{ store: Slow; membership: Membership; refreshed: boolean[] }> {
  const store = new Slow()
  const refreshed: boolean[] = []
  const membership: Membership = new Membership({
    store,
    clock: systemClock,
    log: silentLog,
    id: 'g',
    pid: 1,
    leaseMs: 60_000,
    refresh: async () => void refreshed.push(membership.valid),
  })
  t.after(() => membership.stop())
  await membership.start('127.0.0.1', 1)
  assert.equal(membership.valid, true)
  return { store, membership, refreshed }
}

test('promise 2: a gate whose lease had ended answers nothing before the topology was read anew and its record stands', async (t) => {
  const { store, membership, refreshed } = await joined(t)
  const free = Promise.withResolvers<void>()
  store.slots = () => free.promise
  const reviving = membership.revive()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(membership.valid, false)
  free.resolve()
  await reviving
  assert.equal(membership.valid, true)
  assert.deepEqual(refreshed, [false])
  assert.notEqual(await store.get(keys.gate('g')), null)
})

test('promise 2: a slot that can not be claimed is no reason to answer nobody, nor to be without a record', async (t) => {
  const { store, membership } = await joined(t)
  const { slot } = membership
  store.slots = () => Promise.reject(new Error('not now'))
  await membership.revive()
  assert.equal(membership.valid, true)
  assert.equal(membership.slot, slot)
  assert.notEqual(await store.get(keys.gate('g')), null)
})
