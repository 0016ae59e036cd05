import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { MergeSource } from './key-collisions.ts'
import { duplicateKeys, keysLeftUnique } from './merge-checks.ts'

/** A source with these tables: for each, what follows CREATE TABLE. */
async function sideOf(connection: Connection, shard: string, ...tables: readonly string[]): Promise<MergeSource> {
  const name = uniqueName(shard)
  await connection.query(`CREATE DATABASE ${name}`)
  for (const table of tables) await connection.query(`CREATE TABLE ${name}.${table} ENGINE=InnoDB`)
  return { shard, schema: await readSchema(connection, name), connection }
}

for (const flavour of flavours()) {
  test(`merges: values of keys without the shard key that stand on two sources are listed, as the target would compare them; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const table = `u (id BIGINT NOT NULL, tenant INT NOT NULL, mail VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_swedish_ci, day DATE, raw VARBINARY(9),
      PRIMARY KEY (id), UNIQUE KEY mail (mail, day), UNIQUE KEY raw (raw), UNIQUE KEY own (tenant, mail))`
    const a = await sideOf(connection, 'a', table)
    const b = await sideOf(connection, 'b', table)
    const fill = (schema: string, from: number, rows: number): Promise<unknown> =>
      connection.query(
        `INSERT INTO ${schema}.u VALUES ${Array.from({ length: rows }, (_, i) => `(${from + i}, ${from}, 'm${from + i}', '2026-01-01', X'00${(from + i).toString(16).padStart(6, '0')}')`).join(', ')}`,
      )
    await fill(a.schema.name, 1, 1_200)
    await fill(b.schema.name, 10_001, 1_200)
    const tables = [{ name: 'u', reference: false, vindex: { type: 'hash', params: {}, columns: ['tenant'] } }]
    const look = (budgetMs = 60_000) => duplicateKeys([[a, b]], tables, systemClock, budgetMs)
    const clean = await look()
    assert.deepEqual(clean.errors, [])
    assert.deepEqual(
      clean.notes.map((note) => note.split(' ')[0]),
      ['u.PRIMARY', 'u.mail', 'u.raw'],
      'unique keys that contain the shard key are no matter',
    )
    assert.deepEqual(
      keysLeftUnique(a.schema, tables).map((note) => note.split(' ')[0]),
      ['u.PRIMARY', 'u.mail', 'u.raw'],
      'a split says the same of its own way back',
    )
    await connection.query(
      `INSERT INTO ${b.schema.name}.u VALUES (700, 2, NULL, NULL, NULL), (90001, 2, 'M1150', '2026-01-01', NULL), (90002, 3, 'M1150', '2026-01-02', X'00000009')`,
    )
    const found = await look()
    assert.deepEqual(
      found.errors.map((error) => error.message.replace(/^values of /, '')),
      ['u.PRIMARY stand on a and on b: 700', "u.mail stand on a and on b: 'M1150', '2026-01-01'", "u.raw stand on a and on b: X'00000009'"],
    )
    const short = await look(0)
    assert.deepEqual(short.errors, [])
    assert(
      short.notes.some((note) => /not all values/.test(note)),
      'what was not looked at is said',
    )
  })
  test(`merges: keys of whole numbers are read once on each source, page by page, and those of each pair that meets are found; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const rows = 11_000
    const table = 'v (region INT NOT NULL, id BIGINT NOT NULL, tenant INT NOT NULL, PRIMARY KEY (region, id))'
    const a = await sideOf(connection, 'a', table)
    const b = await sideOf(connection, 'b', table)
    const c = await sideOf(connection, 'c', table)
    // Source n has the values that leave n when divided by 3, negative ones first.
    for (const [n, { schema }] of [a, b, c].entries()) {
      const values = Array.from({ length: rows }, (_, i) => `(${i < 100 ? -1 : 1}, ${3 * i + n}, 1)`)
      await connection.query(`INSERT INTO ${schema.name}.v VALUES ${values.join(',')}`)
    }
    const tables = [{ name: 'v', reference: false, vindex: { type: 'hash', params: {}, columns: ['tenant'] } }]
    const look = async (): Promise<string[]> =>
      (
        await duplicateKeys(
          [
            [a, b],
            [b, c],
          ],
          tables,
          systemClock,
          60_000,
        )
      ).errors.map((error) => error.message.replace(/^values of /, ''))
    assert.deepEqual(await look(), [])
    // What stands on a and on c is no matter: they feed no common target. The 5,000th value of a page, the last of all, a negative one.
    await connection.query(`INSERT INTO ${c.schema.name}.v VALUES (1, ${3 * 7_000}, 2)`)
    await connection.query(`INSERT INTO ${b.schema.name}.v VALUES (1, ${3 * 4_999}, 2), (-1, 0, 2), (1, ${3 * (rows - 1) + 2}, 2)`)
    assert.deepEqual(await look(), ['v.PRIMARY stand on a and on b: -1, 0, 1, 14997', 'v.PRIMARY stand on b and on c: 1, 32999'])
  })
}

