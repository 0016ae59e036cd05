/** Servers whose own sql_mode reads names and literals otherwise than we write them: tables and views come out alike (PROTOCOLS 1.12). */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flavours } from '../../test/kit/servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const modes = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'

for (const flavour of flavours()) {
  test(`1.12 on ${flavour}: tables, their keys and views are made as they are on the source, whatever sql_mode servers have of their own`, async () => {
    await using source = await testServer({ flavour, durability: 'full' })
    await using target = await testServer({ flavour, durability: 'full' })
    await using root = await rootOf(source)
    await root.query("SET SESSION sql_mode = ''")
    await root.query('CREATE DATABASE app')
    // A default that a server refuses by its own settings, and names and texts that end early when they are misread.
    await root.query(
      `CREATE TABLE app.a (id INT NOT NULL PRIMARY KEY, \`x"\\y\` VARCHAR(20) DEFAULT 'a\\\\' COMMENT 'it''s \\\\ "x"', d DATE NOT NULL DEFAULT '0000-00-00', KEY \`k\\"\` (\`x"\\y\`) COMMENT '\\\\')`,
    )
    await root.query("CREATE VIEW app.v AS SELECT id, 'a\\\\' AS `y\\\"` FROM app.a")
    await using office = await Office.open(flavour)
    await root.query(`SET GLOBAL sql_mode = '${modes}', GLOBAL sql_quote_show_create = 0`)
    {
      await using there = await rootOf(target)
      await there.query(`SET GLOBAL sql_mode = '${modes}'`)
    }
    await office.keyspace('app', source, 'app', ['a'])
    const made = await office.create('app', 'w', { targetServers: [{ host: '127.0.0.1', port: target.port, user: 'root', password: '' }] })
    assert.equal(made.state, 'done', JSON.stringify(made.errors))
    const [shown] = await root.allText('SHOW CREATE TABLE app.a')
    const look = (text: string | null | undefined): string => (text ?? '').replace(/,\s*KEY .*/, '')
    const onTarget = (sql: string) => office.pool.run(`127.0.0.1:${target.port}`, ({ connection }) => connection.allText(sql))
    for (const schema of ['app_00_80', 'app_80_ff']) {
      const [copy] = await onTarget(`SHOW CREATE TABLE ${schema}.a`)
      assert.equal(look(copy?.['Create Table']), look(shown?.['Create Table']))
      assert.deepEqual(await onTarget(`SHOW FULL COLUMNS FROM ${schema}.v`), await root.allText('SHOW FULL COLUMNS FROM app.v'))
    }
    const clauses = await onTarget('SELECT DISTINCT clauses FROM _shardwright.move_key')
    assert.deepEqual(
      clauses.map((row) => JSON.parse(row['clauses'] ?? '') as string[]),
      [['KEY `k\\"` (`x"\\y`) COMMENT \'\\\\\'']],
    )
  })
}
