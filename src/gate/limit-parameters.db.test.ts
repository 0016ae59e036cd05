/** Promise 10: LIMIT ? and OFFSET ? over several shards, given each type that a client may bind: beside one server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { columnType } from '../wire/column-types.ts'
import { execution, textsOf, type Param } from './testkit/execution.ts'
import { besideOne, gateOnServer, overFour } from './testkit/gate-on-server.ts'

type Type = keyof typeof columnType

const of = (types: readonly Type[], texts: readonly (string | null)[], more: { unsigned?: true } = {}): Param[] =>
  types.flatMap((type) => texts.map((text) => ({ type: columnType[type], text, ...more })))

const likeNumbers = ['3', '03', '0', ' 3', '\t3', '+3', '-1', '-2', '999999999999999999']
/** Of these MariaDB warns. */
const otherTexts = ['3x', '', 'a', '1.5', '3 ', '+-3', '-', '1e1', '0x3', '.5', '-1x', '18446744073709551616', '-99999999999999999999']

const given: readonly Param[] = [
  ...of(['tiny', 'short', 'long', 'longlong'], ['3', '0', '-1', null]),
  ...of(['tiny', 'longlong'], ['200'], { unsigned: true }),
  ...of(['longlong'], ['18446744073709551615'], { unsigned: true }),
  ...of(['longlong'], ['9223372036854775807', '-9223372036854775808']),
  ...of(
    ['float', 'double'],
    ['3', '0', '0.5', '1.5', '2.5', '2.4', '3.5', '-0.4', '-0.5', '-0.6', '-1', '1e18', '1e19', '1e30', '-1e30', null],
  ),
  ...of(['decimal', 'newdecimal'], ['3', '03', '0', '2.0', '2.4', '2.5', '2.50', '3.5', '-0.4', '-0.5', '-1', '99999', null]),
  ...of(['varchar', 'varString', 'string', 'tinyBlob', 'mediumBlob', 'longBlob', 'blob'], likeNumbers),
  ...of(['varString', 'blob'], [...otherTexts, null]),
  ...of(['json', 'enum', 'set', 'bit'], ['3', 'a']),
  ...of(['date', 'datetime', 'timestamp'], ['2024-01-02 00:00:00']),
  ...of(['time'], ['00:00:03']),
  ...of(['null'], [null]),
]

const statements = [
  'SELECT id FROM t ORDER BY id LIMIT ?',
  'SELECT id FROM t ORDER BY id LIMIT 3 OFFSET ?',
  'SELECT id FROM t ORDER BY id LIMIT ?, 3',
  'SELECT DISTINCT n FROM t ORDER BY n LIMIT ?',
  'SELECT MAX(id) FROM t LIMIT ?',
  'SELECT LAST_INSERT_ID() LIMIT ?',
  'SELECT COUNT(DISTINCT n) FROM t LIMIT ?',
  'UPDATE t SET n = 9 ORDER BY id LIMIT ?',
  'DELETE FROM t ORDER BY id LIMIT ?',
  'DELETE FROM t WHERE id = 3 LIMIT ?',
]

for (const flavour of flavours())
  test(`promise 10: a parameter of LIMIT and OFFSET is what it is to one server, or is refused; ${flavour}`, async () => {
    const world = await gateOnServer({
      keyspaces: { shop: overFour(['t']), plain: 'one' },
      tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
      flavour,
    })
    const { c, one, alike, close } = await besideOne(world)
    try {
      const rows = Array.from({ length: 12 }, (_, i) => `(${i + 1}, ${i % 3})`)
      for (const on of [c, one]) await on.query(`INSERT INTO t VALUES ${rows.join()}`)
      const [unlike, refused] = [new Set<string>(), new Set<string>()]
      for (const sql of statements)
        for (const param of given) {
          const [ours, theirs] = [await answered(c, sql, param), await answered(one, sql, param)]
          const told = `${nameOf(param)} ${JSON.stringify(param.text)}`
          if (ours.includes('SW-GATE-131')) refused.add(told)
          else if (ours !== theirs) unlike.add(`${sql} of ${told}: ${ours}, one server ${theirs}`)
        }
      assert.deepEqual([...unlike], [])
      const warned = ['varString', 'blob'].flatMap((name) => otherTexts.map((text) => `${name} ${JSON.stringify(text)}`))
      const others = ['enum "a"', 'set "3"', 'set "a"', 'bit "3"', 'bit "a"', 'time "00:00:03"']
      const times = ['date', 'datetime', 'timestamp'].map((name) => `${name} "2024-01-02 00:00:00"`)
      assert.deepEqual([...refused].sort(), flavour === 'mysql' ? [] : [...warned, ...others, ...times].sort())
      // As text.
      for (const sql of ['UPDATE t SET n = 9 ORDER BY id LIMIT 0', 'UPDATE t SET n = n LIMIT 20', 'DELETE FROM t ORDER BY id LIMIT 0'])
        await alike(sql)
    } finally {
      await close()
      await world.stop()
    }
  })

const nameOf = ({ type }: Param): string => Object.entries(columnType).find(([, code]) => code === type)?.[0] ?? String(type)

/** Taken back. */
async function answered(on: Connection, sql: string, param: Param): Promise<string> {
  const statement = await on.prepare(sql)
  await on.query('BEGIN')
  try {
    if (sql.startsWith('SELECT')) return (await textsOf(await on.executedRows(execution(statement.id, [param])))).join()
    const result = await on.executed(execution(statement.id, [param]))
    return result.kind === 'ok' ? `${result.affectedRows} ${result.info}` : 'rows'
  } catch (error) {
    if (!isServerError(error)) throw error
    return `${error.errno} ${error.serverMessage}`
  } finally {
    await on.query('ROLLBACK')
    statement.close()
  }
}
