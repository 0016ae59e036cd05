/** Statements that are put together at one place: what that rests on, and what it must not leave behind (docs/decisions/011). */
import assert from 'node:assert/strict'
import mysql from 'mysql2/promise'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import type { Transaction } from './transaction.ts'

const shardNames = ['-40', '40-80', '80-c0', 'c0-']
const schemaOf = (name: string): string => `g_${name.replace('-', '_')}`
const rights = 'SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, EXECUTE, CREATE TEMPORARY TABLES'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    let gate: Gate
    let port: number

    before(async () => {
      server = await testServer({ flavour, extra: { 'log-bin-trust-function-creators': 1 } })
      admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query(`GRANT ${rights} ON *.* TO sw_gate@'%'`)
      for (const name of shardNames) {
        const schema = schemaOf(name)
        await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        for (const table of ['a', 'b'])
          await admin.query(`CREATE TABLE ${schema}.${table} (k INT NOT NULL, id INT NOT NULL, n INT, s VARCHAR(200), PRIMARY KEY (k, id))`)
        await admin.query(`CREATE TABLE ${schema}.f (k INT PRIMARY KEY, t TEXT, FULLTEXT KEY (t))`)
      }
      const store = new MemoryStore()
      await addServer(store, 's1', server.port, flavour)
      await addUser(store, 'app', 'secret')
      const key = { column_vindexes: [{ column: 'k', name: 'hash' }] }
      const vschema = { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: { a: key, b: key, f: key } }
      const shards = shardNames.map((name) => ({ name, serverId: 's1', schema: schemaOf(name) }))
      await addKeyspace(store, 'app', shards, { sharded: true, vschema })
      ;({ gate, port } = await startGate(store, { scatterBytesMax: 200_000, backendConnectionsMax: 20 }))
      const c = await client()
      for (const table of ['a', 'b'])
        await c.query(
          `INSERT INTO ${table} VALUES ${Array.from({ length: 200 }, (_, i) => `(${i % 40}, ${i}, ${i % 17}, 'row ${i}')`).join(', ')}`,
        )
      await c.close()
    })
    after(async () => {
      await gate?.stop()
      await admin?.close()
      await server?.[Symbol.asyncDispose]()
    })

    const client = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    const binlogEnd = async (): Promise<string> => {
      const row = await admin.one(flavour === 'mysql' ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS')
      return `${row?.['File']?.toString()}:${row?.['Position']?.toString()}`
    }
    const join = 'SELECT COUNT(*) FROM a JOIN b ON a.n = b.id'

    test('promise 10: reading leaves nothing in the binlog and nothing on the connection', async () => {
      const c = await client()
      const was = await binlogEnd()
      for (let i = 0; i < 30; i++) {
        assert.equal(await c.value(join), '200')
        // Were a table left behind, this name would be taken on one of the few connections.
        assert.equal(await c.value('SELECT COUNT(*) FROM a JOIN b ON a.id = b.n JOIN a c ON c.id = b.n'), '200')
        assert.equal(await c.value('SELECT COUNT(DISTINCT f.t) FROM f JOIN b ON b.n = f.k'), '0')
      }
      assert.equal(await binlogEnd(), was)
      await c.close()
    })

    test('promise 10: a read-only server answers, and so does a read-only transaction', async () => {
      const c = await client()
      await admin.query('SET GLOBAL read_only = 1')
      try {
        assert.equal(await c.value(join), '200')
      } finally {
        await admin.query('SET GLOBAL read_only = 0')
      }
      await c.query('START TRANSACTION READ ONLY')
      assert.equal(await c.value(join), '200')
      await c.query('COMMIT')
      await c.close()
    })

    test('promise 10: a transaction reads its own changes, on every shard', async () => {
      const c = await client()
      await c.query('BEGIN')
      await c.query('DELETE FROM a WHERE n = 3')
      assert.equal(await c.value(join), '188')
      assert.equal(await c.value('SELECT COUNT(*) FROM b WHERE n NOT IN (SELECT n FROM a)'), '12')
      await c.query('ROLLBACK')
      assert.equal(await c.value(join), '200')
      await c.close()
    })

    test('promise 4: a write over shards that is undone, or a part of it, is not in the binlog', async () => {
      const c = await client()
      const was = await binlogEnd()
      await c.query('BEGIN')
      await c.query('UPDATE a JOIN b ON a.n = b.id SET a.s = b.s WHERE b.id < 4')
      await c.query('INSERT INTO b (k, id, n) SELECT k + 100, id, n FROM a')
      await c.query('DELETE FROM a ORDER BY id LIMIT 3')
      await c.query('ROLLBACK')
      assert.equal(await binlogEnd(), was)
      await c.query('BEGIN')
      await c.query('UPDATE a SET n = n WHERE k = 1')
      await c.query('SAVEPOINT here')
      await c.query('UPDATE a JOIN b ON a.n = b.id SET a.s = b.s WHERE b.id < 4')
      await c.query('ROLLBACK TO SAVEPOINT here')
      await c.query('COMMIT')
      assert.equal(await binlogEnd(), was, 'rows that were undone are not logged')
      await c.close()
    })

    test('promise 8: what is fetched is bounded; promise 7: what a server can not copy is refused with what to do', async () => {
      const c = await client()
      const long = 'x'.repeat(200)
      await c.query(`UPDATE a SET s = '${long}'`)
      for (let times = 0; times < 3; times++)
        await c.query(`INSERT INTO a SELECT k, id + ${1000 * (times + 1)}, n, s FROM a WHERE id < 200`)
      await assert.rejects(
        c.query('SELECT COUNT(*) FROM a x JOIN a y ON x.s = y.s JOIN a z ON z.s = y.s'),
        (error) => isServerError(error) && /SW-GATE-205/.test(String(error)),
      )
      assert.equal(await c.value('SELECT COUNT(*) FROM a JOIN b ON a.n = b.id WHERE a.id < 3 AND b.id < 3'), '3', 'the connection goes on')
      await assert.rejects(
        c.query('SELECT COUNT(DISTINCT f.t) FROM f IGNORE INDEX (t) JOIN b ON b.id = f.t'),
        (error) => isServerError(error) && /SW-GATE-100/.test(String(error)),
      )
      await c.close()
    })

    test('promise 10: FOR UPDATE over shards locks the rows where they stand', async () => {
      const [c, other] = [await client(), await client()]
      await other.query('SET innodb_lock_wait_timeout = 1')
      await c.query('BEGIN')
      const rows = await c.allText('SELECT a.k, a.id, b.s FROM a JOIN b ON a.n = b.id WHERE a.id < 3 ORDER BY a.id FOR UPDATE')
      assert.equal(rows.length, 3)
      await assert.rejects(other.query('UPDATE a SET n = n + 1 WHERE k = 1 AND id = 1'), /1205/)
      await c.query('ROLLBACK')
      await other.query('UPDATE a SET n = n WHERE k = 1 AND id = 1')
      await assert.rejects(c.query('SELECT k FROM a WHERE n IN (SELECT id FROM b) FOR UPDATE'), /SW-GATE-1/)
      await Promise.all([c.close(), other.close()])
    })

    test('promise 1: parameters put into a text under NO_BACKSLASH_ESCAPES stay what they are', async () => {
      const c = await mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
      await c.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
      const text = "it's a \\ and a '' and \\'"
      await c.execute('INSERT INTO b (k, id, s) VALUES (?, ?, ?), (?, ?, ?), (?, ?, ?)', [1, 9001, text, 3, 9002, text, 4, 9003, text])
      const [rows] = await c.execute('SELECT s FROM b WHERE id > 9000')
      assert.deepEqual(rows, [{ s: text }, { s: text }, { s: text }])
      await c.execute('DELETE FROM b WHERE s = ?', [text])
      assert.deepEqual((await c.query('SELECT COUNT(*) AS n FROM b WHERE id > 9000'))[0], [{ n: 0 }])
      await c.end()
    })

    test('promise 10: a stored function that reads tables is refused, one that does not is not', async () => {
      for (const name of shardNames) {
        const schema = schemaOf(name)
        await admin.query(`CREATE FUNCTION ${schema}.counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM a)`)
        await admin.query(`CREATE FUNCTION ${schema}.indirect() RETURNS INT READS SQL DATA RETURN counted() + 1`)
        await admin.query(`CREATE FUNCTION ${schema}.doubled(x INT) RETURNS INT DETERMINISTIC NO SQL RETURN x * 2`)
      }
      gate.core.catalog.forget('app')
      const c = await client()
      for (const sql of ['SELECT counted() FROM b', 'SELECT k FROM b WHERE k = 1 AND n < indirect()', 'UPDATE b SET n = counted()'])
        await assert.rejects(c.query(sql), /SW-GATE-100.*stored function/, sql)
      assert.equal(await c.value('SELECT SUM(doubled(k)) FROM b WHERE id < 200'), String(2 * 3900))
      // What a function may have written is committed as what was written: a COMMIT that fails is told.
      const together = 'SELECT COUNT(*) FROM b x JOIN a y ON x.n + 0 = y.n + 0 WHERE x.id < 20'
      for (const [condition, wrote] of [
        ['y.k < 5', false],
        ['doubled(y.k) < 10', true],
      ] as const) {
        await c.query('BEGIN')
        await c.query(`${together} AND ${condition}`)
        const open = (gate.core.watch.view.keyspaces.get('app')?.shards ?? []).flatMap((shard) => [...shard.traffic.transactions])
        const branches = [...new Set(open)].flatMap((one) => [...(one as Transaction).branches.values()])
        assert.ok(branches.length > 0)
        assert.deepEqual([...new Set(branches.map((branch) => branch.wrote))], [wrote], condition)
        await c.query('ROLLBACK')
      }
      await c.close()
    })

    test('promise 10: NOW() is one instant on all shards', async () => {
      const c = await client()
      const rows = await c.allText('SELECT DISTINCT NOW(6) AS at FROM a')
      assert.equal(rows.length, 1)
      await c.close()
    })
  })
}
