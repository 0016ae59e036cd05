/** What writes say of themselves that are put together at one place (ids, counts, warnings), beside one unsharded server with the same rows. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection, Result } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

/** Ids of a sequence begin here: which one is drawn is not compared. */
const drawnFrom = 1_000_000n
/** `plain` has no AUTO_INCREMENT on the shards, as tables have that came from Vitess. */
const tables = (schema: string): string[] => [
  'counted (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL, body VARCHAR(20), UNIQUE KEY (owner))',
  `plain (id BIGINT NOT NULL ${schema === 'one' ? 'AUTO_INCREMENT' : ''} PRIMARY KEY, owner INT NOT NULL, body VARCHAR(20), UNIQUE KEY (owner))`,
  'src (owner INT PRIMARY KEY, given BIGINT, n VARCHAR(20))',
  'by_id (k INT NOT NULL, h INT NOT NULL, id INT PRIMARY KEY, n INT, s VARCHAR(9))',
  'by_all (k INT NOT NULL, h INT NOT NULL, id INT, n INT, s VARCHAR(9), PRIMARY KEY (k, h, id))',
]
const keys = [0, 1, 2, 3, 5, 7, 64, 130, 200, 255]
const rows = Array.from({ length: 24 }, (_, id) => `(${keys[(id * 7) % 10]}, ${id % 5}, ${id}, ${id % 6}, '${id % 4 === 0 ? 'x' : id}')`)

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer
    let c: Connection
    let one: Connection

    before(async () => {
      const by = (column: string): object => ({ column_vindexes: [{ column, name: 'hash' }] })
      const sequenced = (table: string): object => ({ ...by('owner'), auto_increment: { column: 'id', sequence: `ids.${table}_seq` } })
      world = await gateOnServer({
        flavour,
        keyspaces: {
          one: 'one',
          ids: 'ids',
          app: {
            shards: ['-40', '40-80', '80-c0', 'c0-'],
            vindexes: { hash: { type: 'hash' } },
            tables: { counted: sequenced('counted'), plain: sequenced('plain'), src: by('owner'), by_id: by('k'), by_all: by('k') },
          },
        },
        tables: (schema) => (schema === 'ids' ? [] : tables(schema)),
        sequences: { counted: drawnFrom, plain: drawnFrom },
      })
      for (const table of ['counted', 'plain']) await world.admin.query(`ALTER TABLE one.${table} AUTO_INCREMENT = ${drawnFrom}`)
      c = await world.session('app')
      one = await world.connect({ database: 'one' })
    })
    after(async () => {
      await Promise.all([c?.close(), one?.close()])
      await world?.stop()
    })
    beforeEach(async () => {
      for (const on of [c, one])
        for (const table of ['counted', 'plain', 'src', 'by_id', 'by_all']) {
          await on.query(`DELETE FROM ${table}`)
          if (table.startsWith('by')) await on.query(`INSERT INTO ${table} VALUES ${rows.join()}`)
        }
    })

    /** @param params null: as text */
    const run = async (on: Connection, sql: string, params: readonly (string | number)[] | null): Promise<Result | string> => {
      const statement = params === null ? null : await on.prepare(sql)
      try {
        return await (statement === null ? on.query(sql) : statement.execute(params ?? []))
      } catch (error) {
        if (!isServerError(error)) throw error
        return `${error.errno} ${error.serverMessage.replaceAll(/`\w+`\.`(\w+)`\./g, '$1.')}`
      } finally {
        statement?.close()
      }
    }
    /** How many warnings a plan makes is its own matter where tables are joined: what is changed, or refused, is not. */
    type Asking = 'ids' | 'warnings' | 'changes'
    const idOf = (id: bigint): string => (id >= drawnFrom ? 'drawn' : String(id))
    /** All that can be asked of a write, and what it left. */
    const said = async (
      on: Connection,
      sql: string,
      ask: Asking,
      left: string,
      params: readonly (string | number)[] | null,
    ): Promise<unknown[]> => {
      const result = await run(on, sql, params)
      if (ask === 'changes') {
        const rows = (await on.allText(left)).map((row) => Object.values(row).join(' '))
        return [typeof result === 'string' ? result : result.kind === 'ok' ? result.affectedRows : null, ...rows]
      }
      const told =
        typeof result === 'string'
          ? [result]
          : result.kind === 'ok'
            ? [result.affectedRows, idOf(result.insertId), result.info, result.warnings]
            : []
      if (ask === 'ids') told.push(idOf(BigInt((await on.value('SELECT LAST_INSERT_ID()')) ?? 0)))
      else {
        const list = await on.allText('SHOW WARNINGS')
        told.push(
          ...list.map((row) =>
            `${row['Level']} ${row['Code']} ${row['Message']?.replaceAll(/`\w+`\.`\w+`\./g, '')}`.replaceAll(/ at row \d+/g, ''),
          ),
        )
      }
      told.push(...(await on.allText(left)).map((row) => Object.values(row).join(' ')))
      return told
    }
    const alike = async (
      sql: string,
      ask: Asking,
      left: string,
      params: readonly (string | number)[] | null = null,
    ): Promise<unknown[]> => {
      const [here, there] = [await said(c, sql, ask, left, params), await said(one, sql, ask, left, params)]
      assert.deepEqual(here, there, sql)
      return there
    }

    for (const table of ['counted', 'plain'])
      for (const form of ['text', 'prepared'] as const)
        test(`promise 10: which id an INSERT … SELECT into ${table} names, ${form}`, async () => {
          const left = `SELECT owner, body, id < ${drawnFrom} AS given FROM ${table} ORDER BY owner`
          for (const on of [c, one]) await on.query(`INSERT INTO ${table} (owner, body) VALUES (99, 'was'), (98, 'was'), (97, 'was')`)
          const cases: readonly (readonly [verb: string, rows: string, after?: string])[] = [
            ['INSERT', "(1, 1000, 'a'), (2, 1001, 'b'), (3, 1002, 'c'), (4, 1003, 'd')"],
            ['INSERT', "(5, 1010, 'a')"],
            ['INSERT', "(6, NULL, 'a'), (7, NULL, 'b')"],
            ['INSERT', "(8, NULL, 'a'), (9, 1020, 'b')"],
            ['INSERT', "(10, 1030, 'a'), (11, NULL, 'b')"],
            ['INSERT', "(12, -5, 'a')"],
            ['INSERT IGNORE', "(13, 1040, 'a'), (99, 1041, 'b')"],
            ['INSERT IGNORE', "(14, 1050, 'a'), (98, 1049, 'b')"],
            ['INSERT IGNORE', "(97, 1060, 'a'), (98, 1061, 'b')"],
            ['INSERT IGNORE', "(98, NULL, 'a'), (99, NULL, 'b')"],
            ['REPLACE', "(15, 1070, 'a'), (99, 1071, 'b')"],
            ['REPLACE', "(97, 1080, 'b')"],
            ['INSERT', "(16, 1090, 'a'), (99, 1091, 'b')", "ON DUPLICATE KEY UPDATE body = 'met'"],
            ['INSERT', "(98, 1100, 'a'), (99, 1101, 'b')", "ON DUPLICATE KEY UPDATE body = 'again'"],
            ['INSERT', "(98, NULL, 'a'), (99, NULL, 'b')", "ON DUPLICATE KEY UPDATE body = 'third'"],
            ['INSERT', "(98, NULL, 'a'), (99, NULL, 'b')", "ON DUPLICATE KEY UPDATE body = 'third'"],
            ['INSERT', "(17, NULL, 'a'), (18, NULL, 'b')", "ON DUPLICATE KEY UPDATE body = 'fourth'"],
            ['INSERT', "(19, 1110, 'a'), (20, 1111, 'b')", "ON DUPLICATE KEY UPDATE body = 'fourth'"],
          ]
          for (const [verb, values, more = ''] of cases) {
            for (const on of [c, one]) {
              await on.query('DELETE FROM src')
              await on.query(`INSERT INTO src VALUES ${values}`)
            }
            const where = form === 'text' ? 'owner + 0 < 1000' : 'owner + 0 < ?'
            await alike(
              `${verb} INTO ${table} (owner, id, body) SELECT owner, given, n FROM src WHERE ${where} ORDER BY owner ${more}`,
              'ids',
              left,
              form === 'text' ? null : [1000],
            )
          }
          // None is given where the column is not named.
          await alike(`INSERT INTO ${table} (owner, body) SELECT owner + 30, n FROM src ORDER BY owner`, 'ids', left)
          await alike(`INSERT INTO ${table} (owner, body) SELECT owner, n FROM src WHERE n = 'nowhere'`, 'ids', left)
        })

    test('promise 10: of rows over several shards, some of which are left out, the last id that the client gave is named', async () => {
      for (const table of ['counted', 'plain']) {
        const left = `SELECT id, owner FROM ${table} ORDER BY id`
        await alike(`INSERT INTO ${table} (id, owner) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)`, 'ids', left)
        for (const owner of [1, 2, 3, 4, 5]) {
          await alike(
            `INSERT IGNORE INTO ${table} (id, owner) VALUES (2${owner}, 2${owner}), (3${owner}, 3${owner}), (4${owner}, ${owner})`,
            'ids',
            left,
          )
          await alike(`REPLACE INTO ${table} (id, owner) VALUES (5${owner}, 5${owner}), (6${owner}, ${owner})`, 'ids', left)
        }
      }
    })

    test('promise 10: what rows are warned of when they are put together is counted and told', async () => {
      for (const on of [c, one])
        await on.query("INSERT INTO src VALUES (1, 1, '12x'), (2, 2, 'y'), (3, 3, '4'), (4, 4, '7777777777777777')")
      for (const on of [c, one]) await on.query("SET sql_mode = ''")
      await alike('INSERT INTO by_all (k, h, id) SELECT n, 1, owner + 100 FROM src', 'warnings', 'SELECT k, h, id FROM by_all ORDER BY id')
      await alike(
        'INSERT IGNORE INTO by_id (k, h, id) SELECT n, owner, owner + 60 FROM src',
        'warnings',
        'SELECT k, h, id FROM by_id ORDER BY id',
      )
      await alike(
        'REPLACE INTO by_id (k, h, id) SELECT owner, n, owner + 40 FROM src',
        'warnings',
        'SELECT k, h, id FROM by_id ORDER BY id',
      )
      await alike("UPDATE by_id SET k = 'x' WHERE id < 3", 'warnings', 'SELECT k, h, id FROM by_id ORDER BY id')
      await alike("UPDATE by_id SET k = 7, s = 'much too long' WHERE id < 5", 'warnings', 'SELECT k, h, id, s FROM by_id ORDER BY id')
      for (const on of [c, one]) await on.query('SET sql_mode = DEFAULT')
      await alike(
        'INSERT IGNORE INTO by_all (k, h, id) SELECT n, 1, owner + 300 FROM src',
        'warnings',
        'SELECT k, h, id FROM by_all ORDER BY id',
      )
    })

    for (const table of ['by_id', 'by_all'])
      for (const mode of ['strict', 'lenient'] as const)
        test(`promise 10: what conditions are warned of, of rows that stay as they are too: rows of ${table} that move, ${mode}`, async () => {
          const left = `SELECT k, h, id, n FROM ${table} ORDER BY id`
          for (const on of [c, one]) await on.query(mode === 'strict' ? 'SET sql_mode = DEFAULT' : "SET sql_mode = ''")
          for (const [where, params] of [
            ["id % 3 = 1 AND (k IN (0, 255, x'07'))", null],
            ['s + 0 > 20', null],
            ['id % 2 = 1 AND s > 20', null],
            ["n = 'a'", null],
            ['id < 3 AND s > 0', null],
            ['id < 9 AND n = 2', null],
            ['id < ? AND s > ?', [12, 5]],
          ] as const) {
            await alike(`UPDATE ${table} SET k = 0, n = n + 1 WHERE ${where}`, 'warnings', left, params)
            await alike(`UPDATE ${table} SET n = n + 1 WHERE ${where} ORDER BY id LIMIT 2`, 'warnings', left, params)
            await alike(`DELETE FROM ${table} WHERE ${where} ORDER BY id LIMIT 1`, 'warnings', left, params)
          }
          for (const on of [c, one]) {
            await on.query("INSERT INTO src VALUES (1, 1, '12x'), (2, 20, 'y'), (3, 3, '4'), (4, 4, '0')")
          }
          for (const where of ['b.n > 3', "b.given < 9 AND a.s > 'w'", "b.n + a.s > 3 AND b.given <> 'x'"]) {
            const joined = `${table} a JOIN src b ON a.id = b.owner`
            await alike(`UPDATE ${joined} SET a.n = 40 WHERE ${where}`, 'changes', left)
            await alike(`UPDATE ${joined} SET a.n = b.given WHERE ${where}`, 'changes', left)
            await alike(`DELETE a FROM ${joined} WHERE ${where}`, 'changes', left)
            await alike(
              `INSERT INTO ${table} (k, h, id) SELECT b.owner, 1, b.owner + 500 FROM src b, ${table} a WHERE a.id = 5 AND ${where}`,
              'changes',
              left,
            )
          }
          for (const on of [c, one]) await on.query('SET sql_mode = DEFAULT')
        })
  })
}
