import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { until } from '../../test/kit/until.ts'
import { SessionLocks } from './session-locks.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { World } from './testkit/world.ts'

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`claims on ${flavour}: what a stale controller can do`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour)
    })
    after(() => world.stop())

    test('a newer claim ends the older session, its table locks and its running statement, before it has the lock', async () => {
      const older = await world.leader()
      const stale = await older.pool.claimed('f')
      await stale.connection.query('CREATE DATABASE IF NOT EXISTS scratch')
      await stale.connection.query('CREATE TABLE scratch.big (id INT PRIMARY KEY AUTO_INCREMENT, n INT) ENGINE=InnoDB')
      await stale.connection.query('INSERT INTO scratch.big (n) VALUES (0), (0), (0), (0), (0), (0), (0), (0)')
      for (let i = 0; i < 13; i++) await stale.connection.query('INSERT INTO scratch.big (n) SELECT 0 FROM scratch.big')
      const locks = await SessionLocks.open(older.pool, 'f', {
        tables: [{ schema: 'app__', name: 't' }],
        graceMs: 500,
        leaseMs: 60_000,
        attemptMs: 150,
        clock: systemClock,
      })
      await locks.lock(AbortSignal.timeout(5_000))
      const running = stale.connection.query('UPDATE scratch.big SET n = n + 1, id = id + SLEEP(0.0001)')
      running.catch(() => undefined)
      await delay(50)
      assert(stale.connection.outstanding > 0, 'the statement still runs')

      const newer = await world.leader()
      const mine = await newer.pool.claimed('f')
      assert.equal(await mine.connection.value('SELECT SUM(n) FROM scratch.big'), '0', 'rolled back before the lock was had')
      await assert.rejects(running)
      await using client = await world.client(world.f)
      await client.query('UPDATE app__.t SET n = 1 WHERE id = 1')
      await assert.rejects(stale.connection.query('SET GLOBAL read_only = 1'), 'the stale session is dead')
      await mine.connection.query('DROP DATABASE scratch')

      await assert.rejects(
        older.pool.run('f', ({ connection }) => connection.query('SET GLOBAL read_only = 1')),
        { code: 'SW-SWITCH-001' },
      )
      assert.equal(await mine.connection.value('SELECT @@GLOBAL.read_only'), '0')
    })

    test('the token row refuses an older leader after a restart of the server, too', async () => {
      const older = await world.leader()
      const newer = await world.leader()
      await newer.pool.claimed('f')
      await world.f.kill9()
      await world.f.up()
      const { threadId } = await newer.pool.run('f', async ({ connection }) => {
        await connection.ping()
        return connection
      })
      await assert.rejects(older.pool.claimed('f'), { code: 'SW-SWITCH-001' })
      const again = await newer.pool.run('f', async ({ connection }) => {
        await connection.ping()
        return connection
      })
      assert.equal(again.threadId, threadId, 'the session of the newer one is left alone')
    })

    test('a token that was raised between the look and the lock refuses', async () => {
      const older = await world.leader()
      await using admin = await world.admin('f')
      await admin.query('BEGIN')
      await admin.query('UPDATE _shardwright.control_token SET token = token + 100')
      // It looks, sees nothing of this, takes the lock, and waits for the row.
      const claiming = older.pool.claimed('f')
      claiming.catch(() => undefined)
      const { ctl } = older.pool.lockNames
      await until('the older one to have the lock', async () => (await admin.value(`SELECT IS_USED_LOCK('${ctl}')`)) !== null)
      await admin.query('COMMIT')
      await assert.rejects(claiming, { code: 'SW-SWITCH-001' })
      await admin.query('UPDATE _shardwright.control_token SET token = token - 100')
    })

    test('an effect whose session is lost is repeated on a new claim, but not when its work was cut', async () => {
      const context = await world.leader()
      const ids: number[] = []
      const kill = async (id: number): Promise<void> => {
        await using admin = await world.admin('f')
        await admin.query(`KILL ${id}`)
      }
      await context.pool.run('f', async ({ connection }) => {
        ids.push(connection.threadId)
        if (ids.length === 1) await kill(connection.threadId)
        await connection.query('SELECT 1')
      })
      assert.equal(new Set(ids).size, 2)
      const cut = new AbortController()
      let runs = 0
      const work = context.pool.run(
        'f',
        async ({ connection }) => {
          runs++
          cut.abort(new Error('cut'))
          await kill(connection.threadId)
          await connection.query('SELECT 1')
        },
        cut.signal,
      )
      await assert.rejects(work, /cut/)
      assert.equal(runs, 1)
    })

    test('a server of another installation is refused', async () => {
      await using admin = await world.admin('f')
      await admin.query("UPDATE _shardwright.control_token SET installation = 'other'")
      const context = await world.leader()
      await assert.rejects(context.pool.claimed('f'), { code: 'SW-SWITCH-004' })
      await admin.query("UPDATE _shardwright.control_token SET installation = 'test-installation'")
    })
  })
}
