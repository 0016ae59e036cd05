import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { TestServer } from '../../test/kit/servers.ts'
import { openUnusedServer } from './servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const password = 'a password that nobody may find'

for (const flavour of flavours()) {
  describe(`targets on somebody else's servers, ${flavour}`, () => {
    let source: TestServer
    let target: TestServer
    let office: Office
    before(async () => {
      ;[source, target] = await Promise.all([testServer({ flavour, durability: 'full' }), testServer({ flavour, durability: 'full' })])
      await using root = await rootOf(source)
      await root.query('CREATE DATABASE app')
      for (const name of ['a', 'b'])
        await root.query(`CREATE TABLE app.${name} (id INT NOT NULL PRIMARY KEY, x INT, KEY (x)) ENGINE=InnoDB`)
      await root.query('CREATE VIEW app.v AS SELECT id FROM app.a')
      await using other = await rootOf(target)
      await other.query(`CREATE USER boss@'%' IDENTIFIED BY '${password}'`)
      await other.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      office = await Office.open(flavour)
      await office.keyspace('app', source, 'app', ['a', 'b'])
    })
    after(async () => {
      await office[Symbol.asyncDispose]()
      await Promise.all([source[Symbol.asyncDispose](), target[Symbol.asyncDispose]()])
    })
    const id = (): string => `127.0.0.1:${target.port}`
    const at = (schema?: string) => ({
      targetServers: [{ host: '127.0.0.1', port: target.port, user: 'boss', password, ...(schema === undefined ? {} : { schema }) }],
    })
    const tablesOn = async (): Promise<string[]> => {
      const rows = await office.pool.run(id(), ({ connection }) =>
        connection.allText(
          "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) AS t FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'app%' ORDER BY 1",
        ),
      )
      return rows.map((row) => row['t'] ?? '')
    }
    const codes = (action: { errors: readonly { code: string; what: string }[] }): string[] => action.errors.map((e) => e.code)

    test('1.12: tables that stand on a target and would take rows for others, or hold rows, are refused by column before anything is made', async () => {
      await using root = await rootOf(target)
      await root.query('CREATE DATABASE app_00_80')
      await root.query('CREATE TABLE app_00_80.a (id INT NOT NULL PRIMARY KEY, x VARCHAR(20), KEY (x)) ENGINE=InnoDB')
      await root.query('CREATE TABLE app_00_80.b (id INT UNSIGNED NOT NULL PRIMARY KEY, x INT NOT NULL, UNIQUE KEY mine (x)) ENGINE=InnoDB')
      await root.query('INSERT INTO app_00_80.b VALUES (1, 1)')
      const made = await office.create('app', 'w', at())
      assert.equal(made.state, 'failed')
      const told = made.errors.map(({ code, what }) => `${code} ${/column (\w+) of (\w+)/.exec(what)?.slice(1).join() ?? ''}`).toSorted()
      assert.deepEqual(
        told.filter((one) => one.startsWith('SW-MOVE-037')),
        ['SW-MOVE-037 id,b', 'SW-MOVE-037 x,a', 'SW-MOVE-037 x,b'],
        JSON.stringify(made.errors),
      )
      assert.ok(
        made.errors.some(
          ({ code, what }) => code === 'SW-MOVE-038' && /table b of 00-80.*mine \(x\)|table b of -80.*mine \(x\)/.test(what),
        ),
        '1.5: and the unique key',
      )
      assert.equal(told.length, 5, 'and the row')
      assert.equal(await root.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '_shardwright'"), '0')
      await root.query('DROP DATABASE app_00_80')
    })

    test('promise 12: cancel drops what the workflow made, and empties what stood there empty before', async () => {
      {
        await using root = await rootOf(target)
        await root.query('CREATE DATABASE app_00_80')
        await root.query('CREATE TABLE app_00_80.a (id INT NOT NULL PRIMARY KEY, x INT, KEY (x)) ENGINE=InnoDB')
        await root.query('CREATE TABLE app_00_80.theirs (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB')
        await root.query("SET GLOBAL time_zone = '+05:30', GLOBAL div_precision_increment = 9")
      }
      const made = await office.create('app', 'w', at())
      assert.equal(made.state, 'done', JSON.stringify(made.errors))
      assert.deepEqual(await tablesOn(), [
        'app_00_80.a',
        'app_00_80.b',
        'app_00_80.theirs',
        'app_00_80.v',
        'app_80_ff.a',
        'app_80_ff.b',
        'app_80_ff.v',
      ])
      const told = made.text.filter((line) => line.startsWith('sessions have another'))
      assert.match(
        told.join('\n'),
        new RegExp(
          `^sessions have another time_zone .*; ${id()} has \\+05:30.*; a switch is refused .*\n.*div_precision_increment .* has 9$`,
        ),
      )
      const stored = JSON.stringify([...(await office.store.list('')).entries.values()])
      assert(!stored.includes(password), 'the password that was given is kept nowhere')
      await assert.rejects(openUnusedServer(office.world, office.pool, id()), { code: 'SW-CHANGE-031' })
      {
        await using root = await rootOf(target).catch(() => null as never)
        assert.equal(root, null, 'closed from creation on')
      }
      await office.pool.run(id(), async ({ connection }) => {
        await connection.query('INSERT INTO app_00_80.a VALUES (1, 1)')
        await connection.query('CREATE TABLE app_80_ff.later (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB')
      })
      const ended = await office.act('app', 'w', 'cancel', { keepData: false, dropSource: false, dryRun: false })
      assert.equal(ended.state, 'done', JSON.stringify(ended.errors))
      assert.deepEqual(await tablesOn(), ['app_00_80.a', 'app_00_80.theirs', 'app_80_ff.later'])
      await using root = await rootOf(target)
      assert.equal(await root.value('SELECT COUNT(*) FROM app_00_80.a'), '0')
      for (const schema of ['app_00_80', 'app_80_ff']) await root.query(`DROP DATABASE ${schema}`)
    })

    test('promise 12: a creation that failed among its tables is cleaned up by cancel; until then its server stays closed', async () => {
      {
        await using root = await rootOf(target)
        await root.query('CREATE DATABASE app_80_ff')
        await root.query('CREATE TABLE app_80_ff.theirs (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB')
        await root.query('INSERT INTO app_80_ff.theirs VALUES (1)')
        // A view that no target can have: what it reads stands on the source only.
        await using from = await rootOf(source)
        await from.query('CREATE DATABASE elsewhere')
        await from.query('CREATE TABLE elsewhere.t (id INT NOT NULL PRIMARY KEY)')
        await from.query('CREATE VIEW app.w AS SELECT id FROM elsewhere.t')
      }
      const made = await office.create('app', 'w', at())
      assert.equal(made.state, 'failed')
      assert((await tablesOn()).includes('app_00_80.a'), 'the first target had its tables')
      await assert.rejects(openUnusedServer(office.world, office.pool, id()), { code: 'SW-CHANGE-042' })
      const ended = await office.act('app', 'w', 'cancel', { keepData: false, dropSource: false, dryRun: false })
      assert.equal(ended.state, 'done', JSON.stringify(ended.errors))
      assert.deepEqual(await tablesOn(), ['app_80_ff.theirs'])
      await using root = await rootOf(target)
      assert.equal(await root.value('SELECT COUNT(*) FROM app_80_ff.theirs'), '1', 'what was there before was not touched')
      assert.equal(await root.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'app_00_80'"), '0')
      await root.query('DROP DATABASE app_80_ff')
      await using from = await rootOf(source)
      await from.query('DROP VIEW app.w')
      assert.deepEqual(codes(ended), [])
    })

    test('a password that is wrong: the creation fails, and nothing of it stays', async () => {
      const spec = { targetServers: [{ host: '127.0.0.1', port: target.port, user: 'boss', password: 'wrong' }] }
      const made = await office.create('app', 'w', spec)
      assert.deepEqual(codes(made), ['SW-CHANGE-012'])
      assert.equal((await office.store.list('creation-secrets/')).entries.size, 0)
      const ended = await office.act('app', 'w', 'cancel', { keepData: false, dropSource: false, dryRun: false })
      assert.equal(ended.state, 'done', JSON.stringify(ended.errors))
    })
  })
}
