/** What COMMIT over shards leaves, says and keeps locked, one shard after the other (`multi`). */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Transaction } from './transaction.ts'
import { failsWith } from './testkit/fails-with.ts'
import { overTwoServers, type OverTwoServers } from './testkit/over-two-servers.ts'
import { killGateSessions } from './testkit/switching.ts'
import { besideEachOther } from '../../test/kit/beside.ts'

besideEachOther('COMMIT over shards', (flavour) => {
  let world: OverTwoServers
  let onA: Connection
  let onB: Connection
  let c: mysql.Connection

  before(async () => {
    world = await overTwoServers(flavour, {
      t: { columns: '(id BIGINT PRIMARY KEY, v VARCHAR(40), n INT)', described: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    })
    ;({ onA, onB } = world)
  })
  after(() => world?.stop())
  beforeEach(async () => {
    await world.clear('t')
    c = await world.client()
  })

  test('promise 11: of a COMMIT that stopped half way, every shard is named for what stands there', async () => {
    try {
      await c.beginTransaction()
      for (const id of [1, 4, 3]) await c.query(`INSERT INTO t VALUES (${id}, 'x', 0)`)
      await onB.query('SET GLOBAL read_only = 1')
      await failsWith(c.commit(), 2013, /committed on app\/-40 and not on app\/c0-, app\/40-80: /)
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
    await killGateSessions(onB)
    const shard = world.gate.core.keyspace('app').shards.find(({ name }) => name === 'c0-')
    const open = ([...(shard?.traffic.transactions ?? [])] as Transaction[]).flatMap(({ branches }) => [...branches.values()])
    assert.equal(open.length, 3)
    await until('the gate sees it', () => open.some(({ backend }) => !backend.connection.open))
    await failsWith(c.commit(), 1213, /SW-GATE-008/)
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
      const locker = await world.a.admin()
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
      await killGateSessions(onB)
      await c.query("UPDATE t SET v = 'y' WHERE id = 1")
      await failsWith(c.commit(), 1213, /SW-GATE-008.*locks/)
      assert.deepEqual((await c.query("SELECT id FROM t WHERE v = 'y'"))[0], [])
      await noOpenTransactions(onA)
      await c.end()
    })
  }
})
