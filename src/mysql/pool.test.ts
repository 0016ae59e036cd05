import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Connection } from './connection.ts'
import { Pool, type PoolOptions } from './pool.ts'

type Fake = Connection & { inTransaction: boolean; resets: number; end(): void }

function fakeConnection(id: number): Fake {
  const listeners: ((error: Error | undefined) => void)[] = []
  const state = {
    threadId: id,
    open: true,
    inTransaction: false,
    outstanding: 0,
    resets: 0,
    async reset() {
      state.resets++
    },
    async close() {
      state.end()
    },
    destroy() {
      state.end()
    },
    end() {
      if (!state.open) return
      state.open = false
      for (const listener of listeners) listener(undefined)
    },
    onClose(listener: (error: Error | undefined) => void) {
      listeners.push(listener)
    },
  }
  return state as unknown as Fake
}

function makePool(options: Partial<PoolOptions> = {}): { pool: Pool; made: Fake[] } {
  const made: Fake[] = []
  const pool = new Pool({
    server: 'test',
    size: 2,
    waitMs: 10_000,
    clock: systemClock,
    connect: async () => {
      const connection = fakeConnection(made.length)
      made.push(connection)
      return connection
    },
    ...options,
  })
  return { pool, made }
}

test('no more connections than its size; who waits is served in order', async () => {
  const { pool, made } = makePool()
  const [a, b] = [await pool.take(), await pool.take()]
  const order: string[] = []
  const third = pool.take().then((connection) => (order.push('third'), connection))
  const fourth = pool.take().then((connection) => (order.push('fourth'), connection))
  pool.give(a)
  assert.equal(await third, a)
  pool.give(b)
  assert.equal(await fourth, b)
  assert.deepEqual(order, ['third', 'fourth'])
  assert.equal(made.length, 2)
})

test('a connection given back with a transaction open is destroyed, and its waiter gets another', async () => {
  const { pool, made } = makePool({ size: 1 })
  const a = await pool.take()
  const waiting = pool.take()
  ;(a as Fake).inTransaction = true
  pool.give(a)
  assert.equal(a.open, false)
  assert.equal(await waiting, made[1])
})

test('a connection that died while idle is not given out', async () => {
  const { pool, made } = makePool()
  const a = await pool.take()
  pool.give(a)
  made[0]?.end()
  assert.equal(pool.size, 0)
  assert.notEqual(await pool.take(), a)
})

test('when none becomes free in time the taker is told; the pool goes on', async () => {
  let elapse: (() => void) | undefined
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    sleep: (_ms, signal) =>
      new Promise((resolve, reject) => {
        elapse = resolve
        signal?.addEventListener('abort', () => reject(signal.reason))
      }),
  }
  const { pool } = makePool({ size: 1, clock })
  const a = await pool.take()
  const waiting = pool.take()
  elapse?.()
  await assert.rejects(waiting, { code: 'SW-MYSQL-013' })
  pool.give(a)
  assert.equal(await pool.take(), a)
})

test('an abort ends the wait', async () => {
  const { pool } = makePool({ size: 1 })
  await pool.take()
  const abort = new AbortController()
  const waiting = pool.take(abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
})

test('connecting that fails is the error of who asked, and leaves its place free', async () => {
  let fails = true
  const { pool } = makePool({
    size: 1,
    connect: async () => {
      if (fails) throw new Error('refused')
      return fakeConnection(1)
    },
  })
  await assert.rejects(pool.take(), /refused/)
  fails = false
  await pool.take()
})

test('reset before reuse; with() gives back when the work throws', async () => {
  const { pool, made } = makePool({ onReuse: 'reset' })
  await assert.rejects(
    pool.with(async () => {
      throw new Error('work')
    }),
    /work/,
  )
  assert.equal(pool.idle, 1)
  await pool.with(async (connection) => assert.equal(connection, made[0]))
  assert.equal(made[0]?.resets, 1)
})

test('closing ends idle ones, refuses takers and waiters, and ends those in use when they come back', async () => {
  const { pool } = makePool({ size: 2 })
  const [a, b] = [await pool.take(), await pool.take()]
  const waiting = pool.take()
  pool.give(a) // goes to the waiter
  assert.equal(await waiting, a)
  const late = pool.take()
  await Promise.all([assert.rejects(late, { code: 'SW-MYSQL-012' }), pool.close()])
  await assert.rejects(pool.take(), { code: 'SW-MYSQL-012' })
  pool.give(b)
  assert.equal(b.open, false)
})
