/** When a server that can't be asked is taken for unreachable. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import type { Connection } from '../mysql/connection.ts'
import type { ServerAddress } from './access.ts'
import { HangWatch } from './hang-watch.ts'

/** A watch whose clock and looks are the test's. */
function watching() {
  let nowMs = 0
  let looked = 0
  let next = (): void => undefined
  const clock: Clock = {
    ...systemClock,
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: (_, signal) =>
      new Promise((resolve) => {
        looked++
        next = resolve
        signal?.addEventListener('abort', () => resolve())
      }),
  }
  const stop = new AbortController()
  const watch = new HangWatch(clock, 10_000)
  const connection = (server: string) => {
    const conn = { open: true, outstanding: 1, bytesReceived: 0, bytesGone: 0, threadId: 7, destroy: () => void (conn.open = false) }
    // Nobody listens there: what is asked there is not known.
    const address: ServerAddress = {
      id: server,
      name: server,
      flavour: 'mariadb',
      connect: { host: '127.0.0.1', port: 1, user: 'x', password: '' },
    }
    watch.add(conn as unknown as Connection, address)
    return conn
  }
  const look = async (afterMs: number): Promise<void> => {
    nowMs += afterMs
    const before = looked
    next()
    while (looked === before) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const end = (): void => {
    stop.abort()
    next()
  }
  return { watch, connection, look, run: () => watch.run(stop.signal), end }
}

test('promise 7: a hang has its whole patience, however long ago the one before it was', async () => {
  const { connection, look, run, end } = watching()
  const conn = connection('s')
  const running = run()
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
  end()
  await running
})

test('promise 7: of hangs on several servers the oldest is told, whichever was looked at last', async () => {
  const { watch, connection, look, run, end } = watching()
  const conns = ['one', 'two', 'three'].map(connection)
  const running = run()
  const answered = async (which: number, afterMs: number): Promise<void> => {
    conns[which]!.bytesReceived++
    await look(afterMs)
  }
  await look(0)
  await answered(0, 1_000)
  await answered(2, 1_000)
  await look(11_000)
  assert.match(watch.waiting?.what ?? '', /an answer of two/)
  await answered(1, 0)
  assert.match(watch.waiting?.what ?? '', /an answer of one/)
  await answered(0, 0)
  assert.match(watch.waiting?.what ?? '', /an answer of three/)
  await answered(2, 0)
  assert.equal(watch.waiting, null)
  end()
  await running
})

test('promise 8: a statement of megabytes that goes out over a slow line is no hang, though the server has nothing to answer yet; one that goes no further is', async () => {
  const { connection, look, run, end } = watching()
  const conn = connection('s')
  const running = run()
  await look(0)
  for (let n = 0; n < 40; n++) {
    conn.bytesGone += 256 << 10
    await look(1_000)
  }
  assert.equal(conn.open, true, 'it has gone on for forty seconds')
  await look(11_000)
  await look(11_000)
  assert.equal(conn.open, false)
  end()
  await running
})
