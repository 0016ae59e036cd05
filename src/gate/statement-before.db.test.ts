/** Promise 10: ROW_COUNT(), SHOW WARNINGS and their like tell what a server would, also of what the gate answers itself, and of its own errors. Beside one session on the server itself. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import type { Connection } from '../mysql/connection.ts'
import type { GateQueries, QueryShape } from '../topology/gate-queries.ts'
import { keys } from '../topology/keys.ts'
import { listRecords } from '../topology/typed.ts'
import { codeOf, gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const changes = "REPLACE INTO t VALUES (7, 'a'), (8, 'b')"
const warns = "INSERT IGNORE INTO t VALUES (7, 'too long'), (8, 'b')"
const fails = "INSERT INTO t VALUES (7, 'a')"
/** Answered by the gate, or refused by it. */
const between = [
  'SET @a = 1',
  'SET NAMES utf8mb4',
  'BEGIN',
  'COMMIT',
  'ROLLBACK',
  'SAVEPOINT s',
  'UNLOCK TABLES',
  'USE one',
  'PING',
  'SELECT CONNECTION_ID()',
  'SELECT ROW_COUNT()',
  'ROLLBACK TO nowhere',
  'KILL QUERY 99999999',
  'USE nowhere',
  'SET autocommit = 5',
  fails,
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let server: Connection
    let gate: Connection

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { one: 'one', wide: { t: 'by id' } },
        tables: ['t (id BIGINT PRIMARY KEY, w VARCHAR(3))'],
        config: { queriesEveryMs: 10 },
      })
      server = await world.connect({ database: 'one' })
      gate = await world.session('one')
    })
    after(async () => {
      await server?.close()
      await gate?.close()
      await world?.stop()
    })

    const run = async (c: Connection, sql: string): Promise<void> => {
      if (sql === 'PING') await c.ping()
      else await codeOf(c, sql)
    }
    /** The level and number of each. */
    const said = async (c: Connection): Promise<unknown[]> => {
      const result = await c.query('SHOW WARNINGS')
      return result.kind === 'rows' ? result.rows.map((row) => `${row[0]} ${row[1]}`) : []
    }

    test('ROW_COUNT()', async () => {
      for (const sql of between)
        for (const ask of ['SELECT ROW_COUNT()', 'SELECT ROW_COUNT() + 0']) {
          const answers = []
          for (const c of [gate, server]) {
            await run(c, changes)
            await run(c, sql)
            answers.push(await c.value(ask))
            await run(c, 'ROLLBACK')
          }
          assert.equal(answers[0], answers[1], `${sql}; ${ask}`)
        }
    })

    test('ROW_COUNT() in a transaction behind an error of the server, and over shards', async () => {
      const wide = await world.session('wide')
      for (const c of [gate, wide]) {
        await run(c, changes)
        await run(c, 'BEGIN')
        await run(c, changes)
        assert.equal(await codeOf(c, fails), '1062')
        assert.equal(await c.value('SELECT ROW_COUNT()'), '-1')
        await run(c, 'ROLLBACK')
        assert.equal(await c.value('SELECT ROW_COUNT()'), '0')
        assert.equal(await c.value('SELECT ROW_COUNT()'), '-1')
      }
      await wide.close()
    })

    test('warnings of the statement before', async () => {
      // A gate's COMMIT gives its connections back: what they had said is MariaDB's to keep, and not ours.
      const kept = new Set(
        flavour === 'mariadb' ? ['COMMIT', 'ROLLBACK', 'SET NAMES utf8mb4', 'BEGIN', 'SAVEPOINT s', 'UNLOCK TABLES', 'SET @a = 1'] : [],
      )
      const number = async (c: Connection): Promise<unknown> => await c.value('SELECT @@error_count + @@warning_count * 10')
      for (const sql of between.filter((one) => !kept.has(one)))
        for (const first of [warns, fails])
          for (const ask of [said, number]) {
            const answers = []
            for (const c of [gate, server]) {
              await run(c, changes)
              await run(c, first)
              await run(c, sql)
              answers.push(await ask(c))
              await run(c, 'ROLLBACK')
            }
            const [ours, theirs] = answers
            // Our own numbers of errors are not always a server's.
            const plain = (of: unknown): unknown => (Array.isArray(of) ? of.map((one) => String(one).replace(/^Error \d+$/, 'Error')) : of)
            assert.deepEqual(plain(ours), plain(theirs), `${first}; ${sql}; ${ask.name}`)
          }
    })

    test('an error of the gate is what SHOW WARNINGS tells, wherever the session has connections', async () => {
      const c = await world.session('one')
      for (const setUp of ['SELECT 1', 'SET @pinned = 1', 'BEGIN']) {
        await c.query(setUp)
        await c.query(warns)
        assert.equal(await codeOf(c, "XA START 'a'"), 'SW-GATE-012')
        assert.deepEqual(await said(c), ['Error 1235'], setUp)
        assert.equal(await c.value('SELECT @@warning_count + @@error_count'), '2', setUp)
        await c.query('SELECT id FROM t')
        assert.deepEqual(await said(c), [], setUp)
      }
      await c.close()
    })

    test('a text that can not be read, and a PREPARE that fails, are no error of the next statement', async () => {
      const c = await world.session('one')
      // A key of its own each time: gates tell the worst of many.
      await assert.rejects(c.prepare("XA START 'a'"))
      await c.query('SELECT id, w FROM t WHERE id = 99')
      await codeOf(c, 'SELECT 1 /* not ended')
      await c.query('SELECT w, id FROM t WHERE id = 99')
      const shapes = async (): Promise<QueryShape[]> =>
        (await listRecords<GateQueries>(world.store, keys.allGateQueries)).flatMap(({ value }) => value.shapes)
      const of = async (start: string): Promise<QueryShape | undefined> => (await shapes()).find(({ text }) => text.startsWith(start))
      await until('they are told', async () => (await of('SELECT w')) !== undefined)
      assert.deepEqual([(await of('SELECT id'))?.errors, (await of('SELECT w'))?.errors], [0, 0])
      await c.close()
    })
  })
}
