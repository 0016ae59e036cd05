/** Values whose text says less than they are, in answers made of several shards' rows: beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

/** A zone in which 02:30 of 27 October 2024 is two instants. */
const zone = [
  "INSERT INTO mysql.time_zone (Time_zone_id, Use_leap_seconds) VALUES (900, 'N')",
  "INSERT INTO mysql.time_zone_name (Name, Time_zone_id) VALUES ('Test/Fall', 900)",
  "INSERT INTO mysql.time_zone_transition_type (Time_zone_id, Transition_type_id, `Offset`, Is_DST, Abbreviation) VALUES (900, 0, 3600, 0, 'W'), (900, 1, 7200, 1, 'S')",
  'INSERT INTO mysql.time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES (900, 1711846800, 1), (900, 1729990800, 0)',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    const both = async (sql: string): Promise<void> => {
      for (const on of [beside.one, beside.c]) await on.query(sql)
    }

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id', u: 'by id', j: 'by id', z: 'by id', v: 'by id', v2: 'by id' }, plain: 'one' },
        tables: [
          't (id BIGINT PRIMARY KEY, a INT, f FLOAT, n INT NOT NULL DEFAULT 0)',
          'u (id BIGINT PRIMARY KEY, a INT, n INT NOT NULL DEFAULT 0)',
          'j (id BIGINT PRIMARY KEY, a INT, d JSON)',
          'z (id BIGINT PRIMARY KEY, a INT, at TIMESTAMP NULL, fine TIMESTAMP(3) NULL)',
          ...['v', 'v2'].map(
            (name) =>
              `${name} (id BIGINT PRIMARY KEY, k INT, x DOUBLE, y FLOAT, d DECIMAL(20,8), i INT, s VARCHAR(40), b BIT(6), at TIMESTAMP(3) NULL, dt DATETIME NULL, tm TIME NULL)`,
          ),
        ],
        flavour,
      })
      for (const sql of zone) await world.admin.query(sql)
      await world.admin.query("SET GLOBAL time_zone = 'Test/Fall'")
      beside = await besideOne(world)
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    test('promise 10: HAVING compares an average with all of its digits, FLOATs are ordered by all of theirs', async () => {
      const { alike } = beside
      await both(
        `INSERT INTO t (id, a, f) VALUES ${Array.from({ length: 30 }, (_, i) => `(${i + 1}, ${i % 4 === 3 ? 2 : 1}, ${1234560 + ((i * 7) % 30)})`).join()}`,
      )
      for (const condition of ['AVG(a) > 1.2333', 'AVG(a) = 1.2333', 'AVG(a) <= 1.2333', 'NOT AVG(a) > 1.2333', 'm > 1.2333'])
        await alike(`SELECT f IS NULL AS g, AVG(a) AS m FROM t WHERE id < 31 GROUP BY f IS NULL HAVING ${condition}`)
      await alike('SELECT id FROM t ORDER BY IFNULL(f, f), id')
      await alike('SELECT id FROM t ORDER BY f DESC LIMIT 3')
      await alike('SELECT MIN(IFNULL(f, f)) + 0, MAX(GREATEST(f, f)) + 0 FROM t')
      await alike('SELECT COUNT(*) FROM t GROUP BY IFNULL(f, f) ORDER BY 1')
      await alike('SELECT DISTINCT IFNULL(f, f) + 0 FROM t ORDER BY 1')
    })

    test('promise 10: what an UPDATE sets to values of other shards is stored as a server stores it', async () => {
      const { one, c, alike } = beside
      const rows = `VALUES ${Array.from({ length: 12 }, (_, i) => `(${i + 1}, ${((i * 5) % 12) + 1}, ${i + 0.5}, ${1234561 + i}, ${i}.25, ${i}, '${i}', b'${(i + 1).toString(2)}', '2024-05-0${(i % 9) + 1} 10:00:00.123', '2024-05-01 00:00:00', '-10:0${i % 10}:00')`).join()}`
      for (const table of ['v', 'v2']) await both(`INSERT INTO ${table} ${rows}`)
      for (const set of [
        'p.x = q.y',
        'p.s = q.y',
        'p.i = q.x',
        'p.i = q.b',
        'p.d = q.i / 7',
        'p.x = q.i / 7',
        'p.d = (SELECT AVG(k) / 7 FROM v2)',
        'p.at = q.at',
        'p.dt = q.at',
        'p.s = q.at',
        'p.x = q.dt',
        'p.tm = q.tm',
        'p.b = q.b + 1',
        'p.x = q.x * 1e-15 / 3, p.y = q.y',
        'p.i = q.i, p.s = CONCAT(q.s, p.s)',
      ]) {
        await both(`UPDATE v p JOIN v2 q ON q.k = p.id SET ${set} WHERE q.id > 2`)
        await alike('SELECT id, x, y + 0, d, i, s, b + 0, UNIX_TIMESTAMP(at), dt, tm FROM v ORDER BY id')
      }
      const said: unknown[] = []
      for (const on of [one, c]) {
        const refused = await on
          .query('UPDATE v p JOIN v2 q ON q.k = p.id SET p.b = q.i + 60')
          .then(String, (error: Error) => /Data too long|Out of range/.test(error.message))
        const done = await on.query('UPDATE IGNORE v p JOIN v2 q ON q.k = p.id SET p.i = q.x * 1e9')
        said.push([refused, done.kind === 'ok' && [done.affectedRows, done.warnings, done.info]])
      }
      assert.deepEqual(said[1], said[0])
    })

    test('promise 10: a JSON document with a value that text has no form for is not taken apart', async () => {
      const { alike, code } = beside
      await both(
        `INSERT INTO j VALUES (1, 1, '{"a": 1.0, "b": [1, -2, 5000000000, 1e3, null, true, "x"], "c": {}}'), (2, 2, '[]'), (3, 3, 'true'), (4, 4, NULL), (11, 1, '"s"')`,
      )
      const joined = 'SELECT x.id, x.d, JSON_EXTRACT(x.d, "$.b[2]") FROM j x JOIN t y ON y.id = x.a ORDER BY x.id'
      await alike(joined)
      if (flavour === 'mysql')
        await alike('SELECT x.id, JSON_TYPE(x.d), JSON_TYPE(x.d->"$.a") FROM j x JOIN t y ON y.id = x.a ORDER BY x.id')
      await both('UPDATE j SET id = id + 100 WHERE id < 4')
      await both('INSERT INTO j SELECT id + 1000, a, d FROM j WHERE id > 100')
      await alike('SELECT * FROM j ORDER BY id')
      const typed = [
        "JSON_OBJECT('p', CAST(1.50 AS DECIMAL(5,2)), 'n', NULL, 't', TRUE, 's', 'z\\'é\\\\\"', 'u', 18446744073709551615)",
        "JSON_ARRAY(1, JSON_ARRAY(JSON_OBJECT('at', CAST('2024-01-02' AS DATETIME))), JSON_OBJECT(), JSON_ARRAY())",
        "JSON_OBJECT('b', JSON_OBJECT('x', CAST(x'0102' AS BINARY(2))), '__proto__', 5, '7', 7.0, 'a\\'\\\\b', 7.5e0)",
        'CAST(CAST(1.50 AS DECIMAL(5,2)) AS JSON)',
        "JSON_ARRAY(CAST('-10:00:00.5' AS TIME(1)), CAST('2024-02-29' AS DATE), CAST(-12345678901234567890 AS DECIMAL(40,0)), 0.000, 1.5e300, '2024-02-29 ')",
        // Told in lines of 76 characters, 57 bytes each.
        "JSON_ARRAY(CAST(REPEAT('long', 50) AS BINARY(200)), CAST(REPEAT('57!', 19) AS BINARY(57)), CAST(REPEAT('58', 29) AS BINARY(58)))",
      ]
      // Of bits, a TIMESTAMP, a BLOB; and of two values that are spelt alike and are not of one type.
      const refused = [
        '(SELECT JSON_ARRAY(b) FROM v WHERE id = 900)',
        "(SELECT JSON_OBJECT('at', at) FROM v WHERE id = 900)",
        'JSON_ARRAY(2.5, 2.5e0)',
        "JSON_ARRAY('2024-01-01', CAST('2024-01-01' AS DATE))",
      ]
      await both("INSERT INTO v (id, b, at) VALUES (900, b'101', '2024-01-01')")
      for (const [i, document] of (flavour === 'mysql' ? [...typed, ...refused] : typed.slice(1, 2)).entries()) {
        const id = 50 + i
        await both(`INSERT INTO j VALUES (${id}, 1, ${refused.includes(document) ? 'NULL' : document})`)
        if (refused.includes(document)) {
          // As the gate would have to carry the document itself, it is put where it stands.
          for (const schema of ['one', 'shop_80', 'shop_end']) {
            const own = document.replace(' FROM v ', ` FROM one.v `)
            await world.admin.query(`UPDATE ${schema}.j SET d = ${own} WHERE id = ${id}`)
          }
        }
        const asked = `SELECT x.id, JSON_TYPE(JSON_EXTRACT(x.d, '$.p')), JSON_TYPE(JSON_EXTRACT(x.d, '$[4]')), x.d FROM j x JOIN t y ON y.id = x.a WHERE x.id = ${id}`
        if (refused.includes(document)) {
          assert.equal(await code(asked), 'SW-GATE-100', document)
          assert.equal(await code(`UPDATE j SET id = 2000 WHERE id = ${id}`), 'SW-GATE-100', document)
        } else {
          await alike(asked)
          await both(
            `INSERT INTO j SELECT x.id + ${3000 + 10 * i}, x.a, x.d FROM j x JOIN t y ON y.id = x.a WHERE x.id = ${id} OR x.id = 101`,
          )
          await both(`UPDATE j SET id = ${500 + i} WHERE id = ${id}`)
          await both(`UPDATE j JOIN t y ON y.id = j.a SET j.d = JSON_ARRAY(y.id, y.id * 1.5) WHERE j.id IN (102, 103)`)
          if (flavour === 'mysql')
            await alike(
              `SELECT id, JSON_STORAGE_SIZE(d) > 0, JSON_TYPE(d), JSON_TYPE(d->'$.p'), JSON_TYPE(d->'$.b.x'), JSON_TYPE(d->'$."7"'), JSON_TYPE(d->'$[1][0].at'), JSON_TYPE(d->'$[0]'), JSON_TYPE(d->'$[1]'), JSON_TYPE(d->'$[2]'), JSON_TYPE(d->'$[3]'), JSON_TYPE(d->'$[4]'), JSON_TYPE(d->'$[5]') FROM j ORDER BY id`,
            )
          await alike('SELECT * FROM j ORDER BY id')
          await alike('SELECT x.id, x.d FROM j x JOIN t y ON y.id = x.a ORDER BY x.d, x.id')
        }
      }
      await both('DELETE FROM j')
    })

    test('a value that is one "!" moves like any other', async () => {
      const { alike } = beside
      await both("INSERT INTO v (id, b, s) VALUES (911, b'100001', '!')")
      await both('UPDATE v SET id = id + 1000 WHERE id = 911')
      await alike("SELECT id, HEX(b), s FROM v WHERE s = '!'")
    })

    test('promise 10: an instant is the same wherever it is stored, in a zone that puts its clocks back', async () => {
      const { alike, code } = beside
      await both("SET time_zone = '+00:00'")
      await both(
        "INSERT INTO z VALUES (1, 1, '2024-06-01 12:00:00', '2024-06-01 12:00:00.125'), (2, 1, '2024-12-01 12:00:00', '1970-01-01 00:00:01'), (3, 1, NULL, NULL), (4, 4, '2024-10-27 00:30:00', NULL), (5, 5, '2024-10-27 01:30:00', NULL), (6, 1, '2038-01-19 03:14:07', NULL)",
      )
      const joined = (where: string): string =>
        `SELECT x.id, UNIX_TIMESTAMP(x.at), UNIX_TIMESTAMP(x.fine), x.at, x.fine FROM z x JOIN t y ON y.id = x.a WHERE ${where} ORDER BY x.id`
      await alike(joined('x.id < 10'))
      await both('SET time_zone = DEFAULT')
      await alike(joined('x.a = 1'))
      // Of the two instants with one local time a server takes one; the other is not taken for it.
      const codes = [await code(joined('x.a = 4')), await code(joined('x.a = 5'))]
      assert.deepEqual(codes.toSorted(), ['SW-GATE-100', 'done'])
      await alike(joined(codes[0] === 'done' ? 'x.a = 4' : 'x.a = 5'))
      await both('UPDATE z SET id = id + 100 WHERE a = 1')
      await both('INSERT INTO z SELECT id + 1000, a, at, fine FROM z WHERE a = 1')
      const [kept, refused] = codes[0] === 'done' ? [4, 5] : [5, 4]
      assert.equal(await code(`UPDATE z SET id = 7${refused} WHERE id = ${refused}`), 'SW-GATE-100')
      await both(`UPDATE z SET id = 7${kept} WHERE id = ${kept}`)
      await both("SET time_zone = '+00:00'")
      await alike('SELECT * FROM z ORDER BY id')
      await both('SET time_zone = DEFAULT')
    })

    test('promise 10: below REPEATABLE READ too, rows that are put together are of one snapshot of each shard', async () => {
      const { c, answer } = beside
      await both('INSERT INTO u (id, a) VALUES (1, 1)')
      await c.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
      const schema = (await world.admin.value('SELECT COUNT(*) FROM shop_80.u WHERE id = 1')) === '1' ? 'shop_80' : 'shop_end'
      const writer = await world.connect()
      let writing = true
      const written = (async (): Promise<void> => {
        while (writing) {
          await writer.pipeline([
            'BEGIN',
            `UPDATE ${schema}.t SET n = n + 1 WHERE id = 1`,
            `UPDATE ${schema}.u SET n = n + 1 WHERE id = 1`,
            'COMMIT',
          ])
        }
      })()
      try {
        for (let i = 0; i < 150; i++)
          assert.deepEqual(
            await answer(c, 'SELECT x.n - y.n FROM t x JOIN u y ON y.a + 0 = x.a + 0 AND y.id < 2 WHERE x.id + 0 = 1'),
            ['0'],
            `at read ${i}`,
          )
      } finally {
        writing = false
        await written
        await writer.close()
        await c.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      }
    })
  })
}
