/** Statements on several shards that a server refuses or ends: what is left behind, what is sent again, and what the client is told. */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { noOpenTransactions } from '../../test/kit/open-transactions.ts'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'
import { addKeyspace, changeRouting } from './testkit/world.ts'

/** On either shard. */
const [low, high] = [1, 4]
const vschema = {
  sharded: true,
  vindexes: { hash: { type: 'hash' } },
  tables: { t: { column_vindexes: [{ column: 'id', name: 'hash' }] } },
}

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let admin: Connection
    let holder: Connection
    const open: Connection[] = []
    async function client(database = 'shop'): Promise<Connection> {
      const c = await world.session(database)
      open.push(c)
      return c
    }

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, v INT, at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3))'],
      })
      ;({ admin } = world)
      holder = await world.connect()
      const shards = ['-80', '80-'].map((name, i) => ({ name, serverId: 's1', schema: world.schemas[i] as string }))
      await addKeyspace(world.store, 'strict', shards, { sharded: true, vschema, mode: 'single' })
      // The words of a server that ends a connection.
      await admin.query(`CREATE TRIGGER shop_end.ends BEFORE UPDATE ON shop_end.t FOR EACH ROW
        IF IS_FREE_LOCK('armed') = 0 THEN SIGNAL SQLSTATE '08S01' SET MYSQL_ERRNO = 1053, MESSAGE_TEXT = 'Server shutdown in progress'; END IF`)
      for (const schema of world.schemas)
        await admin.query(
          `CREATE FUNCTION ${schema}.waits() RETURNS INT NO SQL RETURN IF(GET_LOCK('waited for', 20) = 1, RELEASE_LOCK('waited for'), NULL)`,
        )
      await admin.query('CREATE FUNCTION shop_80.acts() RETURNS INT NO SQL RETURN 1')
      await admin.query(`CREATE FUNCTION shop_end.acts() RETURNS INT NO SQL BEGIN
        SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1290, MESSAGE_TEXT = 'The server is running with the --read-only option';
        RETURN 1; END`)
    })
    after(async () => {
      await holder?.close()
      await world?.stop()
    })
    beforeEach(async () => {
      for (const schema of world.schemas) await admin.query(`DELETE FROM ${schema}.t`)
      await admin.query(`INSERT INTO shop_80.t (id, v) VALUES (${low}, 0)`)
      await admin.query(`INSERT INTO shop_end.t (id, v) VALUES (${high}, 0)`)
    })
    afterEach(async () => {
      await holder.query('ROLLBACK')
      await holder.query("DO RELEASE_LOCK('waited for')")
      for (const c of open.splice(0)) await c.close()
      await noOpenTransactions(admin)
    })
    const values = async (): Promise<(string | null)[]> =>
      (await admin.allText('SELECT v FROM shop_80.t UNION ALL SELECT v FROM shop_end.t')).map((row) => row['v'] ?? null)
    const running = async (like: string, schema = '%'): Promise<string[]> =>
      (
        await admin.allText(
          `SELECT id AS id FROM information_schema.processlist
           WHERE info LIKE '${like}' AND command <> 'Killed' AND id <> CONNECTION_ID() AND IFNULL(db, '') LIKE '${schema}'`,
        )
      ).map((row) => row['id'] as string)

    /** Refused before there are columns. */
    const failing = 'ABS(1, 2)'
    for (const [how, ...statements] of [
      ['a read', `SELECT id, ${failing}, NOW(3) FROM t`],
      ['a read that is put together at one place', `SELECT a.id, NOW(3) FROM t a JOIN t b ON a.v = b.v WHERE a.id > 0 AND ${failing} > 0`],
      ['a read in a transaction', 'BEGIN', `SELECT id, ${failing}, NOW(3) FROM t`, 'COMMIT'],
      ['a read in a transaction, rolled back', 'BEGIN', `SELECT id, ${failing}, NOW(3) FROM t`, 'ROLLBACK'],
      [
        'a read in a transaction that goes on',
        'BEGIN',
        `SELECT id, ${failing}, NOW(3) FROM t`,
        `UPDATE t SET v = 1 WHERE id = ${low}`,
        'COMMIT',
      ],
      ['a write', `UPDATE t SET v = ${failing}, at = NOW(3) WHERE id > 0`],
      ['a write in a transaction', 'BEGIN', `UPDATE t SET v = ${failing}, at = NOW(3) WHERE id > 0`, 'COMMIT'],
      ['a read that succeeds', 'SELECT id, NOW(3) FROM t'],
    ] as const)
      test(`promise 10: the instant of a statement over several shards is no other statement's, also when it was refused: ${how}`, async () => {
        const c = await client()
        for (const sql of statements) {
          const code = await codeOf(c, sql)
          assert.equal(code, sql.includes(failing) ? '1582' : 'done', sql)
        }
        const now = async (): Promise<string> => (await admin.value('SELECT NOW(3)')) as string
        const before = await now()
        let since = before
        await until('the clock to go on', async () => (since = await now()) > before)
        const other = await client()
        for (const id of [2, 3, 7, 8]) await other.query(`INSERT INTO t (id) VALUES (${id})`)
        const stored = await admin.allText(
          'SELECT at AS at FROM shop_80.t WHERE id IN (2, 3, 7, 8) UNION ALL SELECT at FROM shop_end.t WHERE id IN (2, 3, 7, 8)',
        )
        assert.equal(stored.length, 4)
        for (const { at } of stored) assert.ok((at as string) >= since, `${at} is before ${since}`)
        // A transaction that is the session's own.
        await other.query('BEGIN')
        for (const id of [low, high]) assert.ok(((await other.value(`SELECT NOW(3) FROM t WHERE id = ${id}`)) as string) >= since)
        await other.query('COMMIT')
      })

    test('promise 10: one statement has one instant on all shards, another the next', async () => {
      const c = await client()
      const instants = async (): Promise<string[]> => (await c.allText('SELECT id, NOW(6) AS n FROM t')).map((row) => row['n'] as string)
      const [first, second] = [await instants(), await instants()]
      assert.equal(new Set(first).size, 1)
      assert.equal(new Set(second).size, 1)
      assert.ok((first[0] as string) < (second[0] as string))
    })

    for (const keyspace of ['shop', 'strict'])
      test(`promise 10: what SET TRANSACTION says of a transaction that nothing has begun is for no other session: ${keyspace}`, async () => {
        const c = await client(keyspace)
        await c.query('SET autocommit = 0')
        await c.query('SET TRANSACTION READ ONLY')
        await c.query('SELECT 1')
        const other = await client(keyspace)
        for (const id of [2, 7]) assert.equal(await codeOf(other, `INSERT INTO t (id) VALUES (${id})`), 'done')
      })

    for (const begin of [null, 'BEGIN'])
      for (const [how, sql] of [
        ['on every shard', 'SELECT id, waits() FROM t'],
        ['at one place', 'SELECT a.id, waits() FROM t a JOIN t b ON a.v = b.v WHERE a.id > 0'],
      ] as const)
        test(`promise 11: a read whose connection breaks, of which a function may have acted, is not sent again: ${how}, ${begin ?? 'autocommit'}`, async () => {
          await holder.query("DO GET_LOCK('waited for', 0)")
          const c = await client()
          if (begin !== null) await c.query(begin)
          const told = codeOf(c, sql)
          const [id] = await until('it to run', async () => {
            const ids = await running('SELECT %waits()%')
            return ids.length > 0 ? ids : null
          })
          await admin.query(`KILL ${id}`)
          await until('it to be gone', async () => !(await running('SELECT %waits()%')).includes(id as string))
          await holder.query("DO RELEASE_LOCK('waited for')")
          assert.equal(await told, begin === null || how === 'at one place' ? 'SW-GATE-009' : 'SW-GATE-008')
          await c.query('ROLLBACK')
          assert.equal(await codeOf(c, 'SELECT id FROM t'), 'done')
        })

    test('a locking read that calls nothing is read again where its connection breaks outside a transaction', async () => {
      await holder.query('BEGIN')
      await holder.query(`SELECT * FROM shop_end.t WHERE id = ${high} FOR UPDATE`)
      const c = await client()
      const told = codeOf(c, 'SELECT id FROM t FOR UPDATE')
      const [id] = await until('it to wait', async () => {
        const ids = await running('SELECT id FROM t FOR UPDATE')
        return ids.length > 0 ? ids : null
      })
      await admin.query(`KILL ${id}`)
      await until('it to be gone', async () => !(await running('SELECT id FROM t FOR UPDATE')).includes(id as string))
      await holder.query('ROLLBACK')
      assert.equal(await told, 'done')
    })

    test('promise 11: nor is one of which a part was refused where others may have acted', async () => {
      const c = await client()
      for (const sql of ['SELECT id, acts() FROM t', 'SELECT a.id FROM t a JOIN t b ON a.v = b.v WHERE a.id + acts() > 0'])
        assert.match(await codeOf(c, sql), /^(SW-GATE-209|1290)$/, sql)
      // Of none there, nothing has acted: it waits, and is asked again.
      await admin.query('DELETE FROM shop_80.t')
      assert.equal(await codeOf(c, 'SELECT id, acts() FROM t WHERE id = 4'), 'SW-GATE-021')
      await c.query('BEGIN')
      assert.equal(await codeOf(c, 'SELECT id, acts() FROM t'), 'SW-GATE-021')
    })

    for (const how of ['with words', 'without words'] as const)
      for (const moving of how === 'with words' ? [false, true] : [true])
        test(`promises 1 and 11: a write over several shards whose connection a server ends before the commit, ${how}, stands nowhere, ${moving ? 'and is done again once where its shards move' : 'and its client is told so'}`, async () => {
          const behind = await world.connect()
          open.push(behind)
          for (const on of [holder, behind]) await on.query('BEGIN')
          await holder.query(`SELECT * FROM shop_end.t WHERE id = ${high} FOR UPDATE`)
          if (how === 'with words') await holder.query("DO GET_LOCK('armed', 0)")
          const c = await client()
          const told = codeOf(c, 'UPDATE t SET v = v + 1 WHERE id > 0')
          const [id] = await until('it to wait', async () => {
            // Not its part before, which may be seen at its end.
            const ids = await running('UPDATE t SET v%', 'shop_end')
            return ids.length > 0 ? ids : null
          })
          // Has the row that it has once that is rolled back, and before it is done again.
          const rolledBack = behind.query(`SELECT * FROM shop_80.t WHERE id = ${low} FOR UPDATE`)
          await until('it to wait too', async () => (await running(`SELECT * FROM shop_80.t WHERE id = ${low} FOR UPDATE`)).length > 0)
          if (moving)
            await changeRouting(world.store, 'shop', (r) => ({
              ...r,
              components: r.components.map((component) => ({ ...component, epoch: component.epoch + 1 })),
            }))
          if (how === 'without words') await admin.query(`KILL ${id}`)
          else await holder.query('ROLLBACK')
          await rolledBack
          assert.deepEqual(await values(), ['0', '0'])
          await holder.query('ROLLBACK')
          await holder.query("DO RELEASE_LOCK('armed')")
          await behind.query('ROLLBACK')
          assert.equal(await told, moving ? 'done' : 'SW-GATE-203')
          assert.deepEqual(await values(), moving ? ['1', '1'] : ['0', '0'])
        })

    test('under transaction_mode single a write over several shards is refused, also in autocommit, and nothing of it is done', async () => {
      const c = await client('strict')
      for (const sql of [
        'UPDATE t SET v = 5 WHERE id > 0',
        `UPDATE t SET v = 5 WHERE id IN (${low}, ${high})`,
        'DELETE FROM t',
        'INSERT INTO t (id, v) VALUES (2, 5), (7, 5)',
        'INSERT INTO t (id, v) SELECT id + 10, v FROM t',
        'UPDATE t SET v = 5 ORDER BY v LIMIT 2',
      ])
        assert.equal(await codeOf(c, sql), 'SW-GATE-201', sql)
      assert.deepEqual(await values(), ['0', '0'])
      assert.equal(await codeOf(c, `UPDATE t SET v = 5 WHERE id = ${high}`), 'done')
      assert.equal(await c.value('SELECT SUM(v) FROM t'), '5')
      await c.query('BEGIN')
      assert.equal(await codeOf(c, 'UPDATE t SET v = 6 WHERE id > 0'), 'SW-GATE-201')
      await c.query('COMMIT')
      assert.deepEqual(await values(), ['0', '5'])
    })
  })
}
