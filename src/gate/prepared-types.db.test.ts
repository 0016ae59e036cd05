/** What a prepared statement's parameters make of its columns, in answers made of several shards': types and values beside one server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import { writeTextAsBinary } from '../wire/binary-values.ts'
import { com } from '../wire/commands.ts'
import { frame } from '../wire/frames.ts'
import { Writer } from '../wire/writer.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

/** A parameter as a client may send it; null: NULL. */
type Param = { readonly type: number; readonly unsigned?: true; readonly text: string | null }

function execution(id: number, params: readonly Param[]): Buffer {
  const w = new Writer()
  w.u8(com.stmtExecute).u32(id).u8(0).u32(1)
  if (params.length === 0) return frame(w.take())
  const bitmapAt = w.length
  w.zeros((params.length + 7) >> 3).u8(1)
  for (const [i, { type, unsigned, text }] of params.entries()) {
    if (text === null) w.orAt(bitmapAt + (i >> 3), 1 << (i & 7))
    w.u8(type).u8(unsigned === true ? 0x80 : 0)
  }
  for (const { type, text } of params)
    if (text !== null) writeTextAsBinary(w, { type, flags: 0, decimals: 6, length: 0 }, Buffer.from(text))
  return frame(w.take())
}

const integer = (value: number): Param => ({ type: columnType.longlong, text: String(value) })
const double = (value: number): Param => ({ type: columnType.double, text: String(value) })

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

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let beside: BesideOne

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id', u: 'by id' }, plain: 'one' },
        tables: [
          't (id BIGINT PRIMARY KEY, n INT, d DECIMAL(10,2), s VARCHAR(20), at DATETIME(3) NULL, b BIT(6) NULL)',
          'u (id BIGINT PRIMARY KEY, n INT)',
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
        const rows: string[] = []
        for await (const batch of stream) for (let i = 0; i < batch.length; i++) rows.push(batch.row(i).map(String).join(' '))
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
  })
}
