import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type mysql from 'mysql2/promise'
import { besideEachOther } from '../../test/kit/beside.ts'
import { until } from '../../test/kit/until.ts'
import { mergedQueries, type GateQueries } from '../topology/gate-queries.ts'
import { keys } from '../topology/keys.ts'
import type { UserLimits } from '../topology/records.ts'
import { listRecords } from '../topology/typed.ts'
import { failsWith } from './testkit/fails-with.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

besideEachOther('limits', (flavour) => {
  /** An unsharded keyspace and one of two shards, 5,000 rows each. */
  let world: GateOnServer

  before(async () => {
    const users: Record<string, UserLimits> = {
      rows: { rows: 100 },
      bytes: { bytes: 20_000 },
      hasty: { ms: 800 },
      single: { concurrent: 1 },
      bounded: { scatter: 'refused' },
    }
    world = await gateOnServer({
      flavour,
      keyspaces: { one: 'one', shop: { t: 'by id', small: 'reference' } },
      tables: ['t (id BIGINT PRIMARY KEY, v VARCHAR(100))', 'small (id BIGINT PRIMARY KEY, v INT)'],
      users: Object.fromEntries(Object.entries(users).map(([name, limits]) => [name, { limits }])),
      config: { queriesEveryMs: 100, slowMs: 50, poolWaitMs: 2_000 },
    })
    const free = await client('app', 'shop')
    const rows = Array.from({ length: 5000 }, (_, i) => [i, 'x'.repeat(90)])
    await free.query('INSERT INTO t VALUES ?', [rows])
    await free.query('INSERT INTO one.t VALUES ?', [rows])
    await free.end()
  })

  after(() => world?.stop())

  const client = (user: string, database: string): Promise<mysql.Connection> => world.client(user, database)

  for (const database of ['one', 'shop']) {
    test(`an answer beyond a limit of rows or bytes is an error, and the session goes on: ${database}, text and prepared`, async () => {
      for (const [user, within] of [
        ['rows', 100],
        ['bytes', 150],
      ] as const) {
        const c = await client(user, database)
        for (const run of [(sql: string) => c.query(sql), (sql: string) => c.execute(sql)]) {
          assert.equal(((await run(`SELECT * FROM t LIMIT ${within}`))[0] as unknown[]).length, within)
          for (const sql of ['SELECT * FROM t', `SELECT * FROM t LIMIT ${within * 3}`, 'SELECT * FROM t ORDER BY v, id'])
            await failsWith(run(sql), 1104, new RegExp(`limit of user ${user}`))
          assert.deepEqual((await run('SELECT v FROM small'))[0], [])
        }
        await c.query('BEGIN')
        await c.query('UPDATE t SET v = CONCAT(v, 1) WHERE id = 1')
        await failsWith(c.query('SELECT * FROM t'), 1104)
        await c.query('COMMIT')
        assert.equal(((await c.query('SELECT v FROM t WHERE id = 1'))[0] as { v: string }[])[0]?.v.endsWith('1'), true)
        // Updating every row answers with one OK.
        await c.query('UPDATE t SET v = v')
        await c.end()
      }
    })

    test(`a statement that runs too long is stopped on every shard, says so, and the session goes on: ${database}`, async () => {
      const c = await client('hasty', database)
      for (const run of [(sql: string) => c.query(sql), (sql: string) => c.execute(sql)]) {
        const startMs = performance.now()
        await failsWith(run('SELECT COUNT(*) FROM t WHERE SLEEP(0.01) = 0'), 3024, /after 800 ms: the limit of user hasty/)
        assert.ok(performance.now() - startMs < 10_000)
        assert.deepEqual((await run('SELECT id FROM t WHERE id = 7'))[0], [{ id: 7 }])
      }
      await c.query('BEGIN')
      await c.query("UPDATE t SET v = 'kept' WHERE id = 8")
      await failsWith(c.query('UPDATE t SET v = SLEEP(0.01) WHERE id > 0'), 3024)
      await c.query('COMMIT')
      assert.deepEqual((await c.query('SELECT v FROM t WHERE id IN (8)'))[0], [{ v: 'kept' }])
      await until(
        'nothing to run any more',
        async () =>
          (await world.admin.value(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%SLEEP(0.01)%' AND ID <> CONNECTION_ID()",
          )) === '0',
      )
      await c.end()
    })
  }

  test('statements beyond the limit of a user wait for their turn, and not for ever; a transaction does not wait', async () => {
    const [a, b, free] = [await client('single', 'one'), await client('single', 'one'), await client('app', 'one')]
    await b.query('BEGIN')
    await b.query("UPDATE t SET v = 'b' WHERE id = 20")
    const long = a.query('SELECT SLEEP(4)')
    await until('it to run', () =>
      [...world.gate.core.sessions.values()].some((s) => s.user === 'single' && s.doing.text.includes('SLEEP')),
    )
    await b.query("UPDATE t SET v = 'c' WHERE id = 21")
    await b.query('COMMIT')
    await failsWith(b.query('SELECT 1'), 1226, /limit/)
    await free.query('SELECT 1')
    await long
    await b.query('SELECT 1')
    for (const c of [a, b, free]) await c.end()
  })

  test('to whom unbounded scatter is refused: statements with a shard key, a LIMIT or one place go, others do not', async () => {
    const c = await client('bounded', 'shop')
    for (const sql of [
      'SELECT * FROM t WHERE id = 1',
      'SELECT * FROM t WHERE id IN (1, 2, 3, 4, 5, 6)',
      'SELECT * FROM t ORDER BY id LIMIT 5',
      'SELECT * FROM small',
      'UPDATE small SET v = 1',
      'INSERT INTO t VALUES (90001, 1), (90002, 2), (90003, 3)',
      'DELETE FROM t WHERE id IN (90001, 90002, 90003)',
      'SELECT a.id FROM t a JOIN small s ON a.v = s.v WHERE a.id = 4',
    ])
      await c.query(sql)
    for (const sql of [
      'SELECT * FROM t',
      'SELECT COUNT(*) FROM t WHERE v > 1',
      "SELECT id FROM t WHERE v = 'x' ORDER BY id",
      "UPDATE t SET v = 'x' WHERE v = 'y'",
      "DELETE FROM t WHERE v = 'nothing'",
      'SELECT a.id FROM t a JOIN t b ON a.v = b.id',
      'SELECT a.id FROM small s JOIN t a ON a.v = s.v',
      "UPDATE small s JOIN t a ON a.v = s.v SET a.v = 'x'",
    ])
      await failsWith(c.query(sql), 1104, /all 2 shards of shop/)
    await c.query('USE one')
    assert.equal(((await c.query('SELECT id FROM t'))[0] as unknown[]).length, 5000)
    await c.end()
  })

  test('gate queries: what was sent is counted by shape, in the topology within seconds', async () => {
    const c = await client('app', 'shop')
    for (let i = 0; i < 5; i++) await c.query(`SELECT v AS counted FROM t WHERE id = ${i}`)
    for (let i = 0; i < 3; i++) await c.execute('SELECT COUNT(*) AS counted FROM t WHERE id > ?', [i])
    await c.query('SELECT nothing AS counted FROM t WHERE id = 1').catch(() => {})
    await c.query('SELECT SLEEP(0.1) AS counted FROM t WHERE id = 1')
    await c.end()
    const queries = await until('the record', async () => {
      const records = await listRecords<GateQueries>(world.store, keys.allGateQueries)
      const found = mergedQueries(records.map(({ value }) => value)).filter((q) => q.text.includes('counted'))
      return found.length >= 4 ? found : null
    })
    const of = (text: string) => queries.find((q) => q.text.startsWith(text))!
    const one = of('SELECT v AS counted')
    assert.deepEqual([one.keyspace, one.count, one.scattered, one.rows, one.errors], ['shop', 5, 0, 5, 0])
    const all = of('SELECT COUNT(*) AS counted')
    assert.deepEqual([all.count, all.scattered, all.rows], [3, 3, 3])
    assert.ok(all.p50Ms! > 0 && all.p99Ms! >= all.p50Ms!)
    assert.equal(of('SELECT nothing').errors, 1)
    assert.equal(of('SELECT SLEEP').slow, 1)
  })
})
