/** Reads at `@replica` on real replicas: one primary with two of them, four shards in its schemas. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import { updateRecord } from '../topology/typed.ts'
import { follow, forgetOwn, replicaSettings } from '../../test/kit/replication.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const lagMaxMs = 1_500

for (const flavour of flavours()) {
  describe(`reads of replicas, ${flavour}`, () => {
    let servers: TestServer[]
    let roots: Connection[]
    const store = new MemoryStore()
    let gate: Gate
    let port: number
    const id = (n: number): string => `s${n}`

    before(async () => {
      servers = await Promise.all([0, 1, 2].map(() => testServer({ flavour, extra: replicaSettings(flavour) })))
      roots = await Promise.all(servers.map((server) => connect({ socketPath: server.socketPath, user: 'root', password: '' })))
      const [primary, ...replicas] = roots as [Connection, Connection, Connection]
      for (const replica of replicas) {
        await forgetOwn(replica)
        await follow(replica, primary, (servers[0] as TestServer).port)
      }
      for (const user of ['sw_gate', 'sw_mover']) {
        await primary.query(`CREATE USER ${user}@'%' IDENTIFIED BY 'gate-secret'`)
        await primary.query(
          `GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, CREATE TEMPORARY TABLES, EXECUTE, LOCK TABLES ON *.* TO ${user}@'%'`,
        )
      }
      for (const schema of ['app_80', 'app_80_', 'one']) {
        await primary.query(`CREATE DATABASE ${schema}`)
        await primary.query(`CREATE TABLE ${schema}.t (id BIGINT PRIMARY KEY, v VARCHAR(40)) ENGINE=InnoDB`)
      }
      await primary.query('USE one')
      await primary.query(
        'CREATE FUNCTION writes() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO t VALUES (99, 1); RETURN 1; END',
      )
      for (const [n, server] of servers.entries()) await addServer(store, id(n), server.port, flavour)
      await addUser(store, 'app', 'secret')
      const shards = [
        { name: '-80', serverId: id(0), schema: 'app_80' },
        { name: '80-', serverId: id(0), schema: 'app_80_' },
      ]
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      await addKeyspace(store, 'app', shards, { sharded: true, vschema })
      await addKeyspace(store, 'one', [{ name: '-', serverId: id(0), schema: 'one' }])
      ;({ gate, port } = await startGate(store, { replicaLagMaxMs: lagMaxMs, replicaCheckMs: 50 }))
    })
    after(async () => {
      await gate?.stop()
      await Promise.all(roots.map((root) => root.close()))
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    })

    const client = (database: string): Promise<mysql.Connection> =>
      mysql.createConnection({ host: '127.0.0.1', port, user: 'app', password: 'secret', database })
    const scalar = async (on: mysql.Connection, sql: string): Promise<unknown> => {
      const [rows] = await on.query({ sql, rowsAsArray: true })
      return (rows as unknown[][])[0]?.[0]
    }
    async function replicas(...ids: string[]): Promise<void> {
      for (const [keyspace, shard] of [
        ['app', '-80'],
        ['app', '80-'],
        ['one', '-'],
      ] as const)
        await updateRecord<ShardRecord>(store, keys.shard(keyspace, shard), (now) => (now === null ? null : { ...now, replicas: ids }))
      await until(
        'the gate to know',
        async () => gate.core.watch.view.keyspaces.get('app@replica')?.shards.every((s) => s.replicas?.length === ids.length) === true,
      )
    }
    const port_ = 'SELECT @@port'
    const onlyRead = async (on: mysql.Connection, n: number): Promise<void> => {
      await until(`replica ${n} alone to be read`, async () => (await allFrom(on, 20)).every((at) => at === servers[n]?.port))
    }

    test('promise 6: without replicas it is an error that says so, never the primary; USE of it is none', async () => {
      const on = await client('app@replica')
      await assert.rejects(on.query('SELECT COUNT(*) FROM t'), /SW-GATE-024.*no replica of app@replica\/-?80-? can be read: it has none/)
      await on.query('USE app')
      assert.equal(Number(await scalar(on, 'SELECT COUNT(*) FROM t')), 0)
      await on.end()
    })

    test('reads go to the replicas in turn, writes are refused; USE, COM_INIT_DB, a new connection, prepared statements, qualified names', async () => {
      await replicas(id(1), id(2))
      const write = await client('app')
      for (let n = 0; n < 20; n++) await write.query(`INSERT INTO t VALUES (${n}, 'x')`)
      const plain = await client('one')
      await plain.query("INSERT INTO t VALUES (1, 'y')")
      const on = await client('one@replica')
      await until('the rows to be replicated', async () => Number(await scalar(on, 'SELECT COUNT(*) FROM t')) === 1)
      // One of them may just have been found behind, by the writes above.
      const both = [servers[1]?.port, servers[2]?.port].sort()
      await until('both replicas to be read', async () => isDeepStrictEqual([...new Set(await allFrom(on, 20))].sort(), both))
      assert.equal(await scalar(on, 'SELECT DATABASE()'), 'one@replica')
      await on.changeUser({ database: 'app@replica' })
      await until('all rows', async () => Number(await scalar(on, 'SELECT COUNT(*) FROM t')) === 20)
      assert.equal(Number(await scalar(on, 'SELECT COUNT(*) FROM app.t')), 20)
      assert.equal(Number(await scalar(on, 'SELECT COUNT(*) FROM t WHERE id = 7')), 1)
      const [rows] = await on.execute('SELECT v FROM t WHERE id = ?', [7])
      assert.deepEqual(rows, [{ v: 'x' }])
      const [joined] = await on.query('SELECT COUNT(*) AS n FROM t a JOIN t b ON a.v = b.v')
      assert.deepEqual(joined, [{ n: 400 }])
      for (const sql of [
        "INSERT INTO t VALUES (100, 'z')",
        'UPDATE t SET v = 1',
        'DELETE FROM t WHERE id = 1',
        'SELECT * FROM t WHERE id = 1 FOR UPDATE',
        'CREATE TABLE n (id INT PRIMARY KEY)',
      ])
        for (const database of ['app@replica', 'one@replica']) {
          await on.query(`USE \`${database}\``)
          await assert.rejects(on.query(sql), { errno: 1290, message: /SW-GATE-025/ }, `${sql} at ${database}`)
        }
      await on.query('USE `one@replica`')
      await assert.rejects(on.query('SELECT writes()'), { errno: 1290 }, 'what the gate cannot see, the server refuses')
      await assert.rejects(on.execute('DELETE FROM t WHERE id = ?', [1]), { errno: 1290 })
      await on.query('USE `one`')
      await on.query('USE `@replica`')
      assert.equal(await scalar(on, 'SELECT DATABASE()'), 'one@replica')
      assert.notEqual(Number(await scalar(on, port_)), servers[0]?.port)
      for (const one of [on, plain, write]) await one.end()
      for (const root of roots.slice(1)) assert.equal(await ownTransactions(root), 0, "nothing of a read is in a replica's own binlog")
    })

    /** Transactions that began on a replica: none may, or it could never follow again. */
    async function ownTransactions(root: Connection): Promise<number> {
      if (flavour === 'mariadb') {
        const server = await root.value('SELECT @@server_id')
        return ((await root.value('SELECT @@gtid_binlog_state')) ?? '').split(',').filter((gtid) => gtid.split('-')[1] === server).length
      }
      const uuid = (await root.value('SELECT @@server_uuid')) ?? ''
      return ((await root.value('SELECT @@gtid_executed')) ?? '').includes(uuid) ? 1 : 0
    }

    test('a transaction stays on one replica of a shard, is read only, and none is on primaries too', async () => {
      const on = await client('one@replica')
      await on.query('BEGIN')
      const first = await scalar(on, port_)
      for (let n = 0; n < 6; n++) assert.equal(await scalar(on, port_), first)
      await assert.rejects(on.query('DELETE FROM t'), { errno: 1290 })
      await on.query('USE `one`')
      await assert.rejects(on.query('SELECT COUNT(*) FROM t'), /SW-GATE-026/)
      await on.query('USE `one@replica`')
      assert.equal(await scalar(on, port_), first)
      await on.query('COMMIT')
      await on.query('START TRANSACTION READ WRITE')
      await assert.rejects(on.query('SELECT COUNT(*) FROM t'), { errno: 1290 })
      await on.query('ROLLBACK')
      await on.end()
    })

    test('promise 6: one that stands still, is behind or is down is not read; with none left, the error names each with its reason', async () => {
      const on = await client('one@replica')
      const write = await client('one')
      await roots[1]?.query('STOP REPLICA')
      await onlyRead(on, 2)
      await roots[1]?.query('START REPLICA')
      await until('it to be read again', async () => Number(await scalar(on, port_)) === servers[1]?.port)
      // Behind, though its replication runs and it calls itself 0 s behind: its applier waits for a lock.
      await roots[1]?.query('FLUSH TABLES WITH READ LOCK')
      await write.query("INSERT INTO t VALUES (2, 'behind')")
      await until('the second to have it', async () => (await roots[2]?.value('SELECT COUNT(*) FROM one.t WHERE id = 2')) === '1')
      await onlyRead(on, 2)
      await servers[2]?.kill9()
      await until('an error that names both', () => refused(on, /SW-GATE-024.*s1: .*behind \(limit 1.5 s\).*s2: /s))
      await roots[1]?.query('UNLOCK TABLES')
      await until('it to be read again', async () => Number(await scalar(on, port_).catch(() => 0)) === servers[1]?.port)
      // The primary cannot be asked: how far behind a replica is becomes unknown, and counts as over.
      await servers[0]?.pause()
      await until('reads to be refused', () => refused(on, /SW-GATE-024/))
      await servers[0]?.resume()
      await until('it to be read again', async () => Number(await scalar(on, port_).catch(() => 0)) === servers[1]?.port)
      await on.end()
      await write.end()
    })

    function refused(on: mysql.Connection, told: RegExp): Promise<boolean> {
      return scalar(on, port_).then(
        () => false,
        (error: Error) => told.test(error.message),
      )
    }

    async function allFrom(on: mysql.Connection, n: number): Promise<number[]> {
      const all: number[] = []
      for (let i = 0; i < n; i++) all.push(Number(await scalar(on, port_)))
      return all
    }
  })
}
