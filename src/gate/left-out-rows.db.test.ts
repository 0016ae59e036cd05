/**
 * Promise 10: rows that INSERT IGNORE over shards leaves out are counted as one server counts them: MySQL those without a parent, or that fail a CHECK, not at all.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer, overFour, type GateOnServer } from './testkit/gate-on-server.ts'

const values = [
  '(1)',
  '(7)',
  '(1), (7)',
  '(1), (2), (7)',
  '(1), (7), (8), (9), (10), (11)',
  '(1), (7), (1), (7), (8)',
  '(7), (8), (9), (10), (11)',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let one: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: {
          one: 'one',
          wide: overFour(['parent', 'child', 'checked']),
        },
        tables: [
          'parent (id BIGINT PRIMARY KEY)',
          'child (id BIGINT PRIMARY KEY, FOREIGN KEY (id) REFERENCES parent (id))',
          'checked (id BIGINT PRIMARY KEY, CHECK (id < 3))',
        ],
      })
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await one?.close()
      await world?.stop()
    })

    const said = async (on: Connection, sql: string, form: 'text' | 'prepared'): Promise<unknown> => {
      await on.query('DELETE FROM child')
      await on.query('DELETE FROM checked')
      const statement = form === 'text' ? null : await on.prepare(sql)
      const result = await (statement === null ? on.query(sql) : statement.execute([]))
      statement?.close()
      return result.kind === 'ok' ? [result.affectedRows, result.info, result.warnings] : null
    }

    // MariaDB refuses a row that fails a CHECK where it is alone, IGNORE or not.
    for (const table of flavour === 'mysql' ? ['child', 'checked'] : ['child'])
      for (const form of ['text', 'prepared'] as const)
        test(`promise 10: rows of ${table} that are left out, ${form}`, async () => {
          await using c = await world.session('wide')
          for (const on of [c, one]) await on.query('INSERT IGNORE INTO parent VALUES (1), (2)')
          for (const rows of values) {
            const sql = `INSERT IGNORE INTO ${table} VALUES ${rows}`
            assert.deepEqual(await said(c, sql, form), await said(one, sql, form), sql)
          }
        })
  })
}
