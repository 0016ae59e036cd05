/**
 * Promise 10: on MariaDB what a statement was warned of, or refused by, is told still after COMMIT, ROLLBACK, BEGIN, SAVEPOINT, SET and a SELECT without a table; on MySQL after none of them.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const warnedOf = [
  "INSERT IGNORE INTO t VALUES (1, 'abc')",
  "INSERT IGNORE INTO t VALUES (1, 'abc'), (2, 'b'), (3, 'b'), (4, 'x')",
  'INSERT INTO t VALUES (9, 1)',
  'INSERT INTO t VALUES (1, 1), (2, 1), (9, 1)',
] as const

/** Each sequence after each of them. */
const following = [
  'COMMIT',
  'ROLLBACK',
  'BEGIN',
  'START TRANSACTION READ ONLY',
  'COMMIT AND CHAIN',
  'SAVEPOINT a',
  'ROLLBACK TO a',
  'RELEASE SAVEPOINT a',
  'BEGIN; COMMIT',
  'COMMIT; BEGIN; SAVEPOINT b',
  'COMMIT; SELECT 1',
  'SELECT 1; ROLLBACK',
  'COMMIT; SHOW WARNINGS; COMMIT',
  'SELECT LAST_INSERT_ID(); COMMIT',
  'COMMIT; SELECT (SELECT 1)',
  'SET @v = 1; COMMIT',
  'COMMIT; SELECT COUNT(*) FROM t',
  'COMMIT; SELECT nowhere',
  'BEGIN; DELETE FROM t WHERE id = 77',
  'SHOW DATABASES; SELECT 1',
] as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection

    before(async () => {
      const tables = ['t (id BIGINT PRIMARY KEY, n INT)']
      world = await gateOnServer({ flavour, keyspaces: { one: 'one', plain: 'plain', wide: { t: 'by id' } }, tables })
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await one?.close()
      await world?.stop()
    })

    const tolerant = async (run: Promise<unknown>): Promise<void> => {
      await run.catch((error: unknown) => {
        if (!isServerError(error)) throw error
      })
    }

    /** @param begins whether the statement is in a transaction */
    const told = async (on: Connection, sql: string, then: string, begins: boolean, form: 'text' | 'prepared'): Promise<unknown> => {
      const out: unknown[] = []
      for (const ask of ['SHOW WARNINGS', 'SELECT @@warning_count AS w', 'SELECT @@error_count AS e']) {
        await on.query('ROLLBACK')
        await on.query('REPLACE INTO t VALUES (9, 9)')
        await on.query('DELETE FROM t WHERE id < 9')
        const texts = then.split('; ')
        if (begins) {
          await on.query('BEGIN')
          await on.query('SAVEPOINT a')
        }
        const kept = await Promise.all(texts.map((text) => (form === 'text' ? null : on.prepare(text).catch(() => null))))
        await tolerant(on.query(sql))
        for (const [i, text] of texts.entries()) await tolerant(kept[i]?.execute([]) ?? on.query(text))
        const rows = await on.allText(ask)
        out.push(rows.map((row) => (row['Code'] === undefined ? Object.values(row) : [row['Level'], row['Code']])))
        for (const statement of kept) statement?.close()
      }
      return out
    }

    for (const keyspace of ['plain', 'wide'])
      for (const form of ['text', 'prepared'] as const)
        test(`promise 10: in ${keyspace}, as ${form}`, async () => {
          await using c = await world.session(keyspace)
          let some = 0
          for (const sql of warnedOf)
            for (const then of following)
              for (const begins of [false, true]) {
                const here = await told(c, sql, then, begins, form)
                assert.deepEqual(here, await told(one, sql, then, begins, form), `${begins ? 'BEGIN; ' : ''}${sql}; ${then}`)
                if (JSON.stringify(here).includes('"1"')) some++
              }
          assert.ok(some > 0)
        })
  })
}
