/** Promise 10: what is done over shards as one server does it, where that needs more than to send each its part. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { ParamValue } from '../mysql/connection.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

const members = (count: number): string => Array.from({ length: count }, (_, i) => `'m${i + 1}'`).join(',')

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let side: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { s63: 'by id', s64: 'by id', q: 'by id', n: 'by id', given: 'reference', kept: 'reference' } },
        tables: [
          ...[63, 64].map((count) => `s${count} (id BIGINT PRIMARY KEY, m SET(${members(count)}))`),
          'q (id BIGINT, k BIGINT, pos INT, PRIMARY KEY (id, k), UNIQUE (id, pos))',
          'n (id BIGINT PRIMARY KEY, v BIGINT UNSIGNED)',
          'given (k INT, v INT)',
          'kept (k INT PRIMARY KEY, v INT)',
        ],
      })
      side = await besideOne(world)
    })
    after(async () => {
      await side?.close()
      await world?.stop()
    })
    const both = async (sql: string): Promise<void> => {
      for (const on of [side.c, side.one]) await on.query(sql)
    }

    for (const count of [63, 64])
      test(`promise 10: a SET of ${count} members has all of its values`, async () => {
        const last = `m${count}`
        await both(
          `INSERT INTO s${count} VALUES (1, 'm1,${last}'), (2, '${last}'), (3, 'm2,${last}'), (4, 'm1,m62'), (5, 'm62'), (6, '${last}'), (7, NULL)`,
        )
        for (const sql of [
          `SELECT m, COUNT(*) AS n FROM s${count} GROUP BY m ORDER BY m`,
          `SELECT DISTINCT m FROM s${count} ORDER BY m`,
          `SELECT id FROM s${count} ORDER BY m DESC, id LIMIT 4`,
          `SELECT m, MIN(id) FROM s${count} GROUP BY m HAVING COUNT(*) > 1`,
        ])
          await side.alike(sql)
      })

    test('promise 10: a parameter that is signed is not taken for the unsigned one that another execution gave', async () => {
      await both('INSERT INTO n VALUES (1, 0), (2, 1), (3, 18446744073709551615), (4, 9223372036854775808)')
      const asked = async (on: BesideOne['c'], given: bigint): Promise<unknown> => {
        const statement = await on.prepare('SELECT id, ? AS given FROM n WHERE v > ? ORDER BY id')
        const result = await statement.execute([given, given])
        statement.close()
        return result.kind === 'rows' && result.rows.map((row) => row.map(String))
      }
      for (const given of [-1n, 18446744073709551614n, -2n, 9223372036854775807n, 9223372036854775808n])
        assert.deepEqual(await asked(side.c, given), await asked(side.one, given), String(given))
    })

    test('promise 10: a parameter beside what the session knows by itself is of its own type', async () => {
      const asked = async (on: BesideOne['c'], sql: string, given: ParamValue): Promise<unknown> => {
        const statement = await on.prepare(sql)
        const result = await statement.execute([given])
        statement.close()
        if (result.kind !== 'rows') return null
        return [result.rows[0]?.[1], result.columns.map(({ type, charset }) => [type, charset])[1]]
      }
      await both('SET @a = 1')
      for (const sql of ['SELECT @a AS a, ? AS v', 'SELECT LAST_INSERT_ID() AS a, ? AS v'])
        for (const given of [1.5, 7n, 'text', Buffer.from([1, 0xff]), null])
          assert.deepEqual(await asked(side.c, sql, given), await asked(side.one, sql, given), `${sql} ${given}`)
    })

    describe('UPDATE … ORDER BY … LIMIT', () => {
      beforeEach(async () => {
        await both('DELETE FROM q')
        await both('INSERT INTO q VALUES (1, 1, 1), (1, 2, 2), (1, 3, 3), (4, 1, 1), (4, 2, 2), (4, 3, 3)')
      })
      for (const sql of [
        'UPDATE q SET pos = pos + 1 ORDER BY id, pos DESC LIMIT 6',
        'UPDATE q AS x SET x.pos = x.pos + 1 ORDER BY x.pos DESC LIMIT 6',
        'UPDATE q SET pos = pos - 1 ORDER BY pos, id LIMIT 4',
      ])
        test(`promise 10: rows are changed in the order that it gives: ${sql}`, async () => {
          await side.alike(sql)
          await side.alike('SELECT id, k, pos FROM q ORDER BY id, k')
        })
    })

    test('promise 10: of rows that meet when a reference table is filled from another, all copies keep the same', async () => {
      for (const [schema, rows] of [
        ['shop_80', '(1, 1), (1, 2), (2, 3), (2, 4)'],
        ['shop_end', '(2, 4), (2, 3), (1, 2), (1, 1)'],
      ])
        await world.admin.query(`INSERT INTO ${schema}.given VALUES ${rows}`)
      const copy = async (schema: string): Promise<string[]> => await side.answer(world.admin, `SELECT * FROM ${schema}.kept ORDER BY k`)
      for (const sql of [
        'INSERT IGNORE INTO kept SELECT k, v FROM given',
        'REPLACE INTO kept SELECT k, v FROM given',
        'INSERT INTO kept SELECT k, v FROM given ON DUPLICATE KEY UPDATE v = VALUES(v) + 10 * kept.v',
      ]) {
        await side.c.query('DELETE FROM kept')
        assert.equal(await side.code(sql), 'done', sql)
        assert.equal((await copy('shop_80')).length, 2)
        assert.deepEqual(await copy('shop_80'), await copy('shop_end'), sql)
      }
    })
  })