for (const flavour of flavours()) {
  test(`1.6: merges: a key that contains a text shard key may hold one value on two sources, by its collation; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const w =
      'w (name VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL, kind INT NOT NULL, PRIMARY KEY (name), UNIQUE KEY both_of (kind, name))'
    const x = `x (name VARCHAR(30) CHARACTER SET utf8mb4 COLLATE ${flavour === 'mysql' ? 'utf8mb4_0900_bin' : 'utf8mb4_nopad_bin'} NOT NULL PRIMARY KEY)`
    const a = await sideOf(connection, 'a', w, x)
    const b = await sideOf(connection, 'b', w, x)
    const vindex = { type: 'xxhash', params: {}, columns: ['name'] }
    const tables = ['w', 'x'].map((name) => ({ name, reference: false, vindex }))
    const look = () => duplicateKeys([[a, b]], tables, systemClock, 60_000)
    await connection.query(`INSERT INTO ${a.schema.name}.w VALUES ('anna', 1), ('bob', 1), ('cleo ', 1)`)
    await connection.query(`INSERT INTO ${b.schema.name}.w VALUES ('dora', 1), ('Emil', 2)`)
    await connection.query(`INSERT INTO ${a.schema.name}.x VALUES ('bob')`)
    await connection.query(`INSERT INTO ${b.schema.name}.x VALUES ('Bob')`)
    assert.deepEqual((await look()).errors, [])
    await connection.query(`INSERT INTO ${b.schema.name}.w VALUES ('Bob', 2), ('cleo', 1)`)
    const { errors, notes } = await look()
    assert.deepEqual(
      errors.map((error) => error.message.replace(/^values of /, '')),
      ["w.PRIMARY stand on a and on b: 'Bob', 'cleo'", "w.both_of stand on a and on b: 1, 'cleo'"],
    )
    assert.deepEqual(notes.length, 2, String(notes))
    assert.match(notes[0] ?? '', /^w.PRIMARY takes values of the shard key column name for equal by utf8mb4_general_ci/)
  })
}

for (const flavour of flavours().filter((name) => name === 'mysql')) {
  test(`merges on ${flavour}: a unique key over an expression is told, and one over many values of a row is told not to be looked up`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const table =
      'e (id BIGINT NOT NULL, tenant INT NOT NULL, mail VARCHAR(60), PRIMARY KEY (tenant, id), UNIQUE KEY low ((LOWER(mail))), UNIQUE KEY own (tenant, (LOWER(mail))), many JSON, UNIQUE KEY every (tenant, id, (CAST(many AS UNSIGNED ARRAY))), UNIQUE KEY each_of ((CAST(many AS UNSIGNED ARRAY))))'
    const a = await sideOf(connection, 'a', table)
    const b = await sideOf(connection, 'b', table)
    const tables = [{ name: 'e', reference: false, vindex: { type: 'hash', params: {}, columns: ['tenant'] } }]
    const { errors, notes } = await duplicateKeys([[a, b]], tables, systemClock, 60_000)
    assert.deepEqual(errors, [])
    assert.deepEqual(notes.toSorted().toReversed(), [
      'e.low does not contain the shard key: sharding cannot keep it unique',
      'e.each_of does not contain the shard key: sharding cannot keep it unique; whether two sources hold one value was not looked up (its values cannot be read): a stream that meets one stands still and names it',
    ])
    assert.match(keysLeftUnique(a.schema, tables).join(), /\be\.low does not contain the shard key/)
  })
}

for (const flavour of flavours()) {
  test(`merges: a unique key over the beginning of a column is told and looked up, also where that is the shard key's; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const table =
      'p (name VARBINARY(64) NOT NULL PRIMARY KEY, note VARCHAR(90), UNIQUE KEY begins (name(8)), UNIQUE KEY noted (note(10)), UNIQUE KEY both_of (name, note(10)))'
    const a = await sideOf(connection, 'a', table)
    const b = await sideOf(connection, 'b', table)
    await connection.query(`INSERT INTO ${a.schema.name}.p VALUES ('aaaaaaaa1', 'a note of theirs 1')`)
    await connection.query(`INSERT INTO ${b.schema.name}.p VALUES ('aaaaaaaa2', 'a note of theirs 2')`)
    const tables = [{ name: 'p', reference: false, vindex: { type: 'binary', params: {}, columns: ['name'] } }]
    const { errors, notes } = await duplicateKeys([[a, b]], tables, systemClock, 60_000)
    assert.deepEqual(
      errors.map((error) => error.message.replace(/^values of /, '')),
      ["p.begins stand on a and on b: X'6161616161616161'", "p.noted stand on a and on b: 'a note of '"],
    )
    assert.equal(notes.length, 2, notes.join())
    assert.match(notes[0] ?? '', /^p\.begins has of the shard key column name the first 8 only/)
    assert.match(notes[1] ?? '', /^p\.noted does not contain the shard key/)
    const split = keysLeftUnique(a.schema, tables)
    assert.deepEqual(
      split.map((note) => note.split(' ')[0]),
      ['p.begins', 'p.noted'],
    )
  })
}
