/** What several statements wait for together: a server that says nothing holds nobody longer than it says nothing, and none of them ends it for the others. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { connect } from '../mysql/connect.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

for (const flavour of flavours().slice(0, 1)) {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    let network: FaultProxy
    let gate: Gate
    let port: number
    const client = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })

    before(async () => {
      server = await testServer({ flavour })
      admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
      for (const schema of ['ids', 'low', 'high']) await admin.query(`CREATE DATABASE ${schema}`)
      for (const schema of ['low', 'high'])
        for (const table of ['t', 'u']) await admin.query(`CREATE TABLE ${schema}.${table} (k BIGINT, id BIGINT, PRIMARY KEY (k, id))`)
      await admin.query('CREATE TABLE ids.t_seq (id BIGINT PRIMARY KEY, next_id BIGINT, cache BIGINT)')
      await admin.query('INSERT INTO ids.t_seq VALUES (0, 1, 1)')
      network = await FaultProxy.start({ host: '127.0.0.1', port: server.port })
      const store = new MemoryStore()
      await addServer(store, 's1', network.port, flavour)
      await addUser(store, 'app', 'secret')
      await addKeyspace(store, 'ids', [{ name: '-', serverId: 's1', schema: 'ids' }])
      const byK = { column_vindexes: [{ column: 'k', name: 'hash' }] }
      await addKeyspace(
        store,
        'app',
        [
          { name: '-80', serverId: 's1', schema: 'low' },
          { name: '80-', serverId: 's1', schema: 'high' },
        ],
        {
          sharded: true,
          vschema: {
            sharded: true,
            vindexes: { hash: { type: 'hash' } },
            tables: { t: { ...byK, auto_increment: { column: 'id', sequence: 'ids.t_seq' } }, u: byK },
          },
        },
      )
      ;({ gate, port } = await startGate(store, { sharedReadMs: 1_000 }))
    })

    after(async () => {
      await gate?.stop()
      await admin?.close()
      await network?.[Symbol.asyncDispose]()
      await server?.[Symbol.asyncDispose]()
    })

    test('promise 8: a block of a sequence whose server says nothing is taken on another connection', async () => {
      const [a, b] = [await client(), await client()]
      await a.query('INSERT INTO t (k) VALUES (1)')
      const holder = await connect(server.config)
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM ids.t_seq FOR UPDATE')
      const first = a.query('INSERT INTO t (k) VALUES (2)')
      await until('it waits for the block', async () => (await waiting()) === '1')
      network.loseConnected()
      await holder.query('ROLLBACK')
      await holder.close()
      await b.query('INSERT INTO t (k) VALUES (3)')
      network.heal('reset')
      await first.catch(() => {})
      assert.equal(
        await admin.value('SELECT COUNT(DISTINCT id) FROM (SELECT id FROM low.t UNION ALL SELECT id FROM high.t) all_rows WHERE id > 0'),
        await admin.value('SELECT COUNT(*) FROM (SELECT id FROM low.t UNION ALL SELECT id FROM high.t) all_rows'),
      )
      for (const c of [a, b]) c.destroy()
    })

    const waiting = (): Promise<string | null | undefined> =>
      admin.value("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'sw_gate' AND info LIKE 'SELECT next_id%'")

    test('KILL QUERY ends the wait of one, and the block comes for the others', async () => {
      const [a, b] = [await client(), await client()]
      const id = await a.value('SELECT CONNECTION_ID()')
      const holder = await connect(server.config)
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM ids.t_seq FOR UPDATE')
      const first = a.query('INSERT INTO t (k) VALUES (12)').then(String, String)
      await until('it waits for the block', async () => (await waiting()) === '1')
      const second = b.query('INSERT INTO t (k) VALUES (13)')
      const other = await client()
      await other.query(`KILL QUERY ${id}`)
      const told = await Promise.race([first, new Promise((resolve) => setTimeout(() => resolve('nothing'), 900))])
      await holder.query('ROLLBACK')
      await holder.close()
      assert.match(String(told), /1317|SW-GATE-|interrupted/)
      await second
      for (const c of [a, b, other]) c.destroy()
    })

    test("promise 8: a table's columns are read on another connection when the server says nothing on the first", async () => {
      const [a, b] = [await client(), await client()]
      // One connection lies in the pool; it hangs.
      await a.query('SELECT * FROM t WHERE k = 1')
      network.loseConnected()
      const startedMs = Date.now()
      const first = a.query('SELECT * FROM u WHERE k = 1').catch(() => {})
      await b.query('SELECT * FROM u WHERE k = 1')
      assert.ok(Date.now() - startedMs < 15_000)
      network.heal('reset')
      await first
      for (const c of [a, b]) c.destroy()
    })
  })
}
