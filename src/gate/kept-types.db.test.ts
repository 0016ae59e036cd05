/** Executions of one prepared statement with parameters of other types than before, over several shards: beside one server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import { double, execution, integer, text, textsOf, type Param } from './testkit/execution.ts'
import { besideOne, gateOnServer } from './testkit/gate-on-server.ts'

const decimal = (value: string): Param => ({ type: columnType.newdecimal, text: value })
const datetime = (value: string): Param => ({ type: columnType.datetime, text: `${value} 00:00:00` })
const time = (value: string): Param => ({ type: columnType.time, text: value })
const none: Param = { type: columnType.null, text: null }

const statements = [
  ...['e = ?', 's = ?', 'f = ?', 'd = ?', 's IN (?)', 'id > ?'].map((condition) => `SELECT id FROM t WHERE ${condition} ORDER BY id`),
  'SELECT ? AS v FROM t ORDER BY id LIMIT 1',
  'SELECT id, f + ? AS v FROM t ORDER BY id',
  'SELECT e, MIN(?) FROM t GROUP BY e ORDER BY e',
]

/** What each execution of one statement is given. */
const alike: readonly (readonly Param[])[] = [
  [integer(1), text('5'), text('0')],
  [integer(5), none, text('05')],
  [text('5'), integer(5), text('5')],
  [double(5), text('5'), text('1.5'), integer(2), decimal('2.5')],
  [integer(1), double(1.5), text('1.5'), integer(2)],
  [decimal('1.5'), integer(5), text('2.5'), double(1.5), decimal('2.5')],
  [text('abc'), text('a'), text('5x')],
  [text('a'), integer(1), double(1)],
  [datetime('2024-01-02'), text('2024-01-04 00:00:00'), none, datetime('2024-01-03')],
  [integer(20240102), datetime('2024-01-03'), text('2024-01-04 00:00:00')],
  [time('10:00:00'), text('11:00:00')],
]
/** Of the last nobody knows at the gate what MySQL would make. */
const refused: readonly (readonly Param[])[] = [
  [integer(1), text('a')],
  [integer(1), text('1.5')],
  [integer(1), text('-5')],
  [text('a'), integer(1), text('a')],
  [double(5), text('5x')],
  [datetime('2024-01-02'), text('soon')],
  [datetime('2024-01-03'), integer(20240102)],
]

