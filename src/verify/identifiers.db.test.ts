/** Names that need quotes, everywhere where a schema has names: rows, keys and comparisons are as with any other. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { KeyRangeIndex } from '../keyspace/key-range-index.ts'
import { parseKeyRange } from '../keyspace/key-range.ts'
import { createVindex } from '../keyspace/vindexes/create.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier as q, quoteQualified, quoteString } from '../sql/quote.ts'
import { counts, VerifyWorld, type TestTable } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** Reserved words, what begins or ends a comment or a literal, what is a number, other alphabets, the longest ones. */
const odd = [
  'select', 'Lead-1', 'a.b', 'ключ', 'two words', 'x`y', "it's", 'NULL', '%', '日本語', 'q"q', '1', '1e5', '/slash', '(p)', 'back\\slash', '@at', '#hash', '-- dash', '?',
  'N'.repeat(64), 'ё'.repeat(64), `${'d.'.repeat(31)}ed`, '`', '``.``', '.', '/* c', '*/', '$1', '\\', "'; --", 'ümläut', '0x1F', 'a,b', '{"a":1}', 'DEFAULT', ':x', "\\'", '`a`.`b`', 'primary',
] // prettier-ignore

type OddTable = TestTable & { key: string; owner: string; unique: string; text: string }

/** The n-th name is a table's, those behind it are its columns' and keys'. */
function oddTable(n: number): OddTable {
  const at = (i: number): string => odd[(n + i) % odd.length]!
  // No key may be called so but the one that is.
  const keyName = (i: number): string => (at(i) === 'primary' ? 'primary key' : at(i))
  const [name, key, owner, unique, text, generated, parent] = [at(0), at(1), at(2), at(3), at(4), at(5), at(6)]
  return {
    name,
    shardKey: owner,
    key,
    owner,
    unique,
    text,
    ddl: `CREATE TABLE ${q(name)} (${q(key)} INT NOT NULL, ${q(owner)} INT NOT NULL, ${q(unique)} VARCHAR(20) NULL, ${q(text)} VARCHAR(40) NOT NULL DEFAULT ${quoteString(text.slice(0, 30))} COMMENT ${quoteString(text)},
      ${q(generated)} INT AS (${q(key)} * 2) STORED, ${q(parent)} INT NULL, PRIMARY KEY (${q(key)}), UNIQUE KEY ${q(keyName(7))} (${q(unique)}), KEY ${q(keyName(8))} (${q(text)}, ${q(generated)}),
      CONSTRAINT ${q(keyName(0))} FOREIGN KEY (${q(parent)}) REFERENCES ${q(referred)} (${q(referred)}), CONSTRAINT ${q(keyName(9))} CHECK (${q(key)} >= 0)) DEFAULT CHARSET=utf8mb4`,
  }
}

const referred = 'references `x`.(`y`)'

