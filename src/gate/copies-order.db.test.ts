/** Copies of reference tables stay the same, whoever writes to them at once: by one gate process or two, at whichever isolation, in a transaction or not. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { copiesTableDdl } from '../mysql/our-schema.ts'
import type { Gate } from './gate.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { startGate } from './testkit/world.ts'

const shards = ['-40', '40-80', '80-']
const keyspaces = ['multi', 'whole']
const schemasOf = (keyspace: string): string[] => shards.map((shard) => `${keyspace}_${shard.replace('-', '_')}`)

for (const flavour of flavours())
  describe(flavour, () => {
    let world: GateOnServer
    let second: Gate
    let port: number

    before(async () => {
      const sharded = {
        shards,
        vindexes: { hash: { type: 'hash' } },
        tables: {
          r: { type: 'reference' },
          r2: { type: 'reference' },
          t: { column_vindexes: [{ column: 'id', name: 'hash' }] },
        },
      }
      world = await gateOnServer({
        flavour,
        keyspaces: { multi: sharded, whole: sharded },
        modes: { whole: 'xa' },
        tables: [
          'r (id BIGINT PRIMARY KEY, a INT, b INT, KEY (b))',
          'r2 (id BIGINT PRIMARY KEY, n INT)',
          't (id BIGINT PRIMARY KEY, ref BIGINT, n INT)',
        ],
      })
      if (flavour === 'mysql') await world.admin.query("GRANT XA_RECOVER_ADMIN ON *.* TO sw_gate@'%'")
      const started = await startGate(world.store, {}, undefined, 'gate-2')
      second = started.gate
      port = started.port
    })
    after(async () => {
      await second?.stop()
      await world?.stop()
    })
    beforeEach(async () => {
      for (const schema of keyspaces.flatMap(schemasOf)) {
        for (const table of ['r', 'r2', 't']) await world.admin.query(`DELETE FROM ${schema}.${table}`)
        await world.admin.query(`INSERT INTO ${schema}.r VALUES (1, 0, 2), (7, 0, 0)`)
        await world.admin.query(`INSERT INTO ${schema}.r2 VALUES (1, 1)`)
      }
    })

    const copies = async (keyspace: string): Promise<string[]> =>
      await Promise.all(
        schemasOf(keyspace).map(async (schema) => {
          const rows = await world.admin.allText(`SELECT * FROM ${schema}.r ORDER BY id`)
          return rows.map((row) => Object.values(row).join()).join(' ')
        }),
      )
    const alike = async (keyspace: string): Promise<string> => {
      const [first = '', ...others] = await copies(keyspace)
      for (const other of others) assert.equal(other, first)
      return first
    }

    test('a transaction that reads what was before the order of writers was there repeats; where it is made with our other tables, none does', async () => {
      const old = await world.session('multi')
      await old.query('BEGIN')
      await old.query('SELECT COUNT(*) FROM t')
      // The table is made by the statement.
      const met = await codeOf(old, 'UPDATE r SET a = 1 WHERE id = 7')
      assert.ok(['done', 'SW-GATE-215'].includes(met), met)
      await old.query('ROLLBACK')
      await old.query('BEGIN')
      await old.query('UPDATE r SET a = 1 WHERE id = 7')
      await old.query('COMMIT')
      await old.close()

      await world.admin.query('DROP TABLE _shardwright.control_copies')
      await world.admin.query(copiesTableDdl)
      const next = await world.session('multi', { port })
      await next.query('BEGIN')
      await next.query('SELECT COUNT(*) FROM t')
      await next.query('UPDATE r SET b = 5 WHERE id = 7')
      await next.query('COMMIT')
      await next.close()
      assert.equal(await alike('multi'), '1,0,2 7,1,5')
    })
    const waiting = async (): Promise<number> =>
      Number(await world.admin.value("SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"))

    for (const keyspace of keyspaces)
      for (const isolation of ['READ COMMITTED', 'REPEATABLE READ'])
        for (const [what, slow, quick, held, reached] of [
          [
            'an UPDATE by what another changes meanwhile',
            'UPDATE r SET a = 1 WHERE b = 2',
            'UPDATE r SET b = 2 WHERE id = 7',
            'SELECT * FROM r WHERE id = 1 FOR UPDATE',
            1,
          ],
          [
            'INSERT … SELECT of what another writes meanwhile',
            'INSERT INTO r SELECT id + 100, n, 0 FROM r2',
            'INSERT INTO r2 VALUES (2, 2)',
            'INSERT INTO r VALUES (101, 0, 0)',
            1,
          ],
        ] as const)
          test(`promise 10: ${what}, at ${isolation}, ${keyspace === 'whole' ? 'all or nothing' : 'shard by shard'}`, async () => {
            const a = await world.session(keyspace)
            const b = await world.session(keyspace, { port })
            await using holder = await world.connect({ database: schemasOf(keyspace)[reached] as string })
            for (const on of [a, b]) await on.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation}`)
            // Both know the tables.
            for (const on of [a, b]) await on.query('UPDATE r SET a = 0 WHERE id = 9')
            await holder.query('BEGIN')
            await holder.query(held)
            const first = a.query(slow)
            await until('the first waits on its second shard', async () => (await waiting()) === 1, 20_000)
            let done = false
            const other = b.query(quick).finally(() => (done = true))
            await until('the second has come through, or waits', async () => done || (await waiting()) === 2, 20_000)
            await holder.query('ROLLBACK')
            await Promise.all([first, other])
            await alike(keyspace)
            for (const on of [a, b]) await on.close()
          })

    test('promise 10: what is not committed yet is waited for on each shard, until its transaction ends', async () => {
      for (const keyspace of keyspaces) {
        const [a, b] = [await world.session(keyspace), await world.session(keyspace)]
        for (const on of [a, b]) await on.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')
        await a.query('BEGIN')
        await a.query('INSERT INTO r VALUES (8, 0, 2)')
        await a.query('SAVEPOINT s')
        assert.equal(await codeOf(a, 'INSERT INTO r VALUES (9, 0, 2), (1, 0, 0)'), '1062')
        await a.query('ROLLBACK TO SAVEPOINT s')
        const other = b.query('UPDATE r SET a = 5 WHERE b = 2')
        await until('the second waits', async () => (await waiting()) === 1, 20_000)
        await a.query('COMMIT')
        await other
        assert.equal(await alike(keyspace), '1,5,2 7,0,0 8,5,2')
        await b.query('SET innodb_lock_wait_timeout = 1')
        await a.query('BEGIN')
        await a.query('DELETE FROM r WHERE id = 8')
        assert.equal(await codeOf(b, 'DELETE FROM r2'), '1205')
        await a.query('ROLLBACK')
        assert.equal(await codeOf(b, 'DELETE FROM r2'), 'done')
        for (const on of [a, b]) await on.close()
      }
    })

    test('promise 10: many writers at once, of both gate processes', async () => {
      for (const keyspace of keyspaces) {
        const work = async (to: number, seed: number): Promise<void> => {
          const on = await world.session(keyspace, { port: to })
          await on.query(`SET SESSION TRANSACTION ISOLATION LEVEL ${seed % 2 === 0 ? 'READ COMMITTED' : 'REPEATABLE READ'}`)
          for (let i = 0; i < 12; i++) {
            const n = (seed * 7 + i) % 5
            const sql = [
              `UPDATE r SET a = a + ${n + 1} WHERE b = ${n}`,
              `UPDATE r SET b = ${n} WHERE a % 3 = ${i % 3}`,
              `INSERT IGNORE INTO r VALUES (${10 + ((seed + i) % 6)}, ${i}, ${n})`,
              `DELETE FROM r WHERE a > 20 AND b = ${n}`,
              'INSERT INTO r SELECT MAX(id) + 1, SUM(a), 1 FROM r',
            ][(seed + i) % 5] as string
            assert.equal(await codeOf(on, sql), 'done', sql)
          }
          await on.close()
        }
        await Promise.all([0, 1, 2, 3, 4, 5].map((seed) => work(seed < 3 ? world.port : port, seed)))
        await alike(keyspace)
      }
    })

    test('promise 10: the row that writers lock is made again when it is gone', async () => {
      const c = await world.session('multi')
      await c.query('UPDATE r SET a = 3 WHERE id = 1')
      await world.admin.query('DELETE FROM _shardwright.control_copies')
      assert.equal(await codeOf(c, 'UPDATE r SET a = 4 WHERE id = 1'), 'SW-GATE-215')
      await alike('multi')
      for (let i = 0; i < 3; i++) await codeOf(c, 'UPDATE r SET a = 5 WHERE id = 1')
      await world.admin.query('DROP DATABASE _shardwright')
      await codeOf(c, 'UPDATE r SET a = 6 WHERE id = 1')
      for (let i = 0; i < 3; i++) await codeOf(c, 'UPDATE r SET a = 7 WHERE id = 1')
      assert.match(await alike('multi'), /^1,7,2 /)
      await c.close()
    })

    test('promise 10: rows of sharded tables that are changed beside a reference table are all counted', async () => {
      const c: Connection = await world.session('multi')
      await c.query('INSERT INTO t VALUES (1, 1, 0), (3, 1, 0), (4, 1, 0), (5, 7, 0)')
      const said = await c.query('UPDATE r JOIN t ON t.ref = r.id SET t.n = 5 WHERE r.id = 1')
      assert.equal(said.kind === 'ok' && Number(said.affectedRows), 3)
      await c.close()
    })
  })
