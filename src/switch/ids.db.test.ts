import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { keys } from '../topology/keys.ts'
import type { ShardRecord, VSchemaRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { plannedIds, raiseIds } from './ids.ts'
import { planSwitch } from './plan.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { fresh, old, tableOf, World } from './testkit/world.ts'

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`ids on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let world: World
    before(async () => {
      world = await World.start(flavour)
      await using root = await world.admin('n')
      await root.query('CREATE DATABASE seq')
      await root.query('CREATE TABLE seq.t_seq (id INT NOT NULL PRIMARY KEY, next_id BIGINT, cache BIGINT)')
      await root.query('INSERT INTO seq.t_seq VALUES (0, 50, 10)')
      const shard: ShardRecord = {
        v: 1,
        keyspace: 'seq',
        name: '-',
        uid: 'seq',
        serverId: 'n',
        schema: 'seq',
        madeBy: null,
        provisioned: true,
      }
      const vschema: VSchemaRecord = { v: 1, vschema: { tables: { t: { auto_increment: { column: 'id', sequence: 'seq.t_seq' } } } } }
      await world.store.commit([], [put(keys.shard('seq', '-'), shard), put(keys.vschema('app'), vschema)])
    })
    after(() => world.stop())

    test('ids after a switch lie above every value that clients chose themselves, and never go back', async () => {
      const { pool, store } = await world.leader()
      const plan = await planSwitch(store, { keyspace: 'app', workflow: 'w', shards: null })
      const ids = await plannedIds(store, plan)
      assert.deepEqual(ids, [{ table: 't', column: 'id', sequence: { serverId: 'n', schema: 'seq', table: 't_seq' } }])
      const next = async (): Promise<string | null | undefined> => {
        await using admin = await world.admin('n')
        return await admin.value('SELECT next_id FROM seq.t_seq')
      }
      await using client = await world.client(world.f)
      await client.query(`INSERT INTO ${tableOf(20, old)} VALUES (20, 'chosen', 0)`)
      assert.deepEqual(
        await raiseIds(pool, plan, ids, 0n, AbortSignal.timeout(30_000)),
        [],
        'below what the sequence has given out: nothing to do',
      )
      assert.equal(await next(), '50')
      // Before clients are held with a margin, then exactly, when no value can come any more.
      await client.query(`INSERT INTO ${tableOf(700, old)} VALUES (700, 'chosen', 0)`)
      assert.deepEqual(await raiseIds(pool, plan, ids, 1_000n, AbortSignal.timeout(30_000)), ['t.id → 1701'])
      await client.query(`INSERT INTO ${tableOf(9_000, old)} VALUES (9000, 'chosen', 0)`)
      assert.deepEqual(await raiseIds(pool, plan, ids, 0n, AbortSignal.timeout(30_000)), ['t.id → 9001'])
      await using n = await world.admin('n')
      await n.query(`INSERT INTO ${tableOf(9_500, fresh)} VALUES (9500, 'on the other side', 0)`)
      assert.deepEqual(await raiseIds(pool, plan, ids, 0n, AbortSignal.timeout(30_000)), ['t.id → 9501'])
      await n.query(`DELETE FROM ${tableOf(9_500, fresh)} WHERE id = 9500`)
      await client.query(`DELETE FROM ${tableOf(9_000, old)} WHERE id = 9000`)
      assert.deepEqual(await raiseIds(pool, plan, ids, 0n, AbortSignal.timeout(30_000)), [])
      assert.equal(await next(), '9501')
    })
  })
}
