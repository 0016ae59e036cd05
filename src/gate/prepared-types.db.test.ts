/** What a prepared statement's parameters make of its columns, in answers made of several shards': types and values beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import { double, execution, integer, text, textsOf, type Param } from './testkit/execution.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const nulls = [columnType.tiny, columnType.longlong, columnType.double, columnType.newdecimal, columnType.datetime, columnType.time]
const given: readonly Param[] = [
  integer(5),
  { type: columnType.tiny, unsigned: true, text: '200' },
  { type: columnType.short, text: '-5' },
  { type: columnType.long, text: '-5' },
  { type: columnType.longlong, unsigned: true, text: '18446744073709551615' },
  { type: columnType.float, text: '1.5' },
  double(1.1),
  { type: columnType.newdecimal, text: '1.50' },
  { type: columnType.date, text: '2024-01-12' },
  { type: columnType.datetime, text: '2024-01-12 03:04:05' },
  { type: columnType.datetime, text: '2024-01-12 03:04:05.125000' },
  { type: columnType.timestamp, text: '2024-01-12 00:00:00' },
  { type: columnType.time, text: '-100:00:01.500000' },
  { type: columnType.varString, text: 'abc' },
  { type: columnType.blob, text: 'abc' },
  ...[...nulls, columnType.varString, columnType.blob, columnType.null].map((type): Param => ({ type, text: null })),
]

const stored: readonly Param[] = [
  ...given.filter(({ text: value }) => value !== null),
  text('5'),
  text('1.5'),
  text('2.5'),
  { type: columnType.newdecimal, text: '2.5' },
  double(2.5),
  { type: columnType.float, text: '1.1' },
  { type: columnType.null, text: null },
  { type: columnType.datetime, text: null },
  { type: columnType.date, text: '0000-00-00' },
  { type: columnType.date, text: '2024-00-00' },
  { type: columnType.double, text: '-0' },
  { type: columnType.float, text: '-0' },
]

const writes = {
  'rows of VALUES': [
    ...['n', 'd', 's', 'at', 'b'].map((column) => `INSERT INTO t (id, ${column}) VALUES (101, ?), (102, ?), (103, ?), (104, ?)`),
    'INSERT INTO t (id, n, d) VALUES (101, ? / 2, ?), (102, n + ?, ? * ?), (103, COALESCE(?, 1), ? / ?), (104, ? * ?, ?)',
    'INSERT INTO t (id, s) VALUES (101, CONCAT(?)), (102, LEFT(?, 15)), (103, ? + 1), (104, -?)',
    'REPLACE INTO t (id, n, s) VALUES (1, ? / 2, ?), (2, ? / 2, ?), (3, ? / 2, ?), (4, ? / 2, ?)',
    'INSERT INTO t (id, n) VALUES (1, ?), (2, ?), (3, 0), (4, 1) ON DUPLICATE KEY UPDATE n = n + ?',
    'INSERT INTO t (id, n) VALUES (1, ?), (2, ?), (3, 0), (4, 1) ON DUPLICATE KEY UPDATE n = ?',
    'INSERT INTO t (id, d) VALUES (1, ?), (2, ?), (3, 0), (4, 1) ON DUPLICATE KEY UPDATE d = VALUES(d) + ?',
  ],
  'rows of a SELECT': [
    'INSERT INTO t (id, n) SELECT id + 100, n + ? FROM t',
    'INSERT INTO t (id, n, s, d, at) SELECT id + 100, ?, LEFT(?, 15), ?, NULL FROM t',
    'INSERT INTO t (id, at, s) SELECT id + 100, ?, n FROM t WHERE b + ? > 7',
    'INSERT INTO t (id, n) SELECT MIN(id) + 100, SUM(n + ?) FROM t GROUP BY s HAVING MAX(n) < ?',
    'INSERT INTO t (id, d, s) SELECT id + 100, ? * ?, ? / 2 FROM t LIMIT 100',
    'REPLACE INTO t (id, n) SELECT id + 1, n * ? FROM t WHERE n < 2',
    'INSERT INTO t (id, n) SELECT id + 1, n FROM u ON DUPLICATE KEY UPDATE n = t.n + ?',
    'INSERT INTO t (id, n) SELECT id + 1, n + ? FROM u ON DUPLICATE KEY UPDATE n = VALUES(n) + ?',
    'INSERT INTO t (id, n) SELECT id + 1, n + ? FROM u ON DUPLICATE KEY UPDATE s = ?',
    'INSERT INTO t (id, n) VALUES (101, (SELECT MAX(n) + ? FROM u)), (102, ? / 2)',
  ],
  'rows that are chosen': [
    'UPDATE t JOIN u ON u.n = t.n SET t.n = u.n + ?',
    'UPDATE t JOIN u ON u.n = t.n SET t.n = t.n + ?, s = LEFT(?, 15) WHERE u.id < 3',
    'UPDATE t JOIN u ON u.n = t.n SET t.d = ? / 2 WHERE t.n + ? > 1',
    'UPDATE t JOIN u ON u.n = t.n SET t.s = LEFT(?, 15), t.at = ?, t.d = u.n + ?',
    'UPDATE t SET n = n + ? ORDER BY id LIMIT 3',
    'UPDATE t SET n = ? / 2, at = ? WHERE n + ? < 100 ORDER BY id DESC LIMIT 3',
    'UPDATE t SET d = n * ? WHERE n IN (SELECT n FROM u WHERE n + ? > 0)',
    'UPDATE t SET n = (SELECT MAX(n) + ? FROM u) WHERE id < 4',
    'DELETE FROM t WHERE n + ? > 2 ORDER BY id LIMIT 2',
    'DELETE t FROM t JOIN u ON u.n = t.n WHERE t.d > ? / 2',
    'UPDATE t SET id = id + 100, n = n + ?, s = LEFT(?, 15) WHERE id < 4',
    'UPDATE t SET id = id + 100, d = ? * ?, at = ? WHERE d > ? / 2',
  ],
}

/** Beside `? / ?`, what stands elsewhere in the statement matters to MySQL. */
const five = [integer(5), integer(5), integer(3)]
const mixed: readonly (readonly [sql: string, ...params: Param[]])[] = [
  ['INSERT INTO t (id, s) VALUES (101, ? / ?), (102, ?), (103, ?), (104, ?)', integer(5), integer(4), integer(1), integer(1), double(0.5)],
  ...[integer(1), text('1.5')].map(
    (last) =>
      [
        'INSERT INTO v (id, f, n) VALUES (101, ? / ?, ?), (102, ? / ?, ?)',
        integer(5),
        integer(3),
        integer(1),
        integer(5),
        integer(3),
        last,
      ] as const,
  ),
  ['INSERT INTO v (id, f, n) VALUES (101, ? / ?, ?), (102, ?, ?)', integer(5), integer(3), integer(1), integer(5), text('1.5')],
  ['INSERT INTO v (id, f, n) VALUES (1, 0, 0), (2, 0, ?), (3, ? / ?, 0) ON DUPLICATE KEY UPDATE f = VALUES(f) + ?', text('1.5'), ...five],
  ['UPDATE v SET f = ? / ? ORDER BY n, id LIMIT 2', integer(5), integer(3)],
  ["DELETE FROM v WHERE CONCAT(? / ?, n) = '1.250' ORDER BY n + ? LIMIT 2", integer(5), integer(4), double(1)],
  ['UPDATE v JOIN u ON u.n = v.n SET v.n = ?, v.f = ? / ? + u.n', ...five],
  ['UPDATE v JOIN u ON u.n = v.n SET v.f = ? / ?, v.s = u.n WHERE u.n < ?', integer(5), integer(3), double(0.5)],
  ['UPDATE v JOIN u ON u.n = v.n SET v.f = ? / ?, v.s = u.n WHERE u.n < ?', integer(5), integer(3), integer(2)],
  ['INSERT INTO v (id, n, f) SELECT id + 100, ?, ? / ? FROM u', ...five],
  ['INSERT INTO v (id, n, f) SELECT id + 100, n + ?, ? / ? FROM u', text('1.5'), integer(5), integer(3)],
  ['UPDATE v SET id = id + 100, f = ? / ? WHERE n < ?', integer(5), integer(3), double(0.5)],
  ['UPDATE v SET id = id + 100, f = ? / ? WHERE n < ?', ...five],
]

