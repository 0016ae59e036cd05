/** Transactions over several shards under `transaction_mode: xa`: all of it or nothing, whoever dies and when. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { Gate } from './gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import { xaCrashPoints } from './xa.ts'

const shardNames = ['-40', '40-80', '80-c0', 'c0-']
const schemaOf = (name: string): string => `x_${name.replace('-', '_')}`
/** hash(1) and hash(3) and hash(4) stand on three shards. */
const insert = "INSERT INTO t VALUES (1, 'a'), (3, 'c'), (4, 'd')"

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let admin: Connection
    let store: MemoryStore
    let port: number
    let started = 0
    const client = (to = port): Promise<Connection> =>
      connect({ host: '127.0.0.1', port: to, user: 'app', password: 'secret', database: 'app' })
    const others: Gate[] = []
    const another = async (): ReturnType<typeof startGate> => {
      const made = await startGate(store, { xaDoubtMs: 150, xaCheckMs: 50 }, undefined, `gate-${++started}`)
      others.push(made.gate)
      return made
    }
    const inDoubt = async (): Promise<number> => (await admin.all('XA RECOVER')).length
    const rows = async (): Promise<number> => {
      let count = 0
      for (const name of shardNames) count += Number(await admin.value(`SELECT COUNT(*) FROM ${schemaOf(name)}.t`))
      return count
    }

    before(async () => {
      server = await testServer({ flavour })
      admin = await connect(server.config)
      await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
      await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, PROCESS, CREATE TEMPORARY TABLES ON *.* TO sw_gate@'%'")
      if (flavour === 'mysql') await admin.query("GRANT XA_RECOVER_ADMIN ON *.* TO sw_gate@'%'")
      for (const name of shardNames) {
        await admin.query(`CREATE DATABASE ${schemaOf(name)} CHARACTER SET utf8mb4`)
        await admin.query(`CREATE TABLE ${schemaOf(name)}.t (id BIGINT PRIMARY KEY, v VARCHAR(40) UNIQUE)`)
      }
      store = new MemoryStore()
      await addServer(store, 's1', server.port, flavour)
      await addUser(store, 'app', 'secret')
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      const shards = shardNames.map((name) => ({ name, serverId: 's1', schema: schemaOf(name) }))
      await addKeyspace(store, 'app', shards, { sharded: true, vschema, mode: 'xa' })
      for (const name of ['main', 'side']) {
        await admin.query(`CREATE DATABASE x_${name} CHARACTER SET utf8mb4`)
        await admin.query(`CREATE TABLE x_${name}.u (id BIGINT PRIMARY KEY)`)
        await addKeyspace(store, name, [{ name: '-', serverId: 's1', schema: `x_${name}` }], { mode: 'multi' })
      }
      port = (await another()).port
    })
    after(async () => {
      // Those of tests that failed, too.
      for (const one of others) await one.stop()
      await admin?.close()
      await server?.[Symbol.asyncDispose]()
    })
    beforeEach(async () => {
      await until('what was in doubt is ended', async () => (await inDoubt()) === 0)
      for (const name of shardNames) await admin.query(`DELETE FROM ${schemaOf(name)}.t`)
      for (const name of ['main', 'side']) await admin.query(`DELETE FROM x_${name}.u`)
      // Made with the first decision.
      await admin.query('DELETE FROM _shardwright.control_decision').catch(() => {})
    })

    test('statements and transactions over shards commit, roll back, go back to savepoints; nothing is left', async () => {
      const c = await client()
      assert.equal((await c.query(insert)).kind, 'ok')
      assert.equal(await rows(), 3)
      await c.query('BEGIN')
      await c.query("UPDATE t SET v = CONCAT(v, '1')")
      await c.query('SAVEPOINT here')
      await c.query('DELETE FROM t')
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '0')
      await c.query('ROLLBACK TO SAVEPOINT here')
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%1'"), '3')
      await c.query('COMMIT')
      await c.query('BEGIN')
      await c.query('DELETE FROM t')
      await c.query('ROLLBACK')
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%1'"), '3')
      await c.query('SET autocommit = 0')
      await c.query("UPDATE t SET v = CONCAT(v, '2')")
      await c.query('COMMIT')
      await c.query("UPDATE t SET v = 'same' WHERE id = 1")
      await c.query('ROLLBACK')
      await c.query('SET autocommit = 1')
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%12'"), '3')
      await assert.rejects(c.query("INSERT INTO t VALUES (2, 'b'), (5, 'b5'), (4, 'd')"), /1062/)
      assert.equal(await rows(), 3, 'a statement that fails on one shard is undone on all')
      await c.query('BEGIN')
      await c.query("INSERT INTO t VALUES (2, 'b')")
      await assert.rejects(c.query("INSERT INTO t VALUES (5, 'b5'), (4, 'd')"), /1062/)
      await c.query('COMMIT')
      assert.equal(await rows(), 4)
      assert.equal(await inDoubt(), 0)
      await until('decisions go', async () => (await admin.value('SELECT COUNT(*) FROM _shardwright.control_decision')) === '0')
      await c.close()
    })

    for (const point of xaCrashPoints) {
      test(`promise 1: a gate that dies at ${point} leaves all of it or nothing`, async () => {
        const dying = await another()
        const reached = new Promise<void>((resolve) => {
          dying.gate.core.xa.reached = (at) => {
            if (at !== point) return undefined
            resolve()
            return new Promise(() => {})
          }
        })
        const c = await client(dying.port)
        const answer = c.query(insert).then(
          () => 'committed',
          () => 'no answer',
        )
        await reached
        await dying.gate.stop()
        assert.equal(await answer, 'no answer')
        await until('another gate ends what is in doubt', async () => (await inDoubt()) === 0)
        const expected = point === 'decided' || point === 'committed-one' ? 3 : 0
        await until('its connections have ended', async () => (await rows()) === expected)
        const other = await client()
        await other.query(`INSERT INTO t VALUES (10, 'x') ON DUPLICATE KEY UPDATE v = 'x'`)
        await other.query("UPDATE t SET v = CONCAT('u', id)")
        assert.equal(await rows(), expected + 1, 'no lock is left')
        await other.close()
      })
    }

    test('promise 1: a gate that sleeps past the decision of another one can not commit', async () => {
      const slow = await another()
      let go = (): void => {}
      const reached = new Promise<void>((resolve) => {
        slow.gate.core.xa.reached = (at) => {
          if (at !== 'prepared-all') return undefined
          resolve()
          return new Promise((wake) => (go = wake))
        }
      })
      const c = await client(slow.port)
      const answer = assert.rejects(c.query(insert), /SW-GATE-008|rolled back/)
      await reached
      // It works still, as far as it knows; the other one sees a transaction that nobody ends.
      await until(
        'the other gate decides',
        async () => (await admin.value("SELECT COUNT(*) FROM _shardwright.control_decision WHERE outcome = 'rollback'")) !== '0',
      )
      go()
      await answer
      await until('nothing is in doubt', async () => (await inDoubt()) === 0)
      assert.equal(await rows(), 0)
      await c.close()
      await slow.gate.stop()
    })

    /** Connections of gates, but the one that asks. */
    const cutGates = async (): Promise<void> => {
      const ids = await admin.allText("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = 'sw_gate'")
      for (const { id } of ids) await admin.query(`KILL ${id}`).catch(() => {})
    }

    test('promise 1: what a transaction wrote in a keyspace that is not atomic stands or falls with the rest', async () => {
      const own = await another()
      const c = await client(own.port)
      const write = async (): Promise<void> => {
        await c.query('BEGIN')
        await c.query(insert)
        await c.query('INSERT INTO main.u VALUES (1)')
      }
      await write()
      await c.query('COMMIT')
      assert.equal(await rows(), 3)
      assert.equal(await admin.value('SELECT COUNT(*) FROM x_main.u'), '1')
      await c.query('BEGIN')
      await c.query('DELETE FROM t')
      await c.query('DELETE FROM main.u')
      own.gate.core.xa.reached = (at) => (at === 'prepared-one' ? cutGates() : undefined)
      await assert.rejects(c.query('COMMIT'), /1213|rolled back/)
      await until('nothing is in doubt', async () => (await inDoubt()) === 0)
      assert.equal(await rows(), 3)
      assert.equal(await admin.value('SELECT COUNT(*) FROM x_main.u'), '1')
      await c.close()
      await own.gate.stop()
    })

    test('promise 1: where that can not be, as it began before, the COMMIT is refused and nothing stands', async () => {
      const c = await client()
      await c.query('BEGIN')
      await c.query('INSERT INTO main.u VALUES (1)')
      await c.query('INSERT INTO side.u VALUES (1)')
      await c.query(insert)
      await assert.rejects(c.query('COMMIT'), /SW-GATE-041.*keyspace app.*side\/-/)
      assert.equal(await rows(), 0)
      for (const name of ['main', 'side']) assert.equal(await admin.value(`SELECT COUNT(*) FROM x_${name}.u`), '0')
      await c.query('BEGIN')
      await c.query('INSERT INTO main.u VALUES (1)')
      await c.query('SELECT COUNT(*) FROM side.u')
      await c.query(insert)
      await c.query('COMMIT')
      assert.equal(await rows(), 3)
      assert.equal(await inDoubt(), 0)
      await c.close()
    })

    test('promise 10: WITH CONSISTENT SNAPSHOT shows every shard as it stood, and keeps no table from DDL', async () => {
      const [c, other] = [await client(), await client()]
      await c.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await other.query(insert)
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '0')
      await c.query('COMMIT')
      await c.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await admin.query('SET lock_wait_timeout = 2')
      for (const name of shardNames) await admin.query(`ALTER TABLE ${schemaOf(name)}.t COMMENT 'altered'`)
      await c.query('ROLLBACK')
      await c.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
      await c.query("UPDATE t SET v = CONCAT(v, '!')")
      await c.query('COMMIT')
      assert.equal(await other.value("SELECT COUNT(*) FROM t WHERE v LIKE '%!'"), '3')
      await c.close()
      await other.close()
    })

    test('WITH CONSISTENT SNAPSHOT under SERIALIZABLE keeps no other transaction from its COMMIT', async () => {
      const [c, other] = [await client(), await client()]
      await c.query(insert)
      await other.query('SET innodb_lock_wait_timeout = 1')
      for (const begin of [
        ['SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'START TRANSACTION WITH CONSISTENT SNAPSHOT'],
        [
          'SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ',
          'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
          'START TRANSACTION WITH CONSISTENT SNAPSHOT',
        ],
      ]) {
        // A lock of the first row would leave room behind it.
        await admin.query('DELETE FROM _shardwright.control_decision')
        for (const sql of begin) await c.query(sql)
        await other.query("UPDATE t SET v = CONCAT(v, '!')")
        assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%!'"), '3', 'it keeps no snapshot')
        await c.query('ROLLBACK')
        await other.query('UPDATE t SET v = LEFT(v, 1)')
      }
      await c.close()
      await other.close()
    })

    test('rows that a transaction only locked stay locked until the last shard that it wrote on has committed', async () => {
      const own = await another()
      const c = await client(own.port)
      await c.query(insert)
      const lock = async (): Promise<string> => {
        const other = await connect(server.config)
        try {
          await other.query(`SELECT * FROM ${schemaOf('-40')}.t WHERE id = 1 FOR UPDATE NOWAIT`)
          return 'free'
        } catch {
          return 'locked'
        } finally {
          await other.close()
        }
      }
      const seen: string[] = []
      own.gate.core.xa.reached = async (at) => {
        if (at === 'decided') seen.push(await lock())
      }
      await c.query('BEGIN')
      await c.query('SELECT v FROM t WHERE id = 1 FOR UPDATE')
      await c.query("UPDATE t SET v = CONCAT(v, '!') WHERE id IN (3, 4)")
      await c.query('COMMIT')
      assert.deepEqual([...seen, await lock()], ['locked', 'free'])
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%!'"), '2')
      await c.close()
      await own.gate.stop()
    })

    test('promise 1: where triggers have closed the decider’s schema nothing is decided, though only rows were locked there', async () => {
      const c = await client()
      await c.query(insert)
      const commit = async (): Promise<unknown> => {
        await c.query('BEGIN')
        await c.query('SELECT v FROM t WHERE id = 1 FOR UPDATE')
        await c.query("UPDATE t SET v = CONCAT(v, '?') WHERE id IN (3, 4)")
        return c.query('COMMIT')
      }
      await commit()
      await admin.query(`INSERT INTO _shardwright.control_armed_schemas VALUES ('${schemaOf('-40')}', 1)`)
      try {
        await assert.rejects(commit(), /SW-GATE-008.*takes no writes any more/s)
      } finally {
        await admin.query('DELETE FROM _shardwright.control_armed_schemas')
      }
      assert.equal(await inDoubt(), 0)
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%??'"), '0')
      await commit()
      assert.equal(await c.value("SELECT COUNT(*) FROM t WHERE v LIKE '%??'"), '2')
      await c.close()
    })

    test('promise 1: connections cut after the decision: the answer is OK and the rows are there', async () => {
      const own = await another()
      own.gate.core.xa.reached = (at) => {
        if (at !== 'decided') return undefined
        return cutGates()
      }
      const c = await client(own.port)
      await c.query(insert)
      assert.equal(await rows(), 3)
      await c.close()
      await own.gate.stop()
    })
  })
}
