/** Views are on a target what they are on the source: read there by row, on real servers (PROTOCOLS 1.11). */
import { after, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs, type ServerPair } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier as q, quoteQualified, quoteString } from '../sql/quote.ts'
import { createTargetTables, tableNames } from './schema-copy.ts'
import { createTargetViews } from './views.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** Tables of a schema that is called as its main table. `shift`: of the values. */
async function fill(conn: Connection, schema: string, main: string, shift: number): Promise<void> {
  await conn.query(
    `INSERT INTO ${quoteQualified(schema, main)} VALUES (1, 10, '2020-01-02'), (2, ${20 + shift}, '2021-03-04'), (3, 30, NULL)`,
  )
  await conn.query(`INSERT INTO ${quoteQualified(schema, 'lines')} VALUES (1, 2, 'a'), (2, 2, 'b'), (5, ${1 + shift}, 'c'), (6, 9, 'd')`)
  await conn.query(`INSERT INTO ${quoteQualified(schema, 'we`ird.t')} VALUES (1, 'x'), (2, 'y'), (${7 + shift}, 'z')`)
}

async function tables(conn: Connection, schema: string, main: string): Promise<void> {
  await conn.query(`CREATE TABLE ${quoteQualified(schema, main)} (id INT PRIMARY KEY, n INT, at DATE)`)
  await conn.query(
    `CREATE TABLE ${quoteQualified(schema, 'lines')} (id INT PRIMARY KEY, order_id INT, text VARCHAR(20), KEY order_id (order_id))`,
  )
  await conn.query(`CREATE TABLE ${quoteQualified(schema, 'we`ird.t')} (${q('i`d.x')} INT PRIMARY KEY, ${q(main)} VARCHAR(20))`)
}

async function functions(conn: Connection, schema: string, main: string): Promise<void> {
  await conn.query(`CREATE FUNCTION ${quoteQualified(schema, main)} (x INT) RETURNS INT DETERMINISTIC NO SQL RETURN x * 2`)
}

/** `m`: the schema's and main table's name, quoted. What each is there for stands in its name. */
function views(m: string, cte: string): Record<string, string> {
  return {
    ids: `SELECT ${m}.id FROM ${m} JOIN ${q('lines')} ON ${q('lines')}.id = ${m}.id`,
    correlated: `SELECT id FROM ${m} WHERE EXISTS (SELECT 1 FROM ${q('lines')} WHERE ${q('lines')}.order_id = ${m}.id AND ${q('lines')}.id > 1)`,
    not_in: `SELECT id, (SELECT COUNT(*) FROM ${q('lines')} WHERE ${q('lines')}.id = ${m}.id) AS c FROM ${m} WHERE id NOT IN (SELECT order_id FROM ${q('lines')} WHERE ${m}.n > 15)`,
    literal: `SELECT id, 'it''s ${m}.${m} \\\\ from ${m}.' AS text, "${m.replaceAll('`', '``')}.x" AS other FROM ${m}`,
    alias: `SELECT ${m}.id, ${m}.order_id FROM ${q('lines')} AS ${m} JOIN ${m}.${m} AS o ON o.id = ${m}.order_id`,
    alias_correlated: `SELECT ${m}.id FROM ${q('lines')} AS ${m} WHERE EXISTS (SELECT 1 FROM ${m}.${m} AS id WHERE id.id = ${m}.id)`,
    in_full: `SELECT ${m}.${m}.id, ${m}.${m}.n FROM ${m}.${m} WHERE ${m}.${m}.n > 10 ORDER BY ${m}.${m}.n`,
    calls: `SELECT id, ${m}.${m}(n) AS twice, EXTRACT(YEAR FROM ${m}.at) AS y, TRIM(BOTH '1' FROM ${m}.n) AS t FROM ${m}`,
    commas: `SELECT ${m}.id, ${q('lines')}.text FROM ${m}, ${q('lines')} WHERE ${m}.id = ${q('lines')}.order_id GROUP BY ${m}.id, ${q('lines')}.text`,
    nested: `SELECT ${m}.id, w.${m} AS w FROM ${m} LEFT JOIN (${q('lines')} JOIN ${q('we`ird.t')} AS w ON w.${q('i`d.x')} = ${q('lines')}.id) ON ${q('lines')}.order_id = ${m}.id`,
    unions: `SELECT ${m}.id FROM ${m} UNION ALL (SELECT ${m}.id FROM (SELECT id + 100 AS id FROM ${m}.${m}) AS ${m} ORDER BY ${m}.id LIMIT 2) UNION ALL SELECT ${q('lines')}.id FROM ${q('lines')} NATURAL JOIN ${m}`,
    with_clause: `WITH ${cte} AS (SELECT id, n FROM ${m}.${m} WHERE n > 10), c AS (SELECT ${cte}.id FROM ${cte}) SELECT ${cte}.id, ROW_NUMBER() OVER (PARTITION BY ${cte}.n ORDER BY ${cte}.id) AS r FROM ${cte} JOIN c ON c.id = ${cte}.id`,
    hints: `SELECT ${m}.id FROM ${q('lines')} USE INDEX FOR ORDER BY (order_id), ${m} USE INDEX FOR JOIN (PRIMARY) WHERE ${m}.id = ${q('lines')}.order_id ORDER BY ${q('lines')}.order_id`,
    [`we\`ird.v`]: `SELECT ${q('we`ird.t')}.${q('i`d.x')} AS ${q('a.`b`')}, ${q('we`ird.t')}.${m} AS ${q('`' + 'x`.y')} FROM ${q('we`ird.t')} JOIN ${m} ON ${m}.id = ${q('we`ird.t')}.${q('i`d.x')}`,
    elsewhere: `SELECT ${m}.${m}.id, other.${m}.n FROM ${m}.${m} JOIN other.${m} ON other.${m}.id = ${m}.${m}.id WHERE EXISTS (SELECT 1 FROM other.${q('lines')} WHERE other.${q('lines')}.order_id = ${m}.${m}.id)`,
    checked: `SELECT id, n FROM ${m} WHERE ${m}.n > 10 WITH CASCADED CHECK OPTION`,
    // By the order of names it comes before those that it reads.
    a_view_over_views: `SELECT ids.id, ${m}.n FROM ids JOIN ${m} ON ${m}.id = ids.id JOIN ${m}.literal AS l ON l.id = ${m}.id`,
  }
}

const names = ['orders', 'Lead-1', 'a.b`c', 'ключ']

for (const flavour of flavours()) {
  describe(`1.11 on ${flavour}`, () => {
    for (const name of names) {
      test(`1.11 on ${flavour}: views of a schema and table both called ${name} give on a target the rows that they give on the source`, async () => {
        await compare(await servers.emptied(flavour), name)
      })
    }
  })
}

for (const [from, to] of [
  ['mariadb', 'mysql'],
  ['mysql', 'mariadb'],
] as const) {
  const skip = !flavours().includes(from) || !flavours().includes(to)
  test(
    `1.11 from ${from} to ${to}: views of a schema and table of one name give the rows that they give on the source`,
    { skip },
    async () => {
      const [{ source }, { target }] = [await servers.emptied(from), await servers.emptied(to)]
      await compare({ source, target }, 'orders')
    },
  )
}

async function compare({ source, target }: ServerPair, name: string): Promise<void> {
  const across = source.flavour !== target.flavour
  const [s, t] = await Promise.all([connect(source.config), connect(target.config)])
  const to = `${name}_80`
  // MariaDB prints what WITH names without quotes, and does not read it then itself.
  const isPlain = /^[\p{L}\d_]+$/u.test(name)
  // What is left qualified by the source's schema reads this one there, or a function of it.
  for (const [conn, schemas] of [
    [s, [name, 'other']],
    [t, [name, to, 'other']],
  ] as const) {
    for (const schema of schemas) {
      await conn.query(`CREATE DATABASE ${q(schema)} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci`)
      if (schema !== to) await tables(conn, schema, name)
    }
  }
  for (const [conn, schema] of [
    [s, name],
    [t, to],
  ] as const)
    await functions(conn, schema, name)
  await t.query(`CREATE FUNCTION ${quoteQualified(name, name)} (x INT) RETURNS INT DETERMINISTIC NO SQL RETURN -x`)
  const sides = {
    source: { conn: s, schema: name },
    target: { conn: t, schema: to, uid: 'u', name: '-80' },
  }
  await createTargetTables({
    ...sides,
    workflowUid: 'w',
    tables: await tableNames(s, name),
    deferSecondaryKeys: false,
    unfollowed: true,
  })
  await fill(s, name, name, 0)
  await fill(t, to, name, 0)
  await fill(t, name, name, 1)
  for (const conn of [s, t]) await fill(conn, 'other', name, 2)
  await s.useDatabase(name)
  const made = Object.entries(views(q(name), isPlain || source.flavour === 'mysql' ? q(name) : 'orders'))
  await s.query("SET SESSION sql_mode = ''")
  for (const [view, query] of made) await s.query(`CREATE VIEW ${q(view)} AS ${query}`)
  await s.query(`CREATE VIEW two_columns (${q(name)}, two) AS SELECT id, n FROM ${q(name)}`)
  // Texts are compared as the session that makes the view does.
  for (const collation of ['utf8mb4_bin', 'latin1_general_ci']) {
    await s.query(`SET collation_connection = ${collation}`)
    await s.query(
      `CREATE VIEW by_${collation} AS SELECT c, COUNT(*) FROM (SELECT IF(id = 1, 'é', 'É') AS c FROM ${q(name)}) AS d GROUP BY c`,
    )
  }
  await s.query('SET NAMES utf8mb4')
  const ansi = (of: string): string => `"${of.replaceAll('"', '""')}"`
  await s.query("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'")
  await s.query(
    `CREATE VIEW "ansi ""quotes""" AS SELECT ${ansi(name)}.id AS "a.b", 'a\\' || ${ansi(name)}.n || '"${name}".' AS "x""y" FROM ${ansi(name)} JOIN "lines" ON "lines".order_id = ${ansi(name)}.id`,
  )
  await s.query("SET SESSION sql_mode = ''")
  const all = await viewNames(s, name)
  assert.equal(all.length, made.length + 4)
  // In its own schema a session is shown other names than elsewhere, and other quotes where its server's settings say so.
  for (const session of [
    { schema: name, mode: '' },
    { schema: 'other', mode: 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' },
  ]) {
    for (const conn of [s, t])
      await conn.query(`SET SESSION sql_mode = '${session.mode}', sql_quote_show_create = ${session.mode === '' ? 1 : 0}`)
    await s.useDatabase(session.schema)
    assert.deepEqual(await createTargetViews(sides), [])
    assert.deepEqual(await viewNames(t, to), all)
    for (const view of all) {
      assert.deepEqual(await rowsOf(t, to, view), await rowsOf(s, name, view), view)
      if (!across) assert.deepEqual(await columnsOf(t, to, view), await columnsOf(s, name, view), view)
    }
    for (const view of all) await t.query(`DROP VIEW ${quoteQualified(to, view)}`)
  }
  s.destroy()
  t.destroy()
}

async function viewNames(conn: Connection, schema: string): Promise<string[]> {
  const rows = await conn.allText(
    `SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW' AND TABLE_SCHEMA = ${quoteString(schema)}`,
  )
  return rows.map((row) => row['name'] ?? '').toSorted()
}

async function rowsOf(conn: Connection, schema: string, view: string): Promise<string[]> {
  const rows = await conn.allText(`SELECT * FROM ${quoteQualified(schema, view)}`)
  assert.ok(rows.length > 0, `${view} has rows`)
  return rows.map((row) => JSON.stringify(row)).toSorted()
}

async function columnsOf(conn: Connection, schema: string, view: string): Promise<unknown> {
  return await conn.allText(`SHOW FULL COLUMNS FROM ${quoteQualified(schema, view)}`)
}
