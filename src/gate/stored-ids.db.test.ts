/** Promise 10: which id an INSERT of several rows names where rows are left out (IGNORE) or met (ON DUPLICATE KEY UPDATE): the same row's as a server's. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

/** `plain` has no AUTO_INCREMENT on the shards, as tables have that came from Vitess. */
const onShards = { plain: '', counted: 'AUTO_INCREMENT' }
const tables = Object.keys(onShards)

/** By owner: 1 to 8 are there, over both shards, with the body b and ids of their own. G is an id that the client gives, G+1 the next. */
const statements = [
  'INSERT IGNORE INTO T (owner) VALUES (1), (50), (51), (52)',
  'INSERT IGNORE INTO T (owner) VALUES (1), (2), (3), (4), (5), (55)',
  'INSERT IGNORE INTO T (owner) VALUES (51), (1), (2), (3), (4)',
  'INSERT IGNORE INTO T (owner) VALUES (1), (51), (2), (52), (3), (53), (4), (54)',
  'INSERT IGNORE INTO T (owner) VALUES (1), (2), (3), (4), (5)',
  'INSERT IGNORE INTO T (owner) VALUES (1), (1), (61)',
  'INSERT IGNORE INTO T (owner) VALUES (62), (62)',
  'INSERT IGNORE INTO T (owner) VALUES (1), (1)',
  'INSERT IGNORE INTO T (owner) VALUES (71), (72), (73), (74)',
  'INSERT IGNORE INTO T (id, owner) VALUES (G, 51), (NULL, 1), (NULL, 2), (NULL, 3)',
  'INSERT IGNORE INTO T (id, owner) VALUES (NULL, 1), (NULL, 2), (NULL, 3), (G, 51)',
  'INSERT IGNORE INTO T (id, owner) VALUES (NULL, 1), (NULL, 2), (NULL, 55), (G, 3)',
  'INSERT IGNORE INTO T (id, owner) VALUES (NULL, 1), (G, 51), (NULL, 52), (NULL, 2)',
  "INSERT INTO T (id, owner, body) VALUES (G, 51, 'a'), (G+1, 52, 'a'), (G+2, 53, 'a') ON DUPLICATE KEY UPDATE body = 'a'",
  "INSERT INTO T (id, owner, body) VALUES (G, 51, 'a'), (G+1, 52, 'a'), (id:2, 2, 'a') ON DUPLICATE KEY UPDATE body = 'b'",
  "INSERT INTO T (id, owner, body) VALUES (G, 51, 'a'), (G+1, 52, 'a'), (id:3, 3, 'a') ON DUPLICATE KEY UPDATE body = 'b'",
  "INSERT INTO T (id, owner, body) VALUES (G, 51, 'a'), (G+1, 52, 'a'), (id:4, 4, 'a') ON DUPLICATE KEY UPDATE body = 'z'",
  "INSERT INTO T (id, owner, body) VALUES (id:1, 1, 'a'), (id:2, 2, 'a'), (id:3, 3, 'a'), (id:4, 4, 'a') ON DUPLICATE KEY UPDATE body = 'b'",
  "INSERT INTO T (id, owner, body) VALUES (id:1, 1, 'z'), (id:2, 2, 'b'), (id:3, 3, 'b'), (id:4, 4, 'b') ON DUPLICATE KEY UPDATE body = VALUES(body)",
  "INSERT INTO T (id, owner, body) VALUES (id:1, 1, 'z'), (id:2, 2, 'z'), (id:3, 3, 'z'), (id:4, 4, 'z') ON DUPLICATE KEY UPDATE body = VALUES(body)",
  "INSERT INTO T (id, owner, body) VALUES (id:1, 1, 'a'), (G, 1, 'a') ON DUPLICATE KEY UPDATE body = 'b'",
  "INSERT INTO T (id, owner, body) VALUES (G, 61, 'a'), (G, 61, 'a') ON DUPLICATE KEY UPDATE body = 'b'",
] as const

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      const described = (table: string): object => ({
        column_vindexes: [{ column: 'owner', name: 'hash' }],
        auto_increment: { column: 'id', sequence: `ids.${table}_seq` },
      })
      world = await gateOnServer({
        flavour,
        keyspaces: {
          one: 'one',
          ids: 'ids',
          app: {
            shards: ['-80', '80-'],
            vindexes: { hash: { type: 'hash' } },
            tables: Object.fromEntries(tables.map((table) => [table, described(table)])),
          },
        },
        tables: (schema) =>
          Object.entries(schema === 'ids' ? {} : onShards).map(([table, increment]) => {
            const numbered = schema === 'one' ? 'AUTO_INCREMENT' : increment
            return `${table} (id BIGINT NOT NULL ${numbered} PRIMARY KEY, owner INT NOT NULL, body VARCHAR(20), UNIQUE KEY (owner))`
          }),
        sequences: { plain: 7, counted: 7 },
      })
    })
    after(() => world?.stop())

    let given = 100_000
    /** What is said, and of which owner's row: ids themselves are others. */
    const told = async (on: Connection, table: string, text: string, begins: boolean, form: 'text' | 'prepared'): Promise<unknown> => {
      await on.query(`DELETE FROM ${table}`)
      for (let owner = 1; owner <= 8; owner++) await on.query(`INSERT INTO ${table} (owner, body) VALUES (${owner}, 'b')`)
      const before = await on.value('SELECT LAST_INSERT_ID()')
      given += 10
      let sql = text
        .replace(/\bT\b/, table)
        .replaceAll(/\bG\b(?:\+(\d))?/g, (_, more: string | undefined) => String(given + Number(more ?? 0)))
      for (const [written, owner] of sql.matchAll(/id:(\d)/g))
        sql = sql.replace(written, (await on.value(`SELECT id FROM ${table} WHERE owner = ${owner}`)) ?? '')
      if (begins) await on.query('BEGIN')
      const statement = form === 'text' ? null : await on.prepare(sql)
      const result = await (statement?.execute([]) ?? on.query(sql))
      statement?.close()
      assert.ok(result.kind === 'ok')
      const last = (await on.value('SELECT LAST_INSERT_ID()')) ?? ''
      const rowOf = async (id: string): Promise<string> =>
        id === '0' ? 'none' : id === String(given) ? 'G' : `of owner ${await on.value(`SELECT owner FROM ${table} WHERE id = ${id}`)}`
      const out = [
        result.affectedRows,
        result.info,
        result.warnings,
        await rowOf(String(result.insertId)),
        last === before ? 'as before' : await rowOf(last),
      ]
      if (begins) await on.query('COMMIT')
      return out
    }

    for (const table of tables)
      for (const [form, foundRows, begins] of [
        ['text', false, false],
        ['prepared', false, true],
        ['text', true, false],
      ] as const)
        test(`promise 10: ${table}, ${form}${begins ? ', in a transaction' : ''}${foundRows ? ', by a client that counts found rows' : ''}`, async () => {
          await using own = await world.connect({ database: 'one', foundRows })
          await using c = await world.session('app', { foundRows })
          const differ: unknown[] = []
          for (const sql of statements) {
            // A row that is alone on its shard, met and left as it was, counts there as a new one does.
            if (foundRows && sql.includes("(id:4, 4, 'b')")) continue
            if (foundRows && /^[^G]*id:4[^z]*body = 'b'$/.test(sql)) continue
            const one = await told(own, table, sql, begins, form)
            const here = await told(c, table, sql, begins, form)
            if (String(here) !== String(one)) differ.push([sql, String(here), String(one)])
          }
          assert.deepEqual(differ, [])
        })
  })
}
