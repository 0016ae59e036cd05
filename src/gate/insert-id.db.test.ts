/** Ids that an INSERT names, beside those of a server with AUTO_INCREMENT; which row has an id is compared, not the id. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import { ServerError } from '../mysql/errors.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

/** `plain` has no AUTO_INCREMENT on the shards, as tables have that came from Vitess; `looked` keeps a lookup. */
const onShards = { plain: '', counted: 'AUTO_INCREMENT', looked: '', looked_counted: 'AUTO_INCREMENT' }
const tables = Object.keys(onShards)
const columns = (increment: string): string =>
  `(id BIGINT NOT NULL ${increment} PRIMARY KEY, owner INT NOT NULL, body VARCHAR(20), tag INT, UNIQUE KEY (owner), KEY (tag))`

const statements = [
  ["INSERT INTO T (owner, body) VALUES (1, 'a') ON DUPLICATE KEY UPDATE body = 'a'", 'new'],
  ["INSERT INTO T (owner, body) VALUES (2, 'a')", 'new, without the clause'],
  ["INSERT INTO T (owner, body) VALUES (1, 'b') ON DUPLICATE KEY UPDATE body = VALUES(body)", 'met and changed'],
  ["INSERT INTO T (owner, body) VALUES (1, 'b') ON DUPLICATE KEY UPDATE body = 'b'", 'met and as it was'],
  ["INSERT INTO T SET owner = 1, body = 'b' ON DUPLICATE KEY UPDATE body = 'c' /* end */;", 'met and changed, by SET'],
  ["INSERT INTO T (id, owner, body) VALUES (NULL, 1, 'c') ON DUPLICATE KEY UPDATE id = id", 'met, its id is set'],
  ["INSERT IGNORE INTO T (owner, body) VALUES (1, 'd')", 'ignored'],
  ["INSERT INTO T (owner, body) VALUES (1, 'd'), (1, 'd') ON DUPLICATE KEY UPDATE body = body", 'several, all met'],
  ["REPLACE INTO T (owner, body) VALUES (1, 'e')", 'replaced'],
  ["INSERT INTO T (owner, body) VALUES (3, 'a') ON DUPLICATE KEY UPDATE body = 'a'", 'new again'],
] as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      const described = (table: string): object => {
        const lookup = table.startsWith('looked') ? [{ columns: ['tag', 'id'], name: `tag_of_${table}` }] : []
        return {
          column_vindexes: [{ column: 'owner', name: 'hash' }, ...lookup],
          auto_increment: { column: 'id', sequence: `ids.${table}_seq` },
        }
      }
      const lookup = (owner: string): object => ({
        type: 'consistent_lookup',
        params: { table: `ids.${owner}_tag`, from: 'tag,id', to: 'keyspace_id' },
        owner,
      })
      world = await gateOnServer({
        flavour,
        keyspaces: {
          one: 'one',
          ids: 'ids',
          app: {
            shards: ['-80', '80-'],
            vindexes: { hash: { type: 'hash' }, tag_of_looked: lookup('looked'), tag_of_looked_counted: lookup('looked_counted') },
            tables: Object.fromEntries(tables.map((table) => [table, described(table)])),
          },
        },
        tables: (schema) =>
          Object.entries(onShards).map(([table, increment]) =>
            schema === 'ids'
              ? `${table}_tag (tag INT, id BIGINT, keyspace_id VARBINARY(16), PRIMARY KEY (tag, id))`
              : `${table} ${columns(schema === 'one' ? 'AUTO_INCREMENT' : increment)}`,
          ),
        sequences: { plain: 7, counted: 7, looked: 7, looked_counted: 7 },
      })
    })
    after(() => world?.stop())

    for (const table of tables)
      for (const foundRows of [false, true])
        test(`promise 10: ids that INSERTs of ${table} name${foundRows ? ' to a client that counts found rows' : ''}`, async () => {
          await using own = await world.connect({ database: 'one', foundRows })
          await using c = await world.session('app', { foundRows })
          for (const on of [own, c]) await on.query(`DELETE FROM ${table}`)
          for (const [sql, label] of statements) {
            const said: unknown[] = []
            for (const on of [own, c]) {
              const result = await on.query(sql.replace(/\bT\b/, table))
              assert.ok(result.kind === 'ok')
              const last = (await on.value('SELECT LAST_INSERT_ID()')) ?? null
              const variables = await on.all('SELECT @@identity AS a, @@last_insert_id AS b, @@identity + 0 AS c')
              assert.deepEqual(Object.values(variables[0] ?? {}).map(String), [last, last, last], `variables after ${label}`)
              const rowOf = async (id: string | null): Promise<string> =>
                id === '0' ? 'none' : `of owner ${await on.value(`SELECT owner FROM ${table} WHERE id = ${id}`)}`
              said.push([result.affectedRows, result.info, await rowOf(String(result.insertId)), await rowOf(last)])
            }
            assert.deepEqual(said[1], said[0], label)
          }
        })

    test('promise 10: an id that the client gave is not LAST_INSERT_ID()', async () => {
      await using c = await world.session('app')
      await c.query("INSERT INTO counted (owner, body) VALUES (71, 'a')")
      const drawn = await c.value('SELECT id FROM counted WHERE owner = 71')
      for (const clause of ['', " ON DUPLICATE KEY UPDATE body = 'b'"]) {
        await c.query(`INSERT INTO counted (id, owner, body) VALUES (9${clause.length}, 7${clause.length}, 'a')${clause}`)
        await c.query(`INSERT INTO counted (id, owner, body) VALUES (99, 71, 'c') ON DUPLICATE KEY UPDATE body = VALUES(body)`)
        assert.equal(await c.value('SELECT LAST_INSERT_ID()'), drawn)
      }
    })

    test('promise 10: what is rewritten goes to the shard, also when it is as long as what came', async () => {
      await using c = await world.session('app')
      const ids: string[] = []
      for (let owner = 1; owner <= 9; owner++) {
        for (const sql of [`INSERT INTO plain VALUES (NULL, ${owner}1, 'a', 1)`, `INSERT INTO plain VALUES(NULL,${owner}2, 'a', 1)`]) {
          await c.query(sql)
          ids.push((await c.value('SELECT LAST_INSERT_ID()')) ?? '')
        }
      }
      assert.equal(new Set(ids).size, 18)
      assert.equal(await c.value(`SELECT COUNT(*) FROM plain WHERE id IN (${ids.join()})`), '18')
      await c.query('SET @v = 1, @owner = 31')
      assert.equal(await c.value('SELECT COUNT(*) FROM plain WHERE owner = 31 AND tag =@v'), '1')
      assert.equal(await c.value('SELECT COUNT(*) FROM plain WHERE tag =@v'), '18')
    })

    test('promise 10: an execution that draws an id says what a server says, and not what its text would be told', async () => {
      await using own = await world.connect({ database: 'one' })
      await using c = await world.session('app')
      // Bytes that are no text in a parameter for a binary column; on MySQL a text that is warned of where it is prepared.
      const sql = 'INSERT INTO plain (owner, body, raw, tag) VALUES (?, ?, ?, 5) ON DUPLICATE KEY UPDATE body = VALUES(body)'
      for (const schema of world.schemas)
        if (schema !== 'ids') await world.admin.query(`ALTER TABLE ${schema}.plain ADD COLUMN raw VARBINARY(20)`)
      const raw = Buffer.from('00ff0a27fe', 'hex')
      const said: unknown[] = []
      for (const on of [own, c]) {
        const statement = await on.prepare(sql)
        for (const owner of [501, 502, 501]) {
          const result = await statement.execute([owner, `it's "ü" \\ ${owner}`, raw])
          assert.ok(result.kind === 'ok')
          said.push([result.warnings, result.affectedRows, result.info])
        }
        statement.close()
        said.push(await on.allText('SELECT owner, body, HEX(raw) AS raw, tag FROM plain WHERE owner > 500 ORDER BY owner'))
        const two = await on.prepare('INSERT INTO plain (owner, body, raw) VALUES (?, ?, ?), (?, ?, NULL)')
        const both = await two.execute([601, 'a', raw, 604, 'b'])
        assert.ok(both.kind === 'ok')
        said.push(both.affectedRows, await on.allText('SELECT owner, body, HEX(raw) AS raw FROM plain WHERE owner > 600 ORDER BY owner'))
      }
      assert.deepEqual(said.slice(6), said.slice(0, 6))
      const [first, second] = await Promise.all([501, 604].map((owner) => c.value(`SELECT id FROM plain WHERE owner = ${owner}`)))
      assert.ok(Number(first) > 0 && Number(second) > Number(first))
    })

    test('promise 10: of ids that the client gave over several shards the last is named, and LAST_INSERT_ID() stays', async () => {
      await using own = await world.connect({ database: 'one' })
      await using c = await world.session('app')
      const said: unknown[] = []
      for (const on of [own, c]) {
        const before = await on.value('SELECT LAST_INSERT_ID()')
        for (const owners of [[801, 802, 803, 804], [808, 807, 806, 805], [809]]) {
          const rows = owners.map((owner) => `(9${owner}, ${owner}, 'a')`)
          const result = await on.query(`INSERT INTO counted (id, owner, body) VALUES ${rows.join()}`)
          said.push(result.kind === 'ok' ? result.insertId : null, (await on.value('SELECT LAST_INSERT_ID()')) === before)
        }
        await on.query('DELETE FROM counted WHERE owner > 800')
      }
      assert.deepEqual(said.slice(6), said.slice(0, 6))
      assert.deepEqual(said.slice(0, 4), [9804n, true, 9805n, true])
    })

    test('promise 10: an id that the client gives, in a keyspace that is not sharded, is no LAST_INSERT_ID()', async () => {
      await using own = await world.connect({ database: 'one' })
      await using c = await world.session('ids')
      const said: unknown[][] = [[], []]
      await world.admin.query('CREATE TABLE one.own_ids (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT, s VARCHAR(4))')
      await world.admin.query('CREATE TABLE ids.own_ids LIKE one.own_ids')
      for (const schema of ['one', 'ids'])
        await world.admin.query(`CREATE PROCEDURE ${schema}.draw_id() INSERT INTO own_ids (n) VALUES (1)`)
      for (const [i, on] of [own, c].entries()) {
        const tell = async (sql: string, params: readonly (number | string)[] | null = null): Promise<void> => {
          const statement = params === null ? null : await on.prepare(sql)
          const result = await (statement === null ? on.query(sql) : statement.execute(params ?? []))
          statement?.close()
          said[i]?.push([sql, result.kind === 'ok' ? result.insertId : null, result.warnings])
          if (result.warnings > 0) said[i]?.push(await on.allText('SHOW WARNINGS'))
          said[i]?.push(await on.value('SELECT LAST_INSERT_ID()'))
        }
        await tell("INSERT INTO own_ids (n, s) VALUES (7, 'it''s')")
        await tell('INSERT INTO own_ids (id, n) VALUES (40, 1)')
        await tell("INSERT IGNORE INTO own_ids (id, s) VALUES (50, 'too long')")
        await tell('INSERT INTO own_ids (id, n) VALUES (30 + 30, 1)')
        await tell('INSERT INTO own_ids SELECT 70, n, s FROM own_ids WHERE id = 40')
        await tell('INSERT INTO own_ids (id, n) VALUES (?, 1)', [80])
        await tell('INSERT INTO own_ids (id, n) VALUES (?, 1)', ['90'])
        await tell('INSERT INTO own_ids (n, s) VALUES (?, ?)', [3, 'x'])
        await tell('INSERT INTO own_ids (id, n) VALUES (70000, 1), (70001, 1)')
        await tell('INSERT INTO own_ids (n) VALUES (1), (2)')
        await on.query('BEGIN')
        await tell('INSERT INTO own_ids (id, n) VALUES (80000, 1)')
        await on.query('COMMIT')
        await tell('REPLACE INTO own_ids (id, n) VALUES (40, 2)')
        // On a connection on which another session drew one.
        await using other = await (on === own ? world.connect({ database: 'one' }) : world.session('ids'))
        await other.query('INSERT INTO own_ids (n) VALUES (8)')
        await tell('INSERT INTO own_ids (id, n) VALUES (90000, 1)')
        // The very one that was drawn there: by another session, by a routine of another's, and by a row before one that is refused.
        await other.query('INSERT INTO own_ids (n) VALUES (9)')
        const drawn = async (): Promise<string> => String(await other.value('SELECT MAX(id) FROM own_ids'))
        await tell(`REPLACE INTO own_ids (id, n) VALUES (${await drawn()}, 1)`)
        await other.query('CALL draw_id()')
        await tell('REPLACE INTO own_ids (id, n) VALUES (?, 1)', [await drawn()])
        await assert.rejects(other.query("INSERT INTO own_ids (n, s) VALUES (1, 'a'), (2, 'far too long')"), ServerError)
        await other.query('INSERT INTO own_ids (n) VALUES (10)')
        await tell(`INSERT INTO own_ids (id, n) VALUES (${Number(await drawn()) - 1}, 1)`)
      }
      assert.deepEqual(said[1], said[0])
    })

    test('promise 10: rows that are computed of parameters draw ids and have their lookups, each on its shard or made at one place', async () => {
      await using own = await world.connect({ database: 'one' })
      await using c = await world.session('app')
      for (const [table, column] of [
        ['plain', ''],
        ['looked', ''],
        ['looked', 'id, '],
      ] as const) {
        const said: unknown[] = []
        const id = column === '' ? '' : 'NULL, '
        for (const on of [own, c]) {
          const like = await on.prepare(
            `INSERT INTO ${table} (${column}owner, body, tag) VALUES ${[1, 2, 3, 4].map(() => `(${id}?, LEFT(? + 1, 10), ?)`).join()}`,
          )
          const other = await on.prepare(
            `INSERT INTO ${table} (${column}owner, body, tag) VALUES (${id}?, LEFT(? / ?, 10), ?), (${id}?, ?, ?), (${id}?, 'c', 9)`,
          )
          for (const [statement, values] of [
            [like, [701, '1.5', 7, 702, '2.5', 7, 703, '3.5', 7, 704, '4.5', 7]],
            [other, [711, 5, 3, 8, 714, 'b', '8', 712]],
          ] as const) {
            const result = await statement.execute(values)
            assert.ok(result.kind === 'ok')
            said.push([result.affectedRows, result.warnings, result.info])
            statement.close()
          }
          const rows = `SELECT owner, body, tag FROM ${table} WHERE tag IN (7, 8, 9) ORDER BY owner`
          said.push(await on.allText(rows), await on.allText(rows.replace('IN (7, 8, 9)', '= 8')))
          const ids = await on.allText(`SELECT id FROM ${table} WHERE tag IN (7, 8, 9)`)
          said.push(new Set(ids.map((row) => row['id'])).size)
          await on.query(`DELETE FROM ${table} WHERE owner > 700`)
        }
        assert.deepEqual(said.slice(5), said.slice(0, 5), `${table} ${column}`)
        assert.equal(said[4], 7)
      }
    })

    test('EXPLAIN: a statement that draws an id is explained and draws none; one that no server runs as it stands is refused by name', async () => {
      const c = await world.session('app')
      const next = async (): Promise<unknown> => await world.admin.value('SELECT next_id FROM ids.plain_seq')
      const before = await next()
      // A table or a tree, as the server's own setting says.
      const explained = async (sql: string): Promise<string> => Object.values((await c.allText(`EXPLAIN ${sql}`))[0] ?? {}).join()
      assert.match(await explained("INSERT INTO plain (owner, body) VALUES (1001, 'x'), (1004, 'y')"), /plain/)
      assert.equal(await next(), before)
      assert.match(await explained('SELECT COUNT(*) FROM plain'), /plain|Count/)
      assert.match(await explained('SELECT * FROM looked WHERE tag = 5'), /looked/)
      for (const sql of ['SELECT * FROM plain x JOIN plain y ON x.tag = y.tag', "UPDATE plain SET body = 'x' ORDER BY tag LIMIT 1"])
        await assert.rejects(c.query(`EXPLAIN ${sql}`), /SW-GATE-012.*VEXPLAIN/)
      await c.close()
    })
  })
}
