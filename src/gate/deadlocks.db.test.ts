/**
 * Promise 10: transactions that wait for one another on two servers (here: on two connections of one, which no server joins) end as on one unsharded server: one is told 1213 and is gone, the
 * others go on; nobody waits for a lock wait timeout. Text and prepared, by a statement on one shard and on both, inside and outside of transactions, under autocommit=0 and XA.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { startGate } from './testkit/world.ts'

// On `-80` and on `80-`.
const [here, there] = [1, 4]

besideEachOther('deadlocks over several shards', (flavour) => {
  describe(flavour, () => {
    let world: GateOnServer
    let sessions: Connection[] = []
    const session = async (): Promise<Connection> => {
      const c = await world.session('shop')
      sessions.push(c)
      return c
    }

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT NOT NULL)'],
        settings: {
          innodb_lock_wait_timeout: 60,
          ...(flavour === 'mysql' ? { 'performance-schema': 'ON', 'performance-schema-instrument': '%=OFF' } : {}),
        },
      })
      const c = await world.session('shop')
      await c.query('INSERT INTO t VALUES (1, 0), (4, 0), (2, 0), (7, 0)')
      await c.close()
    })
    after(() => world.stop())
    afterEach(async () => {
      for (const c of sessions) c.destroy()
      sessions = []
      await until(
        'all to be rolled back',
        async () => (await world.admin.value('SELECT COUNT(*) FROM information_schema.innodb_trx')) === '0',
      )
      const c = await world.session('shop')
      await c.query('UPDATE t SET n = 0')
      await c.close()
    })

    const aLockWait = (): Promise<unknown> =>
      until(
        'it to wait',
        async () => (await world.admin.value("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")) === '1',
      )

    /** What became of each; the whole must be over long before a lock wait timeout. */
    async function outcomes(running: readonly Promise<unknown>[]): Promise<string[]> {
      const startMs = performance.now()
      const settled = await Promise.allSettled(running)
      assert.ok(performance.now() - startMs < 15_000, 'a timeout ended it')
      return settled.map((one) => {
        if (one.status === 'fulfilled') return 'done'
        assert.ok(isServerError(one.reason), String(one.reason))
        return `${one.reason.errno} ${one.reason.sqlState} ${/SW-GATE-\d+/.exec(one.reason.serverMessage)?.[0] ?? ''}`
      })
    }

    const values = async (): Promise<string[]> => {
      const c = await world.session('shop')
      const result = await c.query('SELECT n FROM t ORDER BY id')
      await c.close()
      return result.kind === 'rows' ? result.rows.map(([n]) => String(n)) : []
    }

    for (const way of ['text', 'prepared', 'autocommit = 0', 'over both shards'] as const) {
      test(`promise 10: two transactions that wait for one another on two shards: the younger is told 1213 and rolled back, ${way}`, async () => {
        const [a, b] = [await session(), await session()]
        for (const c of [a, b]) await c.query(way === 'autocommit = 0' ? 'SET autocommit = 0' : 'BEGIN')
        const add = async (c: Connection, n: number, id: number): Promise<unknown> => {
          if (way !== 'prepared') return c.query(`UPDATE t SET n = n + ${n} WHERE id = ${id}`)
          return (await c.prepare('UPDATE t SET n = n + ? WHERE id = ?')).execute([n, id])
        }
        await add(a, 1, here)
        await add(b, 10, there)
        // Each has both shards now, and waits for the other.
        const ends = [way === 'over both shards' ? a.query('UPDATE t SET n = n + 1 WHERE n >= 0 AND id <> 1') : add(a, 1, there)]
        await aLockWait()
        ends.push(way === 'over both shards' ? b.query('UPDATE t SET n = n + 10 WHERE n >= 0 AND id <> 4') : add(b, 10, here))
        assert.deepEqual(await outcomes(ends), ['done', '1213 40001 SW-GATE-046'])
        // Nothing of it is open any more; the other commits.
        await b.query('COMMIT')
        await a.query('COMMIT')
        assert.deepEqual(await values(), way === 'over both shards' ? ['1', '1', '1', '1'] : ['1', '0', '1', '0'])
      })
    }

    test('promise 10: a statement outside of a transaction, over both shards, is given up too, whole', async () => {
      const [a, b] = [await session(), await session()]
      await a.query('BEGIN')
      await a.query(`UPDATE t SET n = n + 1 WHERE id = ${there}`)
      // It has the first shard and waits at the second.
      const ends = [b.query('UPDATE t SET n = n + 10')]
      await aLockWait()
      ends.push(a.query(`UPDATE t SET n = n + 1 WHERE id = ${here}`))
      const said = await outcomes(ends)
      assert.equal(said.filter((one) => one === 'done').length, 1, said.join())
      assert.equal(said.filter((one) => one === '1213 40001 SW-GATE-046').length, 1, said.join())
      if (said[1] === 'done') await a.query('COMMIT')
      assert.deepEqual(await values(), said[1] === 'done' ? ['1', '0', '1', '0'] : ['10', '10', '10', '10'])
    })

    test('promise 10: transactions of two gates that wait for one another: the younger is told 1213 by its gate', async () => {
      const other = await startGate(world.store, {}, undefined, 'gate-2')
      try {
        const [a, b] = [await session(), await world.session('shop', { port: other.port })]
        sessions.push(b)
        for (const c of [a, b]) await c.query('BEGIN')
        await a.query(`UPDATE t SET n = n + 1 WHERE id = ${here}`)
        await b.query(`UPDATE t SET n = n + 10 WHERE id = ${there}`)
        const ends = [a.query(`UPDATE t SET n = n + 1 WHERE id = ${there}`)]
        await aLockWait()
        ends.push(b.query(`UPDATE t SET n = n + 10 WHERE id = ${here}`))
        assert.deepEqual(await outcomes(ends), ['done', '1213 40001 SW-GATE-046'])
        await a.query('COMMIT')
        assert.deepEqual(await values(), ['1', '0', '1', '0'])
        await until('nothing to be told any more', async () => (await world.store.list('stuck/')).entries.size === 0)
      } finally {
        await other.gate.stop()
      }
    })

    test('who only waits is not given up, however long', async () => {
      const [a, b] = [await session(), await session()]
      for (const c of [a, b]) await c.query('BEGIN')
      await a.query(`UPDATE t SET n = 1 WHERE id IN (${here}, ${there})`)
      await b.query('UPDATE t SET n = 2 WHERE id = 2')
      const waits = b.query(`UPDATE t SET n = 3 WHERE id = ${there}`)
      let ended = false
      void waits.then(() => (ended = true))
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      assert.equal(ended, false)
      await a.query('COMMIT')
      await waits
      await b.query('COMMIT')
    })
  })
})
