/** What becomes of a decided transaction whose branch can't be committed, or whose COMMIT got an answer that says nothing of it (xa-commit.ts). Two servers, one of them behind a network that fails. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { xidText } from '../mysql/decisions.ts'
import { ServerError } from '../mysql/errors.ts'
import type { Gate } from './gate.ts'
import { innerConnection } from './inner-statements.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import type { Branch } from './transaction.ts'
import type { ShardView } from './view.ts'
import { commitByXa } from './xa-commit.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    const servers: TestServer[] = []
    /** On the server of -80, where 1 stands; on that of 80-, where 4 stands. */
    let [low, high] = [] as unknown as [Connection, Connection]
    let network: FaultProxy
    let store: MemoryStore
    let gate: Gate
    let other: { gate: Gate } | null = null
    let port: number
    const client = (): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password: 'secret', database: 'app' })
    const inDoubt = async (): Promise<number> => (await Promise.all([low.all('XA RECOVER'), high.all('XA RECOVER')])).flat().length
    /** By looking as the clock would. */
    const committed = (): Promise<unknown> =>
      until('it is committed', async () => {
        await gate.lookForDoubt().catch(() => {})
        return (await inDoubt()) === 0
      })
    const rows = async (): Promise<string> =>
      `${await low.value('SELECT COUNT(*) FROM x.t')}+${await high.value('SELECT COUNT(*) FROM x.t')}`
    const decisions = async (): Promise<string | null | undefined> => await low.value('SELECT COUNT(*) FROM _shardwright.control_decision')
    const shard = (name: string): ShardView => gate.core.watch.view.keyspaces.get('app')?.shards.find((s) => s.name === name) as ShardView

    before(async () => {
      servers.push(await testServer({ flavour }), await testServer({ flavour }))
      ;[low, high] = [await connect((servers[0] as TestServer).config), await connect((servers[1] as TestServer).config)]
      for (const admin of [low, high]) {
        await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
        await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, PROCESS, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
        if (flavour === 'mysql') await admin.query("GRANT XA_RECOVER_ADMIN ON *.* TO sw_gate@'%'")
        await admin.query('CREATE DATABASE x CHARACTER SET utf8mb4')
        await admin.query('CREATE TABLE x.t (id BIGINT PRIMARY KEY, v VARCHAR(40))')
      }
      network = await FaultProxy.start({ host: '127.0.0.1', port: (servers[1] as TestServer).port })
      store = new MemoryStore()
      await addServer(store, 'low', (servers[0] as TestServer).port, flavour)
      await addServer(store, 'high', network.port, flavour)
      await addUser(store, 'app', 'secret')
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      const shards = [
        { name: '-80', serverId: 'low', schema: 'x' },
        { name: '80-', serverId: 'high', schema: 'x' },
      ]
      await addKeyspace(store, 'app', shards, { sharded: true, vschema, mode: 'xa' })
      // Looking for what is in doubt is begun by the tests.
      ;({ gate, port } = await startGate(store, {
        xaDoubtMs: 0,
        xaCheckMs: 3_600_000,
        xaFinishMs: 300,
        connectTimeoutMs: 500,
        abandonedMs: 500,
      }))
    })
    after(async () => {
      network?.heal()
      await gate?.stop()
      await other?.gate.stop()
      await Promise.all([low?.close(), high?.close()])
      await network?.[Symbol.asyncDispose]()
      for (const server of servers) await server[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      gate.core.xa.reached = () => undefined
      network.heal()
      await low.query('DELETE FROM x.t')
      await high.query('DELETE FROM x.t')
      await low.query('DELETE FROM _shardwright.control_decision').catch(() => {})
    })

    test('promise 1: a decision stays while a branch is not committed: its server comes back after the client has its OK', async () => {
      gate.core.xa.reached = (at) => {
        if (at === 'decided') {
          network.blackhole()
          network.cut()
        }
        return undefined
      }
      const c = await client()
      assert.equal((await c.query("INSERT INTO t VALUES (1, 'a'), (4, 'd')")).kind, 'ok')
      assert.equal(await rows(), '1+0')
      assert.equal(await inDoubt(), 1)
      await gate.lookForDoubt().catch(() => {})
      assert.equal(await decisions(), '1')
      network.heal()
      await committed()
      assert.equal(await rows(), '1+1')
      await c.close()
    })

    test('a server that says nothing, and does not cut, holds a COMMIT up no longer than one that is gone', async () => {
      gate.core.xa.reached = (at) => {
        if (at === 'decided') network.blackhole()
        return undefined
      }
      const c = await client()
      const from = performance.now()
      assert.equal((await c.query("INSERT INTO t VALUES (1, 'a'), (4, 'd')")).kind, 'ok')
      assert.ok(performance.now() - from < 10_000)
      assert.equal(await inDoubt(), 1)
      network.heal()
      await committed()
      assert.equal(await rows(), '1+1')
      await c.close()
    })

    test('promise 1, 8: a COMMIT whose client is gone keeps no connection of a decider that says nothing, and what it leaves in doubt is ended', async () => {
      gate.core.xa.reached = (at) => {
        if (at === 'decision-written') network.blackhole()
        return undefined
      }
      const c = await client()
      await c.query('BEGIN')
      await c.query("INSERT INTO t VALUES (4, 'd')")
      await c.query("INSERT INTO t VALUES (1, 'a')")
      void c.query('COMMIT').catch(() => {})
      await until('it is prepared', async () => (await low.all('XA RECOVER')).length === 1)
      c.destroy()
      await until('no session has a connection', () => gate.core.pools.held === 0, 20_000)
      assert.equal((await low.all('XA RECOVER')).length, 1)
      network.heal('reset')
      await committed()
      assert.equal(await rows(), '0+0')
    })

    test('what is in doubt on one server is ended while another says nothing', async () => {
      const gtrid = gate.core.xa.newId(shard('-80'))
      const xid = xidText(gtrid, shard('-80').uid)
      await gate.core.xa.ensure(shard('-80'))
      const gone = await connect({ ...(servers[0] as TestServer).config, database: 'x' })
      for (const sql of [`XA START ${xid}`, "INSERT INTO t VALUES (9, 'z')", `XA END ${xid}`, `XA PREPARE ${xid}`]) await gone.query(sql)
      gone.destroy()
      await gate.lookForDoubt()
      network.blackhole()
      const looking = gate.lookForDoubt()
      looking.catch(() => {})
      await until('it is ended', async () => (await inDoubt()) === 0)
      network.heal()
      network.cut()
      await looking
    })

    test('what one decider has decided is ended while another says nothing, on the same server', async () => {
      for (const [i, decider] of ['80-', '80-', '80-', '-80', '80-', '80-', '80-'].entries()) {
        const gtrid = gate.core.xa.newId(shard(decider))
        const xid = xidText(gtrid, shard('-80').uid)
        await gate.core.xa.ensure(shard(decider))
        const gone = await connect({ ...(servers[0] as TestServer).config, database: 'x' })
        for (const sql of [`XA START ${xid}`, `INSERT INTO t VALUES (${20 + i}, 'z')`, `XA END ${xid}`, `XA PREPARE ${xid}`])
          await gone.query(sql)
        gone.destroy()
      }
      await until('all are seen', async () => (await inDoubt()) === 7)
      // Connections that are open, more than look there: connecting would fail soon.
      const idle = await Promise.all([1, 2, 3, 4].map(() => innerConnection(gate.core, shard('80-'))))
      for (const one of idle) one.pool.give(one)
      network.blackhole()
      const looking = gate.lookForDoubt()
      looking.catch(() => {})
      await until('one is ended', async () => (await inDoubt()) === 6)
      network.heal()
      network.cut()
      await looking.catch(() => {})
      await committed()
    })

    test('promise 1: a decision stays while a server is not asked whether a branch is prepared there; an old one goes when none is', async () => {
      const c = await client()
      await c.query("INSERT INTO t VALUES (1, 'a'), (4, 'd')")
      await c.close()
      const old = (gtrid: string): Promise<unknown> =>
        low.query(`INSERT INTO _shardwright.control_decision VALUES ('${gtrid}', 'commit', UTC_TIMESTAMP() - INTERVAL 2 DAY)`)
      await gate.lookForDoubt()
      await old('sw1-a')
      network.blackhole()
      network.cut()
      other = await startGate(store, { xaDoubtMs: 0, xaCheckMs: 3_600_000, connectTimeoutMs: 500 }, undefined, 'gate-2')
      const { gate: second } = other
      await second.lookForDoubt()
      assert.equal(await decisions(), '1')
      network.heal()
      await until('it goes', async () => {
        await second.lookForDoubt()
        return (await decisions()) === '0'
      })
    })

    /** Branches on both servers, each with a row; the decider's is ordinary. */
    async function twoBranches(): Promise<{ gtrid: string; own: Branch; other: Branch }> {
      const gtrid = gate.core.xa.newId(shard('-80'))
      const open = async (name: string, id: number, xid: string | null): Promise<Branch> => {
        const backend = await innerConnection(gate.core, shard(name))
        await backend.connection.query(xid === null ? 'BEGIN' : `XA START ${xid}`)
        await backend.connection.query(`INSERT INTO t VALUES (${id}, 'x')`)
        return {
          shard: shard(name),
          backend,
          wrote: true,
          locked: false,
          begun: true,
          counted: false,
          open: true,
          statements: 1,
          xid,
          prepared: false,
        }
      }
      return { gtrid, own: await open('-80', 1, null), other: await open('80-', 4, xidText(gtrid, shard('80-').uid)) }
    }

    for (const stands of [true, false])
      test(`promise 1, 11: a KILL that reaches the deciding COMMIT says nothing of it: ${stands ? 'it stands' : 'it does not stand'}, and all obey`, async () => {
        const { gtrid, own, other: far } = await twoBranches()
        const { connection } = own.backend
        const query = connection.query.bind(connection)
        connection.query = async (sql) => {
          if (sql !== 'COMMIT') return await query(sql)
          if (stands) await query('COMMIT')
          throw new ServerError(1317, '70100', 'Query execution was interrupted')
        }
        const done = commitByXa(gate.core, gtrid, shard('-80'), [far], own, {})
        if (stands) await done
        else {
          await assert.rejects(done, /SW-GATE-008|rolled back/)
          await far.backend.connection.query(`XA ROLLBACK ${far.xid}`)
        }
        connection.destroy()
        far.backend.connection.destroy()
        assert.equal(await rows(), stands ? '1+1' : '0+0')
        assert.equal(await inDoubt(), 0)
      })

    test('promise 11: KILL QUERY while the deciding COMMIT waits: nothing is kept, and no lock is left', async () => {
      const locker = await connect((servers[0] as TestServer).config)
      let id: string | null | undefined
      gate.core.xa.reached = async (at) => {
        if (at === 'decision-written') await locker.query('FLUSH TABLES WITH READ LOCK')
      }
      const c = await client()
      const answer = c.query("INSERT INTO t VALUES (1, 'a'), (4, 'd')").then(
        () => 'committed',
        (error: Error) => error.message,
      )
      await until('it commits', async () => {
        id = await locker.value("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'sw_gate' AND INFO = 'COMMIT'")
        return id != null
      })
      await locker.query(`KILL QUERY ${id}`)
      await new Promise((resolve) => setTimeout(resolve, 200))
      await locker.query('UNLOCK TABLES')
      assert.match(await answer, /SW-GATE-008/)
      await until('nothing is in doubt', async () => (await inDoubt()) === 0)
      assert.equal(await rows(), '0+0')
      gate.core.xa.reached = () => undefined
      await c.query("INSERT INTO t VALUES (1, 'a'), (4, 'd')")
      assert.equal(await rows(), '1+1')
      await c.close()
      await locker.close()
    })
  })
}
