/** A KILL QUERY that comes before its server has begun with the statement is lost. Who has gone away leaves no lock for that: it is told again. Here the statement is late on its way. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const lateMs = 400

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let between: net.Server
    let late = 0

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { plain: 'plain', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
        through: async (port) => {
          between = net.createServer((client) => {
            const server = net.connect(port, '127.0.0.1')
            client.on('data', (sent: Buffer) => {
              if (!sent.includes('SLEEP(30)')) return server.write(sent)
              late++
              setTimeout(() => server.write(sent), lateMs)
            })
            server.pipe(client)
            for (const [one, other] of [
              [client, server],
              [server, client],
            ] as const)
              one.on('error', () => other.destroy()).on('close', () => other.destroy())
          })
          await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve))
          return (between.address() as net.AddressInfo).port
        },
      })
    })
    after(async () => {
      await world?.stop()
      between?.close()
    })

    for (const keyspace of ['plain', 'wide'])
      test(keyspace, async () => {
        await using c = await world.session(keyspace)
        await c.query('INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0)')
        const gone = await world.session(keyspace)
        await gone.query('BEGIN')
        await gone.query('UPDATE t SET n = 1 WHERE id = 1')
        gone.query('SELECT id, SLEEP(30) FROM t').catch(() => {})
        const before = late
        while (late === before) await new Promise((resolve) => setTimeout(resolve, 5))
        gone.destroy()
        await c.query('SET SESSION innodb_lock_wait_timeout = 10')
        await c.query('UPDATE t SET n = n + 2 WHERE id = 1')
        assert.equal(await c.value('SELECT n FROM t WHERE id = 1'), '2')
      })
  })
}
