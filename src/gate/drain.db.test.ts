import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { after, before, test } from 'node:test'
import mysql from 'mysql2/promise'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import { Gate } from './gate.ts'
import { innerConnection } from './inner-statements.ts'
import type { Session } from './session.ts'
import { until } from '../../test/kit/until.ts'
import { freePort, startMariadb, type TestServer } from './testkit/servers.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { addKeyspace, addServer, addUser, MemoryStore } from './testkit/world.ts'
import { besideEachOther } from '../../test/kit/beside.ts'

besideEachOther('gates that end', (flavour) => {
  let server: TestServer
  let port: number
  const store = new MemoryStore()
  const gates: Gate[] = []

  before(async () => {
    server = await startMariadb({}, flavour)
    const admin = await server.admin()
    await admin.query('CREATE DATABASE app')
    await admin.query('CREATE TABLE app.t (id BIGINT PRIMARY KEY) ENGINE=InnoDB')
    await admin.close()
    await addServer(store, 's1', server.port, flavour)
    await addUser(store, 'app', 'secret')
    await addKeyspace(store, 'app', [{ name: '-', serverId: 's1', schema: 'app' }])
    port = await freePort()
  })

  after(async () => {
    for (const gate of gates) await gate.stop()
    await server?.stop()
  })

  async function start(id: string): Promise<Gate> {
    const listen = { host: '127.0.0.1', port, reusePort: true }
    const gate = new Gate({ store, listen, log: silentLog, clock: systemClock, id, pid: process.pid })
    gates.push(gate)
    await gate.start()
    return gate
  }

  const client = (): Promise<mysql.Connection> =>
    mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })

  test('promise 1: a gate that ends lets open transactions come to their COMMIT, while another on its port takes new clients', async () => {
    const old = await start('old')
    const inTransaction = await client()
    const idle = await client()
    const told = new Promise<string>((resolve) => idle.on('error', (error: { code?: string }) => resolve(String(error.code))))
    await inTransaction.beginTransaction()
    await inTransaction.query('INSERT INTO t VALUES (1)')
    const fresh = await start('new')

    let ended = false
    const stopping = old.stop(20_000).then(() => (ended = true))
    await told
    const next = await client()
    await next.query('INSERT INTO t VALUES (3)')
    assert.equal(fresh.core.sessions.size, 1, 'the new client is at the other gate')
    assert.equal(ended, false)

    await inTransaction.query('INSERT INTO t VALUES (2)')
    await inTransaction.commit()
    await stopping
    await assert.rejects(inTransaction.query('SELECT 1'))
    const [rows] = await next.query('SELECT id FROM t ORDER BY id')
    assert.deepEqual(rows, [{ id: 1 }, { id: 2 }, { id: 3 }])
    await next.end()
  })

  test('promise 1: a gate that ends leaves temporary tables and named locks to their sessions for its grace', async () => {
    const gate = await start('kept')
    for (const old of gates.slice(0, -1)) await old.stop()
    const [table, lock, plain] = [await client(), await client(), await client()]
    for (const c of [table, lock, plain]) c.on('error', () => {})
    await table.query('CREATE TEMPORARY TABLE kept (id INT)')
    await lock.query("SELECT GET_LOCK('kept', 0)")
    await plain.query('SET @kept = 1')
    const stopping = gate.stop(20_000)
    await until('the others are gone', () => gate.core.sessions.size === 2)
    await table.query('INSERT INTO kept VALUES (1)')
    assert.deepEqual((await table.query('SELECT id FROM kept'))[0], [{ id: 1 }])
    assert.deepEqual((await lock.query("SELECT IS_USED_LOCK('kept') IS NOT NULL AS held"))[0], [{ held: 1 }])
    for (const c of [table, lock]) await c.end()
    await stopping
  })

  test('promise 11: a statement that is on its way to a session that ends is answered by that, and not executed', async () => {
    const gate = await start('leaving')
    for (const old of gates.slice(0, -1)) await old.stop()
    const account = { host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' }
    for (const [i, end] of [(session: Session) => session.drain(), (session: Session) => session.endIfIdle(Infinity)].entries()) {
      const c = await connect(account)
      await c.query('SELECT 1')
      const [session] = gate.core.sessions.values()
      end(session as Session)
      // Sent before anything of this can have come to the client.
      const answer = await c.query(`INSERT INTO t VALUES (${20 + i})`).then(String, String)
      assert.match(answer, /SW-GATE-0(19|42)/)
      await until('the session is gone', async () => gate.core.sessions.size === 0)
      c.destroy()
    }
    const other = await connect(account)
    assert.equal(await other.value('SELECT COUNT(*) FROM t WHERE id >= 20'), '0')
    await other.close()
    await gate.stop()
  })

  test('a client that has connected, or is being greeted, while a gate ends gets what it came for: one statement; who asks nothing is told', async () => {
    const gate = await start('greeting')
    for (const old of gates.slice(0, -1)) await old.stop()
    const [connected, silent] = [await client(), await client()]
    const told = new Promise((resolve) => silent.once('error', resolve))
    // What the client answers to the greeting comes later.
    let release = (): void => {}
    let greeted = false
    const between = net.createServer((socket) => {
      const gateSide = net.connect(port, '127.0.0.1')
      gateSide.once('data', () => (greeted = true)).pipe(socket)
      release = () => void socket.pipe(gateSide)
    })
    await once(between.unref().listen(0, '127.0.0.1'), 'listening')
    const account = { user: 'app', password: 'secret', database: 'app' }
    const logsIn = mysql.createConnection({ host: '127.0.0.1', port: (between.address() as net.AddressInfo).port, ...account })
    await until('it is greeted', () => greeted)
    const stopping = gate.stop(20_000)
    const getsOne = async (c: mysql.Connection, id: number): Promise<void> => {
      const ended = new Promise((resolve) => c.once('error', resolve))
      await c.query(`INSERT INTO t VALUES (${id})`)
      await ended
    }
    await getsOne(connected, 40)
    await until('nobody new is let in', () => client().then(() => false, (error: { code?: string }) => error.code === 'ECONNREFUSED')) // prettier-ignore
    release()
    await getsOne(await logsIn, 41)
    await told
    assert.equal((await stopping).cut, 0)
    between.close()
  })

  test('a gate that ends rolls back what is open after its grace', async () => {
    const gate = await start('short')
    for (const old of gates.slice(0, -1)) await old.stop()
    const slow = await client()
    const told = new Promise<unknown>((resolve) => slow.once('error', (error: { code?: string }) => resolve(error.code)))
    const running = await client()
    running.on('error', () => {})
    // Its COMMIT comes when the time is over, and its outcome is known.
    const late = await connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    for (const [i, c] of [slow, running, late].entries()) {
      await c.query('BEGIN')
      await c.query(`INSERT INTO t VALUES (${9 + 80 * i})`)
    }
    const sleeping = running.query('SELECT SLEEP(60)').then(String, String)
    await until('it runs', () => [...gate.core.sessions.values()].some((session) => session.doing.command === 'Query'))
    const [session] = [...gate.core.sessions.values()].filter((one) => one.threadId === late.threadId) as Session[]
    session?.cutOff()
    assert.match(await late.query('COMMIT').then(String, String), /SW-GATE-019/)
    const { cut } = await gate.stop(50)
    assert.equal(cut, 2)
    // And not merely that its connection is lost.
    assert.equal(await told, 1053)
    assert.match(await sleeping, /lost|closed/i)
    const admin = await server.admin()
    await noOpenTransactions(admin)
    assert.equal(await admin.value('SELECT COUNT(*) FROM app.t WHERE id IN (9, 89, 169)'), '0')
    await admin.close()
  })

  test('a gate that has ended connects to no shard for what is still under way', async () => {
    const gate = await start('ended')
    const shard = gate.core.watch.view.keyspaces.get('app')?.shards[0]
    assert.ok(shard)
    await gate.stop()
    // Nobody has asked for that pool before.
    await assert.rejects(innerConnection(gate.core, shard), { code: 'SW-GATE-019' })
  })
})