/** Its parameters go to two places. */
const apart: readonly (readonly [sql: string, ...params: Param[]])[] = [
  ['INSERT INTO v (id, f, n) VALUES (101, ? / ?, DEFAULT), (102, ?, ?)', integer(5), integer(3), integer(5), text('1.5')],
  ['UPDATE v SET f = ? / ? WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), integer(3), text('0.5')],
  ['UPDATE v SET f = ? / 3.0 WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), text('0.5')],
  ['UPDATE v SET f = ? / d WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), text('0.5')],
  ['UPDATE v SET f = d * ? / 3 WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), text('0.5')],
  ['UPDATE v SET s = LEFT(d * ?, 15) WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), text('0.5')],
  ['UPDATE v SET f = ABS(?) WHERE n IN (SELECT n FROM u WHERE n > ?)', integer(5), text('0.5')],
  ['INSERT INTO v (id, n) SELECT id + 1, n + ? FROM u ON DUPLICATE KEY UPDATE f = ? / ?', double(0.5), integer(5), integer(3)],
  ['INSERT INTO v (id, f) SELECT id + 100, ? / ? FROM u ON DUPLICATE KEY UPDATE n = v.n + ?', integer(5), integer(3), text('1.5')],
]

/** What a column or a literal says the type of. */
const typed = [
  'n / ?',
  'id / (n + ?)',
  '5 / ?',
  '? / 3',
  '(n + 2) / ?',
  'IF(?, ?, 2)',
  'GREATEST(?, ?)',
  'CASE WHEN n < ? THEN ? ELSE 2 END',
  'f / ?',
  'd / ?',
  '? DIV 3',
  'd + ?',
  'd * ?',
  'ABS(d - ?)',
  'ROUND(n / ?, 2)',
  'CONCAT(?)',
  'COALESCE(?, d)',
  'CAST(? AS DECIMAL(10,2)) / 3',
  "CONCAT(CAST(? AS SIGNED) * 2, '')",
  'POW(?, ?)',
  '(n - ?) * (n + ?)',
  'n % ?',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id', u: 'by id', v: 'by id' }, plain: 'one' },
        tables: [
          't (id BIGINT PRIMARY KEY, n INT, d DECIMAL(10,2), s VARCHAR(20), at DATETIME(3) NULL, b BIT(6) NULL)',
          'u (id BIGINT PRIMARY KEY, n INT)',
          'v (id BIGINT PRIMARY KEY, n INT, s VARCHAR(20), f DOUBLE, d DECIMAL(12,4))',
        ],
        flavour,
      })
      beside = await besideOne(world)
      const rows = Array.from(
        { length: 12 },
        (_, i) => `(${i + 1}, ${i % 3}, ${i}.25, '${'abc'[i % 3]}', '2024-01-${10 + i} 01:02:03.125', ${i})`,
      ).join()
      for (const on of [beside.one, beside.c]) {
        await on.query(`INSERT INTO t VALUES ${rows}`)
        await on.query('INSERT INTO u VALUES (1, 0), (2, 1)')
        await on.query("INSERT INTO v VALUES (1, 0, 'a', 0.5, 5), (2, 1, 'b', 1.5, 7), (3, 2, 'c', 2.5, 8)")
      }
    })
    after(async () => {
      await beside?.close()
      await world?.stop()
    })

    /** A column's name and type, and a row, a line; or by what number it is refused. */
    async function answers(on: Connection, sql: string, params: readonly Param[]): Promise<string[]> {
      const statement = await on.prepare(sql)
      try {
        const stream = await on.executedRows(execution(statement.id, params))
        const rows = await textsOf(stream)
        const columns = stream.columns.map(
          ({ name, type, decimals, flags, charset }) =>
            `${name}: ${type}, ${decimals} decimals, charset ${charset}${(flags & 0x20) === 0 ? '' : ', unsigned'}`,
        )
        return [...columns, ...rows]
      } catch (error) {
        if (!isServerError(error)) throw error
        return [String(error.errno)]
      } finally {
        statement.close()
      }
    }

    async function alike(sql: string, params: readonly Param[]): Promise<void> {
      const told = params.map(({ type, text }) => `${type} ${text}`).join(', ')
      assert.deepEqual(await answers(beside.c, sql, params), await answers(beside.one, sql, params), `${sql} of ${told}`)
    }

    test('promise 10: parameters of clauses that are about merged groups count in the types of the others', async () => {
      const order = 'ORDER BY (? * ?) DESC, s'
      const cases: [sql: string, ...params: number[]][] = [
        [`SELECT (? * ?) AS k0, s AS k1, MIN(n) FROM t GROUP BY k0, k1 ${order}`, 5, 4, 5, 4],
        [`SELECT (? * ?) AS k0, s AS k1, MIN(n) FROM t GROUP BY k0, k1 HAVING MIN(id) IS NOT NULL ${order} LIMIT ?`, 5, 4, 5, 4, 9],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? ORDER BY s', 5, 4, 0],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? ORDER BY s', 5, 4, 0.5],
        ['SELECT s, ? / ? AS q, COUNT(*) FROM t GROUP BY s HAVING COUNT(*) > ? AND NOT MIN(n) > ? ORDER BY s', 5, 4, 3.5, 1],
        ['SELECT s, ? * ? AS q, SUM(n + ?) FROM t WHERE n < ? GROUP BY s HAVING ? < COUNT(*) ORDER BY s', 5, 4, 1, 2, 0.5],
        ['SELECT ? / ? AS q, COUNT(*) FROM t HAVING COUNT(*) > ?', 5, 4, 0.5],
        ['SELECT DISTINCT n, ? * ? AS q FROM t ORDER BY n + ?, n', 5, 4, 0.5],
        ['SELECT (? * ?) AS q, id FROM t ORDER BY (? * ?), id LIMIT ?', 5, 4, 5, 4, 3],
      ]
      for (const [sql, ...params] of cases)
        await alike(
          sql,
          params.map((value) => (Number.isInteger(value) ? integer(value) : double(value))),
        )
    })

    for (const [what, sqls] of Object.entries({
      'one shard, and rows of several': [
        'SELECT ? AS v',
        'SELECT ? AS v FROM t WHERE id = 1',
        'SELECT ? AS v, id FROM t ORDER BY id',
        'SELECT COALESCE(at, ?) AS v, IFNULL(?, n), n + ? FROM t ORDER BY id',
        'SELECT id FROM t WHERE at > ? ORDER BY id',
      ],
      groups: [
        'SELECT ? AS v, COUNT(*) FROM t GROUP BY n ORDER BY n',
        'SELECT MIN(?), MAX(COALESCE(n, ?)), SUM(b + ?) FROM t',
        'SELECT n, COUNT(*) FROM t WHERE b > ? GROUP BY n ORDER BY n',
        'SELECT DISTINCT n, ? AS v FROM t ORDER BY n',
      ],
      'rows that are put together': [
        'SELECT ? AS v, x.id, y.id FROM t x JOIN t y ON y.n = x.n AND y.id < 3 ORDER BY 2, 3',
        'SELECT MIN(?), MAX(COALESCE(x.b, ?)), MAX(COALESCE(x.at, ?)) FROM t x JOIN t y ON y.n = x.n AND y.id < 3',
        'SELECT ? AS v UNION SELECT n FROM t ORDER BY 1',
        'SELECT n FROM t WHERE id < 3 UNION ALL SELECT ? FROM t WHERE id > 10 ORDER BY 1',
      ],
    }))
      test(`promise 10: a parameter is what the client sends it as; ${what}`, async () => {
        for (const sql of sqls)
          for (const param of given)
            await alike(
              sql,
              Array.from({ length: sql.split('?').length - 1 }, () => param),
            )
      })

    test('promise 10: what several shards write has the types of the parameters, too', async () => {
      const numbers = [integer(5), double(1.5)]
      const texts = ['5', '1.5'].map((text): Param => ({ type: columnType.varString, text }))
      const times = given.filter(({ type, text }) => text !== null && type >= columnType.date && type <= columnType.datetime)
      const cases: [sql: string, params: readonly Param[]][] = [
        ['UPDATE t SET n = ? / 2', [...numbers, ...texts, ...times]],
        ['UPDATE t SET n = n + ? WHERE n < 5', [...numbers, ...texts, ...times]],
        ['UPDATE t SET s = LEFT(?, 10), at = ?', times],
        ['UPDATE t SET d = COALESCE(?, d) WHERE b + ? > 7', [...numbers, ...texts, ...times]],
        ['DELETE FROM t WHERE at > ?', times],
        ['DELETE FROM t WHERE at > ? ORDER BY id LIMIT 2', times],
        ['INSERT INTO t (id, at) VALUES (101, ?), (102, ?), (103, ?), (104, ?)', times],
        ['INSERT INTO t (id, n) SELECT id + 100, n + ? FROM t', [...numbers, ...times]],
        ['UPDATE t JOIN u ON u.n = t.n SET t.n = u.n + ?', [...numbers, ...times]],
      ]
      for (const [sql, each] of cases)
        for (const param of each) {
          const said: string[][] = []
          for (const on of [beside.c, beside.one]) {
            await on.query('BEGIN')
            const params = Array.from({ length: sql.split('?').length - 1 }, () => param)
            said.push([...(await answers(on, sql, params)), ...(await beside.answer(on, 'SELECT * FROM t ORDER BY id'))])
            await on.query('ROLLBACK')
          }
          assert.deepEqual(said[0], said[1], `${sql} of ${param.type} ${param.text}`)
        }
    })

    /** What is said and what stands there afterwards; of what is refused, that it is. */
    async function written(on: Connection, sql: string, params: readonly Param[]): Promise<string> {
      await on.query('BEGIN')
      const said = await answers(on, sql, params)
      const rows = await beside.answer(on, `SELECT * FROM ${/\bv\b/.test(sql) ? 'v' : 't'} ORDER BY id`)
      await on.query('ROLLBACK')
      return [/^\d+$/.test(said[0] ?? '') ? 'refused' : said, ...rows].join('\n')
    }

    for (const [what, sqls] of Object.entries(writes))
      test(`promise 10: what is stored of parameters is what one server stores; ${what}`, async () => {
        const unlike: string[] = []
        for (const sql of sqls)
          for (const param of stored) {
            // What a condition makes of such text is an error in a write and a warning where its rows are looked for.
            if (what !== 'rows of VALUES' && param.text === 'abc') continue
            const params = Array.from({ length: sql.split('?').length - 1 }, () => param)
            const [ours, theirs] = [await written(beside.c, sql, params), await written(beside.one, sql, params)]
            if (ours !== theirs) unlike.push(`${sql} of ${param.type} ${param.text}:\n${differing(ours, theirs)}`)
          }
        assert.deepEqual(unlike, [])
      })

    test('promise 10: parameters count in the types of others that go to other places', async () => {
      const unlike: string[] = []
      const cases = [...mixed]
      for (const value of typed)
        for (const number of [integer(5), { type: columnType.newdecimal, text: '5.0' }]) {
          const params = Array.from({ length: value.split('?').length - 1 }, () => number)
          cases.push([`UPDATE v SET f = ${value} WHERE n IN (SELECT n FROM u WHERE n > ?)`, ...params, text('0.5')])
          cases.push([`UPDATE v SET s = ${value} WHERE n IN (SELECT n FROM u WHERE n > ?)`, ...params, text('0.5')])
          cases.push([`INSERT INTO v (id, n, f) VALUES (1, 0, 0), (2, ?, 0) ON DUPLICATE KEY UPDATE f = ${value}`, text('1.5'), ...params])
        }
      if (flavour === 'mariadb') cases.push(...apart)
      for (const [sql, ...params] of cases) {
        const [ours, theirs] = [await written(beside.c, sql, params), await written(beside.one, sql, params)]
        if (ours !== theirs) unlike.push(`${sql} of ${params.map((param) => param.text).join()}:\n${differing(ours, theirs)}`)
      }
      assert.deepEqual(unlike, [])
      if (flavour === 'mysql')
        for (const [sql, ...params] of apart) {
          const statement = await beside.c.prepare(sql)
          await assert.rejects(beside.c.executed(execution(statement.id, params)), /SW-GATE-100: .*parameters alone/, sql)
          statement.close()
        }
    })

    test('promise 10: digits that || makes text of under PIPES_AS_CONCAT', async () => {
      for (const on of [beside.c, beside.one]) await on.query("SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')")
      const sql = "UPDATE v SET s = '' || (d * ?) WHERE n IN (SELECT n FROM u WHERE n > ?)"
      const params = [integer(5), text('0.5')]
      if (flavour === 'mysql') {
        const statement = await beside.c.prepare(sql)
        await assert.rejects(beside.c.executed(execution(statement.id, params)), /SW-GATE-100: .*parameters alone/)
        statement.close()
      } else assert.equal(await written(beside.c, sql, params), await written(beside.one, sql, params))
      for (const on of [beside.c, beside.one]) await on.query('SET sql_mode = DEFAULT')
    })
  })
}

/** The first lines that are not the same. */
function differing(ours: string, theirs: string): string {
  const [a, b] = [ours.split('\n'), theirs.split('\n')]
  const at = a.findIndex((line, i) => line !== b[i])
  return `${a[at] ?? ''} | ${b[at] ?? ''}`
}
