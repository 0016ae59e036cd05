/** A session's variables whose text is kept while its character set becomes another: as keys, as what is told, as what can't be kept. Beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

const shards = [
  { name: '-80', serverId: 's1', schema: 'shop_80' },
  { name: '80-', serverId: 's1', schema: 'shop_end' },
]
const vschema = {
  sharded: true,
  vindexes: { text: { type: 'xxhash' } },
  tables: { coded: { column_vindexes: [{ column: 'name', name: 'text' }] } },
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection
    let c: Connection

    const answer = async (on: Connection, sql: string): Promise<string[]> => {
      const result = await on.query(sql)
      return result.kind === 'rows'
        ? result.rows.map((row) => row.map((cell) => cell?.toString() ?? 'NULL').join(' '))
        : [`${result.affectedRows} ${result.info}`]
    }
    const alike = async (sql: string): Promise<void> => assert.deepEqual(await answer(c, sql), await answer(one, sql), sql)
    const code = (sql: string): Promise<string> => codeOf(c, sql)

    before(async () => {
      world = await gateOnServer({ keyspaces: {}, flavour })
      for (const schema of ['one', ...shards.map((shard) => shard.schema)]) {
        await world.admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        await world.admin.query(`CREATE TABLE ${schema}.coded (name CHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, n INT)`)
      }
      await addKeyspace(world.store, 'shop', shards, { sharded: true, vschema })
      c = await connect({ host: '127.0.0.1', port: world.port, user: 'app', password, database: 'shop' })
      one = await world.connect()
      await one.query('USE one')
    })
    after(async () => {
      await c?.close()
      await one?.close()
      await world?.stop()
    })

    test('promise 10: a text that was set before the character set became another is a shard key as before', async () => {
      for (const on of [one, c]) await on.query("SET @k = 'kept', @e = 'né'")
      let n = 100
      for (const names of ['utf8mb4', "'utf8mb4' COLLATE 'utf8mb4_unicode_ci'", 'latin1', 'utf8mb4 COLLATE utf8mb4_bin']) {
        for (const on of [one, c]) await on.query(`SET NAMES ${names}`)
        for (const key of ['@k', '@e']) {
          await alike(`INSERT INTO coded VALUES (${key}, ${n++})`)
          await alike(`SELECT n FROM coded WHERE name = ${key}`)
          await alike(`UPDATE coded SET n = n + 1, name = ${key} WHERE name = ${key}`)
          // Of one shard.
          const told = await answer(c, `VEXPLAIN SELECT n FROM coded WHERE name = ${key}`)
          assert.equal(told.join().includes('all 2'), false, `${names}: ${told.join()}`)
          await alike(`DELETE FROM coded WHERE name = ${key}`)
        }
      }
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query('SET @k = NULL, @e = NULL')
      }
    })

    test('SET NAMES is not refused for a variable that can not be kept; who uses it is told', async () => {
      for (const on of [one, c]) await on.query(`SET @doc = '${'x'.repeat(100_000)}', @\`a b\` = 'x', @\`a é\` = 'é'`)
      for (const set of ['NAMES utf8mb4', 'character_set_results = NULL', 'character_set_results = utf8mb4']) {
        for (const on of [one, c]) await on.query(`SET ${set}`)
        await alike("SELECT LENGTH(@doc), @`a b` = 'X'")
      }
      assert.equal(await code('SELECT @`a é`'), 'SW-GATE-100')
      await c.query('SET NAMES utf8mb4 COLLATE utf8mb4_bin')
      for (const name of ['@doc', '@`a b`']) {
        assert.equal(await code(`SELECT ${name}`), 'SW-GATE-100')
        assert.equal(await code(`SELECT COUNT(*) FROM coded WHERE name = ${name}`), 'SW-GATE-100')
        assert.equal(await code(`SET @x = ${name}`), 'SW-GATE-100')
        assert.equal(await code(`SET ${name} = 'again'`), 'done')
        assert.deepEqual(await answer(c, `SELECT ${name}`), ['again'])
      }
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query('SET @doc = NULL, @`a b` = NULL, @`a é` = NULL')
      }
    })

    test('promise 10: a variable is one text, though each look at the rows may find another', async () => {
      await c.query("INSERT INTO coded VALUES ('+01:00', -1), ('+02:00', -1), ('+03:00', -1)")
      for (let i = 0; i < 10; i++) {
        await c.query('SET @z = (SELECT name FROM coded WHERE n = -1 ORDER BY RAND() LIMIT 1)')
        await c.query('SET time_zone = @z')
        assert.deepEqual(await answer(c, 'SELECT @@time_zone = @z'), ['1'])
      }
      await c.query('SET time_zone = DEFAULT, @z = NULL')
      await c.query('DELETE FROM coded WHERE n = -1')
    })
  })
}
