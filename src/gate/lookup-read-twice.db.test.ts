/** An UPDATE of a column that a lookup vindex finds by changes the rows whose lookup's rows are written, and no others. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let admin: Connection
    let c: Connection

    before(async () => {
      world = await gateOnServer({ flavour, keyspaces: { lk: 'lk', base: {} } })
      ;({ admin } = world)
      await admin.query('CREATE TABLE lk.email_idx (email VARCHAR(40), id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (email, id))')
      for (const schema of ['base_80', 'base_end'])
        await admin.query(
          `CREATE TABLE ${schema}.u (tenant BIGINT NOT NULL, id BIGINT PRIMARY KEY, email VARCHAR(40) COLLATE utf8mb4_bin, at DATETIME(6), v INT, KEY (tenant, email))`,
        )
      const vschema = {
        sharded: true,
        vindexes: {
          hash: { type: 'hash' },
          email: { type: 'consistent_lookup', params: { table: 'lk.email_idx', from: 'email,id', to: 'keyspace_id' }, owner: 'u' },
        },
        tables: {
          u: {
            column_vindexes: [
              { column: 'tenant', name: 'hash' },
              { columns: ['email', 'id'], name: 'email' },
            ],
          },
        },
      }
      const shards = ['-80', '80-'].map((name, i) => ({ name, serverId: 's1', schema: ['base_80', 'base_end'][i] as string }))
      await addKeyspace(world.store, 'shop', shards, { sharded: true, vschema })
      c = await world.session('shop')
    })
    after(async () => {
      await c?.close()
      await world?.stop()
    })
    beforeEach(async () => {
      await c.query('DELETE FROM u')
      await c.query(
        "INSERT INTO u VALUES (1, 1, 'd', NULL, 0), (1, 2, 'c', NULL, 0), (1, 3, 'b', NULL, 0), (1, 4, 'a', NULL, 0), (4, 5, 'e', NULL, 0)",
      )
    })
    /** Rows with the address, as the shards have them; those of tenant 1 that its lookup names. */
    async function everyRowIsFound(email: string): Promise<void> {
      const has = `SELECT id FROM base_80.u WHERE email = '${email}' UNION ALL SELECT id FROM base_end.u WHERE email = '${email}' ORDER BY id`
      const ids = async (sql: string): Promise<unknown> => (await admin.all(sql)).map((row) => row['id'])
      assert.deepEqual(await ids(`SELECT id FROM lk.email_idx WHERE email = '${email}' ORDER BY id`), await ids(has), email)
    }

    test('conditions that say otherwise each time are refused', async () => {
      for (const sql of [
        "UPDATE u SET email = 'x' WHERE RAND() < 0.5",
        "UPDATE u SET email = 'x' WHERE tenant = 1 AND RAND() < 0.5",
        "UPDATE u SET email = 'x' WHERE tenant = 1 ORDER BY RAND() LIMIT 1",
        "UPDATE u SET email = 'x' WHERE tenant = 1 AND at < SYSDATE(6)",
      ])
        assert.equal(await codeOf(c, sql), 'SW-GATE-100', sql)
      assert.equal(await codeOf(c, "UPDATE u SET email = 'x', v = RAND() WHERE tenant = 1"), 'done')
      assert.equal(await codeOf(c, 'UPDATE u SET v = 1 WHERE tenant = 1 AND RAND() < 0.5'), 'done', 'no lookup is concerned')
      await everyRowIsFound('x')
    })

    test('a LIMIT leaves the same rows to both', async () => {
      for (const [i, limit] of ['LIMIT 1', 'LIMIT 2', 'ORDER BY v LIMIT 2', 'ORDER BY id DESC LIMIT 1'].entries()) {
        const result = await c.query(`UPDATE u SET email = 'n${i}' WHERE tenant = 1 AND email < 'n' ${limit}`)
        assert.equal(result.kind === 'ok' && Number(result.affectedRows), Number(/\d/.exec(limit)?.[0]))
        await everyRowIsFound(`n${i}`)
        await c.query("UPDATE u SET email = 'f' WHERE tenant = 1 AND email LIKE 'n%'")
      }
      await c.query("UPDATE u SET email = 'one' WHERE tenant = 1 AND id = 2 LIMIT 1")
      await everyRowIsFound('one')
    })

    test('NOW() is one instant for both', async () => {
      await c.query("INSERT INTO u VALUES (4, 6, 'f', NULL, 0)")
      for (const [id, after] of [
        [5, 2],
        [6, 4],
      ])
        await admin.query(`UPDATE base_end.u SET at = NOW(6) + INTERVAL ${after} SECOND WHERE id = ${id}`)
      // The first shard's rows are waited for: the other's are read when another one is within the three seconds.
      const holder = await world.connect()
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM base_80.u FOR UPDATE')
      const update = c.query("UPDATE u SET email = 'soon' WHERE at BETWEEN NOW(6) AND NOW(6) + INTERVAL 3 SECOND")
      while ((await admin.value('SELECT at < NOW(6) FROM base_end.u WHERE id = 5')) !== '1') await admin.query('DO SLEEP(0.1)')
      await holder.query('ROLLBACK')
      await holder.close()
      await update
      await everyRowIsFound('soon')
      assert.equal(await c.value("SELECT id FROM u WHERE email = 'soon'"), '5')
    })
  })
