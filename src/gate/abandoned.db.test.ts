/** What nobody waits for (abandoned.ts): a server that never ends an answer keeps no connection for it, and one that is at work is let finish. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { connect } from '../mysql/connect.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const connectionsMax = 3
/** By how many clients each: together they have all connections to the server. */
const reads: Record<string, readonly string[]> = {
  'through one shard': Array<string>(connectionsMax).fill('SELECT n FROM t WHERE k = 1'),
  'of several shards': ['SELECT k FROM t', 'SELECT n FROM t WHERE k = 1'],
  'put together at one place': ['SELECT COUNT(*) FROM t a JOIN t b ON a.n = b.n'],
  'of a lookup': Array<string>(connectionsMax).fill("SELECT n FROM t WHERE email = 'a@x'"),
}

besideEachOther('what nobody waits for', (flavour) => {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    let holder: Connection
    let network: FaultProxy
    let gate: Gate
    let port: number
    const client = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    const value = async (k: number): Promise<string | null | undefined> =>
      await admin.value(`SELECT n FROM (SELECT * FROM low.t UNION ALL SELECT * FROM high.t) rows_of_both WHERE k = ${k}`)
    const waiting = async (): Promise<number> => {
      const sessions = await admin.allText('SHOW PROCESSLIST')
      return sessions.filter(({ User, State }) => User === 'sw_gate' && /^Waiting for/i.test(State ?? '')).length
    }
    const looks = async (): Promise<number> => Number((await admin.allText("SHOW GLOBAL STATUS LIKE 'Com_show_processlist'"))[0]?.['Value'])
    const free = (): Promise<unknown> => until('no session has a connection', () => gate.core.pools.held === 0, 20_000)
    const lock = (): Promise<unknown> => holder.query('LOCK TABLES low.t WRITE, high.t WRITE, ids.email_idx WRITE')
    const said = (statement: Promise<unknown>): Promise<string> => statement.then(() => 'done', String)

    /** Another client is answered. */
    async function another(): Promise<void> {
      const c = await client()
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '4')
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE email = 'd@x'"), '1')
      await c.close()
    }

    before(async () => {
      server = await testServer({ flavour })
      admin = await connect(server.config)
      holder = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
      for (const schema of ['ids', 'low', 'high']) await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
      for (const schema of ['low', 'high'])
        await admin.query(`CREATE TABLE ${schema}.t (k BIGINT PRIMARY KEY, n INT, email VARCHAR(60) COLLATE utf8mb4_bin)`)
      await admin.query('CREATE TABLE ids.email_idx (email VARCHAR(60) COLLATE utf8mb4_bin PRIMARY KEY, keyspace_id VARBINARY(16))')
      network = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
      const store = new MemoryStore()
      await addServer(store, 's1', network.port, flavour)
      await addUser(store, 'app', 'secret')
      await addKeyspace(store, 'ids', [{ name: '-', serverId: 's1', schema: 'ids' }])
      const shards = [
        { name: '-80', serverId: 's1', schema: 'low' },
        { name: '80-', serverId: 's1', schema: 'high' },
      ]
      const params = { table: 'ids.email_idx', from: 'email', to: 'keyspace_id' }
      const vindexes = { hash: { type: 'hash' }, email: { type: 'consistent_lookup_unique', params, owner: 't' } }
      const column_vindexes = [
        { column: 'k', name: 'hash' },
        { column: 'email', name: 'email' },
      ]
      await addKeyspace(store, 'app', shards, { sharded: true, vschema: { sharded: true, vindexes, tables: { t: { column_vindexes } } } })
      const config = {
        abandonedMs: 500,
        backendConnectionsMax: connectionsMax,
        poolWaitMs: 60_000,
        connectTimeoutMs: 1_000,
        sharedReadMs: 1_000,
      }
      ;({ gate, port } = await startGate(store, config))
      const c = await client()
      await c.query("INSERT INTO t VALUES (1, 0, 'a@x'), (2, 0, 'b@x'), (3, 0, 'c@x'), (4, 0, 'd@x')")
      assert.equal(await c.value('SELECT COUNT(*) FROM t a JOIN t b ON a.n = b.n'), '16')
      await c.close()
      await another()
    })

    afterEach(async () => {
      await holder.query('ROLLBACK')
      await holder.query('UNLOCK TABLES')
      network.heal('reset')
    })

    after(async () => {
      await gate?.stop()
      await Promise.all([admin?.close(), holder?.close()])
      await network?.[Symbol.asyncDispose]()
      await server?.[Symbol.asyncDispose]()
    })

    /** All connections that a client's statement may have are taken, and their server does nothing. */
    async function ask(sqls: readonly string[]): Promise<Connection[]> {
      await free()
      await lock()
      const clients = await Promise.all(sqls.map(() => client()))
      for (const [i, c] of clients.entries()) void c.query(sqls[i] as string).catch(() => {})
      await until('all wait', async () => (await waiting()) === connectionsMax)
      return clients
    }

    for (const [what, sqls] of Object.entries(reads)) {
      test(`promise 8: reads ${what} keep no connection when their clients are gone and the answers never come`, async () => {
        const clients = await ask(sqls)
        network.loseConnected()
        for (const c of clients) c.destroy()
        // KILL QUERY meets the first of what was sent together, and the next waits as long.
        await free()
        await holder.query('UNLOCK TABLES')
        // Those that lay idle hang, too.
        network.heal('reset')
        await another()
      })

      test(`promise 8: reads ${what} keep no connection of a server that does not even take KILL QUERY`, async () => {
        const clients = await ask(sqls)
        network.blackhole()
        for (const c of clients) c.destroy()
        await free()
        await holder.query('UNLOCK TABLES')
        network.heal('reset')
        await another()
      })
    }

    test('a write keeps no connection either, and is done or not as its server has it', async () => {
      const clients = await ask([1, 1, 4].map((k) => `UPDATE t SET n = n + 1 WHERE k = ${k}`))
      network.loseConnected()
      for (const c of clients) c.destroy()
      await holder.query('UNLOCK TABLES')
      await free()
      network.heal('reset')
      assert.deepEqual([await value(1), await value(4)], ['2', '1'])
      await another()
    })

    test('promise 1: a write that its server is at is let finish on all shards, however long that takes', async () => {
      await free()
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM high.t FOR UPDATE')
      const c = await client()
      void c.query('UPDATE t SET n = 50').catch(() => {})
      const waits = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
      await until('it waits for a row', async () => (await admin.value(waits)) === '1')
      const before = await looks()
      c.destroy()
      await until('its server was asked', async () => (await looks()) > before + 2)
      await holder.query('ROLLBACK')
      await free()
      assert.deepEqual([await value(1), await value(4)], ['50', '50'])
    })

    test('a transaction that can not be rolled back as its server says nothing keeps no connection', async () => {
      await free()
      const c = await client()
      await c.query('BEGIN')
      await c.query('UPDATE t SET n = 60')
      network.blackhole()
      c.destroy()
      await free()
      network.heal('reset')
      await until('it is rolled back', async () => (await admin.value('SELECT COUNT(*) FROM information_schema.innodb_trx')) === '0')
      assert.equal(await value(1), '50')
      await another()
    })

    test('promise 11: who is killed is told so, or of a write that its outcome is not known, though the server says nothing to KILL QUERY', async () => {
      for (const [sql, told] of [
        ['SELECT n FROM t WHERE k = 1', /1317|interrupted/],
        ['SELECT k FROM t', /1317|interrupted/],
        ['UPDATE t SET n = 70 WHERE k = 1', /SW-GATE-009/],
      ] as const) {
        await free()
        await lock()
        const [c, other] = [await client(), await client()]
        const id = await c.value('SELECT CONNECTION_ID()')
        const statement = said(c.query(sql))
        await until('it waits', async () => (await waiting()) > 0)
        network.blackhole()
        await other.query(`KILL QUERY ${id}`)
        assert.match(await statement, told)
        await holder.query('UNLOCK TABLES')
        network.heal('reset')
        assert.equal(await c.value('SELECT COUNT(*) FROM t'), '4')
        await Promise.all([c.close(), other.close()])
      }
    })
  })
})
