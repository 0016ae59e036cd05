/** Promise 10: errors and warnings that name a schema name the keyspace, as of one server whose schema is called so; beside that one. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, type GateOnServer } from './testkit/gate-on-server.ts'

const tables = [
  't (id BIGINT PRIMARY KEY, n INT, at DATETIME, s VARCHAR(60), CONSTRAINT positive CHECK (n > -100))',
  'p (id BIGINT PRIMARY KEY)',
  'c (id BIGINT PRIMARY KEY, pid BIGINT, CONSTRAINT parent FOREIGN KEY (id) REFERENCES p (id))',
]
const likeAName = '` for column `shop_80`.`t`.`n` at row 1'
const statements = (database: string): readonly string[] => [
  `INSERT INTO t (id, n) VALUES (1, '${likeAName}'), (2, 'a'), (3, 'b'), (4, 'c')`,
  `INSERT INTO t (id, n) VALUES (5, '${likeAName}')`,
  "INSERT INTO t (id, at) VALUES (5, 'shop_80.t'), (6, 'other.t'), (7, 'x')",
  'INSERT INTO t (id, n) VALUES (5, -500)',
  'INSERT INTO t (id, n) VALUES (5, -500), (6, -500), (7, -500)',
  `INSERT IGNORE INTO t (id, n) VALUES ${Array.from({ length: 16 }, (_, i) => `(${i + 20}, -500)`).join()}`,
  'UPDATE t SET n = -500',
  'UPDATE t SET n = -500 WHERE id = 12',
  "UPDATE t SET n = 'shop_80.t', s = 'other.t' WHERE id > 10",
  'INSERT INTO c (id) VALUES (50)',
  'INSERT INTO c (id) VALUES (50), (51), (52), (53)',
  'INSERT IGNORE INTO c (id) VALUES (50), (51), (52), (53)',
  'DELETE FROM p WHERE id = 11',
  'DELETE FROM p',
  'SELECT n, s FROM t WHERE id = 12 GROUP BY n',
  'SELECT s, MAX(n) FROM t WHERE id = 12',
  'SELECT DISTINCT n FROM t WHERE id = 12 ORDER BY s',
  "INSERT INTO t (id, s) VALUES (11, 'shop_80.t')",
  `SELECT f(id) FROM ${database}.t WHERE id = 12`,
  'SELECT * FROM absent WHERE id = 1',
  'CREATE TABLE IF NOT EXISTS t (id INT)',
  'DROP TABLE IF EXISTS absent',
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      world = await gateOnServer({
        flavour,
        keyspaces: { shop: { t: 'by id', p: 'by id', c: 'by id' }, plain: 'other' },
        tables,
      })
      for (const schema of ['shop', 'plain']) {
        await world.admin.query(`CREATE DATABASE ${schema} CHARACTER SET utf8mb4`)
        for (const table of tables) await world.admin.query(`CREATE TABLE ${schema}.${table}`)
      }
    })
    after(async () => await world?.stop())

    for (const keyspace of ['shop', 'plain'])
      for (const mode of ['', 'STRICT_TRANS_TABLES,ONLY_FULL_GROUP_BY'])
        for (const form of ['text', 'prepared'] as const)
          test(`promise 10: ${keyspace}, ${form}, sql_mode '${mode}'`, async () => {
            await using ours = await world.session(keyspace)
            await using theirs = await world.connect({ database: keyspace })
            for (const on of [ours, theirs]) {
              await on.query(`SET sql_mode = '${mode}'`)
              for (const table of ['c', 'p', 't']) await on.query(`DELETE FROM ${table}`)
              await on.query('INSERT INTO p VALUES (11), (12), (13), (14)')
              await on.query('INSERT INTO c (id) VALUES (11), (12), (13), (14)')
              await on.query("INSERT INTO t (id, n, s) VALUES (11, 1, 'a'), (12, 2, 'b'), (13, 3, 'c'), (14, 4, 'd')")
            }
            const unlike: string[] = []
            for (const sql of statements(keyspace)) {
              const told = [await said(ours, sql, form), await said(theirs, sql, form)]
              if (told[0] !== told[1] && !told[0]?.includes('SW-GATE')) unlike.push(`${sql}\n  ours   ${told[0]}\n  theirs ${told[1]}`)
              assert.doesNotMatch(
                told[0]?.replaceAll(likeAName, '').replaceAll(/'(?:shop_80|other)\.t'/g, '') ?? '',
                /\b(?:shop_80|shop_end|other)\b[`]?\./,
                sql,
              )
            }
            assert.deepEqual(unlike, [], unlike.join('\n'))
          })
  })
}

/** The error, and what is listed then; rows by number are the shard's. */
async function said(on: Connection, sql: string, form: 'text' | 'prepared'): Promise<string> {
  const out: string[] = []
  await on.query('BEGIN')
  try {
    if (form === 'text') await on.query(sql)
    else {
      const statement = await on.prepare(sql)
      try {
        await statement.execute([])
      } finally {
        statement.close()
      }
    }
  } catch (error) {
    if (!isServerError(error)) throw error
    out.push(`${error.errno} ${error.serverMessage}`)
  }
  if (form === 'text' || out.length === 0)
    out.push(
      ...[
        ...new Set((await on.allText('SHOW WARNINGS')).map((row) => `${row['Code']} ${row['Message']}`.replace(/ at row \d+$/, ''))),
      ].sort(),
    )
  await on.query('ROLLBACK')
  return out.join('; ').replaceAll(/ at row \d+(?=;|$)/g, '')
}