for (const flavour of flavours())
  test(`promise 10: a parameter goes on as MySQL has it go on, whatever connections the parts run on, or is refused; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: { t: 'by id' }, plain: 'one' },
      tables: ["t (id BIGINT PRIMARY KEY, e ENUM('a','b'), s VARCHAR(20), d DATETIME, f DECIMAL(10,2))"],
      flavour,
    })
    const beside = await besideOne(world)
    try {
      for (const on of [beside.one, beside.c])
        await on.query(
          "INSERT INTO t VALUES (1,'a','abc','2024-01-02',1.5), (2,'b','5x','2024-01-03',2.5), (3,'a','5','2024-01-04',5), (4,'b','0','2024-01-05',0)",
        )
      const unlike: string[] = []
      for (const sql of statements) {
        for (const given of alike) {
          const [ours, theirs] = [await answers(beside.c, sql, given), await answers(beside.one, sql, given)]
          if (ours.join() !== theirs.join())
            unlike.push(`${sql} of ${told(given)}:\n  ours   ${ours.join(' | ')}\n  theirs ${theirs.join(' | ')}`)
        }
        for (const given of refused) {
          const [ours, theirs] = [await answers(beside.c, sql, given), await answers(beside.one, sql, given)]
          if (flavour === 'mysql') theirs[given.length - 1] = '1235'
          if (ours.join() !== theirs.join()) unlike.push(`${sql} of ${told(given)}: ${ours.join(' | ')}`)
        }
      }
      assert.deepEqual(unlike, [], unlike.join('\n'))
    } finally {
      await beside.close()
      await world.stop()
    }
  })

const blob = (value: string): Param => ({ type: columnType.blob, text: value })
const unsigned = (value: string): Param => ({ type: columnType.longlong, unsigned: true, text: value })

const writes = [
  ...['n', 's', 'c', 'b', 'j'].flatMap((column) => [
    `INSERT INTO w (id, ${column}) VALUES (11, ?), (12, ?), (13, ?), (14, ?)`,
    `UPDATE w SET ${column} = ?`,
  ]),
  'INSERT INTO w (id, m) VALUES (1, 1), (2, 1), (3, 1), (4, 1) ON DUPLICATE KEY UPDATE s = ?',
  'UPDATE w SET m = 1 WHERE n = ?',
  'UPDATE w SET m = 1 WHERE s = ?',
  'DELETE FROM w WHERE at = ?',
  'UPDATE w SET m = 1 WHERE s IN (SELECT s FROM u WHERE s = ?)',
  ...['n + ?', 'CONCAT(?)', 'CAST(? AS CHAR)'].flatMap((value) => [
    `UPDATE w SET s = ${value}`,
    `INSERT INTO w (id, s) SELECT id + 10, ${value} FROM w`,
  ]),
  'INSERT INTO w (id, s) VALUES (11, CONCAT(?)), (12, ?), (13, ? + 1), (14, ?)',
  'REPLACE INTO w (id, s) VALUES (1, ?), (2, ?), (3, ?)',
  'DELETE FROM w WHERE id = ?',
]
const afterNumbers: readonly Param[] = [
  ...[
    '5',
    '05',
    '-5',
    '+5',
    '1.5',
    '01.50',
    '-1.5',
    '.5',
    '5.',
    '5x',
    '1e2',
    '1.5e1',
    ' 5',
    '5 ',
    '\t5',
    '',
    'abc',
    '0',
    '-0',
    '00',
    '0x10',
  ].map(text),
  ...['18446744073709551615', '99999999999999999999999', '123456789012345678901.5', '{"a":1}', 'ä', '2024-01-02', '10:11:12', '1e400'].map(
    text,
  ),
  blob('abc'),
  blob('5'),
  none,
  integer(7),
  integer(-7),
  unsigned('18446744073709551615'),
  double(1.5),
  decimal('2.50'),
  datetime('2024-01-03'),
]
const afterTimes: readonly Param[] = [
  ...['abc', '2024-01-02', '2024-01-02 01:02:03', '2024-01-02 01:02:03.5', '10:11:12', '5', '20240102', ''].map(text),
  none,
  integer(7),
  double(1.5),
  datetime('2024-01-03'),
]

/** All that was before, and what may come now. */
const befores: readonly (readonly [readonly Param[], readonly Param[]])[] = [
  [[integer(5)], afterNumbers],
  [[decimal('2.5')], afterNumbers.slice(0, 13)],
  [[double(1.5)], afterNumbers.slice(0, 13)],
  [
    [text('a'), integer(5), text('1.5'), none],
    [text('05'), text('abc'), integer(6)],
  ],
  [
    [integer(5), text('abc')],
    [text('05'), text('abc'), integer(6)],
  ],
  [[{ type: columnType.date, text: '2024-01-02' }], afterTimes],
  [[datetime('2024-01-02')], afterTimes],
  [[time('10:00:00')], afterTimes],
]
/** Of these all must be done, as one server does them. */
const mustBeDone = new Set(['5', '1.5', '-5', 'abc', '05'])

for (const flavour of flavours().filter((one) => one === 'mysql'))
  test(`promise 10: what a write makes of a parameter that was another type before is what one server makes of it, or it is refused; ${flavour}`, async () => {
    const shop = { w: 'by id', u: 'by id' } as const
    const world = await gateOnServer({
      keyspaces: { shop, plain: 'one' },
      tables: ['w', 'u'].map(
        (name) =>
          `${name} (id BIGINT PRIMARY KEY, n INT, f DOUBLE, d DECIMAL(10,2), s VARCHAR(40), c CHAR(40) CHARACTER SET latin1, at DATETIME(3), e ENUM('a','abc','5'), b BIT(40), y BLOB, j JSON, m INT)`,
      ),
      flavour,
    })
    const beside = await besideOne(world)
    try {
      for (const on of [beside.one, beside.c])
        for (const table of ['w', 'u'])
          await on.query(
            `INSERT INTO ${table} (id, n, f, d, s, c, at, e, b) VALUES (1,5,1.5,2.5,'abc','5','2024-01-02','a',5), (2,7,1.1,3,'5x','abc','2024-01-03 01:02:03','5',7), (3,20240102,5,5,'5','1.5','2024-01-02','abc',1), (4,0,0,0,'05','a','2024-01-04','a',0)`,
          )
      const unlike: string[] = []
      let [done, refusals] = [0, 0]
      for (const sql of writes)
        for (const [first, then] of befores)
          for (const last of then) {
            const given = [...first, last]
            // A NULL has no type here, and no text is compared with it as a number.
            if (last === none && sql.includes('s = ?') && sql.includes('m = 1')) continue
            const [ours, theirs] = [await stored(beside.c, sql, given), await stored(beside.one, sql, given)]
            const plain = first[0]?.type !== columnType.date && /VALUES \(11, \?\)|^UPDATE w SET \w+ = \?/.test(sql)
            if (ours.startsWith('1235') && !(plain && isNumber(first[0]) && mustBeDone.has(last.text ?? ''))) refusals++
            // Of a negative number as bits: as a literal it is another error.
            else if (ours === theirs || (/^\d{4}\n/.test(ours) && /^\d{4}\n/.test(theirs))) done++
            else unlike.push(`${sql} of ${told(given)}:\n  ours   ${ours.slice(0, 400)}\n  theirs ${theirs.slice(0, 400)}`)
          }
      assert.deepEqual(unlike.slice(0, 20), [], `${unlike.length}: ${unlike.slice(0, 20).join('\n')}`)
      assert.ok(refusals < done, `${refusals} refused, ${done} done`)
    } finally {
      await beside.close()
      await world.stop()
    }
  })

const isNumber = (param: Param | undefined): boolean =>
  param !== undefined && ![columnType.date, columnType.datetime, columnType.time].includes(param.type as 10)

for (const flavour of flavours())
  test(`promise 10: executions of one statement that go to one shard each, or to any connection, have the types of their own session; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: { w: 'by id' }, plain: 'one' },
      tables: ['w (id BIGINT PRIMARY KEY, s VARCHAR(40))'],
      flavour,
    })
    const beside = await besideOne(world)
    try {
      for (const on of [beside.one, beside.c])
        await on.query("INSERT INTO w VALUES (1,'5'), (2,'05'), (3,'5'), (4,'1.50'), (5,'5'), (6,'a')")
      for (const [sql, ...given] of [
        ['SELECT s, s = ? AS v FROM w WHERE id = ?', integer(5), text('5'), text('05'), integer(6), text('5'), text('05')],
        ['UPDATE w SET s = ? WHERE id = ?', integer(5), text('05'), text('1e2'), text('abc'), text(' 7'), text('5')],
        ['UPDATE w SET s = ? WHERE id = ?', double(5), text('1.50'), integer(7), text('abc'), none, text('05')],
        ['REPLACE INTO w (s, id) VALUES (?, ?)', integer(5), none, text('05'), text('1.50'), text('ä'), integer(7)],
        ['UPDATE w SET s = CONCAT(?) WHERE id = ?', text('a'), decimal('5.50'), integer(5), text('1.50'), text('a'), text('b')],
      ] as [string, ...Param[]][]) {
        const told: string[][] = []
        for (const on of [beside.c, beside.one]) {
          await on.query('BEGIN')
          const statement = await on.prepare(sql)
          const out: string[] = []
          for (const [i, param] of given.entries())
            try {
              const stream = await on.executedRows(execution(statement.id, [param, integer(i + 1)]))
              out.push(...stream.columns.map(({ type }) => String(type)), ...(await textsOf(stream)))
            } catch (error) {
              if (!isServerError(error)) throw error
              out.push(String(error.errno))
            }
          statement.close()
          told.push([...out, ...(await beside.answer(on, 'SELECT s, HEX(s) FROM w ORDER BY id'))])
          await on.query('ROLLBACK')
        }
        const refused = flavour === 'mysql' && told[0]?.includes('1235')
        assert.ok(!refused || sql.includes('CONCAT'), `${sql}: ${told[0]?.join()}`)
        if (!refused) assert.deepEqual(told[0], told[1], sql)
      }
      for (const [keyspace, sql] of [
        ['shop', 'SELECT ? AS v FROM w WHERE id = 1'],
        ['plain', 'SELECT ? AS v'],
      ] as const) {
        await using a = await world.session(keyspace)
        await using b = await world.session(keyspace)
        assert.deepEqual(await answers(a, sql, [text('a'), integer(1)]), ['a', '1'])
        assert.deepEqual(await answers(b, sql, [text('05'), text('a')]), ['05', 'a'], keyspace)
        assert.deepEqual(await answers(a, sql, [integer(1), double(1.5)]), ['1', '1.5'])
        assert.deepEqual(await answers(b, sql, [integer(7), text('5')]), ['7', '5'], keyspace)
      }
    } finally {
      await beside.close()
      await world.stop()
    }
  })

