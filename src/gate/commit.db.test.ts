/** What COMMIT over shards leaves, says and keeps locked, one shard after the other (`multi`). */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import mysql from 'mysql2/promise'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import type { Transaction } from './transaction.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import { besideEachOther } from '../../test/kit/beside.ts'

besideEachOther('COMMIT over shards', (flavour) => {
  /** Four shards on two servers: 1 and 3 stand on the first one's, 4 on the second's. */
  let a: TestServer
  let b: TestServer
  let onA: Connection
  let onB: Connection
  const store = new MemoryStore()
  let gate: Gate
  let port: number
  let c: mysql.Connection
  const shards = [
    { name: '-40', serverId: 's1', schema: 'app_40' },
    { name: '40-80', serverId: 's1', schema: 'app_40_80' },
    { name: '80-c0', serverId: 's2', schema: 'app_80_c0' },
    { name: 'c0-', serverId: 's2', schema: 'app_c0' },
  ]
  const on = (serverId: string): Connection => (serverId === 's1' ? onA : onB)

  before(async () => {
    ;[a, b] = await Promise.all([startMariadb({}, flavour), startMariadb({}, flavour)])
    ;[onA, onB] = await Promise.all([a.admin(), b.admin()])
    for (const s of shards) {
      await on(s.serverId).query(`CREATE DATABASE ${s.schema} CHARACTER SET utf8mb4`)
      await on(s.serverId).query(`CREATE TABLE ${s.schema}.t (id BIGINT PRIMARY KEY, v VARCHAR(40), n INT) ENGINE=InnoDB`)
    }
    await addServer(store, 's1', a.port, flavour)
    await addServer(store, 's2', b.port, flavour)
    await addUser(store, 'app', 'secret')
    const vschema = {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    }
    await addKeyspace(store, 'app', shards, { sharded: true, vschema })
    ;({ gate, port } = await startGate(store))
  })
  after(async () => {
    await gate?.stop()
    await Promise.all([onA?.close(), onB?.close()])
    await Promise.all([a?.stop(), b?.stop()])
  })
  beforeEach(async () => {
    for (const s of shards) await on(s.serverId).query(`DELETE FROM ${s.schema}.t`)
    c = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
  })

  const refused = (promise: Promise<unknown>, errno: number, text: RegExp): Promise<void> =>
    assert.rejects(promise, (e: { errno: number; sqlMessage: string }) => {
      assert.equal(e.errno, errno, e.sqlMessage)
      assert.match(e.sqlMessage, text)
      return true
    })

  test('promise 11: of a COMMIT that stopped half way, every shard is named for what stands there', async () => {
    try {
      await c.beginTransaction()
      for (const id of [1, 4, 3]) await c.query(`INSERT INTO t VALUES (${id}, 'x', 0)`)
      await onB.query('SET GLOBAL read_only = 1')
      await refused(c.commit(), 2013, /committed on app\/-40 and not on app\/c0-, app\/40-80: /)
      await onB.query('SET GLOBAL read_only = 0')
      assert.deepEqual((await c.query('SELECT id FROM t'))[0], [{ id: 1 }])
      await noOpenTransactions(onA)
    } finally {
      await onB.query('SET GLOBAL read_only = 0')
      await c.end()
    }
  })

  test('a transaction that lost one of its writers before COMMIT commits nothing', async () => {
    await c.beginTransaction()
    for (const id of [1, 4, 3]) await c.query(`INSERT INTO t VALUES (${id}, 'x', 0)`)
    const ours = "SELECT id FROM information_schema.processlist WHERE user = 'sw_gate'"
    for (const row of await onB.allText(ours)) await onB.query(`KILL ${row['id']}`)
    const shard = gate.core.keyspace('app').shards.find(({ name }) => name === 'c0-')
    const open = ([...(shard?.traffic.transactions ?? [])] as Transaction[]).flatMap(({ branches }) => [...branches.values()])
    assert.equal(open.length, 3)
    await until('the gate sees it', () => open.some(({ backend }) => !backend.connection.open))
    await refused(c.commit(), 1213, /SW-GATE-008/)
    assert.deepEqual((await c.query('SELECT id FROM t'))[0], [])
    await noOpenTransactions(onA)
    await c.end()
  })

  for (const [how, read] of [
    ['one shard', 'SELECT v FROM t WHERE id = 4 FOR UPDATE'],
    ['several shards', 'SELECT v FROM t WHERE id IN (3, 4) FOR UPDATE'],
    ['several shards, put together', 'SELECT x.v FROM t x JOIN t y ON x.n = y.n ORDER BY x.id FOR UPDATE'],
  ] as const) {
    test(`rows locked on ${how} stay locked until what the transaction wrote elsewhere is committed`, async () => {
      for (const id of [1, 3, 4]) await c.query(`INSERT INTO t VALUES (${id}, 'x', 0)`)
      const locker = await a.admin()
      const free = async (): Promise<boolean> =>
        await onB.query('SELECT * FROM app_c0.t WHERE id = 4 FOR UPDATE NOWAIT').then(
          () => true,
          () => false,
        )
      await c.beginTransaction()
      await c.query(read)
      await c.query("UPDATE t SET v = 'y' WHERE id = 1")
      let commit: Promise<unknown> = Promise.resolve()
      try {
        await locker.query('FLUSH TABLES WITH READ LOCK')
        commit = c.commit()
        await until(
          'it commits on the first server',
          async () =>
            (await free()) || (await onA.value("SELECT id FROM information_schema.processlist WHERE user = 'sw_gate' AND info = 'COMMIT'")),
        )
        assert.equal(await free(), false, 'its locks are free')
      } finally {
        await locker.query('UNLOCK TABLES')
        await commit
        await locker.close()
      }
      assert.equal(await free(), true)
      await c.end()
    })

    test(`a transaction that lost its locks on ${how} commits nothing`, async () => {
      for (const id of [1, 3, 4]) await c.query(`INSERT INTO t VALUES (${id}, 'x', 0)`)
      await c.beginTransaction()
      await c.query(read)
      for (const row of await onB.allText("SELECT id FROM information_schema.processlist WHERE user = 'sw_gate'"))
        await onB.query(`KILL ${row['id']}`)
      await c.query("UPDATE t SET v = 'y' WHERE id = 1")
      await refused(c.commit(), 1213, /SW-GATE-008.*locks/)
      assert.deepEqual((await c.query("SELECT id FROM t WHERE v = 'y'"))[0], [])
      await noOpenTransactions(onA)
      await c.end()
    })
  }
})
