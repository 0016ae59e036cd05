import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { LeaderRecord, StreamOwner } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { releaseDead } from './release-dead.ts'

test('promise 9: what a dead process held by its lease is let go at once, and nothing of another process', async () => {
  const store = new MemoryStore()
  const lease = await store.grantLease(60_000)
  await store.commit(
    [],
    [
      put<LeaderRecord>(keys.leader, { v: 1, holder: 'control-123-abc', token: 4, address: '' }, lease.id),
      put<StreamOwner>(keys.streamOwner('w'), { v: 1, mover: 'mover-1234-abc' }, lease.id),
      put(keys.gate('gate-123-abc'), { v: 1, id: 'gate-123-abc' }),
      put(keys.gate('gate-12-abc'), { v: 1, id: 'gate-12-abc' }),
    ],
  )
  assert.deepEqual(await releaseDead(store, 12345), [])
  assert.deepEqual(await releaseDead(store, 123), [keys.leader, keys.gate('gate-123-abc')])
  assert.equal(await store.get(keys.leader), null)
  assert.notEqual(await store.get(keys.streamOwner('w')), null)
  assert.notEqual(await store.get(keys.gate('gate-12-abc')), null)
  // Somebody who leads by now leads on, though the same process is told dead again.
  await store.commit([], [put<LeaderRecord>(keys.leader, { v: 1, holder: 'control-77-abc', token: 5, address: '' })])
  assert.deepEqual(await releaseDead(store, 123), [])
  assert.notEqual(await store.get(keys.leader), null)
})
