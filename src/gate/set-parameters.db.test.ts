/** A prepared SET with parameters: the gate keeps what it sets, for all of the session's connections; beside one server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { collation, columnType } from '../wire/column-types.ts'
import { double, execution, integer, text, textsOf, type Param } from './testkit/execution.ts'
import { besideOne, gateOnServer } from './testkit/gate-on-server.ts'

const numbers: readonly Param[] = [
  integer(5),
  double(1.5),
  double(5),
  { type: columnType.newdecimal, text: '1.50' },
  { type: columnType.float, text: '1.1' },
  { type: columnType.longlong, unsigned: true, text: '18446744073709551615' },
  { type: columnType.null, text: null },
]
const datetime: Param = { type: columnType.datetime, text: '2024-01-02 03:04:05' }
const others: readonly Param[] = [
  text("aé'\\x"),
  text(''),
  { type: columnType.blob, text: 'a\0b' },
  datetime,
  { type: columnType.time, text: '-10:00:00.500000' },
  { type: columnType.time, text: '10:00:00' },
  { type: columnType.date, text: '2024-01-02' },
]

for (const flavour of flavours())
  test(`promise 10: a prepared SET takes parameters of every type; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: { t: 'by id' }, plain: 'one' },
      tables: ['t (id BIGINT PRIMARY KEY)'],
      flavour,
    })
    const beside = await besideOne(world)
    try {
      const asked = 'SELECT @a, HEX(@a), @b'
      const cases: [sql: string, params: readonly Param[], then: string][] = [
        ['SET @a = ?, @b := ?', [...numbers, ...others], asked],
        ['SET @a = CAST(? AS CHAR), @b = 3', [...numbers, ...others.slice(0, 3)], asked],
        ['SET @a = ? - 2, @b = 2 * ?', numbers.slice(0, 4), asked],
        ['SET SESSION sql_select_limit = ?', [integer(7)], 'SELECT @@sql_select_limit'],
        ['SET lc_time_names = ?', [text('de_DE'), text('nowhere')], "SELECT DATE_FORMAT('2024-03-01', '%M')"],
      ]
      const unlike: string[] = []
      for (const keyspace of ['shop', 'plain']) {
        await beside.c.query(`USE ${keyspace}`)
        for (const [sql, params, then] of cases)
          for (const param of params) {
            const [ours, theirs] = [await answers(beside.c, sql, param, then), await answers(beside.one, sql, param, then)]
            if (ours !== theirs) unlike.push(`${keyspace}: ${sql} of ${param.type}:${param.text}: ${ours} instead of ${theirs}`)
          }
        for (const given of [
          [integer(5), text('7')],
          [datetime, text('2024-05-06 07:08:09')],
          [integer(5), text('1.5'), text('2.50')],
          [double(1.5), text('2.5'), integer(2)],
        ]) {
          const [ours, theirs] = [await oneByOne(beside.c, given), await oneByOne(beside.one, given)]
          if (ours !== theirs) unlike.push(`${keyspace}: one by one: ${ours} instead of ${theirs}`)
        }
        // What MySQL makes of it depends on the executions before.
        const other = oneByOne(beside.c, [integer(5), text('a')])
        await (flavour === 'mysql' ? assert.rejects(other, /SW-GATE-100: a prepared statement's parameter that was a number/) : other)
        for (const on of [beside.one, beside.c]) await on.query('SET sql_select_limit = DEFAULT, lc_time_names = DEFAULT')
      }
      assert.deepEqual(unlike, [])
      // To the account of the gate, on MySQL, by an OK that is no answer to a PREPARE.
      const denied = flavour === 'mysql' ? /SW-GATE-012: a statement that the server answers by an OK without preparing it/ : /1227/
      await beside.c.query('USE plain')
      await assert.rejects(beside.c.prepare('SET GLOBAL sql_select_limit = ?'), denied)
      assert.equal(await beside.c.value('SELECT 7'), '7')
      if (flavour === 'mysql')
        await assert.rejects(
          executed(beside.c, 'SET @a = ? + 1', text('1.5')),
          /SW-GATE-012: a text or time as parameter within an expression/,
        )
    } finally {
      await beside.close()
      await world.stop()
    }
  })

async function executed(on: Connection, sql: string, param: Param): Promise<void> {
  const statement = await on.prepare(sql)
  try {
    await on.executed(
      execution(
        statement.id,
        Array.from({ length: sql.split('?').length - 1 }, () => param),
      ),
    )
  } finally {
    statement.close()
  }
}

/** What is there after each execution of one statement, and whether it is bytes or DECIMAL. */
async function oneByOne(on: Connection, given: readonly Param[]): Promise<string> {
  const statement = await on.prepare('SET @a = ?')
  const told: string[] = []
  for (const param of given) {
    await on.executed(execution(statement.id, [param]))
    told.push(await rowsAndBytes(on, 'SELECT @a'))
  }
  statement.close()
  return told.join(', ')
}

async function rowsAndBytes(on: Connection, sql: string): Promise<string> {
  const stream = await on.rows(sql)
  const rows = await textsOf(stream)
  const areBytes = stream.columns.map(({ charset, type }) => charset === collation.binary && isText(type))
  const areDecimal = stream.columns.map(({ type }) => type === columnType.newdecimal)
  return `${rows.join(' ')} ${areBytes.join()} ${areDecimal.join()}`
}

function isText(type: number): boolean {
  return [columnType.varString, columnType.string, columnType.blob, columnType.mediumBlob, columnType.longBlob].some((one) => one === type)
}

/** What is there afterwards; in front of it by what number it is refused. */
async function answers(on: Connection, sql: string, param: Param, then: string): Promise<string> {
  let refused = ''
  try {
    await executed(on, sql, param)
  } catch (error) {
    if (!isServerError(error)) throw error
    refused = `${error.errno} `
  }
  return refused + (await rowsAndBytes(on, then))
}
