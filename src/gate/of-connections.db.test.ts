/** Promise 10: what a server knows of its connections is not told as a session's, as sessions share them: no statement of another one, no number that KILL does not know. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { connect } from '../mysql/connect.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let open: Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one_phys', same: 'same', shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
        users: { reader: { grants: { one: ['read', 'write'], shop: ['read'] } } },
      })
      const traced = "SET optimizer_trace = 'enabled=on'"
      await world.admin.query('USE one_phys')
      await world.admin.query(`CREATE PROCEDURE records() SQL SECURITY INVOKER ${flavour === 'mysql' ? traced : 'SET profiling = 1'}`)
      const tells = flavour === 'mysql' ? 'SELECT QUERY FROM information_schema.OPTIMIZER_TRACE' : 'SHOW PROFILES'
      await world.admin.query(`CREATE PROCEDURE tells() SQL SECURITY INVOKER ${tells}`)
    })
    after(() => world.stop())

    const session = async (keyspace: string, user = 'app'): Promise<Connection> => {
      const c = await connect({ host: '127.0.0.1', port: world.port, user, password: 'secret', database: keyspace })
      open.push(c)
      return c
    }
    const ended = async (): Promise<void> => {
      await Promise.all(open.map((c) => c.close()))
      open = []
    }

    test('what a connection keeps of the statements before is asked of the server itself', async () => {
      for (const keyspace of ['one', 'shop']) {
        const c = await session(keyspace)
        for (const sql of [
          'SET profiling = 1',
          "SET SESSION optimizer_trace = 'enabled=on'",
          "SET optimizer_trace = 'one_line=on,enabled=on'",
          'SHOW PROFILES',
          'SHOW PROFILE FOR QUERY 1',
          'SELECT * FROM information_schema.PROFILING',
          'SELECT `query` FROM `Information_Schema`.`optimizer_trace`',
          'SET @a = (SELECT MAX(query_id) FROM information_schema.profiling)',
          'CREATE VIEW told AS SELECT * FROM information_schema.PROFILING',
          'CREATE PROCEDURE told() SHOW PROFILES',
          'EXPLAIN FOR CONNECTION 1',
          'SELECT * FROM sys.session',
          'SELECT processlist_id FROM performance_schema.threads',
          ...(flavour === 'mariadb' ? ["SET STATEMENT optimizer_trace = 'enabled=on' FOR SELECT 1", 'SHOW EXPLAIN FOR 1'] : []),
        ])
          assert.equal(await codeOf(c, sql), 'SW-GATE-012', sql)
        await assert.rejects(c.prepare('SHOW PROFILES'), /SW-GATE-012/)
        await c.query("SET profiling = 0, optimizer_trace = 'enabled=off'")
        assert.equal(await c.value("SELECT 'profiles, threads and profiling'"), 'profiles, threads and profiling')
        assert.equal(await c.value('SELECT MAX(sys.session) FROM (SELECT 5 AS session, id FROM t) sys WHERE sys.id = 4711'), null)
      }
      await ended()
    })

    test('what a procedure had recorded is not told to whoever has the connection next', async () => {
      const first = await session('one')
      await first.query('CALL records()')
      await first.query('SELECT * FROM t WHERE n = 4711')
      await ended()
      const second = await session('one')
      await second.query('SELECT * FROM t WHERE n = 5')
      await second.query('COMMIT')
      const told = (await second.queryMulti('CALL tells()')).flatMap((one) => (one.kind === 'rows' ? one.rows.flat().map(String) : []))
      assert.deepEqual(
        told.filter((text) => text.includes('4711')),
        [],
      )
      await ended()
    })

    test("the list of sessions is the gate's, by the numbers of CONNECTION_ID() and KILL", async () => {
      for (const keyspace of ['one', 'shop']) {
        const [c, other, reader] = [await session(keyspace), await session('one'), await session('one', 'reader')]
        await other.query("SELECT 'of other'")
        const shown = (await c.allText('SHOW PROCESSLIST')).map(({ Id, User, db, Command }) => [Id, User, db, Command])
        const columns = 'SELECT ID, USER, DB, COMMAND FROM information_schema.PROCESSLIST ORDER BY ID'
        assert.deepEqual(
          (await c.allText(columns)).map((row) => Object.values(row)),
          shown.toSorted((a, b) => Number(a[0]) - Number(b[0])),
        )
        assert.equal(await c.value('SELECT COUNT(*) FROM information_schema.PROCESSLIST p WHERE p.ID = CONNECTION_ID()'), '1')
        const own = "SELECT information_schema.processlist.info FROM information_schema.processlist WHERE INFO LIKE '%of me%'"
        assert.equal(await c.value(own), own)
        assert.ok(Number(await c.value("SELECT SUM(TIME) FROM information_schema.PROCESSLIST WHERE HOST LIKE '127%'")) >= 0)
        assert.deepEqual(await reader.allText('SELECT DISTINCT USER AS u FROM information_schema.PROCESSLIST'), [{ u: 'reader' }])
        const id = String(await other.value('SELECT CONNECTION_ID()'))
        await c.query(`KILL ${await c.value(`SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'app' AND ID = ${id}`)}`)
        await assert.rejects(other.query('SELECT 1'))
        await assert.rejects(c.prepare('SELECT * FROM information_schema.PROCESSLIST'), /SW-GATE-012/)
        assert.equal(await codeOf(c, 'SET @n = (SELECT COUNT(*) FROM information_schema.PROCESSLIST)'), 'SW-GATE-012')
        await ended()
      }
    })

    test('nor is it asked of the server by a text that the gate does not read', async () => {
      const c = await session('same')
      for (const sql of [
        "PREPARE p FROM 'SELECT COUNT(*) FROM information_schema.PROCESSLIST'",
        "PREPARE p FROM 'SHOW PROFILES'",
        ...(flavour === 'mysql'
          ? ['TABLE information_schema.processlist']
          : [
              "EXECUTE IMMEDIATE 'SELECT ID FROM information_schema.processlist'",
              'BEGIN NOT ATOMIC SELECT ID FROM information_schema.processlist; END',
              'SET STATEMENT profiling := 1 FOR SELECT 1',
            ]),
      ])
        assert.equal(await codeOf(c, sql), 'SW-GATE-012', sql)
      await c.query("PREPARE p FROM 'SELECT 1'")
      await ended()
    })

    test('promise 10: IS_USED_LOCK names the session that holds the lock, or says that it can not', async () => {
      const holder = await session('one')
      const id = String(await holder.value('SELECT CONNECTION_ID()'))
      const labels = async (c: Connection, sql: string): Promise<string[]> => (await c.allText(sql)).flatMap((row) => Object.keys(row))
      assert.equal(await holder.value("SELECT IS_USED_LOCK('a')"), null)
      await holder.query("SELECT GET_LOCK('a', 0)")
      for (const c of [holder, await session('one'), await session('shop')]) {
        const own = c === holder ? '1' : '0'
        assert.equal(await c.value("SELECT IS_USED_LOCK('a') = CONNECTION_ID()"), own)
        assert.equal(await c.value("SELECT CONNECTION_ID() <=> IS_USED_LOCK('a')"), own)
        assert.equal(await c.value("SELECT IF(IS_USED_LOCK('a') = CONNECTION_ID(), 'mine', 'not mine')"), own === '1' ? 'mine' : 'not mine')
        assert.equal(await c.value("SELECT IS_USED_LOCK('a') AS holder"), id)
        assert.deepEqual(await labels(c, "SELECT IS_USED_LOCK('a'), IS_USED_LOCK('b')"), ["IS_USED_LOCK('a')", "IS_USED_LOCK('b')"])
        for (const sql of ["SET @h = IS_USED_LOCK('a')", "SELECT IS_USED_LOCK(CONCAT('a'))", "SELECT GET_LOCK('a', 0), IS_USED_LOCK('a')"])
          assert.equal(await codeOf(c, sql), 'SW-GATE-012', sql)
        await assert.rejects(c.prepare('SELECT IS_USED_LOCK(?)'), /SW-GATE-012/)
      }
      const c = await session('one')
      await world.admin.query("SELECT GET_LOCK('direct', 0)")
      for (const [sql, value] of [
        ["SELECT IS_USED_LOCK('direct') = CONNECTION_ID()", '0'],
        ["SELECT CONNECTION_ID() <> IS_USED_LOCK('direct')", '1'],
        ["SELECT IS_USED_LOCK('direct') IS NOT NULL AND IS_USED_LOCK('a') IS NOT NULL", '1'],
      ] as const)
        assert.equal(await c.value(sql), value, sql)
      for (const sql of [
        "SELECT IS_USED_LOCK('direct')",
        "SELECT 1 + IS_USED_LOCK('direct') = CONNECTION_ID()",
        "SELECT IS_USED_LOCK('direct') = CONNECTION_ID() + 1",
      ])
        assert.equal(await codeOf(c, sql), 'SW-GATE-012', sql)
      await world.admin.query("SELECT RELEASE_LOCK('direct')")
      await c.query(`KILL ${await c.value("SELECT IS_USED_LOCK('a')")}`)
      await assert.rejects(holder.query('SELECT 1'))
      // Until the server has taken it from the killed connection, no session has it.
      await until('it is free', async () => (await c.value("SELECT IS_USED_LOCK('a') IS NULL")) === '1')
      assert.equal(await c.value("SELECT IS_USED_LOCK('a')"), null)
      await ended()
    })
  })
}
