/** Promise 1: a statement whose fence trigger does not find the table that it reads has done nothing, and is sent again. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { flavours } from '../../test/kit/servers.ts'
import { armedSchemas, armedSchemasDdl, controlSchemaDdl } from '../mysql/our-schema.ts'
import { gateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    test('promise 1: no client hears that the table of a fence trigger is missing', async () => {
      const world = await gateOnServer({ flavour, keyspaces: { one: 'one' }, tables: ['users (id BIGINT PRIMARY KEY, n INT)'] })
      try {
        await world.admin.query(controlSchemaDdl)
        await world.admin.query(armedSchemasDdl)
        await world.admin.query('USE one')
        await world.admin.query(`CREATE TRIGGER closes BEFORE INSERT ON users FOR EACH ROW
          IF (SELECT COUNT(*) FROM ${armedSchemas} WHERE armed = 1) > 0 THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'read-only'; END IF`)
        await using c = await world.session('one')
        const insert = await c.prepare('INSERT INTO users VALUES (?, 1)')
        await insert.execute([1n])
        await world.admin.query(`RENAME TABLE ${armedSchemas} TO ${armedSchemas}_away`)
        const written = [c.query('INSERT INTO users VALUES (2, 1)'), insert.execute([3n])]
        let settled = 0
        for (const one of written) void one.finally(() => settled++).catch(() => undefined)
        await sleep(200)
        assert.equal(settled, 0)
        await world.admin.query(`RENAME TABLE ${armedSchemas}_away TO ${armedSchemas}`)
        await Promise.all(written)
        assert.equal(await world.admin.value('SELECT COUNT(*) FROM users'), '3')
        // Another table's absence is the client's to hear.
        await assert.rejects(c.query('INSERT INTO gone VALUES (1)'), { errno: 1146 })
      } finally {
        await world.stop()
      }
    })
  })
}
