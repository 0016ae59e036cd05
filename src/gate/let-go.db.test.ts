/**
 * Promise 10: what the session's last statement was warned of, or refused by, is told also when its connection went to another session meanwhile: one who needs it (few connections), or one who
 * waited for it.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const asked = [
  'SHOW WARNINGS',
  'SHOW ERRORS',
  'SHOW COUNT(*) WARNINGS',
  'SHOW COUNT(*) ERRORS',
  'SELECT @@warning_count',
  'SELECT @@warning_count + 0 AS w, @@error_count AS e',
  'SHOW WARNINGS LIMIT 1, 1',
] as const

/** T is a table of the keyspace's, or of another one beside. */
const statements = [
  "INSERT INTO T (id, n) VALUES (1, 'b')",
  "INSERT IGNORE INTO T (id, n) VALUES (2, 'b'), (2, 3), (3, 'c')",
  'INSERT INTO T (id, n) VALUES (4, 4), (4, 5)',
  "SELECT id FROM T WHERE n = 'x'",
  'SELECT id FROM T WHERE nowhere = 1',
  'SELECT id FROM T WHERE id = 7',
] as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', plain: 'plain', beside: 'beside', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, n INT)'],
        config: { backendConnectionsMax: 2 },
      })
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await one?.close()
      await world?.stop()
    })

    /** @param between with what it asks */
    const told = async (on: Connection, table: string, text: string, ask: string, between: () => Promise<unknown>): Promise<unknown> => {
      const sql = text.replaceAll(/\bT\b/g, table)
      await on.query(`DELETE FROM ${table}`)
      await on.query(sql).catch((error: unknown) => {
        if (!isServerError(error)) throw error
      })
      await between()
      const rows = await on.allText(ask)
      return rows.map((row) =>
        Object.values(row).map((cell) => cell?.replaceAll(/`\w+`\.`t`\.|'t\./g, (m) => (m.startsWith("'") ? "'" : ''))),
      )
    }

    for (const keyspace of ['plain', 'wide', 'wide, of a table beside'])
      test(`promise 10: in ${keyspace}: another session has needed the connection`, async () => {
        const [schema = '', name] = keyspace.includes(',') ? ['wide', 'beside.t'] : [keyspace, 't']
        await using c = await world.session(schema)
        await using other = await world.session(name === 't' ? schema : 'beside')
        for (const sql of statements)
          for (const ask of asked) {
            const here = await told(c, name, sql, ask, async () => {
              for (const id of [1, 2, 3, 4, 7, 8]) await other.query(`SELECT n FROM t WHERE id = ${id}`)
            })
            assert.deepEqual(here, await told(one, 't', sql, ask, async () => {}), `${sql}; ${ask}`)
          }
      })

    test('promise 10: asked again after it was told once', async () => {
      await using c = await world.session('plain')
      await using other = await world.session('beside')
      await using holds = await world.session('beside')
      await holds.query('BEGIN')
      await holds.query('SELECT COUNT(*) FROM t')
      for (const sql of statements)
        for (const first of ['SHOW WARNINGS', 'SHOW COUNT(*) WARNINGS', 'SHOW ERRORS'])
          for (const ask of ['SHOW WARNINGS', 'SHOW COUNT(*) ERRORS'] as const) {
            const here = await told(c, 't', sql, ask, async () => {
              await c.query(first)
              await other.query('SELECT COUNT(*) FROM t')
            })
            assert.deepEqual(here, await told(one, 't', sql, ask, async () => void (await one.query(first))), `${sql}; ${first}; ${ask}`)
          }
    })

    for (const keyspace of ['plain', 'wide'])
      test(`promise 10: in ${keyspace}: of a statement that leaves no transaction open`, async () => {
        await using c = await world.session(keyspace)
        const ending = [
          ['SET autocommit = 0', "SELECT CAST('x' AS SIGNED)"],
          ['SET autocommit = 0', "SELECT CAST('x' AS SIGNED) FROM nowhere"],
          ['BEGIN', 'DROP TABLE IF EXISTS nowhere'],
          ['BEGIN', 'CREATE TABLE IF NOT EXISTS t (id BIGINT PRIMARY KEY, n INT)'],
        ]
        for (const [before = '', sql = ''] of ending) {
          const said: unknown[] = []
          for (const on of [c, one]) {
            await on.query(before)
            await on.query(sql).catch((error: unknown) => {
              if (!isServerError(error)) throw error
            })
            said.push((await on.allText('SHOW WARNINGS')).map((row) => [row['Level'], row['Code']]))
            await on.query('ROLLBACK')
            await on.query('SET autocommit = 1')
          }
          assert.deepEqual(said[0], said[1], `${before}; ${sql}`)
        }
      })

    for (const to of ['beside', 'wide'])
      test(`promise 10: asked from another keyspace: ${to}`, async () => {
        await using c = await world.session('plain')
        await using other = await world.session(to)
        for (const sql of statements)
          for (const ask of asked) {
            await other.query('SELECT COUNT(*) FROM t WHERE id = 3')
            // Somebody else's, on the connection that would be asked.
            if (to === 'beside') await other.query("SELECT COUNT(*) FROM t WHERE n = 'somebody else'")
            await c.useDatabase('plain')
            const here = await told(c, 't', sql, ask, () => c.useDatabase(to))
            const there = await told(one, 't', sql, ask, () => one.useDatabase('one'))
            assert.deepEqual(here, there, `${sql}; ${ask}`)
          }
        for (const ask of ['SELECT FOUND_ROWS()', 'GET DIAGNOSTICS @n = NUMBER']) {
          await c.useDatabase('plain')
          await c.query("SELECT SQL_CALC_FOUND_ROWS id FROM t WHERE n = 'x' LIMIT 1")
          await c.useDatabase(to)
          await assert.rejects(c.query(ask), /SW-GATE-012|SW-GATE-100/, ask)
        }
      })

    test('promise 10: another session has waited for the connection', async () => {
      const sessions = await Promise.all(Array.from({ length: 3 }, () => world.session('plain')))
      const [c, other, holds] = sessions as [Connection, Connection, Connection]
      await holds.query('BEGIN')
      await holds.query('SELECT COUNT(*) FROM t')
      const waited = c.query("INSERT IGNORE INTO t (id, n) SELECT 900 + SLEEP(0.5), 'b'")
      const others = other.query('SELECT COUNT(*) FROM t')
      await waited
      assert.deepEqual(
        (await c.allText('SHOW WARNINGS')).map((row) => row['Code']),
        ['1366'],
      )
      await others
      for (const session of sessions) await session.close()
    })

    test('promise 10: of an error that has ended the transaction', async () => {
      const sessions = await Promise.all([world.session('plain'), world.session('plain')])
      await sessions[0].query('REPLACE INTO t VALUES (11, 1), (12, 1)')
      for (const [i, on] of sessions.entries()) {
        await on.query('BEGIN')
        await on.query(`UPDATE t SET n = 2 WHERE id = ${11 + i}`)
      }
      const outcomes = await Promise.allSettled(sessions.map((on, i) => on.query(`UPDATE t SET n = 3 WHERE id = ${12 - i}`)))
      const lost = sessions[outcomes.findIndex(({ status }) => status === 'rejected')] as Connection
      assert.deepEqual(
        (await lost.allText('SHOW WARNINGS')).map((row) => [row['Level'], row['Code']]),
        [['Error', '1213']],
      )
      assert.equal(await lost.value('SELECT @@warning_count + 0'), '1')
      for (const session of sessions) await session.close()
    })
  })
}
