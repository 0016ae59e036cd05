/** When a server that can't be asked is taken for unreachable. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { ServerAddress } from './access.ts'
import { HangWatch } from './hang-watch.ts'

test('promise 7: a hang has its whole patience, however long ago the one before it was', async () => {
  let nowMs = 0
  let looked = 0
  let next = (): void => undefined
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    sleep: (_, signal) =>
      new Promise((resolve) => {
        looked++
        next = resolve
        signal?.addEventListener('abort', () => resolve())
      }),
  }
  const conn = { open: true, outstanding: 1, bytesReceived: 0, threadId: 7, destroy: () => void (conn.open = false) }
  // Nobody listens there: what is asked there is not known.
  const address: ServerAddress = {
    id: 's',
    name: 's',
    flavour: 'mariadb',
    connect: { host: '127.0.0.1', port: 1, user: 'x', password: '' },
  }
  const stop = new AbortController()
  const watch = new HangWatch(clock, 10_000)
  watch.add(conn as unknown as Connection, address)
  const running = watch.run(stop.signal)
  const look = async (afterMs: number): Promise<void> => {
    nowMs += afterMs
    const before = looked
    next()
    while (looked === before) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await look(0)
  await look(11_000)
  assert.equal(conn.open, true, 'it waits too long, and is asked about the first time')
  conn.bytesReceived = 1
  await look(1_000)
  await look(60_000)
  assert.equal(conn.open, true, 'a minute later the server is asked again, and can not be')
  await look(9_000)
  assert.equal(conn.open, true)
  await look(2_000)
  assert.equal(conn.open, false, 'patience is over')
  stop.abort()
  await running
})
