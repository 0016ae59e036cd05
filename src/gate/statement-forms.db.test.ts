/** Promise 10: forms of statements that few clients write are those of one server over several shards: savepoints by any name, COMMIT's and ROLLBACK's options, isolation levels, IGNORE, USING, priorities. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { besideOne, gateOnServer, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let sides: BesideOne

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', shop: { t: 'by id', o: 'by id', made: 'by id' } },
        tables: [
          't (id BIGINT PRIMARY KEY, n INT NOT NULL, u INT, UNIQUE (id, u))',
          'o (id BIGINT PRIMARY KEY, n INT)',
          'made (id BIGINT PRIMARY KEY, n INT CHECK (n < 100))',
        ],
      })
    })
    after(() => world?.stop())
    afterEach(() => sides?.close())

    /** Both have the same rows, over both shards. */
    const start = async (): Promise<void> => {
      sides = await besideOne(world)
      for (const side of [sides.c, sides.one]) {
        for (const table of ['t', 'o', 'made']) await side.query(`DELETE FROM ${table}`)
        await side.query('INSERT INTO t VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, 5), (6, 6, 6)')
        await side.query('INSERT INTO o VALUES (1, 1), (2, 2), (3, 3), (4, 9), (5, 9), (6, 9)')
        await side.query('INSERT INTO made VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)')
      }
      const both = await Promise.all(
        world.schemas.filter((name) => name !== 'one').map((name) => world.admin.value(`SELECT COUNT(*) FROM ${name}.t`)),
      )
      assert.ok(
        both.every((count) => count !== '0'),
        'each shard has rows',
      )
    }
    const each = async (...statements: readonly string[]): Promise<void> => {
      for (const sql of statements) await sides.alike(sql)
    }
    const rows = 'SELECT * FROM t ORDER BY id'

    test('a savepoint of any name is the client’s own', async () => {
      await start()
      await each('BEGIN', 'SAVEPOINT sw_statement', 'UPDATE t SET n = 10', 'UPDATE t SET n = 20', 'ROLLBACK TO sw_statement', rows)
      await each('UPDATE t SET n = 30', 'SAVEPOINT sw_statement', 'UPDATE t SET n = 40')
      // It fails on a shard, and is undone alone.
      for (const side of [sides.c, sides.one]) await assert.rejects(side.query('UPDATE made SET n = n * 20'))
      await each('SELECT * FROM made ORDER BY id', rows, 'ROLLBACK TO `SW_Statement`', rows, 'RELEASE SAVEPOINT sw_statement')
      for (const side of [sides.c, sides.one]) await assert.rejects(side.query('ROLLBACK TO sw_statement'), { errno: 1305 })
      await each('COMMIT', rows)
    })
  })
}
