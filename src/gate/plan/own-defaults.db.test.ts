/** Promise 10: a default that each server makes for itself is in no row that stands on several shards, nor beside rows of others. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from '../testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { numbered: 'by id', plain: 'by id', made: 'reference' } },
        tables: ['plain (id BIGINT PRIMARY KEY, n INT)', 'made (id BIGINT PRIMARY KEY, own VARCHAR(40) DEFAULT (UUID()), n INT)'],
      })
      for (const schema of flavour === 'mariadb' ? world.schemas : []) {
        await world.admin.query(`USE ${schema}`)
        await world.admin.query('CREATE SEQUENCE s')
        await world.admin.query('CREATE TABLE numbered (id BIGINT PRIMARY KEY, no BIGINT DEFAULT NEXTVAL(s), n INT DEFAULT (1 + 1))')
      }
      sides = await besideOne(world)
    })
    after(async () => {
      await sides.close()
      await world.stop()
    })

    test('promise 10: a default that draws from a sequence of each shard is not left to it', async (t) => {
      if (flavour !== 'mariadb') return t.skip('MySQL has no sequences')
      for (const sql of [
        'INSERT INTO numbered (id) VALUES (1), (2), (3), (4), (5)',
        'INSERT INTO numbered (id) VALUES (6)',
        'INSERT INTO numbered (id, no) VALUES (6, DEFAULT)',
        'INSERT INTO numbered SET id = 6',
        'INSERT INTO numbered (id) SELECT id FROM plain',
        'REPLACE INTO numbered VALUES (6, DEFAULT(no), 1)',
        'INSERT INTO numbered VALUES (6, 1, 1) ON DUPLICATE KEY UPDATE no = DEFAULT',
        'UPDATE numbered SET no = DEFAULT',
        'UPDATE numbered SET no = DEFAULT(no) + 1 WHERE id = 1',
      ])
        assert.equal(await sides.code(sql), 'SW-GATE-100', sql)
      for (const sql of [
        'INSERT INTO numbered (id, no) VALUES (1, 7), (2, 8), (3, 9)',
        'UPDATE numbered SET n = DEFAULT',
        'SELECT * FROM numbered ORDER BY id',
      ])
        await sides.alike(sql)
    })

    test('promise 10: no copy of a reference table makes its own default, also in an UPDATE', async () => {
      assert.equal(await sides.code("INSERT INTO made VALUES (1, 'x', 1)"), 'done')
      for (const sql of [
        'UPDATE made SET own = DEFAULT',
        'UPDATE made SET n = 2, own = DEFAULT WHERE id = 1',
        "INSERT INTO made VALUES (1, 'x', 1) ON DUPLICATE KEY UPDATE own = DEFAULT",
        'INSERT INTO made (id, own) VALUES (2, DEFAULT)',
        ...(flavour === 'mariadb' ? ['UPDATE made SET own = DEFAULT(own)'] : []),
      ])
        assert.equal(await sides.code(sql), 'SW-GATE-100', sql)
      assert.equal(await sides.code('UPDATE made SET n = DEFAULT'), 'done')
      assert.deepEqual(await sides.answer(sides.c, 'SELECT own, n FROM made'), ['x NULL'])
    })
  })
}
