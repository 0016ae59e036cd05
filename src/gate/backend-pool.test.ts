import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import { isConnectionLost, ServerError } from '../mysql/errors.ts'
import { BackendPool } from './backend-pool.ts'
import { ConnectionBudget } from './connection-budget.ts'

const never = new Promise<never>(() => undefined)

function pool(connecting: () => Promise<Connection> = () => never, max = 1): BackendPool {
  return new BackendPool({
    clock: systemClock,
    shard: 'app/-',
    schema: 'app',
    budget: new ConnectionBudget(max),
    waitMs: 5000,
    idleMs: 60_000,
    resetMs: 20,
    open: new Set(),
    statementsMax: 10,
    connect: connecting,
  })
}

test('promise 10: who waits for a connection to a shard that stops serving was sent nowhere, and is routed again', async () => {
  const retiring = pool()
  const waiting = retiring.take('')
  retiring.retire()
  const nothingSent = (error: unknown): boolean => isConnectionLost(error) && error.outcome === 'nothingSent'
  await assert.rejects(waiting, nothingSent)
  await assert.rejects(retiring.take(''), nothingSent)
})

test('who waits when the gate ends hears that it ends', async () => {
  const ending = pool()
  const waiting = ending.take('')
  ending.close()
  await assert.rejects(waiting, { code: 'SW-GATE-019' })
})

test('who waits is let go when the statement is killed, and takes no connection then', async () => {
  const busy = pool()
  const killed = new AbortController()
  const [waiting, other] = [busy.take('', killed.signal), busy.take('')]
  killed.abort(new Error('killed'))
  await assert.rejects(waiting, /killed/)
  assert.equal(busy.busy, 1)
  await assert.rejects(busy.take('', killed.signal), /killed/)
  busy.close()
  await assert.rejects(other)
})

test('promise 8: a server that does not answer to the reset of a connection does not keep its place', async () => {
  const connecting = async (): Promise<Connection> => {
    const listeners: (() => void)[] = []
    const silent = {
      open: true,
      outstanding: 0,
      inTransaction: false,
      flavour: 'mariadb',
      reset: () => never,
      useDatabase: () => never,
      onClose: (listener: () => void) => listeners.push(listener),
      destroy() {
        silent.open = false
        for (const listener of listeners) listener()
      },
    }
    return silent as unknown as Connection
  }
  const resetting = pool(connecting)
  const backend = await resetting.take('')
  backend.dirty = true
  const next = resetting.take('')
  resetting.give(backend)
  assert.notEqual(await next, backend)
})

/** Connections of a server that hides cascades behind a reset, or of one that does not. */
function resettable(versionNumber: number, made: Connection[]): () => Promise<Connection> {
  return async () => {
    const listeners: (() => void)[] = []
    const one = {
      open: true,
      outstanding: 0,
      inTransaction: false,
      flavour: 'mysql',
      versionNumber,
      reset: async () => undefined,
      useDatabase: async () => undefined,
      value: async () => '0',
      onClose: (listener: () => void) => listeners.push(listener),
      destroy() {
        one.open = false
        for (const listener of listeners.splice(0)) listener()
      },
    }
    made.push(one as unknown as Connection)
    return one as unknown as Connection
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('promises 1, 4: a connection that was reset writes nothing where its cascades are in no binlog, and serves what only reads', async () => {
  const made: Connection[] = []
  const one = pool(resettable(90704, made))
  const dirty = await one.take('')
  dirty.dirty = true
  one.give(dirty)
  await turn()
  // The budget has a place for one.
  assert.notEqual(await one.take(''), dirty)
  assert.equal(dirty.connection.open, false)
  assert.equal(made.length, 2)

  const other = pool(resettable(90704, made))
  const reader = await other.take('')
  reader.dirty = true
  other.give(reader)
  await turn()
  assert.equal(await other.take('', null, null, 'read'), reader)
  const writes = other.take('')
  other.give(reader)
  assert.notEqual(await writes, reader, 'also where it waits for one')

  const before = pool(resettable(80400, made))
  const reset = await before.take('')
  reset.dirty = true
  before.give(reset)
  await turn()
  assert.equal(await before.take(''), reset)
})

test('promise 7: where the server has room for no more, those that were reset make place for whoever writes', async () => {
  const made: Connection[] = []
  const connecting = resettable(90704, made)
  const full = pool(() => {
    const { length } = made.filter(({ open }) => open)
    if (length > 0) return Promise.reject(new ServerError(1040, '08004', 'Too many connections', 'server'))
    return connecting()
  }, 3)
  const first = await full.take('')
  first.dirty = true
  full.give(first)
  await turn()
  const second = await full.take('')
  assert.notEqual(second, first, 'it lay there')
  const waits = full.take('')
  await turn()
  second.dirty = true
  full.give(second)
  assert.notEqual(await waits, second, 'it came back while somebody waited')
})

test('promise 8: of those that were reset few are kept, however many are given back together', async () => {
  const made: Connection[] = []
  const many = pool(resettable(90704, made), 20)
  const holder = {}
  const taken = await Promise.all(Array.from({ length: 10 }, () => many.take('', null, holder)))
  for (const backend of taken) {
    backend.dirty = true
    many.give(backend)
  }
  await turn()
  assert.equal(made.filter(({ open }) => open).length, 4)
  const again = await many.take('', null, holder, 'read')
  again.dirty = true
  many.give(again)
  await turn()
  assert.equal(made.filter(({ open }) => open).length, 4)
})

test('who needs a connection that nobody has had gets a new one in the place of the one that it has', async () => {
  const made: Connection[] = []
  const one = pool(resettable(90704, made))
  const first = await one.take('')
  assert.equal(await one.renewed(first), first, 'nobody has')
  one.give(first)
  const again = await one.take('')
  assert.equal(again, first)
  const renewed = await one.renewed(again)
  assert.notEqual(renewed, first)
  assert.equal(first.connection.open, false)
  assert.equal(made.length, 2)
})
