import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { readSchema } from '../mysql/introspect.ts'
import { flavours, sharedServer, uniqueName } from '../../test/kit/servers.ts'
import { connect } from '../mysql/connect.ts'
import { duplicateKeys } from './merge-checks.ts'

for (const flavour of flavours()) {
  test(`merges: values of keys without the shard key that stand on two sources are listed, as the target would compare them; ${flavour}`, async () => {
    const server = await sharedServer(flavour)
    await using connection = await connect(server.config)
    const sides = await Promise.all(
      ['a', 'b'].map(async (shard) => {
        const name = uniqueName(shard)
        await connection.query(`CREATE DATABASE ${name}`)
        await connection.query(
          `CREATE TABLE ${name}.u (id BIGINT NOT NULL, tenant INT NOT NULL, mail VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_swedish_ci, day DATE, raw VARBINARY(9),
             PRIMARY KEY (id), UNIQUE KEY mail (mail, day), UNIQUE KEY raw (raw), UNIQUE KEY own (tenant, mail)) ENGINE=InnoDB`,
        )
        return { shard, schema: await readSchema(connection, name), connection }
      }),
    )
    const [a, b] = sides
    assert(a !== undefined && b !== undefined)
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
    /** Source n has the values that leave n when divided by 3, negative ones first, and `more`. */
    const sides = await Promise.all(
      ['a', 'b', 'c'].map(async (shard, n) => {
        const name = uniqueName(shard)
        await connection.query(`CREATE DATABASE ${name}`)
        await connection.query(
          `CREATE TABLE ${name}.v (region INT NOT NULL, id BIGINT NOT NULL, tenant INT NOT NULL, PRIMARY KEY (region, id)) ENGINE=InnoDB`,
        )
        const values = Array.from({ length: rows }, (_, i) => `(${i < 100 ? -1 : 1}, ${3 * i + n}, 1)`)
        await connection.query(`INSERT INTO ${name}.v VALUES ${values.join(',')}`)
        return { shard, schema: await readSchema(connection, name), connection }
      }),
    )
    const [a, b, c] = sides
    assert(a !== undefined && b !== undefined && c !== undefined)
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
