/**
 * Promises 1 and 11: BEGIN goes out with the statement behind it. Where KILL QUERY meets a BEGIN, MariaDB refuses it and runs what comes behind it outside of any transaction (*tried*: about one of
 * forty that are sent together): nothing takes that back, so it is neither said to be rolled back nor sent again. Here something between the gate and the server makes a BEGIN such a one.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import { frameCommand } from '../wire/frames.ts'
import { com } from '../wire/commands.ts'
import { ofStatement } from './scatter.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const begin = frameCommand(com.query, 'BEGIN')
const savepoint = frameCommand(com.query, `SAVEPOINT ${ofStatement}`)
const refused = frameCommand(com.query, "SIGNAL SQLSTATE '70100' SET MYSQL_ERRNO = 1317, MESSAGE_TEXT = 'Query execution was interrupted'")

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let network: FaultProxy
    /** How many of these that come are to be refused. */
    let armed = 0
    let met = begin

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { plain: 'plain', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
        through: async (port) => (network = await FaultProxy.start({ host: '127.0.0.1', port })).port,
      })
      network.intercept = (sent, _, pass) => {
        const at = armed > 0 ? sent.indexOf(met) : -1
        if (at < 0) return false
        armed--
        pass(Buffer.concat([sent.subarray(0, at), refused, sent.subarray(at + met.length)]))
        return true
      }
    })
    after(async () => {
      await world?.stop()
      await network?.[Symbol.asyncDispose]()
    })

    const sum = async (keyspace: string): Promise<number> => {
      await using c = await world.session(keyspace)
      return Number(await c.value('SELECT COALESCE(SUM(n), 0) FROM t'))
    }

    for (const [keyspace, table] of [
      ['plain', 'one row'],
      ['wide', 'one row'],
      ['wide', 'rows of both shards'],
    ] as const)
      for (const own of [false, true])
        test(`${keyspace}, ${table}: a write behind a refused BEGIN is of unknown outcome, ${own ? 'in a transaction' : 'by itself'}`, async () => {
          await using c = await world.session(keyspace)
          await c.query('DELETE FROM t')
          await c.query('INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)')
          if (own) await c.query('BEGIN')
          armed = 1
          const written = c.query(`UPDATE t SET n = n + 1 ${table === 'one row' ? 'WHERE id = 3' : ''}`)
          // Of one shard, a statement by itself has no BEGIN.
          if (!own && table === 'one row') await written
          else {
            await assert.rejects(written, /SW-GATE-009/)
            assert.equal(armed, 0)
            // Nothing is open any more.
            await c.query('COMMIT')
          }
          armed = 0
          assert.ok((await sum(keyspace)) <= (table === 'one row' ? 1 : 5), 'once at most, and not all of it')
        })

    test('the savepoint of a statement is refused: what fails is not taken back to that of the statement before', async () => {
      await using c = await world.session('wide')
      await c.query('DELETE FROM t')
      await c.query('INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)')
      await c.query('BEGIN')
      await c.query('UPDATE t SET n = n + 1')
      armed = 1
      met = savepoint
      try {
        await assert.rejects(c.query('UPDATE t SET n = EXP(n * 1000)'), /SW-GATE-008/)
      } finally {
        met = begin
      }
      assert.equal(armed, 0)
      await c.query('COMMIT')
      assert.equal(await sum('wide'), 0)
    })

    test('a read behind a refused BEGIN is read again, within the transaction', async () => {
      for (const keyspace of ['plain', 'wide']) {
        await using c = await world.session(keyspace)
        await c.query('BEGIN')
        armed = 1
        await c.query('SELECT COUNT(*) FROM t')
        assert.equal(armed, 0)
        await c.query('REPLACE INTO t VALUES (9, 100)')
        await c.query('ROLLBACK')
        assert.equal(await c.value('SELECT COUNT(*) FROM t WHERE id = 9'), '0')
      }
    })
  })
}
