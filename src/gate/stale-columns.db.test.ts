/** What one gate does to tables and vschema, seen by another; and what is lost by nobody where it has not been seen yet. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { keys } from '../topology/keys.ts'
import { put } from '../topology/typed.ts'
import type { Gate } from './gate.ts'
import { gateOnServer, password, type GateOnServer } from './testkit/gate-on-server.ts'
import { until } from './testkit/switching.ts'
import { addKeyspace, startGate } from './testkit/world.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let other: Gate
    let c: Connection
    let port: number
    const schemas = ['shop_80', 'shop_end']
    const rows = async (sql: string): Promise<string[]> => {
      const answer = await c.query(sql)
      return answer.kind === 'rows' ? answer.rows.map((row) => row.map((cell) => cell?.toString() ?? 'NULL').join(' ')) : []
    }
    /** Past every gate. */
    const onShards = async (sql: string): Promise<void> => {
      for (const schema of schemas) {
        await world.admin.query(`USE ${schema}`)
        await world.admin.query(sql)
      }
    }

    before(async () => {
      world = await gateOnServer({
        keyspaces: { shop: { t: 'by id', u: 'by id', v: 'by id', w: 'by id', x: 'by id' }, plain: 'plain' },
        tables: ['t', 'u', 'v', 'w', 'x'].map((name) => `${name} (id BIGINT PRIMARY KEY, a BIGINT, b BIGINT)`),
        flavour,
      })
      const started = await startGate(world.store, {}, undefined, 'gate-2')
      other = started.gate
      port = started.port
      c = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'shop' })
      for (const table of ['t', 'u', 'v', 'w', 'x'])
        await c.query(
          `INSERT INTO ${table} (id, a, b) VALUES ${Array.from({ length: 8 }, (_, i) => `(${i + 1}, ${i + 1}, ${10 * (i + 1)})`).join()}`,
        )
    })
    after(async () => {
      await c?.close()
      await other?.stop()
      await world?.stop()
    })

    test('promise 10: after DDL through one gate another knows the columns anew', async () => {
      const known = (): number | undefined => other.core.catalog.keyspace('shop')?.columns('w')?.columns.length
      assert.deepEqual(await rows('SELECT * FROM w WHERE id = 1'), ['1 1 10'])
      assert.equal(known(), 3)
      const first = await world.client('app', 'shop')
      await first.query('ALTER TABLE w ADD COLUMN c INT DEFAULT 7')
      await first.end()
      await until('what was known is forgotten', 2_000, async () => known() === undefined)
      await c.query('INSERT INTO w VALUES (20, 1, 2, 3)')
      assert.deepEqual(await rows('SELECT c FROM w ORDER BY c, id LIMIT 2'), ['3', '7'])
    })

    test('promise 1: a row that moves keeps a column that the gate does not know yet', async () => {
      await rows('SELECT * FROM t ORDER BY id')
      await onShards('ALTER TABLE t ADD COLUMN more INT DEFAULT 7')
      await onShards('UPDATE t SET more = id * 100')
      await c.query('UPDATE t SET id = id + 1000 WHERE a < 5')
      const left = await Promise.all(
        schemas.map(async (schema) => await world.admin.query(`SELECT id, more FROM ${schema}.t WHERE more <> a * 100 OR more IS NULL`)),
      )
      for (const answer of left) assert.deepEqual(answer.kind === 'rows' ? answer.rows : null, [])
    })

    test('promise 10: rows that are put together have a column that the gate does not know yet', async () => {
      const join = 'SELECT x.* FROM u x JOIN u y ON y.a = x.a + 1 ORDER BY x.id LIMIT 2'
      assert.deepEqual(await rows(join), ['1 1 10', '2 2 20'])
      await onShards('ALTER TABLE u ADD COLUMN more INT DEFAULT 7 FIRST')
      await onShards('UPDATE u SET more = id * 100')
      assert.deepEqual(await rows(join), ['100 1 1 10', '200 2 2 20'])
    })

    test('promise 1: a row goes where its key says when columns have changed places', async () => {
      await rows('SELECT * FROM v WHERE id = 1')
      await onShards('ALTER TABLE v MODIFY COLUMN a BIGINT FIRST')
      for (let id = 100; id < 108; id++) await c.query(`INSERT INTO v VALUES (${id}, ${id + 50}, 0)`)
      for (let id = 100; id < 108; id++) assert.deepEqual(await rows(`SELECT id FROM v WHERE id = ${id}`), [String(id)])
    })

    test('promise 10: while DDL has come to some shards only, rows of different columns are not put under one head', async () => {
      const asked = 'SELECT * FROM x ORDER BY id LIMIT 4'
      const before = await rows(asked)
      await world.admin.query('ALTER TABLE shop_80.x ADD COLUMN more INT DEFAULT 7 FIRST')
      await assert.rejects(rows(asked), /SW-GATE-004.*not the same on all/)
      assert.deepEqual(await rows('SELECT id, a, b FROM x ORDER BY id LIMIT 4'), before)
      const answered = rows(asked)
      await world.admin.query('ALTER TABLE shop_end.x ADD COLUMN more INT DEFAULT 7 FIRST')
      assert.deepEqual(
        await answered,
        before.map((row) => `7 ${row}`),
      )
    })

    test('promise 11: a function that a statement calls is not called again because columns are others than known', async () => {
      for (const schema of schemas) {
        await world.admin.query(`CREATE TABLE ${schema}.calls (n INT)`)
        await world.admin.query(
          `CREATE FUNCTION ${schema}.noted(v INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO ${schema}.calls VALUES (v); RETURN v; END`,
        )
      }
      await rows('SELECT * FROM x ORDER BY id LIMIT 1')
      await world.admin.query('ALTER TABLE shop_80.x ADD COLUMN again INT DEFAULT 7 FIRST')
      const calls = async (): Promise<number> => {
        let sum = 0
        for (const schema of schemas) sum += Number(await world.admin.value(`SELECT COUNT(*) FROM ${schema}.calls`))
        return sum
      }
      // Its rows are put together first, where they are seen to be of one kind: then it is called, once for each.
      assert.equal((await rows('SELECT x.*, noted(1) FROM x WHERE id <= 2 ORDER BY id')).length, 2)
      assert.equal(await calls(), 2)
      await world.admin.query('ALTER TABLE shop_end.x ADD COLUMN again INT DEFAULT 7 FIRST')
    })

    test('promise 1: a table that was not there, made past the gates, has its rows where their keys say, and is read whole', async () => {
      const shards = schemas.map((schema, i) => ({ name: ['-80', '80-'][i] as string, serverId: 's1', schema }))
      const byId = { column_vindexes: [{ column: 'id', name: 'hash' }] }
      const made = { m: byId, r: { type: 'reference' }, s: byId, q: byId }
      const vschema = { sharded: true, vindexes: { hash: { type: 'hash' } }, tables: made }
      await addKeyspace(world.store, 'later', shards, { sharded: true, vschema })
      await until('the keyspace is seen', 2_000, async () => other.core.watch.view.keyspaces.get('later')?.vschemaVersion !== undefined)
      await using k = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'later' })
      const absent = (sql: string): Promise<void> => assert.rejects(k.query(sql), /1146.*Table '\w+\.\w+' doesn't exist/)
      for (const table of ['m', 'r', 's', 'nowhere']) {
        await absent(`SELECT 1 FROM ${table}`)
        for (const sql of [`INSERT INTO ${table} VALUES (4, 1)`, `UPDATE ${table} SET n = 2`, `DELETE FROM ${table}`]) await absent(sql)
      }
      const insert = await k.prepare('INSERT INTO s VALUES (?, ?)').catch(() => null)
      assert.equal(insert, null)
      for (const table of ['m', 'r', 's', 'nowhere']) await onShards(`CREATE TABLE ${table} (id BIGINT PRIMARY KEY, n INT)`)
      await k.query('INSERT INTO m VALUES (4, 1)')
      await k.query('INSERT INTO r VALUES (4, 1)')
      const prepared = await k.prepare('INSERT INTO s VALUES (?, ?)')
      await prepared.execute(['4', '1'])
      const standing = async (table: string): Promise<string> =>
        (await Promise.all(schemas.map((schema) => world.admin.value(`SELECT COUNT(*) FROM ${schema}.${table}`)))).join()
      // hash(4) is d2….
      assert.deepEqual(await Promise.all(['m', 'r', 's'].map(standing)), ['0,1', '1,1', '0,1'])
      await assert.rejects(k.query('INSERT INTO nowhere VALUES (4, 1)'), /SW-GATE-103/)
      assert.equal(await standing('nowhere'), '0,0')
      // What was asked of one shard.
      await k.query('UPDATE m SET n = 2')
      assert.equal(await k.value('SELECT 1 FROM m'), '1')
      for (const table of ['m', 'r', 's', 'nowhere']) await onShards(`DROP TABLE ${table}`)
      // At once after somebody was told that it is not there.
      await absent('SELECT 1 FROM q')
      await onShards('CREATE TABLE q (id BIGINT PRIMARY KEY, n INT)')
      await (await k.prepare('INSERT INTO q VALUES (?, ?)')).execute(['4', '1'])
      assert.equal(await standing('q'), '0,1')
      await onShards('DROP TABLE q')
    })

    test('promise 10: a statement whose plan is known keeps a lookup that the vschema has got since', async () => {
      await world.admin.query('CREATE TABLE plain.b_idx (b BIGINT, id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (b, id, keyspace_id))')
      const byId = { column: 'id', name: 'hash' }
      const vschema = (owned: boolean): object => ({
        sharded: true,
        vindexes: {
          hash: { type: 'hash' },
          ...(owned
            ? { by_b: { type: 'consistent_lookup', params: { table: 'plain.b_idx', from: 'b,id', to: 'keyspace_id' }, owner: 't' } }
            : {}),
        },
        tables: { t: { column_vindexes: [byId, ...(owned ? [{ columns: ['b', 'id'], name: 'by_b' }] : [])] } },
      })
      const shards = schemas.map((schema, i) => ({ name: ['-80', '80-'][i] as string, serverId: 's1', schema }))
      await addKeyspace(world.store, 'kept', shards, { sharded: true, vschema: vschema(false) })
      await until('the keyspace is seen', 2_000, async () => other.core.watch.view.keyspaces.get('kept')?.vschemaVersion !== undefined)
      await using k = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'kept' })
      for (const id of [501, 502]) await k.query(`INSERT INTO t (id, a, b) VALUES (${id}, 1, 77)`)
      const before = other.core.watch.view.keyspaces.get('kept')?.vschemaVersion
      await world.store.commit([], [put(keys.vschema('kept'), { v: 1 as const, vschema: vschema(true) })])
      await until('the vschema is seen', 2_000, async () => other.core.watch.view.keyspaces.get('kept')?.vschemaVersion !== before)
      await k.query('INSERT INTO t (id, a, b) VALUES (503, 1, 77)')
      assert.equal(await world.admin.value('SELECT GROUP_CONCAT(id) FROM plain.b_idx WHERE b = 77'), '503')
    })
  })
}
