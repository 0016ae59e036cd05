import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { chooseFence } from './fence-choice.ts'
import { checkFence } from './fence-conformance.ts'
import type { FenceSubject } from './fence-conformance.ts'
import { fenceKinds } from './fence-kinds.ts'
import type { FenceKind } from './fence-kinds.ts'
import { writeFenceNote } from './fence-note.ts'
import { closeServer, describeOpen, fenceState, isClosed, openServer, prepareFence, removeFence, settledFenceState } from './fence.ts'
import { connectAs } from './server-access.ts'
import { listClientSessions } from './sessions.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { World } from './testkit/world.ts'
import type { SwitchContext } from './context.ts'

const none = { allowUnfenced: [] }

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`every fence on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    let context: SwitchContext
    before(async () => {
      world = await World.start(flavour)
      context = await world.leader()
      await using admin = await world.admin('f')
      await admin.query("CREATE USER boss@'%' IDENTIFIED BY 'x'")
      await admin.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      await admin.query("ALTER USER boss@'%' ACCOUNT LOCK")
    })
    after(() => world.stop())
    const dba = () => connect({ host: '127.0.0.1', port: world.f.port, user: 'dba', password: 'x' })

    function subject(kind: FenceKind): FenceSubject {
      return {
        table: 'app__.t',
        schema: 'app__',
        close: async () => void (await context.pool.run('f', (server) => closeServer(server, none, systemClock))),
        open: () => context.pool.run('f', (server) => openServer(server)),
        openings: async () =>
          describeOpen(await context.pool.run('f', ({ connection, ours }) => settledFenceState(connection, ours, none, systemClock))),
        client: () => world.client(world.f),
        privileged: kind === 'persist' ? null : dba,
        admin: () => world.admin('f'),
        mover: async () => connectAs((await context.pool.claimed('f')).access, 'mover'),
        killAndRestart: async () => {
          await world.f.kill9()
          await world.f.up()
        },
        events: kind === 'locks' || kind === 'triggers',
      }
    }

    for (const [number, kind] of fenceKinds.entries()) {
      if (kind === 'persist' && flavour === 'mariadb') continue
      test(`promise 2: closed by ${kind}, nobody writes: bypassing clients, open transactions, every privilege, an event, a restart`, async () => {
        {
          await using admin = await world.admin('f')
          await admin.query("DROP USER IF EXISTS dba@'%'")
          if (kind !== 'persist') {
            await admin.query("CREATE USER dba@'%' IDENTIFIED BY 'x'")
            await admin.query("GRANT ALL ON *.* TO dba@'%'")
          }
        }
        const prepared = await context.pool.run('f', (server) => prepareFence(server, ['app__'], systemClock, kind))
        assert.equal(prepared.kind, kind)
        try {
          await checkFence(subject(kind), 10_000 * (number + 1))
        } finally {
          await context.pool.run('f', (server) => openServer(server))
          await context.pool.run('f', (server) => removeFence(server))
        }
      })
    }

    test('by kill it stands once the killed are gone: what they last sent may still be under way', async () => {
      await using admin = await world.admin('f')
      await admin.query('CREATE TABLE app__.big (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL) ENGINE=InnoDB')
      await admin.query('INSERT INTO app__.big (n) VALUES (0), (0), (0), (0), (0), (0), (0), (0)')
      for (let i = 0; i < 11; i++) await admin.query('INSERT INTO app__.big (n) SELECT 0 FROM app__.big')
      await context.pool.run('f', (server) => prepareFence(server, ['app__'], systemClock, 'kill'))
      // Ended, it has all of this to roll back.
      await using client = await world.client(world.f)
      await client.query('BEGIN')
      await client.query('UPDATE app__.big SET n = n + 1')
      const sessions = await context.pool.run('f', async (server) => {
        await closeServer(server, none, systemClock)
        return listClientSessions(server.connection, server.ours)
      })
      assert.deepEqual(sessions, [])
      await context.pool.run('f', (server) => openServer(server))
      await admin.query('DROP TABLE app__.big')
    })

    test('by triggers, beside somebody else’s schema: who was let in before is ended, an older snapshot does not pass, a missing row refuses', async () => {
      const run = <T>(work: Parameters<typeof context.pool.run<T>>[1]): Promise<T> => context.pool.run('f', work)
      await using admin = await world.admin('f')
      await admin.query('CREATE DATABASE neighbour')
      await run((server) => prepareFence(server, ['app__'], systemClock, 'triggers'))
      await using wrote = await world.client(world.f)
      await wrote.query("INSERT INTO app__.t (id, who) VALUES (900001, 'here'), (900002, 'here')")
      // Without performance_schema MySQL does not tell who holds the row: then those are ended that have the schema as their own.
      if (flavour === 'mysql') await wrote.useDatabase('app__')
      await wrote.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await wrote.query('BEGIN')
      await wrote.query("UPDATE app__.t SET who = 'let in' WHERE id = 900001")
      await using snapshot = await world.client(world.f)
      await snapshot.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      await snapshot.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await snapshot.query('SELECT COUNT(*) FROM app__.t')
      await run((server) => closeServer(server, none, systemClock))
      await assert.rejects(wrote.query('COMMIT'), 'it would commit behind the fence')
      await assert.rejects(snapshot.query("UPDATE app__.t SET who = 'snapshot' WHERE id = 900002"), 'the armed row as it was')
      snapshot.destroy()
      await run((server) => openServer(server))
      await using client = await world.client(world.f)
      await client.query("INSERT INTO app__.t (id, who) VALUES (900003, 'open')")
      await admin.query("DELETE FROM _shardwright.control_armed_schemas WHERE schema_name = 'app__'")
      await assert.rejects(client.query("INSERT INTO app__.t (id, who) VALUES (900004, 'no row')"), { errno: 1290 })
      await run((server) => removeFence(server))
      await admin.query('DROP DATABASE neighbour')
    })

    test('a table that came after the triggers is an open door, and told', async () => {
      const run = <T>(work: Parameters<typeof context.pool.run<T>>[1]): Promise<T> => context.pool.run('f', work)
      await run((server) => prepareFence(server, ['app__'], systemClock, 'triggers'))
      await using admin = await world.admin('f')
      await admin.query('CREATE TABLE app__.late (id INT PRIMARY KEY)')
      await assert.rejects(
        run((server) => closeServer(server, none, systemClock)),
        { code: 'SW-SWITCH-028', message: /app__\.late/ },
      )
      await run((server) => openServer(server))
      await admin.query('DROP TABLE app__.late')
      await run((server) => removeFence(server))
      assert.equal(await admin.value("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'app__'"), '0')
    })

    test('what may not be fenced by read_only that whoever passes it, is not', { skip: flavour === 'mariadb' }, async () => {
      await using admin = await world.admin('f')
      await admin.query("CREATE USER IF NOT EXISTS dba@'%' IDENTIFIED BY 'x'")
      await admin.query("GRANT ALL ON *.* TO dba@'%'")
      await context.pool.run('f', (server) => prepareFence(server, [], systemClock, 'persist'))
      await assert.rejects(
        context.pool.run('f', (server) => closeServer(server, none, systemClock)),
        { code: 'SW-SWITCH-028', message: /dba@%/ },
      )
      await context.pool.run('f', (server) => openServer(server))
    })

    test('the strongest that the privileges of our account allow is chosen, and why no stronger one is said', async () => {
      await using admin = await world.admin('f')
      const choose = async (): Promise<{ kind: FenceKind; why: readonly string[] }> => {
        // Global privileges of a session are those of its login.
        await using ours = await connectAs((await context.pool.claimed('f')).access, 'admin')
        return await chooseFence(ours, 'f')
      }
      assert.equal((await choose()).kind, 'locks')
      const readOnly = flavour === 'mysql' ? 'SUPER, SYSTEM_VARIABLES_ADMIN' : 'SUPER, READ_ONLY ADMIN'
      await admin.query("ALTER USER boss@'%' ACCOUNT UNLOCK")
      await using root = await connect({ host: '127.0.0.1', port: world.f.port, user: 'boss', password: 'x' })
      try {
        await root.query(`REVOKE ${readOnly} ON *.* FROM sw_admin@'%'`)
        const kill = await choose()
        assert.equal(kill.kind, 'kill')
        assert.match(kill.why.join(), /read_only may not be set/)
        await root.query("REVOKE CREATE USER ON *.* FROM sw_admin@'%'")
        assert.equal((await choose()).kind, 'triggers')
        if (flavour === 'mysql') {
          await root.query(`GRANT SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN ON *.* TO sw_admin@'%'`)
          const persist = await choose()
          assert.equal(persist.kind, 'persist', persist.why.join('; '))
          await root.query("REVOKE SYSTEM_VARIABLES_ADMIN ON *.* FROM sw_admin@'%'")
        }
        await root.query("REVOKE TRIGGER ON *.* FROM sw_admin@'%'")
        await assert.rejects(choose(), { code: 'SW-SWITCH-036' })
      } finally {
        await root.query("GRANT ALL ON *.* TO sw_admin@'%' WITH GRANT OPTION")
      }
      assert.equal((await choose()).kind, 'locks')
      await context.pool.run('f', ({ connection }) => writeFenceNote(connection, { kind: 'locks', schemas: [] }))
      const state = await context.pool.run('f', ({ connection, ours }) => fenceState(connection, ours, none))
      assert(!isClosed(state), describeOpen(state))
    })
  })
}
