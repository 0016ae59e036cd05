import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { keys } from './keys.ts'
import { keepLease } from './kept-lease.ts'
import { acquireLeadership } from './leadership.ts'
import { MemoryStore } from './memory.ts'
import type { Store } from './store.ts'
import { parseRecord, put, readRecord, updateRecord } from './typed.ts'

const options = { address: '', ttlMs: 450, clock: systemClock, signal: new AbortController().signal }

describe('leadership', { concurrency: true }, () => {
  test('one leader at a time; each acquisition has a larger token', async () => {
    await using store = new MemoryStore()
    const first = await acquireLeadership(store, { ...options, holder: 'a' })
    const second = acquireLeadership(store, { ...options, holder: 'b' })
    assert.equal(await Promise.race([second, systemClock.sleep(1_000).then(() => 'waits')]), 'waits')
    assert(first.valid(), 'it renews')
    await first.release()
    const taken = await second
    assert.equal(taken.token, first.token + 1)
    assert(!first.valid())
    assert.equal((await store.commit([first.condition()], [put('x', { v: 1 })])).ok, false)
    assert.equal((await store.commit([taken.condition()], [put('x', { v: 1 })])).ok, true)
    await taken.release()
  })

  test('a store that stops answering takes the lead away within the lease, by signal and by clock', async () => {
    await using store = new MemoryStore()
    let dead = false
    const sometimes: Store = {
      get: (key) => store.get(key),
      list: (prefix) => store.list(prefix),
      commit: (conditions, puts) => store.commit(conditions, puts),
      watch: (prefix, signal) => store.watch(prefix, signal),
      async grantLease(ttlMs) {
        const lease = await store.grantLease(ttlMs)
        return { ...lease, renew: () => (dead ? new Promise<void>(() => undefined) : lease.renew()) }
      },
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    }
    const leader = await acquireLeadership(sometimes, { ...options, holder: 'a' })
    dead = true
    const started = performance.now()
    await new Promise<void>((resolve) => leader.lost.addEventListener('abort', () => resolve()))
    assert(performance.now() - started < 900)
    assert.equal(leader.valid(), false)
  })

  test('a process that was paused past its lease knows before any timer runs', async () => {
    await using store = new MemoryStore()
    let skippedMs = 0
    const clock = { ...systemClock, monotonicMs: () => performance.now() + skippedMs }
    const lease = await keepLease(store, { ttlMs: 60_000, clock })
    assert(lease.valid())
    skippedMs = 60_001
    assert(!lease.valid())
    assert(lease.lost.aborted)
  })

  test('the acquiring commit whose answer was lost is read back', async () => {
    await using store = new MemoryStore()
    const lossy: Store = Object.create(store) as Store
    lossy.get = (key) => store.get(key)
    lossy.watch = (prefix, signal) => store.watch(prefix, signal)
    lossy.grantLease = (ttlMs) => store.grantLease(ttlMs)
    lossy.commit = async (conditions, puts) => {
      await store.commit(conditions, puts)
      const { topologyErrors } = await import('./errors.ts')
      throw topologyErrors.outcomeUnknown({ keys: 'leader' })
    }
    const leader = await acquireLeadership(lossy, { ...options, holder: 'a' })
    assert.equal(leader.token, 1)
    assert.equal((await readRecord<{ v: 1; holder: string }>(store, keys.leader))?.value.holder, 'a')
    await leader.release()
  })
})

describe('typed records', () => {
  test('a newer format is refused, something else is malformed', () => {
    assert.throws(() => parseRecord({ key: 'k', value: { v: 2 }, version: 1 }), { code: 'SW-TOPOLOGY-001' })
    for (const value of [null, 1, 'x', [], {}, { v: '1' }, { v: 0 }])
      assert.throws(() => parseRecord({ key: 'k', value, version: 1 }), { code: 'SW-TOPOLOGY-008' })
    assert.deepEqual(parseRecord({ key: 'k', value: { v: 1, a: 2 }, version: 3 }), { key: 'k', value: { v: 1, a: 2 }, version: 3 })
  })

  test('updateRecord repeats when another writer was in between', async () => {
    await using store = new MemoryStore()
    type N = { v: 1; n: number }
    const add = () => updateRecord<N>(store, 'n', (now) => ({ v: 1, n: (now?.n ?? 0) + 1 }))
    await Promise.all([add(), add(), add()])
    assert.equal((await readRecord<N>(store, 'n'))?.value.n, 3)
    const other = await updateRecord<N>(store, 'n', () => ({ v: 1, n: 9 }), [{ key: 'leader', version: 5 }])
    assert.deepEqual([other.ok, other.value?.n], [false, 3])
  })
})