for (const flavour of flavours()) {
  test(`1.1, 1.12, 2 on ${flavour}: schemas, tables, columns, keys and constraints of any name are copied, followed, compared, mended, and have their keys`, async () => {
    const tables = odd.map((_, n) => oddTable(n))
    const parent = {
      name: referred,
      shardKey: null,
      ddl: `CREATE TABLE ${q(referred)} (${q(referred)} INT NOT NULL PRIMARY KEY, ${q('Lead-1')} INT)`,
    }
    const schemaOf = (side: string, shard: string): string => `${side}'.\`${shard}\` "ж" select`
    await using world = await VerifyWorld.create(
      { flavour, sources: ['-'], targets: ['-80', '80-'], tables: [parent, ...tables], schemaOf },
      servers,
    )
    const { schema } = world.sources[0]!
    await world.s.useDatabase(schema)
    await world.s.query(`INSERT INTO ${q(referred)} VALUES (1, 1), (2, 2)`)
    for (const { name, key, owner, unique, text } of tables) {
      const values = Array.from(
        { length: 12 },
        (_, i) => `(${i}, ${i * 7}, ${i % 3 === 0 ? 'NULL' : `'u${i}'`}, ${quoteString(name.slice(0, 30) + i)})`,
      )
      await world.s.query(`INSERT INTO ${q(name)} (${[key, owner, unique, text].map(q).join()}) VALUES ${values.join()}`)
    }
    await world.start()
    const equal = async (): Promise<boolean> => (await differing(world, tables)).length === 0
    await world.until('equal rows of the copy', equal)

    await world.s.query(`INSERT INTO ${q(referred)} VALUES (3, 3)`)
    for (const { name, key, owner, unique, text } of tables) {
      const at = (id: number): string => `WHERE ${q(key)} = ${id}`
      await world.s.query('BEGIN')
      await world.s.query(`INSERT INTO ${q(name)} (${[key, owner, unique].map(q).join()}) VALUES (100, 1, 'new'), (101, 77, NULL)`)
      await world.s.query(`UPDATE ${q(name)} SET ${q(text)} = CONCAT(${q(text)}, '!'), ${q(unique)} = NULL ${at(1)}`)
      await world.s.query(`UPDATE ${q(name)} SET ${q(unique)} = 'u1' ${at(0)}`)
      await world.s.query(`DELETE FROM ${q(name)} ${at(2)}`)
      // To the other target, each of these.
      for (const id of [3, 4, 5, 6]) await world.s.query(`UPDATE ${q(name)} SET ${q(owner)} = ${q(owner)} + 1000 ${at(id)}`)
      await world.s.query(`UPDATE ${q(name)} SET ${q(key)} = 200 ${at(7)}`)
      await world.s.query('COMMIT')
    }
    await world.until('equal rows of the tail', equal)
    const clean = await world.vdiff()
    for (const { name } of tables) assert.deepEqual(counts(clean, name), { missing: 0, extra: 0, misplaced: 0, different: 0 }, name)

    for (const { name, key, owner, text } of tables) {
      await world.t.query(
        `UPDATE ${world.on(world.targets, await world.shardOf(name, `${q(key)} = 100`), name)} SET ${q(text)} = 'other' WHERE ${q(key)} = 100`,
      )
      await world.t.query(`DELETE FROM ${world.on(world.targets, await world.shardOf(name, `${q(key)} = 8`), name)} WHERE ${q(key)} = 8`)
      for (const { shard } of world.targets)
        await world.t.query(`INSERT INTO ${world.on(world.targets, shard, name)} (${q(key)}, ${q(owner)}) VALUES (300, 1)`)
    }
    const harmed = await world.vdiff({ repair: true })
    for (const { name } of tables) {
      const { missing, extra, misplaced, different } = counts(harmed, name)
      assert.deepEqual({ missing, different, others: extra + misplaced }, { missing: 1, different: 1, others: 2 }, name)
    }
    await world.until('equal rows of the repair', equal)
    assert.equal((await world.vdiff()).state, 'clean')

    for (const { schema: to } of world.targets) assert.deepEqual(await keysOf(world.t, to), await keysOf(world.s, schema))
  })
}

/** Tables whose rows, read directly, do not stand on the target that their shard key says, once and alike, or that have others there. */
async function differing(world: VerifyWorld, tables: readonly OddTable[]): Promise<string[]> {
  const index = new KeyRangeIndex(world.targets.map(({ shard }) => ({ range: parseKeyRange(shard), value: shard })))
  const hash = createVindex('hash', 'hash')
  const found: string[] = []
  for (const { name, owner } of [...tables, { name: referred, owner: null }]) {
    const rows = await rowsOf(world.s, world.sources[0]!.schema, name)
    for (const { shard, schema } of world.targets) {
      const wanted = rows.filter(
        (row) => owner === null || index.find(hash.map([{ type: 'INT64', bytes: Buffer.from(row[owner] ?? '') }])!) === shard,
      )
      const there = await rowsOf(world.t, schema, name)
      if (wanted.length === 0 || texts(wanted).join() !== texts(there).join()) found.push(name)
    }
  }
  return found
}

function rowsOf(conn: Connection, schema: string, table: string): Promise<Record<string, string | null>[]> {
  return conn.allText(`SELECT * FROM ${quoteQualified(schema, table)}`)
}

function texts(rows: readonly Record<string, string | null>[]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted()
}

/** Every key, foreign key and constraint of a schema, by its columns in order. */
async function keysOf(conn: Connection, schema: string): Promise<unknown> {
  const of = quoteString(schema)
  const all: unknown[] = []
  for (const sql of [
    `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ${of}`,
    `SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = ${of} AND REFERENCED_TABLE_SCHEMA = ${of}`,
    `SELECT CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ${of}`,
    `SELECT TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, COLUMN_COMMENT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${of}`,
  ]) {
    const rows = texts(await conn.allText(sql))
    assert.ok(rows.length >= odd.length)
    all.push(rows)
  }
  return all
}
