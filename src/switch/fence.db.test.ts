import { until } from '../../test/kit/until.ts'
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { closeServer, describeOpen, fenceState, isClosed, openServer } from './fence.ts'
import { connectAs } from './server-access.ts'
import { SessionLocks } from './session-locks.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { World } from './testkit/world.ts'
import type { SwitchContext } from './context.ts'

const none = { allowUnfenced: [] }

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`fence on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    let context: SwitchContext
    const lockedErrno = flavour === 'mysql' ? 3118 : 4151
    before(async () => {
      world = await World.start(flavour)
      context = await world.leader()
      await using admin = await world.admin('f')
      await admin.query("CREATE USER dba@'%' IDENTIFIED BY 'x'")
      await admin.query("CREATE USER asleep@'%' IDENTIFIED BY 'x' ACCOUNT LOCK")
      await admin.query("CREATE USER repl@'%' IDENTIFIED BY 'x'")
      await admin.query("GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
      await admin.query("GRANT ALL ON *.* TO dba@'%'")
    })
    after(() => world.stop())
    const close = () => context.pool.run('f', (server) => closeServer(server, none, systemClock))
    const open = () => context.pool.run('f', (server) => openServer(server))
    const state = () => context.pool.run('f', ({ connection, ours }) => fenceState(connection, ours, none))
    const dba = () => connect({ host: '127.0.0.1', port: world.f.port, user: 'dba', password: 'x' })

    test('promise 2: whoever was connected, whatever their privileges, and whoever comes: nobody writes; our applier does', async () => {
      await using idle = await world.client(world.f)
      await using writer = await world.client(world.f)
      await using admin = await dba()
      await writer.query('BEGIN')
      await writer.query("INSERT INTO app__.t VALUES (10, 'open', 0)")
      const killed = await close()
      assert(killed.some((session) => session.user === 'app' && session.transaction))
      await assert.rejects(writer.query('COMMIT'), 'its session was ended')
      await assert.rejects(idle.query("INSERT INTO app__.t VALUES (11, 'idle', 0)"), { errno: 1290 })
      assert.equal((await idle.query('SELECT 1')).kind, 'rows', 'who only reads goes on')
      await assert.rejects(admin.query("INSERT INTO app__.t VALUES (12, 'dba', 0)"), 'a session that passes read_only was ended')
      await assert.rejects(world.client(world.f), { errno: lockedErrno })
      await assert.rejects(dba(), { errno: lockedErrno })
      await using gate = await connectAs((await context.pool.claimed('f')).access, 'gate').catch(() => null as never)
      assert.equal(gate, null, 'the gates are clients, too')
      await using repl = await connect({ host: '127.0.0.1', port: world.f.port, user: 'repl', password: 'x' })
      assert(repl.open, 'replication goes on')
      await using mover = await connectAs((await context.pool.claimed('f')).access, 'mover')
      await mover.query("INSERT INTO app__.t VALUES (13, 'mover', 0)")
      assert(isClosed(await state()))
      await idle.close()
      await open()
      assert.deepEqual(await world.ids(['-']), [13])
    })

    test('promise 9: a SELECT by itself that is being answered is answered whole; one of a transaction, or with locks, is ended', async () => {
      await using reader = await world.client(world.f)
      await using within = await world.client(world.f)
      await using locking = await world.client(world.f)
      await reader.query('INSERT INTO app__.t VALUES (20, "r", 0), (21, "r", 0), (22, "r", 0)')
      await within.query('BEGIN')
      const slow = 'SELECT id, SLEEP(0.5) FROM app__.t WHERE id IN (20, 21, 22)'
      const answer = reader.query(slow)
      const ends = [within.query(slow), locking.query(`${slow} FOR UPDATE`)].map((query) => query.catch(() => null))
      await using admin = await world.admin('f')
      await until('all run', async () => {
        const rows = await admin.allText('SHOW PROCESSLIST')
        return rows.filter((row) => row['Info']?.startsWith('SELECT id, SLEEP')).length === 3
      })
      // InnoDB's picture of transactions is renewed when nobody has looked for 100 ms.
      await delay(200)
      await close()
      const result = await answer
      assert.equal(result.kind === 'rows' && result.rows.length, 3)
      // What was asleep may have been answered with what it had.
      await Promise.all(ends)
      for (const ended of [within, locking]) await assert.rejects(ended.query('SELECT 1'))
      await open()
      await reader.query('DELETE FROM app__.t WHERE id IN (20, 21, 22)')
    })

    test('closing twice, opening twice; what was locked before us stays locked', async () => {
      await close()
      await close()
      await open()
      await open()
      await using client = await world.client(world.f)
      await client.query("INSERT INTO app__.t VALUES (20, 'open again', 0)")
      await assert.rejects(connect({ host: '127.0.0.1', port: world.f.port, user: 'asleep', password: 'x' }), { errno: lockedErrno })
    })

    test('kill -9 and restart: still closed, without anybody doing anything; open by its own list', async () => {
      await close()
      await world.f.kill9()
      await world.f.up()
      await assert.rejects(world.client(world.f), { errno: lockedErrno })
      const now = await state()
      assert.equal(now.readOnly, false, 'this is what a restart loses')
      assert(isClosed(now), describeOpen(now))
      await open()
      await using client = await world.client(world.f)
      assert(client.open)
    })

    test('a restart between the two effects of closing leaves it closed', async () => {
      await assert.rejects(
        context.pool.run('f', (server) => closeServer(server, none, systemClock, () => Promise.reject(new Error('dies')))),
        /dies/,
      )
      await world.f.kill9()
      await world.f.up()
      await assert.rejects(world.client(world.f), { errno: lockedErrno })
      await open()
    })

    test('a crash between the two effects of opening leaves it closed to whoever is not connected, and open can be repeated', async () => {
      await close()
      await assert.rejects(
        context.pool.run('f', (server) => openServer(server, () => Promise.reject(new Error('dies')))),
        /dies/,
      )
      await assert.rejects(world.client(world.f), { errno: lockedErrno })
      await open()
      await using client = await world.client(world.f)
      assert(client.open)
    })

    test('account locks do not reach the binlog, markers do', async () => {
      await using admin = await world.admin('f')
      await close()
      await open()
      const before_ = (await context.pool.run('f', ({ connection }) => connection.allText('SHOW BINARY LOGS'))).at(-1)?.['Log_name']
      const events = await admin.allText(`SHOW BINLOG EVENTS IN '${before_}'`)
      assert(events.length > 0)
      assert(
        !events.some((row) => /ACCOUNT (UN)?LOCK/i.test(row['Info'] ?? '') && /ALTER USER/i.test(row['Info'] ?? '')),
        'an ALTER USER would lock the replicas',
      )
      assert.equal(await context.pool.run('f', ({ connection }) => connection.value('SELECT @@SESSION.sql_log_bin')), '1')
    })

    test('a writer that queues behind our own table locks does not hold up read_only', async () => {
      const locks = await SessionLocks.open(context.pool, 'f', {
        tables: [{ schema: 'app__', name: 't' }],
        graceMs: 100,
        leaseMs: 60_000,
        attemptMs: 150,
        clock: systemClock,
      })
      await locks.lock(AbortSignal.timeout(5_000))
      await using client = await world.client(world.f)
      const insert = client.query("INSERT INTO app__.t VALUES (30, 'queued', 0)")
      insert.catch(() => undefined)
      await delay(30)
      const started = performance.now()
      await close()
      assert(performance.now() - started < 1_500, `closing took ${performance.now() - started} ms`)
      await locks.release()
      await assert.rejects(insert)
      assert(!(await world.ids(['-'])).includes(30))
      await client.close()
      await open()
    })

    test('an account allowed by name is neither locked nor ended', async () => {
      const allowed = { allowUnfenced: ['dba@%'] }
      await using admin = await dba()
      await context.pool.run('f', (server) => closeServer(server, allowed, systemClock))
      await admin.query("INSERT INTO app__.t VALUES (40, 'allowed', 0)")
      await using later = await dba()
      await later.query("INSERT INTO app__.t VALUES (41, 'allowed, logging in later', 0)")
      const there = await world.ids(['-'])
      assert(there.includes(40) && there.includes(41))
      const shown = await context.pool.run('f', ({ connection, ours }) => fenceState(connection, ours, allowed))
      assert(isClosed(shown))
      await open()
    })

    test('promise 2: a procedure with an administrator’s rights passes read_only: where there is one, no session stays', async () => {
      await using admin = await world.admin('f')
      await admin.query("CREATE DEFINER = dba@'%' PROCEDURE app__.p() SQL SECURITY DEFINER INSERT INTO app__.t VALUES (50, 'procedure', 0)")
      await admin.query("GRANT EXECUTE ON *.* TO app@'%'")
      await using client = await world.client(world.f)
      await admin.query('SET GLOBAL read_only = 1')
      await client.query('CALL app__.p()')
      assert((await world.ids(['-'])).includes(50), 'this is what must not happen on a closed server')
      await admin.query('DELETE FROM app__.t WHERE id = 50')
      await close()
      await assert.rejects(client.query('CALL app__.p()'))
      assert(isClosed(await state()))
      assert(!(await world.ids(['-'])).includes(50))
      await open()
      await admin.query('DROP PROCEDURE app__.p')
    })

    test('a gate account that was made locked (a server provisioned closed) is unlocked by opening', async () => {
      await using admin = await world.admin('f')
      await admin.query("ALTER USER sw_gate@'%' ACCOUNT LOCK")
      await open()
      await using gate = await connectAs((await context.pool.claimed('f')).access, 'gate')
      assert(gate.open)
    })

    test('opened by somebody: seen, and told by name', async () => {
      await using admin = await world.admin('n')
      await admin.query("ALTER USER app@'%' ACCOUNT UNLOCK")
      const seen = await context.pool.run('n', ({ connection, ours }) => fenceState(connection, ours, none))
      assert(!isClosed(seen))
      assert.match(describeOpen(seen), /app@%/)
      await context.pool.run('n', (server) => closeServer(server, none, systemClock))
    })
  })
}
