/**
 * Promise 10: statements over two shards whose answer was another one than the same server's over one schema, each found by asking both. Text and prepared.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const tables = [
  'a (id BIGINT PRIMARY KEY, n INT, d DECIMAL(10,3), bt BIT(6), ti INT)',
  'b (id BIGINT PRIMARY KEY, n INT)',
  'c (id BIGINT PRIMARY KEY, n INT)',
  'u (id BIGINT PRIMARY KEY, name VARCHAR(20), age INT, g DOUBLE, r DOUBLE(10,3), doc JSON)',
  'places (code INT PRIMARY KEY, name VARCHAR(20))',
  'w (id BIGINT PRIMARY KEY, n INT, x DOUBLE(10,2), y DOUBLE(10,2))',
]
const rows = [
  "INSERT INTO a VALUES (1,1,1.5,b'1',4),(2,2,2.5,b'10',4),(3,NULL,NULL,NULL,5),(4,2,-1.125,b'111',5),(5,3,0.001,b'0',6),(6,NULL,1.5,b'1',6),(7,5,22.7,b'1',7)",
  'INSERT INTO b VALUES (1,1),(2,2),(3,7),(4,NULL),(9,2),(10,7)',
  'INSERT INTO c VALUES (1,7),(2,2),(3,NULL),(4,7)',
  // On one of the two shards: 1, 2, 3, 5, 6; on the other: 4, 7, 8.
  `INSERT INTO u VALUES (1,'Ann',22,1.25,0.125,'9'),(2,'Bob',35,2.254,0.25,'10'),(3,'Cid',22,2.5,1.005,'{"a":1}'),(4,'ann',41,0.1,1e3,'[1]'),
    (5,'Dan',NULL,NULL,NULL,NULL),(6,'Eve',35,1e3,1,'9'),(7,'bob',18,0.005,0.001,'"x"'),(8,'Zoe',19,0.3,0,'9.5')`,
  "INSERT INTO places VALUES (1,'Ann'),(2,'Zed'),(3,'Mia')",
  'INSERT INTO w VALUES (1, 1, 0.1, 0.2), (4, 1, 0.3, 0), (2, 2, 0.1, 0), (7, 2, 0.2, 0)',
]

const equal: readonly string[] = [
  // The column that USING makes of a RIGHT JOIN is the right side's, of a derived table that table's.
  'SELECT a.id, b.id, c.id FROM a RIGHT JOIN b USING (n) LEFT JOIN c USING (n) ORDER BY b.id, a.id, c.id',
  'SELECT a.id, c.id FROM (SELECT 7 AS n) x LEFT JOIN a USING (n) LEFT JOIN c USING (n) ORDER BY c.id',
  // Within a query of WITH that is not recursive its own name is a table's.
  'WITH a AS (SELECT id, n FROM a WHERE id < 7) SELECT COUNT(*), SUM(n) FROM a',
  'SELECT (WITH a AS (SELECT id FROM a) SELECT COUNT(*) FROM a) AS k',
  'WITH RECURSIVE x AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM x WHERE i < 4) SELECT x.i, a.n FROM x JOIN a ON a.id = x.i ORDER BY 1',
  // limit + offset is more than a server takes.
  'SELECT id FROM a ORDER BY id LIMIT 18446744073709551615 OFFSET 3',
  'SELECT id FROM a ORDER BY id LIMIT 3, 18446744073709551615',
  // Servers add up quotients with more digits than they show.
  'SELECT SUM(d / 7), AVG(n / 3) FROM a',
  'SELECT n, SUM(IFNULL(d / 7, 0)) AS s FROM a GROUP BY n ORDER BY n',
  'SELECT DISTINCT n, bt FROM a ORDER BY n, bt',
  'SELECT MAX(id) FROM a ORDER BY n',
  // The key of plans has no strings, and the second has the same: but the names that they are.
  "SELECT age AS 'x', name AS 'y' FROM u ORDER BY x, id",
  "SELECT age AS 'y', name AS 'x' FROM u ORDER BY x, id",
  "SELECT age AS 'x', COUNT(*) AS 'y' FROM u GROUP BY x HAVING y > 1 ORDER BY y, x",
  "SELECT age AS 'y', COUNT(*) AS 'x' FROM u GROUP BY y HAVING x > 1 ORDER BY x, y",
  "SELECT DATABASE() IS NULL AS 'x'",
  "SELECT DATABASE() IS NULL AS 'y'",
  "SELECT LAST_INSERT_ID() AS 'x'",
  "SELECT LAST_INSERT_ID() AS 'y'",
  // A shard without such a row says NULL beside its count.
  'SELECT age, COUNT(*) FROM u WHERE age = 18',
  'SELECT age, COUNT(*) FROM u WHERE age = 99',
  "SELECT 'x', 1 + 1, MIN(name), COUNT(*) FROM u",
  // A variable is no place in the list, and (2) is one.
  'SELECT id, age FROM u ORDER BY @two, id',
  'SELECT id, age FROM u ORDER BY -@two, id',
  'SELECT id, age FROM u ORDER BY @sum, id',
  'SELECT id, age FROM u ORDER BY -@far, id LIMIT 5',
  'SELECT age, COUNT(*) FROM u GROUP BY age ORDER BY -@far, age',
  'SELECT id, age FROM u WHERE id = 1 UNION SELECT n, id FROM b WHERE id = 2 ORDER BY @two, id',
  'SELECT COUNT(*) FROM u GROUP BY @two',
  'SELECT COUNT(*) FROM u GROUP BY LAST_INSERT_ID()',
  'SELECT COUNT(*), age FROM u WHERE id = 1 GROUP BY @two, age',
  'SELECT GROUP_CONCAT(name ORDER BY @two, id) FROM u',
  'SELECT id, RANK() OVER (PARTITION BY id ORDER BY @two) AS k FROM u ORDER BY id',
  'SELECT age, COUNT(*) FROM u GROUP BY (1) ORDER BY 2, 1',
  'SELECT age, id FROM u ORDER BY (2)',
  'SELECT age, id FROM u ORDER BY +1, id',
  'SELECT age, id FROM u ORDER BY TRUE, id',
  'SELECT age, id FROM u ORDER BY -1, id',
  // What HAVING calls by a name that several things have, or none.
  'SELECT age AS z, COUNT(*) AS age FROM u GROUP BY z HAVING age > 2 ORDER BY z',
  'SELECT age AS z, COUNT(*) AS age FROM u GROUP BY 1 HAVING age > 2 ORDER BY z',
  'SELECT COUNT(*) AS age, age AS x FROM u GROUP BY u.age HAVING age > 1 ORDER BY x',
  'SELECT u.age, COUNT(*) AS age FROM u GROUP BY u.age HAVING age > 1 ORDER BY 1',
  'SELECT DISTINCT name FROM u HAVING age > 3',
  'SELECT MAX(age) FROM u GROUP BY name HAVING age > 3',
  'SELECT age AS z, COUNT(*) AS k FROM u GROUP BY z HAVING z > 20 AND k > 1 ORDER BY z',
  'SELECT age, COUNT(*) AS k FROM u GROUP BY u.age HAVING u.age > 20 AND k > 1 ORDER BY age',
  'SELECT DISTINCT age AS z FROM u HAVING z > 20 ORDER BY z',
  // Aggregates of the query around them.
  'SELECT (SELECT COUNT(u.id)) FROM u',
  'SELECT (SELECT MAX(p.name) FROM places p WHERE p.code < MAX(u.age)) FROM u',
  'SELECT age FROM u GROUP BY age ORDER BY (SELECT COUNT(u.id)), age',
  'SELECT id, (SELECT SUM(u.age + p.code) FROM places p) FROM u ORDER BY id',
  // JSON is not compared as its text.
  'SELECT age, MAX(COALESCE(doc, doc)) FROM u GROUP BY age ORDER BY age',
  'SELECT DISTINCT COALESCE(doc, doc) AS d FROM u WHERE id IN (1, 2, 6, 8) ORDER BY d',
  // Decimals of doubles, and all the digits where it is executed.
  'SELECT SUM(ROUND(g, 2)), AVG(ROUND(g, 2)), SUM(r), AVG(r) FROM u',
  'SELECT age, SUM(r), AVG(r), MAX(r) FROM u GROUP BY age ORDER BY age',
  'SELECT id, AVG(r / 3) FROM u GROUP BY id ORDER BY id',
  'SELECT id FROM u ORDER BY id LIMIT abc',
  // Windows that end where the shard does, and others.
  'SELECT id, SUM(n) OVER (PARTITION BY id ORDER BY n) AS s, n FROM b ORDER BY id, n',
  'SELECT u.id, b.n, ROW_NUMBER() OVER w AS k FROM u JOIN b ON b.id = u.id WINDOW w AS (PARTITION BY u.id ORDER BY b.n) ORDER BY 1, 2',
  'SELECT u.id, b.n, COUNT(*) OVER (PARTITION BY b.id) AS k FROM u LEFT JOIN b ON b.id = u.id ORDER BY 1, 2',
  'SELECT id, SUM(SUM(n)) OVER (PARTITION BY id) AS s FROM b GROUP BY id ORDER BY id',
  'SELECT n, RANK() OVER (PARTITION BY n ORDER BY SUM(id)) AS s FROM b GROUP BY n ORDER BY n',
  'SELECT DISTINCT COUNT(*) OVER (PARTITION BY id) AS k FROM b ORDER BY k',
  'SELECT id, doubled(age) FROM u ORDER BY doubled(age), id',
  // 0.1 + 0.2 and 0.3 are shown alike with two decimals.
  'SELECT id FROM w ORDER BY x + y, id',
  'SELECT COUNT(*) FROM w WHERE id IN (1, 4) GROUP BY x + y',
  'SELECT DISTINCT x + y AS s FROM w WHERE id IN (1, 4)',
  'SELECT n, SUM(x) AS s FROM w WHERE n = 2 GROUP BY n HAVING s = 0.3',
  'SELECT n, SUM(x) AS s FROM w WHERE n = 2 GROUP BY n HAVING s > 0.3',
  'SELECT id, x FROM w ORDER BY x, id',
  'SELECT ROUND(x + y, 2) AS s, COUNT(*) FROM w GROUP BY ROUND(x + y, 2) ORDER BY s',
  // Averages have more digits than they show, and so has what is computed like them.
  'SELECT SUM((SELECT AVG(p.code <= 1) FROM places p WHERE p.code > u.id * 0)) AS s FROM u WHERE id IN (1, 4)',
  'SELECT SUM((SELECT VARIANCE(p.code <= 1) FROM places p WHERE p.code > u.id * 0)) AS s FROM u WHERE id IN (1, 4, 7)',
  // An alias within an expression of GROUP BY.
  'SELECT COUNT(*), MIN(age) AS low, age AS x FROM u GROUP BY x + 1 ORDER BY x',
  // Aggregates that stand in a window alone make one row of all.
  'SELECT RANK() OVER w AS k FROM b WINDOW w AS (PARTITION BY id ORDER BY COUNT(*))',
]

/** MariaDB orders groups by what GROUP BY says; MySQL knows no DESC there and gives them in any order. */
const ordered: readonly string[] = [
  'SELECT id, COUNT(*) FROM u GROUP BY id DESC',
  'SELECT id, COUNT(*) FROM u GROUP BY id DESC LIMIT 3',
  'SELECT id, COUNT(*) FROM u GROUP BY id LIMIT 6',
  'SELECT id AS x, MAX(age) AS id FROM u GROUP BY x LIMIT 6',
  'SELECT age AS id, MAX(id) AS m FROM u GROUP BY u.id LIMIT 6',
  'SELECT n, id FROM b GROUP BY id DESC, n LIMIT 2, 3',
  'SELECT age, COUNT(*) FROM u GROUP BY age DESC',
  'SELECT age, COUNT(*) FROM u GROUP BY age LIMIT 3',
  'SELECT name, COUNT(*) FROM u GROUP BY name DESC, age LIMIT 4',
  'SELECT age + 1 AS s, COUNT(*) AS k FROM u GROUP BY age + 1 DESC HAVING k < 3 LIMIT 2',
  'SELECT COUNT(*) AS k, age FROM u GROUP BY 2 LIMIT 2',
]

