/** Lookups are asked and written beside a client's own statement: what ends the statement ends these, too. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    before(async () => {
      world = await gateOnServer({ flavour, keyspaces: { lk: 'lk' }, users: { brief: { limits: { ms: 700 } } } })
      const { admin, store } = world
      await admin.query('CREATE TABLE lk.email_idx (email VARCHAR(60) PRIMARY KEY, keyspace_id VARBINARY(16))')
      const shards = { '-80': 'app_80', '80-': 'app_end' }
      for (const schema of Object.values(shards)) {
        await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        await admin.query(`CREATE TABLE ${schema}.customer (id BIGINT PRIMARY KEY, email VARCHAR(60) COLLATE utf8mb4_bin, KEY (email))`)
      }
      await admin.query('ALTER TABLE lk.email_idx MODIFY email VARCHAR(60) COLLATE utf8mb4_bin')
      const params = { table: 'lk.email_idx', from: 'email', to: 'keyspace_id' }
      await addKeyspace(
        store,
        'app',
        Object.entries(shards).map(([name, schema]) => ({ name, serverId: 's1', schema })),
        {
          sharded: true,
          vschema: {
            sharded: true,
            vindexes: { hash: { type: 'hash' }, email: { type: 'consistent_lookup_unique', params, owner: 'customer' } },
            tables: {
              customer: {
                column_vindexes: [
                  { column: 'id', name: 'hash' },
                  { column: 'email', name: 'email' },
                ],
              },
            },
          },
        },
      )
      const c = await world.client('app', 'app')
      await c.query("INSERT INTO customer VALUES (1, 'ann@x')")
      assert.deepEqual((await c.query("SELECT id FROM customer WHERE email = 'ann@x'"))[0], [{ id: 1 }])
      await c.end()
    })
    after(() => world?.stop())

    const failure = (statement: Promise<unknown>): Promise<number> =>
      statement.then(
        () => 0,
        (error: { errno: number }) => error.errno,
      )
    /** A sweep of what was not written may wait as well. */
    const waiting = async (how: string): Promise<boolean> => {
      const all = await world.admin.allText("SELECT info AS x FROM information_schema.processlist WHERE state LIKE 'Waiting for table%'")
      return all.some(({ x }) => x?.startsWith(how) === true)
    }

    for (const [what, how, sql] of [
      ['a lookup that is asked', 'SELECT `keyspace_id`', "SELECT id FROM customer WHERE email = 'ann@x'"],
      ['a lookup that is written', 'INSERT INTO `email_idx`', "INSERT INTO customer VALUES (2, 'bob@x')"],
    ] as const) {
      test(`promise 7: KILL QUERY and a limit of time end what waits for ${what}`, async () => {
        const [c, other, brief] = await Promise.all([world.client('app', 'app'), world.client('app', 'app'), world.client('brief', 'app')])
        await using holder = await world.connect()
        await holder.query('LOCK TABLES lk.email_idx WRITE')
        const killed = failure(c.query(sql))
        await until('it waits for the lookup', () => waiting(how))
        await other.query(`KILL QUERY ${c.threadId}`)
        assert.equal(await killed, 1317)
        await until('nothing of it waits on the server', async () => !(await waiting(how)))
        assert.equal(await failure(brief.query(sql)), 3024)
        await until('nothing of it waits on the server', async () => !(await waiting(how)))
        await holder.query('UNLOCK TABLES')
        // Nothing of it stands, and the sessions are as before.
        assert.equal(await failure(c.query(sql)), 0)
        await Promise.all([c, other, brief].map((one) => one.end()))
      })
    }
  })
}
