/** A prepared SET with parameters: the gate keeps what it sets, for all of the session's connections; beside one server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import { double, execution, integer, text, type Param } from './testkit/execution.ts'
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
const others: readonly Param[] = [
  text("aé'\\x"),
  text(''),
  { type: columnType.blob, text: 'a\0b' },
  { type: columnType.datetime, text: '2024-01-02 03:04:05' },
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
        for (const on of [beside.one, beside.c]) await on.query('SET sql_select_limit = DEFAULT, lc_time_names = DEFAULT')
      }
      assert.deepEqual(unlike, [])
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

/** What is there afterwards; in front of it by what number it is refused. */
async function answers(on: Connection, sql: string, param: Param, then: string): Promise<string> {
  let refused = ''
  try {
    await executed(on, sql, param)
  } catch (error) {
    if (!isServerError(error)) throw error
    refused = `${error.errno} `
  }
  const rows: string[] = []
  const stream = await on.rows(then)
  for await (const batch of stream) for (let i = 0; i < batch.length; i++) rows.push(batch.row(i).map(String).join('/'))
  return refused + rows.join(' ')
}