/** As the server's owner makes them, past the gate. */
function stored(flavour: string): string[] {
  const functions = [
    'CREATE FUNCTION HERE.doubled(x INT) RETURNS INT NO SQL RETURN x * 2',
    'CREATE FUNCTION HERE.sleeps() RETURNS INT NO SQL RETURN SLEEP(2)',
    'CREATE FUNCTION HERE.counted() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM HERE.u)',
    'CREATE FUNCTION HERE.adds() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO HERE.c VALUES (100, 1); RETURN 1; END',
  ]
  const product = `CREATE AGGREGATE FUNCTION HERE.product(x INT) RETURNS BIGINT BEGIN
    DECLARE p BIGINT DEFAULT 1;
    DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN p;
    LOOP FETCH GROUP NEXT ROW; SET p = p * IFNULL(x, 1); END LOOP; END`
  return flavour === 'mariadb' ? [...functions, product] : functions
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    const clients: Record<'one' | 'wide', mysql.Connection> = {} as never

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { a: 'by id', b: 'by id', c: 'by id', u: 'by id', w: 'by id', places: 'reference' } },
        tables,
        config: { scatterBytesMax: 1 << 20 },
      })
      for (const schema of world.schemas) for (const create of stored(flavour)) await world.admin.query(create.replaceAll('HERE', schema))
      for (const keyspace of ['one', 'wide'] as const) {
        clients[keyspace] = await world.client('app', keyspace, { rowsAsArray: true, supportBigNumbers: true, bigNumberStrings: true })
        for (const insert of rows) await clients[keyspace].query(insert)
        await clients[keyspace].query('SET @two = 2, @sum = CAST(2 AS DECIMAL(30)), @far = 9223372036854775809')
      }
    })
    after(async () => {
      for (const client of Object.values(clients)) client.destroy()
      await world?.stop()
    })

    for (const sql of flavour === 'mariadb' ? [...equal, ...ordered] : equal) {
      test(`promise 10: ${sql}`, async () => {
        for (const form of ['query', 'execute'] as const) {
          const ask = async (client: mysql.Connection): Promise<unknown> => {
            try {
              const [answer, fields] = form === 'query' ? await client.query(sql) : await client.execute(sql)
              return { answer, names: fields.map(({ name }) => name) }
            } catch (error) {
              // Which one is said for the same thing may differ by who finds it.
              return (error as { errno: number }).errno > 0 ? 'refused' : error
            }
          }
          const [expected, got] = [await ask(clients.one), await ask(clients.wide)]
          assert.deepEqual(got, expected, form)
        }
      })
    }

    test('promises 10 and 11: a stored function that sees rows is refused without a table beside it, and beside one', async () => {
      // The first statement of a session, and of the gate about this keyspace's functions.
      const fresh = await world.client('app', 'wide')
      for (const sql of ['SELECT counted()', 'SET @n = counted()', 'SELECT adds()', 'SELECT counted() FROM u WHERE id = 1'])
        await assert.rejects(fresh.query(sql), /SW-GATE-100: stored function/, sql)
      assert.deepEqual((await fresh.query('SELECT doubled(4) AS k'))[0], [{ k: 8 }])
      assert.deepEqual((await fresh.query('SELECT id FROM c WHERE id = 100'))[0], [])
      fresh.destroy()
    })

    test('promise 11: what a stored function may have done is not asked for again when its connection breaks', async () => {
      const client = await world.client('app', 'wide')
      const set = client.query('SET @n = sleeps()').then(
        () => 'done',
        (error: unknown) => String(error),
      )
      // MySQL shows the function's definer as who runs it.
      const running = "SELECT id AS id FROM information_schema.processlist WHERE info LIKE 'SELECT sleeps()%'"
      let ids: (string | null | undefined)[] = []
      for (const end = Date.now() + 10_000; ids.length === 0 && Date.now() < end;)
        ids = (await world.admin.allText(running)).map((row) => row['id'])
      for (const id of ids) await world.admin.query(`KILL ${id}`)
      assert.match(await set, /SW-MYSQL-003/)
      client.destroy()
    })

    test('promise 10: aggregates that are not merged are over all rows', async () => {
      const sql =
        flavour === 'mariadb' ? 'SELECT product(age), COUNT(*) FROM u' : 'SELECT ST_AsText(ST_Collect(POINT(id, id))), COUNT(*) FROM u'
      assert.deepEqual((await clients.wide.query(sql))[0], (await clients.one.query(sql))[0])
    })

    test('promise 10: text is not taken for UTF-8 where the connection makes it another', async () => {
      for (const set of ["collation_connection = 'latin1_swedish_ci'", 'character_set_connection = latin1']) {
        const client = await world.client('app', 'wide')
        await client.query("INSERT INTO u (id, name) VALUES (50, 'Łukasz')")
        await client.query(`SET ${set}`)
        await assert.rejects(client.query('UPDATE u SET id = 51 WHERE id = 50'), /SW-GATE-212.*latin1/s, set)
        await assert.rejects(client.query('SELECT COUNT(DISTINCT name) FROM u'), /SW-GATE-212.*latin1/s, set)
        await client.query('SET NAMES utf8mb4')
        assert.deepEqual((await client.query('SELECT id, name FROM u WHERE id >= 50'))[0], [{ id: 50, name: 'Łukasz' }], set)
        await client.query('DELETE FROM u WHERE id = 50')
        client.destroy()
      }
    })

    test('promise 10: sql_mode HIGH_NOT_PRECEDENCE in HAVING, and back', async () => {
      const sql = 'SELECT age FROM u GROUP BY age HAVING NOT COUNT(*) > 1 ORDER BY age'
      for (const mode of ['HIGH_NOT_PRECEDENCE', ''] as const) {
        const answers = []
        for (const client of [clients.one, clients.wide]) {
          await client.query(`SET sql_mode = '${mode}'`)
          answers.push((await client.query(sql))[0])
          await client.query('SET sql_mode = DEFAULT')
        }
        assert.deepEqual(answers[1], answers[0], mode)
      }
    })

    test('promise 10: the hint SET_VAR over several shards is refused, and a variable keeps its collation', async () => {
      const hint = 'SELECT /*+ SET_VAR(sql_select_limit = 1) */ id FROM u'
      await assert.rejects(clients.wide.query(`${hint} ORDER BY id`), /SW-GATE-100: .*SET_VAR/)
      await assert.rejects(
        clients.wide.query('SELECT /*+ SET_VAR(sql_select_limit = 1) */ COUNT(DISTINCT age) FROM u'),
        /SW-GATE-100: .*SET_VAR/,
      )
      assert.deepEqual((await clients.wide.query(`${hint} WHERE id = 1`))[0], [['1']])
      const advice = await clients.wide.query(
        "SELECT /*+ SET_VAR(optimizer_switch = 'mrr=off') SET_VAR(sort_buffer_size = 300000) */ id FROM u ORDER BY id",
      )
      assert.equal((advice[0] as unknown[]).length, 8)
      assert.equal(((await clients.wide.query("SELECT id FROM u WHERE name <> '/*+ SET_VAR('"))[0] as unknown[]).length, 8)
      for (const text of ["_utf8mb4'a' COLLATE utf8mb4_bin", "CONVERT('a' USING latin1)"]) {
        const answers = []
        for (const client of [clients.one, clients.wide]) {
          await client.query(`SET @c = ${text}`)
          answers.push((await client.query("SELECT @c, COLLATION(@c), @c = 'A', COUNT(*) FROM u WHERE name > @c"))[0])
        }
        assert.deepEqual(answers[1], answers[0])
      }
      await clients.wide.query("SET @c = CONCAT('a', 1)")
      assert.deepEqual((await clients.wide.query('SELECT @c'))[0], [['a1']])
    })

    test('what a session keeps of variables is bounded, for each and for all', async () => {
      const c = clients.wide
      await assert.rejects(c.query("SET @big = REPEAT('x', 70000) COLLATE utf8mb4_bin"), /SW-GATE-100.*65536/)
      const set = (i: number): Promise<unknown> => c.query(`SET @big${i} = REPEAT('x', 60000) COLLATE utf8mb4_bin`)
      for (let i = 0; i < 4; i++) await set(i)
      await assert.rejects(set(4), /SW-GATE-100.*bytes of them/)
      assert.equal(String((await c.query("SELECT LENGTH(@big0), @big4 IS NULL, @big3 = REPEAT('X', 60000)"))[0]), '60000,1,0')
      for (let i = 0; i < 4; i++) await c.query(`SET @big${i} = NULL`)
      await set(4)
      await c.query('SET @big4 = NULL')
    })

    test('promise 10: what can not be merged is put together elsewhere, in a statement too long for its plan to be known too, and beside functions that are seldom used', async () => {
      for (const sql of [
        `SELECT CONCAT(name, '') AS n FROM u WHERE age IN (${Array.from({ length: 9_000 }, (_, i) => i).join(', ')}) ORDER BY n, id`,
        'SELECT CONCAT(name, ADDDATE(NULL, 1) IS NULL, JSON_DETAILED(NULL) IS NULL) AS n FROM u ORDER BY n, id'.replace(
          'JSON_DETAILED',
          flavour === 'mysql' ? 'JSON_PRETTY' : 'JSON_DETAILED',
        ),
      ]) {
        const answers = []
        for (const client of [clients.one, clients.wide]) answers.push((await client.query(sql))[0])
        assert.deepEqual(answers[1], answers[0])
      }
    })

    test('promise 10: names of WITH that differ in case only are refused', async () => {
      await assert.rejects(clients.wide.query('WITH A AS (SELECT 1 AS id) SELECT COUNT(*) FROM a'), /SW-GATE-100.*WITH calls A/s)
    })

    test('promise 10: a name that several items of the list have', async () => {
      for (const sql of [
        'SELECT x.id, y.id, COUNT(*) AS id FROM u x JOIN u y ON x.id = y.id GROUP BY x.id, y.id ORDER BY id, x.id',
        'SELECT x.id, x.id AS id, x.name FROM u x ORDER BY id',
      ]) {
        const both = await Promise.all(
          (['one', 'wide'] as const).map((keyspace) =>
            clients[keyspace].query(sql).then(
              ([answer]) => answer,
              (error: unknown) => (error as { errno: number }).errno,
            ),
          ),
        )
        assert.deepEqual(both[1], both[0], sql)
      }
    })

    test('promise 10: an alias that hides the column that is grouped by', async () => {
      const sql = 'SELECT ti AS n, COUNT(*) FROM a GROUP BY n ORDER BY 2, 1'
      const both = await Promise.all(
        (['one', 'wide'] as const).map((keyspace) =>
          clients[keyspace].query(sql).then(
            ([answer]) => answer,
            (error: unknown) => (error as { errno: number }).errno,
          ),
        ),
      )
      assert.deepEqual(both[1], both[0])
    })

    test('a query of WITH that is named twice is answered, or refused in words of ours', async () => {
      const sql =
        'WITH x AS (SELECT id, n FROM a WHERE id < 6), y AS (SELECT * FROM x WHERE n IS NOT NULL) SELECT x.id, y.id FROM x LEFT JOIN y ON x.n = y.n ORDER BY 1, 2'
      if (flavour === 'mysql') {
        await assert.rejects(clients.wide.query(sql), /SW-GATE-100.*named more than once/s)
        await assert.rejects(
          clients.wide.query(`INSERT INTO b (id, n) ${sql.replace('x.id, y.id', 'x.id + 100, y.id')}`),
          /SW-GATE-100.*named more than once/s,
        )
      } else assert.deepEqual((await clients.wide.query(sql))[0], (await clients.one.query(sql))[0])
    })

    test('promise 8: what an INSERT … SELECT makes of few rows is bounded', async () => {
      const many = 'SELECT 0 FROM a JOIN a b JOIN a c JOIN a d JOIN a e JOIN a f'
      await assert.rejects(clients.wide.query(`INSERT INTO b (id) ${many}`), /SW-GATE-205/)
      assert.deepEqual((await clients.wide.query('SELECT id FROM b WHERE id = 0'))[0], [])
    })
  })
}
