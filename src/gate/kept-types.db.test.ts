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
