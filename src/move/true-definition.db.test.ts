/** Letters of four bytes in a table's definition, which no server tells: the target has them, or the table is refused. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { readSchema } from '../mysql/introspect.ts'
import { createTargetTables } from './schema-copy.ts'
import { untoldExpressions } from './true-definition.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let server: TestServer
    let [source, target] = [] as unknown as [Connection, Connection]

    before(async () => {
      server = await testServer({ flavour })
      source = await connect(server.config)
      target = await connect(server.config)
      for (const schema of ['s', 't']) await source.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
    })
    after(async () => {
      await source?.close()
      await target?.close()
      await server?.[Symbol.asyncDispose]()
    })

    const make = (table: string, to = target, schema = 't'): Promise<string[]> =>
      createTargetTables({
        source: { conn: source, schema: 's' },
        target: { conn: to, schema, uid: 'u', name: '-' },
        workflowUid: 'w',
        tables: [table],
        deferSecondaryKeys: false,
      })

    test('promise 3: members and defaults are those of the source', async () => {
      await source.query(`CREATE TABLE s.m (id INT PRIMARY KEY,
        e ENUM('😀', 'x?', '?', 'it''s 😀, ?', '漢') NOT NULL DEFAULT '?' COMMENT 'of ENUM(''?'') DEFAULT ''?'' 😀',
        f ENUM('?', '😀') DEFAULT '😀', \`s ENUM(?)\` SET('a?', '𠜎', 'c') DEFAULT '𠜎,c',
        d VARCHAR(10) DEFAULT '😀?' NOT NULL, q VARCHAR(10) NOT NULL DEFAULT '?', n TEXT, u VARCHAR(9) CHARACTER SET utf16 DEFAULT '?😀',
        KEY (e), FULLTEXT KEY (n)) COMMENT '?'`)
      assert.deepEqual(await make('m'), ['m'])
      for (const schema of ['s', 't']) {
        await source.query(`INSERT INTO ${schema}.m (id) VALUES (0)`)
        for (let i = 1; i <= 5; i++)
          await source.query(`INSERT INTO ${schema}.m (id, e, f, \`s ENUM(?)\`) VALUES (${i}, ${i}, ${1 + (i % 2)}, ${i})`)
      }
      const rows = async (schema: string): Promise<unknown> =>
        await source.allText(
          `SELECT id, HEX(e) e, HEX(f) f, HEX(\`s ENUM(?)\`) s, HEX(d) d, HEX(q) q, HEX(u) u FROM ${schema}.m ORDER BY id`,
        )
      assert.deepEqual(await rows('t'), await rows('s'))
      assert.match(JSON.stringify(await rows('s')), /F09F9880/)
      assert.equal(await source.value("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE '\\_sw\\_letters%'"), '0')
    })

    test('promise 3: for several targets at once, too', async () => {
      await source.query("CREATE TABLE s.several (id INT PRIMARY KEY, e ENUM('a', '😀'))")
      const there = await Promise.all(Array.from({ length: 4 }, () => connect(server.config)))
      for (const i of there.keys()) await source.query(`CREATE DATABASE t${i} CHARACTER SET utf8mb4`)
      const made = await Promise.all(there.map((to, i) => make('several', to, `t${i}`)))
      assert.deepEqual(
        made.flat(),
        Array.from({ length: 4 }, () => 'several'),
      )
      await Promise.all(there.map((to) => to.close()))
    })

    test('promise 3: an expression is that of the source, or the table is refused, with a way out', async () => {
      const tables: [string, string][] = [
        ['g', "id INT PRIMARY KEY, g VARCHAR(20) AS (CONCAT(id, '😀'))"],
        ['c', "id INT PRIMARY KEY, c VARCHAR(20), CHECK (c <> '😀')"],
        ['x', "id INT PRIMARY KEY, c VARCHAR(20) DEFAULT (CONCAT('😀', 'x'))"],
      ]
      for (const [table, columns] of tables) {
        await source.query(`CREATE TABLE s.${table} (${columns}) CHARACTER SET utf8mb4`)
        if (flavour === 'mysql') {
          await assert.rejects(make(table), { code: 'SW-MOVE-043' })
          const findings = untoldExpressions(flavour, (await readSchema(source, 's')).tables)
          assert.deepEqual(
            findings.map(({ code, params }) => [code, params['table']]),
            [['SW-MOVE-043', table]],
          )
          await source.query(`DROP TABLE s.${table}`)
          await source.query(
            `CREATE TABLE s.${table} (${columns.replace("'😀'", "CONVERT(UNHEX('F09F9880') USING utf8mb4)")}) CHARACTER SET utf8mb4`,
          )
        }
        await make(table)
      }
      for (const schema of ['s', 't']) {
        await source.query(`INSERT INTO ${schema}.g (id) VALUES (1)`)
        assert.equal(await source.value(`SELECT HEX(g) FROM ${schema}.g`), '31F09F9880')
        await assert.rejects(source.query(`INSERT INTO ${schema}.c VALUES (1, '😀')`), /3819|4025/)
        await source.query(`INSERT INTO ${schema}.c VALUES (2, '????')`)
        await source.query(`INSERT INTO ${schema}.x (id) VALUES (1)`)
        assert.equal(await source.value(`SELECT HEX(c) FROM ${schema}.x`), 'F09F988078')
      }
    })

    if (flavour === 'mysql')
      test('promise 3: so it is where a client in another charset made it', async () => {
        const expressions = [
          "g VARCHAR(20) AS (CONCAT(id, 'X'))",
          "g VARCHAR(20) DEFAULT (CONCAT('X', 'x'))",
          "g VARCHAR(20), CHECK (g <> 'X?')",
        ]
        await using old = await connect(server.config)
        for (const [charset, letter] of [
          ['latin1', [0xe9]],
          ['cp1251', [0xe9]],
          ['sjis', [0x95, 0x5c]],
        ] as const) {
          await old.query(`SET NAMES ${charset}`)
          for (const [i, expression] of expressions.entries()) {
            const text = (x: string): string => `CREATE TABLE s.${charset}${i} (id INT PRIMARY KEY, ${expression.replace('X', x)})`
            await old.query(Buffer.from(text(String.fromCharCode(...letter)), 'latin1'))
            await assert.rejects(make(`${charset}${i}`), { code: 'SW-MOVE-043' })
            // The way out; a ? that is one passes.
            await source.query(`DROP TABLE s.${charset}${i}`)
            if (i === 1) await source.query(text('é'))
            else await old.query(text('?'))
            assert.deepEqual(await make(`${charset}${i}`), [`${charset}${i}`])
          }
        }
        await source.query('INSERT INTO t.latin11 (id) VALUES (1)')
        assert.equal(await source.value('SELECT g FROM t.latin11'), 'éx')
      })

    if (flavour === 'mariadb')
      test('promise 3: so is one with bytes for a default', async () => {
        for (const [table, made] of [
          ['bytes0', "VARBINARY(9) DEFAULT x'FFE9'"],
          ['bytes1', "VARBINARY(9) DEFAULT (x'FFE9')"],
        ] as const) {
          await source.query(`CREATE TABLE s.${table} (id INT PRIMARY KEY, b ${made})`)
          await assert.rejects(make(table), { code: 'SW-MOVE-043' })
          await source.query(`ALTER TABLE s.${table} MODIFY b VARBINARY(9) DEFAULT (UNHEX('FFE9')) COMMENT '\ufffd'`)
          assert.deepEqual(await make(table), [table])
          await source.query(`INSERT INTO t.${table} (id) VALUES (1)`)
          assert.equal(await source.value(`SELECT HEX(b) FROM t.${table}`), 'FFE9')
        }
      })

    test('a ? that is one costs nothing', async () => {
      await source.query("CREATE TABLE s.r (id INT PRIMARY KEY, g VARCHAR(20) AS (CONCAT(id, '?')), e ENUM('?'), CHECK (g REGEXP '^.+?$'))")
      assert.deepEqual(await make('r'), ['r'])
    })
  })
}
