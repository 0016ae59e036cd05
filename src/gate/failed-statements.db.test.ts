/** What a statement that fails leaves behind: in the session that sent it, and in no other. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace, startGate } from './testkit/world.ts'

const signal = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'on purpose'"
/** ER_SIGNAL_EXCEPTION. */
const signalled = '1644'

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
    /** Whose connections have the rights of now. */
    async function freshGate(): Promise<{ client(): Promise<Connection>; [Symbol.asyncDispose](): Promise<void> }> {
      const { gate, port } = await startGate(world.store, {}, undefined, 'gate-2')
      return {
        client: async () => {
          const c = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'shop' })
          open.push(c)
          return c
        },
        [Symbol.asyncDispose]: async () => void (await gate.stop()),
      }
    }
    const count = async (of: string): Promise<string | null | undefined> => await admin.value(`SELECT COUNT(*) FROM ${of}`)

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v INT)'],
        settings: { 'innodb-lock-wait-timeout': 10 },
      })
      ;({ admin } = world)
      const shards = ['-80', '80-'].map((name, i) => ({ name, serverId: 's1', schema: world.schemas[i + 1] as string }))
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      await addKeyspace(world.store, 'both', shards, { sharded: true, vschema, mode: 'xa' })
      const routine = (name: string, body: string): Promise<unknown> =>
        admin.query(`CREATE PROCEDURE one.${name}() BEGIN ${body}; ${signal}; END`)
      await routine('leaves', "CREATE TEMPORARY TABLE left_there (id INT); DO GET_LOCK('left', 0); SET SESSION group_concat_max_len = 77")
      await routine('begins', 'START TRANSACTION; INSERT INTO t VALUES (50, 1)')
      await routine('commits', 'INSERT INTO t VALUES (60, 1); COMMIT')
      await routine('inserts', 'INSERT INTO t VALUES (70, 1)')
    })
    after(async () => await world?.stop())
    beforeEach(async () => {
      for (const schema of world.schemas) await admin.query(`DELETE FROM ${schema}.t`)
      await admin.query('INSERT INTO one.t VALUES (1, 0)')
      await admin.query('INSERT INTO shop_80.t VALUES (1, 0)')
      await admin.query('INSERT INTO shop_end.t VALUES (4, 0)')
    })
    afterEach(async () => {
      for (const c of open.splice(0)) await c.close()
      await noOpenTransactions(admin)
    })

    for (const begin of ['BEGIN', 'SET autocommit = 0'])
      test(`what a routine leaves that fails in a transaction (${begin}) stays with its session`, async () => {
        const c = await client('one')
        await c.query(begin)
        await c.query('SELECT v FROM t')
        assert.equal(await codeOf(c, 'CALL leaves()'), signalled)
        await c.query('ROLLBACK')
        const other = await client('one')
        assert.equal(await codeOf(other, 'SELECT * FROM left_there'), '1146')
        assert.notEqual(await other.value('SELECT @@group_concat_max_len'), '77')
        assert.equal(await codeOf(c, 'SELECT * FROM left_there'), 'done')
        assert.equal(await c.value('SELECT @@group_concat_max_len'), '77')
        assert.equal(await other.value("SELECT IS_FREE_LOCK('left')"), '0')
        await c.close()
        for (let i = 0; (await other.value("SELECT IS_FREE_LOCK('left')")) !== '1'; i++)
          assert.ok(i < 200, 'the lock goes with its session')
      })

    test('a transaction that a routine began before it failed is the session’s', async () => {
      const c = await client('one')
      assert.equal(await codeOf(c, 'CALL begins()'), signalled)
      await c.query('COMMIT')
      assert.equal(await count('one.t WHERE id = 50'), '1')
      await admin.query('DELETE FROM one.t WHERE id = 50')
      assert.equal(await codeOf(c, 'CALL begins()'), signalled)
      await c.query('ROLLBACK')
      assert.equal(await count('one.t WHERE id = 50'), '0')
    })

    test('a transaction that a routine committed before it failed is over', async () => {
      const c = await client('one')
      await c.query('BEGIN')
      assert.equal(await codeOf(c, 'CALL commits()'), signalled)
      await c.query('USE shop')
      await c.query('INSERT INTO t VALUES (3, 1)')
      await c.query('ROLLBACK')
      assert.equal(await count('one.t WHERE id = 60'), '1')
      assert.equal(await count('shop_80.t WHERE id = 3'), '1')
    })

    test('without autocommit a statement that fails has begun a transaction', async () => {
      const c = await client('one')
      await c.query('SET autocommit = 0')
      assert.equal(await codeOf(c, 'CALL inserts()'), signalled)
      await c.query('USE shop')
      // Of these shards only.
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '2')
      await c.query('COMMIT')
      assert.equal(await count('one.t WHERE id = 70'), '1')
      await c.query('USE one')
      assert.equal(await codeOf(c, 'INSERT INTO t VALUES (1, 1)'), '1062')
      await c.query('USE shop')
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '2')
      const lock = flavour === 'mysql' ? '3572' : '1205'
      const free = 'SELECT * FROM one.t WHERE id = 1 FOR UPDATE NOWAIT'
      assert.equal(await codeOf(admin, free), lock, 'the row it met is locked')
      const other = await client('one')
      await other.query('SET autocommit = 0')
      assert.equal(await other.value('SELECT COUNT(*) FROM t'), '2')
      await c.query('USE one')
      assert.equal(await codeOf(c, 'UPDATE t SET v = 6 WHERE id = 1'), 'done', 'not by another of its own connections')
      await c.query('ROLLBACK')
      assert.equal(await codeOf(admin, free), 'done', 'its lock goes with the transaction')
    })

    test('without autocommit, DDL that fails leaves no transaction', async () => {
      const c = await client('one')
      await c.query('SET autocommit = 0')
      await c.query('INSERT INTO t VALUES (80, 1)')
      assert.equal(await codeOf(c, 'CREATE TABLE t (id INT)'), '1050')
      assert.equal(await count('one.t WHERE id = 80'), '1')
      await c.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await c.query('INSERT INTO t VALUES (81, 1)')
      await c.query('ROLLBACK')
      assert.equal(await count('one.t WHERE id = 81'), '0')
    })

    test('promise 1: a transaction of which a branch is given up over a setting is rolled back, and not committed without it', async () => {
      await admin.query(`GRANT ${flavour === 'mysql' ? 'SYSTEM_VARIABLES_ADMIN' : 'BINLOG ADMIN'} ON *.* TO sw_gate@'%'`)
      await using fresh = await freshGate()
      const c = await fresh.client()
      await c.query('BEGIN')
      for (const id of [3, 5]) await c.query(`INSERT INTO t VALUES (${id}, 1)`)
      await c.query('UPDATE t SET v = 7 WHERE id = 4')
      // No server sets it within a transaction; the gate asks on a connection of the first shard that is in none.
      await c.query('SET SESSION sql_log_bin = 0')
      assert.equal(await codeOf(c, 'UPDATE t SET v = 8 WHERE id = 4'), 'SW-GATE-008')
      await c.query('COMMIT')
      assert.equal(await count('shop_80.t WHERE id IN (3, 5)'), '0')
      assert.equal(await count('shop_end.t WHERE v = 0'), '1')
    })

    const writes = 'INSERT INTO t VALUES (2, 1), (4, 1)'
    const reads = 'SELECT v FROM t FORCE INDEX (no_such_key) WHERE id IN (1, 4)'
    for (const [what, first, code] of [
      ['write', writes, '1062'],
      ['read', reads, '1176'],
    ] as const)
      for (const keyspace of ['shop', 'both'])
        test(`a transaction whose first ${what} over several shards failed goes on: ${keyspace}`, async () => {
          const c = await client(keyspace)
          await c.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
          await c.query('BEGIN')
          assert.equal(await codeOf(c, first), code)
          for (const id of [1, 4]) assert.equal(await codeOf(c, `UPDATE t SET v = 5 WHERE id = ${id}`), 'done')
          await c.query('COMMIT')
          assert.equal(await c.value('SELECT SUM(v) FROM t'), '10')
          assert.equal(await count('shop_80.t WHERE id = 2'), '0')
        })
  })
}
