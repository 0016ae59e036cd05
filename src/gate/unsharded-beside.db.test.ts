/** A session of a sharded keyspace that names tables of an unsharded one: its connection there is anybody's, and what the statement means is the session's. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let admin: Connection
    const open: Connection[] = []
    async function client(database: string): Promise<Connection> {
      const c = await world.session(database)
      open.push(c)
      return c
    }
    const count = async (of: string): Promise<number> => Number(await admin.value(`SELECT COUNT(*) FROM ${of}`))

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v BIGINT)', 'made (id BIGINT AUTO_INCREMENT PRIMARY KEY, v BIGINT)'],
      })
      ;({ admin } = world)
      await admin.query('CREATE DATABASE other_phys CHARACTER SET utf8mb4')
      await admin.query('CREATE TABLE other_phys.made (id BIGINT AUTO_INCREMENT PRIMARY KEY, v BIGINT)')
      // Its database has another name.
      await addKeyspace(world.store, 'other', [{ name: '-', serverId: 's1', schema: 'other_phys' }])
      await admin.query('INSERT INTO one.t VALUES (1, 1), (2, 2), (3, 3)')
      await admin.query("CREATE FUNCTION one.locks() RETURNS INT NO SQL RETURN GET_LOCK('by function', 0)")
      await admin.query('CREATE PROCEDURE one.makes() INSERT INTO made (v) VALUES (1)')
      await admin.query('CREATE PROCEDURE one.keeps(i BIGINT) INSERT INTO t VALUES (i + 1000, 0)')
      await admin.query(
        "CREATE PROCEDURE one.writes_twice() SQL SECURITY INVOKER BEGIN INSERT INTO t VALUES (101, 1); DO GET_LOCK('hold', 20); INSERT INTO t VALUES (102, 1); END",
      )
    })
    after(async () => await world?.stop())
    afterEach(async () => {
      for (const c of open.splice(0)) await c.close()
    })

    for (const keyspace of ['one', 'other'])
      test(`LAST_INSERT_ID() is the session's: ${keyspace}`, async () => {
        const [c, another] = [await client('shop'), await client('shop')]
        const made = async (on: Connection): Promise<bigint> => {
          const answer = await on.query(`INSERT INTO ${keyspace}.made (v) VALUES (0)`)
          return answer.kind === 'ok' ? answer.insertId : 0n
        }
        const id = await made(c)
        await made(another)
        assert.equal(await c.value('SELECT LAST_INSERT_ID()'), String(id))
        const child = `INSERT INTO ${keyspace}.made (v) VALUES (LAST_INSERT_ID())`
        await c.query(child)
        const schema = keyspace === 'one' ? 'one' : 'other_phys'
        assert.equal(await count(`${schema}.made WHERE v = ${id}`), 1)
        assert.notEqual(await another.value('SELECT LAST_INSERT_ID()'), await c.value('SELECT LAST_INSERT_ID()'))
        await using prepared = await mysql.createConnection({
          host: '127.0.0.1',
          port: world.port,
          user: 'app',
          password,
          database: 'shop',
        })
        const [first] = await prepared.execute<mysql.ResultSetHeader>(`INSERT INTO ${keyspace}.made (v) VALUES (?)`, [0])
        await made(another)
        await prepared.execute(`INSERT INTO ${keyspace}.made (v) VALUES (LAST_INSERT_ID() + ?)`, [1_000_000])
        assert.equal(await count(`${schema}.made WHERE v = ${1_000_000 + first.insertId}`), 1)
      })

    test('user variables are the session’s, whichever server has them', async () => {
      const c = await client('shop')
      await c.query('SET @a = 2')
      await c.query('UPDATE one.t SET v = 20 WHERE id = @a')
      assert.equal(await count('one.t WHERE v = 20'), 1)
      assert.equal(await c.value('SELECT @a + v FROM one.t WHERE id = 3'), '5')
      await c.query('SELECT id INTO @x FROM one.t WHERE id = 1')
      assert.equal(await c.value('SELECT @x'), '1')
      await c.query('SELECT @x := id FROM one.t WHERE id = 2')
      assert.equal(await c.value('SELECT @x'), '2')
      await c.query('CALL one.keeps(@a)')
      assert.equal(await count('one.t WHERE id = 1002'), 1)
      assert.equal(await c.value('SELECT @a'), '2')
      await c.query('USE one')
      await c.query('DELETE FROM t WHERE id = 1002')
      await c.query('SELECT id INTO @x FROM t WHERE id = 3')
      assert.equal(await c.value('SELECT @x'), '3')
    })

    test('what the session knows of itself is told, under its own name', async () => {
      const c = await client('shop')
      const thread = String(c.threadId)
      assert.equal((await c.query('UPDATE one.t SET v = 30 WHERE id > 1')).kind, 'ok')
      const [row] = await c.allText('SELECT ROW_COUNT(), CONNECTION_ID(), DATABASE(), USER() FROM one.t WHERE id = 1')
      assert.deepEqual(row, { 'ROW_COUNT()': '2', 'CONNECTION_ID()': thread, 'DATABASE()': 'shop', 'USER()': 'app@127.0.0.1' })
      assert.equal(await codeOf(c, 'SELECT FOUND_ROWS() FROM one.t'), 'SW-GATE-012')
    })

    test('what a function leaves stays with the session', async () => {
      const [c, other] = [await client('shop'), await client('one')]
      assert.equal(await c.value('SELECT one.locks() FROM one.t WHERE id = 1'), '1')
      assert.equal(await other.value("SELECT IS_FREE_LOCK('by function')"), '0')
      await c.close()
      for (let i = 0; (await other.value("SELECT IS_FREE_LOCK('by function')")) !== '1'; i++)
        assert.ok(i < 200, 'the lock goes with its session')
    })

    test('ids of a procedure are the session’s, and it is given those', async () => {
      const c = await client('shop')
      await c.query('CALL one.makes()')
      const id = await admin.value('SELECT MAX(id) FROM one.made')
      assert.equal(await c.value('SELECT LAST_INSERT_ID()'), id)
      await c.query('CALL one.keeps(LAST_INSERT_ID())')
      assert.equal(await count(`one.t WHERE id = ${id} + 1000`), 1)
    })

    test('promise 11: a CALL of which a part was refused is not sent again, from a sharded session either', async () => {
      const c = await client('shop')
      await admin.query("SELECT GET_LOCK('hold', 5)")
      const called = c.query('CALL one.writes_twice()').then(
        () => 'done',
        (error: Error) => error.message,
      )
      try {
        await until('its first row', async () => (await count('one.t WHERE id = 101')) === 1)
        await admin.query('SET GLOBAL read_only = 1')
        await admin.query("SELECT RELEASE_LOCK('hold')")
        assert.match(await called, /SW-GATE-209/)
      } finally {
        await admin.query('SET GLOBAL read_only = 0')
      }
      assert.equal(await count('one.t WHERE id IN (101, 102)'), 1)
    })

    test('without autocommit a savepoint stands before anything has begun', async () => {
      const c = await client('one')
      await c.query('SET autocommit = 0')
      await c.query('SAVEPOINT s')
      assert.equal(await c.value('SELECT 1'), '1')
      await c.query('INSERT INTO t VALUES (90, 1)')
      await c.query('ROLLBACK TO SAVEPOINT s')
      await c.query('COMMIT')
      assert.equal(await count('one.t WHERE id = 90'), 0)
    })

    test('COM_CHANGE_USER to a keyspace that is not there ends the session', async () => {
      const c = await world.client('app', 'one')
      await assert.rejects(c.changeUser({ user: 'app', password, database: 'no_such' }), { errno: 1049 })
      await assert.rejects(c.query('SELECT * FROM t'))
      c.destroy()
    })
  })
}
