/** Promise 10 of information_schema: keyspaces are its databases, whatever their schemas are called and on how many shards they are, as on one server. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { questions } from './testkit/tool-questions.ts'

const keyspaces = ['shop', 'renamed', 'wide']
const tables = [
  "elders (id BIGINT PRIMARY KEY, code VARCHAR(20) NOT NULL DEFAULT 'x', UNIQUE KEY code (code)) COMMENT = 'of all'",
  'children (id BIGINT PRIMARY KEY, parent_id BIGINT, n INT CHECK (n > 0), KEY n (n, id), CONSTRAINT of_elder FOREIGN KEY (parent_id) REFERENCES elders (id) ON DELETE CASCADE)',
  // Called as a keyspace is.
  'shop (id BIGINT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2',
]

async function fill(admin: Connection, schema: string): Promise<void> {
  await admin.query(`CREATE DEFINER = root@localhost VIEW ${schema}.grown AS SELECT c.id, c.n FROM ${schema}.children c WHERE c.n > 3`)
  await admin.query(`CREATE DEFINER = root@localhost FUNCTION ${schema}.twice(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a * 2`)
  await admin.query(
    `CREATE DEFINER = root@localhost TRIGGER ${schema}.kept BEFORE INSERT ON ${schema}.elders FOR EACH ROW SET NEW.code = LOWER(NEW.code)`,
  )
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let oneServer: TestServer
    let one: mysql.Connection
    const open: mysql.Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: 'shop', renamed: 'app_phys', wide: { elders: 'by id', children: 'by id', shop: 'by id' }, hidden: 'hidden' },
        tables,
        users: { guest: { grants: { renamed: ['read'] } } },
      })
      for (const schema of world.schemas) await fill(world.admin, schema)
      oneServer = await startMariadb({}, flavour)
      await using admin = await oneServer.admin()
      for (const schema of [...keyspaces, 'hidden']) {
        await admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        for (const table of tables) await admin.query(`CREATE TABLE ${schema}.${table}`)
        await fill(admin, schema)
      }
      one = await mysql.createConnection({ host: '127.0.0.1', port: oneServer.port, user: 'sw_gate', password: 'gate-secret' })
    })
    after(async () => {
      await Promise.all([...open, one].map((c) => c?.end().catch(() => {})))
      await world?.stop()
      await oneServer?.stop()
    })

    async function client(database?: string, user = 'app'): Promise<mysql.Connection> {
      const c = await world.client(user, database)
      open.push(c)
      return c
    }
    type Answer = { names: string[]; rows: unknown[] }
    /** Of the original names MariaDB's of an expression and MySQL's of its dictionary tell of the plan: whether it stood in a temporary table. So does whether MySQL names a schema of what its views compute; the gate does. */
    const namesOf = (c: mysql.Connection, sql: string, { schema, table, orgTable, name, orgName }: mysql.FieldPacket): string => {
      if (flavour === 'mysql' && !/^select/i.test(sql)) return `${table} ${name}`
      if (flavour === 'mysql') return [c === one && schema === '' && table !== '' ? 'information_schema' : schema, table, name].join(' ')
      return schema === '' ? name : [schema, table, orgTable, name, orgName].join(' ')
    }
    async function text(c: mysql.Connection, sql: string): Promise<Answer> {
      const [rows, fields] = await c.query({ sql, rowsAsArray: true })
      return { names: fields.map((field) => namesOf(c, sql, field)), rows: rows as unknown[] }
    }
    async function executed(c: mysql.Connection, sql: string, params: string[]): Promise<Answer> {
      const [rows, fields] = await c.execute({ sql, rowsAsArray: true }, params)
      return { names: fields.map((field) => namesOf(c, sql, field)), rows: rows as unknown[] }
    }
    const count = async (c: mysql.Connection, sql: string): Promise<number> => Number(((await text(c, sql)).rows[0] as unknown[])[0])

    for (const database of keyspaces)
      test(`what tools ask is answered as by one server: ${database}`, async () => {
        const c = await client(database)
        // What it prepared in another database would be of that one.
        await one.changeUser({ database })
        const wrong: string[] = []
        for (const { sql: template, params = [], only } of questions) {
          if (only !== undefined && only !== flavour) continue
          const sql = template.replaceAll(/\bDB\b/g, database)
          const given = params.map((param) => param.replaceAll(/\bDB\b/g, database))
          const literal = given.reduce((s, param) => s.replace('?', `'${param}'`), sql)
          const asked = { text: () => text(c, literal), executed: () => executed(c, sql, given) }
          const said = (error: { errno?: number }): string => `error ${error.errno}`
          const expected = { text: await text(one, literal).catch(said), executed: await executed(one, sql, given).catch(said) }
          for (const way of ['text', 'executed'] as const) {
            const answer = await asked[way]().catch((error: Error & { errno?: number }) =>
              error.message.includes('SW-GATE') ? error.message : said(error),
            )
            try {
              assert.deepEqual(answer, expected[way])
            } catch (error) {
              wrong.push(`${way}: ${sql}\n${(error as Error).message}`)
            }
          }
        }
        assert.deepEqual(wrong, [], wrong.join('\n\n'))
      })

    test('a database that is named is asked for from anywhere', async () => {
      for (const c of [await client(), await client('shop'), await client('wide')])
        for (const database of keyspaces) {
          const sql = `SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${database}' ORDER BY 2`
          assert.deepEqual(await text(c, sql), await text(one, sql), `${c.config.database} ${sql}`)
        }
      const nowhere = await client()
      assert.deepEqual((await text(nowhere, 'SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES')).rows, [['information_schema']])
      assert.equal(await count(nowhere, 'SELECT COUNT(*) FROM information_schema.SCHEMATA'), keyspaces.length + 2)
    })

    test('where its columns are from is asked for only where they come, once', async () => {
      const c = await client('renamed')
      const prepared = async (): Promise<number> =>
        Number((await world.admin.allText("SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'"))[0]?.['Value'])
      const select = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'renamed' AND TABLE_NAME = 'none'"
      for (const [sql, asks] of [
        [select, flavour === 'mariadb' ? 1 : 0],
        [`EXPLAIN ${select}`, 0],
        [`INSERT INTO elders (id, code) SELECT 900, q.* FROM (${select}) q`, 0],
        [`UPDATE elders SET code = 'a' WHERE code IN (${select})`, 0],
        [`DELETE FROM elders WHERE code IN (${select})`, 0],
      ] as const) {
        const before = await prepared()
        await c.query(sql)
        assert.equal((await prepared()) - before, asks, sql)
      }
    })

    test('nothing of other schemas of the server is shown, nor of keyspaces that the user may not see', async () => {
      for (const [user, database] of [
        ['app', 'shop'],
        ['app', 'renamed'],
        ['guest', 'renamed'],
        ['app', 'wide'],
      ] as const) {
        const c = await client(database, user)
        const { rows } = await text(c, 'SELECT DISTINCT TABLE_SCHEMA FROM information_schema.COLUMNS ORDER BY 1')
        assert.deepEqual(rows.flat().sort(), ['information_schema', database].sort())
      }
      const guest = await client('renamed', 'guest')
      assert.deepEqual((await text(guest, 'SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY 1')).rows.flat(), [
        'information_schema',
        'renamed',
      ])
      for (const schema of ['shop', 'hidden', 'app_phys', 'wide_80'])
        assert.equal(await count(guest, `SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${schema}'`), 0, schema)
    })

    test('no form of a question shows what the user may not see', async () => {
      const guest = await client('renamed', 'guest')
      for (const sql of [
        'SELECT TABLE_SCHEMA FROM information_schema.TABLES AS of_server',
        'SELECT TABLE_SCHEMA FROM information_schema.TABLES t JOIN (SELECT 1 AS of_server) x',
        'TABLE information_schema.SCHEMATA',
        'SET @n = (SELECT MAX(TABLE_SCHEMA) FROM information_schema.TABLES)',
      ]) {
        await assert.rejects(guest.query(sql), /SW-GATE-(012|029)/, sql)
        if (!sql.startsWith('SET')) await assert.rejects(guest.execute(sql), /SW-GATE-(012|029)/, sql)
      }
    })

    test('of several keyspaces one is asked at a time', async () => {
      const c = await client('shop')
      await assert.rejects(
        c.query("SELECT * FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('shop', 'renamed')"),
        /SW-GATE-012.*shop and renamed/s,
      )
      await assert.rejects(
        c.query("SELECT * FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() OR TABLE_SCHEMA = 'wide'"),
        /SW-GATE-012/,
      )
      const sql = 'SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?'
      assert.deepEqual((await executed(c, sql, ['shop', 'shop'])).rows, [[1]])
      assert.deepEqual((await executed(c, sql, ['nowhere', 'renamed'])).rows, [[0]])
      await assert.rejects(c.execute(sql, ['renamed', 'elders']), /SW-GATE-012.*USE renamed/s)
      const own = 'SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?'
      assert.deepEqual((await executed(c, own, ['children'])).rows, [[1]])
      // It is of the database in which it was prepared, as on a server.
      await one.query('USE shop')
      const name = 'SELECT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?'
      for (const each of [c, one]) {
        assert.deepEqual((await executed(each, name, ['children'])).rows, [['shop']])
        await each.query('USE renamed')
        assert.deepEqual((await executed(each, name, ['children'])).rows, [['shop']])
      }
    })

    test('beside tables of its own, and where rows are written', async () => {
      for (const database of ['shop', 'renamed']) {
        const c = await client(database)
        await c.query(
          `INSERT INTO elders (id, code) SELECT 1, TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'elders'`,
        )
        const { rows } = await text(
          c,
          `SELECT e.code FROM ${database}.elders e JOIN information_schema.SCHEMATA s ON s.SCHEMA_NAME = e.code`,
        )
        assert.deepEqual(rows, [[database]])
        // What the server calls the schema is told of no column, however it is asked.
        const own = 'SELECT e.code, s.SCHEMA_NAME FROM elders e JOIN information_schema.SCHEMATA s ON s.SCHEMA_NAME = e.code'
        for (const [, fields] of [await c.query(own), await c.execute(own)])
          assert.deepEqual(
            fields.map(({ schema }) => schema),
            [database, 'information_schema'],
          )
        await c.query('DELETE FROM elders')
      }
    })

    test('a value that SET takes from it would be told by the names of schemas', async () => {
      const sql = (database: string): string =>
        `SET @n = (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '${database}' AND TABLE_NAME = 'elders')`
      const c = await client('shop')
      await c.query(sql('shop'))
      assert.equal(await count(c, 'SELECT @n'), 1)
      for (const database of ['renamed', 'wide']) await assert.rejects((await client(database)).query(sql(database)), /SW-GATE-012/)
    })

    test('a setting whose name begins so is none of its questions (mysqldump sets it)', { skip: flavour !== 'mysql' }, async () => {
      for (const database of ['renamed', 'wide']) {
        const guest = await client(database, database === 'renamed' ? 'guest' : 'app')
        await guest.query('/*!80000 SET SESSION information_schema_stats_expiry=0 */')
        assert.equal(await count(guest, 'SELECT @@information_schema_stats_expiry'), 0)
      }
    })
  })
}
