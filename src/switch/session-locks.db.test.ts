import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import type { Clock } from '../base/clock.ts'
import { until } from '../../test/kit/until.ts'
import type { ClaimPool } from './claim.ts'
import type { SwitchContext } from './context.ts'
import { SessionLocks } from './session-locks.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { World } from './testkit/world.ts'

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`table locks on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    let context: SwitchContext
    let id = 0
    before(async () => {
      world = await World.start(flavour)
      context = await world.leader()
    })
    after(() => world.stop())
    const tables = [{ schema: 'app__', name: 't' }]
    const open = (
      options: { graceMs?: number; leaseMs?: number; clock?: Clock; tables?: typeof tables; abandonedS?: number } = {},
    ): Promise<SessionLocks> =>
      SessionLocks.open(context.pool, 'f', {
        ...(options.abandonedS === undefined ? {} : { abandonedS: options.abandonedS }),
        tables: options.tables ?? tables,
        graceMs: options.graceMs ?? 200,
        leaseMs: options.leaseMs ?? 60_000,
        attemptMs: 150,
        clock: options.clock ?? systemClock,
      })
    const signal = (): AbortSignal => AbortSignal.timeout(10_000)
    const insert = (): string => `INSERT INTO app__.t VALUES (${++id}, 'x', 0)`

    test('a writer waits and goes on when the locks are released', async () => {
      await using client = await world.client(world.f)
      const locks = await open()
      assert.deepEqual(await locks.lock(signal()), [])
      let done = false
      const write = client.query(insert()).then(() => {
        done = true
      })
      await delay(100)
      assert(!done)
      await locks.release()
      await write
    })

    test('a transaction that ends within the grace is not killed, and keeps its rows', async () => {
      await using client = await world.client(world.f)
      await client.query('BEGIN')
      await client.query(insert())
      const locks = await open({ graceMs: 3_000 })
      const locking = locks.lock(signal())
      await delay(250)
      // A queued LOCK TABLES would hold this statement up; attempts are cut, so it passes.
      await client.query(insert())
      await client.query('COMMIT')
      assert.deepEqual(await locking, [])
      await locks.release()
    })

    test('an idle transaction is ended after the grace, and named', async () => {
      await using client = await world.client(world.f)
      await client.query('BEGIN')
      await client.query(insert())
      const started = performance.now()
      const locks = await open({ graceMs: 200 })
      const killed = await locks.lock(signal())
      assert.deepEqual(
        killed.map(({ user, transaction }) => [user, transaction]),
        [['app', true]],
      )
      assert(performance.now() - started < 1_500)
      await assert.rejects(client.query('COMMIT'))
      await locks.release()
    })

    test('a transaction that has been idle for long gets no grace while others wait', async () => {
      await using client = await world.client(world.f)
      await client.query('BEGIN')
      await client.query(insert())
      await using admin = await world.admin('f')
      const old =
        'SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_started < NOW() - INTERVAL 1 SECOND AND trx_tables_locked + trx_rows_modified > 0'
      await until('the transaction to be old', async () => (await admin.value(old)) !== '0', 15_000)
      const locks = await open({ graceMs: 4_000, abandonedS: 1 })
      const started = performance.now()
      const killed = await locks.lock(signal())
      assert(performance.now() - started < 2_000, `the tables were locked after ${Math.round(performance.now() - started)} ms`)
      assert.equal(killed.length, 1)
      assert((killed[0]?.sinceMs ?? Infinity) <= Date.now() - 1_000, 'and since when it was open is told')
      await locks.release()
    })

    test('while we wait for an idle transaction other writers of the table are held for one attempt, not for the wait', async () => {
      // What is waited for holds up nobody; what has been granted meanwhile holds up its writers: tables are locked one after the other.
      await using admin = await world.admin('f')
      await admin.query('CREATE TABLE app__.a (id INT NOT NULL PRIMARY KEY AUTO_INCREMENT, n INT) ENGINE=InnoDB')
      await using idle = await world.client(world.f)
      await idle.query('BEGIN')
      await idle.query(insert())
      await using busy = await world.client(world.f)
      const locks = await open({ graceMs: 1_000, tables: [{ schema: 'app__', name: 'a' }, ...tables] })
      const locking = locks.lock(signal())
      let slowestMs = 0
      let running = true
      const load = (async () => {
        while (running) {
          const began = performance.now()
          await busy.query('INSERT INTO app__.a (n) VALUES (1)').catch(() => undefined)
          slowestMs = Math.max(slowestMs, performance.now() - began)
          await delay(2)
        }
      })()
      await delay(800)
      running = false
      await load
      assert(slowestMs > 50, `its writers were held: ${slowestMs} ms`)
      assert(slowestMs < 400, `a writer waited ${slowestMs} ms`)
      await locking
      await locks.release()
      await admin.query('DROP TABLE app__.a')
    })

    test('promise 9: a holder that stopped (no pings) loses its locks by the server’s own clock', async () => {
      const frozen: Clock = { ...systemClock, sleep: (ms, s) => (ms >= 200 ? new Promise(() => undefined) : systemClock.sleep(ms, s)) }
      const locks = await open({ leaseMs: 1_000, clock: frozen })
      await locks.lock(signal())
      await using client = await world.client(world.f)
      await client.query('SET SESSION lock_wait_timeout = 5')
      const started = performance.now()
      await client.query(insert())
      const waitedMs = performance.now() - started
      assert(waitedMs > 500 && waitedMs < 3_000, `the write waited ${waitedMs} ms`)
    })

    test('a prepared XA transaction holds them off: its outcome could change rows', async () => {
      await using client = await world.client(world.f)
      await client.query("XA START 'a'")
      await client.query(insert())
      await client.query("XA END 'a'")
      await client.query("XA PREPARE 'a'")
      await client.close()
      const locks = await open({ graceMs: 100 })
      await assert.rejects(locks.lock(signal()), { code: 'SW-SWITCH-006' })
      await locks.release()
      await using admin = await world.admin('f')
      await admin.query("XA ROLLBACK 'a'")
    })

    test('with the claimed session gone no table is locked, also by who has not heard of it', async () => {
      const claim = await context.pool.claimed('f')
      const successor = await world.leader()
      await successor.pool.claimed('f')
      // As a controller that wakes up: its pool gives the session that is dead, and the right to lock is free.
      const unaware = { lockNames: context.pool.lockNames, claimed: async () => claim } as unknown as ClaimPool
      const locks = await SessionLocks.open(unaware, 'f', { tables, graceMs: 200, leaseMs: 60_000, attemptMs: 150, clock: systemClock })
      await assert.rejects(locks.lock(signal()))
      await using client = await world.client(world.f)
      await client.query(insert())
      await locks.release()
      context = successor
    })

    test('a newer claim ends table locks that an older leader holds', async () => {
      const locks = await open()
      await locks.lock(signal())
      const successor = await world.leader()
      await successor.pool.claimed('f')
      await using client = await world.client(world.f)
      await client.query('SET SESSION lock_wait_timeout = 5')
      await client.query(insert())
      await locks.release()
      context = successor
    })
  })
}
