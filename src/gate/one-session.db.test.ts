// long: one server for all cases
/**
 * Promise 10 where connections are shared: what a session does shows in that session, whichever connections its statements ran on, and in no other; names mean
 * what they mean to one server. Each case is one that a reader of the code found to be otherwise.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { printDouble } from './aggregate.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace, addServer } from './testkit/world.ts'

const table = '(id BIGINT PRIMARY KEY, name VARCHAR(50), n INT)'
/** As the gate's own statements connect: they share a pool with such clients. */
const plainly = { flags: ['-FOUND_ROWS'] }

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let proxy: FaultProxy
    const open: mysql.Connection[] = []

    before(async () => {
      world = await gateOnServer({
        flavour,
        // `renamed` stands on a schema of another name.
        keyspaces: { shop: 'shop', users: 'users', renamed: 'app_phys', wide: { t: 'by id', fresh: 'by id', exact: 'by id' } },
        tables: [
          ...['t', 'fresh', 'users', 'log', 'events'].map((name) => `${name} ${table}`),
          'exact (id BIGINT PRIMARY KEY, g INT, f FLOAT, b BINARY(2), ts TIMESTAMP NOT NULL)',
        ],
      })
      const { admin } = world
      proxy = await FaultProxy.start({ host: '127.0.0.1', port: world.serverPort })
      await addServer(world.store, 's2', proxy.port, flavour)
      await addKeyspace(world.store, 'through', [{ name: '-', serverId: 's2', schema: 'users' }])
      for (const schema of ['shop', 'users']) {
        await admin.query(`INSERT INTO ${schema}.t VALUES (1, '${schema}', 1), (2, 'b', 2), (3, 'c', 3)`)
        await admin.query(`INSERT INTO ${schema}.users VALUES (1, 'of ${schema}', 1)`)
        await admin.query(`INSERT INTO ${schema}.events VALUES (1, 'of ${schema}', 1)`)
      }
      const routine = (text: string): Promise<unknown> => admin.query(text)
      await routine('CREATE PROCEDURE shop.leaves_variable() SET @left = 7')
      await routine('CREATE PROCEDURE shop.leaves_setting() SET SESSION group_concat_max_len = 77')
      await routine("CREATE PROCEDURE shop.leaves_lock() DO GET_LOCK('left', 0)")
      await routine("CREATE PROCEDURE shop.leaves_open() BEGIN START TRANSACTION; INSERT INTO log VALUES (1, 'open', 1); END")
      await routine(
        "CREATE FUNCTION shop.writes(i INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (i, 'f', 1); RETURN i; END",
      )
      await routine('CREATE FUNCTION shop.keeps(i INT) RETURNS INT DETERMINISTIC NO SQL BEGIN SET @by_function = i; RETURN i; END')
      await routine(
        "CREATE PROCEDURE shop.writes_twice() SQL SECURITY INVOKER BEGIN INSERT INTO log VALUES (1, 'first', 1); DO GET_LOCK('hold', 20); INSERT INTO log VALUES (2, 'second', 1); END",
      )
      await routine('CREATE TABLE shop.counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT)')
      await routine(
        'CREATE PROCEDURE shop.inserts() BEGIN INSERT INTO counted (v) VALUES (2); SELECT SQL_CALC_FOUND_ROWS id FROM counted LIMIT 1; END',
      )
      await routine('CREATE TRIGGER shop.marks BEFORE INSERT ON shop.events FOR EACH ROW SET @by_trigger = NEW.id')
    })
    after(async () => {
      await Promise.all(open.map((c) => c.end().catch(() => {})))
      await world?.stop()
      await proxy?.[Symbol.asyncDispose]()
    })

    async function client(database?: string, options: mysql.ConnectionOptions = {}): Promise<mysql.Connection> {
      const c = await world.client('app', database, options)
      open.push(c)
      return c
    }
    const rows = async (c: mysql.Connection, sql: string): Promise<Record<string, unknown>[]> =>
      (await c.query(sql))[0] as Record<string, unknown>[]
    const value = async (c: mysql.Connection, sql: string): Promise<unknown> => Object.values((await rows(c, sql))[0] ?? {})[0]
    const direct = async (sql: string): Promise<Record<string, string | null>[]> => await world.admin.allText(sql)
    const count = async (of: string): Promise<number> => Number((await direct(`SELECT COUNT(*) AS n FROM ${of}`))[0]?.['n'])

    test("the gate's own reads are not made under what a session has set", async () => {
      const c = await client('wide', plainly)
      await c.query('SET sql_select_limit = 1')
      // Leaves a connection with that setting in each shard's pool.
      await c.query('SELECT 1')
      const other = await client('wide', plainly)
      await other.query("INSERT INTO fresh VALUES (1, 'x', 5)")
      assert.deepEqual(await rows(other, 'SELECT * FROM fresh WHERE id = 1'), [{ id: 1, name: 'x', n: 5 }])
      // Moves the row: columns that were not read would be lost.
      await other.query('UPDATE fresh SET id = 2 WHERE id = 1')
      assert.deepEqual(await rows(other, 'SELECT * FROM fresh'), [{ id: 2, name: 'x', n: 5 }])
    })

    test('a sql_select_limit that no server takes is refused, and not what comes after it', async () => {
      for (const keyspace of ['wide', 'shop']) {
        const c = await client(keyspace)
        for (const value of ["'x'", '1.5', 'NULL'])
          await assert.rejects(c.query(`SET sql_select_limit = ${value}`), (error: { errno?: number }) => error.errno === 1232)
        assert.equal((await rows(c, 'SELECT 1 AS one UNION ALL SELECT 2')).length, 2)
      }
    })

    test('sql_select_limit counts for a whole SELECT', async () => {
      const c = await client('wide')
      await c.query('DELETE FROM t')
      await c.query(`INSERT INTO t VALUES ${Array.from({ length: 12 }, (_, i) => `(${i}, 'x${i}', ${i % 4})`).join(', ')}`)
      await c.query('SET sql_select_limit = 2')
      assert.equal((await rows(c, 'SELECT id FROM t ORDER BY id')).length, 2)
      assert.equal((await rows(c, 'SELECT id FROM t')).length, 2)
      assert.equal((await rows(c, 'SELECT id FROM t ORDER BY id LIMIT 5')).length, 5)
      assert.deepEqual(await rows(c, 'SELECT n, COUNT(*) AS c FROM t GROUP BY n ORDER BY n DESC'), [
        { n: 3, c: 3 },
        { n: 2, c: 3 },
      ])
      assert.deepEqual(await rows(c, 'SELECT SUM(id) AS s FROM t'), [{ s: '66' }])
      assert.deepEqual(await rows(c, 'SELECT a.id FROM t a JOIN t b ON a.id = b.n ORDER BY a.id'), [{ id: 0 }, { id: 0 }])
      const [changed] = await c.query<mysql.ResultSetHeader>('UPDATE t SET name = CONCAT(name, 1)')
      assert.equal(changed.affectedRows, 12)
      await c.query('BEGIN')
      assert.equal((await rows(c, 'SELECT id FROM t ORDER BY id')).length, 2)
      assert.equal(Number(await value(c, 'SELECT COUNT(*) FROM (SELECT n FROM t GROUP BY n) x')), 4)
      await c.query('COMMIT')
      await c.query('SET sql_select_limit = DEFAULT')
      assert.equal((await rows(c, 'SELECT id FROM t')).length, 12)
    })

    test('a table or alias that is called like a keyspace is a table or alias', async () => {
      const c = await client('shop')
      await c.query("UPDATE users SET users.name = 'changed' WHERE users.id = 1")
      assert.deepEqual(await direct('SELECT name FROM shop.users UNION ALL SELECT name FROM users.users'), [
        { name: 'changed' },
        { name: 'of users' },
      ])
      assert.equal(await value(c, 'SELECT users.name FROM t AS users WHERE users.id = 1'), 'shop')
      assert.equal(await value(c, 'SELECT users.users.name FROM users.users'), 'of users')
      assert.deepEqual(await rows(c, 'SELECT name FROM users.t WHERE id = 1'), [{ name: 'users' }])
      await assert.rejects(c.query('INSERT INTO users.log SELECT * FROM events'), { message: /SW-GATE-012.*keyspaces users and shop/s })
      await assert.rejects(c.query('SELECT * FROM users.t JOIN t ON users.t.id = t.id'), /SW-GATE-012/)
      assert.equal(await count('users.log'), 0)
    })

    test('SHOW TABLES takes conditions and parameters, on schemas of other names too', async () => {
      for (const keyspace of ['shop', 'renamed', 'wide']) {
        const c = await client(keyspace)
        const all = await rows(c, 'SHOW FULL TABLES')
        assert.deepEqual((await c.execute('SHOW FULL TABLES WHERE Table_type = ?', ['BASE TABLE']))[0], all)
        assert.deepEqual((await c.execute('SHOW FULL TABLES WHERE Table_type = ?', ['VIEW']))[0], [])
        const column = `Tables_in_${keyspace}`
        for (const named of [column, `\`${column.toUpperCase()}\``]) {
          assert.deepEqual(await rows(c, `SHOW TABLES WHERE ${named} LIKE 't'`), [{ [column]: 't' }])
          assert.deepEqual((await c.execute(`SHOW TABLES WHERE ${named} = ?`, ['t']))[0], [{ [column]: 't' }])
        }
        assert.deepEqual(await rows(c, `SHOW TABLES WHERE '${column}' = 't'`), [])
      }
    })

    test('prepared statements go where their names say', async () => {
      const c = await client('shop')
      assert.deepEqual((await c.execute('SELECT name FROM users.t WHERE id = ?', [1]))[0], [{ name: 'users' }])
      assert.deepEqual((await c.execute('SELECT users.id FROM t AS users WHERE users.id = ?', [2]))[0], [{ id: 2 }])
      await c.execute('INSERT INTO renamed.t VALUES (?, ?, ?)', [1, 'r', 1])
      assert.deepEqual((await c.execute('SELECT t.name FROM renamed.t WHERE renamed.t.id = ?', [1]))[0], [{ name: 'r' }])
      assert.equal(await count('app_phys.t'), 1)
      await assert.rejects(c.execute('INSERT INTO users.log SELECT * FROM events WHERE id = ?', [1]), /SW-GATE-012/)
    })

    test('what a routine leaves stays with its session', async () => {
      const [c, other] = [await client('shop'), await client('shop')]
      await c.query('CALL leaves_variable()')
      assert.equal(await value(other, 'SELECT @left'), null)
      assert.equal(await value(c, 'SELECT @left'), 7)
      await c.query('CALL leaves_setting()')
      assert.notEqual(await value(other, 'SELECT @@group_concat_max_len'), 77)
      assert.equal(await value(c, 'SELECT @@group_concat_max_len'), 77)
      await c.query('CALL leaves_lock()')
      assert.equal(await value(other, "SELECT IS_FREE_LOCK('left')"), 0)
      await c.end()
      const again = await client('shop')
      for (let i = 0; Number(await value(again, "SELECT IS_FREE_LOCK('left')")) !== 1; i++)
        assert.ok(i < 200, 'the lock goes with its session')
      const d = await client('shop')
      assert.equal(await value(d, 'SELECT keeps(3)'), 3)
      assert.equal(await value(other, 'SELECT @by_function'), null)
      assert.equal(await value(d, 'SELECT @by_function'), 3)
      await d.query("INSERT INTO events VALUES (50, 't', 1)")
      assert.equal(await value(other, 'SELECT @by_trigger'), null)
    })

    test('UNLOCK TABLES unlocks where tables are locked, and needs no keyspace', async () => {
      const c = await client()
      await c.query('UNLOCK TABLES')
      await c.query('LOCK TABLES shop.counted WRITE')
      await c.query('UNLOCK TABLES')
      const other = await client('shop')
      await other.query('SELECT COUNT(*) FROM counted')
      await c.query('USE users')
      await c.query('SET @v = 1')
      await c.query('UNLOCK TABLES')
    })

    test('GET DIAGNOSTICS tells of the statement before, or is refused', async () => {
      const c = await client('shop')
      await c.query('BEGIN')
      await c.query('UPDATE counted SET v = v + 1 WHERE id < 0')
      await c.query('GET DIAGNOSTICS @n = ROW_COUNT')
      assert.equal(Number(await value(c, 'SELECT @n')), 0)
      await c.query('ROLLBACK')
      const other = await client('shop')
      await other.query('UPDATE counted SET v = v + 1 WHERE id < 0')
      await assert.rejects(other.query('GET DIAGNOSTICS @n = ROW_COUNT'), /SW-GATE-012.*GET DIAGNOSTICS/s)
    })

    test('ids and found rows after a routine are those of its statements', async () => {
      const c = await client('shop')
      await c.query('INSERT INTO counted (v) VALUES (1)')
      await c.query('CALL inserts()')
      assert.equal(await value(c, 'SELECT LAST_INSERT_ID()'), 2)
      assert.equal(await value(c, 'SELECT LAST_INSERT_ID() + 1'), 3)
      await c.query('CALL inserts()')
      assert.equal(await value(c, 'SELECT FOUND_ROWS()'), 3)
      await c.query('SET last_insert_id = 77')
      assert.equal(await value(c, 'SELECT LAST_INSERT_ID()'), 77)
      await c.query('INSERT INTO counted (v) VALUES (1)')
      assert.equal(await value(c, 'SELECT LAST_INSERT_ID()'), 4)
    })

    test('a transaction that a routine leaves open is the session’s', async () => {
      const c = await client('shop')
      await c.query('DELETE FROM log')
      await c.query('CALL leaves_open()')
      assert.equal(await count('shop.log'), 0)
      await c.query('COMMIT')
      assert.equal(await count('shop.log'), 1)
      await c.query('DELETE FROM log')
      await c.query('CALL leaves_open()')
      await c.query('ROLLBACK')
      assert.equal(await count('shop.log'), 0)
    })

    test('statements that commit nothing do not commit', async () => {
      const c = await client('shop')
      await c.query('DELETE FROM log')
      await c.query("PREPARE s FROM 'SELECT 1'")
      await c.query('BEGIN')
      await c.query("INSERT INTO log VALUES (1, 'x', 1)")
      await c.query('DROP PREPARE s')
      if (flavour === 'mariadb') await c.query('ANALYZE SELECT * FROM log')
      await c.query('ROLLBACK')
      assert.equal(await count('shop.log'), 0)
    })

    test('savepoints are those of the transaction, over keyspaces', async () => {
      const c = await client('shop')
      await c.query('DELETE FROM log')
      await c.query('BEGIN')
      await c.query("INSERT INTO log VALUES (1, 'kept', 1)")
      await c.query('SAVEPOINT `s p`')
      await c.query("INSERT INTO users.log VALUES (1, 'undone', 1)")
      await c.query("INSERT INTO log VALUES (2, 'undone', 1)")
      await c.query('ROLLBACK TO `S P`')
      await assert.rejects(c.query('ROLLBACK TO SAVEPOINT none'), { errno: 1305 })
      await c.query('COMMIT')
      assert.deepEqual([await count('shop.log'), await count('users.log')], [1, 0])
      await assert.rejects(c.query('RELEASE SAVEPOINT s'), { errno: 1305 })
      await c.query('SAVEPOINT outside')
    })

    test('SET of values that are expressions', async () => {
      const c = await client('shop')
      await c.query('SET @old = @@autocommit, @off = 0, @one = 1')
      await c.query('SET autocommit = @off')
      assert.equal(await value(c, 'SELECT @@autocommit'), 0)
      await c.query('SET autocommit = @old')
      assert.equal(await value(c, 'SELECT @@autocommit'), 1)
      await c.query('SET autocommit = @@global.autocommit')
      assert.equal(await value(c, 'SELECT @@autocommit'), 1)
      await assert.rejects(c.query('SET autocommit = 2'), { errno: 1231 })
      await c.query(
        'SET SESSION transaction_read_only = @one'.replace(
          'transaction_read_only',
          flavour === 'mysql' ? 'transaction_read_only' : 'tx_read_only',
        ),
      )
      await assert.rejects(c.query("INSERT INTO log VALUES (70, 'x', 1)"), { errno: 1792 })
    })

    test('SET of what would change the meaning of COMMIT is refused', async () => {
      const c = await client('shop')
      await assert.rejects(c.query("SET completion_type = 'CHAIN'"), /SW-GATE-012/)
      await c.query('SET completion_type = DEFAULT')
      await assert.rejects(c.query('SET sql_auto_is_null = 1'), /SW-GATE-012/)
    })

    test('SET over several shards: what it can not keep is refused, whatever stands beside it', async () => {
      const c = await client('wide')
      await assert.rejects(c.query('SET @a = 1, insert_id = 100'), { message: /SW-GATE-012.*SET insert_id/s })
      assert.equal(await value(c, 'SELECT @a'), null)
      await assert.rejects(c.query('SET @a = 1, GLOBAL wait_timeout = 100'), /SW-GATE-012/)
    })

    test('SET timestamp: every shard, what columns take by themselves and what the gate answers have the time of the session, and no other session has it', async () => {
      const c = await client('wide')
      await c.query("SET time_zone = '+00:00', timestamp = 1000000000.25")
      const now = '2001-09-09 01:46:40.250'
      assert.equal(await value(c, 'SELECT CAST(NOW(3) AS CHAR)'), now)
      await c.query("INSERT INTO t VALUES (9001, 'x', 1), (9002, 'x', 1), (9003, 'x', 1), (9004, 'x', 1)")
      assert.equal(await value(c, 'SELECT CAST(MIN(NOW(3)) AS CHAR) FROM t WHERE id > 9000'), now)
      assert.equal(await value(c, `SELECT COUNT(*) FROM t WHERE id > 9000 AND NOW(3) = '${now}'`), 4)
      await c.query('INSERT INTO exact (id, g, ts) VALUES (9001, 1, NOW()), (9002, 1, NOW()), (9003, 1, NOW()), (9004, 1, NOW())')
      assert.equal(await value(c, "SELECT COUNT(*) FROM exact WHERE ts = '2001-09-09 01:46:40'"), 4)
      const other = await client('wide')
      assert.equal(await value(other, "SELECT COUNT(*) FROM t WHERE id > 9000 AND NOW() > '2020-01-01'"), 4)
      // 0 is the servers' clocks, as DEFAULT is: and still one instant of all shards.
      await c.query('SET timestamp = 0')
      const told = await rows(c, 'SELECT CAST(NOW(6) AS CHAR) AS now FROM t WHERE id > 9000')
      assert.deepEqual([told.length, new Set(told.map(({ now }) => now)).size], [4, 1])
      assert.equal(await value(c, "SELECT COUNT(*) FROM t WHERE id > 9000 AND NOW() > '2020-01-01'"), 4)
      await c.query('DELETE FROM t WHERE id > 9000')
      await c.query('DELETE FROM exact WHERE id > 9000')
    })

    test('SET TRANSACTION is for the next transaction, on each of its shards, and for nobody else', async () => {
      const c = await client('wide')
      await c.query('SET TRANSACTION READ ONLY')
      await c.query('BEGIN')
      for (const id of [1, 2, 3, 4]) await assert.rejects(c.query(`INSERT INTO t VALUES (10${id}, 'x', 1)`), { errno: 1792 })
      await assert.rejects(c.query('SET TRANSACTION READ WRITE'), { errno: 1568 })
      await c.query('ROLLBACK')
      await c.query("INSERT INTO t VALUES (105, 'x', 1)")
      // A statement by itself is the next transaction.
      await c.query('SET TRANSACTION READ ONLY')
      await c.query('SELECT COUNT(*) FROM t')
      await c.query('BEGIN')
      await c.query("INSERT INTO t VALUES (106, 'x', 1)")
      await c.query('COMMIT')
      const [d, other] = [await client('shop'), await client('shop')]
      await d.query('SET TRANSACTION READ ONLY')
      await d.query('SELECT 1')
      await d.end()
      await other.query("INSERT INTO log VALUES (71, 'x', 1)")
    })

    test('a session with another isolation level leaves the server’s own behind it', async () => {
      await world.admin.query('SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED')
      try {
        const name = flavour === 'mysql' ? 'transaction_isolation' : 'tx_isolation'
        const c = await client('users')
        await c.query('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE')
        assert.equal(await value(c, `SELECT @@${name}`), 'SERIALIZABLE')
        const other = await client('users')
        assert.equal(await value(other, `SELECT @@${name}`), 'READ-COMMITTED')
        await c.query(`SET SESSION ${name} = DEFAULT`)
        assert.equal(await value(c, `SELECT @@${name}`), 'READ-COMMITTED')
      } finally {
        await world.admin.query('SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      }
    })

    test('WITH CONSISTENT SNAPSHOT sees what stood when it began', async () => {
      for (const keyspace of ['shop', 'wide']) {
        const [c, other] = [await client(keyspace), await client(keyspace)]
        const before = await value(other, 'SELECT COUNT(*) FROM t')
        await c.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
        await other.query("INSERT INTO t VALUES (200, 'x', 1), (201, 'x', 1), (202, 'x', 1), (203, 'x', 1)")
        assert.equal(await value(c, 'SELECT COUNT(*) FROM t'), before, keyspace)
        await c.query('COMMIT')
        assert.equal(await value(c, 'SELECT COUNT(*) FROM t'), Number(before) + 4)
        await other.query('DELETE FROM t WHERE id >= 200')
      }
    })

    test('what the session knows, within larger SELECTs', async () => {
      const c = await client('renamed')
      assert.deepEqual(await rows(c, 'SELECT CONNECTION_ID() id, 1'), [{ id: c.threadId, 1: 1 }])
      assert.deepEqual(await rows(c, 'SELECT DATABASE(), 1'), [{ 'DATABASE()': 'renamed', 1: 1 }])
      await c.query('DELETE FROM t')
      await c.query("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)")
      await (await client('renamed')).query("INSERT INTO log VALUES (1, 'a', 1)")
      assert.deepEqual(await rows(c, 'SELECT ROW_COUNT() + 0'), [{ 'ROW_COUNT() + 0': 2 }])
      assert.deepEqual(
        await rows(c, "SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 't'"),
        [{ n: 1 }],
      )
      assert.equal(
        Number(await value(c, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'renamed' AND table_name = 't'")),
        1,
      )
      await c.query('SELECT LAST_INSERT_ID(42)')
      assert.equal(await value(c, 'SELECT LAST_INSERT_ID()'), 42)
    })

    test('warnings are those of the session’s own statement', async () => {
      const [c, other] = [await client('shop'), await client('shop')]
      await other.query("SELECT CAST('5x' AS SIGNED)")
      await other.end()
      await c.query('SELECT 1')
      assert.deepEqual(await rows(c, 'SHOW WARNINGS'), [])
      assert.deepEqual(Object.values((await rows(c, 'SHOW COUNT(*) WARNINGS'))[0] ?? {}), [0])
      assert.equal(await value(c, 'SELECT @@warning_count'), 0)
      await c.query("SELECT CAST('5x' AS SIGNED)")
      assert.equal(await value(c, 'SELECT @@warning_count'), 1)
      await c.query("SELECT CAST('5x' AS SIGNED)")
      assert.equal((await rows(c, 'SHOW WARNINGS')).length, 1)
      await assert.rejects(c.execute('SELECT FOUND_ROWS()'), /SW-GATE-012/)
    })

    test('user variables are of one keyspace, named locks of all', async () => {
      const c = await client('shop')
      await c.query('SET @a = 1')
      await c.query('USE users')
      await assert.rejects(c.query('SELECT @a'), { message: /SW-GATE-012.*user variable in keyspace users/s })
      await c.query('USE shop')
      assert.equal(await value(c, 'SELECT @a'), 1)
      const [d, e, f] = [await client('shop'), await client('users'), await client('wide')]
      assert.equal(await value(d, "SELECT GET_LOCK('one', 0)"), 1)
      assert.equal(await value(e, "SELECT GET_LOCK('one', 0)"), 0)
      assert.equal(await value(f, "SELECT GET_LOCK('one', 0)"), 0)
      assert.deepEqual((await f.execute('SELECT GET_LOCK(?, 0) AS l', ['one']))[0], [{ l: 0 }])
      assert.equal(await value(d, "SELECT RELEASE_LOCK('one')"), 1)
      assert.equal(await value(f, "SELECT GET_LOCK('one', 0)"), 1)
    })

    test('character sets and collations follow one another as on a server', async () => {
      const c = await client('shop')
      await c.query("SET collation_connection = 'utf8mb4_bin'")
      assert.equal(await value(c, "SELECT 'a' = 'A'"), 0)
      await c.query("SET character_set_connection = 'utf8mb4'")
      // Who holds the connection that has followed makes it another one, which is brought to all of it at once.
      const holds = await client('shop')
      await holds.query('BEGIN')
      await holds.query('SELECT id FROM t')
      assert.equal(await value(c, "SELECT 'a' = 'A'"), 1)
      await holds.query('COMMIT')
      await c.query("SET collation_connection = 'utf8mb4_bin'")
      await c.query('SET CHARACTER SET utf8mb4')
      assert.equal(await value(c, "SELECT 'a' = 'A'"), 1)
      await c.query('SET sql_mode = 4')
      assert.equal(await value(c, 'SELECT "id" FROM t WHERE "id" = 1'), 1)
    })

    test('what was prepared under other quotes is not executed by those who have the usual ones', async () => {
      const c = await client('wide', plainly)
      await c.query("SET sql_mode = 'ANSI_QUOTES'")
      assert.deepEqual((await c.execute('SELECT "n" AS v FROM t WHERE id = ?', [1]))[0], [{ v: 1 }])
      // The lookups' and other statements of the gate's own bring the connection to other settings.
      const other = await client('wide', plainly)
      await other.query("INSERT INTO log VALUES (1, 'x', 1)").catch(() => {})
      assert.deepEqual((await other.execute('SELECT "n" AS v FROM t WHERE id = ?', [1]))[0], [{ v: 'n' }])
    })

    test('a prepared statement is not read otherwise than it was prepared', async () => {
      for (const database of ['wide', 'shop']) {
        const c = await client(database)
        const statements = ['SELECT "n" AS v', "SELECT 'a\\\\b' AS v", "SELECT CHAR_LENGTH('é') AS v", "SELECT 'plain' AS v"]
        const values = ['n', 'a\\b', 1, 'plain']
        const prepared = await Promise.all(statements.map(async (sql) => await c.prepare(`${sql} FROM t WHERE id = ?`)))
        const answers = async (): Promise<unknown[]> => {
          const said: unknown[] = []
          for (const statement of prepared)
            said.push(
              await statement.execute([1]).then(
                ([found]) => (found as { v: unknown }[])[0]?.v,
                (error: Error) => /SW-GATE-\d+/.exec(error.message)?.[0],
              ),
            )
          return said
        }
        assert.deepEqual(await answers(), values)
        await c.query("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')")
        assert.deepEqual(await answers(), ['SW-GATE-012', 'SW-GATE-012', 1, 'plain'])
        await c.query("SET sql_mode = 'STRICT_TRANS_TABLES', NAMES latin1")
        assert.deepEqual(await answers(), ['n', 'a\\b', 'SW-GATE-012', 'plain'])
        await c.query('SET NAMES utf8mb4')
        assert.deepEqual(await answers(), values)
      }
    })

    test('SELECTs that the gate answers itself', async () => {
      const c = await client('wide')
      assert.deepEqual(await rows(c, 'SELECT DATABASE(), 5'), [{ 'DATABASE()': 'wide', 5: 5 }])
      assert.deepEqual(await rows(c, 'SELECT DATABASE(), 7'), [{ 'DATABASE()': 'wide', 7: 7 }])
      assert.deepEqual(await rows(c, 'SELECT DATABASE() LIMIT 1 OFFSET 1'), [])
    })

    test('a plan of information_schema is one of its own literal', async () => {
      const c = await client('wide')
      const tablesOf = async (schema: string): Promise<number> =>
        Number(await value(c, `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '${schema}' AND table_name = 't'`))
      assert.deepEqual([await tablesOf('nowhere'), await tablesOf('wide'), await tablesOf('nowhere')], [0, 1, 0])
      const [asked] = await c.execute("SELECT COUNT(*) AS n FROM information_schema.tables WHERE table_schema = ? AND table_name = 't'", [
        'wide',
      ])
      assert.deepEqual(asked, [{ n: 1 }])
    })

    test('what HAVING compares, and what || means', async () => {
      const c = await client('wide')
      for (const text of ["'1e1'", "'5x'", '0x05'])
        await assert.rejects(c.query(`SELECT n, COUNT(*) c FROM t GROUP BY n HAVING c > ${text}`), /SW-GATE-100/)
      await c.query(`SELECT n, COUNT(*) c FROM t GROUP BY n HAVING c > '1'`)
      await c.query("SET sql_mode = 'PIPES_AS_CONCAT'")
      assert.deepEqual(await rows(c, "SELECT n, COUNT(*) c FROM t GROUP BY n HAVING c || 'x' = '0x'"), [])
    })

    test('doubles are printed as the server prints them', async () => {
      for (const v of [
        0,
        1e-7,
        1.2345e-7 / 3,
        1e-15,
        1e-16,
        1e14,
        1e15,
        1e16,
        123456789012345.6,
        1234567890123456,
        1e20,
        -2.5e-10,
        0.1 + 0.2,
        1e300,
        123.456,
      ]) {
        const text = (await direct(`SELECT ${v.toExponential()} AS v`))[0]?.['v']
        assert.equal(printDouble(v), text)
      }
    })

    test('aggregates of what has lost digits as text, or has no text of its own', async () => {
      const [c, one] = [await client('wide'), await client('shop')]
      const values = [1, 2, 3, 4, 5, 6, 7, 8].map(
        (id) => `(${id}, ${id % 3}, 1.00000${id % 4}, 0x0${id}0${9 - id}, '2024-10-27 0${id}:30:00')`,
      )
      for (const each of [c, one]) await each.query(`INSERT INTO exact VALUES ${values.join(', ')}`)
      for (const sql of [
        'SELECT BIT_OR(b), BIT_AND(b), BIT_XOR(b), BIT_XOR(id) FROM exact',
        'SELECT g, MAX(f) AS m FROM exact GROUP BY g ORDER BY MAX(f), g',
        'SELECT g, MIN(f) FROM exact GROUP BY g ORDER BY MIN(f) DESC, g DESC',
        'SELECT MIN(f), MAX(f), MIN(ts), MAX(ts) FROM exact',
        'SELECT ts, COUNT(*) FROM exact GROUP BY ts ORDER BY ts DESC',
        'SELECT DISTINCT ts FROM exact ORDER BY ts',
        'SELECT id FROM exact ORDER BY ts DESC LIMIT 3',
        'SELECT SUM(f * 1e-8), SUM(id * 1e15), SUM(f * 1e14) FROM exact',
      ])
        assert.deepEqual(await rows(c, sql), await rows(one, sql), sql)
    })

    test('instants of the hour that comes twice are two, in order', async () => {
      const sorted = (of: unknown[]): string[] => of.map((row) => JSON.stringify(row)).sort()
      const utc = (time: string): string => `UNIX_TIMESTAMP('2024-10-27 ${time}')`
      const { admin } = world
      await admin.query("SET time_zone = '+00:00'")
      // A zone whose clocks are put back by an hour at 01:00 UTC.
      await admin.query("INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (901, 'N')")
      await admin.query("INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('Test/Autumn', 901)")
      await admin.query("INSERT INTO mysql.time_zone_transition_type VALUES (901, 0, 7200, 1, 'S'), (901, 1, 3600, 0, 'W')")
      await admin.query(`INSERT INTO mysql.time_zone_transition VALUES (901, 0, 0), (901, ${utc('01:00:00')}, 1)`)
      const c = await client('wide')
      await c.query('DELETE FROM exact')
      await c.query("SET time_zone = '+00:00'")
      const minutes = [59, 1, 31, 29, 45, 15]
      await c.query(
        `INSERT INTO exact VALUES ${minutes.map((m, i) => `(${i}, 1, 1, 'x', '2024-10-27 0${i % 2}:${m}:00'), (${i + 10}, 1, 1, 'x', '2024-10-27 0${(i + 1) % 2}:${m}:00')`).join(', ')}`,
      )
      const one = await client('shop')
      await one.query("SET time_zone = 'Test/Autumn'")
      await one.query('DELETE FROM exact')
      await world.admin.query('INSERT INTO shop.exact SELECT * FROM wide_80.exact UNION ALL SELECT * FROM wide_end.exact')
      const inUtc = await rows(c, 'SELECT id FROM exact ORDER BY ts')
      await c.query("SET time_zone = 'Test/Autumn'")
      assert.deepEqual(await rows(c, 'SELECT id FROM exact ORDER BY ts'), inUtc)
      for (const sql of [
        'SELECT ts, COUNT(*) FROM exact GROUP BY ts',
        'SELECT DISTINCT ts FROM exact',
        'SELECT ts, MAX(id) FROM exact GROUP BY ts ORDER BY ts DESC',
      ])
        assert.deepEqual(sorted(await rows(c, sql)), sorted(await rows(one, sql)), sql)
    })

    test('promise 11: a CALL of which a part was refused is not sent again', async () => {
      const c = await client('shop')
      await c.query('DELETE FROM log')
      await direct("SELECT GET_LOCK('hold', 5)")
      const called = c.query('CALL writes_twice()').then(
        () => 'done',
        (error: Error) => error.message,
      )
      try {
        await until('its first row', async () => (await count('shop.log')) === 1)
        await world.admin.query('SET GLOBAL read_only = 1')
        await direct("SELECT RELEASE_LOCK('hold')")
        assert.match(await called, /SW-GATE-209/)
      } finally {
        await world.admin.query('SET GLOBAL read_only = 0')
      }
      assert.equal(await count('shop.log'), 1)
    })

    test('a session whose connection is lost in the midst of a read is told that its state is lost', async () => {
      const c = await client('through')
      await c.query('SET @a = 5')
      const reading = c.query('SELECT @a, SLEEP(20)').then(
        ([answer]) => JSON.stringify(answer),
        (error: Error) => error.message,
      )
      await until(
        'it runs',
        async () => (await direct("SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT @a, SLEEP%'")).length > 0,
      )
      proxy.blackhole()
      proxy.heal('reset')
      assert.match(await reading, /SW-GATE-020.*user-variable/s)
      assert.equal(await value(c, 'SELECT @a'), null)
    })

    test('KILL QUERY stops DDL over shards', async () => {
      const [c, other] = [await client('wide'), await client('wide')]
      await using holder = await world.connect()
      await holder.query('BEGIN')
      await holder.query('SELECT * FROM wide_80.log')
      const altered = c.query("ALTER TABLE log COMMENT = 'x'").then(
        () => 'done',
        (error: { errno: number }) => error.errno,
      )
      await until(
        'it waits',
        async () => (await direct("SELECT 1 FROM information_schema.processlist WHERE state LIKE '%metadata lock%'")).length > 0,
      )
      await other.query(`KILL QUERY ${c.threadId}`)
      assert.equal(await altered, 1317)
      await holder.query('COMMIT')
    })

    test('promise 1: a COMMIT that the server refused is not said to be done, whatever kind of statement wrote', async () => {
      for (const writes of ['SELECT writes(80)', 'SET @x = writes(80)', 'DO writes(80)']) {
        const c = await client('shop')
        await c.query('BEGIN')
        await c.query(writes)
        await world.admin.query('SET GLOBAL read_only = 1')
        try {
          await assert.rejects(c.query('COMMIT'), { message: /SW-GATE-207/ }, writes)
        } finally {
          await world.admin.query('SET GLOBAL read_only = 0')
        }
        assert.equal(await count("shop.log WHERE name = 'f'"), 0)
      }
    })
  })
}