/** What the last execution says, and what stands there then. */
async function stored(on: Connection, sql: string, given: readonly Param[]): Promise<string> {
  const statement = await on.prepare(sql)
  let out = ''
  const count = sql.split('?').length - 1
  for (const [i, param] of given.entries()) {
    await on.query('BEGIN')
    try {
      const result = await on.executed(
        execution(
          statement.id,
          Array.from({ length: count }, () => param),
        ),
      )
      out = result.kind === 'ok' ? `${result.affectedRows} ${result.info.replace(/\d+\D*$/, '')}` : 'rows'
    } catch (error) {
      if (!isServerError(error)) throw error
      out = String(error.errno)
    }
    if (i < given.length - 1) {
      await on.query('ROLLBACK')
      continue
    }
    const rows = await on.query('SELECT *, HEX(s), HEX(c), HEX(y) FROM w ORDER BY id')
    if (rows.kind === 'rows')
      out += `\n${rows.rows.map((row) => row.map((cell) => cell?.toString('latin1') ?? 'NULL').join('/')).join('\n')}`
    await on.query('ROLLBACK')
  }
  statement.close()
  return out
}

const told = (given: readonly Param[]): string => given.map(({ type, text: value }) => `${type}:${value}`).join(', ')

/** The rows of each execution, or by what number it is refused. */
async function answers(on: Connection, sql: string, given: readonly Param[]): Promise<string[]> {
  const statement = await on.prepare(sql)
  const out: string[] = []
  for (const param of given)
    try {
      out.push((await textsOf(await on.executedRows(execution(statement.id, [param])))).join(' '))
    } catch (error) {
      if (!isServerError(error)) throw error
      out.push(String(error.errno))
    }
  statement.close()
  return out
}
