/** Promises 1 and 4: whatever sessions left on the gate's connections, rows that a cascade changes through it are in the binlog (`Flavour.resetHidesCascades`). */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

if (flavours().includes('mysql')) {
  let server: TestServer
  let gate: Gate
  let port: number
  let admin: Connection
  const client = (database: string): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database })

  before(async () => {
    server = await testServer({ flavour: 'mysql' })
    admin = await connect(server.config)
    await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
    await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
    for (const schema of ['a', 'b', 'one']) {
      await admin.query(`CREATE DATABASE ${schema}`)
      await admin.query(`CREATE TABLE ${schema}.parent (id BIGINT PRIMARY KEY, v INT)`)
      await admin.query(
        `CREATE TABLE ${schema}.child (id BIGINT PRIMARY KEY, parent BIGINT, FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE)`,
      )
    }
    const store = new MemoryStore()
    await addServer(store, 's1', server.port, 'mysql')
    await addUser(store, 'app', 'secret')
    const shards = [
      { name: '-80', serverId: 's1', schema: 'a' },
      { name: '80-', serverId: 's1', schema: 'b' },
    ]
    await addKeyspace(store, 'one', [{ name: '-', serverId: 's1', schema: 'one' }])
    const tables = {
      parent: { column_vindexes: [{ column: 'id', name: 'hash' }] },
      child: { column_vindexes: [{ column: 'parent', name: 'hash' }] },
    }
    await addKeyspace(store, 'app', shards, { sharded: true, vschema: { sharded: true, vindexes: { hash: { type: 'hash' } }, tables } })
    ;({ gate, port } = await startGate(store, { backendConnectionsMax: 3 }))
  })
  after(async () => {
    admin?.destroy()
    await gate?.stop()
    await server?.[Symbol.asyncDispose]()
  })

  const leaves: readonly (readonly [keyspace: string, what: string, statements: readonly string[]])[] = [
    ['one', 'user variables', ['SET @a = 1', 'SELECT @a, id FROM parent WHERE id = 900']],
    ['one', 'a variable that a statement sets', ['SELECT @b := v FROM parent WHERE id = 900']],
    ['one', 'a temporary table', ['CREATE TEMPORARY TABLE left_over (id INT)']],
    ['one', 'a named lock', ["SELECT GET_LOCK('l', 1)", 'SELECT v FROM parent WHERE id = 900']],
    [
      'app',
      'an isolation level and an access mode',
      ['SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY', 'SELECT v FROM parent WHERE id = 900'],
    ],
    ['app', 'those of the next transaction', ['SET TRANSACTION ISOLATION LEVEL READ COMMITTED', 'SELECT v FROM parent WHERE id = 900']],
    ['app', 'scratch tables', ['SELECT COUNT(*) FROM parent a JOIN parent b ON a.v = b.id + 1']],
  ]

  for (const [keyspace, what, statements] of leaves) {
    test(`1.11: behind sessions that leave ${what}`, async () => {
      const rows = Array.from({ length: 8 }, (_, i) => i)
      const all = rows.map((i) => `(${i}, ${i})`).join(', ')
      await using c = await client(keyspace)
      await c.query(`INSERT INTO parent VALUES ${all}`)
      await c.query(`INSERT INTO child VALUES ${all}`)
      // As many as there are connections, more than once.
      for (let round = 0; round < 2; round++) {
        const sessions = await Promise.all([0, 1, 2].map(() => client(keyspace)))
        for (const [i, session] of sessions.entries()) for (const sql of statements) await session.allText(sql.replace("'l'", `'l${i}'`))
        await Promise.all(sessions.map((session) => session.close()))
      }
      const [at] = await admin.allText('SHOW BINARY LOG STATUS')
      for (const i of rows) {
        // Also by statements that read variables, in transactions and outside.
        if (i % 3 === 1) await c.query('BEGIN')
        await c.query(i % 2 === 0 ? `DELETE FROM parent WHERE id = ${i}` : `DELETE FROM parent WHERE id = ${i} AND COALESCE(@mine, 1) = 1`)
        if (i % 3 === 1) await c.query('COMMIT')
      }
      assert.equal(await c.value('SELECT COUNT(*) FROM child'), '0')
      const events = await admin.allText(`SHOW BINLOG EVENTS IN '${at?.['File']}' FROM ${at?.['Position']}`)
      const deletes = events.filter(({ Event_type: type }) => type === 'Delete_rows').map(({ Info }) => Info ?? '')
      assert.equal(deletes.length, 2 * rows.length)
      assert.deepEqual(
        deletes.filter((info) => !info.includes('USE_SQL_FOREIGN_KEY_F')),
        [],
      )
    })
  }

  test('promise 8: what sessions begin with costs no connection each', async () => {
    const connections = async (): Promise<number> => Number((await admin.allText("SHOW GLOBAL STATUS LIKE 'Connections'"))[0]?.['Value'])
    await using c = await client('one')
    await c.query("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
    const before = await connections()
    for (let i = 0; i < 20; i++) {
      await c.query("SET sql_mode = CONCAT(@@sql_mode, ',NO_ZERO_DATE')")
      await c.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      await c.query('DELETE FROM parent WHERE id = 901')
      await c.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      await c.query('UPDATE parent SET v = 1 WHERE id = 901')
    }
    const made = (await connections()) - before
    assert.ok(made < 5, `${made} connections`)
  })
}
