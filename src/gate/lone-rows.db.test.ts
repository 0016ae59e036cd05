/**
 * Promise 10: a row of an INSERT or REPLACE of several is stored, left out or refused as on one server, also where it is alone on its shard: what is stored, counted, warned of, and the ids that are named.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { flavours } from '../../test/kit/servers.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { gateOnServer, overFour, type GateOnServer } from './testkit/gate-on-server.ts'

const columns =
  'n INT NOT NULL, s VARCHAR(3) NOT NULL, d DATE NOT NULL, e INT NOT NULL DEFAULT 7, x INT, f DECIMAL(20,10), dt DATETIME(2), CHECK (x < 10)'
const tables = [
  `t (id BIGINT PRIMARY KEY, ${columns})`,
  `q (id BIGINT AUTO_INCREMENT PRIMARY KEY, owner INT NOT NULL UNIQUE, ${columns})`,
  'src (id BIGINT PRIMARY KEY, n INT, x INT)',
]

const list = '(id, n, s, d, e, x, f)'
/** Of each, which of four rows are there, and what the others hold: 1 to 4 are on three shards. */
const rowsOf = (bad: string, others = "1, 'a', 20240102, 1, 1, 1.5"): string[] =>
  [[1], [3], [4], [1, 3], [1, 2, 3, 4], [4, 2]].map((failing) =>
    [1, 2, 3, 4].map((id) => `(${id}, ${failing.includes(id) ? bad : others})`).join(', '),
  )
const values = [
  ...rowsOf("NULL, 'abcd', 20240102, 1, 1, 1/3"),
  ...rowsOf("1, NULL, '2024-01-02', 1, 1, '1.5x'"),
  ...rowsOf("1, 'a', NULL, DEFAULT, 1, DEFAULT", "1, 'a', 20240102, DEFAULT, 1, 1.5"),
  ...rowsOf("CONCAT(NULL), 'b', '2024-01-02', NULL, 1, NULL"),
  ...rowsOf("1, 'a', 20240102, 1, 100, 1.5"),
  ...rowsOf("NULL, 'abcd', 20240102, 1, 100, 10/3"),
  ...rowsOf("1, 'abcd', 20240102, DEFAULT, 100, 1.5"),
]
const clauses = [
  '',
  ' ON DUPLICATE KEY UPDATE n = VALUES(n)',
  ' ON DUPLICATE KEY UPDATE n = NULL, x = 5',
  ' ON DUPLICATE KEY UPDATE s = NULL',
]

const statements = [
  ...['INSERT', 'INSERT IGNORE', 'REPLACE'].flatMap((verb) => values.map((rows) => `${verb} INTO t ${list} VALUES ${rows}`)),
  ...clauses
    .slice(1)
    .flatMap((clause) =>
      ['', ' IGNORE'].flatMap((ignore) => values.map((rows) => `INSERT${ignore} INTO t ${list} VALUES ${rows}${clause}`)),
    ),
  "INSERT IGNORE INTO t VALUES (1, 1, 'a', 20240102, 1, 1, 1, NULL), (2, 1, 'a', 20240102, 1, 1, 1, NULL), (4, NULL, 'a', 20240102, 1, 50, 1, NULL) /* end */;",
  'insert  into t(id,n,s,d) value(1,null,"a",20240102)/* a */,(2,1,"a",20240102) , (4 , NULL , "a" , 20240102) -- end',
  'INSERT IGNORE INTO t (id, n, s, d, x) SELECT id, 1, 2, 20240102, x FROM src',
  'INSERT IGNORE INTO t (id, n, s, d, x) SELECT id, 1, 2, 20240102, x FROM src WHERE id > 3',
  'INSERT INTO t (id, n, s, d, x) SELECT id, n, 2, 20240102, 1 FROM src ON DUPLICATE KEY UPDATE n = NULL',
  'REPLACE INTO t (id, n, s, d, x) SELECT id, n, 2, 20240102, 1 FROM src',
  'INSERT INTO t (id, n, s, d, x) SELECT id, 1, 2, 20240102, 1 FROM src ON DUPLICATE KEY UPDATE n = NULL',
  'INSERT INTO t (id, n, s, d, x) SELECT id, 1, 2, 20240102, 1 FROM src WHERE id > 2 ON DUPLICATE KEY UPDATE x = 6, n = NULL',
  'INSERT INTO t (id, n, s, d, x) VALUES (4, (SELECT n FROM src WHERE id = 4), 1, 20240102, 1)',
  'INSERT INTO t (id, n, s, d, x) VALUES (4, (SELECT n FROM src WHERE id = 4), 1, 20240102, 1), (2, 1, 1, 20240102, 1)',
  'REPLACE INTO t (id, n, s, d, x) VALUES (4, (SELECT n FROM src WHERE id = 4), 1, 20240102, 1)',
  'INSERT IGNORE INTO t (id, n, s, d, x) VALUES (4, (SELECT n FROM src WHERE id = 4), 1, 20240102, 100), (1, 1, 1, 20240102, 1)',
  'INSERT IGNORE INTO t (id, n, s, d, x) VALUES (4, (SELECT MAX(n) FROM src), 1, 20240102, 100)',
  // Of one row alone.
  ...['INSERT', 'INSERT IGNORE', 'REPLACE'].flatMap((verb) => [
    `${verb} INTO t ${list} VALUES (4, NULL, 'a', 20240102, 1, 1, 1)`,
    `${verb} INTO t ${list} VALUES (4, 1, 'a', 20240102, 1, 100, 1)`,
    `${verb} INTO t SET id = 4, n = NULL, s = 'a', d = 20240102`,
  ]),
]

