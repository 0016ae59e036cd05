/** PROTOCOLS 1.12: what the other flavour cannot hold is refused by column in the plan, from which the dry run is made too, and by `check`, all of it at once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { Office, rootOf, testServer } from './testkit/office.ts'

const columns = {
  mysql: { ddl: 'j JSON NULL, w VECTOR(3) NULL' },
  mariadb: { ddl: 'j UUID NULL, w INET6 NULL' },
}

if (flavours().length === 2) {
  for (const [from, to] of [
    ['mysql', 'mariadb'],
    ['mariadb', 'mysql'],
  ] as const) {
    test(`1.12 from ${from} to ${to}: types that it lacks are refused by column before anything is made; those that came in since by \`check\``, async () => {
      await using source = await testServer({ flavour: from, durability: 'full' })
      await using target = await testServer({ flavour: to, durability: 'full' })
      await using office = await Office.open(from)
      {
        await using root = await rootOf(source)
        await root.query('CREATE DATABASE app')
        for (const name of ['a', 'b'])
          await root.query(
            `CREATE TABLE app.${name} (id INT NOT NULL PRIMARY KEY, ${columns[from].ddl}) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci`,
          )
        await using other = await rootOf(target)
        await other.query("CREATE USER boss@'%' IDENTIFIED BY 'secret'")
        await other.query("GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION")
      }
      await office.keyspace('app', source, 'app', ['a', 'b'])
      const targetServers = [{ host: '127.0.0.1', port: target.port, user: 'boss', password: 'secret' }]
      const made = await office.create('app', 'w', { targetServers })
      assert.equal(made.state, 'failed')
      assert.equal(made.errors.length, 4, JSON.stringify(made.errors))
      for (const error of made.errors) assert.equal(error.code, 'SW-MOVE-032')
      const told = made.errors.map(({ what }) => what).join('\n')
      for (const [table, column] of [
        ['a', 'j'],
        ['a', 'w'],
        ['b', 'j'],
        ['b', 'w'],
      ])
        assert.match(told, new RegExp(`\\b${column}\\b.*\\b${table}\\b|\\b${table}\\b.*\\b${column}\\b`))
      await using root = await rootOf(target)
      assert.equal(
        await root.value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'app%' OR SCHEMA_NAME = '_shardwright'"),
        '0',
      )

      // Both have all that there is now; afterwards one table has not.
      {
        await using serving = await rootOf(source)
        for (const name of ['a', 'b']) await serving.query(`ALTER TABLE app.${name} DROP j, DROP w`)
      }
      const again = await office.create('app', 'w', { targetServers })
      assert.equal(again.state, 'done', JSON.stringify(again.errors))
      const inTheWay = async (): Promise<string[]> =>
        (await office.act('app', 'w', 'check')).errors.filter(({ code }) => code === 'SW-MOVE-032').map(({ what }) => what)
      assert.deepEqual(await inTheWay(), [])
      const { errors, text } = await office.act('app', 'w', 'check')
      const refused = errors.filter(({ code }) => code === 'SW-SWITCH-055')
      assert.deepEqual(refused, [], 'defaults that the flavours have differently of their own accord')
      assert.ok(text.some((line) => line.startsWith('sessions have another group_concat_max_len by default')))
      {
        await using serving = await rootOf(source)
        await serving.query(`ALTER TABLE app.b ADD ${columns[from].ddl.replace(', ', ', ADD ')}`)
      }
      const found = await inTheWay()
      assert.equal(found.length, 2, JSON.stringify(found))
      for (const column of ['j', 'w'])
        assert.ok(found.some((text) => text.startsWith(`b.${column} has the type`) && text.endsWith(`${to} lacks`)))
    })
  }
}
