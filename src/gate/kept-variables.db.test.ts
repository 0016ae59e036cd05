/** A session's variables whose text is kept while its character set becomes another: as keys, as what is told, as what can't be kept. Beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, codeOf, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

const shards = [
  { name: '-80', serverId: 's1', schema: 'shop_80' },
  { name: '80-', serverId: 's1', schema: 'shop_end' },
]
const vschema = {
  sharded: true,
  vindexes: { text: { type: 'xxhash' }, hash: { type: 'hash' } },
  tables: {
    coded: { column_vindexes: [{ column: 'name', name: 'text' }] },
    named: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    latin: { column_vindexes: [{ column: 'name', name: 'text' }] },
    bytes: { column_vindexes: [{ column: 'name', name: 'text' }] },
    large: { column_vindexes: [{ column: 'id', name: 'hash' }] },
  },
}

const names = "INSERT INTO named VALUES (1, 'Ann', 'Müller'), (2, 'ann', 'Muller'), (3, 'x', 'Myller'), (4, 'ANN', NULL)"

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({ keyspaces: {}, flavour })
      for (const schema of ['one', ...shards.map((shard) => shard.schema)]) {
        await world.admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        await world.admin.query(`CREATE TABLE ${schema}.coded (name CHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, n INT)`)
        await world.admin.query(
          `CREATE TABLE ${schema}.named (id INT PRIMARY KEY, g VARCHAR(20) COLLATE utf8mb4_general_ci, l VARCHAR(20) COLLATE latin1_swedish_ci)`,
        )
        await world.admin.query(`CREATE TABLE ${schema}.latin (name VARCHAR(20) COLLATE latin1_bin PRIMARY KEY)`)
        await world.admin.query(`CREATE TABLE ${schema}.large (id BIGINT UNSIGNED PRIMARY KEY, n BIGINT UNSIGNED)`)
        await world.admin.query(`CREATE TABLE ${schema}.bytes (name VARBINARY(20) PRIMARY KEY)`)
      }
      await addKeyspace(world.store, 'shop', shards, { sharded: true, vschema })
      beside = await besideOne(world)
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    test('promise 10: a text that was set before the character set became another is a shard key as before', async () => {
      const { one, c, answer, alike } = beside
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

    test('promise 10: beside a text column a binary variable is compared bytewise', async () => {
      const { one, c, alike } = beside
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query(names)
        await on.query("INSERT INTO bytes VALUES ('ann'), ('Muller')")
        await on.query("SET @b = (SELECT name FROM bytes WHERE name = 'ann'), @m = (SELECT name FROM bytes WHERE name = 'Muller')")
      }
      for (const where of [
        'g = @b',
        'g <> @b',
        'g IN (@b, @m)',
        'g LIKE @b',
        'l = @m',
        'CONCAT(g, @b) = "ANNann"',
        'g > @b',
        'BINARY g = @b',
      ])
        await alike(`SELECT id, g FROM named WHERE ${where} ORDER BY id`)
      for (const sql of [
        'SELECT HEX(@b), LENGTH(@b), COLLATION(@b), CONCAT(@b, g) FROM named ORDER BY id',
        'SELECT name FROM bytes WHERE name = @b',
        'SELECT @b UNION SELECT g FROM named ORDER BY 1',
        'SELECT COALESCE(NULL, @b) = g, id FROM named ORDER BY id',
        'UPDATE named SET l = @b WHERE g = @b',
        'SELECT id, l FROM named ORDER BY id',
        'DELETE FROM named WHERE g = @b',
        'DELETE FROM named',
        'DELETE FROM bytes',
      ])
        await alike(sql)
      for (const on of [one, c]) await on.query('SET @b = NULL, @m = NULL')
    })

    test('promise 10: a variable of an unsigned integer above the signed ones is what the server takes it for', async () => {
      const { one, c, answer, alike } = beside
      const numbers = ['18446744073709551615', '9223372036854775808', '9223372036854775807']
      for (const number of numbers) await alike(`INSERT INTO large VALUES (${number}, ${number})`)
      for (const number of numbers) {
        for (const set of [`@v = ${number}`, `@v = (SELECT MAX(n) FROM large WHERE id = ${number})`]) {
          for (const on of [one, c]) await on.query(`SET ${set}`)
          await alike('SELECT @v')
          const forms = ['@v', '@v + 0e0', '@v + 0', '@v * 1.5', "CONCAT(@v, '')", '@v = n', '@v < n', 'IF(n > 5, @v, 1)']
          for (const form of forms) await alike(`SELECT ${form} FROM large ORDER BY id`)
          await alike('SELECT n FROM large WHERE id = @v')
          await alike('SELECT id FROM large WHERE n >= @v ORDER BY id')
          await alike('SELECT SUM(@v + 0e0), MAX(@v) FROM large')
          await alike(`UPDATE large SET n = @v WHERE id = @v`)
          await alike('DELETE FROM large WHERE id = @v')
          await alike('INSERT INTO large VALUES (@v, @v), (1, 1) ON DUPLICATE KEY UPDATE n = n')
          await alike('SELECT id, n FROM large ORDER BY id')
          // Of one shard.
          const told = await answer(c, 'VEXPLAIN SELECT n FROM large WHERE id = @v')
          assert.equal(told.join().includes('all 2'), false, told.join())
        }
      }
    })

    test('promise 10: what is computed of a variable that is a DECIMAL has the digits that servers give it', async () => {
      const { one, c, alike, code } = beside
      await alike('DELETE FROM large')
      await alike('INSERT INTO large VALUES (1, 21), (2, 22), (3, 24), (4, 25)')
      for (const on of [one, c]) {
        await on.query('SET @d = 1.50, @k = 3.0')
        // Of a variable: as many digits as it has, not as many as servers tell.
        await on.query(
          'SET @sum = @d + 1, @minus = -@d, @case = CASE WHEN 1 THEN @d ELSE 1.23456 END, @more = (SELECT MAX(n) FROM large WHERE n > @d)',
        )
        await on.query('SET @most = (SELECT ROUND(MAX(n) * @d, 3) FROM large)')
      }
      for (const sql of [
        'SELECT @d, @d * 2, @d / 7',
        'SELECT id, @d * n, CONCAT(@d + n), LENGTH(@d * n) FROM large ORDER BY id',
        'SELECT SUM(n * @d), AVG(n * @d), MAX(n * @d) FROM large',
        'SELECT SUM(n) * @d, COUNT(DISTINCT n), @d * 3 FROM large',
        'SELECT id FROM large WHERE n > @d * 15 ORDER BY n * @d DESC',
        'SELECT @sum, @minus, @case, @more, @most',
        'SELECT id FROM large WHERE id = @k',
        'SELECT id FROM large WHERE id = @d',
        'UPDATE large SET n = n * @d WHERE id < @k',
        'DELETE FROM large WHERE id = @k',
        'INSERT INTO large VALUES (@k, @d)',
        'SELECT id, n FROM large ORDER BY id',
        "INSERT INTO named VALUES (1, LENGTH(@d * 2), LENGTH(@d / 3)), (2, @d, @k), (3, LEFT(@d / 7, 20), '')",
        'SELECT * FROM named ORDER BY id',
        'DELETE FROM named',
        'DELETE FROM large',
      ])
        await alike(sql)
      assert.equal(await code('SET @x = (SELECT MAX(n) * @d FROM large)'), 'SW-GATE-100')
    })

    test("promise 10: a text variable of the connection's collation is as strong as a column's, where a literal gives way", async () => {
      const { one, c, answer } = beside
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query(names)
        await on.query("INSERT INTO latin VALUES ('Müller'), ('Muller'), ('Myller'), ('x')")
      }
      const told = async (on: typeof c, sql: string): Promise<string> => {
        const code = await codeOf(on, sql)
        return code === 'done' ? (await answer(on, sql)).join(', ') : code
      }
      for (const names of ['utf8mb4 COLLATE utf8mb4_general_ci', 'utf8mb4 COLLATE utf8mb4_bin', 'utf8mb4 COLLATE utf8mb4_unicode_ci']) {
        for (const on of [one, c]) {
          await on.query(`SET NAMES ${names}`)
          await on.query("SET @g = 'ann', @l = 'Muller'")
        }
        for (const sql of [
          'SELECT id FROM named WHERE g = @g ORDER BY id',
          'SELECT id FROM named WHERE l = @l ORDER BY id',
          "SELECT id FROM named WHERE l IN (@l, 'x') ORDER BY id",
          'SELECT COUNT(*) FROM named WHERE id = 1 AND l = @l',
          'SELECT l, @l FROM named WHERE l > @l ORDER BY id',
          'SELECT COUNT(*) FROM latin WHERE name = @l',
          "SELECT name FROM latin WHERE name IN (@l, 'x') ORDER BY name",
        ])
          assert.equal(await told(c, sql), await told(one, sql), `${names}: ${sql}`)
      }
      for (const on of [one, c]) await on.query('SET NAMES utf8mb4')
    })

    test('promise 10: a binary key is the bytes that come to the row, or refused', async () => {
      const { one, c, answer, alike, code } = beside
      const key = "'né'"
      for (const on of [one, c]) await on.query('SET NAMES latin1')
      await alike(`INSERT INTO bytes VALUES (${key})`)
      await alike(`SELECT HEX(name) FROM bytes WHERE name = ${key}`)
      for (const on of [one, c]) await on.query("SET NAMES utf8mb4, collation_connection = 'latin1_swedish_ci'")
      assert.equal(await code(`INSERT INTO bytes VALUES (${key})`), 'SW-GATE-122')
      await one.query(`INSERT INTO bytes VALUES (${key})`)
      await c.query("INSERT INTO bytes VALUES (X'6EE9')")
      assert.deepEqual(await answer(c, `SELECT HEX(name) FROM bytes WHERE name = ${key}`), ['6EE9'])
      await alike(`DELETE FROM bytes WHERE name = ${key}`)
      for (const on of [one, c]) await on.query('SET NAMES utf8mb4')
      await alike('SELECT COUNT(*) FROM bytes')
    })

    test('SET NAMES is not refused for a variable that can not be kept; who uses it is told', async () => {
      const { one, c, answer, alike, code } = beside
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
      // No statement asks for more than can be kept.
      const received = async (): Promise<number> =>
        Number((await answer(world.admin, "SHOW GLOBAL STATUS LIKE 'Bytes_received'"))[0]?.split(' ')[1])
      await c.query("SET @doc = REPEAT('x', 5000000), @short = 'x'")
      const before = await received()
      await c.query('SET NAMES latin1')
      assert.ok((await received()) - before < 1_000_000)
      assert.equal(await code('SELECT LENGTH(@doc)'), 'SW-GATE-100')
      assert.deepEqual(await answer(c, 'SELECT HEX(@short)'), ['78'])
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query('SET @doc = NULL, @short = NULL, @`a b` = NULL, @`a é` = NULL')
      }
    })

    test('promise 10: text of rows, however it is asked for', async () => {
      const { one, c, answer, alike } = beside
      for (const on of [one, c]) await on.query("INSERT INTO coded VALUES ('a', 1), ('b', 2), ('C', 3), ('dé', 4)")
      for (const expression of [
        "(SELECT GROUP_CONCAT(name ORDER BY n SEPARATOR '-') FROM coded)",
        "CONCAT((SELECT MAX(name) FROM coded), 'x', (SELECT MIN(name) FROM coded))",
        '(SELECT x.name FROM coded x JOIN coded y ON y.n = x.n + 1 ORDER BY x.n DESC LIMIT 1)',
        '(SELECT name FROM coded WHERE n = (SELECT MAX(n) FROM coded))',
        "(SELECT name FROM coded WHERE name = 'dé')",
        "CASE WHEN EXISTS (SELECT 1 FROM coded WHERE n = 9) THEN 'x' ELSE (SELECT LOWER(name) FROM coded WHERE n = 3) END",
        '(SELECT name FROM coded WHERE n = 1 UNION ALL SELECT name FROM coded WHERE n = 77)',
        '(SELECT MAX(name) OVER () FROM coded LIMIT 1)',
        '(WITH q AS (SELECT name FROM coded) SELECT MAX(name) FROM q)',
        '(SELECT name FROM (SELECT name, n FROM coded ORDER BY n LIMIT 2) q ORDER BY n DESC LIMIT 1)',
        'IFNULL((SELECT name FROM coded WHERE n = 77), @none)',
        "IFNULL((SELECT name FROM coded WHERE n = 77), 'none')",
        '(SELECT name COLLATE utf8mb4_general_ci FROM coded WHERE n = 1)',
        '(SELECT CONVERT(name USING latin1) FROM coded WHERE n = 4)',
      ]) {
        const codes = await Promise.all([one, c].map((on) => codeOf(on, `SET @a = ${expression}`)))
        assert.deepEqual(codes, ['done', 'done'], expression)
        await alike("SELECT @a, HEX(@a), IF(@a IS NULL, '', COLLATION(@a)), @a = 'A'")
      }
      const [collated] = await answer(c, 'SELECT @@collation_connection')
      await c.query(`SET @a = (SELECT REPEAT(name, 100000) COLLATE ${collated} FROM coded WHERE n = 4)`)
      assert.deepEqual(await answer(c, 'SELECT LENGTH(@a)'), ['300000'])
      // Of one shard also where rows of several are not put together.
      for (const on of [one, c]) {
        await on.query('SET NAMES latin1')
        await on.query("SET @a = (SELECT UPPER(name) FROM coded WHERE name = 'a')")
      }
      await alike('SELECT @a, HEX(@a), COLLATION(@a)')
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query('DELETE FROM coded')
      }
    })

    test('promise 10: a variable is one text, though each look at the rows may find another', async () => {
      const { c, answer } = beside
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
