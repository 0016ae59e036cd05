/** A client that does not read its answer: what its servers' connections are kept by, and for how long. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type mysql from 'mysql2/promise'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

/** Long enough to be seen at work on a busy machine; a client that takes nothing is cut off much later. */
const [hastyMs, stallMs] = [1_500, 6_000]

besideEachOther('slow clients', (flavour) => {
  let world: GateOnServer

  before(async () => {
    world = await gateOnServer({
      flavour,
      keyspaces: { one: 'one', shop: { t: 'by id', wide: 'by id' } },
      tables: ['t (id BIGINT PRIMARY KEY, v INT)', 'wide (id BIGINT PRIMARY KEY, p VARCHAR(1000))'],
      users: { hasty: { limits: { ms: hastyMs } } },
      config: { clientStallMs: stallMs, scatterBytesMax: 1024 * 1024 },
    })
    const c = await world.client('app', 'shop')
    const rows = Array.from({ length: 3000 }, (_, i) => [i, i % 7])
    await c.query('INSERT INTO t VALUES ?', [rows])
    await c.query('INSERT INTO one.t VALUES ?', [rows])
    await c.end()
  })

  after(() => world?.stop())

  const socketOf = (c: mysql.Connection): Socket => (c as unknown as { connection: { stream: Socket } }).connection.stream
  /** Far more than lies in the buffers of the kernel and of the gate. */
  const large = "SELECT id, REPEAT('x', 30000) AS x FROM t"
  const gathered = "SELECT a.id, REPEAT('x', 30000) AS x FROM t a JOIN t b ON a.v = b.id + 0"
  const running = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'sw_gate' AND COMMAND <> 'Sleep'"

  for (const [keyspace, sql] of [
    ['one', large],
    ['shop', large],
    ['shop', gathered],
  ] as const) {
    test(`promise 8: one that takes nothing is cut off, as servers do, and its connections are free: ${keyspace}, ${sql.slice(7, 11)}`, async () => {
      const c = await world.client('app', keyspace)
      socketOf(c).pause()
      const failed = c.query(sql).then(
        () => 'answered',
        (error: { code: string }) => error.code,
      )
      const startMs = performance.now()
      await until('rows to come', async () => (await world.admin.value(running)) !== '0')
      // Between its steps a gathered statement leaves them free for a moment.
      await sleep(1_000)
      await until('the servers to be free', async () => (await world.admin.value(running)) === '0')
      assert.ok(performance.now() - startMs > 2_000, 'it was cut off at once')
      socketOf(c).resume()
      assert.match(await failed, /PROTOCOL_CONNECTION_LOST|ECONNRESET|EPIPE/)
      c.destroy()
    })

    test(`a time limit frees the servers of a client that does not read; when it does it is told, and the session goes on: ${keyspace}, ${sql.slice(7, 11)}`, async () => {
      const c = await world.client('hasty', keyspace)
      socketOf(c).pause()
      const failed = assert.rejects(c.query(sql), { errno: 3024 })
      await until('rows to come', async () => (await world.admin.value(running)) !== '0')
      // Between its steps a gathered statement leaves them free for a moment.
      await sleep(hastyMs)
      await until('the servers to be free', async () => (await world.admin.value(running)) === '0')
      socketOf(c).resume()
      await failed
      assert.deepEqual((await c.query('SELECT id FROM t WHERE id = 7'))[0], [{ id: 7 }])
      await c.end()
    })
  }

  test('net_write_timeout of the session is kept where it is longer', async () => {
    const c = await world.client('app', 'one')
    await c.query('SET net_write_timeout = 600')
    const answer = c.query(large)
    await until('rows to come', async () => (await world.admin.value(running)) !== '0')
    socketOf(c).pause()
    await sleep(stallMs + 2_500)
    socketOf(c).resume()
    assert.equal(((await answer)[0] as unknown[]).length, 3000)
    await c.end()
  })

  test('a gathered statement that is refused for its size leaves the rows that still come to nobody: its connections end', async () => {
    const c = await world.client('app', 'shop')
    const rows = Array.from({ length: 3000 }, (_, i) => [i, 'x'.repeat(900)])
    await c.query('INSERT INTO wide VALUES ?', [rows])
    const ids = async (): Promise<string[]> =>
      (await world.admin.allText("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'sw_gate'")).map((row) => String(row['ID']))
    await c.query('SELECT COUNT(*) FROM t a JOIN t b ON a.v = b.id')
    const before = await ids()
    await assert.rejects(c.query('SELECT COUNT(DISTINCT a.p) FROM wide a JOIN wide b ON a.p = b.p'), /SW-GATE-205/)
    // A server sees in its own time that a connection was closed.
    await until('some to end', async () => {
      const after = await ids()
      return before.some((id) => !after.includes(id))
    })
    assert.deepEqual((await c.query('SELECT v FROM t WHERE id = 3'))[0], [{ v: 3 }])
    await c.end()
  })
})
