/** What a session sets by rows of a sharded keyspace, and what an INSERT gives as values of other rows or leaves to the server: beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'
import { keys } from '../topology/keys.ts'
import { put } from '../topology/typed.ts'
import { addKeyspace } from './testkit/world.ts'

const shards = [
  { name: '-80', serverId: 's1', schema: 'shop_80' },
  { name: '80-', serverId: 's1', schema: 'shop_end' },
]
const tables = {
  t: '(id BIGINT PRIMARY KEY, a INT, p DECIMAL(8,2))',
  u: '(id BIGINT PRIMARY KEY, a INT, p DECIMAL(8,2) NOT NULL DEFAULT 5)',
  s: '(id BIGINT NOT NULL AUTO_INCREMENT, k INT NOT NULL, v VARCHAR(20), PRIMARY KEY (id, k))',
  n: '(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, v VARCHAR(20))',
  keyed: '(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))',
  r: '(id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, v VARCHAR(20))',
  w: '(id BIGINT PRIMARY KEY, f FLOAT, b BIT(6), s VARCHAR(20), v VARCHAR(20) COLLATE utf8mb4_bin, l VARCHAR(20) CHARACTER SET latin1, d DATE, y YEAR, x VARBINARY(8), g DOUBLE)',
  c: '(code INT PRIMARY KEY, v VARCHAR(20))',
  named: '(id BIGINT PRIMARY KEY, größe INT)',
  byname: '(name VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, n INT)',
  own: '(code INT PRIMARY KEY, v VARCHAR(60) DEFAULT (UUID()), n INT)',
}
const vschema = {
  sharded: true,
  vindexes: { hash: { type: 'hash' }, text: { type: 'xxhash' } },
  tables: {
    t: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    u: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    s: { column_vindexes: [{ column: 'k', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.s_seq' } },
    n: { column_vindexes: [{ column: 'k', name: 'hash' }] },
    keyed: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    r: { type: 'reference' },
    c: { type: 'reference' },
    own: { type: 'reference' },
    named: { column_vindexes: [{ column: 'id', name: 'hash' }] },
    byname: { column_vindexes: [{ column: 'name', name: 'text' }] },
    w: { column_vindexes: [{ column: 'id', name: 'hash' }] },
  },
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({ keyspaces: { ids: 'ids' }, flavour })
      for (const schema of ['one', ...shards.map((shard) => shard.schema)]) {
        await world.admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        for (const [name, definition] of Object.entries(tables)) await world.admin.query(`CREATE TABLE ${schema}.${name} ${definition}`)
      }
      await world.admin.query('CREATE TABLE ids.s_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)')
      await world.admin.query('INSERT INTO ids.s_seq VALUES (0, 1000, 10)')
      await addKeyspace(world.store, 'shop', shards, { sharded: true, vschema })
      beside = await besideOne(world)
      const { one, c } = beside
      for (const on of [one, c]) {
        await on.query(`INSERT INTO t VALUES ${Array.from({ length: 20 }, (_, i) => `(${i + 1}, ${i % 3}, ${i}.25)`).join()}`)
        await on.query("INSERT INTO c VALUES (1, 'one'), (2, 'two')")
      }
      // What is put together at one place goes through tables of the gate's own.
      if (flavour === 'mysql') await world.admin.query('SET GLOBAL sql_require_primary_key = ON')
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    test('promise 10: a variable is set to what all rows say, in a transaction to what it sees', async () => {
      const { one, c, alike, code } = beside
      for (const expression of [
        '(SELECT COUNT(*) FROM t)',
        '(SELECT MAX(p) FROM t)',
        '(SELECT p FROM t WHERE id = 7)',
        '(SELECT SUM(x.p) FROM t x JOIN t y ON y.a = x.a AND y.id > x.id)',
        '(SELECT v FROM c WHERE code = 2)',
        '(SELECT p FROM t WHERE id = 700)',
        'EXISTS (SELECT 1 FROM t WHERE id = 3)',
      ]) {
        for (const on of [one, c]) await on.query(`SET @a = ${expression}, @b = 1`)
        await alike('SELECT @a, @b')
      }
      for (const on of [one, c]) {
        await on.query('SET sql_select_limit = 0')
        await on.query('SET @a = (SELECT COUNT(*) FROM t)')
        await on.query('SET sql_select_limit = DEFAULT')
        await on.query('BEGIN')
        await on.query('DELETE FROM t WHERE id < 11')
        await on.query('SET @b = (SELECT COUNT(*) FROM t)')
        await on.query('ROLLBACK')
      }
      await alike('SELECT @a, @b')
      // More digits than are shown.
      for (const expression of [
        '1 / 3',
        '(2 / 3) * 3',
        'ROUND((SELECT AVG(p) FROM t) / 7, 2)',
        '(SELECT ROUND(AVG(a), 3) FROM t)',
        '(SELECT AVG(a) > 0.9 FROM t)',
      ]) {
        for (const on of [one, c]) await on.query(`SET @a = ${expression}`)
        await alike('SELECT @a')
      }
      assert.equal(await code('SET @a = (SELECT AVG(a) FROM t)'), 'SW-GATE-100')
      assert.equal(await code('SET @a = (SELECT id FROM t)'), '1242')
      assert.equal(await code('SET @a = (SELECT nothing FROM t)'), '1054')
      await alike('SELECT @a')
    })

    test('promise 10: a variable has the type, the digits and the collation that a server gives it, or is refused', async () => {
      const { one, c, alike } = beside
      for (const on of [one, c])
        await on.query(
          "INSERT INTO w VALUES (1, 0.1, b'101', 'ab', 'ab', 'ab', '2024-05-01', 2024, x'00ff', 0.1), (2, 1234567, b'0', 'é', 'é', 'é', '2024-05-02', 2023, x'61', 1e20)",
        )
      for (const column of ['f', 'b', 's', 'd', 'y', 'x', 'g', 'MAX(f)', 'MIN(b) + 1', 'COALESCE(f, g)']) {
        const limit = column.includes('M') ? '' : ' WHERE id = 1'
        for (const on of [one, c]) await on.query(`SET @a = (SELECT ${column} FROM w${limit})`)
        await alike('SELECT @a')
        await alike("SELECT @a + 0, CONCAT(@a, ''), @a = 'AB', @a > 4, HEX(@a)")
      }
      const texts = ['(SELECT v FROM w WHERE id = 1)', '(SELECT MAX(l) FROM w)', "_latin1 x'e9' COLLATE latin1_bin", "N'ab'"]
      for (const text of texts) {
        for (const on of [one, c]) await on.query(`SET @a = ${text}`)
        await alike('SELECT @a')
        await alike("SELECT COLLATION(@a), COERCIBILITY(@a), HEX(@a), @a = 'AB', CONCAT(@a, 'x') = 'ABX', LENGTH(@a)")
        // By a key too, whose shard is not known by it then.
        for (const condition of ['s = @a', 'l = @a', 'v = @a', "@a LIKE 'A%'", 'id = LENGTH(@a)', 'id = @a'])
          await alike(`SELECT COUNT(*), MAX(s) FROM w WHERE ${condition}`)
        await alike('SELECT COUNT(*) FROM w x JOIN w y ON x.b = y.b WHERE x.s = @a')
        for (const on of [one, c]) await on.query('SET @b = @a, @a = NULL')
        await alike("SELECT @a, HEX(@b), @b = 'AB'")
      }
      for (const number of ['(SELECT MIN(g) FROM w) + 1.4', '-1.75e0', '2e0', '1e20']) {
        for (const on of [one, c]) await on.query(`SET @a = ${number}`)
        await alike("SELECT @a, @a + 0, CONCAT(@a, ''), HEX(@a > 1), @a > 1")
        for (const condition of ['id = @a', 'y = @a', 'f < @a', 'g = @a - 1.4', 'id IN (@a, 7)', 'id <= @a', '-id = @a'])
          await alike(`SELECT COUNT(*), MAX(id) FROM w WHERE ${condition}`)
        await alike('SELECT HEX(@a)')
        await alike('SELECT x.id FROM w x JOIN w y ON x.id + 0 = y.id + 0 WHERE y.id = @a ORDER BY @a, 1')
      }
      for (const on of [one, c])
        await on.query("SET @a = (SELECT CONCAT(v) = 'AB' FROM w WHERE id = 1), @b = (SELECT s FROM w WHERE id = 2)")
      await alike('SELECT @a, @b, HEX(@b)')
      for (const on of [one, c]) {
        await on.query('SET character_set_results = latin1')
        await on.query('SET @b = (SELECT s FROM w WHERE id = 2)')
      }
      await alike('SELECT HEX(@b), @b, @b = (SELECT s FROM w WHERE id = 2)')
      for (const on of [one, c]) await on.query('SET NAMES utf8mb4')
      await alike('SELECT HEX(@b), @b, COLLATION(@b)')
    })

    test('promise 10: a variable stays what it was when the character set of its session becomes another', async () => {
      const { one, c, answer, alike } = beside
      for (const on of [one, c]) await on.query("SET @a = 'é', @n = 5, @o = @@character_set_client")
      for (const [set, check] of [
        ['NAMES latin1', 'HEX(@a), COLLATION(@a)'],
        ["@b = 'x', NAMES utf8mb4 COLLATE utf8mb4_bin", "HEX(@a), @b = 'X', @b, @a"],
        ['collation_connection = utf8mb4_general_ci', "@b = 'X', @n, COLLATION(@b)"],
        ['character_set_client = @o', "@b = 'X', @n, COLLATION(@b)"],
      ] as const) {
        for (const on of [one, c]) await on.query(`SET ${set}`)
        await alike(`SELECT ${check}`)
        await alike('SELECT COUNT(*) FROM w WHERE s = @a OR s = @b')
      }
      // What was wrong set nothing.
      for (const on of [one, c]) await assert.rejects(on.query("SET @b = 0.5e0, sql_mode = 'nonsense'"))
      await alike('SELECT @b, @b + 1')
      for (const on of [one, c]) {
        await on.query('SET NAMES utf8mb4')
        await on.query('SET @a = NULL, @b = NULL')
      }
      await alike('SELECT @a, @b')
      // Nobody else finds it on the connections that they share.
      await c.query('SET @a = 0.5e0')
      await c.query('SELECT COUNT(*) FROM w WHERE g > @a')
      await using other = await world.session('shop')
      assert.deepEqual(await answer(other, 'SELECT @a, COUNT(*) FROM w WHERE g > @a'), ['NULL 0'])
      await c.query('SET @a = NULL')
    })

    test('promise 10: SET CHARACTER SET gives the connection what the database has, and text is a key as before', async () => {
      const { one, c, answer, alike } = beside
      for (const on of [one, c]) await on.query('SET CHARACTER SET utf8mb4')
      for (const sql of [
        "INSERT INTO byname VALUES ('é', 1), ('ß', 2), ('z', 3)",
        "SELECT n FROM byname WHERE name = 'é'",
        "UPDATE byname SET n = 5 WHERE name IN ('ß', 'z')",
        'SELECT @@collation_connection, @@character_set_client, @@character_set_connection',
        'SELECT * FROM byname ORDER BY n, name',
      ])
        await alike(sql)
      // It stays what it is, whichever keyspace is chosen next.
      await world.admin.query('ALTER DATABASE ids CHARACTER SET latin1')
      await c.query('USE ids')
      assert.match((await answer(c, 'SELECT @@collation_connection')).join(), /^utf8mb4_/)
      await c.query('SET CHARACTER SET utf8mb4')
      assert.match((await answer(c, 'SELECT @@collation_connection')).join(), /^latin1_/)
      await c.query('USE shop')
      await world.admin.query('ALTER DATABASE ids CHARACTER SET utf8mb4')
      await assert.rejects(c.query("INSERT INTO byname VALUES ('ü', 1)"), /SW-GATE-122/)
      for (const on of [one, c]) await on.query('SET NAMES utf8mb4')
    })

    test('an INSERT without a list of columns is taken in any character set of the client', async () => {
      const { one, c, alike } = beside
      for (const on of [one, c]) await on.query('SET NAMES latin1')
      await alike('INSERT INTO named VALUES (1, 5)')
      await alike('INSERT INTO named VALUES (2, 6), (3, 7), (4, 8)')
      for (const on of [one, c]) await on.query('SET NAMES utf8mb4')
      await alike('INSERT INTO named VALUES (5, 9)')
      await alike('SELECT * FROM named ORDER BY id')
    })

    test('promise 10: a variable is set by the rows of the keyspace that is named, or not at all', async () => {
      const { c, answer } = beside
      await world.admin.query('CREATE TABLE ids.t (id BIGINT PRIMARY KEY)')
      await world.admin.query('INSERT INTO ids.t VALUES (1), (2), (3)')
      // A database of the keyspace's name, left behind by whoever.
      await world.admin.query('CREATE DATABASE shop')
      await world.admin.query('CREATE TABLE shop.t (id BIGINT PRIMARY KEY)')
      await c.query('SET @a = (SELECT COUNT(*) FROM ids.t)')
      assert.deepEqual(await answer(c, 'SELECT @a'), ['3'])
      await using plain = await world.session('ids')
      await plain.query('SET @a = (SELECT COUNT(*) FROM ids.t)')
      assert.deepEqual(await answer(plain, 'SELECT @a'), ['3'])
      await assert.rejects(plain.query('SET @a = (SELECT COUNT(*) FROM shop.t)'), /SW-GATE-012/)
      await assert.rejects(plain.query('SET sql_select_limit = (SELECT COUNT(*) FROM shop.t)'), /SW-GATE-012/)
      await world.admin.query('DROP DATABASE shop')
    })

    test('promise 10: a subquery in the values of an INSERT sees the rows of all shards', async () => {
      const { alike, code } = beside
      for (const sql of [
        'INSERT INTO u (id, a, p) VALUES (1, (SELECT COUNT(*) FROM t), 2.5)',
        'INSERT INTO u (id, a) VALUES (2, (SELECT MAX(a) FROM t)), (3, 1 + (SELECT MIN(id) FROM t)), ((SELECT MAX(id) FROM t), 4)',
        'INSERT INTO u SET id = 50, a = (SELECT COUNT(*) FROM t WHERE a = 1)',
        'INSERT INTO u VALUES (51, 1, (SELECT SUM(p) FROM t))',
        'INSERT IGNORE INTO u (id, a) VALUES (1, (SELECT COUNT(*) FROM t))',
        'REPLACE INTO u (id, a) VALUES (2, (SELECT COUNT(*) FROM t))',
        'INSERT INTO u (id, a) VALUES (3, (SELECT COUNT(*) FROM t)) ON DUPLICATE KEY UPDATE a = VALUES(a) + 100',
        "INSERT INTO u (id, a) VALUES (60, (SELECT code FROM c WHERE v = 'two'))",
        'INSERT INTO c VALUES (3, (SELECT COUNT(*) FROM t))',
      ])
        await alike(sql)
      await alike('SELECT * FROM u ORDER BY id')
      await alike('SELECT * FROM c ORDER BY code')
      assert.equal(await code('INSERT INTO u (id, a) VALUES (70, 1) ON DUPLICATE KEY UPDATE a = (SELECT COUNT(*) FROM t)'), 'SW-GATE-100')
      assert.equal(await code('INSERT INTO u (id, a, p) VALUES (71, (SELECT COUNT(*) FROM t), DEFAULT)'), 'SW-GATE-100')
      await alike('SELECT * FROM u ORDER BY id')
    })

    test('promise 10: what would be left to the counters of the shards is refused, or drawn', async () => {
      const { one, c, answer, alike, code } = beside
      for (const sql of [
        "INSERT INTO n VALUES (NULL, 5, 'x')",
        "INSERT INTO n VALUES (0, 5, 'x')",
        'INSERT INTO n (id, k) VALUES (7, 5), (DEFAULT, 5)',
        'INSERT INTO n (k) VALUES (5)',
        'INSERT INTO n (id, k) VALUES (1 - 1, 5)',
        "REPLACE INTO n VALUES (0, 5, 'x')",
        "INSERT INTO keyed VALUES (0, 'x')",
        "INSERT INTO r VALUES (0, 'x')",
        'INSERT INTO r SELECT 0, v FROM c',
        "INSERT INTO n SELECT IF(id = 3, NULL, id), a, 'x' FROM t",
      ])
        assert.equal(await code(sql), 'SW-GATE-100', sql)
      for (const table of ['n', 'keyed', 'r']) assert.deepEqual(await answer(c, `SELECT COUNT(*) FROM ${table}`), ['0'], table)
      for (const on of [one, c]) {
        await on.query("INSERT INTO n VALUES (7, 5, 'x'), (8, 6, 'y')")
        await on.query("INSERT INTO n SELECT id + 100, a, 'x' FROM t WHERE id < 4")
        await on.query("SET sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
        await on.query("INSERT INTO n VALUES (0, 9, 'z')")
        await on.query('SET sql_mode = DEFAULT')
      }
      await alike('SELECT * FROM n ORDER BY id')
      // With a sequence: ids of rows that gave one stay, the others get one each.
      for (const on of [one, c]) {
        await on.query("INSERT INTO s SELECT IF(id = 2, NULL, IF(id = 3, 0, id)), 4, 'x' FROM t WHERE id < 5")
        await on.query("INSERT INTO s (k, v) SELECT 5, 'y' FROM t WHERE id < 3")
      }
      const counted = 'SELECT COUNT(*), COUNT(DISTINCT id), SUM(id IN (1, 4)), SUM(id = 0), v FROM s GROUP BY v ORDER BY v'
      await alike(counted)
    })

    test('RESET CONNECTION leaves what a new session has', async () => {
      const { one, c, alike } = beside
      const asked = [
        'SELECT @v',
        'SELECT @@sql_mode',
        'SELECT @@warning_count',
        'SELECT LAST_INSERT_ID(), @@identity',
        'SELECT @@autocommit, @@tx_isolation'.replace('tx_isolation', flavour === 'mysql' ? 'transaction_isolation' : 'tx_isolation'),
        'SHOW WARNINGS',
      ]
      for (const on of [one, c]) {
        await on.query("SET @v = 5, sql_mode = ''")
        await on.query('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE')
        await on.query('BEGIN')
        await on.query("UPDATE c SET v = 'uncommitted' WHERE code = 1")
        await on.query("INSERT IGNORE INTO c VALUES (1, 'x')")
        await on.reset()
      }
      await one.query('USE one')
      for (const sql of asked) await alike(sql)
      await alike('SELECT * FROM c ORDER BY code')
    })

    test('a unique value that stands on two shards: what needs the rows together says so', async () => {
      const { one, c } = beside
      for (const { schema } of shards) await one.query(`CREATE TABLE ${schema}.twice (id BIGINT PRIMARY KEY, mail VARCHAR(20) UNIQUE)`)
      const all = { ...vschema, tables: { ...vschema.tables, twice: vschema.tables.t } }
      await world.store.commit([], [put(keys.vschema('shop'), { v: 1 as const, vschema: all })])
      // The first on each shard.
      for (let id = 1; id < 9; id++) await c.query(`INSERT INTO twice VALUES (${id}, 'a@x')`).catch(() => undefined)
      await assert.rejects(
        c.query('SELECT COUNT(DISTINCT a.mail) FROM twice a JOIN twice b ON a.mail = b.mail'),
        /SW-GATE-100.*two shards have rows/s,
      )
    })

    test('promise 10: copies of a reference table stay the same', async () => {
      const { one, c, answer, alike, code } = beside
      for (const sql of [
        'INSERT INTO own (code) VALUES (1)',
        'INSERT INTO own VALUES (1, DEFAULT, 1)',
        'INSERT INTO own (code) SELECT code FROM c',
        'INSERT INTO own VALUES (1, SYSDATE(6), 1)',
        'INSERT INTO own VALUES (1, (SELECT v FROM c LIMIT 1), 1)',
        "UPDATE own SET v = 'x' ORDER BY n LIMIT 1",
        'DELETE FROM own ORDER BY n, v LIMIT 1',
      ])
        assert.equal(await code(sql), 'SW-GATE-100', sql)
      for (const on of [one, c]) await on.query("INSERT INTO own VALUES (1, 'a', 1), (2, 'b', 1), (3, NULL, 1)")
      for (const sql of [
        "UPDATE own SET v = 'exists' WHERE EXISTS (SELECT 1 FROM c WHERE c.code = own.code LIMIT 1)",
        'UPDATE own SET n = (SELECT MAX(code) FROM c LIMIT 1) WHERE code = 3',
        "INSERT INTO own (code, v) SELECT * FROM (SELECT 7, 'seven') x WHERE NOT EXISTS (SELECT 1 FROM own WHERE code = 7) LIMIT 1",
        "INSERT INTO own (code, v) SELECT * FROM (SELECT 7, 'seven') x WHERE NOT EXISTS (SELECT 1 FROM own WHERE code = 7) LIMIT 1",
        "UPDATE own SET v = 'x' ORDER BY n, code DESC LIMIT 1",
        'INSERT INTO own SELECT code + 10, v, 2 FROM c ORDER BY code LIMIT 1',
        'DELETE FROM own ORDER BY code LIMIT 1',
      ])
        await alike(sql)
      await alike('SELECT * FROM own ORDER BY code')
      const copies = shards.map(({ schema }) => answer(one, `SELECT * FROM ${schema}.own ORDER BY code`))
      assert.deepEqual(await copies[0], await copies[1])
    })

    test('a statement that is simply wrong makes no plan of others forgotten', async () => {
      const { c, code } = beside
      await c.query('SELECT a FROM t WHERE id = 1')
      const before = world.gate.core.catalog.generation
      for (let i = 0; i < 3; i++)
        for (const sql of [
          'SELECT nope FROM t WHERE id = 1',
          'SELECT nope FROM t',
          'INSERT INTO t VALUES (1)',
          'INSERT INTO t (nope) VALUES (1)',
        ])
          assert.notEqual(await code(sql), 'done', sql)
      assert.equal(world.gate.core.catalog.generation, before)
    })

    test('what no plan knows of makes no plan new: TRUNCATE, temporary tables, triggers', async () => {
      const { c } = beside
      await using plain = await world.session('ids')
      await plain.query('CREATE TABLE own (id INT PRIMARY KEY)')
      await c.query('SELECT a FROM t WHERE id = 1')
      const { catalog } = world.gate.core
      const version = (): number => [...world.gate.core.watch.view.keyspaces.values()].reduce((sum, one) => sum + one.ddlVersion, 0)
      const before = [catalog.generation, version()]
      await plain.query('TRUNCATE TABLE own')
      await plain.query('CREATE TEMPORARY TABLE passing (id INT PRIMARY KEY)')
      await plain.query('CREATE TRIGGER tr BEFORE INSERT ON own FOR EACH ROW SET NEW.id = NEW.id + 1')
      await c.query('TRUNCATE TABLE twice')
      await c.query('SELECT a FROM t WHERE id = 1')
      assert.deepEqual([catalog.generation, version()], before)
      await plain.query('ALTER TABLE own ADD n INT')
      assert.notDeepEqual([catalog.generation, version()], before)
    })

    test('promise 10: a table is not filled by each shard from its own rows', async () => {
      const { one, answer, code } = beside
      assert.equal(await code('CREATE TABLE made AS SELECT * FROM t'), 'SW-GATE-100')
      assert.equal(await code('CREATE TABLE made (PRIMARY KEY (id)) SELECT id FROM t'), 'SW-GATE-100')
      assert.equal(await code('CREATE TABLE made AS VALUES (1), (2)'), 'SW-GATE-100')
      for (const shard of shards) assert.deepEqual(await answer(one, `SHOW TABLES FROM ${shard.schema} LIKE 'made'`), [])
      assert.equal(await code('CREATE TABLE made LIKE t'), 'done')
    })
  })
}
