/** What goes to a server before a statement (settings, BEGIN, a PREPARE): when the connection is lost over that, the statement was not sent, and the client sees nothing of it. */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import { com } from '../wire/commands.ts'
import { errorFrame } from './replies.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

type Way = { readonly name: string; readonly end: (from: Socket) => void }
const ways: readonly Way[] = [
  { name: 'the connection breaks', end: (from) => from.resetAndDestroy() },
  {
    name: 'the server says that it was killed',
    end: (from) => from.end(errorFrame(new ServerError(1927, '70100', 'Connection was killed'), 1)),
  },
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let network: FaultProxy
    let client: Connection
    let interrupted = 0

    /** The next packet to the server that has this in it ends its connection. */
    const endAt = (what: string | number, { end }: Way): void => {
      interrupted = 0
      network.intercept = (bytes, from) => {
        if (typeof what === 'number' ? bytes[4] !== what : !bytes.includes(what)) return false
        network.intercept = null
        interrupted++
        end(from)
        return true
      }
    }

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', two: 'two' },
        tables: ['t (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT)'],
        through: async (port) => (network = await FaultProxy.start({ host: '127.0.0.1', port })).port,
      })
    })

    beforeEach(async () => {
      for (const schema of world.schemas) await world.admin.query(`TRUNCATE TABLE ${schema}.t`)
      client = await world.session('one')
      // An answer has been passed on: of the statement before.
      await client.query('SELECT * FROM t')
    })

    after(async () => {
      await world?.stop()
      await network?.[Symbol.asyncDispose]()
    })

    for (const [i, way] of ways.entries()) {
      test(`promise 11: ${way.name} over a setting`, async () => {
        // Taken by one server already, so that the other is asked with the next statement.
        await client.query(`SET SESSION group_concat_max_len = ${5_000 + i}`)
        await client.useDatabase('two')
        endAt('group_concat_max_len', way)
        assert.equal(await client.value('SELECT 1'), '1')
        assert.equal(interrupted, 1)
        assert.equal(await client.value('SELECT @@group_concat_max_len'), String(5_000 + i))
        await client.useDatabase('one')
        await client.query(`SET SESSION group_concat_max_len = ${6_000 + i}`)
        await client.useDatabase('two')
        endAt('group_concat_max_len', way)
        await client.query('INSERT INTO t (n) VALUES (1)')
        assert.equal(interrupted, 1)
        assert.equal(await world.admin.value('SELECT COUNT(*) FROM two.t'), '1')
        await client.close()
      })

      test(`promise 11: ${way.name} over the first statement of a transaction's BEGIN`, async () => {
        await client.query('START TRANSACTION READ ONLY')
        endAt('READ ONLY', way)
        assert.equal(await client.value('SELECT COUNT(*) FROM t'), '0')
        assert.equal(interrupted, 1)
        await client.query('COMMIT')
        await client.close()
      })

      test(`promise 11: ${way.name} over a PREPARE`, async () => {
        const statement = await client.prepare('INSERT INTO t (n) VALUES (?)')
        // Other settings, other words: it is prepared anew.
        await client.query("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
        await client.query('SELECT 1')
        endAt(com.stmtPrepare, way)
        await statement.execute(['7'])
        assert.equal(interrupted, 1)
        assert.equal(await world.admin.value('SELECT GROUP_CONCAT(n) FROM one.t'), '7')
        await client.close()
      })

      test(`promise 11: ${way.name} over a PREPARE in the midst of a transaction: it is told, and nothing of it stands`, async () => {
        await client.query('BEGIN')
        await client.query('INSERT INTO t (n) VALUES (1)')
        endAt(com.stmtPrepare, way)
        await assert.rejects(
          async () => (await client.prepare('INSERT INTO t (n) VALUES (?)')).execute(['2']),
          (error) => error instanceof ServerError && error.errno === 1213,
        )
        assert.equal(interrupted, 1)
        assert.equal(await client.value('SELECT COUNT(*) FROM t'), '0')
        await client.close()
      })
    }
  })
}
