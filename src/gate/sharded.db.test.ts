// long: one pair of servers of each flavour for all
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type mysql from 'mysql2/promise'
import type { Connection } from '../mysql/connection.ts'
import { failsWith } from './testkit/fails-with.ts'
import { overTwoServers, type OverTwoServers } from './testkit/over-two-servers.ts'
import { killGateSessions } from './testkit/switching.ts'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'

besideEachOther('a keyspace of four shards', (flavour) => {
  let world: OverTwoServers
  let onA: Connection
  let onB: Connection

  before(async () => {
    world = await overTwoServers(
      flavour,
      {
        t: { columns: '(id BIGINT PRIMARY KEY, v VARCHAR(40), n INT)', described: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
        o: {
          columns: '(id BIGINT PRIMARY KEY, owner BIGINT NOT NULL, what VARCHAR(20))',
          described: {
            column_vindexes: [{ column: 'owner', name: 'hash' }],
            auto_increment: { column: 'id', sequence: 'ids.o_seq' },
          },
        },
      },
      { app: 'multi', strict: 'single' },
      { table: 'o_seq', first: 100, cache: 10 },
    )
    ;({ onA, onB } = world)
  })
  after(() => world?.stop())

  const client = (database?: string): Promise<mysql.Connection> => world.client(database)
  const clear = (): Promise<void> => world.clear('t')

  /** hash(1) … hash(5) stand at 16, 06, 4e, d2, 70: shards 1, 1, 2, 4, 2; hash(6) at f0, hash(10) at 86 … : asked of the shards, not of ourselves. */
  async function where(id: number): Promise<string[]> {
    const found: string[] = []
    for (const { name, schema, on } of world.shards)
      if ((await on.value(`SELECT COUNT(*) FROM ${schema}.t WHERE id = ${id}`)) === '1') found.push(name)
    return found
  }

  test('rows go where Vitess would put them, once each, and come back by key, list and scan', async () => {
    await clear()
    const c = await client()
    await c.query('INSERT INTO t (id, v, n) VALUES ?', [Array.from({ length: 40 }, (_, i) => [i + 1, `v${i + 1}`, i % 3])])
    // vindexes.json of the shared vectors: hash(1) = 166b40b44aba4bd6, hash(2) = 06e7ea22ce92708f, hash(3) = 4eb190c9a2fa169c, hash(4) = d2fd8867d50d2dfe.
    assert.deepEqual(await Promise.all([1, 2, 3, 4].map(where)), [['-40'], ['-40'], ['40-80'], ['c0-']])
    const [rows] = await c.query('SELECT id FROM t ORDER BY id DESC LIMIT 3')
    assert.deepEqual(rows, [{ id: 40 }, { id: 39 }, { id: 38 }])
    const [some] = await c.execute('SELECT id, v FROM t WHERE id IN (?, ?, ?) ORDER BY id', [3, 1, 4])
    assert.deepEqual(some, [
      { id: 1, v: 'v1' },
      { id: 3, v: 'v3' },
      { id: 4, v: 'v4' },
    ])
    const [groups] = await c.execute('SELECT n, COUNT(*) AS c FROM t GROUP BY n ORDER BY n')
    assert.deepEqual(groups, [
      { n: 0, c: 14 },
      { n: 1, c: 13 },
      { n: 2, c: 13 },
    ])
    const [one] = await c.execute('SELECT v FROM t WHERE id = ?', ['7'])
    assert.deepEqual(one, [{ v: 'v7' }])
    await c.end()
  })

  test('a transaction over shards commits on all and rolls back on all', async () => {
    await clear()
    const c = await client()
    await c.beginTransaction()
    for (const id of [1, 3, 4]) await c.execute('INSERT INTO t VALUES (?, ?, 0)', [id, 'x'])
    const [seen] = await c.query('SELECT COUNT(*) AS c FROM t')
    assert.deepEqual(seen, [{ c: 3 }], 'it sees its own rows')
    const other = await client()
    assert.deepEqual((await other.query('SELECT COUNT(*) AS c FROM t'))[0], [{ c: 0 }], 'others do not')
    await c.rollback()
    assert.deepEqual((await other.query('SELECT COUNT(*) AS c FROM t'))[0], [{ c: 0 }])
    await c.beginTransaction()
    for (const id of [1, 3, 4]) await c.query(`INSERT INTO t VALUES (${id}, 'y', 0)`)
    await c.commit()
    assert.deepEqual((await other.query('SELECT COUNT(*) AS c FROM t'))[0], [{ c: 3 }])
    for (const s of [onA, onB]) await noOpenTransactions(s)
    await c.end()
    await other.end()
  })

  test('autocommit = 0: the server begins, COMMIT ends, on every shard touched', async () => {
    await clear()
    const c = await client()
    await c.query('SET autocommit = 0')
    await c.query("INSERT INTO t VALUES (1, 'a', 1)")
    await c.query("INSERT INTO t VALUES (4, 'a', 1)")
    await c.query('ROLLBACK')
    await c.query("INSERT INTO t VALUES (3, 'a', 1)")
    await c.query('COMMIT')
    await c.query("INSERT INTO t VALUES (2, 'a', 1)")
    await c.query('SET autocommit = 1')
    const other = await client()
    assert.deepEqual((await other.query('SELECT id FROM t ORDER BY id'))[0], [{ id: 2 }, { id: 3 }])
    await c.end()
    await other.end()
  })

  test('a statement over shards that fails on one is undone on all; its transaction goes on', async () => {
    await clear()
    const c = await client()
    await c.query("INSERT INTO t VALUES (4, 'there', 0)")
    // 1 and 3 stand on the first server, 4 on the second, where it fails.
    await failsWith(c.query("INSERT INTO t VALUES (1, 'new', 0), (3, 'new', 0), (4, 'new', 0)"), 1062)
    assert.deepEqual((await c.query('SELECT id FROM t'))[0], [{ id: 4 }])
    await c.beginTransaction()
    await c.query("INSERT INTO t VALUES (2, 'kept', 0)")
    await failsWith(c.query("INSERT INTO t VALUES (1, 'new', 0), (3, 'new', 0), (4, 'new', 0)"), 1062)
    await c.query("INSERT INTO t VALUES (5, 'kept', 0)")
    await c.commit()
    assert.deepEqual((await c.query('SELECT id FROM t ORDER BY id'))[0], [{ id: 2 }, { id: 4 }, { id: 5 }])
    await c.end()
  })

  test('promise 11: a COMMIT that met read_only: rolled back where nothing was committed, told where something was', async () => {
    await clear()
    const c = await client()
    try {
      await c.beginTransaction()
      await c.query("INSERT INTO t VALUES (4, 'x', 0)")
      await onB.query('SET GLOBAL read_only = 1')
      await failsWith(c.commit(), 1213, /SW-GATE-207/)
      await onB.query('SET GLOBAL read_only = 0')
      assert.deepEqual(await where(4), [])
      await c.beginTransaction()
      await c.query("INSERT INTO t VALUES (1, 'x', 0)")
      await c.query("INSERT INTO t VALUES (4, 'x', 0)")
      await onB.query('SET GLOBAL read_only = 1')
      await failsWith(c.commit(), 2013, /committed on app\/-40 and not on app\/c0-/)
      await onB.query('SET GLOBAL read_only = 0')
      assert.deepEqual([await where(1), await where(4)], [['-40'], []])
      await noOpenTransactions(onB, 'no lock is left behind')
      const [r] = await c.query('SELECT 1 AS x')
      assert.deepEqual(r, [{ x: 1 }], 'the session goes on')
    } finally {
      await onB.query('SET GLOBAL read_only = 0')
      await c.end()
    }
  })

  test('a transaction whose connection to one shard is lost gets 1213 and is rolled back on the others', async () => {
    await clear()
    const c = await client()
    await c.beginTransaction()
    await c.query("INSERT INTO t VALUES (1, 'x', 0)")
    await c.query("INSERT INTO t VALUES (4, 'x', 0)")
    await killGateSessions(onB)
    await failsWith(c.query("INSERT INTO t VALUES (4000, 'x', 0), (4, 'y', 0)"), 1213)
    await noOpenTransactions(onA)
    await c.query("INSERT INTO t VALUES (3, 'after', 0)")
    assert.deepEqual((await c.query('SELECT id FROM t'))[0], [{ id: 3 }])
    await c.end()
  })

  test('an autocommit write whose connection is cut while it runs is reported as unknown and not sent again', async () => {
    await clear()
    const c = await client()
    await c.query("INSERT INTO t VALUES (4, 'x', 0)")
    const blocker = await world.b.admin()
    await blocker.query('BEGIN')
    await blocker.query('SELECT * FROM app_c0.t WHERE id = 4 FOR UPDATE')
    const update = c.query('UPDATE t SET n = n + 1 WHERE id = 4')
    update.catch(() => {})
    const running = "SELECT id FROM information_schema.processlist WHERE user = 'sw_gate' AND info LIKE 'UPDATE t SET n%'"
    const id = await until('the update to run', () => onB.value(running), 5_000)
    await onB.query(`KILL ${id}`)
    await failsWith(update, 2013, /SW-GATE-009/)
    await blocker.query('ROLLBACK')
    await blocker.close()
    assert.equal(await onB.value('SELECT n FROM app_c0.t WHERE id = 4'), '0')
    await c.end()
  })

  test('mode single: a transaction stays on its shard', async () => {
    await clear()
    const c = await client('strict')
    await c.beginTransaction()
    await c.query("INSERT INTO t VALUES (1, 'x', 0)")
    await c.query("INSERT INTO t VALUES (2, 'x', 0)")
    await failsWith(c.query("INSERT INTO t VALUES (4, 'x', 0)"), 1235, /SW-GATE-201/)
    await c.commit()
    assert.deepEqual((await c.query('SELECT id FROM t ORDER BY id'))[0], [{ id: 1 }, { id: 2 }])
    await c.end()
  })

  test('savepoints hold on every shard, on those touched later too', async () => {
    await clear()
    const c = await client()
    await c.beginTransaction()
    await c.query("INSERT INTO t VALUES (1, 'x', 0)")
    await c.query('SAVEPOINT s')
    await c.query("INSERT INTO t VALUES (2, 'x', 0)")
    await c.query("INSERT INTO t VALUES (4, 'x', 0)")
    await c.query('ROLLBACK TO SAVEPOINT s')
    await c.commit()
    assert.deepEqual((await c.query('SELECT id FROM t'))[0], [{ id: 1 }])
    await c.end()
  })

  test('sequences: ids of many sessions are distinct and the first of a statement is its LAST_INSERT_ID', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => client()))
    const ids: number[] = []
    await Promise.all(
      clients.map(async (c, i) => {
        for (let k = 0; k < 15; k++) {
          const [r] = (await c.query('INSERT INTO o (owner, what) VALUES (?, ?), (?, ?)', [i, 'a', k + 1, 'b'])) as unknown as [
            { insertId: number; affectedRows: number },
          ]
          assert.equal(r.affectedRows, 2)
          const [[last]] = (await c.query('SELECT LAST_INSERT_ID() AS id')) as unknown as [[{ id: number }]]
          assert.equal(last.id, r.insertId)
          ids.push(r.insertId)
        }
      }),
    )
    const [[prepared]] = (await (async () => {
      await clients[0]?.execute('INSERT INTO o (owner, what) VALUES (?, ?)', [3, 'p'])
      return await clients[0]?.query("SELECT COUNT(*) AS c, COUNT(DISTINCT id) AS d, MIN(id) AS m FROM o WHERE owner = 3 AND what = 'p'")
    })()) as unknown as [[{ c: number; m: number }]]
    assert.equal(prepared.c, 1)
    const all: string[] = []
    for (const { schema, on } of world.shards) all.push(...(await on.allText(`SELECT id FROM ${schema}.o`)).map((r) => r['id'] ?? ''))
    assert.equal(new Set(all).size, all.length)
    assert.equal(all.length, 8 * 15 * 2 + 1)
    assert.ok(Math.min(...ids) >= 100)
    await Promise.all(clients.map((c) => c.end()))
  })

  test('KILL QUERY ends a scattered statement on every shard', async () => {
    const c = await client()
    const k = await client()
    const [[{ id }]] = (await c.query('SELECT CONNECTION_ID() AS id')) as unknown as [[{ id: number }]]
    await clear()
    await c.query("INSERT INTO t VALUES (1, 'x', 0), (2, 'x', 0), (3, 'x', 0), (4, 'x', 0)")
    for (const on of [onA, onB]) await on.query('BEGIN')
    for (const { schema, on } of world.shards) await on.query(`SELECT id FROM ${schema}.t FOR UPDATE`)
    const killed = assert.rejects(c.query('SELECT id FROM t FOR UPDATE'), { errno: 1317 })
    const waiting = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'sw_gate' AND info LIKE '%FOR UPDATE'"
    const waits = async (): Promise<number> => Number(await onA.value(waiting)) + Number(await onB.value(waiting))
    const withRows = (await Promise.all(world.shards.map(({ schema, on }) => on.value(`SELECT COUNT(*) > 0 FROM ${schema}.t`)))).filter(
      (n) => n === '1',
    )
    assert.ok(withRows.length > 1)
    await until('all shards to wait', async () => (await waits()) === withRows.length, 5_000)
    await k.query(`KILL QUERY ${id}`)
    await killed
    assert.equal(await waits(), 0)
    for (const on of [onA, onB]) await on.query('ROLLBACK')
    assert.deepEqual((await c.query('SELECT 1 AS x'))[0], [{ x: 1 }])
    await c.end()
    await k.end()
  })

  test('a client that goes away ends its scattered read on every shard; its scattered write comes to its end', async () => {
    const slow = async (): Promise<number> =>
      Number(await onB.value("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'sw_gate' AND info LIKE '%SLEEP%'"))
    const seed = await client()
    await clear()
    await seed.query("INSERT INTO t VALUES (1, 'x', 0), (2, 'x', 0), (3, 'x', 0), (4, 'x', 0)")
    const reader = await client()
    reader.query('SELECT id, SLEEP(30) FROM t').catch(() => {})
    await until('the slow one to run', async () => (await slow()) > 0, 5_000)
    reader.destroy()
    await until('the slow one to end', async () => (await slow()) === 0, 5_000)
    const writer = await client()
    writer.query('UPDATE t SET n = n + 1 WHERE SLEEP(0.3) = 0').catch(() => {})
    await until('the slow one to run', async () => (await slow()) > 0, 5_000)
    writer.destroy()
    await until(
      'all rows to be written',
      async () => ((await seed.query('SELECT SUM(n) AS n FROM t'))[0] as { n: string }[])[0]?.n === '4',
      5_000,
    )
    await seed.end()
  })

  test('settings of a session hold on every shard; a value that no server takes is its error', async () => {
    const c = await client()
    await c.query("SET time_zone = '+03:00', sql_mode = 'ANSI_QUOTES'")
    assert.deepEqual((await c.query('SELECT @@session.time_zone AS z'))[0], [{ z: '+03:00' }])
    await clear()
    await c.query('INSERT INTO t VALUES (1, NULL, 0), (4, NULL, 0)')
    await c.query('UPDATE t SET v = @@session.time_zone')
    assert.deepEqual((await c.query('SELECT "v" FROM t'))[0], [{ v: '+03:00' }, { v: '+03:00' }])
    await failsWith(c.query("SET time_zone = 'nowhere'"), 1298)
    await c.end()
  })

  test('DDL goes to every shard, and what it changed is known to the next statement', async () => {
    const c = await client()
    await c.query('ALTER TABLE t ADD COLUMN extra INT DEFAULT 5')
    await clear()
    await c.query("INSERT INTO t (id, v, n) VALUES (1, 'x', 0), (4, 'x', 0)")
    assert.deepEqual((await c.query('SELECT SUM(extra) AS s FROM t'))[0], [{ s: '10' }])
    await c.query('ALTER TABLE t DROP COLUMN extra')
    assert.deepEqual((await c.query('SELECT * FROM t ORDER BY id'))[0], [
      { id: 1, v: 'x', n: 0 },
      { id: 4, v: 'x', n: 0 },
    ])
    await c.end()
  })

  test('user variables and computed settings of a session on several shards', async () => {
    const c = await client()
    await clear()
    await c.query("SET @who = 4, @label = CONCAT('a', 'b'), @old_mode = @@sql_mode")
    await c.query("INSERT INTO t VALUES (1, 'x', 0), (4, 'x', 0)")
    await c.query('UPDATE t SET v = @label WHERE id = @who')
    assert.deepEqual((await c.query('SELECT id, v FROM t WHERE id = @who'))[0], [{ id: 4, v: 'ab' }])
    assert.deepEqual(await where(4), ['c0-'])
    await c.query("SET sql_mode = CONCAT(@@sql_mode, ',ALLOW_INVALID_DATES')")
    assert.match(JSON.stringify((await c.query('SELECT @@sql_mode AS m'))[0]), /STRICT_TRANS_TABLES.*ALLOW_INVALID_DATES/)
    await c.query('SET sql_mode = @old_mode')
    assert.doesNotMatch(JSON.stringify((await c.query('SELECT @@sql_mode AS m'))[0]), /ALLOW_INVALID_DATES/)
    assert.deepEqual((await c.query('SELECT @who AS w, @never AS n'))[0], [{ w: 4, n: null }])
    await c.end()
  })

  test('promise 10: whatever stores a 0 draws an id of the sequence, unless the session says that 0 is a value', async () => {
    const c = await client()
    const drawn = new Set<number>()
    const insert = async (id: unknown): Promise<void> => {
      const [done] = await c.execute<mysql.ResultSetHeader>('INSERT INTO o (id, owner, what) VALUES (?, ?, ?)', [id as number, 7, 'zero'])
      assert.ok(done.insertId > 0, String(id))
      drawn.add(done.insertId)
    }
    for (const id of [0, '0', '00', '0.0', null]) await insert(id)
    for (const id of ['0.0', "'00'", '0e0', '0.4']) {
      const [done] = await c.query<mysql.ResultSetHeader>(`INSERT INTO o (id, owner, what) VALUES (${id}, 7, 'zero')`)
      drawn.add(done.insertId)
    }
    assert.equal(drawn.size, 9)
    await assert.rejects(c.query("INSERT INTO o (id, owner, what) VALUES ('none', 7, 'zero')"), /SW-GATE-100/)
    await c.query("SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    await c.query("INSERT INTO o (id, owner, what) VALUES (0, 7, 'stored')")
    const [stored] = await c.query<mysql.RowDataPacket[]>('SELECT id FROM o WHERE owner = 7 AND what = ?', ['stored'])
    assert.deepEqual(stored, [{ id: 0 }])
    await c.query('DELETE FROM o WHERE owner = 7')
    await c.end()
  })
})
