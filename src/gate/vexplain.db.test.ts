/** Promise 10: where an answer over several shards is not one instant's, or a write not seen at once, the plan says so. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace } from './testkit/world.ts'

let world: GateOnServer
const modes = {
  shop: /^each shard commits by itself: readers may see a part/,
  whole: /^all shards commit or none/,
  lone: /^refused.*single/,
}

before(async () => {
  world = await gateOnServer({
    keyspaces: { plain: 'plain', shop: { t: 'by id', r: 'reference' } },
    tables: ['t (id BIGINT PRIMARY KEY, n INT)', 'r (id BIGINT PRIMARY KEY, n INT)'],
  })
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] }, r: { type: 'reference' } },
  }
  const shards = [
    { name: '-80', serverId: 's1', schema: 'shop_80' },
    { name: '80-', serverId: 's1', schema: 'shop_end' },
  ]
  await addKeyspace(world.store, 'whole', shards, { sharded: true, vschema, mode: 'xa' })
  await addKeyspace(world.store, 'lone', shards, { sharded: true, vschema, mode: 'single' })
})

after(async () => await world.stop())

test('promise 10: VEXPLAIN says of a write over several shards what others may see of it, by the mode of its keyspace', async () => {
  for (const [keyspace, note] of Object.entries(modes)) {
    const c = await world.session(keyspace)
    const noteOf = async (sql: string): Promise<string | null> => {
      const steps = await c.allText(`VEXPLAIN ${sql}`)
      return steps.find(({ what }) => what === 'note')?.['text'] ?? null
    }
    const several = [
      'UPDATE t SET n = 1',
      'INSERT INTO t VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)',
      'DELETE FROM t ORDER BY n, id LIMIT 2',
      'INSERT INTO t SELECT id + 100, n FROM t',
    ]
    for (const sql of several) assert.match((await noteOf(sql)) ?? '', note, `${keyspace}: ${sql}`)
    for (const sql of ['UPDATE t SET n = 1 WHERE id = 1', 'SELECT n FROM t WHERE id = 1', 'SELECT n FROM r', 'SELECT 1'])
      assert.equal(await noteOf(sql), null, `${keyspace}: ${sql}`)
    // Every shard has it, and takes it under each mode.
    assert.match((await noteOf('UPDATE r SET n = 1')) ?? '', keyspace === 'lone' ? modes.shop : note)
    for (const sql of [
      'SELECT id FROM t ORDER BY n',
      'SELECT COUNT(*) FROM t',
      'SELECT a.id FROM t a JOIN t b ON a.n = b.n',
      'SELECT COUNT(DISTINCT n) FROM t',
    ])
      assert.match((await noteOf(sql)) ?? '', /^each shard is read at an instant of its own/, `${keyspace}: ${sql}`)
    await c.close()
  }
})
