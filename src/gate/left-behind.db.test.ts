/** What a statement leaves on a server's connection, and no reset takes back, is nobody else's: roles, the schema in use, locks of backups. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      // One connection to the server, which all sessions share.
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, w VARCHAR(9))'],
        config: { backendConnectionsMax: 1 },
      })
      const { admin } = world
      await admin.query('CREATE DATABASE elsewhere')
      await admin.query('CREATE TABLE elsewhere.t (id BIGINT PRIMARY KEY, w VARCHAR(9))')
      await admin.query("INSERT INTO one.t VALUES (1, 'one')")
      await admin.query("INSERT INTO elsewhere.t VALUES (1, 'other')")
      await admin.query('CREATE ROLE some')
      await admin.query("GRANT some TO sw_gate@'%'")
      await admin.query(`GRANT RELOAD${flavour === 'mysql' ? ', BACKUP_ADMIN' : ''} ON *.* TO sw_gate@'%'`)
      if (flavour === 'mariadb') await admin.query("CREATE PROCEDURE one.moves() SQL SECURITY INVOKER EXECUTE IMMEDIATE 'USE elsewhere'")
    })
    after(() => world?.stop())

    /** Of a session that comes after: it waits until the connection of the one before is free. */
    async function next<T>(ask: (c: Connection) => Promise<T>): Promise<T> {
      const c = await world.session('one')
      try {
        return await ask(c)
      } finally {
        await c.close()
      }
    }
    const noRole = flavour === 'mysql' ? 'NONE' : null

    test('a role is its session’s, and ends with it', async () => {
      await next(async (c) => {
        await c.query('SET ROLE some')
        await c.query('SELECT 1')
        assert.match((await c.value('SELECT CURRENT_ROLE()')) ?? '', /some/)
      })
      assert.equal(await next((c) => c.value('SELECT CURRENT_ROLE()')), noRole)
    })

    test('a lock of backups', async () => {
      const [lock, unlock] = flavour === 'mysql' ? ['LOCK INSTANCE FOR BACKUP', 'UNLOCK INSTANCE'] : ['BACKUP LOCK one.t', 'BACKUP UNLOCK']
      const { admin } = world
      await admin.query('SET SESSION lock_wait_timeout = 1')
      const alter = (): Promise<string> => codeOf(admin, "ALTER TABLE one.t COMMENT 'x'")
      await next(async (c) => {
        await c.query(lock)
        await c.query('SELECT 1')
        assert.equal(await alter(), '1205')
        await c.query(unlock)
        assert.equal(await alter(), 'done')
        await c.query(lock)
      })
      await next((c) => c.query('SELECT 1'))
      assert.equal(await alter(), 'done')
    })

    test('the schema in use', { skip: flavour === 'mysql' }, async () => {
      for (const moves of [
        "EXECUTE IMMEDIATE 'USE elsewhere'",
        "PREPARE s FROM 'USE elsewhere'; EXECUTE s",
        'CALL moves()',
        'BEGIN NOT ATOMIC EXECUTE IMMEDIATE "USE elsewhere"; END',
      ]) {
        await next(async (c) => {
          for (const sql of moves.startsWith('PREPARE') ? moves.split('; ') : [moves]) await c.query(sql)
          assert.equal(await c.value('SELECT w FROM t'), 'other', moves)
        })
        assert.equal(await next((c) => c.value('SELECT w FROM t')), 'one', moves)
      }
    })

    test('the schema that was dropped, and is there again', async () => {
      for (const form of ['query', 'prepared'] as const) {
        await next(async (c) => {
          if (form === 'query') await c.query('DROP DATABASE one')
          else await (await c.prepare('DROP DATABASE one')).execute([])
        })
        await world.admin.query('CREATE DATABASE one')
        await world.admin.query('CREATE TABLE one.t (id BIGINT PRIMARY KEY, w VARCHAR(9))')
        await next((c) => c.query("INSERT INTO t VALUES (1, 'anew')"))
      }
    })

    test('a text that no server can read keeps no connection', async () => {
      const open = await Promise.all([world.session('one'), world.session('one')])
      for (const c of open) assert.equal(await codeOf(c, 'SELEC 1'), '1064')
      for (const c of open) assert.equal(await c.value('SELECT 1'), '1')
      await Promise.all(open.map((c) => c.close()))
    })

    test('the last number of a sequence is the session’s own, or is refused', { skip: flavour === 'mysql' }, async () => {
      await world.admin.query('CREATE SEQUENCE one.s')
      await world.admin.query('CREATE SEQUENCE one.other')
      await world.admin.query('CREATE TABLE one.numbered (id BIGINT DEFAULT NEXTVAL(one.other) PRIMARY KEY, n BIGINT)')
      const [a, b] = await Promise.all([world.session('one'), world.session('one')])
      const drawn = await a.value('SELECT NEXTVAL(s)')
      assert.equal(await a.value('SELECT LASTVAL(s)'), drawn)
      await a.query('SELECT 1')
      assert.equal(await a.value('SELECT PREVIOUS VALUE FOR `s`'), drawn)
      assert.equal(await (await a.prepare('SELECT LASTVAL(s)')).execute([]).then((r) => r.kind === 'rows' && String(r.rows[0]?.[0])), drawn)
      // It takes the connection.
      await b.query('INSERT INTO numbered (n) VALUES (1)')
      for (const ask of ['SELECT LASTVAL(s)', 'SELECT LASTVAL(other)', 'SELECT PREVIOUS VALUE FOR s']) {
        assert.equal(await codeOf(a, ask), 'SW-GATE-012', ask)
        assert.equal(await codeOf(b, ask), 'SW-GATE-012', ask)
      }
      await a.query('BEGIN')
      await a.query('INSERT INTO numbered VALUES (NEXTVAL(one.s), LASTVAL(one.s))')
      assert.equal(await a.value('SELECT n = LASTVAL(one.s) FROM numbered ORDER BY id DESC LIMIT 1'), '1')
      assert.equal(await codeOf(a, 'SELECT LASTVAL(other)'), 'SW-GATE-012')
      await a.query('COMMIT')
      assert.equal(await codeOf(a, 'SELECT @@last_gtid'), 'SW-GATE-012')
      await Promise.all([a.close(), b.close()])
    })
  })
}
