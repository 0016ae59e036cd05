/** Promise 10: what a session knows is one value wherever it is asked: alone, on one shard, over several, at one place, and in what is stored. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, codeOf, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, who VARCHAR(80), n DOUBLE)'],
      })
      sides = await besideOne(world)
      for (const on of [sides.c, sides.one])
        await on.query("INSERT INTO t (id, who) VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (5, 'e'), (6, 'f')")
    })
    after(async () => {
      await sides?.close()
      await world?.stop()
    })

    test('promise 10: USER() and CURRENT_USER() are the same over several shards as alone, and in a write', async () => {
      const { c, answer } = sides
      for (const [call, value] of [
        ['CURRENT_USER()', 'app@%'],
        ['CURRENT_USER', 'app@%'],
        ['USER()', 'app@127.0.0.1'],
        ['SESSION_USER()', 'app@127.0.0.1'],
        ['SYSTEM_USER()', 'app@127.0.0.1'],
      ] as const) {
        assert.deepEqual(await answer(c, `SELECT ${call}`), [value], call)
        assert.deepEqual(await answer(c, `SELECT ${call} FROM t WHERE id = 3`), [value], call)
        assert.deepEqual(await answer(c, `SELECT DISTINCT ${call} FROM t`), [value], call)
        assert.deepEqual(await answer(c, `SELECT DISTINCT id * 0, ${call} FROM t WHERE who IN (SELECT who FROM t)`), [`0 ${value}`], call)
        await c.query(`UPDATE t SET who = ${call}`)
        assert.deepEqual(await answer(c, 'SELECT DISTINCT who FROM t'), [value], call)
        assert.deepEqual(await answer(c, `SELECT COUNT(*) FROM t WHERE who = ${call}`), ['6'], call)
      }
    })

    test('promise 10: what a session sets of any variable is in force for no other on the same connection', async () => {
      await using first = await world.session('one')
      const told = await first.allText('SHOW SESSION VARIABLES')
      let set = 0
      for (const [name, value] of told.map((row) => Object.values(row) as [string, string | null])) {
        const other =
          value === 'ON' ? '0' : value === 'OFF' || value === '0' ? '1' : /^\d+$/.test(value ?? '') ? String(BigInt(value ?? 0) - 1n) : null
        if (other === null || /^(pseudo_thread_id|rand_seed\d)$/.test(name)) continue
        await using c = await world.session('one')
        if ((await codeOf(c, `SET SESSION ${name} = ${other}`)) !== 'done') continue
        await codeOf(c, 'SELECT COUNT(*) FROM t')
        set++
        const asked = `SELECT @@session.${name} FROM t LIMIT 1`
        const now = await first.value(asked)
        assert.equal(value === 'ON' || value === 'OFF' ? now?.replace('1', 'ON').replace('0', 'OFF') : now, value, name)
      }
      assert.ok(set > 50, String(set))
      const { c, one, answer } = sides
      for (const value of ['0', 'DEFAULT', '1', 'DEFAULT']) {
        for (const on of [c, one]) await on.query(`SET foreign_key_checks = ${value}, unique_checks = ${value}`)
        for (const from of ['FROM t WHERE id = 1', 'FROM t ORDER BY id'])
          assert.deepEqual(
            await answer(c, `SELECT @@foreign_key_checks, @@unique_checks ${from}`),
            await answer(one, `SELECT @@foreign_key_checks, @@unique_checks ${from}`),
            value,
          )
      }
      for (const on of [c, one]) await on.query('SET foreign_key_checks = 1, unique_checks = 1')
    })

    test('promise 10: what a write says is counted in every language', async () => {
      const { c, one } = sides
      for (const on of [c, one]) await on.query("SET lc_messages = 'de_DE'")
      const rows = (from: number): string => Array.from({ length: 8 }, (_, i) => `(${from + i}, 'x')`).join(', ')
      for (const sql of [
        `INSERT INTO t (id, who) VALUES ${rows(100)}`,
        `INSERT IGNORE INTO t (id, who) VALUES ${rows(104)}`,
        `INSERT INTO t (id, who) VALUES ${rows(108)} ON DUPLICATE KEY UPDATE who = 'y'`,
        `REPLACE INTO t (id, who) VALUES ${rows(112)}`,
        'INSERT INTO t (id, who) SELECT id + 100, who FROM t WHERE id >= 100',
        "UPDATE t SET who = 'x' WHERE id >= 100",
        'UPDATE t SET id = id + 200 WHERE id >= 100',
        'DELETE FROM t WHERE id >= 100',
      ]) {
        const said: unknown[] = []
        for (const on of [c, one]) {
          const result = await on.query(sql)
          said.push(result.kind === 'ok' ? [result.affectedRows, result.info.match(/\d+/g)] : result)
        }
        assert.deepEqual(said[0], said[1], sql)
      }
      for (const on of [c, one]) await on.query('SET lc_messages = DEFAULT')
    })

    test('promise 10: RAND(N) gives its numbers once over all shards', async () => {
      const { c, one, answer } = sides
      const sorted = async (on: BesideOne['c'], sql: string): Promise<string[]> => (await answer(on, sql)).toSorted()
      for (const sql of [
        'SELECT RAND(7) FROM t',
        'SELECT RAND(7) FROM t WHERE id < 100',
        'SELECT SUM(RAND(7)) > 0, COUNT(DISTINCT RAND(7)) FROM t',
      ])
        assert.deepEqual(await sorted(c, sql), await sorted(one, sql), sql)
      await sides.alike('SELECT id, RAND(id) FROM t ORDER BY id')
      assert.equal(new Set(await answer(c, 'SELECT RAND() FROM t')).size, 6)
      assert.equal(await sides.code('UPDATE t SET n = RAND(7)'), 'SW-GATE-100')
      await sides.alike('UPDATE t SET n = RAND(id)')
      await sides.alike('SELECT id, n FROM t ORDER BY id')
    })
  })
}