const drawn = [
  "INSERT INTO q (owner, n, s, d) VALUES (1, NULL, 'a', 20240102), (2, 1, 'a', 20240102), (3, 1, 'a', 20240102), (4, NULL, 'a', 20240102)",
  "INSERT INTO q (owner, n, s, d) VALUES (4, NULL, 'a', 20240102), (1, 1, 'a', 20240102)",
  "INSERT INTO q (id, owner, n, s, d) VALUES (DEFAULT, 4, NULL, 'a', 20240102), (NULL, 1, 1, 'a', 20240102)",
  "INSERT INTO q (id, owner, n, s, d) VALUES (900, 1, 1, 'a', 20240102), (901, 4, NULL, 'a', 20240102)",
  "INSERT INTO q (id, owner, n, s, d) VALUES (900, 4, NULL, 'a', 20240102), (901, 1, 1, 'a', 20240102)",
  "INSERT IGNORE INTO q (owner, n, s, d, x) VALUES (1, 1, 'a', 20240102, 100), (2, 1, 'a', 20240102, 1), (4, 1, 'a', 20240102, 100)",
  "INSERT IGNORE INTO q (owner, n, s, d, x) VALUES (4, 1, 'a', 20240102, 100), (2, 1, 'a', 20240102, 1)",
  "INSERT IGNORE INTO q (owner, n, s, d, x) VALUES (2, 1, 'a', 20240102, 1), (4, 1, 'a', 20240102, 100)",
  "REPLACE INTO q (owner, n, s, d) VALUES (1, NULL, 'a', 20240102), (4, NULL, 'a', 20240102)",
]

