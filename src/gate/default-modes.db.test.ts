/**
 * Promise 10 on servers whose default sql_mode makes other statements of texts: a session that sets none is read as they read it, on one server and over shards. Where they differ, what would be read
 * otherwise is refused.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { silentLog, type Log } from '../base/log.ts'
import type { Connection } from '../mysql/connection.ts'
import { startMariadb, type TestServer } from './testkit/servers.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'
import { connect } from '../mysql/connect.ts'
import type { Gate } from './gate.ts'

const password = 'secret'
const tables = ['t (id BIGINT PRIMARY KEY, x BIGINT, v VARCHAR(50))']
const rows = "(1, 1, 'a'), (2, 3, 'x'), (3, 3, 'b'), (4, 4, 'id'), (5, 6, 'x')"

async function answer(on: Connection, sql: string): Promise<unknown> {
  const result = await on.query(sql)
  return result.kind === 'rows' ? result.rows.map((row) => row.map((cell) => cell?.toString() ?? null)).sort() : Number(result.affectedRows)
}

for (const flavour of flavours()) {
  for (const [modes, statements] of [
    [
      'ANSI',
      [
        'SELECT id FROM t WHERE id = "x"',
        'SELECT id FROM t WHERE id = "id" AND v = \'x\'',
        'SELECT "v", "t"."x" FROM t WHERE "id" IN (1, 2)',
        'SELECT COUNT(*), MAX("x") FROM t GROUP BY "v" ORDER BY "v"',
        'SELECT @@sql_mode',
        'SELECT COUNT (*) FROM t',
        'UPDATE t SET x = x + 1 WHERE "id" = "x"',
        'SELECT a."id", b."id" FROM t a JOIN t b ON a."x" = b."id"',
        "INSERT INTO t VALUES (20, 1, 'a' || 'b'), (21, 2, NULL || 'c'), (22, 3, 'a' || 5)",
        "SELECT id, v || 'x' || id FROM t",
        "SELECT id, v || 'x' AS k FROM t WHERE id = 2",
        "SELECT id FROM t WHERE v || 'x' = 'xx'",
        'SELECT id FROM t WHERE id = 2 || 1',
        'SELECT id FROM t WHERE id = 2 || 1 AND x = 2',
        "SELECT v || '-' || x AS k, COUNT(*) FROM t GROUP BY k ORDER BY k",
        'SELECT MAX(v || id), SUM(x || 1) FROM t',
        'SELECT SUM(x) || MAX(v) FROM t',
        'SELECT id, 2 * 3 || 4, -1 || 2, 2 ^ 1 || 1, NOT 0 || 1, 1 + 2 || 3 FROM t WHERE id < 3',
        "SELECT x, COUNT(*) AS c FROM t GROUP BY x HAVING c || 1 = '21'",
        "SELECT id FROM t ORDER BY v || 'z' DESC, id LIMIT 3",
        "SELECT DISTINCT v || 'q' FROM t",
        "SELECT a.id, b.id FROM t a JOIN t b ON a.v = b.v || '' AND a.x = b.x",
        "UPDATE t SET v = v || '!' WHERE x = 3",
        "DELETE FROM t WHERE v = 'x' || '!'",
        'SELECT id, v FROM t',
      ],
    ],
    [
      'NO_BACKSLASH_ESCAPES',
      [
        "SELECT '\\', 'a\\'",
        "INSERT INTO t VALUES (10, 1, 'a\\'), (11, 1, '\\n')",
        "SELECT id, HEX(v) FROM t WHERE v IN ('a\\', '\\n')",
        "SELECT id FROM t WHERE id = 10 AND v = 'a\\' OR id = 4 AND v = ' OR id = 3 -- '",
        "DELETE FROM t WHERE v = 'a\\'",
      ],
    ],
    [
      'HIGH_NOT_PRECEDENCE',
      ['SELECT id FROM t WHERE NOT id BETWEEN -5 AND 3', 'SELECT v, COUNT(*) AS c FROM t GROUP BY v HAVING NOT c BETWEEN -5 AND 1'],
    ],
  ] as const)
    describe(`${flavour}, ${modes} by default`, () => {
      let world: GateOnServer
      let one: Connection
      const own = flavour === 'mysql' ? 'STRICT_TRANS_TABLES' : 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO'

      before(async () => {
        world = await gateOnServer({
          flavour,
          keyspaces: { one: 'one', plain: 'plain', shop: { t: 'by id' } },
          tables,
          settings: { 'sql-mode': `${modes},${own}` },
        })
        for (const schema of ['one', 'plain']) await world.admin.query(`INSERT INTO ${schema}.t VALUES ${rows}`)
        const c = await world.session('shop')
        await c.query(`INSERT INTO t VALUES ${rows}`)
        await c.close()
        one = await world.connect({ database: 'one' })
      })

      after(async () => {
        await one.close()
        await world.stop()
      })

      test('promise 10: what a text says is what the server reads, on one server and over shards', async () => {
        const [plain, shop] = await Promise.all([world.session('plain'), world.session('shop')])
        for (const sql of statements) {
          const wanted = await answer(one, sql)
          assert.deepEqual(await answer(plain, sql), wanted, `unsharded: ${sql}`)
          assert.deepEqual(await answer(shop, sql), wanted, `over shards: ${sql}`)
        }
        await plain.close()
        await shop.close()
      })

      test('what sql_mode is told to be, set to DEFAULT and computed from what it was', async () => {
        const mode = 'SELECT @@sql_mode'
        const [plain, shop] = await Promise.all([world.session('plain'), world.session('shop')])
        for (const set of [
          "SET sql_mode = ''",
          'SET sql_mode = DEFAULT',
          "SET sql_mode = CONCAT(@@sql_mode, ',NO_ZERO_DATE')",
          'SET @a = 1, sql_mode = DEFAULT',
          'SET @@session.sql_mode = default',
        ]) {
          await one.query(set)
          for (const c of [plain, shop]) {
            await c.query(set)
            assert.deepEqual(await answer(c, mode), await answer(one, mode), set)
          }
        }
        await plain.close()
        await shop.close()
      })

      test('a default that is changed while the gate runs changes no session: what is read is what is in force', async () => {
        const { admin } = world
        const [[before]] = (await answer(one, 'SELECT @@global.sql_mode')) as [[string]]
        try {
          await admin.query(`SET GLOBAL sql_mode = '${own}${modes === 'ANSI' ? '' : ',ANSI_QUOTES'}'`)
          // Connections of before, of after, and such as were reset.
          const open = await Promise.all(Array.from({ length: 6 }, async () => await world.session('plain')))
          await Promise.all(open.map(async (c) => await c.query('SET @a = 1')))
          const ask = async (c: Connection): Promise<void> => {
            assert.deepEqual(await answer(c, 'SELECT @@sql_mode'), [[before]])
            assert.deepEqual(
              await answer(c, 'SELECT id FROM t WHERE v = "a"').catch(() => 'no column'),
              modes === 'ANSI' ? 'no column' : [['1']],
            )
          }
          for (const c of open) {
            await ask(c)
            await c.query("SET sql_mode = ''")
            await c.query('SET @b = 2, sql_mode = DEFAULT')
            await ask(c)
            await c.reset()
            await ask(c)
          }
          for (const c of open) await c.close()
          const shop = await world.session('shop')
          assert.deepEqual(await answer(shop, 'SELECT @@sql_mode'), [[before]])
          await shop.close()
        } finally {
          await admin.query(`SET GLOBAL sql_mode = '${before}'`)
        }
      })
    })

  test(`${flavour}: the same text under PIPES_AS_CONCAT and without it, over shards; ORACLE's`, async () => {
    const world = await gateOnServer({ flavour, keyspaces: { one: 'one', shop: { t: 'by id' } }, tables })
    const [c, other] = [await world.session('shop'), await world.session('shop')]
    const one = await world.session('one')
    for (const on of [c, one]) await on.query(`INSERT INTO t VALUES ${rows}`)
    const texts = ['SELECT id FROM t WHERE id = 1 || id = 3', "SELECT id, v || x FROM t WHERE x || 0 = '30'", 'SELECT 1 || 0']
    for (let i = 0; i < 2; i++) {
      for (const text of texts) assert.deepEqual(await answer(other, text), await answer(one, text), text)
      await one.query("SET sql_mode = 'PIPES_AS_CONCAT'")
      await c.query("SET sql_mode = 'PIPES_AS_CONCAT'")
      for (const text of texts) assert.deepEqual(await answer(c, text), await answer(one, text), text)
      await one.query('SET sql_mode = DEFAULT')
    }
    if (flavour === 'mariadb') {
      await c.query('SET sql_mode = 512')
      assert.equal(await codeOf(c, "SELECT id, v || 'x' FROM t"), 'SW-GATE-012')
      assert.deepEqual(await answer(c, 'SELECT "id" FROM t WHERE "id" = 1'), [['1']])
    }
    for (const on of [c, other, one]) await on.close()
    await world.stop()
  })

  describe(`${flavour}, servers with other defaults`, () => {
    type Said = { keyspace?: string; variable?: string; values?: object }
    const said: Said[] = []
    const servers: TestServer[] = []
    const vschema = {
      sharded: true,
      vindexes: { hash: { type: 'hash' } },
      tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
    }
    let gate: Gate
    let port = 0
    const open = (database: string): Promise<Connection> => connect({ host: '127.0.0.1', port, user: 'app', password, database })

    before(async () => {
      const store = new MemoryStore()
      const sharded = { '-80': 'shop_80', '80-': 'shop_end' }
      for (const [i, [shard, schema]] of Object.entries(sharded).entries()) {
        const [zone, isolation] = i === 0 ? ['+00:00', 'REPEATABLE-READ'] : ['+02:00', 'READ-COMMITTED']
        const modes = i === 0 ? 'ANSI_QUOTES,STRICT_TRANS_TABLES' : 'STRICT_TRANS_TABLES'
        const server = await startMariadb(
          { 'sql-mode': modes, 'default-time-zone': zone, 'div-precision-increment': 4 + i, 'transaction-isolation': isolation },
          flavour,
        )
        servers.push(server)
        await using admin = await server.admin()
        await admin.query(`CREATE DATABASE ${schema}`)
        await admin.query(`CREATE TABLE ${schema}.${tables[0]}`)
        await addServer(store, `s-${shard}`, server.port, flavour)
      }
      const placed = Object.entries(sharded).map(([name, schema]) => ({ name, serverId: `s-${name}`, schema }))
      await addKeyspace(store, 'shop', placed, { sharded: true, vschema })
      await addUser(store, 'app', password)
      const error = (fields: object): number => said.push(fields as Said)
      ;({ gate, port } = await startGate(store, {}, { ...silentLog, error } as Log))
    })

    after(async () => {
      await gate.stop()
      for (const server of servers) await server.stop()
    })

    test('promise 10: what only some of them read otherwise is refused until the session says which is meant', async () => {
      const c = await open('shop')
      await c.query(`INSERT INTO t VALUES ${rows}`)
      assert.deepEqual(await answer(c, "SELECT COUNT(*) FROM t WHERE v = 'x'"), [['2']])
      assert.equal(await codeOf(c, 'SELECT id FROM t WHERE id = "x"'), 'SW-GATE-048')
      await assert.rejects(c.prepare('SELECT id FROM t WHERE id = "x" AND x = ?'), /SW-GATE-048/)
      await c.query("SET sql_mode = 'ANSI_QUOTES'")
      assert.deepEqual(await answer(c, 'SELECT id FROM t WHERE id = "x"'), [['1'], ['3'], ['4']])
      await c.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
      assert.deepEqual(await answer(c, 'SELECT id FROM t WHERE v = "x"'), [['2'], ['5']])
      await c.close()
    })

    test('what else they have differently by default is said, with what each has', async () => {
      const differing = await until('it to be said', () => (said.some(({ variable }) => variable !== undefined) ? said : null))
      const told = differing.flatMap(({ variable, ...more }) => (variable === undefined ? [] : [{ variable, ...more }]))
      assert.deepEqual(told, [
        { keyspace: 'shop', variable: 'time_zone', values: { 's--80': '+00:00', 's-80-': '+02:00' }, inForce: '+00:00' },
        {
          keyspace: 'shop',
          variable: 'transaction_isolation',
          values: { 's--80': 'REPEATABLE-READ', 's-80-': 'READ-COMMITTED' },
          inForce: 'REPEATABLE-READ',
        },
        { keyspace: 'shop', variable: 'div_precision_increment', values: { 's--80': '4', 's-80-': '5' }, inForce: '4' },
      ])
    })

    test('promise 10: each shard answers and stores by the same ones, also behind what a session has set and a reset', async () => {
      const isolation = `@@${flavour === 'mysql' ? 'transaction' : 'tx'}_isolation`
      const asked = async (c: Connection): Promise<unknown> => [
        await answer(c, 'SELECT id, 1 / 3, @@time_zone, FROM_UNIXTIME(0) FROM t WHERE id IN (1, 4)'),
        await answer(c, `SELECT ${isolation} FROM t WHERE id = 1`),
        await answer(c, `SELECT ${isolation} FROM t WHERE id = 4`),
      ]
      const c = await open('shop')
      await c.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
      const row = ['0.3333', '+00:00', '1970-01-01 00:00:00']
      const wanted = [
        [
          ['1', ...row],
          ['4', ...row],
        ],
        [['REPEATABLE-READ']],
        [['REPEATABLE-READ']],
      ]
      assert.deepEqual(await asked(c), wanted)
      await c.query('UPDATE t SET v = NOW() WHERE id IN (1, 4)')
      assert.deepEqual(
        await answer(c, 'SELECT COUNT(DISTINCT v), MAX(ABS(TIMESTAMPDIFF(HOUR, v, UTC_TIMESTAMP()))) FROM t WHERE id IN (1, 4)'),
        [['1', '0']],
      )
      await c.query("SET time_zone = '+05:00', div_precision_increment = 2")
      await c.query('SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE')
      assert.deepEqual(await answer(c, 'SELECT id, 1 / 3, @@time_zone FROM t WHERE id IN (1, 4)'), [
        ['1', '0.33', '+05:00'],
        ['4', '0.33', '+05:00'],
      ])
      await c.query('SET time_zone = DEFAULT, div_precision_increment = DEFAULT')
      await c.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
      assert.deepEqual(await asked(c), wanted)
      await c.close()
      // On the connections that it had.
      const next = await open('shop')
      await next.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
      assert.deepEqual(await asked(next), wanted)
      await next.query("UPDATE t SET v = IF(id = 1, 'a', 'id') WHERE id IN (1, 4)")
      await next.close()
    })

    test('promise 10: so it is with a server that the gate hears of later, which gets what connections have', async () => {
      const store = new MemoryStore()
      for (const [i, server] of servers.entries()) await addServer(store, `s${i}`, server.port, flavour)
      await addKeyspace(store, 'plain', [{ name: '-', serverId: 's1', schema: 'shop_end' }])
      await addUser(store, 'app', password)
      const { gate: early, port: at } = await startGate(store)
      const ask = async (database: string, sql: string): Promise<unknown> => {
        await using c = await connect({ host: '127.0.0.1', port: at, user: 'app', password, database })
        await c.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
        return await answer(c, sql)
      }
      const asked = 'SELECT id, 1 / 3, @@time_zone, FROM_UNIXTIME(0) FROM t WHERE id IN (1, 4)'
      const row = ['0.33333', '+02:00', '1970-01-01 02:00:00']
      assert.deepEqual(await ask('plain', asked), [['4', ...row]])
      const placed = [
        { name: '-80', serverId: 's0', schema: 'shop_80' },
        { name: '80-', serverId: 's1', schema: 'shop_end' },
      ]
      await addKeyspace(store, 'shop', placed, { sharded: true, vschema })
      await until('the gate to know it', () => early.core.watch.view.keyspaces.get('shop')?.notReady === null)
      assert.deepEqual(await ask('shop', asked), [
        ['1', ...row],
        ['4', ...row],
      ])
      assert.deepEqual(await ask('plain', asked), [['4', ...row]])
      await early.stop()
    })

    test('promise 10: nor is anything guessed before a server has answered', async () => {
      const store = new MemoryStore()
      await using proxy = await FaultProxy.start({ host: '127.0.0.1', port: servers[0]?.port ?? 0 })
      await addServer(store, 's1', proxy.port, flavour)
      await addKeyspace(store, 'plain', [{ name: '-', serverId: 's1', schema: 'shop_80' }])
      await addUser(store, 'app', password)
      proxy.blackhole()
      const { gate: early, port: at } = await startGate(store, { connectTimeoutMs: 300 })
      const c = await connect({ host: '127.0.0.1', port: at, user: 'app', password, database: 'plain' })
      assert.equal(await codeOf(c, 'SELECT id FROM t WHERE v = "v"'), 'SW-GATE-048')
      proxy.heal()
      await until('the gate asks again', async () => (await codeOf(c, 'SELECT id FROM t WHERE v = "v"')) === 'done')
      assert.equal(((await answer(c, 'SELECT id FROM t WHERE v = "v"')) as unknown[]).length > 0, true)
      await c.close()
      await early.stop()
    })
  })
}
