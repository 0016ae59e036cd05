/**
 * A KILL QUERY that comes before its server has begun with the statement is lost. Who has gone away leaves no lock for that: it is told again. Here the statement is on its way until it has been.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let network: FaultProxy
    const onTheirWay: (() => void)[] = []
    let kills = 0

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { plain: 'plain', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
        through: async (port) => (network = await FaultProxy.start({ host: '127.0.0.1', port })).port,
      })
      network.intercept = (sent, _, pass) => {
        if (sent.includes('KILL QUERY')) kills++
        if (!sent.includes('SLEEP(30)')) return false
        onTheirWay.push(() => pass(sent))
        return true
      }
    })
    after(async () => {
      await world?.stop()
      await network?.[Symbol.asyncDispose]()
    })

    for (const [keyspace, shards] of [
      ['plain', 1],
      ['wide', 2],
    ] as const)
      test(keyspace, async () => {
        onTheirWay.length = 0
        kills = 0
        await using c = await world.session(keyspace)
        await c.query('INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0)')
        const gone = await world.session(keyspace)
        await gone.query('BEGIN')
        await gone.query('UPDATE t SET n = 1 WHERE id = 1')
        gone.query('SELECT id, SLEEP(30) FROM t').catch(() => {})
        await until('it is on its way to each shard', () => onTheirWay.length === shards, 10_000)
        gone.destroy()
        // Of each the first was answered, for the second is sent behind that.
        await until('each is told twice to end', () => kills >= 2 * shards, 10_000)
        for (const arrive of onTheirWay.splice(0)) arrive()
        await c.query('SET SESSION innodb_lock_wait_timeout = 10')
        await c.query('UPDATE t SET n = n + 2 WHERE id = 1')
        assert.equal(await c.value('SELECT n FROM t WHERE id = 1'), '2')
      })
  })
}