for (const flavour of flavours()) {
  describe(flavour, () => {
    let world: GateOnServer

    before(async () => {
      const shop = overFour(['t', 'src'])
      const q = { column_vindexes: [{ column: 'owner', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.q_seq' } }
      world = await gateOnServer({
        flavour,
        keyspaces: { ids: 'ids', shop: { ...shop, tables: { ...shop.tables, q } } },
        tables,
        sequences: { q: 7 },
      })
      // Named in errors.
      await world.admin.query('CREATE DATABASE shop CHARACTER SET utf8mb4')
      for (const table of tables) await world.admin.query(`CREATE TABLE shop.${table}`)
    })
    after(() => world?.stop())

    for (const mode of ['', 'STRICT_TRANS_TABLES'])
      for (const form of ['text', 'executed'] as const)
        for (const foundRows of form === 'text' ? [false, true] : [false])
          test(`promise 10: ${form}, sql_mode '${mode}'${foundRows ? ', counting found rows' : ''}`, async () => {
            await using ours = await world.session('shop', { foundRows })
            await using theirs = await world.connect({ database: 'shop', foundRows })
            for (const on of [ours, theirs]) {
              await on.query(`SET sql_mode = '${mode}'`)
              for (const table of ['t', 'q', 'src']) await on.query(`DELETE FROM ${table}`)
              await on.query('INSERT INTO src VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, NULL, 100)')
            }
            const unlike: string[] = []
            for (const there of [false, true]) {
              for (const on of [ours, theirs])
                if (there) await on.query("INSERT INTO t (id, n, s, d) VALUES (1, 5, 'z', 20240102), (4, 5, 'z', 20240102)")
              for (const sql of [...statements, ...drawn]) {
                const [mine, other] = [await said(ours, sql, form), await said(theirs, sql, form)]
                // What ON DUPLICATE KEY UPDATE sets to NULL can not be said of one row by the rule of several.
                const refused = mine.startsWith('1235') && /UPDATE (?:n|s) = (?:NULL|VALUES)/.test(sql) && !other.startsWith('1048')
                if (mine !== other && !refused) unlike.push(`${sql}\n  ours   ${mine}\n  theirs ${other}`)
              }
            }
            assert.deepEqual(unlike.slice(0, 10), [], `${unlike.length}: ${unlike.slice(0, 10).join('\n')}`)
          })

    test('promise 10: where the values of such a row name its columns it is refused, and nothing is done', async () => {
      await using c = await world.session('shop')
      await c.query("SET sql_mode = ''")
      await c.query('DELETE FROM t')
      const sql =
        "INSERT INTO t (id, n, s, d, x) VALUES (1, 1, 'a', 20240102, 1), (4, NULL, 'a', 20240102, id + 1), (2, 1, 'a', 20240102, 1)"
      await assert.rejects(c.query(sql), (error) => isServerError(error) && error.serverMessage.includes('SW-GATE-100'))
      assert.equal(await c.value('SELECT COUNT(*) FROM t'), '0')
      await c.query("SET sql_mode = 'STRICT_TRANS_TABLES'")
      await assert.rejects(c.query(sql), (error) => isServerError(error) && error.errno === 1048)
    })
  })
}

/** What it says, what is listed then, what is stored then, and whose the ids are; taken back. The rows' numbers are the shard's. */
async function said(on: Connection, sql: string, form: 'text' | 'executed'): Promise<string> {
  const out: string[] = []
  await on.query('BEGIN')
  let insertId = 0n
  let refused = false
  try {
    const given = [...sql.matchAll(literal)].map(([text]) => (text === 'NULL' ? null : text.replaceAll("'", '')))
    const statement = form === 'text' ? null : await on.prepare(sql.replaceAll(literal, '?'))
    try {
      const result = await (statement === null ? on.query(sql) : statement.execute(given))
      if (result.kind === 'ok') {
        insertId = result.insertId
        out.push(`${result.affectedRows} ${result.info} ${result.warnings}`)
      }
    } finally {
      statement?.close()
    }
  } catch (error) {
    if (!isServerError(error)) throw error
    out.push(`${error.errno} ${error.serverMessage}`)
    refused = true
  }
  // Of what is refused the error alone is told.
  const listed = (await on.allText('SHOW WARNINGS')).map((row) => Object.values(row).join(' '))
  if (!refused) out.push(...listed.sort())
  if (/ q /.test(sql)) {
    const last = await on.value('SELECT LAST_INSERT_ID()')
    for (const id of [insertId, last]) out.push(`of ${await on.value(`SELECT owner FROM q WHERE id = ${id}`)}`)
    out.push(...(await rows(on, 'SELECT owner, n, s, d, e, x FROM q ORDER BY owner')))
  } else out.push(...(await rows(on, 'SELECT * FROM t ORDER BY id')))
  await on.query('ROLLBACK')
  return out.join('; ').replaceAll(/ at row \d+(?=;|$)/g, '')
}

/** What is given as a parameter instead. */
const literal = /\bNULL\b(?!\))|'[^']*'/g

async function rows(on: Connection, sql: string): Promise<string[]> {
  return (await on.allText(sql)).map((row) => Object.values(row).join('/'))
}
