/**
 * Promise 10: all warnings of a statement over shards are counted, and no more of them listed than one server lists (max_error_count); what is said of a column is said once.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, overFour, type GateOnServer } from './testkit/gate-on-server.ts'

const tooLong = (ids: readonly number[]): string => ids.map((id) => `(${id}, 'too long')`).join()

const statements = [
  `INSERT IGNORE INTO t VALUES ${tooLong([21])}`,
  `INSERT IGNORE INTO t VALUES ${tooLong([21, 22, 23, 24, 25, 26])}`,
  `INSERT INTO t VALUES (1, 'a')`,
  "UPDATE t SET w = 'too long'",
  "UPDATE t SET w = 'too long' WHERE id < 2",
  'SELECT CAST(w AS SIGNED) FROM t',
  'SELECT CAST(w AS SIGNED) FROM t WHERE id = 3',
  'SELECT MAX(CAST(w AS SIGNED)), COUNT(*) FROM t',
  'SELECT SUM(w) FROM t',
  "SELECT MAX(STR_TO_DATE(w, '%Y')) FROM t",
  'SELECT GROUP_CONCAT(CAST(w AS SIGNED)) FROM t',
  "INSERT IGNORE INTO t SELECT id + 40, CONCAT(w, 'xyz') FROM t",
  'DELETE FROM t WHERE id > 5 AND CAST(w AS SIGNED) = 0',
]
/** What is said of a column, and of it once. */
const ofColumns = [
  'INSERT INTO needed (id) VALUES (21)',
  'INSERT INTO needed (id) VALUES (21), (22), (23), (24), (25), (26)',
  'INSERT IGNORE INTO needed (id, n) VALUES (21, 1), (22, 1), (23, 1), (24, NULL), (25, 1), (26, NULL)',
  "INSERT IGNORE INTO needed VALUES (21, NULL, 'a'), (22, NULL, 'a'), (23, NULL, NULL), (24, NULL, NULL), (25, 1, 'b')",
  'REPLACE INTO needed (id, n) VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)',
  'INSERT IGNORE INTO needed (id, n) SELECT id + 40, NULL FROM t',
  'UPDATE needed SET n = NULL',
  "UPDATE needed SET n = NULL, w = 'c' WHERE id > 2",
]
const asked = [
  'SELECT @@warning_count AS w, @@error_count AS e',
  'SHOW COUNT(*) WARNINGS',
  'SHOW COUNT(*) ERRORS',
  'SHOW WARNINGS',
  'SHOW ERRORS',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        // A session of MySQL may not set it without a right of its own.
        settings: { max_error_count: 2 },
        keyspaces: {
          one: 'one',
          wide: overFour(['t', 'needed']),
        },
        tables: ['t (id BIGINT PRIMARY KEY, w VARCHAR(3))', 'needed (id BIGINT PRIMARY KEY, n INT NOT NULL, w VARCHAR(3) NOT NULL)'],
      })
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await one?.close()
      await world?.stop()
    })

    const told = async (on: Connection, sql: string, ask: string, form: 'text' | 'prepared'): Promise<unknown[]> => {
      await on.query('DELETE FROM t')
      await on.query('DELETE FROM needed')
      await on.query(`INSERT INTO t VALUES ${Array.from({ length: 12 }, (_, id) => `(${id}, 'n${id}')`).join()}`)
      await on.query(`INSERT INTO needed VALUES ${Array.from({ length: 12 }, (_, id) => `(${id}, ${id}, 'n${id}')`).join()}`)
      const statement = form === 'text' ? null : await on.prepare(sql)
      const out: unknown[] = []
      try {
        const result = await (statement === null ? on.query(sql) : statement.execute([]))
        out.push(result.kind === 'ok' ? [result.affectedRows, result.info, result.warnings] : result.warnings)
      } catch (error) {
        if (!isServerError(error)) throw error
        out.push(error.errno)
      } finally {
        statement?.close()
      }
      const rows = await on.allText(ask)
      // Each shard lists its own rows in a row.
      return [...out, ...rows.map((row) => (row['Code'] === undefined ? Object.values(row) : [row['Level'], row['Code']]).join(' ')).sort()]
    }

    for (const max of flavour === 'mariadb' ? [null, 0, 5] : [null])
      for (const form of ['text', 'prepared'] as const)
        for (const begins of [false, true])
          test(`promise 10: max_error_count ${max ?? '2, by default'}, ${form}, ${begins ? 'in' : 'outside of'} a transaction`, async () => {
            await using c = await world.session('wide')
            for (const on of [c, one]) {
              await on.query("SET sql_mode = ''")
              await on
                .query(`SET max_error_count = ${max ?? 'DEFAULT'}`)
                .catch((error: unknown) => assert.equal(flavour, 'mysql', String(error)))
            }
            for (const sql of statements)
              for (const ask of asked) {
                if (begins) for (const on of [c, one]) await on.query('BEGIN')
                assert.deepEqual(await told(c, sql, ask, form), await told(one, sql, ask, form), `${sql}; ${ask}`)
                if (begins) for (const on of [c, one]) await on.query('ROLLBACK')
              }
          })

    for (const form of ['text', 'prepared'] as const)
      test(`promise 10: what is said of a column is said once, ${form}`, async () => {
        await using c = await world.session('wide')
        for (const on of [c, one]) {
          await on.query("SET sql_mode = ''")
          if (flavour === 'mariadb') await on.query('SET max_error_count = 64')
        }
        for (const sql of ofColumns)
          for (const ask of asked) assert.deepEqual(await told(c, sql, ask, form), await told(one, sql, ask, form), `${sql}; ${ask}`)
      })
  })
}
