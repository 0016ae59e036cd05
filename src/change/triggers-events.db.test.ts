/** User triggers and events at `create`: refused, all of them and by name, or left to the switch (PROTOCOLS 1.11). */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { TestServer } from '../../test/kit/servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

for (const flavour of flavours()) {
  describe(`triggers and events of the application at create, ${flavour}`, () => {
    let source: TestServer
    let target: TestServer
    let office: Office
    before(async () => {
      ;[source, target] = await Promise.all([testServer({ flavour, durability: 'full' }), testServer({ flavour, durability: 'full' })])
      await using root = await rootOf(source)
      await root.query('CREATE DATABASE app')
      await root.query('CREATE DATABASE elsewhere')
      for (const name of ['a', 'b']) await root.query(`CREATE TABLE app.${name} (id INT NOT NULL PRIMARY KEY, x INT) ENGINE=InnoDB`)
      office = await Office.open(flavour)
      await office.keyspace('app', source, 'app', ['a', 'b'])
    })
    after(async () => {
      await office[Symbol.asyncDispose]()
      await Promise.all([source[Symbol.asyncDispose](), target[Symbol.asyncDispose]()])
    })
    const asked = (name: string, more: Record<string, unknown> = {}) =>
      office.create('app', name, { targetServers: [{ host: '127.0.0.1', port: target.port, user: 'root', password: '' }], ...more })
    const madeOnTarget = async (): Promise<number> => {
      await using root = await rootOf(target)
      return Number(
        await root.value(
          "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'app%' OR SCHEMA_NAME LIKE '%shardwright'",
        ),
      )
    }

    test(`1.11 on ${flavour}: a trigger and events, disabled ones too, are each refused by name, and nothing is made`, async () => {
      await using root = await rootOf(source)
      await root.query('CREATE TRIGGER app.counts BEFORE INSERT ON app.a FOR EACH ROW SET NEW.x = 1')
      await root.query('CREATE EVENT app.ticks ON SCHEDULE EVERY 1 HOUR DO UPDATE app.b SET x = 2 WHERE id = -1')
      await root.query('CREATE EVENT app.`sleeps-1` ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM app.b WHERE id = -1')
      // Of another schema: not ours to move.
      await root.query('CREATE EVENT elsewhere.ticks_there ON SCHEDULE EVERY 1 DAY DO SELECT 1')
      const made = await asked('w')
      assert.equal(made.state, 'failed')
      assert.deepEqual(made.errors.map(({ code, what }) => `${code} ${what}`).toSorted(), [
        'SW-CHANGE-026 table a has triggers: counts',
        'SW-CHANGE-027 schema app has the event sleeps-1',
        'SW-CHANGE-027 schema app has the event ticks',
      ])
      assert.equal(await madeOnTarget(), 0)
    })

    test(`1.11 on ${flavour}: the trigger alone, the event alone`, async () => {
      await using root = await rootOf(source)
      await root.query('DROP EVENT app.`sleeps-1`')
      await root.query('DROP TRIGGER app.counts')
      assert.deepEqual(
        (await asked('w')).errors.map(({ code }) => code),
        ['SW-CHANGE-027'],
      )
      await root.query('DROP EVENT app.ticks')
      await root.query('CREATE TRIGGER app.counts BEFORE INSERT ON app.a FOR EACH ROW SET NEW.x = 1')
      assert.deepEqual(
        (await asked('w')).errors.map(({ code }) => code),
        ['SW-CHANGE-026'],
      )
      assert.equal(await madeOnTarget(), 0)
    })

    test(`1.11 on ${flavour}: with --triggers at-switch they are no hindrance, and none stands on a target before the switch`, async () => {
      await using root = await rootOf(source)
      await root.query('CREATE EVENT app.ticks ON SCHEDULE EVERY 1 HOUR DO UPDATE app.b SET x = 2 WHERE id = -1')
      const made = await asked('w', { triggers: 'at-switch' })
      assert.equal(made.state, 'done', JSON.stringify(made.errors))
      await office.pool.run(`127.0.0.1:${target.port}`, async ({ connection }) => {
        assert.equal(await connection.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'app%'"), '4')
        assert.equal(await connection.value("SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA LIKE 'app%'"), '0')
        assert.equal(await connection.value("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME = 'counts'"), '0')
      })
    })
  })
}
