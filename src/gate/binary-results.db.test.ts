/**
 * Promise 10 under a character set of results that hides what text is (SET NAMES binary, and a handshake that asks for it): answers are those of the same server over one schema, what is told of the columns
 * included, or a refusal.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'

const tables = [
  `users (id BIGINT PRIMARY KEY, name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, b VARBINARY(20), l VARCHAR(9) CHARACTER SET latin1, w TEXT CHARACTER SET ucs2,
    t TINYTEXT CHARACTER SET utf8mb4, e ENUM('x', 'é') CHARACTER SET utf8mb4, n INT, d DATETIME(3), k DECIMAL(8, 2))`,
]
/** On both shards. */
const names = ['a', 'B', 'é', 'e', 'E', 'Z', 'z', 'á', 'b', 'É']

/** Other rows, or another order, where text is compared as bytes. */
const collated = [
  'SELECT id FROM users ORDER BY TRIM(name), id LIMIT 1',
  'SELECT id, TRIM(name) FROM users ORDER BY TRIM(name), id',
  'SELECT COUNT(*) FROM users GROUP BY LOWER(name) ORDER BY 1',
  'SELECT COUNT(*) FROM (SELECT DISTINCT LOWER(name) FROM users) x',
  'SELECT DISTINCT LOWER(name) IS NULL, LOWER(name) = LOWER(name) FROM users',
  'SELECT HEX(MIN(TRIM(name))) FROM users',
  'SELECT MIN(TRIM(name)), MAX(TRIM(name)) FROM users',
]
/** Put together by the gate in any case. */
const merged = [
  'SELECT id FROM users ORDER BY name, id LIMIT 3',
  'SELECT id, name, b, l, w, t, e, n, d, k FROM users ORDER BY id',
  'SELECT name, MIN(id), MAX(b), SUM(n), AVG(k), MAX(d) FROM users GROUP BY name ORDER BY name',
  'SELECT MIN(name), MAX(name), MIN(l), MAX(t), MIN(b), MAX(e) FROM users',
  'SELECT DISTINCT b FROM users ORDER BY b',
  "SELECT CONCAT(b, 'x') AS c, COUNT(*) FROM users GROUP BY CONCAT(b, 'x') ORDER BY c",
  'SELECT UNHEX(HEX(b)) AS c, id FROM users ORDER BY c, id',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      world = await gateOnServer({ flavour, keyspaces: { one: 'one', shop: { users: 'by id' } }, tables })
      const rows = names.map(
        (name, i) =>
          `(${i + 1}, '${name}', '${name}', '${name}', '${name}', '${name}', '${i % 2 === 0 ? 'x' : 'é'}', ${i % 3}, '2026-01-0${1 + (i % 9)}', 1.5)`,
      )
      for (const keyspace of ['one', 'shop']) {
        await using c = await world.session(keyspace)
        await c.query(`INSERT INTO users (id, name, b, l, w, t, e, n, d, k) VALUES ${rows.join(', ')}`)
      }
    })
    after(() => world.stop())

    const sessions = async (): Promise<{ one: Connection; wide: Connection }> => {
      const one = await connect({ host: '127.0.0.1', port: world.serverPort, user: 'root', password: '', database: 'one' })
      return { one, wide: await world.session('shop') }
    }
    const answer = async (c: Connection, sql: string): Promise<unknown> => {
      const result = await c.query(sql)
      if (result.kind !== 'rows') return 'ok'
      // What is aggregated or computed may be longer than what one server tells.
      const columns = result.columns.map(({ name, type, charset, flags, decimals, length }) => ({
        name,
        type,
        charset,
        flags,
        decimals,
        length,
      }))
      return { columns, rows: result.rows.map((row) => row.map((cell) => cell?.toString('hex') ?? null)) }
    }
    const alike = async (pair: { one: Connection; wide: Connection }, sql: string, mayRefuse: boolean): Promise<void> => {
      const [is, wanted] = await Promise.all([
        answer(pair.wide, sql).catch((error: unknown) => {
          if (mayRefuse && isServerError(error) && /SW-GATE-\d+/.test(error.serverMessage)) return 'refused'
          throw error
        }),
        answer(pair.one, sql),
      ])
      if (is !== 'refused') assert.deepEqual(is, wanted, sql)
    }

    for (const setting of ['SET NAMES binary', 'SET character_set_results = binary', "SET CHARACTER SET 'binary'"])
      test(`promise 10: text is compared by its collation after ${setting}`, async () => {
        const pair = await sessions()
        for (const c of [pair.one, pair.wide]) await c.query(setting)
        for (const sql of collated) await alike(pair, sql, true)
        for (const sql of merged) await alike(pair, sql, false)
        for (const c of [pair.one, pair.wide]) await c.query('BEGIN')
        for (const sql of merged) await alike(pair, sql, false)
        for (const c of [pair.one, pair.wide]) {
          await c.query('COMMIT')
          await c.close()
        }
      })

    test('promise 10: prepared statements, too, also on connections that other sessions have used', async () => {
      for (const setting of ['SET NAMES binary', 'SET NAMES utf8mb4', 'SET character_set_results = binary']) {
        const one = await mysql.createConnection({ host: '127.0.0.1', port: world.serverPort, user: 'root', database: 'one' })
        const wide = await world.client('app', 'shop')
        for (const client of [one, wide]) await client.query(setting)
        for (const sql of merged) {
          const [is, wanted] = await Promise.all(
            [wide, one].map(async (client) => {
              const [rows, fields] = await client.execute({ sql, rowsAsArray: true })
              const told = fields.map((field) => {
                const { name, columnType, characterSet, columnLength } = field as unknown as Record<string, unknown>
                return { name, columnType, characterSet, columnLength }
              })
              return { rows, told }
            }),
          )
          assert.deepEqual(is, wanted, `${setting}: ${sql}`)
        }
        for (const client of [one, wide]) await client.end()
      }
    })

    test('promise 10: a handshake that asks for binary is the same', async () => {
      const at = (port: number, user: string, given: string, database: string): Promise<Connection> =>
        connect({ host: '127.0.0.1', port, user, password: given, database, charset: 63 })
      const pair = { one: await at(world.serverPort, 'root', '', 'one'), wide: await at(world.port, 'app', password, 'shop') }
      for (const sql of collated) await alike(pair, sql, true)
      for (const sql of merged) await alike(pair, sql, false)
      for (const c of [pair.one, pair.wide]) await c.close()
    })

    test('promise 10: a variable keeps what its text is', async () => {
      for (const setting of ['SET NAMES binary', 'SET character_set_results = binary']) {
        const pair = await sessions()
        for (const c of [pair.one, pair.wide]) {
          await c.query(setting)
          await c.query(
            'SET @a = (SELECT name FROM users WHERE id = 3), @b = (SELECT b FROM users WHERE id = 1), @c = (SELECT l FROM users WHERE id = 3)',
          )
        }
        for (const sql of [
          'SELECT COUNT(*) FROM users WHERE name = @a',
          'SELECT COUNT(*) FROM users WHERE l = @c',
          'SELECT HEX(@a), HEX(@b), HEX(@c), COLLATION(@a), COLLATION(@b), COLLATION(@c) FROM users WHERE id = 1',
        ])
          // (Of what type they are told is another matter: a literal is shorter.)
          assert.deepEqual(await pair.wide.query(sql).then(rowsOf), await pair.one.query(sql).then(rowsOf), sql)
        for (const c of [pair.one, pair.wide]) await c.close()
      }
    })

    test('what is computed of sql_mode is read by it', async () => {
      await using wide = await world.session('shop')
      await wide.query('SET NAMES binary')
      await wide.query("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
      const answered = await wide.query('SELECT "name" FROM users WHERE id = 1')
      assert.equal(answered.kind === 'rows' ? answered.rows[0]?.[0]?.toString() : '', 'a')
    })
  })
}

function rowsOf(result: Result): unknown {
  return result.kind === 'rows' ? result.rows.map((row) => row.map((cell) => cell?.toString() ?? null)) : null
}
