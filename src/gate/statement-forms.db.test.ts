/** Promise 10: forms of statements that few clients write are those of one server over several shards: savepoints by any name, COMMIT's and ROLLBACK's options, isolation levels, IGNORE, USING, priorities. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { besideOne, codeOf, gateOnServer, password, type BesideOne, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

/** A row of each shard. */
const both = [1, 4]

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

    test('COMMIT and ROLLBACK do what their options say, over shards', async () => {
      await start()
      const isolation = flavour === 'mariadb' ? '@@tx_isolation' : '@@transaction_isolation'
      for (const [end, kept] of [
        ['COMMIT AND CHAIN', '9'],
        ['ROLLBACK AND CHAIN', '1'],
        ['COMMIT WORK AND NO CHAIN NO RELEASE', '8'],
        ['ROLLBACK AND NO CHAIN', '1'],
      ] as const) {
        await each(
          'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
          'START TRANSACTION',
          `UPDATE t SET n = ${kept === '1' ? 7 : kept}`,
          end,
        )
        const chained = end.includes('AND CHAIN')
        // In the chained one nothing stands before its own end.
        await each(rows, 'UPDATE t SET n = n + 1', 'ROLLBACK', rows)
        await each(`SELECT ${isolation}`)
        if (!chained) await each('UPDATE t SET n = 1')
        else await each('UPDATE t SET n = 1', 'COMMIT')
      }
      // READ ONLY is the chained one's, too.
      await each('START TRANSACTION READ ONLY', 'SELECT COUNT(*) FROM t', 'COMMIT AND CHAIN')
      for (const side of [sides.c, sides.one]) await assert.rejects(side.query('UPDATE t SET n = 5'), { errno: 1792 })
      await each('ROLLBACK', rows)
    })

    for (const end of ['COMMIT RELEASE', 'ROLLBACK RELEASE', 'COMMIT WORK AND NO CHAIN RELEASE'])
      test(`${end} ends the session, and the transaction as it says`, async () => {
        await start()
        await each('BEGIN', 'UPDATE t SET n = 3')
        for (const side of [sides.c, sides.one]) {
          await side.query(end)
          await assert.rejects(side.query('SELECT 1'), (error: Error) => /broke|lost|closed/.test(error.message))
        }
        const other = await besideOne(world)
        await other.alike(rows)
        await other.alike('SELECT COUNT(*) FROM t WHERE n = 3')
        await other.close()
      })

    for (const level of ['READ UNCOMMITTED', 'SERIALIZABLE'])
      test(`${level} is that of each shard`, async () => {
        await start()
        const writer = await besideOne(world)
        try {
          await each(
            `SET SESSION TRANSACTION ISOLATION LEVEL ${level}`,
            `SET SESSION innodb_lock_wait_timeout = ${flavour === 'mariadb' ? 0 : 1}`,
            'BEGIN',
          )
          if (level === 'READ UNCOMMITTED') {
            for (const sql of ['BEGIN', 'UPDATE t SET n = 77']) await writer.alike(sql)
            await each(rows, 'SELECT SUM(n), COUNT(*) FROM t', 'SELECT COUNT(DISTINCT n) FROM t')
            await writer.alike('ROLLBACK')
            await each(rows)
          } else {
            // What is read is locked until the end, on every shard.
            await each('SELECT SUM(n) FROM t')
            await writer.alike(`SET SESSION innodb_lock_wait_timeout = ${flavour === 'mariadb' ? 0 : 1}`)
            for (const id of both) await assert.rejects(writer.c.query(`UPDATE t SET n = 5 WHERE id = ${id}`), { errno: 1205 })
            await each('COMMIT')
            await writer.alike('UPDATE t SET n = 5')
          }
          await each('ROLLBACK', rows)
        } finally {
          await writer.close()
        }
      })

    test('FOR SHARE and LOCK IN SHARE MODE lock rows on every shard, and let others read', async () => {
      await start()
      const writer = await besideOne(world)
      try {
        await writer.alike(`SET SESSION innodb_lock_wait_timeout = ${flavour === 'mariadb' ? 0 : 1}`)
        for (const lock of flavour === 'mysql' ? ['FOR SHARE', 'LOCK IN SHARE MODE'] : ['LOCK IN SHARE MODE']) {
          await each('BEGIN', `SELECT id, n FROM t WHERE n < 10 ORDER BY id ${lock}`)
          await writer.alike(`SELECT id FROM t ORDER BY id ${lock}`)
          for (const id of both) await assert.rejects(writer.c.query(`DELETE FROM t WHERE id = ${id}`), { errno: 1205 })
          await each('ROLLBACK')
        }
      } finally {
        await writer.close()
      }
    })

    test('IGNORE, priorities, USING and VALUES ROW are as on one server', async () => {
      await start()
      await each(
        // Meets within each shard what it would on one: the unique key holds the shard key.
        'UPDATE IGNORE t SET u = 1',
        "UPDATE IGNORE t SET n = 'x' WHERE id < 4",
        'UPDATE LOW_PRIORITY t SET n = n + 1',
        'UPDATE LOW_PRIORITY IGNORE t SET n = NULL',
        rows,
        'INSERT LOW_PRIORITY INTO t VALUES (21, 1, 1), (22, 2, 2), (23, 3, 3), (24, 4, 4)',
        'INSERT HIGH_PRIORITY IGNORE INTO t VALUES (21, 9, 9), (25, 9, 9)',
        'REPLACE LOW_PRIORITY INTO t VALUES (21, 8, 8), (22, 8, 8)',
        'DELETE IGNORE FROM t WHERE id = 21',
        'DELETE LOW_PRIORITY QUICK IGNORE FROM t WHERE id IN (22, 23, 24, 25)',
        rows,
        'DELETE FROM t USING t JOIN o ON o.id = t.id WHERE o.n = 9',
        rows,
        'DELETE t FROM t JOIN o ON o.n = t.id WHERE o.id > 2',
        rows,
        'DELETE IGNORE t FROM t WHERE t.n < 0',
        'DELETE IGNORE FROM t',
        rows,
      )
      if (flavour === 'mysql')
        await each(
          'INSERT INTO t VALUES ROW(31, 1, 1), ROW(32, 2, 2), ROW(33, 3, 3), ROW(34, 4, 4)',
          'INSERT INTO t (id, n) VALUES ROW(35, 1), ROW(31, 7) ON DUPLICATE KEY UPDATE n = 70',
          rows,
        )
    })

    test('without an unsharded keyspace there is no server for named locks, and LOAD DATA is for one', async () => {
      const store = new MemoryStore()
      await addServer(store, 's1', world.serverPort, flavour)
      await addUser(store, 'app', password)
      const shards = [
        { name: '-80', serverId: 's1', schema: 'shop_80' },
        { name: '80-', serverId: 's1', schema: 'shop_end' },
      ]
      const vschema = {
        sharded: true,
        vindexes: { hash: { type: 'hash' } },
        tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
      }
      await addKeyspace(store, 'shop', shards, { sharded: true, vschema })
      const { gate, port } = await startGate(store)
      try {
        const c = await connect({ host: '127.0.0.1', port, user: 'app', password, database: 'shop' })
        for (const sql of ["SELECT GET_LOCK('a', 0)", "SELECT IS_USED_LOCK('a')", "DO RELEASE_LOCK('a')", 'SELECT RELEASE_ALL_LOCKS()'])
          assert.match(await codeOf(c, sql), /^SW-(GATE|SQL)-/, sql)
        assert.match(await codeOf(c, "LOAD DATA INFILE 'x' INTO TABLE t"), /^SW-/)
        await c.close()
      } finally {
        await gate.stop()
      }
    })
  })
}
